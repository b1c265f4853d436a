//! The bytes of a message: on their way out ([`Payload`]) and where they arrive ([`Body`]).
//!
//! A payload stays with the parent until its batch has ended, so that a batch which never
//! started can be sent again to another worker. A body is either a private copy or a view
//! on shared memory; small ones are copied at once, which gives their block back early.

use std::fmt;

use allcores_shm::View;

/// From this size on a body stays in shared memory until somebody reads it.
pub const KEEP_IN_PLACE: usize = 64 * 1024;

/// So many bytes need no memory of their own: the arguments of a call with a number or two.
const IN_PLACE: usize = 30;

/// Bytes that wait to be sent.
pub enum Payload {
    /// A copy of our own, of few bytes.
    Small {
        /// How many of them.
        len: u8,
        /// They, and zeroes.
        bytes: [u8; IN_PLACE],
    },
    /// A copy of our own.
    Owned(Box<[u8]>),
    /// Bytes that somebody else keeps alive for us.
    Shared(Box<dyn AsRef<[u8]> + Send + Sync>),
}

impl Payload {
    /// A copy of these bytes.
    pub fn copy_of(bytes: &[u8]) -> Self {
        match u8::try_from(bytes.len()) {
            Ok(len) if bytes.len() <= IN_PLACE => {
                let mut small = [0; IN_PLACE];
                small[..bytes.len()].copy_from_slice(bytes);
                Payload::Small { len, bytes: small }
            }
            _ => Payload::Owned(bytes.into()),
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Payload::Small { len, bytes } => &bytes[..usize::from(*len)],
            Payload::Owned(bytes) => bytes,
            Payload::Shared(keeper) => (**keeper).as_ref(),
        }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Payload::Owned(bytes.into_boxed_slice())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.bytes().len())
    }
}

/// Bytes that have arrived.
pub enum Body {
    /// A private copy.
    Owned(Vec<u8>),
    /// Still in the sender's memory; dropping it gives the block back.
    Shared(View),
}

impl Body {
    /// Takes what lies in `view`: a copy if it is small, the view itself if it is not.
    pub fn take(view: View) -> Body {
        if view.len() < KEEP_IN_PLACE {
            Body::Owned(view.copy_to_vec())
        } else {
            Body::Shared(view)
        }
    }

    /// No bytes at all.
    pub fn empty() -> Body {
        Body::Owned(Vec::new())
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        match self {
            Body::Owned(bytes) => bytes.len(),
            Body::Shared(view) => view.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the bytes to `to`, which must be of the same length.
    pub fn copy_out(&self, to: &mut [u8]) {
        match self {
            Body::Owned(bytes) => to.copy_from_slice(bytes),
            Body::Shared(view) => {
                view.copy_out(0, to).expect("a view can be copied whole");
            }
        }
    }

    /// A private copy of the first bytes, at most so many: however many a peer says there are.
    pub fn first(&self, most: usize) -> Vec<u8> {
        match self {
            Body::Owned(bytes) => bytes[..bytes.len().min(most)].to_vec(),
            Body::Shared(view) => {
                let mut bytes = vec![0; view.len().min(most)];
                view.copy_out(0, &mut bytes).expect("the first bytes of a view can be copied");
                bytes
            }
        }
    }

    /// A private copy of the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        match self {
            Body::Owned(bytes) => bytes.clone(),
            Body::Shared(view) => view.copy_to_vec(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.len())
    }
}
