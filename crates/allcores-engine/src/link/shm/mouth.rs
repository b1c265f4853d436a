//! The speaking half of either end: a ring to push to, memory to write in.
//!
//! What is said goes into blocks of an arena of this end's own. Large buffers go beside it: the parent's
//! are parcels, which lie in shared memory already and are lent; a worker's are blocks of their own.
//! Whatever segment a message names is announced over the control socket first.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Weak};

use allcores_shm::{
    Arena, BlockRef, Lending, Message, Payload, Producer, Segment, ShmError, Socket,
};
use rustix::event::{PollFd, PollFlags, poll};

use crate::error::EngineError;
use crate::link::Loose;
use crate::payload::{self, Cargo, Parcel};

/// So many lendings are kept in mind before it is looked which of them are over.
const MANY_LENDINGS: usize = 64;

/// What was lent to the peer for one message.
#[derive(Debug, Default)]
pub(super) struct Lent {
    /// Blocks of the arena; their reader frees them.
    pub(super) blocks: Vec<BlockRef>,
    pub(super) parcels: Vec<Lending>,
}

pub(super) struct Mouth {
    pub(super) ring: Producer,
    arena: Arena,
    announced: HashSet<u32>,
    /// The segments of parcels that the peer has.
    parcels: HashMap<u32, Weak<Segment>>,
    /// What the peer has begun to read and may still be reading.
    lent: Vec<Lending>,
    pub(super) socket: Arc<Socket>,
}

impl Mouth {
    pub(super) fn new(ring: Producer, socket: Arc<Socket>) -> Mouth {
        Mouth {
            ring,
            arena: Arena::new(),
            announced: HashSet::new(),
            parcels: HashMap::new(),
            lent: Vec::new(),
            socket,
        }
    }

