//! Workers that cannot be started, or not made ready.

use std::os::fd::OwnedFd;

use allcores_engine::scheduler::{Config, OnLost};
use allcores_engine::{Failure, LinkKind, Notice, Pool, PoolConfig, Port, SubmitError};

use crate::common::watched;
use crate::common::worker::{Ending, Job};
use crate::front::{Plan, Way, failure};

/// A worker that says that it cannot.
pub(crate) fn hopeless(kind: LinkKind, control: OwnedFd) -> Ending {
    let mut port = Port::attach(kind, control).unwrap();
    port.start_failed(b"no initializer").unwrap();
    Ending::Left
}

#[test]
fn a_worker_that_cannot_get_ready_breaks_the_pool_and_says_why() {
    watched(|| {
        for kind in [LinkKind::Shm, LinkKind::Stream] {
            let plan = Plan::new(Way::Process(kind)).on_lost(OnLost::Replace).workers(2);
            let front = plan.first_runs("hopeless").open();
            let slot = front.submit(Job::Echo, b"");
            assert!(matches!(failure(&slot), Failure::StartFailed { .. }));
            assert_eq!(front.pool().start_failure().as_deref(), Some(&b"no initializer"[..]));
            assert!(matches!(front.pool().check_open(), Err(SubmitError::Broken(_))));
            front.heard(|notice| matches!(notice, Notice::WorkerGone(_)));
            front.close();
        }
    });
}

#[test]
fn a_process_that_cannot_be_started_breaks_the_pool() {
    watched(|| {
        for kind in [LinkKind::Shm, LinkKind::Stream] {
            let config = PoolConfig { scheduler: Config::default(), link: kind };
            let pool = Pool::new(config).unwrap();
            pool.start_collector().unwrap();
            let slot = pool.submit(None, 0, 1, Vec::new().into()).unwrap();
            assert_eq!(pool.take_workers_wanted(), 1);
            assert_eq!(pool.take_workers_wanted(), 0, "asking takes the number away");
            let (worker, control) = pool.open_link().unwrap().unwrap();
            pool.start_failed(worker);
            drop(control);
            assert_eq!(failure(&slot), Failure::StartFailed { worker });
            assert!(pool.open_link().unwrap().is_none(), "no worker is wanted any more");
            pool.shut_down(false);
            assert!(pool.join(None));
        }
    });
}

#[test]
fn a_worker_that_is_not_wanted_any_more_gets_no_link() {
    watched(|| {
        let config = PoolConfig { scheduler: Config::default(), link: LinkKind::Shm };
        let pool = Pool::new(config).unwrap();
        let slot = pool.submit(None, 0, 1, Vec::new().into()).unwrap();
        assert!(pool.cancel(&slot));
        pool.shut_down(true);
        assert!(pool.open_link().unwrap().is_none());
        assert!(pool.control_fds().is_empty());
    });
}
