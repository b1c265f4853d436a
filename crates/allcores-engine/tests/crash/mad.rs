//! Workers that leave nonsense where sense was agreed upon, and then stay.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use allcores_engine::LinkKind;
use allcores_engine::primitive::Ordering;
use allcores_shm::{
    Bell, ClaimCell, Consumer, Control, LinkLayout, Message, PoolLayout, Producer, Segment, Socket,
};

use crate::common::worker::Ending;

/// The kinds of madness of a worker on shared memory.
pub(crate) const ALL: [&str; 6] = ["position", "kind", "segment", "stray", "control", "descriptor"];

/// How far a ring's second line is from its first, in words.
const LINE: usize = 16;

/// Goes mad as `how` says, rings, and waits to be ended.
pub(crate) fn go(how: &str, kind: LinkKind, control: OwnedFd, mut gate: UnixStream) -> Ending {
    if kind == LinkKind::Stream {
        let mut stream = UnixStream::from(control);
        stream.write_all(&[0xa5; 640]).expect("the socket takes it");
        wait(&mut gate);
    }
    let raw = control.try_clone().expect("a descriptor");
    let socket = Socket::from_fd(control).expect("a socket");
    let link = LinkLayout::open(segment(&socket)).expect("a link");
    let pool = PoolLayout::open(segment(&socket)).expect("a pool");
    let mut results = Producer::new(link.result_ring.clone()).expect("a ring");
    results.push(&Message::Ready.encode()).expect("room");
    let payload = Some(allcores_shm::Payload {
        block: allcores_shm::BlockRef::from_word(0x1234_5678_9abc_def0),
        len: 1 << 40,
        parcels: 0,
    });
    let stray = Message::Done { batch: 999, instance: 9, tag: 0, busy_ns: 0, payload: None };
    match how {
        "position" => {
            link.result_ring.cells()[LINE].store(u64::MAX / 2, Ordering::Release);
        }
        "kind" => results.push(&[u64::MAX; 8]).expect("room"),
        "segment" => results.push(&Message::StartFailed { payload }.encode()).expect("room"),
        // An answer to what was never asked is ignored; the nonsense comes after it.
        "stray" => {
            results.push(&stray.encode()).expect("room");
            results.push(&Message::Stop.encode()).expect("room");
        }
        "control" => {
            let mut raw = UnixStream::from(raw);
            raw.write_all(&[0x5a; 64]).expect("the socket takes it");
        }
        "reader" => false_reader(&socket, &link, &pool, &mut results),
        "part" => false_part(&socket, &link, &pool, &mut results),
        _ => {
            // What is announced as a segment is none.
            socket.send_segment(0, gate.as_fd()).expect("the socket takes it");
        }
    }
    if Bell::new(pool.collector_flag).expect("a flag").must_ring() {
        socket.wake().expect("the socket takes it");
    }
    wait(&mut gate)
}

/// Answers every batch, and says of each that it has read what was never written.
fn false_reader(
    socket: &Socket,
    link: &LinkLayout,
    pool: &PoolLayout,
    results: &mut Producer,
) -> ! {
    let mut tasks = Consumer::new(link.task_ring.clone()).expect("a ring");
    let collector = Bell::new(pool.collector_flag.clone()).expect("a flag");
    let bell = Bell::new(link.worker_flag.clone()).expect("a flag");
    loop {
        if collector.must_ring() && socket.wake().is_err() {
            std::process::exit(9);
        }
        let Some(words) = tasks.pop().expect("the parent is sane") else {
            bell.about_to_sleep();
            if tasks.is_empty()
                && let Some(Control::Closed) = socket.receive(true).expect("the parent is sane")
            {
                std::process::exit(9);
            }
            bell.awake();
            continue;
        };
        link.task_ring.cells()[0].store(u64::MAX / 2, Ordering::Release);
        if let Ok(Message::Task { batch, instance, tag, cell, generation, .. }) =
            Message::decode(&words)
        {
            let claimed = ClaimCell::new(&link.claims.cells()[cell as usize]).claim(generation);
            let done = Message::Done { batch, instance, tag, busy_ns: 1, payload: None };
            let skipped = Message::Skipped { batch, instance };
            let answer = if claimed { done } else { skipped };
            results.push(&answer.encode()).expect("room");
        }
    }
}

/// Takes a batch and hands over more items of it than there are.
fn false_part(socket: &Socket, link: &LinkLayout, pool: &PoolLayout, results: &mut Producer) {
    let collector = Bell::new(pool.collector_flag.clone()).expect("a flag");
    if collector.must_ring() {
        socket.wake().expect("the socket takes it");
    }
    let mut tasks = Consumer::new(link.task_ring.clone()).expect("a ring");
    let words = loop {
        match tasks.pop().expect("the parent is sane") {
            Some(words) => break words,
            None => std::thread::yield_now(),
        }
    };
    let Ok(Message::Task { batch, instance, cell, generation, stop, .. }) = Message::decode(&words)
    else {
        panic!("a task is the first that comes");
    };
    assert!(ClaimCell::new(&link.claims.cells()[cell as usize]).claim(generation));
    let part = Message::Part { batch, instance, tag: 0, stop: stop + 1, payload: None };
    results.push(&part.encode()).expect("room");
}

/// Nobody ever opens that gate; a parent that ends is its end.
fn wait(gate: &mut UnixStream) -> ! {
    let _end = gate.read(&mut [0]);
    std::process::exit(9)
}

fn segment(socket: &Socket) -> Segment {
    match socket.receive(true).expect("the parent speaks") {
        Some(Control::Segment { fd, .. }) => Segment::from_fd(fd).expect("a segment"),
        other => panic!("{other:?}"),
    }
}
