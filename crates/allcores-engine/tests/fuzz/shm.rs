//! Both ends of the fast link, each with a mad peer: any words in the rings and anywhere else, any
//! segments, any control messages.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use allcores_engine::batch::Items;
use allcores_engine::link::{Answer, Hub, LinkKind, Next, Peer, Task, Work, WorkerEnd, attach};
use allcores_engine::link::{Receiver, Reply, Sender};
use allcores_engine::primitive::Ordering;
use allcores_engine::{BatchId, Body, FnId, Instance};
use allcores_shm::{
    BlockRef, Control, LINK_SEGMENT, LinkLayout, POOL_SEGMENT, Payload, PoolLayout, Producer,
    Segment, Socket,
};

use super::control::say_anything;
use super::memory::scribble;
use super::reader::Reader;

/// A worker that writes what it likes.
pub(crate) struct MadPeer {
    link: LinkLayout,
    pool: PoolLayout,
    ring: Producer,
    socket: Socket,
    raw: UnixStream,
    segments: Vec<Segment>,
    payloads: Vec<Payload>,
}

impl MadPeer {
    /// In place of a worker, at its end of the link. `None`: another mad worker has spoilt the pool's
    /// segment, which all share, so that none can start any more.
    pub(crate) fn worker(control: OwnedFd) -> Option<MadPeer> {
        let raw = UnixStream::from(control.try_clone().expect("a descriptor"));
        let socket = Socket::from_fd(control).expect("a socket");
        let link = LinkLayout::open(announced(&socket)).expect("a link");
        let pool = PoolLayout::open(announced(&socket)).ok()?;
        let ring = Producer::new(link.result_ring.clone()).expect("a fresh ring");
        raw.set_nonblocking(true).expect("a socket");
        let (segments, payloads) = (Vec::new(), Vec::new());
        Some(MadPeer { link, pool, ring, socket, raw, segments, payloads })
    }

    /// In place of a parent; the worker's end of the link is the second.
    fn parent() -> (MadPeer, OwnedFd) {
        let link = LinkLayout::create().expect("memory");
        let pool = PoolLayout::create().expect("memory");
        let (socket, theirs) = Socket::pair().expect("two sockets");
        socket.send_segment(LINK_SEGMENT, link.segment.fd()).expect("room");
        socket.send_segment(POOL_SEGMENT, pool.segment.fd()).expect("room");
        let fd = socket.into_fd();
        let raw = UnixStream::from(fd.try_clone().expect("a descriptor"));
        raw.set_nonblocking(true).expect("a socket");
        let ring = Producer::new(link.task_ring.clone()).expect("a fresh ring");
        let socket = Socket::from_fd(fd).expect("a socket");
        let (segments, payloads) = (Vec::new(), Vec::new());
        (MadPeer { link, pool, ring, socket, raw, segments, payloads }, theirs.into_fd())
    }

    /// One thing that a peer could do.
    pub(crate) fn act(&mut self, reader: &mut Reader<'_>) {
        match reader.byte() % 8 {
            0 => scribble(&self.link.segment, reader),
            1 => scribble(&self.pool.segment, reader),
            2 => drop(say_anything(&self.raw, reader)),
            3 => self.lend(reader),
            4 => {
                if let Some(segment) = self.segments.last() {
                    scribble(segment, reader);
                }
            }
            _ => drop(self.ring.push(&reader.message(&self.payloads))),
        }
    }

    /// Wakes the other side, whatever its flag says. A full socket has been said enough.
    pub(crate) fn ring(&self) {
        let _gone = self.socket.wake();
    }

    /// A segment that is announced, and a block in it that is lent as it should be, more or less.
    fn lend(&mut self, reader: &mut Reader<'_>) {
        let segment = Segment::create(64 * (2 + reader.below(200))).expect("memory");
        let id = reader.below(3) as u64;
        let _full = self.socket.send_segment(id as u32, segment.fd());
        let (place, generation) = (reader.below(2) as u64, 1 + reader.below(3) as u64);
        let words = segment.words(0..segment.len() / 8).expect("all its words");
        words[place as usize * 8].store(generation << 1, Ordering::Relaxed);
        let block = BlockRef::from_word(id << 44 | place << 30 | generation);
        let parcels = if reader.one_in(2) { 0 } else { reader.below(40) as u32 };
        self.payloads.push(Payload { block, len: reader.word(), parcels });
        self.segments.push(segment);
    }
}

fn announced(socket: &Socket) -> Segment {
    match socket.receive(true).expect("the parent speaks") {
        Some(Control::Segment { fd, .. }) => Segment::from_fd(fd).expect("a segment"),
        other => panic!("{other:?}"),
    }
}

