//! The same messages over the control socket itself, where shared memory is missing.
//!
//! A frame is the message's eight words and then its payload. The parent never blocks: what
//! the socket does not take at once waits in a buffer until the collector finds it
//! writable. The worker may block, since the collector always reads. There are no claim
//! cells: a batch that was sent cannot be taken back, and because a worker runs its batches
//! in order, the oldest unanswered one is the one that runs. There are no marks: a part comes
//! before each next item and says that it starts.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use allcores_shm::{BlockRef, MESSAGE_WORDS, Message, Payload, ShmError, Socket, send_flags};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown, recv, send};

use super::{
    Answer, Bed, Loose, Next, ParentEnd, PartOut, Peer, Pollable, Receiver, Reply, Sender, Sleeper,
    Task, Wake, Work, WorkerEnd,
};
use crate::batch::Items;
use crate::error::EngineError;
use crate::ids::{BatchId, FnId, Instance};
use crate::payload::{self, Arrived, Body, Cargo, Delivery, Parcel};
use crate::waker::Waker;

const HEADER: usize = MESSAGE_WORDS * 8;
const READ_AT_ONCE: usize = 64 * 1024;

/// Makes a link; `collector` is woken when something is left to be written.
pub(crate) fn open(collector: Waker) -> Result<(ParentEnd, OwnedFd), EngineError> {
    let (ours, theirs) = Socket::pair()?;
    let socket = Arc::new(ours.into_fd());
    let sender = StreamSender {
        socket: Arc::clone(&socket),
        collector,
        unwritten: VecDeque::new(),
        unanswered: VecDeque::new(),
    };
    let receiver = StreamReceiver { socket, inbox: Inbox::default() };
    let end = ParentEnd { sender: Box::new(sender), receiver: Box::new(receiver) };
    Ok((end, theirs.into_fd()))
}

/// A payload of that many bytes follows the header.
fn following(len: usize, parcels: usize) -> Option<Payload> {
    let (block, parcels) = (BlockRef::from_word(0), parcels as u32);
    (len > 0).then_some(Payload { block, len: len as u64, parcels })
}

/// A letter, the table of its parcels before it, and how many bytes it has with them.
fn letter(lengths: &[usize], letter: &[u8]) -> (Vec<u8>, usize) {
    let table: Vec<_> = lengths.iter().map(|len| (0, *len as u64)).collect();
    let letter = payload::with_table(&table, letter);
    let whole = letter.len() + lengths.iter().sum::<usize>();
    (letter, whole)
}

/// A letter and its parcels, from the bytes of both.
fn delivery(mut bytes: Vec<u8>, parcels: u32) -> Result<Body, EngineError> {
    let table = payload::take_table(&mut bytes, parcels)?;
    let mut parcels = Vec::new();
    for (_, len) in table.iter().rev() {
        let len = usize::try_from(*len).map_err(|_| EngineError::TooLarge(*len))?;
        let start = bytes.len().checked_sub(len).ok_or(EngineError::Corrupt)?;
        parcels.push(Arrived::Own(bytes.split_off(start).into()));
    }
    parcels.reverse();
    Ok(Body::Delivery(Box::new(Delivery { letter: bytes, parcels })))
}

fn header(message: Message) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    for (to, word) in bytes.chunks_exact_mut(8).zip(message.encode()) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn payload_of(message: &Message) -> Option<Payload> {
    match message {
        Message::Done { payload, .. }
        | Message::Part { payload, .. }
        | Message::Say { payload }
        | Message::StartFailed { payload }
        | Message::Function { payload, .. }
        | Message::Task { payload, .. } => *payload,
        _ => None,
    }
}

/// Bytes that have arrived and are not yet a whole frame.
#[derive(Default)]
struct Inbox {
    bytes: Vec<u8>,
    /// Where the next frame starts in `bytes`.
    start: usize,
    closed: bool,
}

