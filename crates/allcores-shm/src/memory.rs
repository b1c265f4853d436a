//! Where a segment's memory comes from: the only file that differs between systems.
//!
//! Linux has anonymous files (memfd) that can be sealed: once sealed against shrinking, no peer can cut
//! pages off under our feet, so a mapped page never answers with `SIGBUS`. Elsewhere it is a POSIX shared
//! memory object under a random name that is unlinked before anybody else can learn it; on macOS such an
//! object can be sized only once, which serves as the seal.
//!
//! Nothing here leaves a name in the file system: the memory dies with its last descriptor and mapping.

pub(crate) use system::{anonymous, fill, is_sealed};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::os::fd::{BorrowedFd, OwnedFd};

    use rustix::fs::{
        FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals,
        ftruncate, memfd_create,
    };
    use rustix::io::{Errno, Result, pwrite, retry_on_intr};

    /// New memory of `len` bytes, sealed. `backed`: every page is there already, so that a store into it
    /// cannot fail for want of memory.
    pub(crate) fn anonymous(len: u64, backed: bool) -> Result<OwnedFd> {
        let fd = memfd_create("allcores", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        retry_on_intr(|| ftruncate(&fd, len))?;
        fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        if backed {
            match retry_on_intr(|| fallocate(&fd, FallocateFlags::empty(), 0, len)) {
                // A kernel without it gives pages as they are touched, as it does for everyone's memory.
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(fd)
    }

    /// Whether the peer can no longer shrink it. A descriptor that knows no seals is none of ours.
    pub(crate) fn is_sealed(fd: BorrowedFd<'_>) -> bool {
        fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(SealFlags::SHRINK | SealFlags::GROW))
    }

    /// Writes through the descriptor, which beats faulting in fresh pages one by one (38-54 ms against
    /// 70-140 ms for 64 MB) and reports a shortage as an error instead of a signal. `false`: not possible
    /// on this system, store through the mapping.
    pub(crate) fn fill(fd: BorrowedFd<'_>, mut offset: u64, mut bytes: &[u8]) -> Result<bool> {
        while !bytes.is_empty() {
            let written = retry_on_intr(|| pwrite(fd, bytes, offset))?;
            if written == 0 {
                return Err(Errno::NOSPC);
            }
            offset += written as u64;
            bytes = &bytes[written..];
        }
        Ok(true)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use std::collections::hash_map::RandomState;
    use std::hash::BuildHasher;
    use std::os::fd::{BorrowedFd, OwnedFd};

    use rustix::fs::{Mode, ftruncate};
    use rustix::io::{Errno, FdFlags, Result, fcntl_setfd, retry_on_intr};
    use rustix::shm;

    /// New memory of `len` bytes. These systems back pages as they are touched.
    pub(crate) fn anonymous(len: u64, _backed: bool) -> Result<OwnedFd> {
        let fd = nameless()?;
        fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
        retry_on_intr(|| ftruncate(&fd, len))?;
        Ok(fd)
    }

    fn nameless() -> Result<OwnedFd> {
        loop {
            // Short: macOS takes 31 characters at most.
            let name = format!("/ac-{:016x}", RandomState::new().hash_one(std::process::id()));
            let flags = shm::OFlags::CREATE | shm::OFlags::EXCL | shm::OFlags::RDWR;
            match shm::open(&name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(fd) => {
                    shm::unlink(&name)?;
                    return Ok(fd);
                }
                Err(Errno::EXIST | Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    pub(crate) fn is_sealed(_fd: BorrowedFd<'_>) -> bool {
        true
    }

    pub(crate) fn fill(_fd: BorrowedFd<'_>, _offset: u64, _bytes: &[u8]) -> Result<bool> {
        Ok(false)
    }
}
