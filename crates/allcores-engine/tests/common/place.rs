//! Where a worker runs: in a thread, or in a process that is this test binary once more.
//!
//! A process has its control socket as standard input and its gate as standard output. What the
//! test harness prints there is text, so it is none of the gate's bytes.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use allcores_engine::{LinkKind, Port};

use super::worker::{ENTERED, Ending, work};

const LINK: &str = "ALLCORES_TEST_LINK";
const PROGRAM: &str = "ALLCORES_TEST_PROGRAM";

/// The parent's end of what holds a worker in the middle of a batch.
pub(crate) struct Gate(pub(crate) UnixStream);

impl Gate {
    /// Waits until a worker holds there.
    pub(crate) fn entered(&mut self) {
        let mut byte = [0];
        while byte[0] != ENTERED {
            self.0.read_exact(&mut byte).expect("a worker that holds lives");
        }
    }

    /// Lets one worker on.
    pub(crate) fn open(&mut self) {
        self.0.write_all(&[1]).expect("a worker that holds lives");
    }
}

/// A worker that runs.
pub(crate) enum Running {
    Thread(JoinHandle<Ending>),
    Process(Child),
}

impl Running {
    /// In a thread; `number` is its name among workers.
    pub(crate) fn thread(
        number: u64,
        attach: impl FnOnce() -> Port + Send + 'static,
    ) -> (Running, Gate) {
        let (ours, theirs) = UnixStream::pair().expect("a gate");
        let thread = std::thread::spawn(move || work(attach(), theirs, number));
        (Running::Thread(thread), Gate(ours))
    }

    /// In a process that runs `program`; its number is its process id.
    pub(crate) fn process(program: &str, kind: LinkKind, control: OwnedFd) -> (Running, Gate) {
        let (ours, theirs) = UnixStream::pair().expect("a gate");
        let child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["worker_process", "--exact", "--nocapture", "--test-threads=1"])
            .env(PROGRAM, program)
            .env(LINK, if kind == LinkKind::Shm { "shm" } else { "stream" })
            .stdin(Stdio::from(control))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .expect("a second process");
        (Running::Process(child), Gate(ours))
    }

    /// Waits for its end. `Ok` for a thread, the exit status of a process.
    pub(crate) fn join(self) -> Result<Ending, ExitStatus> {
        match self {
            Running::Thread(thread) => Ok(thread.join().expect("the worker does not panic")),
            Running::Process(mut child) => Err(child.wait().expect("a child of ours")),
        }
    }
}

/// What a copy of this binary runs: `run` with the program's name, its link and its ends. Does
/// nothing in the original.
pub(crate) fn in_a_process(run: impl FnOnce(&str, LinkKind, OwnedFd, UnixStream) -> Ending) {
    let Ok(program) = std::env::var(PROGRAM) else { return };
    let kind = match std::env::var(LINK).as_deref() {
        Ok("shm") => LinkKind::Shm,
        _ => LinkKind::Stream,
    };
    let control = std::io::stdin().as_fd().try_clone_to_owned().expect("a descriptor");
    let gate = std::io::stdout().as_fd().try_clone_to_owned().expect("a descriptor");

    let ending = run(&program, kind, control, UnixStream::from(gate));
    std::process::exit(if ending == Ending::Left { 0 } else { 3 });
}

/// The ordinary worker.
pub(crate) fn ordinary(kind: LinkKind, control: OwnedFd, gate: UnixStream) -> Ending {
    let port = Port::attach(kind, control).expect("the parent has sent what it must");
    work(port, gate, std::process::id().into())
}
