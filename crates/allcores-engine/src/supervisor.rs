//! Ending workers from outside.
//!
//! A worker normally leaves by itself, when it is told to stop or sees its control socket
//! end. What is here is for the others. Process ids come from the workers' own greeting,
//! and a worker is signalled only while its link is open, so the id is still its own.

use rustix::process::{Pid, Signal, kill_process};

/// How hard a worker is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// SIGTERM: it may clean up.
    Terminate,
    /// SIGKILL: it may not.
    Kill,
}

/// Signals the process `pid`. One that has gone is not an error.
pub fn end_process(pid: u32, force: Force) {
    let signal = match force {
        Force::Terminate => Signal::TERM,
        Force::Kill => Signal::KILL,
    };
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It has ended by itself: that is what was wanted.
        let _gone = kill_process(pid, signal);
    }
}
