//! Where payloads live: one process allocates and writes, another reads and says when it is done.
//!
//! A block is a header word and the payload after it. *Small* blocks (to 128 KiB, powers of two) are cut
//! one after the other from *chunks*, segments of 1 MiB (the first is smaller, for the sake of the first
//! task, which waits until its pages are there); they stay in their size class for good. A *large*
//! block has a segment of its own, sparse, and warm ones are kept for reuse up to a bound, for
//! fresh pages cost three times the copy.
//!
//! The books (what is spare, what is lent) are this process's own memory; the only thing that the reader
//! writes is `FREE` into the header (`header.rs`). Nobody sends a message to free memory: when a class has
//! nothing spare, the owner looks at a few of its oldest loans, takes what is free and puts the others
//! to the back of the queue, so that long-lived loans hide no freed ones for long.
//!
//! What a peer can do by writing nonsense: make its own payloads unreadable, free a block early, or keep
//! one lent for ever. The books stay right, since they believe nothing but "this very lending is free".

use std::collections::{HashMap, VecDeque};

use crate::descriptor::{BlockRef, Payload};
use crate::error::{Result, ShmError};
use crate::header::Header;
use crate::primitive::Arc;
use crate::segment::{Segment, WORD};

/// Size of a chunk. A reference has just enough bits for its places.
const CHUNK: usize = 1 << 20;
/// Size of an arena's first chunk: the pages of a whole one take 0.3 ms.
const FIRST_CHUNK: usize = 64 << 10;
const SMALLEST: usize = BlockRef::UNIT;
const LARGEST_SMALL: usize = 128 << 10;
const CLASSES: usize = (LARGEST_SMALL.ilog2() - SMALLEST.ilog2() + 1) as usize;
/// How many of the oldest loans an allocation looks at.
const LOOK_AT: usize = 8;
/// How many bytes of spare large segments are kept for reuse.
const KEPT_BYTES: usize = 512 << 20;

const _: () = assert!(CHUNK / BlockRef::UNIT == BlockRef::MAX_PLACE as usize + 1);
const _: () = assert!(SMALLEST << (CLASSES - 1) == LARGEST_SMALL);

/// How far into its block a payload of that length starts. A large one starts on a line of its own, so
/// that arrays in it can be used where they are; a small one right after the header word.
pub(crate) fn payload_start(len: usize) -> usize {
    if len <= LARGEST_SMALL - WORD { WORD } else { BlockRef::UNIT }
}

/// The owner's side: allocates blocks.
#[derive(Debug, Default)]
pub struct Arena {
    segments: HashMap<u32, Arc<Segment>>,
    /// Every id below has been used; retired ones that were collected may be used again.
    next_id: u32,
    reusable_ids: Vec<u32>,
    retired: Vec<u32>,
    /// The chunk being cut up.
    chunk: Option<Chunk>,
    small: [Class; CLASSES],
    large: Class,
    generation: u32,
}

/// A segment that small blocks are cut from.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    segment: u32,
    /// What is left of it begins here, and ends there.
    start: usize,
    end: usize,
}

/// Blocks of one kind. Each block is in exactly one of the two.
#[derive(Debug, Default)]
struct Class {
    /// The generation in these is of the past.
    spare: Vec<BlockRef>,
    /// Oldest loan first.
    lent: VecDeque<BlockRef>,
}

impl Arena {
    /// An arena without any memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A block for a payload of `len` bytes. Its segment must be announced before its reference is sent.
    pub fn allocate(&mut self, len: usize) -> Result<Block> {
        let room = len
            .checked_add(payload_start(len))
            .and_then(usize::checked_next_power_of_two)
            .filter(|room| isize::try_from(*room).is_ok())
            .ok_or(ShmError::TooLarge { bytes: len as u64 })?
            .max(SMALLEST);
        let spare =
            if room <= LARGEST_SMALL { self.spare_small(room)? } else { self.spare_large(room)? };
        self.lend(spare, room, len)
    }

