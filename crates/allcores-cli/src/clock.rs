//! The only place of this crate that reads time.

use std::time::Instant;

/// The present moment.
#[expect(clippy::disallowed_methods, reason = "this is the place that reads time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
