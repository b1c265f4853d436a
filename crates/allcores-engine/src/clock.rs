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
