//! Descriptors whose numbers matter: bare ones from a language without ownership, and 0 to 2.
//!
//! A program may have closed its standard streams. What is opened next gets their numbers, and then
//! whatever prints writes there: into our memory, or to a peer. So nothing of ours keeps such a number.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;

use crate::error::{Result, ShmError};

/// The lowest number that is not a standard stream's.
const FIRST_OF_OURS: RawFd = 3;

/// A descriptor of our own for what `number` stands for; `number` stays its owner's to close.
pub fn duplicate(number: RawFd) -> Result<OwnedFd> {
    let refused = |errno: Errno| ShmError::Socket(errno.into());
    if number < 0 {
        return Err(refused(Errno::BADF));
    }
    // SAFETY: the number is not -1, and the borrow ends with the next statement, a system call that
    // refuses a number which is not open.
    let foreign = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_dupfd_cloexec(foreign, FIRST_OF_OURS).map_err(refused)
}

/// The same descriptor under a number that no standard stream has.
pub(crate) fn above_stdio(fd: OwnedFd) -> rustix::io::Result<OwnedFd> {
    if fd.as_raw_fd() < FIRST_OF_OURS {
        rustix::io::fcntl_dupfd_cloexec(&fd, FIRST_OF_OURS)
    } else {
        Ok(fd)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};

    use super::{above_stdio, duplicate};

    #[test]
    fn numbers_that_stand_for_nothing_are_refused() {
        assert!(duplicate(-1).is_err());
        assert!(duplicate(i32::MAX).is_err());
    }

    #[test]
    fn a_number_of_a_standard_stream_is_given_back() {
        let low = std::io::stdin().as_fd().try_clone_to_owned().expect("tests have one");
        let number = low.as_raw_fd();
        assert_eq!(above_stdio(low).expect("not a low number").as_raw_fd(), number);
    }

    #[test]
    fn the_original_stays_open_when_the_duplicate_goes() {
        let original = std::fs::File::open("/dev/null").expect("every system has it");
        drop(duplicate(original.as_raw_fd()).expect("it is open"));
        assert!(original.metadata().is_ok());
    }
}
