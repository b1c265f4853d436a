//! What can go wrong, in words, with the exit code.

use std::io;
use std::path::PathBuf;

use crate::host::HostError;
use crate::{FAILED, INTERRUPTED, UNREAD, USAGE};

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The ending of a path names no format.
    #[error(
        "the ending of `{}` names no format\n\
         hint: say it with `{option}`: jsonl, text, csv or parquet", .path.display()
    )]
    UnknownFormat {
        /// Whose.
        path: PathBuf,
        /// The option that would.
        option: &'static str,
    },
    /// What is compressed comes and goes through a pipe.
    #[error("`{}` is compressed\nhint: send it through a pipe: `{pipe}`", .path.display())]
    Compressed {
        /// Which.
        path: PathBuf,
        /// How.
        pipe: String,
    },
    /// A table can't come or go through a pipe.
    #[error("a Parquet file can't be read from or written to a pipe\nhint: name a file")]
    TableInPipe,
    /// A file can't be opened.
    #[error("`{}` can't be read: {source}\nhint: look at its path and its permissions", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file can't be made.
    #[error(
        "`{}` can't be written: {source}\nhint: look at its folder and its permissions", .path.display()
    )]
    Unwritable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Failed items can't be listed there.
    #[error(
        "`{}` is no file that keeps what failed\n\
         hint: name a file; `--retry-failed` and `--resume` read it", .path.display()
    )]
    NoListing {
        /// Where.
        path: PathBuf,
    },
    /// Two of the files are one.
    #[error("{one} and {other} are the same file, `{}`\nhint: choose another name", .path.display())]
    SameFile {
        /// The one.
        one: &'static str,
        /// The other.
        other: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// There is something already.
    #[error("`{}` exists already\nhint: `--overwrite` replaces it", .path.display())]
    OutputExists {
        /// What.
        path: PathBuf,
    },
    /// An earlier run was not finished.
    #[error(
        "an earlier run into `{}` was not finished\n\
         hint: `--resume` goes on where it stopped, `--overwrite` starts anew", .path.display()
    )]
    Unfinished {
        /// Into what.
        path: PathBuf,
    },
    /// Another process is at work on it.
    #[error("another run is writing `{}` right now\nhint: wait for it, or end it", .path.display())]
    Locked {
        /// What.
        path: PathBuf,
    },
    /// Nothing can be resumed there.
    #[error("{what} needs an output file\nhint: name one with `-o`")]
    NoFile {
        /// The option.
        what: &'static str,
    },
    /// The journal belongs to another run.
    #[error(
        "`{}` was begun with another {what}: {was}, now {now}\n\
         hint: give what it was begun with, `--accept-changes` to go on all the same, or \
         `--overwrite` to start anew", .path.display()
    )]
    Different {
        /// Of what output.
        path: PathBuf,
        /// What differs.
        what: String,
        /// As it was.
        was: String,
        /// As it is.
        now: String,
    },
    /// What was written is not there any more.
    #[error(
        "`{}` does not hold what its journal says: {why}\n\
         hint: was it changed by hand? `--overwrite` starts anew", .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is missing.
        why: &'static str,
    },
    /// There is nothing to retry.
    #[error(
        "`{}` lists no failed items\nhint: `--retry-failed` needs the output and the errors of a \
         finished run", .path.display()
    )]
    NothingFailed {
        /// The errors' file.
        path: PathBuf,
    },
    /// Tables are written at the end.
    #[error(
        "failed items of a Parquet output can't be put in their places later\n\
         hint: write `.jsonl` or `.csv` if you want to retry"
    )]
    TableRetry,
    /// A header is there twice, or a name is.
    #[error("`{}` has no header line\nhint: the first line of a CSV file names its columns", .path.display())]
    NoHeader {
        /// The file.
        path: PathBuf,
    },
    /// Writing failed in the middle.
    #[error("`{}` could not be written: {source}\nhint: {hint}", .path.display())]
    WriteFailed {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
        /// The next step.
        hint: String,
    },
    /// Nobody reads the output any more.
    #[error("nobody reads the output any more")]
    Unread,
    /// A file is no trace.
    #[error("`{}` is no trace: {why}\nhint: `allcores run --trace FILE` writes one", .path.display())]
    NoTrace {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A Ctrl-C; what can be done now.
    #[error("interrupted{hint}")]
    Interrupted {
        /// Begins with a comma or a line.
        hint: String,
    },
    /// The host refuses.
    #[error("{0}")]
    Refused(Said),
    /// The host failed.
    #[error("{0}")]
    Broken(Said),
}

