//! The worker's end of a link in shared memory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use allcores_shm::{
    Bell, CLAIM_CELLS, ClaimCell, Consumer, Control, Glimpse, LINK_SEGMENT, LinkLayout, Marks,
    Message, POOL_SEGMENT, PoolLayout, Producer, RESULT_RING, Segment, ShmError, Socket, Words,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::{Bed, Next, PartOut, Reply, Sleeper, Task, Wake, Work, WorkerEnd};
use super::ear::Ear;
use super::mouth::Mouth;
use crate::batch::Items;
use crate::clock;
use crate::error::EngineError;
use crate::ids::{BatchId, FnId, Instance};

/// How long an idle worker stays awake: a few times what waking it would cost the parent.
const PATIENCE: Duration = Duration::from_micros(20);

/// What a worker says without being asked leaves so many slots of its ring free: for the answers to
/// all that it may hold, and some more.
const KEPT_FOR_ANSWERS: u64 = RESULT_RING as u64 / 2;

const _: () = assert!(CLAIM_CELLS < RESULT_RING, "answers to all tasks fit into the ring");

/// How long it waits before it looks for room again.
const UNTIL_ROOM: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// So many parts, or so many bytes of them, and the collector shall read them.
const MOST_QUIET_PARTS: u32 = KEPT_FOR_ANSWERS as u32 / 2;
const MOST_QUIET_BYTES: usize = 1 << 20;

/// The worker's end.
pub struct Worker {
    mouth: Mouth,
    ear: Ear,
    claims: Words,
    marks: Marks,
    cot: Arc<Cot>,
    collector: Bell,
    retired: bool,
    /// Parts, and bytes in them, for which nobody was woken.
    quiet: (u32, usize),
}

impl Worker {
    /// The end over its control socket, on which the parent has already sent the segments.
    pub fn attach(control: OwnedFd) -> Result<Worker, EngineError> {
        let socket = Arc::new(Socket::from_fd(control)?);
        let layout = LinkLayout::open(expect_segment(&socket, LINK_SEGMENT)?)?;
        let pool = PoolLayout::open(expect_segment(&socket, POOL_SEGMENT)?)?;
        let (tasks, bell) = (Consumer::new(layout.task_ring)?, Bell::new(layout.worker_flag)?);
        let glimpse = tasks.glimpse();
        Ok(Worker {
            mouth: Mouth::new(Producer::new(layout.result_ring)?, Arc::clone(&socket)),
            ear: Ear::new(tasks, Arc::clone(&socket)),
            claims: layout.claims,
            marks: Marks::new(layout.marks)?,
            cot: Arc::new(Cot { tasks: glimpse, bell, socket }),
            collector: Bell::new(pool.collector_flag)?,
            retired: false,
            quiet: (0, 0),
        })
    }

    fn push(&mut self, message: Message) -> Result<(), EngineError> {
        self.mouth.say(message)?;
        self.ring();
        Ok(())
    }

    fn ring(&mut self) {
        self.quiet = (0, 0);
        if self.collector.must_ring() {
            Wake::wake(&*self.mouth.socket);
        }
    }

    /// Waits until a message that nobody asked for fits beside the answers.
    fn wait_for_room(&mut self) -> Result<(), EngineError> {
        while !self.has_room()? {
            self.ring();
            // Not for a wake byte, which may be meant for a thread that waits for work.
            let mut end = [PollFd::from_borrowed_fd(self.mouth.socket.as_fd(), PollFlags::empty())];
            if poll(&mut end, Some(&UNTIL_ROOM)).unwrap_or(0) > 0 {
                return Err(EngineError::Closed);
            }
        }
        Ok(())
    }

    fn has_room(&mut self) -> Result<bool, EngineError> {
        Ok(self.mouth.ring.has_room(KEPT_FOR_ANSWERS).map_err(ShmError::from)?)
    }
}

/// Where the worker sleeps.
struct Cot {
    tasks: Glimpse,
    bell: Bell,
    socket: Arc<Socket>,
}

impl Cot {
    /// Stays awake for a moment, since the next task often comes at once; true if it has.
    fn linger(&self, taken: u64) -> bool {
        let patience = clock::now() + PATIENCE;
        while !self.tasks.has_more(taken) {
            if clock::now() > patience {
                return false;
            }
            // Another thread may need this core more, the parent's above all.
            std::thread::yield_now();
        }
        true
    }
}