/// The parent's end against a mad worker. After an error or the end nothing is drained any more, as
/// the collector does, and the sender is closed.
pub(crate) fn parent(data: &[u8]) {
    let mut reader = Reader::new(data);
    let hub = Hub::new(LinkKind::Shm).expect("a hub");
    let (end, control) = hub.open_link().expect("a link");
    let (mut sender, mut receiver) = (end.sender, end.receiver);
    let mut mad = MadPeer::worker(control).expect("the first of its pool");
    let mut sent: Vec<(BatchId, Instance)> = Vec::new();
    while let Some(step) = reader.step() {
        match step % 8 {
            0..=3 => mad.act(&mut reader),
            4 | 5 => {
                if !hear(&mut *receiver, &mut *sender, &mut sent) {
                    break;
                }
            }
            6 => speak(&mut *sender, &mut sent, &mut reader),
            _ => {
                let (batch, instance) = pick(&sent, &mut reader);
                let started = sender.has_started(batch);
                let cancelled = sender.cancel(batch, instance);
                assert!(!(started && cancelled && sent.len() == 1), "cancelled what had started");
                let (_started, _runs) = (sender.started(), sender.running());
                let (_mark, _peak) = (sender.mark(), sender.peak());
            }
        }
    }
    drop(mad);
    let mut answers = Vec::new();
    let _end = receiver.drain(true, &mut answers);
    sender.close();
    for (batch, instance) in sent {
        sender.answered(batch, instance);
    }
}

/// The mad worker's credit is below its claim cells, whatever it answers.
const CREDIT: usize = 48;

fn speak(sender: &mut dyn Sender, sent: &mut Vec<(BatchId, Instance)>, reader: &mut Reader<'_>) {
    let payload = reader.some_bytes();
    match reader.byte() % 4 {
        0 => drop(sender.send_function(FnId(reader.below(4) as u32), payload.into())),
        1 => drop(sender.send_forget(FnId(reader.below(4) as u32))),
        _ if sent.len() < CREDIT => {
            let (batch, instance) = (BatchId(sent.len() as u64), Instance(0));
            if send(sender, batch, instance, payload, reader) {
                sent.push((batch, instance));
            }
        }
        _ => {}
    }
    if let Some(sleeper) = sender.sleeper() {
        sleeper.wake();
    }
}

fn send(
    sender: &mut dyn Sender,
    batch: BatchId,
    instance: Instance,
    payload: &[u8],
    reader: &mut Reader<'_>,
) -> bool {
    let (tag, items) = (u32::from(reader.byte()), Items::all(1 + u32::from(reader.byte())));
    let careful = reader.one_in(2);
    let task = Task { batch, instance, function: None, tag, items, careful };
    sender.send_task(&task, payload.into()).is_ok()
}

fn pick(sent: &[(BatchId, Instance)], reader: &mut Reader<'_>) -> (BatchId, Instance) {
    let at = reader.below(sent.len() + 1);
    sent.get(at).copied().unwrap_or((BatchId(999), Instance(9)))
}

/// Whether it may be listened to any longer. Answers to what was sent end it, others are ignored.
fn hear(
    receiver: &mut dyn Receiver,
    sender: &mut dyn Sender,
    sent: &mut Vec<(BatchId, Instance)>,
) -> bool {
    let mut answers = Vec::new();
    let _news = receiver.has_news();
    let peer = receiver.drain(true, &mut answers);
    for answer in answers {
        match answer {
            Answer::Done { batch, instance, body, .. } => {
                look_at(&body);
                sender.answered(batch, instance);
                sent.retain(|one| *one != (batch, instance));
            }
            Answer::Skipped { batch, instance } => {
                sender.answered(batch, instance);
                sent.retain(|one| *one != (batch, instance));
            }
            Answer::Part { body, .. } | Answer::Said { body } | Answer::StartFailed { body } => {
                look_at(&body);
            }
            Answer::Ready | Answer::Retire => {}
        }
    }
    matches!(peer, Ok(Peer::Alive))
}

fn look_at(body: &Body) {
    assert_eq!(body.to_vec().len(), body.len());
    for parcel in body.parcels() {
        assert!(parcel.region().is_ok_and(|region| region.len() == parcel.len()));
    }
}

/// The worker's end against a mad parent. It never waits here: what may come has come, and what waits
/// for room (parts, words) is not said, since a parent that reads nothing may have it wait for ever.
pub(crate) fn worker(data: &[u8]) {
    let mut reader = Reader::new(data);
    let (mut mad, control) = MadPeer::parent();
    let mut end = attach(LinkKind::Shm, control).expect("a link");
    let mut open: Option<Task> = None;
    while let Some(step) = reader.step() {
        match step % 6 {
            0..=3 => mad.act(&mut reader),
            4 => match end.try_next() {
                Ok(Next::Work(Work::Task { task, body })) => {
                    look_at(&body);
                    open = Some(task);
                }
                Ok(Next::Work(Work::Function { body, .. })) => look_at(&body),
                Ok(Next::Work(_) | Next::Nothing) => {}
                Ok(Next::Leave) | Err(_) => return,
            },
            _ => answer(&mut *end, open.take(), &mut reader),
        }
    }
}

fn answer(end: &mut dyn WorkerEnd, open: Option<Task>, reader: &mut Reader<'_>) {
    let bytes = reader.some_bytes();
    // What can't be said to a mad parent is not said.
    let _unsaid = match open {
        None => end.ready(),
        Some(task) => end.reply(Reply {
            batch: task.batch,
            instance: task.instance,
            tag: 1,
            busy: std::time::Duration::ZERO,
            bytes,
            parcels: &[vec![bytes, b"beside"]][..reader.below(2)],
        }),
    };
}
