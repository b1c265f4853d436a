//! The listening half of either end: a ring to pop from, the peer's segments.

use std::sync::Arc;

use allcores_shm::{
    BlockRef, Consumer, Control, Message, Payload, Segment, Shelf, ShmError, Socket, View,
};

use crate::error::EngineError;
use crate::payload::{self, Arrived, Body, Delivery};

pub(super) struct Ear {
    pub(super) ring: Consumer,
    shelf: Shelf,
    pub(super) socket: Arc<Socket>,
    pub(super) closed: bool,
}

impl Ear {
    pub(super) fn new(ring: Consumer, socket: Arc<Socket>) -> Ear {
        Ear { ring, shelf: Shelf::new(), socket, closed: false }
    }

    /// Takes everything from the control socket.
    pub(super) fn read_control(&mut self) -> Result<(), EngineError> {
        while !self.closed {
            match self.socket.receive(false)? {
                Some(control) => self.heed(control)?,
                None => break,
            }
        }
        Ok(())
    }

    fn heed(&mut self, control: Control) -> Result<(), EngineError> {
        match control {
            Control::Wake => {}
            Control::Segment { id, fd } => self.shelf.insert(id, Segment::from_fd(fd)?),
            Control::Retired { id } => self.shelf.remove(id),
            Control::Closed => self.closed = true,
        }
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Result<Option<Message>, EngineError> {
        match self.ring.pop().map_err(ShmError::from)? {
            None => Ok(None),
            Some(words) => Ok(Some(Message::decode(&words).map_err(ShmError::from)?)),
        }
    }

    pub(super) fn body(&mut self, payload: Option<Payload>) -> Result<Body, EngineError> {
        let Some(Payload { block, len, parcels }) = payload else { return Ok(Body::empty()) };
        let view = self.open(block, len)?;
        if parcels == 0 {
            return Ok(Body::take(view));
        }
        let mut letter = view.copy_to_vec();
        view.release();
        let table = payload::take_table(&mut letter, parcels)?;
        let parcels = table.into_iter().map(|(word, len)| {
            let view = self.open(BlockRef::from_word(word), len)?;
            Ok(Arrived::take(view))
        });
        let parcels = parcels.collect::<Result<_, EngineError>>()?;
        Ok(Body::Delivery(Box::new(Delivery { letter, parcels })))
    }

    fn open(&mut self, block: BlockRef, len: u64) -> Result<View, EngineError> {
        loop {
            match self.shelf.open(block, len) {
                Ok(view) => return Ok(view),
                // Announced before the message was, so it lies in the socket. So it is when the
                // id was used before, and the segment on the shelf is the retired one.
                Err(error) if !self.closed => match self.socket.receive(false)? {
                    Some(control) => self.heed(control)?,
                    None => return Err(error.into()),
                },
                Err(error) => return Err(error.into()),
            }
        }
    }
}