impl Sleeper for Cot {
    fn sleep(&self, taken: u64) -> Result<bool, EngineError> {
        if self.linger(taken) {
            return Ok(false);
        }
        self.bell.about_to_sleep();
        if !self.tasks.has_more(taken) {
            self.socket.wait(None)?;
        }
        self.bell.awake();
        Ok(true)
    }
}

fn expect_segment(socket: &Socket, expected: u32) -> Result<Segment, EngineError> {
    match socket.receive(true)? {
        Some(Control::Segment { id, fd }) if id == expected => Ok(Segment::from_fd(fd)?),
        Some(Control::Closed) => Err(EngineError::Closed),
        _ => Err(EngineError::Corrupt),
    }
}

impl WorkerEnd for Worker {
    fn try_next(&mut self) -> Result<Next, EngineError> {
        loop {
            if self.ear.closed {
                return Ok(Next::Leave);
            }
            let Some(message) = self.ear.pop()? else {
                self.mouth.sweep();
                return Ok(Next::Nothing);
            };
            let work = match message {
                Message::Stop => return Ok(Next::Leave),
                Message::Forget { function } => Work::Forget { function: FnId(function) },
                Message::Function { function, payload } => {
                    Work::Function { function: FnId(function), body: self.ear.body(payload)? }
                }
                Message::Task {
                    batch,
                    instance,
                    function,
                    tag,
                    start,
                    stop,
                    careful,
                    cell,
                    generation,
                    payload,
                } => {
                    let cell = ClaimCell::new(&self.claims.cells()[cell as usize]);
                    let mine = if self.retired {
                        // What is not cancelled yet must not look as if it could still start.
                        cell.cancel(generation);
                        false
                    } else {
                        cell.claim(generation)
                    };
                    if !mine {
                        self.push(Message::Skipped { batch, instance })?;
                        continue;
                    }
                    let (batch, instance) = (BatchId(batch), Instance(instance));
                    let (function, items) = (function.map(FnId), Items { start, stop });
                    let task = Task { batch, instance, function, tag, items, careful };
                    Work::Task { task, body: self.ear.body(payload)? }
                }
                _ => return Err(EngineError::Corrupt),
            };
            return Ok(Next::Work(work));
        }
    }

    fn bed(&self) -> Bed {
        let sleeper = Arc::clone(&self.cot) as Arc<dyn Sleeper>;
        Bed { sleeper, taken: self.ear.ring.taken() }
    }

    fn awake(&mut self) -> Result<(), EngineError> {
        self.ear.read_control()
    }

    fn ready(&mut self) -> Result<(), EngineError> {
        self.push(Message::Ready)
    }

    fn reply(&mut self, reply: Reply<'_>) -> Result<(), EngineError> {
        let payload = self.mouth.write_with(reply.bytes, reply.parcels)?;
        self.push(Message::Done {
            batch: reply.batch.0,
            instance: reply.instance.0,
            tag: reply.tag,
            busy_ns: u64::try_from(reply.busy.as_nanos()).unwrap_or(u64::MAX),
            payload,
        })
    }

    fn start_failed(&mut self, why: &[u8]) -> Result<(), EngineError> {
        let payload = self.mouth.write(why, true)?;
        self.push(Message::StartFailed { payload })
    }

    fn part(&mut self, part: PartOut<'_>) -> Result<(), EngineError> {
        self.wait_for_room()?;
        let payload = self.mouth.write_with(part.bytes, part.parcels)?;
        self.mouth.say(Message::Part {
            batch: part.batch.0,
            instance: part.instance.0,
            tag: part.tag,
            stop: part.stop,
            payload,
        })?;
        // Nobody waits for a part: who sleeps may sleep on, as long as there is room.
        let (parts, bytes) = self.quiet;
        let beside: usize = part.parcels.iter().flatten().map(|piece| piece.len()).sum();
        self.quiet = (parts + 1, bytes + part.bytes.len() + beside);
        if self.quiet.0 >= MOST_QUIET_PARTS || self.quiet.1 >= MOST_QUIET_BYTES {
            self.ring();
        }
        Ok(())
    }

    fn retire(&mut self) -> Result<(), EngineError> {
        self.wait_for_room()?;
        self.retired = true;
        self.push(Message::Retire)
    }

    fn say(&mut self, words: &[u8]) -> Result<(), EngineError> {
        self.wait_for_room()?;
        let payload = self.mouth.write(words, true)?;
        self.push(Message::Say { payload })
    }

    fn marks(&self) -> Option<Marks> {
        Some(self.marks.clone())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.mouth.socket.as_fd())
    }
}
