//! What may not be, looked for before anything runs: files that are one, and files that can't be
//! made.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::plan::{Input, Output, Plan, beside};
use super::stdout::Kept;
use crate::args::RunOptions;
use crate::error::Error;

/// Refuses what can't be meant.
pub(crate) fn check(plan: &Plan, options: &RunOptions, kept: &Kept) -> Result<(), Error> {
    if !matches!(plan.output, Output::File(_)) {
        for (is_given, what) in [
            (options.resume, "`--resume`"),
            (options.retry_failed, "`--retry-failed`"),
            (options.overwrite, "`--overwrite`"),
        ] {
            if is_given {
                return Err(Error::NoFile { what });
            }
        }
    }
    differ(plan, options, kept)?;
    if let Some(trace) = &options.trace {
        can_be_written(trace)?;
    }
    match &plan.errors {
        // What can't be made beside an output can't be an output either.
        Some(errors) if options.errors.is_some() || errors.exists() => listing(plan, errors),
        _ => Ok(()),
    }
}

/// Failed items can be listed at `errors`.
fn listing(plan: &Plan, errors: &Path) -> Result<(), Error> {
    if std::fs::metadata(errors).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return match plan.output {
            Output::File(_) => Err(Error::NoListing { path: errors.to_owned() }),
            _ => Ok(()),
        };
    }
    can_be_written(errors)
}

/// Whether a file could be made at `path`, or be written if there is one; it is left as it is.
pub(crate) fn can_be_written(path: &Path) -> Result<(), Error> {
    let tried = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => Err(io::Error::other("it is no regular file")),
        Ok(_) => File::options().append(true).open(path).map(drop),
        Err(_) => {
            let made = File::options().write(true).create_new(true).open(path);
            made.and_then(|_| std::fs::remove_file(path))
        }
    };
    tried.map_err(|source| Error::Unwritable { path: path.to_owned(), source })
}

/// What tells a file from another: itself, or where it would be.
#[derive(PartialEq, Eq)]
enum Identity {
    File(u64, u64),
    Place(PathBuf, OsString),
}

impl Identity {
    fn of(path: &Path) -> Identity {
        if let Ok(found) = std::fs::metadata(path) {
            return Identity::of_file(&found);
        }
        let folder = path.parent().filter(|each| !each.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        Identity::Place(folder, path.file_name().unwrap_or_default().to_owned())
    }

    fn of_file(found: &Metadata) -> Identity {
        Identity::File(found.dev(), found.ino())
    }
}

/// A file that the run reads or writes.
struct Named {
    what: &'static str,
    path: PathBuf,
    identity: Identity,
}

impl Named {
    fn at(what: &'static str, path: &Path) -> Named {
        Named { what, path: path.to_owned(), identity: Identity::of(path) }
    }

    /// What a stream is connected with, if that is a file.
    fn of_stream(what: &'static str, name: &str, found: io::Result<Metadata>) -> Option<Named> {
        let found = found.ok().filter(Metadata::is_file)?;
        Some(Named { what, path: PathBuf::from(name), identity: Identity::of_file(&found) })
    }
}

/// No two of a run's files are the same.
fn differ(plan: &Plan, options: &RunOptions, kept: &Kept) -> Result<(), Error> {
    let mut files: Vec<Named> = Vec::new();
    files.extend(match &plan.input {
        Input::Standard => Named::of_stream(
            "input",
            "standard input",
            plan.input.file().and_then(|file| file.metadata()),
        ),
        Input::File(path, metadata) if metadata.is_file() => Some(Named::at("input", path)),
        Input::File(..) => None,
    });
    match &plan.output {
        Output::Standard => {
            let found = kept.file().and_then(|file| file.metadata());
            files.extend(Named::of_stream("output", "standard output", found));
        }
        Output::File(path) => {
            files.push(Named::at("output", path));
            files.push(Named::at("the journal", &beside(path, ".journal")));
        }
        Output::Stream(_) => {}
    }
    let rest = [("the list of errors", &plan.errors), ("the trace", &options.trace)];
    files.extend(rest.iter().filter_map(|(what, path)| Some(Named::at(what, path.as_ref()?))));
    for (at, other) in files.iter().enumerate() {
        if let Some(one) = files[..at].iter().find(|one| one.identity == other.identity) {
            let path =
                if other.path.starts_with("standard output") { &one.path } else { &other.path };
            return Err(Error::SameFile { one: one.what, other: other.what, path: path.clone() });
        }
    }
    Ok(())
}
