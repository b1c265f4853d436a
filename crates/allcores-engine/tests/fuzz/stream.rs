//! Frames of the stream link, in both directions.

use std::io::Write;
use std::os::unix::net::UnixStream;

use allcores_engine::link::{Hub, LinkKind, Next, Peer, Receiver, Work, WorkerEnd, attach};
use allcores_shm::Message;

use super::reader::Reader;

/// A worker writes frames; the parent drains them.
pub(crate) fn parent(data: &[u8]) {
    let mut reader = Reader::new(data);
    let hub = Hub::new(LinkKind::Stream).expect("a hub");
    let (end, control) = hub.open_link().expect("a link");
    let mut receiver = end.receiver;
    let peer = UnixStream::from(control);
    peer.set_nonblocking(true).expect("a socket");
    while let Some(step) = reader.step() {
        match step % 4 {
            0 => {
                if !drain(&mut *receiver) {
                    return;
                }
            }
            _ => write(&peer, &mut reader),
        }
    }
    drop(peer);
    if drain(&mut *receiver) {
        let mut answers = Vec::new();
        let end = receiver.drain(true, &mut answers);
        assert!(!matches!(end, Ok(Peer::Alive)), "no end is seen");
    }
}

/// Whether it may be listened to any longer.
fn drain(receiver: &mut dyn Receiver) -> bool {
    let mut answers = Vec::new();
    matches!(receiver.drain(true, &mut answers), Ok(Peer::Alive))
}

/// The parent has gone mad; the worker takes what it can make sense of.
pub(crate) fn worker(data: &[u8]) {
    let mut reader = Reader::new(data);
    let (peer, own) = UnixStream::pair().expect("two sockets");
    peer.set_nonblocking(true).expect("a socket");
    let mut end = attach(LinkKind::Stream, own.into()).expect("a link");
    while let Some(step) = reader.step() {
        match step % 4 {
            0 => {
                if !take(&mut *end) {
                    return;
                }
            }
            _ => write(&peer, &mut reader),
        }
    }
    drop(peer);
    let mut taken = 0;
    while take(&mut *end) {
        taken += 1;
        assert!(taken <= data.len() + 1, "no end is seen");
    }
}

/// Whether the worker goes on.
fn take(end: &mut dyn WorkerEnd) -> bool {
    match end.try_next() {
        Ok(Next::Work(Work::Task { body, .. } | Work::Function { body, .. })) => {
            assert_eq!(body.to_vec().len(), body.len());
            true
        }
        Ok(Next::Work(_) | Next::Nothing) => true,
        Ok(Next::Leave) | Err(_) => false,
    }
}

/// A frame, or a part of one, or none at all.
pub(crate) fn write(peer: &UnixStream, reader: &mut Reader<'_>) {
    let mut peer = peer;
    // A socket that is full or closed takes less; that is part of the game.
    if reader.one_in(4) {
        let _written = peer.write(reader.bytes(200));
        return;
    }
    let mut words = reader.message(&[]);
    let follows = reader.below(80);
    if !reader.one_in(4) && Message::decode(&words).is_ok() {
        // Announces what follows, where it announces anything.
        words[6] = follows as u64;
        if Message::decode(&words).is_err() {
            words[6] = 0;
        }
    }
    let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
    let _written = peer.write(&bytes);
    let _written = peer.write(reader.bytes(follows));
}
