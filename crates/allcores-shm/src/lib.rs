//! Memory shared between two processes, safely.
//!
//! A parent and a worker share pages and trust each other with nothing but those pages: either may be
//! killed between any two instructions, and whatever a dead or mad peer left behind must be at worst an
//! error here, never undefined behaviour and never a wait without end. Three decisions make that cheap:
//!
//! - **Control data is words.** A ring slot, a flag, a claim cell, a block's header: each is an
//!   `AtomicU64`, so any bit pattern is a valid value, and [`Message::decode`] refuses nonsense.
//! - **Every word has one writer**, or is changed by one compare-and-swap. No lock is shared, so a killed
//!   process can hold none.
//! - **Payload bytes are only copied** through raw pointers. No `&[u8]` on shared pages ever exists.
//!
//! ```text
//!   parent                        link segment                          worker
//!   Producer ───────────────────► task ring   (128 slots) ───────────► Consumer
//!   Consumer ◄─────────────────── result ring (128 slots) ◄─────────── Producer
//!   ClaimCell::offer, cancel ───► claim cells (64)        ◄─────────── ClaimCell::claim
//!   Marks::read ────────────────► which item, since when  ◄─────────── Marks::at
//!   Bell::must_ring ────────────► sleep flag              ◄─────────── Bell::about_to_sleep
//!   Socket ◄════════ wake bytes, segment descriptors, end of file ═══► Socket
//!   Arena, Shelf ◄══ payload bytes, in segments of their own ════════► Shelf, Arena
//! ```
//!
//! The protocol, with its ordering guarantees and what happens when a process dies between any two steps,
//! is the crate's `README.md`. The ends of every release/acquire pair carry the same `SYNC:` tag.
//!
//! ```
//! # #[cfg(not(loom))]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use allcores_shm::{Arena, LinkLayout, Message, Payload, Producer, Consumer, Segment, Shelf};
//!
//! // The parent makes a link, writes a payload and tells where it lies.
//! let link = LinkLayout::create()?;
//! let mut arena = Arena::new();
//! let block = arena.allocate(5)?;
//! block.write(0, b"hello")?;
//! let function = Message::Function { function: 1, payload: Some(block.payload()) };
//! Producer::new(link.task_ring.clone())?.push(&function.encode())?;
//!
//! // The worker (the same process here) opens both and reads.
//! let mut shelf = Shelf::new();
//! let id = block.at().segment();
//! let announced = arena.segment(id).ok_or("never announced")?;
//! shelf.insert(id, Segment::from_fd(announced.fd().try_clone_to_owned()?)?);
//! let words = Consumer::new(link.task_ring.clone())?.pop()?.ok_or("nothing there")?;
//! if let Message::Function { payload: Some(Payload { block, len, .. }), .. } = Message::decode(&words)? {
//!     let view = shelf.open(block, len)?;
//!     assert_eq!(view.copy_to_vec(), b"hello");
//!     view.release(); // the parent's arena may use the block again
//! }
//! # Ok(())
//! # }
//! # #[cfg(loom)]
//! # fn main() {}
//! ```

mod bell;
mod claim;
mod descriptor;
mod error;
mod header;
mod heap;
mod marks;
pub mod primitive;
mod ring;
mod words;

#[cfg(not(loom))]
mod arena;
#[cfg(not(loom))]
mod control;
#[cfg(not(loom))]
mod foreign;
#[cfg(not(loom))]
mod layout;
#[cfg(not(loom))]
mod memory;
#[cfg(not(loom))]
mod parcel;
#[cfg(not(loom))]
mod private;
#[cfg(not(loom))]
mod region;
#[cfg(not(loom))]
mod segment;
#[cfg(not(loom))]
mod shelf;

pub use bell::Bell;
pub use claim::{CLAIM_CELLS, ClaimCell, ClaimState, MAX_GENERATION};
pub use descriptor::{BlockRef, DescriptorError, MESSAGE_WORDS, Message, Payload};
pub use error::{Result, ShmError};
pub use header::Header;
pub use heap::{expect_objects_of, give_free_memory_back};
pub use marks::{Mark, Marks};
pub use ring::{Consumer, Glimpse, Producer, RingError, ring, ring_words};
pub use words::Words;

#[cfg(not(loom))]
pub use arena::{Arena, Block};
#[cfg(not(loom))]
pub use control::{Control, Socket, send_flags};
#[cfg(not(loom))]
pub use foreign::duplicate;
#[cfg(not(loom))]
pub use layout::{LINK_SEGMENT, LinkLayout, POOL_SEGMENT, PoolLayout, RESULT_RING, TASK_RING};
#[cfg(not(loom))]
pub use parcel::{Depot, Lending, Parcel};
#[cfg(not(loom))]
pub use region::{Region, note_fork};
#[cfg(not(loom))]
pub use segment::Segment;
#[cfg(not(loom))]
pub use shelf::{Shelf, View, many_views_are_open};
