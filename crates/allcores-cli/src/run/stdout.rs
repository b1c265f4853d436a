//! Standard output is for results; what the user's function prints goes to standard error.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// As long as it lives, descriptor 1 is standard error, in this process and its children.
#[derive(Debug)]
pub(crate) struct Kept(Option<OwnedFd>);

impl Kept {
    /// Puts standard output aside. A program may have been started without one.
    pub(crate) fn aside() -> Kept {
        let kept = io::stdout().as_fd().try_clone_to_owned().ok();
        if kept.is_some() {
            let _ = rustix::stdio::dup2_stdout(io::stderr());
        }
        Kept(kept)
    }

    /// What was standard output.
    pub(crate) fn file(&self) -> io::Result<File> {
        match &self.0 {
            Some(kept) => kept.try_clone().map(File::from),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(kept) = &self.0 {
            let _ = rustix::stdio::dup2_stdout(kept);
        }
    }
}
