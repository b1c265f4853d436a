//! How many bytes went between the parent and its workers, and how: for who wants to know.

use crate::payload::{Arrived, Body, Parcel, Payload};

/// Counts in bytes, both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Written for one reader alone: letters, and a worker's large buffers.
    pub copied: u64,
    /// Large buffers that a reader was given where they lie.
    pub mapped: u64,
}

impl Traffic {
    /// Over a link that lends parcels where they lie.
    pub(crate) fn lent(&mut self, payload: &Payload) {
        self.copied += payload.letter().len() as u64;
        for parcel in payload.parcels() {
            match parcel {
                Parcel::Shared(parcel) => self.mapped += parcel.len() as u64,
                Parcel::Own(bytes) => self.copied += bytes.len() as u64,
            }
        }
    }

    /// Over a link that writes everything out, parcels too.
    pub(crate) fn written(&mut self, payload: &Payload) {
        self.copied += payload.weight();
    }

    /// From a worker, which wrote all of it.
    pub(crate) fn came(&mut self, body: &Body) {
        self.copied += body.weight();
        for parcel in body.parcels() {
            if let Arrived::Shared(view) = parcel {
                self.mapped += view.len() as u64;
            }
        }
    }
}
