//! A thread that writes what has come, marks in the journal what is safe, and shows how far it is.
//!
//! The run's thread only appends to two buffers. Every 50 ms, or when much has come, they are taken
//! together and written, the errors first (`recover` relies on it). So a result is on its way to the
//! disk at once, however long the next one takes, and no wait for a disk holds up the pool.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::journal::{Journal, Mark};
use super::records::Framing;
use super::selection::Shared;
use crate::clock;
use crate::error::Error;
use crate::render::{self, progress};

const PAUSE: Duration = Duration::from_millis(50);
const BETWEEN_MARKS: Duration = Duration::from_secs(1);
const BETWEEN_DRAWINGS: Duration = Duration::from_millis(100);
const MUCH: usize = 1 << 18;
const TOO_MUCH: usize = 1 << 23;

/// Where the results go, and what goes with them.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) output: File,
    pub(crate) output_path: PathBuf,
    pub(crate) framing: Framing,
    /// Opened when the first line comes.
    pub(crate) errors: Option<File>,
    pub(crate) errors_path: Option<PathBuf>,
    /// Only a file that stays has one.
    pub(crate) journal: Option<Journal>,
    /// As the files are now.
    pub(crate) mark: Mark,
    /// What to say when the disk is full.
    pub(crate) hint: String,
}

/// How the progress is to be shown.
#[derive(Debug)]
pub(crate) struct Watched {
    /// On a terminal.
    pub(crate) is_drawn: bool,
    pub(crate) begun: Instant,
    pub(crate) before: u64,
    pub(crate) total: Option<u64>,
    /// Bytes of the input.
    pub(crate) size: Option<u64>,
    pub(crate) shared: Shared,
}

impl Watched {
    pub(crate) fn snapshot(&self, done: u64, failed: u64) -> progress::Snapshot {
        let (read, read_before) = {
            let shared = self.shared.lock();
            (shared.read, shared.read_before)
        };
        let share = |bytes| self.size.map(|size| bytes as f64 / size.max(1) as f64);
        progress::Snapshot {
            done,
            failed,
            before: self.before,
            total: self.total,
            share: share(read),
            share_before: share(read_before).unwrap_or(0.0),
            elapsed: clock::now() - self.begun,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    output: Vec<u8>,
    errors: Vec<u8>,
    done: u64,
    failed: u64,
    has_ended: bool,
    is_broken: bool,
}

#[derive(Debug, Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The run's end of it.
#[derive(Debug)]
pub(crate) struct Writer {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<(Files, Result<(), Error>)>>,
}

impl Writer {
    /// Starts the thread. Workers that are to be forked should have been by now.
    pub(crate) fn start(files: Files, watched: Arc<Watched>) -> Writer {
        let state = State { done: files.mark.done, failed: files.mark.failed, ..State::default() };
        let desk = Arc::new(Desk { state: Mutex::new(state), changed: Condvar::new() });
        let theirs = Arc::clone(&desk);
        let thread = std::thread::spawn(move || work(&theirs, files, &watched));
        Writer { desk, thread: Some(thread) }
    }

    /// Has bytes of whole records written, and counts the item they belong to.
    pub(crate) fn push(&self, fill: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>) -> Count) {
        let mut state = self.desk.lock();
        let state = &mut *state;
        let before = state.output.len();
        match fill(&mut state.output, &mut state.errors) {
            Count::Done => state.done += 1,
            Count::Failed => {
                state.done += 1;
                state.failed += 1;
            }
            Count::Nothing => {}
        }
        if before < MUCH && state.output.len() >= MUCH {
            self.desk.changed.notify_all();
        }
    }

    /// Whether the disk is so far behind that the run had better wait.
    pub(crate) fn is_behind(&self) -> bool {
        let state = self.desk.lock();
        state.output.len() >= TOO_MUCH && !state.is_broken
    }

    /// Waits until it is not.
    pub(crate) fn wait(&self) {
        let state = self.desk.lock();
        let is_behind = |state: &mut State| state.output.len() >= TOO_MUCH && !state.is_broken;
        drop(self.desk.changed.wait_while(state, is_behind));
    }

    /// Whether nothing can be written any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.desk.lock().is_broken
    }

