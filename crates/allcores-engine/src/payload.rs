//! The bytes of a message: on their way out ([`Payload`]) and where they arrive ([`Body`]).
//!
//! A payload stays with the parent until its batch has ended, so that a batch which never
//! started can be sent again to another worker. A body is either a private copy or a view
//! on shared memory; small ones are copied at once, which gives their block back early.
//!
//! Large buffers go beside the bytes, as *parcels*: written into shared memory once, and mapped by who
//! gets them. The bytes they belong to are their *letter*.
//!
//! ```text
//!   letter on its way:   (reference, length) of each parcel │ the letter's bytes
//!   over a stream:       (0,         length) of each parcel │ the letter's bytes │ the parcels' bytes
//! ```

use std::fmt;
use std::sync::Arc;

use allcores_shm::{Region, View, many_views_are_open};

use crate::error::EngineError;
use crate::ids::FnId;

/// From this size on a body stays in shared memory until somebody reads it.
pub const KEEP_IN_PLACE: usize = 64 * 1024;

/// So many bytes need no memory of their own: the arguments of a call with a number or two.
const IN_PLACE: usize = 30;

/// A letter has at most so many parcels.
pub const MOST_PARCELS: usize = 32;

/// Bytes of a parcel's entry in the table.
const ENTRY: usize = 16;

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
    /// A letter with parcels.
    Shipment(Arc<Shipment>),
}

/// A letter and its parcels.
pub struct Shipment {
    /// The letter's bytes.
    pub letter: Box<[u8]>,
    /// At most [`MOST_PARCELS`].
    pub parcels: Vec<Parcel>,
    /// What its reader must have been sent before, beside the function: it is registered like one.
    pub needs: Vec<FnId>,
}

/// A large buffer that waits to be sent.
pub enum Parcel {
    /// In shared memory.
    Shared(Arc<allcores_shm::Parcel>),
    /// A copy of our own, to be written into shared memory when it is sent.
    Own(Box<[u8]>),
}

impl Parcel {
    /// How many bytes.
    pub fn len(&self) -> usize {
        match self {
            Parcel::Shared(parcel) => parcel.len(),
            Parcel::Own(bytes) => bytes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a link is given to send.
#[derive(Clone, Copy)]
pub struct Cargo<'a> {
    /// The letter's bytes.
    pub letter: &'a [u8],
    /// Its parcels.
    pub parcels: &'a [Parcel],
}

impl<'a> From<&'a [u8]> for Cargo<'a> {
    fn from(letter: &'a [u8]) -> Self {
        Cargo { letter, parcels: &[] }
    }
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

    /// The bytes, without those of parcels.
    pub fn letter(&self) -> &[u8] {
        match self {
            Payload::Small { len, bytes } => &bytes[..usize::from(*len)],
            Payload::Owned(bytes) => bytes,
            Payload::Shared(keeper) => (**keeper).as_ref(),
            Payload::Shipment(shipment) => &shipment.letter,
        }
    }

    /// What goes along with the letter.
    pub fn parcels(&self) -> &[Parcel] {
        match self {
            Payload::Shipment(shipment) => &shipment.parcels,
            _ => &[],
        }
    }

    /// What its reader must have been sent before.
    pub fn needs(&self) -> &[FnId] {
        match self {
            Payload::Shipment(shipment) => &shipment.needs,
            _ => &[],
        }
    }

    /// All of it.
    pub fn cargo(&self) -> Cargo<'_> {
        Cargo { letter: self.letter(), parcels: self.parcels() }
    }

    /// How many bytes all of it has.
    pub fn weight(&self) -> u64 {
        let parcels: usize = self.parcels().iter().map(Parcel::len).sum();
        (self.letter().len() + parcels) as u64
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Payload::Owned(bytes.into_boxed_slice())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.weight())
    }
}

/// A letter as it goes out: the table of its parcels, and then its bytes.
pub(crate) fn with_table(table: &[(u64, u64)], letter: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(table.len() * ENTRY + letter.len());
    for (reference, len) in table {
        bytes.extend(reference.to_le_bytes());
        bytes.extend(len.to_le_bytes());
    }
    bytes.extend(letter);
    bytes
}

