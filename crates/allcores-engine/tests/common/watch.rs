//! A watchdog for a test.

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
