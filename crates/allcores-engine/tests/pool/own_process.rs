//! What can only be seen in a process where no other test runs: each of these starts this binary
//! again for itself alone.

use std::process::Command;

use allcores_engine::scheduler::Config;
use allcores_engine::{Failure, LinkKind, Pool, PoolConfig};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::common::watched;
use crate::common::worker::Job;
use crate::front::{Plan, Way, answer, failure};

const ALONE: &str = "ALLCORES_TEST_ALONE";

/// Runs `test`, which is called `name`, in a process of its own.
fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .status();
    assert!(status.unwrap().success(), "see its output");
}

#[cfg(target_os = "linux")]
fn entries(of: &str) -> usize {
    std::fs::read_dir(of).unwrap().count()
}

#[cfg(target_os = "linux")]
#[test]
fn no_thread_and_no_descriptor_is_left_of_a_pool() {
    let before_and_after = || {
        let count = || (entries("/proc/self/fd"), entries("/proc/self/task"));
        let before = count();
        for kind in [LinkKind::Shm, LinkKind::Stream] {
            for way in [Way::Local, Way::Thread(kind), Way::Process(kind)] {
                let front = Plan::new(way).workers(3).open();
                let slots: Vec<_> =
                    (0..30).map(|_| front.submit(Job::Echo, &[1; 300_000])).collect();
                slots.iter().for_each(|slot| drop(answer(slot)));
                front.close();
            }
        }
        // A thread is counted until it is quite gone; the watchdog ends a wait for what never goes.
        while count() != before {
            std::thread::yield_now();
        }
    };
    let name = "own_process::no_thread_and_no_descriptor_is_left_of_a_pool";
    alone(name, || watched(before_and_after));
}

#[test]
fn a_link_that_cannot_be_made_breaks_the_pool() {
    let no_descriptor = || {
        let config = PoolConfig { scheduler: Config::default(), link: LinkKind::Shm };
        let pool = Pool::new(config).unwrap();
        let slot = pool.submit(None, 0, 1, Vec::new().into()).unwrap();
        assert_eq!(pool.take_workers_wanted(), 1);
        setrlimit(Resource::Nofile, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
        assert!(pool.open_link().is_err());
        assert!(matches!(failure(&slot), Failure::StartFailed { .. }));
        assert!(pool.check_open().is_err());
        pool.shut_down(false);
        assert!(pool.join(None));
    };
    alone("own_process::a_link_that_cannot_be_made_breaks_the_pool", || watched(no_descriptor));
}
