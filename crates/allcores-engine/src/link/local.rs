//! Both ends in one process: the twin that makes a pool testable without processes.
//!
//! Two queues under one lock. Dropping the worker's end is its death, and then the parent
//! sees the link as gone, just as with a process.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use allcores_shm::primitive::{Condvar, Mutex, MutexGuard};
use allcores_shm::{Mark, Marks, Words};

use super::{
    Answer, Bed, Loose, Next, ParentEnd, PartOut, Peer, Pollable, Receiver, Reply, Sender, Sleeper,
    Task, Wake, Work, WorkerEnd,
};
use crate::error::EngineError;
use crate::ids::{BatchId, FnId, Instance};
use crate::payload::{Arrived, Body, Cargo, Delivery, Parcel};
use crate::waker::Waker;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Queued,
    Started,
    Cancelled,
}

enum Told {
    Work(Work),
    Stop,
}

#[derive(Default)]
struct Inner {
    told: VecDeque<Told>,
    answers: VecDeque<Answer>,
    claims: HashMap<(BatchId, Instance), Claim>,
    /// What has started, in order.
    started: Vec<(BatchId, Instance)>,
    retired: bool,
    parent_gone: bool,
    worker_gone: bool,
}

struct Pair {
    inner: Mutex<Inner>,
    told: Condvar,
    collector: Waker,
    marks: Marks,
}

impl Pair {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds a local link")
    }

    fn tell(&self, told: Told) -> Result<(), EngineError> {
        let mut inner = self.lock();
        if inner.worker_gone {
            return Err(EngineError::Closed);
        }
        inner.told.push_back(told);
        self.told.notify_one();
        Ok(())
    }

    fn answer(&self, answer: Answer) -> Result<(), EngineError> {
        let mut inner = self.lock();
        if inner.parent_gone {
            return Err(EngineError::Closed);
        }
        inner.answers.push_back(answer);
        drop(inner);
        self.collector.wake();
        Ok(())
    }
}

struct LocalSender(Arc<Pair>);
struct LocalReceiver(Arc<Pair>);
/// The worker's end; dropping it is the worker's death.
pub struct LocalWorker(Arc<Pair>);

/// A link within this process, for the pool whose collector `collector` wakes.
pub fn open(collector: Waker) -> (ParentEnd, LocalWorker) {
    let marks = Marks::new(Words::on_heap(Marks::WORDS)).expect("as many words as they need");
    let (inner, told) = (Mutex::default(), Condvar::default());
    let pair = Arc::new(Pair { inner, told, collector, marks });
    let end = ParentEnd {
        sender: Box::new(LocalSender(Arc::clone(&pair))),
        receiver: Box::new(LocalReceiver(Arc::clone(&pair))),
    };
    (end, LocalWorker(pair))
}

fn delivered(cargo: Cargo<'_>) -> Result<Body, EngineError> {
    let copy = |parcel: &Parcel| match parcel {
        Parcel::Own(bytes) => Ok(bytes.to_vec()),
        Parcel::Shared(parcel) => parcel.copy(),
    };
    let parcels: Result<Vec<_>, _> = cargo.parcels.iter().map(copy).collect();
    Ok(body(cargo.letter, parcels?))
}

fn answered(letter: &[u8], parcels: Loose<'_>) -> Body {
    body(letter, parcels.iter().map(|pieces| pieces.concat()).collect())
}

fn body(letter: &[u8], parcels: Vec<Vec<u8>>) -> Body {
    let letter = letter.to_vec();
    if parcels.is_empty() {
        return Body::Owned(letter);
    }
    let parcels = parcels.into_iter().map(|bytes| Arrived::Own(bytes.into())).collect();
    Body::Delivery(Box::new(Delivery { letter, parcels }))
}

impl Sender for LocalSender {
    fn send_function(&mut self, function: FnId, cargo: Cargo<'_>) -> Result<(), EngineError> {
        let body = delivered(cargo)?;
        self.0.tell(Told::Work(Work::Function { function, body }))
    }

    fn send_task(&mut self, task: &Task, cargo: Cargo<'_>) -> Result<(), EngineError> {
        self.0.lock().claims.insert((task.batch, task.instance), Claim::Queued);
        let body = delivered(cargo)?;
        self.0.tell(Told::Work(Work::Task { task: *task, body }))
    }

    fn send_forget(&mut self, function: FnId) -> Result<(), EngineError> {
        self.0.tell(Told::Work(Work::Forget { function }))
    }

    fn send_stop(&mut self) -> Result<(), EngineError> {
        self.0.tell(Told::Stop)
    }

    fn cancel(&mut self, batch: BatchId, instance: Instance) -> bool {
        match self.0.lock().claims.get_mut(&(batch, instance)) {
            Some(claim) if *claim == Claim::Queued => {
                *claim = Claim::Cancelled;
                true
            }
            _ => false,
        }
    }

