//! A panic in the engine itself: the pool is given up, and nobody waits for ever.

use std::sync::Arc;

use allcores_engine::link::{Answer, Peer, Pollable, Receiver, local};
use allcores_engine::scheduler::Config;
use allcores_engine::{
    EngineError, Failure, LinkKind, Notice, Pool, PoolConfig, Slot, SubmitError,
};

use crate::common::watched;
use crate::front::failure;

/// A link that is heard once too often.
struct Bomb(Box<dyn Receiver>);

impl Receiver for Bomb {
    fn drain(&mut self, readable: bool, answers: &mut Vec<Answer>) -> Result<Peer, EngineError> {
        let before = answers.len();
        let peer = self.0.drain(readable, answers);
        assert!(answers.len() == before, "a bomb");
        peer
    }

    fn has_news(&self) -> bool {
        self.0.has_news()
    }

    fn fd(&self) -> Option<Pollable> {
        self.0.fd()
    }
}

/// A pool with a worker whose first word is the end of its collector.
fn doomed() -> (Pool, Vec<Arc<Slot>>, local::LocalWorker) {
    let config = Config { max_workers: 2, ..Config::default() };
    let pool = Pool::new(PoolConfig { scheduler: config, link: LinkKind::Stream }).unwrap();
    pool.listen();
    pool.start_collector().unwrap();
    let slots = (0..3).map(|_| pool.submit(None, 0, 1, Vec::new().into()).unwrap()).collect();
    let (mut end, worker) = local::open(pool.waker());
    end.receiver = Box::new(Bomb(end.receiver));
    pool.add_worker(end).unwrap();
    (pool, slots, worker)
}

#[test]
fn a_panic_of_the_collector_fails_every_batch_and_ends_the_pool() {
    watched(|| {
        let (pool, slots, worker) = doomed();
        let mut port = allcores_engine::Port::over(Box::new(worker));
        port.ready().unwrap();
        let expected = Failure::Engine("a bomb".into());
        for slot in &slots {
            assert_eq!(failure(slot), expected);
        }
        assert_eq!(pool.broken(), Some(expected.clone()));
        let refused = pool.submit(None, 0, 1, Vec::new().into());
        assert_eq!(refused.err(), Some(SubmitError::Broken(expected)));
        assert!(port.next_work().unwrap().is_none(), "the worker is told to leave");
        assert!(!pool.stop(&slots[0]) && !pool.cancel(&slots[0]) && !pool.is_running(&slots[0]));
        assert!(pool.open_link().unwrap().is_none(), "nobody is wanted");
        pool.end();
        pool.shut_down(false);
        assert!(pool.join(None));
        while pool.next_notice(None) != Some(Notice::Finished) {}
    });
}

#[test]
fn a_panic_after_the_shutdown_does_not_keep_anybody_waiting() {
    watched(|| {
        let (pool, slots, worker) = doomed();
        pool.shut_down(false);
        let mut port = allcores_engine::Port::over(Box::new(worker));
        port.ready().unwrap();
        assert!(pool.join(None));
        slots.iter().for_each(|slot| assert!(matches!(failure(slot), Failure::Engine(_))));
    });
}
