//! What the suites over links, pools and crashes share: a watchdog, a worker written in Rust, and
//! the ways to run one.

pub(crate) mod place;
mod watch;
pub(crate) mod worker;

pub(crate) use watch::watched;

/// `len` bytes that only `seed` gives.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let word = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let words = (0..len.div_ceil(8) as u64).flat_map(|at| (word ^ at << 7).to_le_bytes());
    words.take(len).collect()
}
