//! What is said over a ring: one message is eight words.
//!
//! ```text
//!   word   0                       1      2               3                4            5      6    7
//!   Task   kind, has_fn, has_data, batch  instance, tag   function, stop   cell, start  block  len  claim generation
//!          careful
//!   Done   kind, has_data          batch  instance, tag   -                busy_ns      block  len  -
//!   Part   kind, has_data          batch  instance, tag   -, stop          -            block  len  -
//! ```
//!
//! The other kinds use subsets. Two halves of a word: low first, high second. The high half of the first
//! word counts the parcels of the payload.
//!
//! [`Message::decode`] is total: any eight words give a message or an error. It is also strict: what a kind
//! does not use must be zero, so each message has exactly one form and a stray bit is caught early. What
//! the numbers *mean* (is this batch ours? does this block exist?) is for those who keep the books.

use crate::claim::{CLAIM_CELLS, MAX_GENERATION};

/// Words in a message.
pub const MESSAGE_WORDS: usize = 8;

/// Where a block lies and which lending of it is meant, in one word: never a pointer.
///
/// From the top: 20 bits of segment id, 14 bits of place in units of 64 bytes, 30 bits of generation. A
/// segment that holds a single large block has it at place 0. Any word is *some* reference; whether it
/// names a lent block, the [`Shelf`](crate::Shelf) decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockRef(u64);

impl BlockRef {
    /// The unit of places: blocks start on multiples of this many bytes.
    pub const UNIT: usize = 64;
    #[cfg(not(loom))]
    pub(crate) const MAX_SEGMENT: u32 = (1 << Self::SEGMENT_BITS) - 1;
    /// Ids from here on are those of parcels, which belong to no arena.
    #[cfg(not(loom))]
    pub(crate) const FIRST_PARCEL: u32 = 1 << (Self::SEGMENT_BITS - 1);
    pub(crate) const MAX_PLACE: u32 = (1 << Self::PLACE_BITS) - 1;
    pub(crate) const MAX_GENERATION: u32 = (1 << Self::GENERATION_BITS) - 1;
    const SEGMENT_BITS: u32 = 20;
    const PLACE_BITS: u32 = 14;
    const GENERATION_BITS: u32 = 30;

    /// The three parts must fit their bits; the arena's books keep them so.
    #[cfg(not(loom))]
    pub(crate) fn new(segment: u32, place: u32, generation: u32) -> Self {
        debug_assert!(segment <= Self::MAX_SEGMENT, "the arena hands out no larger id");
        debug_assert!(place <= Self::MAX_PLACE, "a chunk has no more places");
        debug_assert!(generation <= Self::MAX_GENERATION, "the arena wraps its generations");
        Self(
            u64::from(segment) << (Self::PLACE_BITS + Self::GENERATION_BITS)
                | u64::from(place) << Self::GENERATION_BITS
                | u64::from(generation),
        )
    }

    /// Whether it names a slot of a parcel instead of a block of an arena.
    #[cfg(not(loom))]
    pub(crate) fn is_parcel(self) -> bool {
        self.segment() >= Self::FIRST_PARCEL
    }

    /// The id of the segment it lies in, as announced over the control socket.
    pub fn segment(self) -> u32 {
        (self.0 >> (Self::PLACE_BITS + Self::GENERATION_BITS)) as u32
    }

    /// Its first byte (the header's) within the segment.
    pub fn offset(self) -> usize {
        self.place() as usize * Self::UNIT
    }

    pub(crate) fn place(self) -> u32 {
        (self.0 >> Self::GENERATION_BITS) as u32 & Self::MAX_PLACE
    }

    /// Which lending of that block is meant.
    pub fn generation(self) -> u64 {
        self.0 & u64::from(Self::MAX_GENERATION)
    }

    /// The reference as a word.
    pub fn to_word(self) -> u64 {
        self.0
    }

    /// The reference in a word; any word will do.
    pub fn from_word(word: u64) -> Self {
        Self(word)
    }
}

const _: () = assert!(
    BlockRef::SEGMENT_BITS + BlockRef::PLACE_BITS + BlockRef::GENERATION_BITS == u64::BITS,
    "a reference is exactly one word"
);