/// Words that come from Python.
#[derive(Debug)]
pub(crate) struct Said(String);

impl std::fmt::Display for Said {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(&self.0)
    }
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Error {
        match error {
            HostError::Interrupted => Error::Interrupted { hint: String::new() },
            HostError::Refused(words) => Error::Refused(Said(words)),
            HostError::Broken(words) => Error::Broken(Said(words)),
        }
    }
}

impl Error {
    /// What the shell gets.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Error::WriteFailed { .. } | Error::Damaged { .. } | Error::Broken(_) => FAILED,
            Error::Interrupted { .. } => INTERRUPTED,
            Error::Unread => UNREAD,
            _ => USAGE,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::{Error, Said};

    /// The one that comes after `error` in the list; a new variant does not compile without a place
    /// in it.
    fn next(error: Option<&Error>) -> Option<Error> {
        let path = || PathBuf::from("folder/file");
        let source = || io::Error::from(io::ErrorKind::PermissionDenied);
        let said = || Said("words of Python's\nhint: and its hint".to_owned());
        Some(match error {
            None => Error::UnknownFormat { path: path(), option: "--format" },
            Some(Error::UnknownFormat { .. }) => {
                Error::Compressed { path: path(), pipe: "gzip -dc …".to_owned() }
            }
            Some(Error::Compressed { .. }) => Error::TableInPipe,
            Some(Error::TableInPipe) => Error::Unreadable { path: path(), source: source() },
            Some(Error::Unreadable { .. }) => Error::Unwritable { path: path(), source: source() },
            Some(Error::Unwritable { .. }) => Error::NoListing { path: path() },
            Some(Error::NoListing { .. }) => {
                Error::SameFile { one: "input", other: "output", path: path() }
            }
            Some(Error::SameFile { .. }) => Error::OutputExists { path: path() },
            Some(Error::OutputExists { .. }) => Error::Unfinished { path: path() },
            Some(Error::Unfinished { .. }) => Error::Locked { path: path() },
            Some(Error::Locked { .. }) => Error::NoFile { what: "`--resume`" },
            Some(Error::NoFile { .. }) => Error::Different {
                path: path(),
                what: "function".to_owned(),
                was: "`a:b`".to_owned(),
                now: "`a:c`".to_owned(),
            },
            Some(Error::Different { .. }) => {
                Error::Damaged { path: path(), why: "it is shorter than it was" }
            }
            Some(Error::Damaged { .. }) => Error::NothingFailed { path: path() },
            Some(Error::NothingFailed { .. }) => Error::TableRetry,
            Some(Error::TableRetry) => Error::NoHeader { path: path() },
            Some(Error::NoHeader { .. }) => {
                Error::WriteFailed { path: path(), source: source(), hint: "make room".to_owned() }
            }
            Some(Error::WriteFailed { .. }) => Error::Unread,
            Some(Error::Unread) => {
                Error::NoTrace { path: path(), why: "nothing ran in it".to_owned() }
            }
            Some(Error::NoTrace { .. }) => Error::Interrupted { hint: " after 3 items".to_owned() },
            Some(Error::Interrupted { .. }) => Error::Refused(said()),
            Some(Error::Refused(_)) => Error::Broken(said()),
            Some(Error::Broken(_)) => return None,
        })
    }

    #[test]
    fn every_error_says_what_happened_and_what_to_do() {
        let all = std::iter::successors(next(None), |error| next(Some(error)));
        let words: Vec<String> =
            all.map(|error| format!("{}: {error}\n", error.exit_code())).collect();
        insta::assert_snapshot!("every-error", words.join("\n"));
    }
}