impl Inbox {
    /// Reads what is there without waiting.
    fn fill(&mut self, socket: BorrowedFd<'_>) -> Result<(), EngineError> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        while !self.closed {
            let filled = self.bytes.len();
            self.bytes.resize(filled + READ_AT_ONCE, 0);
            let got = recv(socket, &mut self.bytes[filled..], RecvFlags::DONTWAIT);
            let (read, result) = match got {
                Ok((read, _)) => {
                    self.closed = read == 0;
                    (read, Ok(read == READ_AT_ONCE))
                }
                Err(Errno::INTR) => (0, Ok(true)),
                Err(Errno::AGAIN) => (0, Ok(false)),
                Err(Errno::CONNRESET) => {
                    self.closed = true;
                    (0, Ok(false))
                }
                Err(errno) => (0, Err(EngineError::System { call: "recv", errno })),
            };
            self.bytes.truncate(filled + read);
            if !result? {
                break;
            }
        }
        Ok(())
    }

    /// The next whole frame.
    fn next(&mut self) -> Result<Option<(Message, Body)>, EngineError> {
        let rest = &self.bytes[self.start..];
        let Some(head) = rest.first_chunk::<HEADER>() else { return Ok(None) };
        let mut words = [0_u64; MESSAGE_WORDS];
        for (word, bytes) in words.iter_mut().zip(head.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let message = Message::decode(&words).map_err(ShmError::from)?;
        let (len, parcels) =
            payload_of(&message).map_or((0, 0), |payload| (payload.len, payload.parcels));
        let len = usize::try_from(len).map_err(|_| EngineError::TooLarge(len))?;
        let Some(body) = rest[HEADER..].get(..len) else { return Ok(None) };
        let body = body.to_vec();
        self.start += HEADER + len;
        let body = if parcels == 0 { Body::Owned(body) } else { delivery(body, parcels)? };
        Ok(Some((message, body)))
    }
}

struct StreamSender {
    socket: Arc<OwnedFd>,
    collector: Waker,
    unwritten: VecDeque<u8>,
    unanswered: VecDeque<(BatchId, Instance)>,
}

impl StreamSender {
    fn frame(&mut self, message: Message, payload: &[u8]) -> Result<(), EngineError> {
        self.unwritten.extend(header(message));
        self.unwritten.extend(payload);
        self.write_some()
    }

    /// The same with parcels; `message` is told of what follows.
    fn cargo(
        &mut self,
        message: impl FnOnce(Option<Payload>) -> Message,
        cargo: Cargo<'_>,
    ) -> Result<(), EngineError> {
        let Cargo { letter: bytes, parcels } = cargo;
        if parcels.is_empty() {
            return self.frame(message(following(bytes.len(), 0)), bytes);
        }
        let lengths: Vec<_> = parcels.iter().map(Parcel::len).collect();
        let (letter, whole) = letter(&lengths, bytes);
        self.unwritten.extend(header(message(following(whole, parcels.len()))));
        self.unwritten.extend(letter);
        for parcel in parcels {
            match parcel {
                Parcel::Own(bytes) => self.unwritten.extend(bytes),
                Parcel::Shared(parcel) => self.unwritten.extend(parcel.copy()?),
            }
        }
        self.write_some()
    }

    fn write_some(&mut self) -> Result<(), EngineError> {
        while !self.unwritten.is_empty() {
            let (bytes, _) = self.unwritten.as_slices();
            match send(&*self.socket, bytes, send_flags()) {
                Ok(written) => drop(self.unwritten.drain(..written)),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.unwritten.clear();
                    return Err(EngineError::Closed);
                }
            }
        }
        Ok(())
    }
}

impl Sender for StreamSender {
    fn send_function(&mut self, function: FnId, cargo: Cargo<'_>) -> Result<(), EngineError> {
        self.cargo(|payload| Message::Function { function: function.0, payload }, cargo)
    }

    fn send_task(&mut self, task: &Task, cargo: Cargo<'_>) -> Result<(), EngineError> {
        let Task { batch, instance, function, tag, items, careful } = *task;
        self.unanswered.push_back((batch, instance));
        let message = |payload| Message::Task {
            batch: batch.0,
            instance: instance.0,
            function: function.map(|function| function.0),
            tag,
            start: items.start,
            stop: items.stop,
            careful,
            cell: 0,
            generation: 0,
            payload,
        };
        self.cargo(message, cargo)
    }

    fn send_forget(&mut self, function: FnId) -> Result<(), EngineError> {
        self.frame(Message::Forget { function: function.0 }, &[])
    }