/// Bytes in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The block.
    pub block: BlockRef,
    /// How many bytes of it are meant.
    pub len: u64,
    /// How many large buffers go along; where they are, the first bytes say.
    pub parcels: u32,
}

/// Everything that is said over a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Worker: started and listening.
    Ready,
    /// Worker: a batch has run.
    Done {
        /// Which batch.
        batch: u64,
        /// Which attempt at it.
        instance: u32,
        /// Opaque to the engine.
        tag: u32,
        /// How long the worker was busy with it.
        busy_ns: u64,
        /// What came out.
        payload: Option<Payload>,
    },
    /// Worker: the next items of a careful batch have run.
    Part {
        /// Which batch.
        batch: u64,
        /// Which attempt at it.
        instance: u32,
        /// Opaque to the engine.
        tag: u32,
        /// The position after the last of them.
        stop: u32,
        /// What came out since the last part.
        payload: Option<Payload>,
    },
    /// Worker: a batch was found cancelled and not run.
    Skipped {
        /// Which batch.
        batch: u64,
        /// Which attempt at it.
        instance: u32,
    },
    /// Worker: it could not start and will leave.
    StartFailed {
        /// Why.
        payload: Option<Payload>,
    },
    /// Worker: it takes nothing more; whatever was sent comes back as skipped.
    Retire,
    /// Worker: words beside its answers.
    Say {
        /// The words.
        payload: Option<Payload>,
    },
    /// Parent: the bytes of a function, once per worker, before its first task.
    Function {
        /// The function's id.
        function: u32,
        /// Its bytes.
        payload: Option<Payload>,
    },
    /// Parent: a batch to run.
    Task {
        /// Which batch.
        batch: u64,
        /// Which attempt at it.
        instance: u32,
        /// The function to apply, if it is a registered one.
        function: Option<u32>,
        /// Opaque to the engine.
        tag: u32,
        /// The position of the first item to run.
        start: u32,
        /// The position after the last item to run.
        stop: u32,
        /// Whether the worker marks items and hands over parts.
        careful: bool,
        /// Which of the link's claim cells decides about it.
        cell: u32,
        /// Which offer in that cell.
        generation: u64,
        /// The items.
        payload: Option<Payload>,
    },
    /// Parent: a function will not be used again.
    Forget {
        /// The function's id.
        function: u32,
    },
    /// Parent: leave.
    Stop,
}

/// Why eight words are no message. The peer that wrote them is to be treated as dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// No such kind of message.
    #[error("a descriptor has the unknown kind `{0}`")]
    Kind(u8),
    /// The link has no such claim cell.
    #[error("a descriptor names claim cell `{0}`")]
    Cell(u32),
    /// Items that end before they begin.
    #[error("a descriptor names items from `{start}` to `{stop}`")]
    Items {
        /// The first.
        start: u32,
        /// After the last.
        stop: u32,
    },
    /// A claim cell cannot hold that generation.
    #[error("a descriptor names claim generation `{0}`")]
    Generation(u64),
    /// Something is set that this kind does not use.
    #[error("a descriptor of kind `{0}` has stray bits")]
    Stray(u8),
}

const READY: u8 = 1;
const DONE: u8 = 2;
const SKIPPED: u8 = 3;
const START_FAILED: u8 = 4;
const FUNCTION: u8 = 5;
const TASK: u8 = 6;
const FORGET: u8 = 7;
const STOP: u8 = 8;
const PART: u8 = 9;
const RETIRE: u8 = 10;
const SAY: u8 = 11;

const HAS_PAYLOAD: u64 = 1 << 8;
const HAS_FUNCTION: u64 = 1 << 9;
const CAREFUL: u64 = 1 << 10;

