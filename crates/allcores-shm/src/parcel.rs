//! Large buffers on their way to workers: each in a segment of its own, written once for all of them.
//!
//! ```text
//!   depot.pack(bytes) ──► Parcel ──lend──► a link's message ──► View in the worker ──► slot FREE
//!                           │ last handle dropped
//!                           ▼
//!                        resting ── all slots free? ──► packed anew, or given up
//! ```
//!
//! A parcel is written when a task is submitted, so that the task sees the buffer as it was then, and is
//! not bound to a link: it can be lent to any worker, to several at once, and again after one has died. Its
//! segment begins with *slots*, each the header of one lending; the buffer starts behind them.
//!
//! A parcel that nobody needs any more rests with its content. The same buffer (same address and length) may
//! be packed again soon: then only what has changed is written. While the earlier parcel is still
//! under way, an unchanged buffer is not written at all: both are the same parcel.
//!
//! The books are this process's own memory, as those of an [`Arena`](crate::Arena).

use std::collections::HashMap;

use crate::descriptor::BlockRef;
use crate::error::{Result, ShmError};
use crate::header::Header;
use crate::primitive::{Arc, AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, Weak};
use crate::segment::Segment;

/// How many lendings a parcel can have at a time: a few for each worker.
const SLOTS: usize = 256;

/// Where the buffer starts: on a page, behind the slots.
pub(crate) const PARCEL_START: usize = SLOTS * BlockRef::UNIT;

/// Segments come in multiples of so many bytes, so that similar buffers fit into each other's.
const GRAIN: usize = 64 << 10;

/// How many bytes of resting parcels are kept.
const KEPT_BYTES: usize = 256 << 20;

/// Descriptors are few. So many of this process may be those of parcels, under way or resting.
const MOST_OF_DESCRIPTORS: u64 = 4;
const MOST_PARCELS: usize = 1_000;

const _: () = assert!(PARCEL_START.is_multiple_of(4096) && GRAIN.is_multiple_of(4096));
const _: () = assert!(SLOTS - 1 <= BlockRef::MAX_PLACE as usize);

/// Where a buffer lies in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Source {
    address: usize,
    len: usize,
}

impl Source {
    /// `None`: it is not one piece, so there is no telling whether it comes again.
    fn of(slices: &[&[u8]]) -> Option<Self> {
        match slices {
            [one] => Some(Self { address: one.as_ptr().addr(), len: one.len() }),
            _ => None,
        }
    }
}

/// Makes parcels, and uses their memory again.
#[derive(Debug, Default)]
pub struct Depot {
    books: Mutex<Books>,
    lendings: AtomicU32,
    contents: AtomicU64,
}

#[derive(Debug, Default)]
struct Books {
    /// The newest last.
    resting: Vec<Store>,
    under_way: HashMap<Source, Weak<Parcel>>,
    /// How many there are of either kind.
    count: usize,
    next_id: u32,
}

/// What a parcel consists of, under way or resting.
#[derive(Debug)]
struct Store {
    id: u32,
    len: usize,
    /// Which of all contents it is that parcels of this depot have had.
    content: u64,
    source: Option<Source>,
    slots: Arc<Slots>,
}

/// A segment that starts with the headers of lendings.
#[derive(Debug)]
struct Slots {
    segment: Arc<Segment>,
    /// The generation that was lent last in each slot; 0 from the first one on that was never used.
    lent: Box<[AtomicU64]>,
}

/// A buffer that can be lent to workers.
#[derive(Debug)]
pub struct Parcel {
    /// There until it is dropped.
    store: Option<Store>,
    depot: Arc<Depot>,
}

/// The right of one worker to read a parcel, seen from the owner.
#[derive(Debug)]
pub struct Lending {
    slots: Arc<Slots>,
    at: BlockRef,
}