    fn has_started(&self, batch: BatchId) -> bool {
        self.0.lock().started.iter().any(|(started, _)| *started == batch)
    }

    fn started(&self) -> Vec<(BatchId, Instance)> {
        self.0.lock().started.clone()
    }

    fn running(&self) -> Option<(BatchId, Instance)> {
        self.0.lock().started.last().copied()
    }

    fn lends_parcels(&self) -> bool {
        true
    }

    fn has_marks(&self) -> bool {
        true
    }

    fn mark(&self) -> Option<Mark> {
        self.0.marks.read()
    }

    fn peak(&self) -> Option<u64> {
        self.0.marks.peak()
    }

    fn answered(&mut self, batch: BatchId, instance: Instance) {
        let mut inner = self.0.lock();
        inner.claims.remove(&(batch, instance));
        inner.started.retain(|started| *started != (batch, instance));
    }

    fn sleeper(&mut self) -> Option<Arc<dyn Wake>> {
        None
    }

    fn close(&mut self) {
        let mut inner = self.0.lock();
        inner.parent_gone = true;
        for claim in inner.claims.values_mut().filter(|claim| **claim == Claim::Queued) {
            *claim = Claim::Cancelled;
        }
        self.0.told.notify_one();
    }
}

impl Drop for LocalSender {
    fn drop(&mut self) {
        self.close();
    }
}

impl Receiver for LocalReceiver {
    fn drain(&mut self, _: bool, answers: &mut Vec<Answer>) -> Result<Peer, EngineError> {
        let mut inner = self.0.lock();
        answers.extend(inner.answers.drain(..));
        Ok(if inner.worker_gone { Peer::Gone } else { Peer::Alive })
    }

    fn has_news(&self) -> bool {
        let inner = self.0.lock();
        inner.worker_gone || !inner.answers.is_empty()
    }

    fn fd(&self) -> Option<Pollable> {
        None
    }
}

impl Sleeper for Pair {
    fn sleep(&self, _: u64) -> Result<bool, EngineError> {
        let inner = self.lock();
        if inner.told.is_empty() && !inner.parent_gone {
            let woken = self.told.wait(inner);
            drop(woken.expect("nothing panics while it holds a local link"));
        }
        Ok(true)
    }
}

impl WorkerEnd for LocalWorker {
    fn try_next(&mut self) -> Result<Next, EngineError> {
        let mut inner = self.0.lock();
        while let Some(told) = inner.told.pop_front() {
            let work = match told {
                Told::Stop => return Ok(Next::Leave),
                Told::Work(work) => work,
            };
            let Work::Task { task, .. } = &work else { return Ok(Next::Work(work)) };
            let (batch, instance) = (task.batch, task.instance);
            let retired = inner.retired;
            match inner.claims.get_mut(&(batch, instance)) {
                Some(claim) if *claim == Claim::Queued && !retired => {
                    *claim = Claim::Started;
                    inner.started.push((batch, instance));
                    return Ok(Next::Work(work));
                }
                claim => {
                    if let Some(claim) = claim {
                        *claim = Claim::Cancelled;
                    }
                    inner.answers.push_back(Answer::Skipped { batch, instance });
                    self.0.collector.wake();
                }
            }
        }
        Ok(if inner.parent_gone { Next::Leave } else { Next::Nothing })
    }

    fn bed(&self) -> Bed {
        Bed { sleeper: Arc::clone(&self.0) as Arc<dyn Sleeper>, taken: 0 }
    }

    fn ready(&mut self) -> Result<(), EngineError> {
        self.0.answer(Answer::Ready)
    }

    fn reply(&mut self, reply: Reply<'_>) -> Result<(), EngineError> {
        let Reply { batch, instance, tag, busy, bytes, parcels } = reply;
        let body = answered(bytes, parcels);
        self.0.answer(Answer::Done { batch, instance, tag, busy, body })
    }

    fn part(&mut self, part: PartOut<'_>) -> Result<(), EngineError> {
        let PartOut { batch, instance, tag, stop, bytes, parcels } = part;
        let body = answered(bytes, parcels);
        self.0.answer(Answer::Part { batch, instance, tag, stop, body })
    }

    fn retire(&mut self) -> Result<(), EngineError> {
        self.0.lock().retired = true;
        self.0.answer(Answer::Retire)
    }

    fn say(&mut self, words: &[u8]) -> Result<(), EngineError> {
        self.0.answer(Answer::Said { body: Body::Owned(words.to_vec()) })
    }

    fn marks(&self) -> Option<Marks> {
        Some(self.0.marks.clone())
    }

    fn start_failed(&mut self, why: &[u8]) -> Result<(), EngineError> {
        self.0.answer(Answer::StartFailed { body: Body::Owned(why.to_vec()) })
    }
}

impl Drop for LocalWorker {
    fn drop(&mut self) {
        self.0.lock().worker_gone = true;
        self.0.collector.wake();
    }
}
