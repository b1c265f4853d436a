//! Descriptors that came as bare numbers, from a language without ownership.

use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;

use crate::error::{Result, ShmError};

/// A descriptor of our own for what `number` stands for; `number` stays its owner's to close.
pub fn duplicate(number: RawFd) -> Result<OwnedFd> {
    let refused = |errno: Errno| ShmError::Socket(errno.into());
    if number < 0 {
        return Err(refused(Errno::BADF));
    }
    // SAFETY: the number is not -1, and the borrow ends with the next statement, a system call that
    // refuses a number which is not open.
    let foreign = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_dupfd_cloexec(foreign, 0).map_err(refused)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::duplicate;

    #[test]
    fn numbers_that_stand_for_nothing_are_refused() {
        assert!(duplicate(-1).is_err());
        assert!(duplicate(i32::MAX).is_err());
    }

    #[test]
    fn the_original_stays_open_when_the_duplicate_goes() {
        let original = std::fs::File::open("/dev/null").expect("every system has it");
        drop(duplicate(original.as_raw_fd()).expect("it is open"));
        assert!(original.metadata().is_ok());
    }
}
