//! How many bytes went between the parent and its workers, and how, and for how long workers were
//! busy: for who wants to know whether it pays.

use std::time::Duration;

use crate::payload::{Arrived, Body, Parcel, Payload};

/// Counts, both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that were written for one reader alone: letters, and a worker's large buffers.
    pub copied: u64,
    /// Bytes of large buffers that a reader was given where they lie.
    pub mapped: u64,
    /// For how long workers were busy with batches that have ended, all together.
    pub busy: Duration,
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
