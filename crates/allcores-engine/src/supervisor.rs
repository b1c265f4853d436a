//! Ending workers from outside.
//!
//! A worker normally leaves by itself, when it is told to stop or sees its control socket
//! end. What is here is for the others. Process ids come from the workers' own greeting,
//! and a worker is signalled only while its link is open, so the id is still its own.
//!
//! A worker's *tree* is the worker and what it has started, and so on. It is stopped before it
//! is looked through, since what is stopped starts nothing; a worker adopts the orphans
//! among its descendants, so they are found too. Only Linux tells who somebody's children are
//! and whether a process has stopped; elsewhere the worker alone is the tree.

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
    signal_process(pid, signal);
}

/// Kills the process `pid` and all that it has started.
pub fn end_tree(pid: u32) {
    Tree::stop(pid).kill();
}

fn signal_process(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It has ended by itself: that is what was wanted.
        let _gone = kill_process(pid, signal);
    }
}

/// A process and its descendants, all of them stopped.
#[derive(Debug)]
pub struct Tree {
    /// The eldest first.
    pids: Vec<u32>,
}

impl Tree {
    /// Stops a process and all that it has started.
    pub fn stop(pid: u32) -> Tree {
        signal_process(pid, Signal::STOP);
        let mut pids = vec![pid];
        system::complete(&mut pids);
        Tree { pids }
    }

    /// Kills all of it.
    pub fn kill(self) {
        // The worker last: its end is what others wait for.
        for pid in self.pids.into_iter().rev() {
            signal_process(pid, Signal::KILL);
        }
    }

    /// Lets all of it go on.
    pub fn resume(self) {
        for pid in self.pids.into_iter().rev() {
            signal_process(pid, Signal::CONT);
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::fs;

    use super::{Signal, signal_process};

    /// A process that is deep in the kernel stops when it comes out; so often it is looked at.
    const MOST_LOOKS: u32 = 10_000;

    /// Adds all descendants, and waits until all of them have stopped.
    pub(super) fn complete(pids: &mut Vec<u32>) {
        for _ in 0..MOST_LOOKS {
            let known = pids.len();
            // Who has stopped before its children are read starts no others.
            let mut still = true;
            let mut at = 0;
            while let Some(pid) = pids.get(at).copied() {
                at += 1;
                for task in tasks(pid) {
                    still &= is_still(&task);
                    for child in children(&task) {
                        if !pids.contains(&child) {
                            signal_process(child, Signal::STOP);
                            pids.push(child);
                        }
                    }
                }
            }
            if still && pids.len() == known {
                return;
            }
            std::thread::yield_now();
        }
    }

    fn tasks(pid: u32) -> Vec<String> {
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
        entries.flatten().filter_map(|entry| entry.path().to_str().map(str::to_owned)).collect()
    }

    fn children(task: &str) -> Vec<u32> {
        let listed = fs::read_to_string(format!("{task}/children")).unwrap_or_default();
        listed.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Stopped, dead, or in a state in which it runs nothing of its own.
    fn is_still(task: &str) -> bool {
        // The name before the state may hold anything.
        let Ok(stat) = fs::read(format!("{task}/stat")) else { return true };
        let state = stat.iter().rposition(|byte| *byte == b')').and_then(|end| stat.get(end + 2));
        state.is_none_or(|state| b"TtZXD".contains(state))
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    pub(super) fn complete(_: &mut Vec<u32>) {}
}
