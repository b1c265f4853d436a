//! The fast link: rings and arenas in shared memory, a control socket for the rest.
//!
//! Each side owns an arena that only it writes; a message names a block in it. Before the
//! first message that names a new segment, its descriptor goes over the control socket, so
//! a reader that meets an unknown segment finds it there. A task may start only if its
//! claim cell can be changed from queued to claimed, which is how a batch that was sent
//! can still be cancelled or taken back. The protocol is `allcores-shm`'s README.

mod ear;
mod mouth;
mod worker;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use allcores_shm::{
    Bell, CLAIM_CELLS, ClaimCell, ClaimState, Consumer, LINK_SEGMENT, LinkLayout, Mark, Marks,
    Message, POOL_SEGMENT, PoolLayout, Producer, Socket, TASK_RING, Words,
};
use rustix::net::Shutdown;

use super::{Answer, ParentEnd, Peer, Pollable, Receiver, Sender, Task, Wake};
use crate::error::EngineError;
use crate::ids::{BatchId, FnId, IdMap, Instance};
use crate::payload::Cargo;
use ear::Ear;
use mouth::{Lent, Mouth};

pub use worker::Worker;

/// Beyond so many messages that may be unread, a worker is not told what to forget: the ring also
/// has to hold a task and a function for each batch of its credit, and the stop.
const MOST_FORGETS: u64 = TASK_RING as u64 / 4 - 1;

impl Wake for Socket {
    fn wake(&self) {
        // A peer that has gone needs no waking.
        let _gone = Socket::wake(self);
    }
}

/// Makes a link; `pool` is where the collector says that it sleeps.
pub(crate) fn open(pool: &PoolLayout) -> Result<(ParentEnd, OwnedFd), EngineError> {
    let layout = LinkLayout::create()?;
    let (ours, theirs) = Socket::pair()?;
    ours.send_segment(LINK_SEGMENT, layout.segment.fd())?;
    ours.send_segment(POOL_SEGMENT, pool.segment.fd())?;
    let socket = Arc::new(ours);
    let sender = ShmSender {
        mouth: Mouth::new(Producer::new(layout.task_ring)?, Arc::clone(&socket)),
        bell: Bell::new(layout.worker_flag)?,
        claims: layout.claims,
        marks: Marks::new(layout.marks)?,
        free_cells: (0..CLAIM_CELLS as u32).rev().collect(),
        generation: 0,
        sent: IdMap::default(),
        pushed: 0,
        read: 0,
        forgotten: VecDeque::new(),
    };
    let receiver = ShmReceiver { ear: Ear::new(Consumer::new(layout.result_ring)?, socket) };
    let end = ParentEnd { sender: Box::new(sender), receiver: Box::new(receiver) };
    Ok((end, theirs.into_fd()))
}

#[derive(Debug)]
struct Sent {
    instance: Instance,
    cell: u32,
    generation: u64,
    lent: Lent,
    /// Which of all messages to this worker it was.
    number: u64,
}

struct ShmSender {
    mouth: Mouth,
    bell: Bell,
    claims: Words,
    marks: Marks,
    free_cells: Vec<u32>,
    generation: u64,
    /// What was sent and not answered; a batch that was taken back may be there twice.
    sent: IdMap<BatchId, Vec<Sent>>,
    /// How many messages were pushed, and how many of them surely were read.
    pushed: u64,
    read: u64,
    /// Functions to forget that have not been told yet.
    forgotten: VecDeque<FnId>,
}

impl ShmSender {
    fn say(&mut self, message: Message) -> Result<(), EngineError> {
        self.mouth.say(message)?;
        self.pushed += 1;
        Ok(())
    }

    /// Says what is to be forgotten, as far as it takes no room from the batches: these have
    /// credit, forgetting has none.
    fn say_forgotten(&mut self) -> Result<(), EngineError> {
        while self.pushed - self.read < MOST_FORGETS
            && let Some(FnId(function)) = self.forgotten.pop_front()
        {
            self.say(Message::Forget { function })?;
        }
        Ok(())
    }

    fn cell(&self, cell: u32) -> ClaimCell<'_> {
        ClaimCell::new(&self.claims.cells()[cell as usize])
    }

    fn state(&self, sent: &Sent) -> ClaimState {
        self.cell(sent.cell).state(sent.generation)
    }

    fn claimed(&self) -> impl Iterator<Item = (BatchId, &Sent)> {
        let all = self.sent.iter().flat_map(|(batch, all)| all.iter().map(|sent| (*batch, sent)));
        all.filter(|(_, sent)| self.state(sent) == ClaimState::Claimed)
    }
}

impl Sender for ShmSender {
    fn send_function(&mut self, function: FnId, cargo: Cargo<'_>) -> Result<(), EngineError> {
        // A function is read as soon as the worker comes to it: whoever lends it needs no news.
        let (payload, lent) = self.mouth.load(cargo)?;
        self.mouth.watch(lent);
        self.say(Message::Function { function: function.0, payload })
    }

