//! One end of the control socket: wake-ups, descriptors of segments, and the news of a death.
//!
//! Messages are 16 bytes: kind, id, and a constant that catches foreign writers. A descriptor travels with
//! the first byte of the message that announces it. Everything with volume goes through shared memory; here
//! at most a message per sleep and per new segment passes.
//!
//! Sending never waits: a full socket is an error for an announcement, and *no* loss for a wake-up, since
//! a peer with unread bytes cannot fall asleep on the socket. Sixteen bytes are taken by the kernel whole
//! or not at all. Receiving copes with any fragmentation. End of file is the peer's death (the other
//! process must hold no copy of this end).
//!
//! Sending and receiving may go on in different threads at once; receiving is for one thread at a time.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, FdFlags, fcntl_setfd, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use crate::error::{Result, ShmError};
use crate::foreign::above_stdio;
use crate::primitive::{Mutex, MutexGuard};

const MESSAGE: usize = 16;
/// Bytes that a foreign or confused writer would hardly hit.
const GUARD: u64 = 0x5ca1_ab1e_a110_c0de;

const WAKE: u32 = 1;
const SEGMENT: u32 = 2;
const RETIRED: u32 = 3;

/// What came over the socket.
#[derive(Debug)]
pub enum Control {
    /// Look at the rings.
    Wake,
    /// A segment that descriptors may name from now on; it replaces an earlier one of the same id.
    Segment {
        /// Its id in the sender's arena.
        id: u32,
        /// For `Segment::from_fd`.
        fd: OwnedFd,
    },
    /// A segment that no descriptor will name until it is announced anew. Unmap it.
    Retired {
        /// Its id in the sender's arena.
        id: u32,
    },
    /// The peer is gone; said again at each call.
    Closed,
}

/// One end of a control socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    partial: Mutex<Partial>,
}

/// A message that has not arrived completely.
#[derive(Debug, Default)]
struct Partial {
    bytes: [u8; MESSAGE],
    filled: usize,
    fds: VecDeque<OwnedFd>,
}

impl Socket {
    /// Two ends, neither inherited by programs that are started.
    pub fn pair() -> Result<(Self, Self)> {
        let (one, other) = new_pair().map_err(broken)?;
        Ok((Self::from_fd(one)?, Self::from_fd(other)?))
    }

