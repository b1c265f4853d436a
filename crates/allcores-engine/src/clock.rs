//! The only place that reads time.
//!
//! The scheduler takes time as an argument; whoever needs the present moment asks here,
//! so that a test can see at a glance who depends on it.

use std::time::{Duration, Instant};

/// The present moment.
#[expect(clippy::disallowed_methods, reason = "this is the place that reads time")]
pub fn now() -> Instant {
    Instant::now()
}

/// The present moment as nanoseconds that other processes count in, too.
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // Neither is below zero: this clock starts with the machine.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The moment `timeout` from now; `None` when there is no limit, or none that fits.
pub fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| now().checked_add(timeout))
}

/// What is left until `deadline`: `Some(None)` without a limit, `None` when it has passed.
pub fn left(deadline: Option<Instant>) -> Option<Option<Duration>> {
    match deadline {
        None => Some(None),
        Some(deadline) => {
            let left = deadline.saturating_duration_since(now());
            (!left.is_zero()).then_some(Some(left))
        }
    }
}
