//! What the suites over links, pools and crashes share: a watchdog, a worker written in Rust, and
//! the ways to run one.

pub(crate) mod place;
pub(crate) mod worker;

use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

/// Nothing here takes long; whoever hangs ends the whole test binary, and its children see that.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `test` under the watchdog.
pub(crate) fn watched<R>(test: impl FnOnce() -> R) -> R {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let (over, ended) = mpsc::channel::<()>();
    let dog = std::thread::spawn(move || {
        if ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _unread = writeln!(std::io::stderr(), "watchdog: {name} hangs");
            std::process::abort();
        }
    });
    let result = test();
    drop(over);
    dog.join().expect("the watchdog does not panic");
    result
}

/// `len` bytes that only `seed` gives.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let word = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let words = (0..len.div_ceil(8) as u64).flat_map(|at| (word ^ at << 7).to_le_bytes());
    words.take(len).collect()
}
