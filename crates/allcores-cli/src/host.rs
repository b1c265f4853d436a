//! What the command needs of Python, as a trait: so that it can be tested without.

use std::path::{Path, PathBuf};

use crate::formats::{Calling, Format};
use crate::run::feed::Records;
use crate::run::selection::Selector;

/// Python, as the command sees it.
pub trait Host {
    /// The version of the package.
    fn version(&self) -> &'static str;

    /// Imports `module:function`; what tells its code from another's.
    fn fingerprint(&self, target: &str) -> Result<String, HostError>;

    /// Starts to run `job` over `items`.
    fn open<'h>(&'h self, job: &Job, items: Items) -> Result<Box<dyn Results + 'h>, HostError>;

    /// How many rows a table has.
    fn rows(&self, table: &Path) -> Result<u64, HostError>;

    /// Makes a table of the frames in `spool` (which begin with an index if `indexed`).
    fn write_table(&self, spool: &Path, table: &Path, indexed: bool) -> Result<(), HostError>;

    /// Does `work` while others may run Python.
    fn aside(&self, work: &mut (dyn FnMut() + Send));

    /// What can be said of this Python and this machine.
    fn facts(&self) -> Result<Vec<Fact>, HostError>;

    /// Measures a function over items on every rung; the words for it.
    fn compare(&self, request: &Request) -> Result<String, HostError>;

    /// Says what could be gained and what stands in the way.
    fn explain(&self, request: &Request) -> Result<String, HostError>;
}

/// What came of the items, one by one.
pub trait Results {
    /// Hands the next outcome over; false when there is none left.
    fn next(&mut self, take: &mut dyn FnMut(Outcome<'_>)) -> Result<bool, HostError>;

    /// Ends what runs and takes nothing more.
    fn abandon(&mut self);
}

/// What shall be run, and how.
#[derive(Clone, Debug)]
pub struct Job {
    /// `module:function`.
    pub target: String,
    /// The input as messages name it.
    pub name: String,
    /// How the record lies in its bytes.
    pub input: Format,
    /// How the result shall.
    pub output: Format,
    /// How a record becomes arguments.
    pub calling: Calling,
    /// The header of a CSV input.
    pub header: Option<Vec<u8>>,
    /// A name of the ladder.
    pub backend: String,
    /// How many at the same time.
    pub workers: Option<usize>,
    /// Seconds that an item may run.
    pub timeout: Option<f64>,
    /// How often it is tried again.
    pub retries: u32,
    /// In the order of the items; else each says its position.
    pub ordered: bool,
    /// Where to write when what ran.
    pub trace: Option<PathBuf>,
}

/// Where the items come from.
pub enum Items {
    /// Bytes that the workers parse.
    Records(Box<dyn Records>),
    /// The rows of a table, which the host reads, and which of them.
    Table(PathBuf, Selector),
}

/// What came of one item. `position`: the how manieth item handed out it was, if they come in no
/// order.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// Bytes of the result in the output's format, without the end of the line.
    Finished(Option<u64>, &'a [u8]),
    /// Why there is none.
    Failed(Option<u64>, Failure),
}

/// Why there is no result.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    /// The class of the exception.
    pub kind: String,
    /// Its text.
    pub message: String,
    /// As Python prints it; empty if there is none.
    pub traceback: String,
    /// The record, cut.
    pub input: String,
}

/// Why the host could not.
#[derive(Debug)]
pub enum HostError {
    /// A Ctrl-C.
    Interrupted,
    /// What was asked for can't be meant.
    Refused(String),
    /// Something went wrong.
    Broken(String),
}

/// How good or bad a fact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// Costs speed or breaks things.
    Bad,
}

/// Something about this Python or this machine.
#[derive(Clone, Debug)]
pub struct Fact {
    /// What it is about.
    pub name: String,
    /// How it stands.
    pub value: String,
    /// Whether that is good.
    pub state: State,
    /// The next step; empty if there is none.
    pub hint: String,
}

/// What shall be compared or explained.
#[derive(Clone, Debug)]
pub struct Request {
    /// `module:function`.
    pub target: String,
    /// The file of items.
    pub input: Option<PathBuf>,
    /// How it lies there.
    pub format: Format,
    /// How a record becomes arguments.
    pub calling: Calling,
    /// How many items at most.
    pub sample: usize,
    /// Names of the ladder; empty for all.
    pub backends: Vec<String>,
    /// A page to write.
    pub html: Option<PathBuf>,
    /// A file of figures to write.
    pub json: Option<PathBuf>,
}
