//! One link with its worker, and the test in the collector's place.

use std::collections::VecDeque;
use std::io::Read;
use std::os::fd::OwnedFd;

use allcores_engine::link::{self, Answer, Hub, ParentEnd, Peer, Receiver, Sender, Task, local};
use allcores_engine::payload as engine;
use allcores_engine::{BatchId, FnId, Instance, Items, LinkKind, Port};
use rustix::event::{PollFd, PollFlags, poll};

use crate::common::place::{Gate, Running};
use crate::common::worker::{Ending, Job, parcels_of};

/// Which link, and where its worker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ShmThread,
    ShmProcess,
    StreamThread,
    StreamProcess,
    Local,
}

impl Way {
    fn kind(self) -> LinkKind {
        match self {
            Way::ShmThread | Way::ShmProcess => LinkKind::Shm,
            Way::StreamThread | Way::StreamProcess | Way::Local => LinkKind::Stream,
        }
    }

    pub(crate) fn takes_back(self) -> bool {
        !matches!(self, Way::StreamThread | Way::StreamProcess)
    }

    pub(crate) fn is_process(self) -> bool {
        matches!(self, Way::ShmProcess | Way::StreamProcess)
    }
}

/// What `worker_process` runs for a worker that cannot get ready.
pub(crate) fn cannot_start(kind: LinkKind, control: OwnedFd) -> Ending {
    give_up(Port::attach(kind, control).expect("the parent has sent what it must"))
}

fn give_up(mut port: Port) -> Ending {
    port.start_failed(b"no initializer").expect("the parent listens");
    Ending::Left
}

/// A batch with a payload, to be sent.
#[derive(Clone, Copy)]
pub(crate) struct Parcel<'a> {
    pub(crate) batch: u64,
    pub(crate) instance: u32,
    pub(crate) job: Job,
    pub(crate) function: Option<FnId>,
    pub(crate) payload: &'a [u8],
    pub(crate) beside: &'a [engine::Parcel],
    pub(crate) items: Items,
    pub(crate) careful: bool,
}

impl<'a> Parcel<'a> {
    pub(crate) fn new(batch: u64, job: Job) -> Self {
        Parcel {
            batch,
            instance: 0,
            job,
            function: None,
            payload: &[],
            beside: &[],
            items: Items::all(1),
            careful: false,
        }
    }

    pub(crate) fn with(self, payload: &'a [u8]) -> Self {
        Parcel { payload, ..self }
    }

    pub(crate) fn and(self, beside: &'a [engine::Parcel]) -> Self {
        Parcel { beside, ..self }
    }

    pub(crate) fn careful(self, start: u32, stop: u32) -> Self {
        Parcel { items: Items { start, stop }, careful: true, ..self }
    }

    pub(crate) fn calling(self, function: u32) -> Self {
        Parcel { function: Some(FnId(function)), job: Job::Call, ..self }
    }

    pub(crate) fn again(self, instance: u32) -> Self {
        Parcel { instance, ..self }
    }
}

/// One link.
pub(crate) struct Rig {
    pub(crate) sender: Box<dyn Sender>,
    receiver: Box<dyn Receiver>,
    hub: Hub,
    pub(crate) gate: Gate,
    worker: Running,
    answers: VecDeque<Answer>,
    readable: bool,
    gone: bool,
}

impl Rig {
    /// With an ordinary worker, which has said that it is ready.
    pub(crate) fn new(way: Way) -> Rig {
        let mut rig = Rig::starting(way);
        assert!(matches!(rig.next(), Some(Answer::Ready)));
        rig
    }

    /// With an ordinary worker.
    pub(crate) fn starting(way: Way) -> Rig {
        Rig::build(way, "ordinary", |port| port)
    }

    /// With a worker that will say that it cannot.
    pub(crate) fn hopeless(way: Way) -> (ParentEnd, Hub, Option<(Running, Gate)>) {
        let hub = Hub::new(way.kind()).expect("a hub");
        if way == Way::Local {
            let (end, worker) = local::open(hub.collector().clone());
            give_up(Port::over(Box::new(worker)));
            return (end, hub, None);
        }
        let (end, control) = hub.open_link().expect("a link");
        if way.is_process() {
            return (end, hub, Some(Running::process("hopeless", way.kind(), control)));
        }
        cannot_start(way.kind(), control);
        (end, hub, None)
    }

    fn build(way: Way, program: &str, prepare: fn(Port) -> Port) -> Rig {
        let hub = Hub::new(way.kind()).expect("a hub");
        let kind = way.kind();
        let (end, (worker, gate)) = if way == Way::Local {
            let (end, worker) = local::open(hub.collector().clone());
            (end, Running::thread(1, move || prepare(Port::over(Box::new(worker)))))
        } else {
            let (end, control) = hub.open_link().expect("a link");
            let worker = if way.is_process() {
                Running::process(program, kind, control)
            } else {
                Running::thread(1, move || prepare(Port::attach(kind, control).expect("a link")))
            };
            (end, worker)
        };
        Rig::over(end, hub, worker, gate)
    }

    /// Over ends made by hand.
    pub(crate) fn over(end: ParentEnd, hub: Hub, worker: Running, gate: Gate) -> Rig {
        Rig {
            sender: end.sender,
            receiver: end.receiver,
            hub,
            gate,
            worker,
            answers: VecDeque::new(),
            readable: false,
            gone: false,
        }
    }

