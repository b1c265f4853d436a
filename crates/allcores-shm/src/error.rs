//! What can go wrong here, and what the caller can do about it.
//!
//! Three kinds: the system refuses (memory, descriptors), the peer is gone, or the peer wrote nonsense.
//! The last is never trusted, never repaired: the caller treats that peer as dead.

use std::io;

use crate::descriptor::DescriptorError;
use crate::ring::RingError;

/// This crate's result.
pub type Result<T> = std::result::Result<T, ShmError>;

/// What happened, to what; each variant says what the caller can do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShmError {
    /// The system gave no memory or no descriptor. Free some, or fail the one batch that needed it.
    #[error(
        "cannot create a shared segment of `{bytes}` bytes: {source}\nhint: free memory or descriptors (`ulimit -n`), or send less at once"
    )]
    CreateSegment {
        /// The size that was asked for.
        bytes: usize,
        /// The system's reason.
        source: io::Error,
    },

    /// A descriptor could not be mapped. The peer that sent it, or the address space, is unusable.
    #[error("cannot map a shared segment of `{bytes}` bytes: {source}")]
    MapSegment {
        /// The size of the segment.
        bytes: usize,
        /// The system's reason.
        source: io::Error,
    },

    /// A received descriptor is not a memory segment at all. Drop the peer.
    #[error("a received descriptor is no shared segment: {0}")]
    InspectSegment(#[source] io::Error),

    /// The bytes could not be written into a fresh segment: memory ran out. Fail the batch.
    #[error("cannot fill a shared segment: {0}\nhint: free memory, or send less at once")]
    FillSegment(#[source] io::Error),

    /// A segment that its peer could still shrink would kill its readers by `SIGBUS`. Drop the peer.
    #[error("a received segment is not sealed against shrinking")]
    Unsealed,

    /// Empty, or larger than an address can be. Nothing to retry.
    #[error("a segment of `{bytes}` bytes cannot be mapped")]
    SegmentSize {
        /// The size in question.
        bytes: u64,
    },

    /// An offset outside its segment: a bug here, or nonsense from the peer (then drop it).
    #[error("`{len}` bytes at `{offset}` lie outside a segment of `{segment}` bytes")]
    OutOfBounds {
        /// Where it should start.
        offset: usize,
        /// How many bytes were meant.
        len: usize,
        /// The size of the segment.
        segment: usize,
    },

    /// Not a segment of this protocol. Drop the peer.
    #[error("a segment starts with `{found:#018x}` instead of `{expected:#018x}`")]
    Magic {
        /// What a segment of that role starts with.
        expected: u64,
        /// What stood there.
        found: u64,
    },

    /// Another version's segment: two builds of `allcores` met. Start the workers from the same one.
    #[error(
        "a segment has protocol version `{found}`, this build speaks `{expected}`\nhint: parent and workers must load the same build of `allcores`"
    )]
    Version {
        /// What this build speaks.
        expected: u64,
        /// What the segment says.
        found: u64,
    },

    /// The words given to a structure have the wrong number. A bug of the caller.
    #[error("`{words}` words cannot hold this structure")]
    WordCount {
        /// How many there were.
        words: usize,
    },

    /// A block names a segment that has not arrived. Read the control socket until it has.
    #[error("segment `{id}` is unknown")]
    UnknownSegment {
        /// The segment's id.
        id: u32,
    },

    /// A block was opened after it had been freed, or its reference is nonsense. Drop the peer.
    #[error("block `{word:#018x}` is not lent")]
    StaleBlock {
        /// The reference, as its word.
        word: u64,
    },

    /// All segment ids are in use. Free blocks, and collect `take_retired`.
    #[error("no segment id is left")]
    SegmentIds,

    /// As many parcels are under way as descriptors allow. Keep the bytes, and send them another way.
    #[error("too many large buffers are under way")]
    Crowded,

    /// No payload can be that long. Fail the batch.
    #[error("a payload of `{bytes}` bytes is too large")]
    TooLarge {
        /// The length that was asked for.
        bytes: u64,
    },

    /// The peer has closed its end, most likely by dying. Treat it as dead.
    #[error("the peer has closed the control socket")]
    Closed,

    /// The peer has not read for a long while and the socket is full. Try again later.
    #[error("the control socket is full")]
    WouldBlock,

    /// Bytes on the control socket that are no control message. Drop the peer.
    #[error("the control socket carries bytes that are no message")]
    ControlMessage,

    /// A segment was announced but its descriptor was lost: this process has too many open.
    #[error(
        "segment `{id}` was announced without its descriptor\nhint: raise the limit of open files (`ulimit -n`)"
    )]
    NoDescriptor {
        /// The announced id.
        id: u32,
    },

    /// The control socket failed in a way of its own. Drop the peer.
    #[error("the control socket failed: {0}")]
    Socket(#[source] io::Error),

    /// A ring refused.
    #[error(transparent)]
    Ring(#[from] RingError),

    /// A descriptor is nonsense.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
}
