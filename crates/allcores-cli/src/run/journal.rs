//! The journal beside an output: for which run it is, and how much of it is safe.
//!
//! One JSON object a line. The first is the run's identity. Each other is a *mark*: so many items
//! are done, and the files are so long; it is written after the files have been synchronized. What
//! a file holds beyond the last mark is whole up to its last record as long as the machine has not
//! been started anew, since a kernel that lives forgets no write and changes no order; therefore a
//! mark names the machine's boot.
//!
//! The journal is locked while a run is at work, by a lock that ends with the process and is not
//! inherited by workers.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use serde_json::{Map, Value, json};

use crate::error::Error;

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Items that have ended, from the first on; in an unordered run their number.
    pub(crate) done: u64,
    /// Those of them that failed.
    pub(crate) failed: u64,
    /// Bytes of the output.
    pub(crate) output: u64,
    /// Bytes of the errors.
    pub(crate) errors: u64,
    /// The machine's boot; empty if it can't be told.
    pub(crate) boot: String,
}

/// What an earlier run has left.
#[derive(Debug)]
pub(crate) struct Earlier {
    /// Its identity.
    pub(crate) identity: Map<String, Value>,
    /// Its last mark.
    pub(crate) mark: Mark,
    /// A retry has been done, and only its files must get their names.
    pub(crate) is_renaming: bool,
}

/// An open, locked journal.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    pub(crate) path: PathBuf,
}

impl Journal {
    /// Opens or makes the journal at `path`, and reads what an earlier run has left.
    pub(crate) fn open(path: &Path, output: &Path) -> Result<(Journal, Option<Earlier>), Error> {
        let unwritable = |source| Error::Unwritable { path: output.to_owned(), source };
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(unwritable)?;
        if fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(Error::Locked { path: output.to_owned() });
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(unwritable)?;
        Ok((Journal { file, path: path.to_owned() }, earlier(&text)))
    }

    /// Begins anew, for a run with this identity.
    pub(crate) fn begin(&mut self, identity: &Map<String, Value>) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.append(&json!({ "allcores": 1, "run": identity }))
    }

    /// Writes a mark; all before it is on the disk already.
    pub(crate) fn mark(&mut self, mark: &Mark) -> io::Result<()> {
        self.append(&json!({
            "done": mark.done, "failed": mark.failed, "output": mark.output,
            "errors": mark.errors, "boot": mark.boot,
        }))
    }

    /// Says that a retry is done but for the names of its files.
    pub(crate) fn note_renaming(&mut self) -> io::Result<()> {
        self.append(&json!({ "renaming": true }))
    }

    /// The run is over.
    pub(crate) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    fn append(&mut self, value: &Value) -> io::Result<()> {
        self.file.write_all(format!("{value}\n").as_bytes())?;
        self.file.sync_data()
    }

    /// Goes to the end of what was read, and cuts off a line that was not finished.
    pub(crate) fn go_on(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.file.set_len(whole as u64)?;
        self.file.seek(SeekFrom::Start(whole as u64)).map(drop)
    }
}

fn earlier(text: &[u8]) -> Option<Earlier> {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').map_while(|line| {
        line.ends_with(b"\n").then(|| serde_json::from_slice::<Value>(line).ok()).flatten()
    });
    let identity = lines.next()?.get("run")?.as_object()?.clone();
    let mut found = Earlier { identity, mark: Mark::default(), is_renaming: false };
    for line in lines {
        let number = |name: &str| line.get(name).and_then(Value::as_u64);
        if line.get("renaming").is_some() {
            found.is_renaming = true;
        } else if let (Some(done), Some(failed), Some(output), Some(errors)) =
            (number("done"), number("failed"), number("output"), number("errors"))
        {
            let boot = line.get("boot").and_then(Value::as_str).unwrap_or_default().to_owned();
            found.mark = Mark { done, failed, output, errors, boot };
        }
    }
    Some(found)
}

/// What tells this start of the machine from others; empty where nothing does.
pub(crate) fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Mark, earlier};

    #[test]
    fn last_whole_mark_counts_and_a_cut_one_does_not() {
        let text = b"{\"allcores\":1,\"run\":{\"function\":\"m:f\"}}\n\
            {\"done\":3,\"failed\":1,\"output\":30,\"errors\":9,\"boot\":\"b\"}\n\
            {\"done\":5,\"failed\":1,\"output\":50,\"errors\":9,\"boot\":\"b\"}\n\
            {\"done\":7,\"fai";
        let found = earlier(text).unwrap();
        assert_eq!(found.identity["function"], "m:f");
        let mark = Mark { done: 5, failed: 1, output: 50, errors: 9, boot: "b".to_owned() };
        assert_eq!(found.mark, mark);
    }

    #[test]
    fn bytes_that_are_no_journal_are_none() {
        assert!(earlier(b"").is_none());
        assert!(earlier(b"\0\0\0\0\n").is_none());
        assert!(earlier(b"{\"allcores\":1,\"run\":{}}").is_none());
    }
}