    fn send_task(&mut self, task: &Task, cargo: Cargo<'_>) -> Result<(), EngineError> {
        self.say_forgotten()?;
        let (payload, lent) = self.mouth.load(cargo)?;
        let cell = self.free_cells.pop().expect("a worker's credit is below its claim cells");
        self.generation += 1;
        let generation = self.generation;
        self.cell(cell).offer(generation);
        let Task { batch, instance, function, tag, items, careful } = *task;
        let number = self.pushed + 1;
        let sent = Sent { instance, cell, generation, lent, number };
        self.sent.entry(batch).or_default().push(sent);
        self.say(Message::Task {
            batch: batch.0,
            instance: instance.0,
            function: function.map(|function| function.0),
            tag,
            start: items.start,
            stop: items.stop,
            careful,
            cell,
            generation,
            payload,
        })
    }

    fn send_forget(&mut self, function: FnId) -> Result<(), EngineError> {
        self.forgotten.push_back(function);
        self.say_forgotten()
    }

    fn send_stop(&mut self) -> Result<(), EngineError> {
        self.say(Message::Stop)
    }

    fn cancel(&mut self, batch: BatchId, instance: Instance) -> bool {
        let sent =
            self.sent.get(&batch).and_then(|all| all.iter().find(|s| s.instance == instance));
        sent.is_some_and(|sent| self.cell(sent.cell).cancel(sent.generation))
    }

    fn has_started(&self, batch: BatchId) -> bool {
        self.sent
            .get(&batch)
            .is_some_and(|all| all.iter().any(|sent| self.state(sent) == ClaimState::Claimed))
    }

    fn started(&self) -> Vec<(BatchId, Instance)> {
        self.claimed().map(|(batch, sent)| (batch, sent.instance)).collect()
    }

    fn running(&self) -> Option<(BatchId, Instance)> {
        let newest = self.claimed().max_by_key(|(_, sent)| sent.number);
        newest.map(|(batch, sent)| (batch, sent.instance))
    }

    fn lends_parcels(&self) -> bool {
        true
    }

    fn has_marks(&self) -> bool {
        true
    }

    fn mark(&self) -> Option<Mark> {
        self.marks.read()
    }

    fn peak(&self) -> Option<u64> {
        self.marks.peak()
    }

    fn answered(&mut self, batch: BatchId, instance: Instance) {
        let Some(all) = self.sent.get_mut(&batch) else { return };
        let Some(at) = all.iter().position(|sent| sent.instance == instance) else { return };
        let sent = all.swap_remove(at);
        if all.is_empty() {
            self.sent.remove(&batch);
        }
        self.read = self.read.max(sent.number);
        // What has started was read, and may still be: its reader frees it.
        if self.state(&sent) == ClaimState::Claimed {
            self.mouth.watch(sent.lent);
        } else {
            self.mouth.take_back(&sent.lent);
        }
        self.free_cells.push(sent.cell);
    }

    fn tidy(&mut self) {
        self.mouth.tidy();
    }

    fn sleeper(&mut self) -> Option<Arc<dyn Wake>> {
        self.bell.must_ring().then(|| Arc::clone(&self.mouth.socket) as Arc<dyn Wake>)
    }

    fn close(&mut self) {
        for sent in self.sent.values().flatten() {
            self.cell(sent.cell).cancel(sent.generation);
        }
        // It may be closed already, from the other side.
        let _closed = rustix::net::shutdown(self.mouth.socket.as_fd(), Shutdown::Both);
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.mouth.socket.as_fd())
    }
}

impl Drop for ShmSender {
    /// The worker has gone: it reads nothing any more.
    fn drop(&mut self) {
        for lending in self.sent.values().flatten().flat_map(|sent| &sent.lent.parcels) {
            lending.end();
        }
    }
}

struct ShmReceiver {
    ear: Ear,
}

impl Receiver for ShmReceiver {
    fn drain(&mut self, readable: bool, answers: &mut Vec<Answer>) -> Result<Peer, EngineError> {
        // The socket first: what a worker said before it died is in the ring by now.
        if readable {
            self.ear.read_control()?;
        }
        while let Some(message) = self.ear.pop()? {
            answers.push(match message {
                Message::Ready => Answer::Ready,
                Message::Done { batch, instance, tag, busy_ns, payload } => Answer::Done {
                    batch: BatchId(batch),
                    instance: Instance(instance),
                    tag,
                    busy: Duration::from_nanos(busy_ns),
                    body: self.ear.body(payload)?,
                },
                Message::Part { batch, instance, tag, stop, payload } => Answer::Part {
                    batch: BatchId(batch),
                    instance: Instance(instance),
                    tag,
                    stop,
                    body: self.ear.body(payload)?,
                },
                Message::Retire => Answer::Retire,
                Message::Say { payload } => Answer::Said { body: self.ear.body(payload)? },
                Message::Skipped { batch, instance } => {
                    Answer::Skipped { batch: BatchId(batch), instance: Instance(instance) }
                }
                Message::StartFailed { payload } => {
                    Answer::StartFailed { body: self.ear.body(payload)? }
                }
                _ => return Err(EngineError::Corrupt),
            });
        }
        Ok(if self.ear.closed { Peer::Gone } else { Peer::Alive })
    }

    fn has_news(&self) -> bool {
        !self.ear.ring.is_empty()
    }

    fn fd(&self) -> Option<Pollable> {
        Some(Arc::clone(&self.ear.socket) as Pollable)
    }
}