    /// Writes and marks all that has come.
    pub(crate) fn end(mut self) -> (Option<Files>, Result<(), Error>) {
        self.desk.lock().has_ended = true;
        self.desk.changed.notify_all();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok((files, result))) => (Some(files), result),
            _ => (None, Ok(())),
        }
    }
}

/// What an item that was pushed has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// A result.
    Done,
    /// No result.
    Failed,
    /// It was no item.
    Nothing,
}

fn work(desk: &Desk, mut files: Files, watched: &Watched) -> (Files, Result<(), Error>) {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let (mut marked, mut drawn) = (clock::now(), clock::now());
    let mut result = Ok(());
    loop {
        let state = desk.lock();
        let is_quiet = |state: &mut State| state.output.len() < MUCH && !state.has_ended;
        let (mut state, _) = desk
            .changed
            .wait_timeout_while(state, PAUSE, is_quiet)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.output, &mut output);
        std::mem::swap(&mut state.errors, &mut errors);
        let (done, failed, has_ended) = (state.done, state.failed, state.has_ended);
        drop(state);
        desk.changed.notify_all();

        if result.is_ok() {
            result = files.write(&output, &errors, done, failed);
            let now = clock::now();
            if result.is_ok() && (has_ended || now - marked >= BETWEEN_MARKS) {
                result = files.keep();
                marked = clock::now();
            }
            if result.is_err() {
                desk.lock().is_broken = true;
                desk.changed.notify_all();
            }
            if watched.is_drawn && !has_ended && now - drawn >= BETWEEN_DRAWINGS {
                let line = progress::line(&watched.snapshot(done, failed));
                render::complain(&format!("\r{line}\x1b[K"));
                drawn = now;
            }
        }
        output.clear();
        errors.clear();
        if has_ended {
            if watched.is_drawn {
                render::complain("\r\x1b[K");
            }
            return (files, result);
        }
    }
}

impl Files {
    fn write(&mut self, output: &[u8], errors: &[u8], done: u64, failed: u64) -> Result<(), Error> {
        if !errors.is_empty() {
            self.write_errors(errors)?;
        }
        if !output.is_empty() {
            let (written, result) = write_counted(&mut self.output, output);
            if let Err(source) = result {
                self.cut(&output[..written]);
                return Err(self.failed(&self.output_path, source));
            }
            self.mark.output += written as u64;
        }
        self.mark.done = done;
        self.mark.failed = failed;
        Ok(())
    }

    fn write_errors(&mut self, errors: &[u8]) -> Result<(), Error> {
        let Some(path) = &self.errors_path else {
            render::complain(&String::from_utf8_lossy(errors));
            return Ok(());
        };
        let file = match &mut self.errors {
            Some(file) => file,
            empty => {
                let mut options = File::options();
                let opened = options.append(true).create(true).open(path);
                empty.insert(opened.map_err(|source| self_failed(path, source, &self.hint))?)
            }
        };
        let (written, result) = write_counted(file, errors);
        self.mark.errors += written as u64;
        result.map_err(|source| self_failed(path, source, &self.hint))
    }

    /// A record of which only a part found room had better not stand there at all.
    fn cut(&mut self, part: &[u8]) {
        let whole = match self.framing {
            Framing::Lines => memchr::memrchr(b'\n', part).map_or(0, |at| at + 1),
            Framing::Csv | Framing::Frames => 0,
        };
        if self.journal.is_some() {
            // If this fails too, `--resume` cuts it.
            let _ = self.output.set_len(self.mark.output + whole as u64);
        }
    }

    /// Everything onto the disk, and a mark that says so.
    fn keep(&mut self) -> Result<(), Error> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let kept = (self.errors.as_ref().map_or(Ok(()), File::sync_data))
            .and_then(|()| self.output.sync_data())
            .and_then(|()| journal.mark(&self.mark));
        kept.map_err(|source| self_failed(&self.output_path, source, &self.hint))
    }

    fn failed(&self, path: &std::path::Path, source: io::Error) -> Error {
        self_failed(path, source, &self.hint)
    }
}

fn self_failed(path: &std::path::Path, source: io::Error, hint: &str) -> Error {
    match source.kind() {
        io::ErrorKind::BrokenPipe => Error::Unread,
        _ => Error::WriteFailed { path: path.to_owned(), source, hint: hint.to_owned() },
    }
}

/// Writes all, or says how much was written before it went wrong.
fn write_counted(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}