    fn lend(&mut self, spare: BlockRef, room: usize, len: usize) -> Result<Block> {
        // 0 is never lent. One generation is met again after 2^30 - 1 lendings.
        self.generation = self.generation % BlockRef::MAX_GENERATION + 1;
        let at = BlockRef::new(spare.segment(), spare.place(), self.generation);
        let segment = Arc::clone(self.segments.get(&at.segment()).ok_or_else(|| unknown(at))?);
        header(&segment, at)?.lend(at.generation());
        self.class(room).lent.push_back(at);
        Ok(Block { at, len, segment })
    }

    fn class(&mut self, room: usize) -> &mut Class {
        if room <= LARGEST_SMALL {
            &mut self.small[(room.ilog2() - SMALLEST.ilog2()) as usize]
        } else {
            &mut self.large
        }
    }

    fn spare_small(&mut self, room: usize) -> Result<BlockRef> {
        if self.class(room).spare.is_empty() {
            self.sweep_class(room, LOOK_AT);
        }
        match self.class(room).spare.pop() {
            Some(spare) => Ok(spare),
            None => self.cut(room),
        }
    }

    /// Cuts a new block from the chunk, or from a new chunk.
    fn cut(&mut self, room: usize) -> Result<BlockRef> {
        let chunk = match self.chunk {
            Some(chunk) if chunk.end - chunk.start >= room => chunk,
            _ => {
                let is_first = self.segments.is_empty() && room <= FIRST_CHUNK;
                let end = if is_first { FIRST_CHUNK } else { CHUNK };
                let segment = self.add_segment(Segment::create(end)?)?;
                self.give_rest_away();
                Chunk { segment, start: 0, end }
            }
        };
        self.chunk = Some(Chunk { start: chunk.start + room, ..chunk });
        Ok(spare_at(chunk.segment, chunk.start))
    }

    /// What the old chunk has left goes to smaller classes, largest pieces first.
    fn give_rest_away(&mut self) {
        let Some(Chunk { segment, mut start, end }) = self.chunk.take() else { return };
        while start < end {
            let piece = (1 << (end - start).ilog2()).min(LARGEST_SMALL);
            self.class(piece).spare.push(spare_at(segment, start));
            start += piece;
        }
    }

    fn spare_large(&mut self, room: usize) -> Result<BlockRef> {
        self.sweep_class(room, LOOK_AT);
        let fits =
            |at: &BlockRef| self.segments.get(&at.segment()).is_some_and(|s| s.len() == room);
        match self.large.spare.iter().rposition(fits) {
            Some(index) => Ok(self.large.spare.remove(index)),
            None => {
                let segment = Segment::create_sparse(room)?;
                // The header's page must be there before its word is stored through the mapping.
                segment.write(0, &[0; BlockRef::UNIT])?;
                Ok(spare_at(self.add_segment(segment)?, 0))
            }
        }
    }

    fn add_segment(&mut self, segment: Segment) -> Result<u32> {
        let id = match self.reusable_ids.pop() {
            Some(id) => id,
            None if self.next_id < BlockRef::FIRST_PARCEL => {
                self.next_id += 1;
                self.next_id - 1
            }
            None => return Err(ShmError::SegmentIds),
        };
        self.segments.insert(id, Arc::new(segment));
        Ok(id)
    }

    /// Takes back every block that has been freed. An allocation looks at a few; this looks at all, for
    /// quiet moments.
    pub fn sweep(&mut self) {
        for class in 0..CLASSES {
            self.sweep_class(SMALLEST << class, usize::MAX);
        }
        self.sweep_class(LARGEST_SMALL + 1, usize::MAX);
    }

    /// Takes back every large block that has been freed; whether some were lent.
    pub fn sweep_large(&mut self) -> bool {
        let some = !self.large.lent.is_empty();
        if some {
            self.sweep_class(LARGEST_SMALL + 1, usize::MAX);
        }
        some
    }