impl Depot {
    /// A depot without any memory yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A parcel that holds these bytes, one piece after the other; and how many of them had to be written.
    pub fn pack(self: &Arc<Self>, slices: &[&[u8]]) -> Result<(Arc<Parcel>, usize)> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        let source = Source::of(slices);
        if let Some(known) = source.and_then(|source| self.under_way(source))
            && known.holds(slices[0])
        {
            return Ok((known, 0));
        }
        let resting = source.and_then(|source| self.take_resting_of(source, slices[0]));
        let mut written = len;
        let mut parcel = match resting {
            Some(store) => self.parcel(store, |store| {
                written = store.slots.segment.refresh(PARCEL_START, slices[0])?;
                Ok(())
            })?,
            None => {
                let store = self.spare(len)?;
                self.parcel(store, |store| {
                    let mut at = PARCEL_START;
                    for slice in slices {
                        store.slots.segment.write(at, slice)?;
                        at += slice.len();
                    }
                    Ok(())
                })?
            }
        };
        if written > 0 || len == 0 {
            // Relaxed: numbers, each given once.
            parcel.store_mut().content = self.contents.fetch_add(1, Ordering::Relaxed) + 1;
        }
        parcel.store_mut().source = source;
        parcel.store_mut().len = len;
        let parcel = Arc::new(parcel);
        if let Some(source) = source {
            self.books().under_way.insert(source, Arc::downgrade(&parcel));
        }
        Ok((parcel, written))
    }

    /// A store that has been filled; one that could not be is given up.
    fn parcel(
        self: &Arc<Self>,
        store: Store,
        fill: impl FnOnce(&Store) -> Result<()>,
    ) -> Result<Parcel> {
        match fill(&store) {
            Ok(()) => Ok(Parcel { store: Some(store), depot: Arc::clone(self) }),
            Err(error) => {
                self.books().count -= 1;
                Err(error)
            }
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("nothing panics while it holds the books")
    }

    fn under_way(&self, source: Source) -> Option<Arc<Parcel>> {
        self.books().under_way.get(&source)?.upgrade()
    }

    /// What rests of that buffer, if it may be written to, or need not be.
    fn take_resting_of(&self, source: Source, bytes: &[u8]) -> Option<Store> {
        let resting = &mut self.books().resting;
        let at = resting.iter().rposition(|store| store.source == Some(source))?;
        let found = &resting[at].slots;
        (found.are_free() || found.segment.holds(PARCEL_START, bytes)).then(|| resting.remove(at))
    }

    /// A store with room for so many bytes: a resting one, or a new one.
    fn spare(&self, len: usize) -> Result<Store> {
        let room = len
            .checked_add(PARCEL_START)
            .and_then(|room| room.checked_next_multiple_of(GRAIN))
            .filter(|room| isize::try_from(*room).is_ok())
            .ok_or(ShmError::TooLarge { bytes: len as u64 })?;
        let mut books = self.books();
        let fits = |store: &Store| {
            let has = store.slots.segment.len();
            room <= has && has / 2 <= room && store.slots.are_free()
        };
        if let Some(at) = books.resting.iter().rposition(fits) {
            return Ok(books.resting.remove(at));
        }
        if books.count >= most_parcels() {
            books.give_up_oldest()?;
        }
        books.count += 1;
        let id = books.new_id();
        drop(books);
        let made = Segment::create_sparse(room).and_then(|segment| {
            // The pages of the slots must be there before a word of them is stored.
            segment.write(0, &[0; PARCEL_START])?;
            Ok(segment)
        });
        match made {
            Ok(segment) => Ok(Store {
                id,
                len,
                content: 0,
                source: None,
                slots: Arc::new(Slots::new(segment)),
            }),
            Err(error) => {
                self.books().count -= 1;
                Err(error)
            }
        }
    }

    /// 0 is never lent. One generation is met again after 2^30 - 1 lendings.
    fn new_generation(&self) -> u32 {
        // Relaxed: numbers, each given once.
        self.lendings.fetch_add(1, Ordering::Relaxed) % BlockRef::MAX_GENERATION + 1
    }

    /// Bytes in all parcels that rest here.
    pub fn resting_bytes(&self) -> usize {
        self.books().resting.iter().map(|store| store.len).sum()
    }
}

impl Books {
    /// Any id may come again, for another segment, when all have been used.
    fn new_id(&mut self) -> u32 {
        self.next_id = (self.next_id + 1) % (BlockRef::MAX_SEGMENT - BlockRef::FIRST_PARCEL + 1);
        BlockRef::FIRST_PARCEL + self.next_id
    }

    fn give_up_oldest(&mut self) -> Result<()> {
        let free = self.resting.iter().position(|store| store.slots.are_free());
        self.resting.remove(free.ok_or(ShmError::Crowded)?);
        self.count -= 1;
        Ok(())
    }