/// The table of so many parcels, taken off the letter as it came in.
pub(crate) fn take_table(
    bytes: &mut Vec<u8>,
    parcels: u32,
) -> Result<Vec<(u64, u64)>, EngineError> {
    let count = usize::try_from(parcels).unwrap_or(usize::MAX);
    let end = count.saturating_mul(ENTRY);
    if count > MOST_PARCELS || end > bytes.len() {
        return Err(EngineError::Corrupt);
    }
    let letter = bytes.split_off(end);
    let table = std::mem::replace(bytes, letter);
    let words = table.as_chunks::<8>().0.as_chunks::<2>().0;
    Ok(words.iter().map(|[at, len]| (u64::from_le_bytes(*at), u64::from_le_bytes(*len))).collect())
}

/// Bytes that have arrived.
pub enum Body {
    /// A private copy.
    Owned(Vec<u8>),
    /// Still in the sender's memory; dropping it gives the block back.
    Shared(View),
    /// A letter with parcels.
    Delivery(Box<Delivery>),
}

/// A letter that has arrived, and its parcels.
pub struct Delivery {
    /// The letter's bytes.
    pub letter: Vec<u8>,
    /// In their order.
    pub parcels: Vec<Arrived>,
}

/// A large buffer that has arrived.
#[derive(Clone)]
pub enum Arrived {
    /// Still in the sender's memory.
    Shared(Arc<View>),
    /// A private copy.
    Own(Arc<Vec<u8>>),
}

impl Arrived {
    /// How many bytes.
    pub fn len(&self) -> usize {
        match self {
            Arrived::Shared(view) => view.len(),
            Arrived::Own(bytes) => bytes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes what lies in `view`: the view itself, or a copy if many are held already.
    pub fn take(view: View) -> Arrived {
        if many_views_are_open() {
            Arrived::Own(view.copy_to_vec().into())
        } else {
            Arrived::Shared(Arc::new(view))
        }
    }

    /// The buffer as memory of this process's own; another one at each call.
    pub fn region(&self) -> Result<Region, EngineError> {
        match self {
            Arrived::Shared(view) => Ok(Region::of(view)?),
            Arrived::Own(bytes) => Ok(Region::copy_of(bytes)?),
        }
    }
}

impl Body {
    /// Takes what lies in `view`: a copy if it is small or many are held already, else the view itself.
    pub fn take(view: View) -> Body {
        if view.len() < KEEP_IN_PLACE || many_views_are_open() {
            Body::Owned(view.copy_to_vec())
        } else {
            Body::Shared(view)
        }
    }

    /// No bytes at all.
    pub fn empty() -> Body {
        Body::Owned(Vec::new())
    }

    /// How many bytes, without those of parcels.
    pub fn len(&self) -> usize {
        match self {
            Body::Owned(bytes) => bytes.len(),
            Body::Shared(view) => view.len(),
            Body::Delivery(delivery) => delivery.letter.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What came with the letter.
    pub fn parcels(&self) -> &[Arrived] {
        match self {
            Body::Delivery(delivery) => &delivery.parcels,
            _ => &[],
        }
    }

    /// How many bytes all of it has.
    pub fn weight(&self) -> u64 {
        let parcels: usize = self.parcels().iter().map(Arrived::len).sum();
        (self.len() + parcels) as u64
    }

    /// Copies the bytes to `to`, which must be of the same length.
    pub fn copy_out(&self, to: &mut [u8]) {
        match self {
            Body::Owned(bytes) => to.copy_from_slice(bytes),
            Body::Shared(view) => {
                view.copy_out(0, to).expect("a view can be copied whole");
            }
            Body::Delivery(delivery) => to.copy_from_slice(&delivery.letter),
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
            Body::Delivery(delivery) => delivery.letter[..delivery.letter.len().min(most)].to_vec(),
        }
    }

    /// A private copy of the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        self.first(usize::MAX)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.weight())
    }
}
