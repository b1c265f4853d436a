//! The control socket: any bytes, with any descriptors on them.

use std::fs::File;
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use allcores_shm::{Control, Segment, Shelf, Socket};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::reader::Reader;

/// Whatever is sent, each message is one or an error, and the end is seen.
pub(crate) fn control(data: &[u8]) {
    let mut reader = Reader::new(data);
    let (peer, own) = UnixStream::pair().expect("two sockets");
    let own = Socket::from_fd(OwnedFd::from(own)).expect("a socket");
    let mut shelf = Shelf::new();
    let mut sent = 0;
    while let Some(step) = reader.step() {
        match step % 3 {
            0 => hear(&own, &mut shelf, false, sent / 16 + 1),
            _ => sent += say_anything(&peer, &mut reader),
        }
    }
    drop(peer);
    hear(&own, &mut shelf, true, sent / 16 + 2);
    assert!(matches!(own.receive(true), Ok(Some(Control::Closed))), "no end is seen");
}

/// Reads what is there, at most `limit` messages.
fn hear(own: &Socket, shelf: &mut Shelf, blocking: bool, limit: usize) {
    let mut heard = 0;
    loop {
        match own.receive(blocking) {
            Ok(None | Some(Control::Closed)) => return,
            Ok(Some(Control::Segment { id, fd })) => {
                if let Ok(segment) = Segment::from_fd(fd) {
                    shelf.insert(id, segment);
                }
            }
            Ok(Some(Control::Retired { id })) => shelf.remove(id),
            Ok(Some(Control::Wake)) | Err(_) => {}
        }
        heard += 1;
        assert!(heard <= limit, "more messages than were sent");
    }
}

/// Bytes of a message, or of none, with descriptors of any kind; how many bytes.
pub(crate) fn say_anything(peer: &UnixStream, reader: &mut Reader<'_>) -> usize {
    const GUARD: [u8; 8] = 0x5ca1_ab1e_a110_c0de_u64.to_le_bytes();
    let mut bytes = vec![reader.byte() % 5, 0, 0, 0];
    bytes.extend(u32::from(reader.byte() % 5).to_le_bytes());
    bytes.extend(GUARD);
    if reader.one_in(4) {
        let at = reader.below(16);
        bytes[at] ^= reader.byte();
        bytes.truncate(1 + reader.below(16));
    }
    let fds = some_fds(reader);
    let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    if fds.is_empty() {
        return { peer }.write(&bytes).unwrap_or(0);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)), "the space is for three");
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(peer, &[IoSlice::new(&bytes)], &mut ancillary, flags).unwrap_or(0)
}

/// No, one or some descriptors: segments, and what is none.
fn some_fds(reader: &mut Reader<'_>) -> Vec<OwnedFd> {
    let count = reader.below(8).saturating_sub(4);
    let mut fds = Vec::new();
    for _ in 0..count {
        fds.push(match reader.below(4) {
            0 => OwnedFd::from(File::open("/dev/null").expect("every system has it")),
            1 => OwnedFd::from(UnixStream::pair().expect("two sockets").0),
            2 => OwnedFd::from(File::open("/").expect("every system has it")),
            _ => {
                let segment = Segment::create(64 * (1 + reader.below(100))).expect("memory");
                segment.fd().try_clone_to_owned().expect("a descriptor")
            }
        });
    }
    fds
}
