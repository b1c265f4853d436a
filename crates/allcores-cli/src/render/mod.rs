//! From values to text; the only place that prints.

use std::io::{self, IsTerminal, Write};

use crate::{DONE, FAILED, UNREAD};

pub(crate) mod progress;
pub(crate) mod table;

/// Prints what was asked for; the exit code.
pub(crate) fn say(text: &str) -> u8 {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => DONE,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => UNREAD,
        Err(_) => FAILED,
    }
}

/// Prints what the user should know beside it. Where nobody listens there is nobody to tell.
pub(crate) fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Whether somebody watches.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}