impl Message {
    /// The message as words.
    pub fn encode(&self) -> [u64; MESSAGE_WORDS] {
        match *self {
            Self::Ready => plain(READY),
            Self::Stop => plain(STOP),
            Self::Retire => plain(RETIRE),
            Self::Say { payload } => with_payload(plain(SAY), payload),
            Self::Forget { function } => with_function(plain(FORGET), Some(function), 0),
            Self::Skipped { batch, instance } => with_batch(plain(SKIPPED), batch, instance, 0),
            Self::StartFailed { payload } => with_payload(plain(START_FAILED), payload),
            Self::Function { function, payload } => {
                with_payload(with_function(plain(FUNCTION), Some(function), 0), payload)
            }
            Self::Done { batch, instance, tag, busy_ns, payload } => {
                let mut words = with_batch(plain(DONE), batch, instance, tag);
                words[4] = busy_ns;
                with_payload(words, payload)
            }
            Self::Part { batch, instance, tag, stop, payload } => {
                let mut words = with_batch(plain(PART), batch, instance, tag);
                words[3] = joined(0, stop);
                with_payload(words, payload)
            }
            Self::Task {
                batch,
                instance,
                function,
                tag,
                start,
                stop,
                careful,
                cell,
                generation,
                payload,
            } => {
                let words = with_batch(plain(TASK), batch, instance, tag);
                let mut words = with_function(words, function, stop);
                if careful {
                    words[0] |= CAREFUL;
                }
                words[4] = joined(cell, start);
                words[7] = generation;
                with_payload(words, payload)
            }
        }
    }

    /// The message in these words, whoever wrote them.
    pub fn decode(words: &[u64; MESSAGE_WORDS]) -> Result<Self, DescriptorError> {
        let kind = words[0] as u8;
        let (instance, tag) = halves(words[2]);
        let (function, stop) = halves(words[3]);
        let batch = words[1];
        let payload = (words[0] & HAS_PAYLOAD != 0).then(|| Payload {
            block: BlockRef::from_word(words[5]),
            len: words[6],
            parcels: halves(words[0]).1,
        });
        let message = match kind {
            READY => Self::Ready,
            STOP => Self::Stop,
            RETIRE => Self::Retire,
            SAY => Self::Say { payload },
            PART => Self::Part { batch, instance, tag, stop, payload },
            FORGET => Self::Forget { function },
            SKIPPED => Self::Skipped { batch, instance },
            START_FAILED => Self::StartFailed { payload },
            FUNCTION => Self::Function { function, payload },
            DONE => Self::Done { batch, instance, tag, busy_ns: words[4], payload },
            TASK => {
                let (cell, start) = halves(words[4]);
                let generation = words[7];
                if start > stop {
                    return Err(DescriptorError::Items { start, stop });
                }
                if cell >= CLAIM_CELLS as u32 {
                    return Err(DescriptorError::Cell(cell));
                }
                if generation > MAX_GENERATION {
                    return Err(DescriptorError::Generation(generation));
                }
                let function = (words[0] & HAS_FUNCTION != 0).then_some(function);
                let careful = words[0] & CAREFUL != 0;
                Self::Task {
                    batch,
                    instance,
                    function,
                    tag,
                    start,
                    stop,
                    careful,
                    cell,
                    generation,
                    payload,
                }
            }
            unknown => return Err(DescriptorError::Kind(unknown)),
        };
        // One rule for all that must be zero: a message has exactly one form.
        if message.encode() == *words { Ok(message) } else { Err(DescriptorError::Stray(kind)) }
    }
}

fn plain(kind: u8) -> [u64; MESSAGE_WORDS] {
    [u64::from(kind), 0, 0, 0, 0, 0, 0, 0]
}

fn with_batch(
    mut words: [u64; MESSAGE_WORDS],
    batch: u64,
    instance: u32,
    tag: u32,
) -> [u64; MESSAGE_WORDS] {
    words[1] = batch;
    words[2] = joined(instance, tag);
    words
}

fn with_function(
    mut words: [u64; MESSAGE_WORDS],
    function: Option<u32>,
    count: u32,
) -> [u64; MESSAGE_WORDS] {
    if function.is_some() {
        words[0] |= HAS_FUNCTION;
    }
    words[3] = joined(function.unwrap_or(0), count);
    words
}

fn with_payload(mut words: [u64; MESSAGE_WORDS], payload: Option<Payload>) -> [u64; MESSAGE_WORDS] {
    if let Some(Payload { block, len, parcels }) = payload {
        words[0] |= HAS_PAYLOAD | joined(0, parcels);
        words[5] = block.to_word();
        words[6] = len;
    }
    words
}

fn joined(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

fn halves(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}