    /// Gives up what has rested longest, beyond the bound, if nobody reads it.
    fn give_up_surplus(&mut self) {
        let mut kept: usize = 0;
        let mut surplus = Vec::new();
        for (at, store) in self.resting.iter().enumerate().rev() {
            kept = kept.saturating_add(store.len);
            if kept > KEPT_BYTES && store.slots.are_free() {
                surplus.push(at);
            }
        }
        self.count -= surplus.len();
        for at in surplus {
            self.resting.remove(at);
        }
    }
}

/// A part of what this process may open.
fn most_parcels() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(MOST_PARCELS, |limit| {
        usize::try_from(limit / MOST_OF_DESCRIPTORS)
            .map_or(MOST_PARCELS, |most| most.min(MOST_PARCELS))
    })
}

impl Slots {
    fn header(&self, slot: usize) -> Header<'_> {
        let word = self.segment.word_at(slot * BlockRef::UNIT);
        Header::new(word.expect("a parcel's segment is larger than its slots"))
    }

    fn new(segment: Segment) -> Self {
        let lent = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { segment: Arc::new(segment), lent }
    }

    /// Whether nobody reads the parcel; asked when nobody can lend it.
    fn are_free(&self) -> bool {
        // Relaxed: who asks has the books' lock, or had it after the last lending.
        let used =
            self.lent.iter().map(|lent| lent.load(Ordering::Relaxed)).take_while(|lent| *lent > 0);
        used.enumerate().all(|(slot, lent)| self.header(slot).is_free(lent))
    }

    /// A slot that is lent from now on under this generation. Several threads may lend at once: one swap
    /// makes a slot one's own.
    fn lend(&self, generation: u64) -> Option<usize> {
        let slot = self.lent.iter().enumerate().position(|(slot, lent)| {
            // Relaxed: the header says what the reader has done.
            let old = lent.load(Ordering::Relaxed);
            (old == 0 || self.header(slot).is_free(old))
                && lent
                    .compare_exchange(old, generation, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
        })?;
        self.header(slot).lend(generation);
        Some(slot)
    }
}

impl Parcel {
    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is there until the parcel is dropped")
    }

    fn store_mut(&mut self) -> &mut Store {
        self.store.as_mut().expect("it is there until the parcel is dropped")
    }

    fn holds(&self, bytes: &[u8]) -> bool {
        self.store().len == bytes.len() && self.store().slots.segment.holds(PARCEL_START, bytes)
    }

    /// How many bytes the buffer has.
    pub fn len(&self) -> usize {
        self.store().len
    }

    /// Whether the buffer has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which content it has: parcels with the same number, one after the other, have the same bytes.
    pub fn content(&self) -> u64 {
        self.store().content
    }

    /// The segment that has to be announced before the parcel is lent.
    pub fn segment(&self) -> (u32, &Arc<Segment>) {
        (self.store().id, &self.store().slots.segment)
    }

    /// Lends it to one worker, whose view ends the lending; `None` if it is lent too often already.
    pub fn lend(&self) -> Option<Lending> {
        let generation = self.depot.new_generation();
        let store = self.store();
        let slot = store.slots.lend(generation.into())?;
        let at = BlockRef::new(store.id, slot as u32, generation);
        Some(Lending { slots: Arc::clone(&store.slots), at })
    }

    /// A copy of its bytes.
    pub fn copy(&self) -> Result<Vec<u8>> {
        self.store().slots.segment.copy_out_to_vec(PARCEL_START, self.len())
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        let Some(store) = self.store.take() else { return };
        let mut books = self.depot.books();
        if let Some(source) = store.source
            && books.under_way.get(&source).is_some_and(|known| known.strong_count() == 0)
        {
            books.under_way.remove(&source);
        }
        books.resting.push(store);
        books.give_up_surplus();
    }
}

impl Lending {
    /// What to say about it in a message.
    pub fn at(&self) -> BlockRef {
        self.at
    }

    /// Whether the reader has ended it.
    pub fn is_over(&self) -> bool {
        self.header().is_free(self.at.generation())
    }

    /// Ends it in the reader's stead: a message that was never sent, or whose reader has died.
    pub fn end(&self) {
        self.header().free(self.at.generation());
    }

    fn header(&self) -> Header<'_> {
        self.slots.header(self.at.place() as usize)
    }
}
