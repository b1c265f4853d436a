//! Names of things, one type each, so that a worker's number can't be taken for a batch's.
//!
//! An id is a plain integer that whoever issues it never issues twice in a pool's life: workers are
//! numbered by the scheduler, batches and functions by the pool. An [`Instance`] counts how often
//! one batch was given out.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident($raw:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $raw);

        impl $name {
            /// The bare number, for a descriptor or a message.
            #[inline]
            pub const fn get(self) -> $raw {
                self.0
            }
        }

        impl From<$raw> for $name {
            #[inline]
            fn from(raw: $raw) -> Self {
                Self(raw)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

id_type!(
    /// One worker process, from the moment its start begins until its end is known.
    WorkerId(u32)
);
id_type!(
    /// One batch: one message to a worker and one answer.
    BatchId(u64)
);
id_type!(
    /// One registered function, whose bytes go to each worker once.
    FnId(u32)
);
id_type!(
    /// How often a batch was given out before; an answer of an older instance is late and ignored.
    Instance(u32)
);

impl Instance {
    /// The instance of a batch that is given out for the first time.
    pub const FIRST: Self = Self(0);

    /// The instance after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// A map keyed by an id. Ids are issued in sequence by ourselves, so one multiplication spreads
/// them well enough and nobody can choose them to collide.
pub type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// The hasher of [`IdMap`]; only for keys that are one integer.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        // The table takes its index from the low bits and its tag from the high ones; a product is
        // good only high up.
        self.0.rotate_left(26)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u32(&mut self, key: u32) {
        self.write_u64(u64::from(key));
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = (self.0 ^ key).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