    fn sweep_class(&mut self, room: usize, at_most: usize) {
        let mut class = std::mem::take(self.class(room));
        for _ in 0..class.lent.len().min(at_most) {
            let Some(at) = class.lent.pop_front() else { break };
            if self.header(at).is_some_and(|header| header.is_free(at.generation())) {
                class.spare.push(at);
            } else {
                class.lent.push_back(at);
            }
        }
        *self.class(room) = class;
        if room > LARGEST_SMALL {
            self.retire_surplus();
        }
    }

    /// Lets go of the spare large segments that have waited longest, beyond the bound.
    fn retire_surplus(&mut self) {
        let segments = &mut self.segments;
        let mut kept: usize = 0;
        let mut surplus = Vec::new();
        // The newest first: they are warm.
        self.large.spare.reverse();
        self.large.spare.retain(|at| {
            let bytes = segments.get(&at.segment()).map_or(0, |segment| segment.len());
            kept = kept.saturating_add(bytes);
            if kept > KEPT_BYTES {
                surplus.push(at.segment());
            }
            kept <= KEPT_BYTES
        });
        self.large.spare.reverse();
        for id in surplus {
            segments.remove(&id);
            self.retired.push(id);
        }
    }

    /// Ends a lending in the reader's stead: a message that was never sent, or whose reader has died.
    /// False if it had ended before, so a late call harms nobody.
    pub fn release(&self, at: BlockRef) -> bool {
        self.header(at).is_some_and(|header| header.free(at.generation()))
    }

    /// The segment of that id, for announcing it.
    pub fn segment(&self, id: u32) -> Option<&Arc<Segment>> {
        self.segments.get(&id)
    }

    /// The segments given up since the last call. Forget that they were announced, and tell the readers:
    /// their ids may come again, for new segments.
    pub fn take_retired(&mut self) -> Vec<u32> {
        let retired = std::mem::take(&mut self.retired);
        self.reusable_ids.extend(&retired);
        retired
    }

    /// Bytes in all segments, spare or lent (sparse ones may take less memory).
    pub fn footprint(&self) -> usize {
        self.segments.values().map(|segment| segment.len()).sum()
    }

    fn header(&self, at: BlockRef) -> Option<Header<'_>> {
        header(self.segments.get(&at.segment())?, at).ok()
    }
}

fn spare_at(id: u32, start: usize) -> BlockRef {
    BlockRef::new(id, (start / BlockRef::UNIT) as u32, 0)
}

fn unknown(at: BlockRef) -> ShmError {
    ShmError::UnknownSegment { id: at.segment() }
}

/// The header of the block at `at`, which need not be one.
pub(crate) fn header(segment: &Segment, at: BlockRef) -> Result<Header<'_>> {
    segment.word_at(at.offset()).map(Header::new)
}

/// A lent block, on its way to be filled and sent. Dropping it changes nothing: the lending ends when the
/// reader says so, or through [`Arena::release`].
#[derive(Debug)]
pub struct Block {
    at: BlockRef,
    len: usize,
    segment: Arc<Segment>,
}

impl Block {
    /// Its reference.
    pub fn at(&self) -> BlockRef {
        self.at
    }

    /// How many bytes of payload it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the payload has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The segment it lies in.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// What to say about it in a message.
    pub fn payload(&self) -> Payload {
        Payload { block: self.at, len: self.len as u64, parcels: 0 }
    }

    /// Writes `bytes` at `offset` of the payload. Only before the reference is sent.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        match offset.checked_add(bytes.len()) {
            Some(end) if end <= self.len => {
                self.segment.write(self.at.offset() + payload_start(self.len) + offset, bytes)
            }
            _ => Err(ShmError::OutOfBounds { offset, len: bytes.len(), segment: self.len }),
        }
    }
}