    fn send_stop(&mut self) -> Result<(), EngineError> {
        self.frame(Message::Stop, &[])
    }

    fn cancel(&mut self, _: BatchId, _: Instance) -> bool {
        false
    }

    fn has_started(&self, batch: BatchId) -> bool {
        self.unanswered.front().is_some_and(|(first, _)| *first == batch)
    }

    fn started(&self) -> Vec<(BatchId, Instance)> {
        self.unanswered.front().copied().into_iter().collect()
    }

    fn running(&self) -> Option<(BatchId, Instance)> {
        // With another behind it, it could be over by now and that one running.
        self.unanswered.front().copied().filter(|_| self.unanswered.len() == 1)
    }

    fn answered(&mut self, batch: BatchId, _: Instance) {
        self.unanswered.retain(|(sent, _)| *sent != batch);
    }

    fn lends_parcels(&self) -> bool {
        false
    }

    fn sleeper(&mut self) -> Option<Arc<dyn Wake>> {
        // The kernel wakes the worker; what it did not take is the collector's to write.
        (!self.unwritten.is_empty()).then(|| Arc::new(self.collector.clone()) as Arc<dyn Wake>)
    }

    fn write_on(&mut self) -> bool {
        // A peer that has gone is seen by the receiver.
        self.write_some().is_ok() && !self.unwritten.is_empty()
    }

    fn close(&mut self) {
        // It may be closed already, from the other side.
        let _closed = rustix::net::shutdown(&*self.socket, Shutdown::Both);
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }
}

struct StreamReceiver {
    socket: Arc<OwnedFd>,
    inbox: Inbox,
}

impl Receiver for StreamReceiver {
    fn drain(&mut self, readable: bool, answers: &mut Vec<Answer>) -> Result<Peer, EngineError> {
        if readable {
            self.inbox.fill(self.socket.as_fd())?;
        }
        while let Some((message, body)) = self.inbox.next()? {
            answers.push(match message {
                Message::Ready => Answer::Ready,
                Message::Done { batch, instance, tag, busy_ns, .. } => Answer::Done {
                    batch: BatchId(batch),
                    instance: Instance(instance),
                    tag,
                    busy: Duration::from_nanos(busy_ns),
                    body,
                },
                Message::Part { batch, instance, tag, stop, .. } => Answer::Part {
                    batch: BatchId(batch),
                    instance: Instance(instance),
                    tag,
                    stop,
                    body,
                },
                Message::Retire => Answer::Retire,
                Message::Say { .. } => Answer::Said { body },
                Message::Skipped { batch, instance } => {
                    Answer::Skipped { batch: BatchId(batch), instance: Instance(instance) }
                }
                Message::StartFailed { .. } => Answer::StartFailed { body },
                _ => return Err(EngineError::Corrupt),
            });
        }
        Ok(if self.inbox.closed { Peer::Gone } else { Peer::Alive })
    }

    fn has_news(&self) -> bool {
        false
    }

    fn fd(&self) -> Option<Pollable> {
        Some(Arc::clone(&self.socket) as Pollable)
    }
}

/// The socket as the worker sees it.
struct Outlet(OwnedFd);

impl Outlet {
    fn wait_for(&self, what: PollFlags) -> Result<(), EngineError> {
        match poll(&mut [PollFd::new(&self.0, what)], None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(EngineError::System { call: "poll", errno }),
        }
    }
}

impl Sleeper for Outlet {
    fn sleep(&self, _: u64) -> Result<bool, EngineError> {
        self.wait_for(PollFlags::IN).map(|()| true)
    }
}

/// The worker's end.
pub struct Worker {
    socket: Arc<Outlet>,
    inbox: Inbox,
    retired: bool,
}

impl Worker {
    /// The end over its control socket.
    pub fn attach(control: OwnedFd) -> Result<Worker, EngineError> {
        let socket = Arc::new(Outlet(Socket::from_fd(control)?.into_fd()));
        Ok(Worker { socket, inbox: Inbox::default(), retired: false })
    }

