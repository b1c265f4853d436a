//! Wakes the collector from any thread: a socket pair with at most one byte under way.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use allcores_shm::primitive::{AtomicBool, Ordering};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::error::EngineError;
use crate::link::Wake;

/// Wakes the collector from any thread.
#[derive(Clone)]
pub struct Waker {
    inner: Arc<WakerInner>,
}

struct WakerInner {
    pending: AtomicBool,
    ring: OwnedFd,
    heard: OwnedFd,
}

impl Waker {
    pub(crate) fn new() -> Result<Waker, EngineError> {
        let system = |errno| EngineError::System { call: "socketpair", errno };
        let (ring, heard) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::empty(),
            None,
        )
        .map_err(system)?;
        for end in [&ring, &heard] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC).map_err(system)?;
        }
        let inner = WakerInner { pending: AtomicBool::new(false), ring, heard };
        Ok(Waker { inner: Arc::new(inner) })
    }

    /// Takes the byte away; call it before looking at anything.
    pub fn hush(&self) {
        let mut byte = [0_u8; 8];
        let taken = rustix::net::recv(&self.inner.heard, &mut byte, RecvFlags::DONTWAIT);
        if taken.is_ok() {
            // SYNC: collector-waker. Cleared before the round looks at anything, so what was
            // done before a later `wake` is seen by that round or rings again. Not before the
            // byte is there: one that came later would stay and end every sleep at once.
            self.inner.pending.store(false, Ordering::SeqCst);
        }
    }

    /// Whether somebody has woken since the last `hush`.
    pub fn is_pending(&self) -> bool {
        self.inner.pending.load(Ordering::SeqCst)
    }

    /// Both of its ends.
    pub(crate) fn fds(&self) -> [RawFd; 2] {
        [self.inner.ring.as_raw_fd(), self.inner.heard.as_raw_fd()]
    }

    /// Becomes readable when somebody wakes.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.inner.heard.as_fd()
    }
}

impl Wake for Waker {
    fn wake(&self) {
        // SYNC: collector-waker. At most one byte is under way.
        if !self.inner.pending.swap(true, Ordering::SeqCst) {
            // A full or closed socket wakes its reader as well.
            let _full = rustix::net::send(&self.inner.ring, &[1], SendFlags::DONTWAIT);
        }
    }
}