    /// Writes `bytes` into a block that the peer can open.
    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        patient: bool,
    ) -> Result<Option<Payload>, EngineError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        self.write_pieces(&[bytes], patient).map(Some)
    }

    fn write_pieces(&mut self, pieces: &[&[u8]], patient: bool) -> Result<Payload, EngineError> {
        let block = self.arena.allocate(pieces.iter().map(|piece| piece.len()).sum())?;
        let mut at = 0;
        let mut written = Ok(());
        for piece in pieces {
            written = written.and_then(|()| block.write(at, piece));
            at += piece.len();
        }
        let told = written
            .map_err(|error: ShmError| EngineError::from(error))
            .and_then(|()| self.announce(block.at().segment(), patient));
        if let Err(error) = told {
            self.arena.release(block.at());
            return Err(error);
        }
        Ok(block.payload())
    }

    /// Writes a letter and sees to it that the peer can open its parcels.
    pub(super) fn load(
        &mut self,
        cargo: Cargo<'_>,
    ) -> Result<(Option<Payload>, Lent), EngineError> {
        if cargo.parcels.is_empty() {
            let payload = self.write(cargo.letter, false)?;
            let blocks = payload.map(|payload| payload.block).into_iter().collect();
            return Ok((payload, Lent { blocks, parcels: Vec::new() }));
        }
        let (mut table, mut lent) = (Vec::new(), Lent::default());
        let loaded = cargo
            .parcels
            .iter()
            .try_for_each(|parcel| {
                table.push(self.load_one(parcel, &mut lent)?);
                Ok(())
            })
            .and_then(|()| self.write(&payload::with_table(&table, cargo.letter), false));
        match loaded {
            Ok(letter) => {
                lent.blocks.extend(letter.map(|letter| letter.block));
                Ok((with_parcels(letter, table.len()), lent))
            }
            Err(error) => {
                self.take_back(&lent);
                Err(error)
            }
        }
    }

    fn load_one(&mut self, parcel: &Parcel, lent: &mut Lent) -> Result<(u64, u64), EngineError> {
        let lending = match parcel {
            Parcel::Own(_) => None,
            Parcel::Shared(parcel) => {
                self.announce_parcel(parcel)?;
                parcel.lend()
            }
        };
        let at = if let Some(lending) = lending {
            let at = lending.at();
            lent.parcels.push(lending);
            at
        } else {
            let written = match parcel {
                Parcel::Own(bytes) => self.write_pieces(&[bytes], false)?,
                Parcel::Shared(parcel) => self.write_pieces(&[&parcel.copy()?], false)?,
            };
            lent.blocks.push(written.block);
            written.block
        };
        Ok((at.to_word(), parcel.len() as u64))
    }

    /// Writes a letter and what goes along with it, waiting for the peer where that has to be.
    pub(super) fn write_with(
        &mut self,
        letter: &[u8],
        parcels: Loose<'_>,
    ) -> Result<Option<Payload>, EngineError> {
        if parcels.is_empty() {
            return self.write(letter, true);
        }
        let mut table = Vec::with_capacity(parcels.len());
        let mut written = Ok(());
        for pieces in parcels {
            match self.write_pieces(pieces, true) {
                Ok(block) => table.push((block.block.to_word(), block.len)),
                Err(error) => {
                    written = Err(error);
                    break;
                }
            }
        }
        let letter = written.and_then(|()| self.write(&payload::with_table(&table, letter), true));
        match letter {
            Ok(letter) => Ok(with_parcels(letter, table.len())),
            Err(error) => {
                for (word, _) in table {
                    self.arena.release(BlockRef::from_word(word));
                }
                Err(error)
            }
        }
    }

    fn announce(&mut self, id: u32, patient: bool) -> Result<(), EngineError> {
        self.tell_retired();
        if self.announced.contains(&id) {
            return Ok(());
        }
        let segment = self.arena.segment(id).ok_or(ShmError::UnknownSegment { id })?;
        loop {
            match self.socket.send_segment(id, segment.fd()) {
                Err(ShmError::WouldBlock) if patient => wait_writable(self.socket.as_fd())?,
                Err(ShmError::Closed) => return Err(EngineError::Closed),
                Err(error) => return Err(error.into()),
                Ok(()) => break,
            }
        }
        self.announced.insert(id);
        Ok(())
    }

    fn tell_retired(&mut self) {
        for retired in self.arena.take_retired() {
            self.announced.remove(&retired);
            // Skipping it costs the peer memory until the id comes again, nothing else.
            let _full = self.socket.send_retired(retired);
        }
    }

    fn announce_parcel(&mut self, parcel: &allcores_shm::Parcel) -> Result<(), EngineError> {
        let (id, segment) = parcel.segment();
        let known =
            self.parcels.get(&id).is_some_and(|known| known.as_ptr() == Arc::as_ptr(segment));
        if known {
            return Ok(());
        }
        self.tidy();
        match self.socket.send_segment(id, segment.fd()) {
            Err(ShmError::Closed) => return Err(EngineError::Closed),
            other => other?,
        }
        self.parcels.insert(id, Arc::downgrade(segment));
        Ok(())
    }

    /// Ends the lendings of what the peer has not begun to read, and will not.
    pub(super) fn take_back(&mut self, lent: &Lent) {
        for block in &lent.blocks {
            self.arena.release(*block);
        }
        lent.parcels.iter().for_each(Lending::end);
    }

    /// Keeps in mind what the peer has begun to read, in case it dies over it.
    pub(super) fn watch(&mut self, lent: Lent) {
        self.lent.extend(lent.parcels);
        if self.lent.len() > MANY_LENDINGS {
            self.lent.retain(|lending| !lending.is_over());
        }
    }

    /// Tells the peer which segments it need not keep.
    pub(super) fn tidy(&mut self) {
        self.lent.retain(|lending| !lending.is_over());
        let gone = self.parcels.extract_if(|_, segment| segment.strong_count() == 0);
        for (id, _) in gone {
            // Skipping it costs the peer memory until the id comes again, nothing else.
            let _full = self.socket.send_retired(id);
        }
    }

    /// For a quiet moment: gives up what the peer has read, as far as it is too much to be kept.
    pub(super) fn sweep(&mut self) {
        if self.arena.sweep_large() {
            self.tell_retired();
        }
    }

    pub(super) fn say(&mut self, message: Message) -> Result<(), EngineError> {
        self.ring.push(&message.encode()).map_err(|error| ShmError::from(error).into())
    }
}

impl Drop for Mouth {
    fn drop(&mut self) {
        self.lent.iter().for_each(Lending::end);
    }
}

fn with_parcels(letter: Option<Payload>, count: usize) -> Option<Payload> {
    letter.map(|letter| Payload { parcels: count as u32, ..letter })
}

fn wait_writable(fd: BorrowedFd<'_>) -> Result<(), EngineError> {
    match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(EngineError::System { call: "poll", errno }),
    }
}