    pub(crate) fn send(&mut self, parcel: Parcel<'_>) {
        let task = Task {
            batch: BatchId(parcel.batch),
            instance: Instance(parcel.instance),
            function: parcel.function,
            tag: parcel.job.tag(),
            items: parcel.items,
            careful: parcel.careful,
        };
        let cargo = engine::Cargo { letter: parcel.payload, parcels: parcel.beside };
        self.sender.send_task(&task, cargo).expect("the batch is sent");
        self.ring();
    }

    pub(crate) fn teach(&mut self, function: u32, bytes: &[u8]) {
        self.sender.send_function(FnId(function), bytes.into()).expect("the function is sent");
        self.ring();
    }

    pub(crate) fn forget(&mut self, function: u32) {
        self.sender.send_forget(FnId(function)).expect("the worker is told");
        self.ring();
    }

    pub(crate) fn stop(&mut self) {
        self.sender.send_stop().expect("the worker is told");
        self.ring();
    }

    /// Wakes whoever must be, as the core does.
    pub(crate) fn ring(&mut self) {
        if let Some(sleeper) = self.sender.sleeper() {
            sleeper.wake();
        }
    }

    /// The next answer; `None` when the worker has gone.
    pub(crate) fn next(&mut self) -> Option<Answer> {
        while self.answers.is_empty() && !self.gone {
            let mut arrived = Vec::new();
            let peer = self.receiver.drain(std::mem::take(&mut self.readable), &mut arrived);
            self.gone = peer.expect("the worker speaks sense") == Peer::Gone;
            if arrived.is_empty() && !self.gone {
                self.sleep();
            }
            self.answers.extend(arrived);
        }
        let answer = self.answers.pop_front();
        if let Some(Answer::Done { batch, instance, .. } | Answer::Skipped { batch, instance }) =
            &answer
        {
            self.sender.answered(*batch, *instance);
        }
        answer
    }

    fn sleep(&mut self) {
        let writing = self.sender.write_on();
        self.hub.about_to_sleep();
        if !self.receiver.has_news() {
            let waker = self.hub.collector();
            let mut fds = vec![PollFd::from_borrowed_fd(waker.fd(), PollFlags::IN)];
            let mut flags = PollFlags::IN;
            flags.set(PollFlags::OUT, writing);
            let socket = self.receiver.fd();
            fds.extend(socket.iter().map(|fd| PollFd::from_borrowed_fd((**fd).as_fd(), flags)));
            poll(&mut fds, None).expect("poll");
            let ends = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
            self.readable = fds.get(1).is_some_and(|fd| fd.revents().intersects(ends));
        }
        self.hub.awake();
        if self.hub.collector().is_pending() {
            self.hub.collector().hush();
        }
    }

    /// The next answer is that of `batch`, in this instance; its bytes.
    pub(crate) fn done_as(&mut self, expected: u64, expected_instance: u32) -> Vec<u8> {
        match self.next() {
            Some(Answer::Done { batch, instance, body, .. }) => {
                assert_eq!((batch.0, instance.0), (expected, expected_instance));
                body.to_vec()
            }
            other => panic!("batch {expected} should be done, not {other:?}"),
        }
    }

    /// The next answer is that of `batch`; its bytes.
    pub(crate) fn done(&mut self, batch: u64) -> Vec<u8> {
        self.done_as(batch, 0)
    }

    /// The next answer is that of `batch`; its bytes, and what came beside them.
    pub(crate) fn done_with(&mut self, expected: u64) -> (Vec<u8>, Vec<Vec<u8>>) {
        match self.next() {
            Some(Answer::Done { batch, body, .. }) => {
                assert_eq!(batch.0, expected);
                (body.to_vec(), parcels_of(&body))
            }
            other => panic!("batch {expected} should be done, not {other:?}"),
        }
    }

    /// The next answer says that `batch` was skipped.
    pub(crate) fn skipped(&mut self, expected: u64) {
        match self.next() {
            Some(Answer::Skipped { batch, instance }) => {
                assert_eq!((batch.0, instance.0), (expected, 0));
            }
            other => panic!("batch {expected} should be skipped, not {other:?}"),
        }
    }

    /// Nothing more comes.
    pub(crate) fn gone(&mut self) {
        let next = self.next();
        assert!(next.is_none(), "{next:?}");
    }

    /// Takes the parent's end away; the worker ends. How it did, and what is left in its gate.
    pub(crate) fn leave(self) -> (bool, Vec<u8>) {
        let Rig { sender, receiver, worker, gate, hub, .. } = self;
        drop((sender, receiver, hub));
        let went_well = went_well(worker);
        let mut rest = Vec::new();
        // Bytes that the worker never read: the connection counts as reset then.
        let _reset = (&gate.0).read_to_end(&mut rest);
        (went_well, rest)
    }
}

/// Waits for a worker's end: whether it left because it should.
pub(crate) fn went_well(worker: Running) -> bool {
    match worker.join() {
        Ok(ending) => ending == Ending::Left,
        Err(status) => status.code() == Some(0),
    }
}

/// The worker's end of a link that nobody reads yet.
pub(crate) fn unread(kind: LinkKind) -> (ParentEnd, Hub, Box<dyn link::WorkerEnd>) {
    let hub = Hub::new(kind).expect("a hub");
    let (end, control) = hub.open_link().expect("a link");
    let worker = link::attach(kind, control).expect("the parent has sent what it must");
    (end, hub, worker)
}
