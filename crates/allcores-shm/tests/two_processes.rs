//! Two real processes: the whole protocol, a death in the middle from either side.
//!
//! The test binary starts itself again; `ALLCORES_ROLE` tells the copy to be a worker, and its standard
//! input is its control socket. With `ALLCORES_VALGRIND=1` fewer messages pass, for
//! `valgrind --error-exitcode=9 --trace-children=yes`.
#![cfg(not(loom))]

use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use allcores_shm::{
    Arena, Bell, BlockRef, CLAIM_CELLS, ClaimCell, ClaimState, Consumer, Control, LINK_SEGMENT,
    LinkLayout, Message, POOL_SEGMENT, Payload, PoolLayout, Producer, Result, Segment, Shelf,
    ShmError, Socket,
};

const ROLE: &str = "ALLCORES_ROLE";
/// Batches under way at once: fewer than slots and claim cells.
const CREDIT: u64 = 48;

fn count() -> u64 {
    if std::env::var_os("ALLCORES_VALGRIND").is_some() { 2_000 } else { 100_000 }
}

/// The bytes of a batch: mostly small, now and then none, now and then a large block.
fn items(batch: u64) -> Vec<u8> {
    let len = match batch % 5_000 {
        0 => 300_000,
        1 => 0,
        _ => (batch.wrapping_mul(2_654_435_761) >> 7) % 900,
    };
    let word = (batch + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let mut bytes = word.repeat(len as usize / 8 + 1);
    bytes.truncate(len as usize);
    bytes
}

/// What the worker makes of them.
fn outcome(items: &[u8]) -> Vec<u8> {
    items.iter().map(|byte| byte ^ 0xff).collect()
}

/// What both sides do alike: read payloads of the other, write own ones.
struct Bytes {
    socket: Socket,
    arena: Arena,
    shelf: Shelf,
    announced: Vec<u32>,
}

impl Bytes {
    fn new(socket: Socket) -> Self {
        Self { socket, arena: Arena::new(), shelf: Shelf::new(), announced: Vec::new() }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<Payload> {
        let block = self.arena.allocate(bytes.len())?;
        block.write(0, bytes)?;
        for id in self.arena.take_retired() {
            self.announced.retain(|announced| *announced != id);
            self.socket.send_retired(id)?;
        }
        let id = block.at().segment();
        if !self.announced.contains(&id) {
            self.socket.send_segment(id, block.segment().fd())?;
            self.announced.push(id);
        }
        Ok(block.payload())
    }

    fn read(&mut self, Payload { block, len, .. }: Payload) -> Result<Vec<u8>> {
        loop {
            match self.shelf.open(block, len) {
                Ok(view) => return Ok(view.copy_to_vec()),
                Err(ShmError::UnknownSegment { .. }) => self.listen(true)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes in what the socket has. The peer's death is an error.
    fn listen(&mut self, blocking: bool) -> Result<()> {
        while let Some(control) = self.socket.receive(blocking)? {
            match control {
                Control::Wake => {}
                Control::Segment { id, fd } => self.shelf.insert(id, Segment::from_fd(fd)?),
                Control::Retired { id } => self.shelf.remove(id),
                Control::Closed => return Err(ShmError::Closed),
            }
            if blocking {
                break;
            }
        }
        Ok(())
    }

    /// Sleeps unless `work` is there after the announcement.
    fn sleep(&mut self, bell: &Bell, nothing: impl Fn() -> bool) -> Result<()> {
        bell.about_to_sleep();
        let slept = nothing();
        if slept {
            // Long enough for any machine; a lost wake-up fails the test instead of hanging it.
            let woken = self.socket.wait(Some(Duration::from_secs(50)))?;
            assert!(woken, "nobody rang for 50 seconds: a wake-up was lost");
        }
        if bell.awake() || slept { self.listen(false) } else { Ok(()) }
    }
}

struct Worker {
    bytes: Bytes,
    link: LinkLayout,
    tasks: Consumer,
    results: Producer,
    bell: Bell,
    collector: Bell,
}

impl Worker {
    fn start(socket: Socket) -> Result<Self> {
        let mut bytes = Bytes::new(socket);
        let link = LinkLayout::open(expect_segment(&mut bytes, LINK_SEGMENT)?)?;
        let pool = PoolLayout::open(expect_segment(&mut bytes, POOL_SEGMENT)?)?;
        Ok(Self {
            bytes,
            tasks: Consumer::new(link.task_ring.clone())?,
            results: Producer::new(link.result_ring.clone())?,
            bell: Bell::new(link.worker_flag.clone())?,
            collector: Bell::new(pool.collector_flag)?,
            link,
        })
    }

    fn work(&mut self) -> Result<()> {
        self.say(Message::Ready)?;
        loop {
            let Some(words) = self.tasks.pop()? else {
                let Self { bytes, bell, tasks, .. } = self;
                bytes.sleep(bell, || tasks.is_empty())?;
                continue;
            };
            match Message::decode(&words)? {
                Message::Task { batch, instance, tag, cell, generation, payload, .. } => {
                    if !ClaimCell::new(&self.link.claims.cells()[cell as usize]).claim(generation) {
                        self.say(Message::Skipped { batch, instance })?;
                        continue;
                    }
                    let received = self.bytes.read(payload.ok_or(ShmError::Closed)?)?;
                    assert!(received == items(batch), "batch {batch} arrived garbled");
                    let payload = Some(self.bytes.write(&outcome(&received))?);
                    self.say(Message::Done { batch, instance, tag, busy_ns: 1, payload })?;
                }
                Message::Stop => return Ok(()),
                unexpected => panic!("{unexpected:?}"),
            }
        }
    }

    fn say(&mut self, message: Message) -> Result<()> {
        self.results.push(&message.encode())?;
        if self.collector.must_ring() { self.bytes.socket.wake() } else { Ok(()) }
    }
}

fn expect_segment(bytes: &mut Bytes, expected: u32) -> Result<Segment> {
    match bytes.socket.receive(true)? {
        Some(Control::Segment { id, fd }) if id == expected => Segment::from_fd(fd),
        Some(Control::Closed) => Err(ShmError::Closed),
        unexpected => panic!("{unexpected:?}"),
    }
}

/// Not a test by itself: what the copy of this binary runs.
#[test]
fn worker_role() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let fd = std::io::stdin().as_fd().try_clone_to_owned().expect("a descriptor");
    let ended =
        Worker::start(Socket::from_fd(fd).expect("a socket")).and_then(|mut worker| worker.work());
    // 0: was told to stop. 7: saw the parent's end. Anything else is a failure.
    match ended {
        Ok(()) => std::process::exit(0),
        Err(ShmError::Closed) => std::process::exit(7),
        Err(error) => panic!("{error}"),
    }
}

struct Parent {
    bytes: Bytes,
    link: LinkLayout,
    tasks: Producer,
    results: Consumer,
    bell: Bell,
    worker: Bell,
    child: Child,
    sent: u64,
    done: u64,
    skipped: u64,
    lent: Vec<(u64, BlockRef)>,
}

impl Parent {
    fn start() -> Self {
        let (own, theirs) = Socket::pair().expect("a socket pair");
        let child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["worker_role", "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, "worker")
            .stdin(Stdio::from(theirs.into_fd()))
            .stdout(Stdio::null())
            .spawn()
            .expect("a second process");
        let link = LinkLayout::create().expect("a link");
        let pool = PoolLayout::create().expect("a pool segment");
        own.send_segment(LINK_SEGMENT, link.segment.fd()).expect("room in the socket");
        own.send_segment(POOL_SEGMENT, pool.segment.fd()).expect("room in the socket");
        Self {
            bytes: Bytes::new(own),
            tasks: Producer::new(link.task_ring.clone()).expect("the task ring"),
            results: Consumer::new(link.result_ring.clone()).expect("the result ring"),
            bell: Bell::new(pool.collector_flag).expect("our flag"),
            worker: Bell::new(link.worker_flag.clone()).expect("the worker's flag"),
            link,
            child,
            sent: 0,
            done: 0,
            skipped: 0,
            lent: Vec::new(),
        }
    }

    fn cell(&self, batch: u64) -> ClaimCell<'_> {
        ClaimCell::new(&self.link.claims.cells()[(batch % CLAIM_CELLS as u64) as usize])
    }

    /// Sends batches until `count` are answered, `CREDIT` of them ahead.
    fn converse(&mut self, count: u64) -> Result<()> {
        while self.done + self.skipped < count {
            while self.sent < count && self.lent.len() < CREDIT as usize {
                self.send()?;
            }
            match self.results.pop()? {
                Some(words) => self.receive(Message::decode(&words)?)?,
                None => {
                    let Self { bytes, bell, results, .. } = self;
                    bytes.sleep(bell, || results.is_empty())?;
                }
            }
        }
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        let batch = self.sent;
        let payload = self.bytes.write(&items(batch))?;
        self.lent.push((batch, payload.block));
        self.cell(batch).offer(batch);
        self.say(Message::Task {
            batch,
            instance: 0,
            function: None,
            tag: batch as u32,
            start: 0,
            stop: 1,
            careful: false,
            cell: (batch % CLAIM_CELLS as u64) as u32,
            generation: batch,
            payload: Some(payload),
        })?;
        self.sent += 1;
        if batch % 97 == 96 && self.cell(batch).cancel(batch) {
            assert!(self.bytes.arena.release(payload.block), "nobody reads what was cancelled");
        }
        Ok(())
    }

    fn receive(&mut self, message: Message) -> Result<()> {
        match message {
            Message::Ready => {}
            Message::Done { batch, tag, payload, .. } => {
                self.lent.retain(|(lent, _)| *lent != batch);
                assert_eq!(tag, batch as u32);
                let received = self.bytes.read(payload.ok_or(ShmError::Closed)?)?;
                assert!(received == outcome(&items(batch)), "result {batch} arrived garbled");
                assert_eq!(self.cell(batch).state(batch), ClaimState::Claimed);
                self.done += 1;
            }
            Message::Skipped { batch, .. } => {
                self.lent.retain(|(lent, _)| *lent != batch);
                assert_eq!(self.cell(batch).state(batch), ClaimState::Cancelled);
                self.skipped += 1;
            }
            unexpected => panic!("{unexpected:?}"),
        }
        Ok(())
    }

    fn say(&mut self, message: Message) -> Result<()> {
        self.tasks.push(&message.encode())?;
        if self.worker.must_ring() { self.bytes.socket.wake() } else { Ok(()) }
    }
}

#[test]
fn a_hundred_thousand_messages_cross_both_ways() {
    let mut parent = Parent::start();
    parent.converse(count()).unwrap();
    parent.say(Message::Stop).unwrap();
    assert_eq!(parent.child.wait().unwrap().code(), Some(0));
    assert_eq!(parent.done + parent.skipped, count());
    assert!(parent.done > count() * 9 / 10);
    parent.bytes.arena.sweep();
    // A chunk, and one large segment or two; every other byte was used again and again.
    assert!(parent.bytes.arena.footprint() <= 4 << 20, "{}", parent.bytes.arena.footprint());
}

#[test]
fn one_message_at_a_time_wakes_a_sleeper_each_time() {
    let mut parent = Parent::start();
    for batch in 1..=count() / 20 {
        parent.converse(batch).unwrap();
    }
    parent.say(Message::Stop).unwrap();
    assert_eq!(parent.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_worker_killed_in_the_middle_is_seen_as_closed() {
    let mut parent = Parent::start();
    parent.converse(count() / 20).unwrap();
    // The credit is filled, so that work is under way when the signal comes.
    for _ in 0..CREDIT {
        parent.send().unwrap();
    }
    parent.child.kill().unwrap();
    let ended = parent.converse(u64::MAX);
    assert!(matches!(ended, Err(ShmError::Closed)), "{ended:?}");
    parent.child.wait().unwrap();

    // Answers sent before the death are still there.
    while let Some(words) = parent.results.pop().unwrap() {
        parent.receive(Message::decode(&words).unwrap()).unwrap();
    }
    // What is left divides into started and not started, and its memory comes back.
    for (batch, block) in std::mem::take(&mut parent.lent) {
        let untouched = parent.cell(batch).cancel(batch);
        let started = parent.cell(batch).state(batch) == ClaimState::Claimed;
        let cancelled_before = batch % 97 == 96;
        assert!(untouched || started || cancelled_before, "batch {batch}");
        parent.bytes.arena.release(block);
    }
    parent.bytes.arena.sweep();
    let footprint = parent.bytes.arena.footprint();
    for _ in 0..100 {
        parent.bytes.arena.allocate(500).unwrap();
    }
    assert_eq!(
        parent.bytes.arena.footprint(),
        footprint,
        "the dead worker's blocks are used again"
    );
}

#[test]
fn a_parent_that_leaves_is_seen_by_its_worker() {
    let mut parent = Parent::start();
    parent.converse(100).unwrap();
    drop(parent.bytes);
    assert_eq!(parent.child.wait().unwrap().code(), Some(7));
}

#[test]
fn a_parent_that_leaves_at_once_is_seen_by_its_worker() {
    let mut parent = Parent::start();
    drop(parent.bytes);
    assert_eq!(parent.child.wait().unwrap().code(), Some(7));
}