    /// The end that a descriptor stands for, for instance an inherited one. It will not be inherited on.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        let fd = above_stdio(fd).map_err(broken)?;
        fcntl_setfd(&fd, FdFlags::CLOEXEC).map_err(broken)?;
        #[cfg(target_vendor = "apple")]
        rustix::net::sockopt::set_socket_nosigpipe(&fd, true).map_err(broken)?;
        Ok(Self { fd, partial: Mutex::default() })
    }

    /// Gives the descriptor away, to be inherited or passed on.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Sends a wake-up. Also fine if the socket is full, for then the peer has something to wake up for.
    pub fn wake(&self) -> Result<()> {
        match self.send(WAKE, 0, None) {
            Err(ShmError::WouldBlock) => Ok(()),
            other => other,
        }
    }

    /// Announces a segment. Send it before the first descriptor that names it; on `WouldBlock` try again
    /// when the peer has read.
    pub fn send_segment(&self, id: u32, fd: BorrowedFd<'_>) -> Result<()> {
        self.send(SEGMENT, id, Some(fd))
    }

    /// Tells the peer to unmap a segment. On `WouldBlock` it may be skipped: the peer then holds the
    /// memory until the id is announced anew.
    pub fn send_retired(&self, id: u32) -> Result<()> {
        self.send(RETIRED, id, None)
    }

    fn send(&self, kind: u32, id: u32, fd: Option<BorrowedFd<'_>>) -> Result<()> {
        let bytes = encoded(kind, id);
        let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
        let sent = retry_on_intr(|| {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() {
                let fits = ancillary.push(SendAncillaryMessage::ScmRights(&fds));
                debug_assert!(fits, "the space is for one descriptor");
            }
            sendmsg(&self.fd, &[IoSlice::new(&bytes)], &mut ancillary, send_flags())
        });
        match sent {
            Ok(MESSAGE) => Ok(()),
            // Kernels take so few bytes whole or not at all. Half a message could not be taken back.
            Ok(_) => Err(ShmError::ControlMessage),
            // The last: too many descriptors are under way, until the peer reads some.
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::TOOMANYREFS) => Err(ShmError::WouldBlock),
            Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => Err(ShmError::Closed),
            Err(errno) => Err(broken(errno)),
        }
    }

    /// The next message; `None` if none is there (only when not `blocking`).
    pub fn receive(&self, blocking: bool) -> Result<Option<Control>> {
        let mut partial = self.partial();
        while partial.filled < MESSAGE {
            match self.receive_some(&mut partial, blocking) {
                Ok(0) | Err(Errno::CONNRESET) => return Ok(Some(Control::Closed)),
                Ok(_) => {}
                Err(Errno::AGAIN) if !blocking => return Ok(None),
                Err(Errno::AGAIN) => {
                    // The descriptor itself was made non-blocking by somebody: wait here instead.
                    self.wait(None)?;
                }
                Err(errno) => return Err(broken(errno)),
            }
        }
        std::mem::take(&mut *partial).decode().map(Some)
    }

    /// Reads what is missing of one message and no byte more, so that descriptors cannot be mixed up.
    fn receive_some(&self, partial: &mut Partial, blocking: bool) -> rustix::io::Result<usize> {
        let Partial { bytes, filled, fds } = partial;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = retry_on_intr(|| {
            let mut rest = [IoSliceMut::new(&mut bytes[*filled..])];
            recvmsg(&self.fd, &mut rest, &mut ancillary, receive_flags(blocking))
        })?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(arrived) = message {
                fds.extend(arrived);
            }
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        for fd in fds.iter() {
            fcntl_setfd(fd, FdFlags::CLOEXEC)?;
        }
        *filled += received.bytes;
        Ok(received.bytes)
    }

    /// Waits until something can be received (the peer's death counts). False: the time is up, or a signal
    /// came and the caller may want to look at it before waiting again.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool> {
        let timeout = timeout.map(timespec);
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(broken(errno)),
        }
    }

    fn partial(&self) -> MutexGuard<'_, Partial> {
        // A panic cannot leave a `Partial` half-changed in a way that matters more than the panic.
        self.partial.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Partial {
    /// The message in the 16 bytes. Descriptors that it does not account for are closed.
    fn decode(mut self) -> Result<Control> {
        let kind = u32::from_le_bytes(four(&self.bytes, 0));
        let id = u32::from_le_bytes(four(&self.bytes, 4));
        if self.bytes != encoded(kind, id) {
            return Err(ShmError::ControlMessage);
        }
        match (kind, self.fds.len()) {
            (WAKE, 0) => Ok(Control::Wake),
            (RETIRED, 0) => Ok(Control::Retired { id }),
            (SEGMENT, 0 | 1) => match self.fds.pop_front() {
                Some(fd) => Ok(Control::Segment { id, fd }),
                None => Err(ShmError::NoDescriptor { id }),
            },
            _ => Err(ShmError::ControlMessage),
        }
    }
}

fn encoded(kind: u32, id: u32) -> [u8; MESSAGE] {
    let mut bytes = [0; MESSAGE];
    bytes[0..4].copy_from_slice(&kind.to_le_bytes());
    bytes[4..8].copy_from_slice(&id.to_le_bytes());
    bytes[8..16].copy_from_slice(&GUARD.to_le_bytes());
    bytes
}

fn four(bytes: &[u8; MESSAGE], at: usize) -> [u8; 4] {
    [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]
}

fn broken(errno: Errno) -> ShmError {
    ShmError::Socket(errno.into())
}

fn timespec(duration: Duration) -> Timespec {
    // Longer than the clock can count is for ever in practice.
    let tv_sec = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Timespec { tv_sec, tv_nsec: duration.subsec_nanos().into() }
}

#[cfg(not(target_vendor = "apple"))]
fn new_pair() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
}

#[cfg(target_vendor = "apple")]
fn new_pair() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    // `from_fd` sets what cannot be asked for here.
    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::empty(), None)
}

/// How a [`Socket`] is written to, by whoever uses its descriptor directly: without waiting, and without a
/// signal when the peer has gone.
#[cfg(not(target_vendor = "apple"))]
pub fn send_flags() -> SendFlags {
    SendFlags::DONTWAIT | SendFlags::NOSIGNAL
}

/// How a [`Socket`] is written to, by whoever uses its descriptor directly: without waiting.
#[cfg(target_vendor = "apple")]
pub fn send_flags() -> SendFlags {
    // `from_fd` has turned SIGPIPE off for the socket.
    SendFlags::DONTWAIT
}

fn receive_flags(blocking: bool) -> RecvFlags {
    let mut flags = if blocking { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
    #[cfg(any(target_os = "linux", target_os = "android"))]
    flags.insert(RecvFlags::CMSG_CLOEXEC);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    flags.insert(RecvFlags::empty());
    flags
}
