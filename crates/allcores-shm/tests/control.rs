//! The control socket: order, fragments, descriptors, fullness and death.
#![cfg(not(loom))]

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use allcores_shm::{Control, Segment, ShmError, Socket};

#[test]
fn nothing_is_there_until_something_was_sent() {
    let (one, other) = Socket::pair().unwrap();
    assert!(other.receive(false).unwrap().is_none());
    assert!(!other.wait(Some(Duration::ZERO)).unwrap());
    one.wake().unwrap();
    assert!(other.wait(Some(Duration::from_secs(60))).unwrap());
    assert!(matches!(other.receive(true), Ok(Some(Control::Wake))));
    assert!(other.receive(false).unwrap().is_none());
}

#[test]
fn messages_and_their_segments_keep_their_order() {
    let (one, other) = Socket::pair().unwrap();
    let segments: Vec<_> = (1..=3).map(|pages| Segment::create(pages * 4_096).unwrap()).collect();
    for (segment, id) in segments.iter().zip(10..) {
        one.wake().unwrap();
        one.send_segment(id, segment.fd()).unwrap();
        one.send_retired(id).unwrap();
    }
    for (segment, number) in segments.iter().zip(10..) {
        assert!(matches!(other.receive(false), Ok(Some(Control::Wake))));
        match other.receive(false) {
            Ok(Some(Control::Segment { id, fd })) => {
                assert_eq!(id, number);
                assert_eq!(Segment::from_fd(fd).unwrap().len(), segment.len());
            }
            unexpected => panic!("{unexpected:?}"),
        }
        assert!(matches!(other.receive(false), Ok(Some(Control::Retired { id })) if id == number));
    }
}

#[test]
fn received_descriptors_are_not_inherited() {
    let (one, other) = Socket::pair().unwrap();
    one.send_segment(1, Segment::create(1).unwrap().fd()).unwrap();
    let Ok(Some(Control::Segment { fd, .. })) = other.receive(true) else { panic!("no segment") };
    let flags = rustix::io::fcntl_getfd(&fd).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    assert!(rustix::io::fcntl_getfd(other.as_fd()).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn a_message_in_pieces_is_put_together() {
    let (one, mut wire) = UnixStream::pair().unwrap();
    let one = Socket::from_fd(OwnedFd::from(one)).unwrap();
    one.wake().unwrap();
    let mut bytes = [0; 16];
    wire.read_exact(&mut bytes).unwrap();

    let (mut pieces, end) = UnixStream::pair().unwrap();
    let end = Socket::from_fd(OwnedFd::from(end)).unwrap();
    for piece in bytes.chunks(3) {
        assert!(end.receive(false).unwrap().is_none(), "incomplete");
        pieces.write_all(piece).unwrap();
    }
    assert!(matches!(end.receive(false), Ok(Some(Control::Wake))));
    // Half a message and then the end is the end.
    pieces.write_all(&bytes[..7]).unwrap();
    drop(pieces);
    assert!(matches!(end.receive(true), Ok(Some(Control::Closed))));
    assert!(matches!(end.receive(false), Ok(Some(Control::Closed))), "said again");
}

#[test]
fn a_dead_peer_is_seen_by_both_directions() {
    let (one, other) = Socket::pair().unwrap();
    one.wake().unwrap();
    other.wake().unwrap();
    drop(one);
    assert!(matches!(other.receive(true), Ok(Some(Control::Wake))), "sent before the death");
    assert!(matches!(other.receive(true), Ok(Some(Control::Closed))));
    assert!(matches!(other.wake(), Err(ShmError::Closed)));
    let segment = Segment::create(1).unwrap();
    assert!(matches!(other.send_segment(1, segment.fd()), Err(ShmError::Closed)));
}

#[test]
fn a_full_socket_refuses_announcements_but_not_wakes() {
    let (one, other) = Socket::pair().unwrap();
    let mut sent = 0;
    while one.send_retired(7).is_ok() {
        sent += 1;
    }
    assert!(matches!(one.send_retired(7), Err(ShmError::WouldBlock)));
    one.wake().unwrap();
    for _ in 0..sent {
        assert!(matches!(other.receive(false), Ok(Some(Control::Retired { id: 7 }))));
    }
    assert!(other.receive(false).unwrap().is_none(), "the wake was not needed");
    one.send_retired(8).unwrap();
}

#[test]
fn too_many_descriptors_under_way_are_refused_until_some_are_read() {
    let (one, other) = Socket::pair().unwrap();
    let segment = Segment::create(1).unwrap();
    let mut sent = 0;
    let refusal = loop {
        match one.send_segment(sent, segment.fd()) {
            Ok(()) => sent += 1,
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(refusal, ShmError::WouldBlock), "{refusal}");
    for expected in 0..sent {
        let received = other.receive(false).unwrap();
        assert!(matches!(received, Some(Control::Segment { id, .. }) if id == expected));
    }
    one.send_segment(sent, segment.fd()).unwrap();
}

#[test]
fn a_descriptor_on_a_message_that_needs_none_is_an_error() {
    let (one, mut wire) = UnixStream::pair().unwrap();
    Socket::from_fd(OwnedFd::from(one)).unwrap().wake().unwrap();
    let mut bytes = [0; 16];
    wire.read_exact(&mut bytes).unwrap();

    let (one, other) = UnixStream::pair().unwrap();
    let other = Socket::from_fd(OwnedFd::from(other)).unwrap();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = rustix::net::SendAncillaryBuffer::new(&mut space);
    let fds = [one.as_fd()];
    assert!(ancillary.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)));
    let bytes = [std::io::IoSlice::new(&bytes)];
    rustix::net::sendmsg(&one, &bytes, &mut ancillary, rustix::net::SendFlags::empty()).unwrap();
    assert!(matches!(other.receive(true), Err(ShmError::ControlMessage)));
}

#[test]
fn a_blocked_reader_is_woken_from_another_thread() {
    let (one, other) = Socket::pair().unwrap();
    let reader = thread::spawn(move || other.receive(true).unwrap());
    one.wake().unwrap();
    assert!(matches!(reader.join().unwrap(), Some(Control::Wake)));
}