    fn write(&self, mut bytes: &[u8]) -> Result<(), EngineError> {
        while !bytes.is_empty() {
            match send(&self.socket.0, bytes, send_flags()) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::AGAIN) => self.socket.wait_for(PollFlags::OUT)?,
                Err(Errno::INTR) => {}
                Err(_) => return Err(EngineError::Closed),
            }
        }
        Ok(())
    }

    /// Writes an answer with what goes along with it; `message` is told of what follows.
    fn answer(
        &self,
        message: impl FnOnce(Option<Payload>) -> Message,
        bytes: &[u8],
        parcels: Loose<'_>,
    ) -> Result<(), EngineError> {
        if parcels.is_empty() {
            return self.frame(message(following(bytes.len(), 0)), bytes);
        }
        let length = |pieces: &Vec<&[u8]>| pieces.iter().map(|piece| piece.len()).sum();
        let lengths: Vec<usize> = parcels.iter().map(length).collect();
        let (letter, whole) = letter(&lengths, bytes);
        self.write(&header(message(following(whole, parcels.len()))))?;
        self.write(&letter)?;
        parcels.iter().flatten().try_for_each(|piece| self.write(piece))
    }

    fn frame(&self, message: Message, payload: &[u8]) -> Result<(), EngineError> {
        if payload.len() > READ_AT_ONCE {
            self.write(&header(message))?;
            return self.write(payload);
        }
        let mut whole = Vec::with_capacity(HEADER + payload.len());
        whole.extend(header(message));
        whole.extend(payload);
        self.write(&whole)
    }
}

impl WorkerEnd for Worker {
    fn try_next(&mut self) -> Result<Next, EngineError> {
        loop {
            let mut frame = self.inbox.next()?;
            if frame.is_none() {
                self.inbox.fill(self.socket.0.as_fd())?;
                frame = self.inbox.next()?;
            }
            let Some((message, body)) = frame else {
                return Ok(if self.inbox.closed { Next::Leave } else { Next::Nothing });
            };
            return Ok(Next::Work(match message {
                Message::Stop => return Ok(Next::Leave),
                Message::Forget { function } => Work::Forget { function: FnId(function) },
                Message::Function { function, .. } => {
                    Work::Function { function: FnId(function), body }
                }
                Message::Task { batch, instance, .. } if self.retired => {
                    self.frame(Message::Skipped { batch, instance }, &[])?;
                    continue;
                }
                Message::Task { batch, instance, function, tag, start, stop, careful, .. } => {
                    let (batch, instance) = (BatchId(batch), Instance(instance));
                    let (function, items) = (function.map(FnId), Items { start, stop });
                    let task = Task { batch, instance, function, tag, items, careful };
                    Work::Task { task, body }
                }
                _ => return Err(EngineError::Corrupt),
            }));
        }
    }

    fn bed(&self) -> Bed {
        Bed { sleeper: Arc::clone(&self.socket) as Arc<dyn Sleeper>, taken: 0 }
    }

    fn ready(&mut self) -> Result<(), EngineError> {
        self.frame(Message::Ready, &[])
    }

    fn reply(&mut self, reply: Reply<'_>) -> Result<(), EngineError> {
        let message = |payload| Message::Done {
            batch: reply.batch.0,
            instance: reply.instance.0,
            tag: reply.tag,
            busy_ns: u64::try_from(reply.busy.as_nanos()).unwrap_or(u64::MAX),
            payload,
        };
        self.answer(message, reply.bytes, reply.parcels)
    }

    fn part(&mut self, part: PartOut<'_>) -> Result<(), EngineError> {
        let message = |payload| Message::Part {
            batch: part.batch.0,
            instance: part.instance.0,
            tag: part.tag,
            stop: part.stop,
            payload,
        };
        self.answer(message, part.bytes, part.parcels)
    }

    fn retire(&mut self) -> Result<(), EngineError> {
        self.retired = true;
        self.frame(Message::Retire, &[])
    }

    fn say(&mut self, words: &[u8]) -> Result<(), EngineError> {
        self.frame(Message::Say { payload: following(words.len(), 0) }, words)
    }

    fn start_failed(&mut self, why: &[u8]) -> Result<(), EngineError> {
        self.frame(Message::StartFailed { payload: following(why.len(), 0) }, why)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.0.as_fd())
    }
}
