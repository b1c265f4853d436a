//! Where a run begins: from nothing, where an earlier one stopped, or with what failed.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::journal::{self, Earlier, Journal, Mark};
use super::plan::{CHANGEABLE, Output, Plan, beside};
use super::records::{Framing, Splitter, without_end};
use super::recover;
use super::selection::Selection;
use super::sink::Old;
use super::stdout::Kept;
use super::writer::Files;
use crate::args::RunOptions;
use crate::error::Error;
use crate::formats::Format;

const RETRY: &str = "retry";

/// A run, ready to go.
pub(crate) struct Start {
    pub(crate) files: Files,
    pub(crate) selection: Selection,
    /// How many items are selected, if that is known.
    pub(crate) count: Option<u64>,
    /// Of a CSV output that has one.
    pub(crate) header: Option<Vec<u8>>,
    pub(crate) old: Option<Old>,
    /// The files were made for it; else they were there before.
    pub(crate) is_new: bool,
}

impl Start {
    /// Nothing has been run after all.
    pub(crate) fn take_back(self, paths: Option<&Paths>, is_retry: bool) {
        let (Some(paths), Some(journal)) = (paths, self.files.journal) else { return };
        if is_retry {
            paths.forget_retry();
        } else if self.is_new {
            let _ = std::fs::remove_file(&paths.data);
        } else {
            return;
        }
        let _ = journal.remove();
    }
}

/// What there is to do.
pub(crate) enum Beginning {
    Start(Box<Start>),
    /// Nothing: the output is complete; whether some items failed.
    Complete {
        some_failed: bool,
    },
}

/// The files of a run whose output stays.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) output: PathBuf,
    /// What is written: the output, or frames until it can be.
    pub(crate) data: PathBuf,
    pub(crate) errors: PathBuf,
    pub(crate) journal: PathBuf,
}

impl Paths {
    pub(crate) fn of(plan: &Plan) -> Option<Paths> {
        let (Output::File(output), Some(errors)) = (&plan.output, &plan.errors) else {
            return None;
        };
        let data = match plan.output_format {
            Format::Parquet => beside(output, ".spool"),
            _ => output.clone(),
        };
        let journal = beside(output, ".journal");
        Some(Paths { output: output.clone(), data, errors: errors.clone(), journal })
    }

    /// Those that a retry writes.
    pub(crate) fn of_retry(&self) -> (PathBuf, PathBuf) {
        (beside(&self.data, ".retry"), beside(&self.errors, ".retry"))
    }

    /// Gives the files of a retry their names, as often as it takes.
    pub(crate) fn rename_retry(&self) -> io::Result<()> {
        let (data, errors) = self.of_retry();
        for (from, to) in [(data, &self.data), (errors, &self.errors)] {
            match std::fs::rename(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if std::fs::metadata(&self.errors).is_ok_and(|found| found.len() == 0) {
            std::fs::remove_file(&self.errors)?;
        }
        Ok(())
    }

    /// Takes away what a retry has left that was not finished.
    pub(crate) fn forget_retry(&self) {
        let (data, errors) = self.of_retry();
        let _ = std::fs::remove_file(data);
        let _ = std::fs::remove_file(errors);
    }
}

/// The files of a run whose results are gone once written.
pub(crate) fn stream(plan: &Plan, kept: &Kept) -> Result<Start, Error> {
    let (opened, path) = match &plan.output {
        Output::Stream(path) | Output::File(path) => {
            (File::options().write(true).open(path), path.clone())
        }
        Output::Standard => (kept.file(), PathBuf::from("standard output")),
    };
    let output = opened.map_err(|source| Error::Unwritable { path: path.clone(), source })?;
    let files = Files {
        output,
        output_path: path,
        framing: Framing::of(plan.output_format),
        errors: None,
        errors_path: plan.errors.clone(),
        journal: None,
        mark: Mark::default(),
        hint: "look at where the output goes".to_owned(),
    };
    let (selection, count, header, old) = (Selection::From(0), None, None, None);
    Ok(Start { files, selection, count, header, old, is_new: true })
}

/// Looks at what there is, and decides.
pub(crate) fn begin(
    plan: &Plan,
    paths: &Paths,
    options: &RunOptions,
    code: &str,
) -> Result<Beginning, Error> {
    let identity = plan.identity(options, code)?;
    let (had_journal, had_output) = (paths.journal.exists(), paths.output.exists());
    let is_whole = !had_journal && had_output;
    if options.resume && is_whole {
        return Ok(Beginning::Complete { some_failed: paths.errors.exists() });
    }
    if options.retry_failed && !had_journal && !paths.errors.exists() {
        return Err(Error::NothingFailed { path: paths.errors.clone() });
    }
    if !options.overwrite && !options.resume && !options.retry_failed && !had_journal {
        for path in [&paths.output, &paths.errors] {
            if path.exists() {
                return Err(Error::OutputExists { path: path.clone() });
            }
        }
    }
    let (journal, earlier) = Journal::open(&paths.journal, &paths.output)?;
    let earlier = match earlier {
        Some(found) if found.is_renaming || found.identity.contains_key(RETRY) => {
            if found.is_renaming {
                paths.rename_retry().map_err(unwritable(&paths.output))?;
            }
            paths.forget_retry();
            if !options.retry_failed && !options.overwrite {
                journal.remove().map_err(unwritable(&paths.journal))?;
                return if options.resume {
                    Ok(Beginning::Complete { some_failed: paths.errors.exists() })
                } else {
                    Err(Error::OutputExists { path: paths.output.clone() })
                };
            }
            None
        }
        found => found,
    };
    if options.retry_failed {
        if earlier.is_some() {
            return Err(Error::Unfinished { path: paths.output.clone() });
        }
        return retry(plan, paths, options, journal).map(|start| Beginning::Start(Box::new(start)));
    }
    if options.overwrite {
        for path in [&paths.output, &paths.data, &paths.errors] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(unwritable(path)(error));
                }
                _ => {}
            }
        }
    }
    let start = match earlier {
        Some(_) if !options.resume && !options.overwrite => {
            return Err(Error::Unfinished { path: paths.output.clone() });
        }
        Some(earlier) if options.resume => {
            compare(&earlier.identity, &identity, options, &paths.output)?;
            go_on(plan, paths, options, journal, &earlier)
        }
        _ => anew(plan, paths, journal, &identity),
    };
    start.map(|start| Beginning::Start(Box::new(start)))
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Unwritable { path: path.clone(), source }
}

fn files(plan: &Plan, paths: &Paths, output: File, journal: Journal, mark: Mark) -> Files {
    Files {
        output,
        output_path: paths.data.clone(),
        framing: Framing::of(plan.output_format),
        errors: None,
        errors_path: Some(paths.errors.clone()),
        journal: Some(journal),
        mark,
        hint: "make room, then the same command with `--resume` goes on where it stopped"
            .to_owned(),
    }
}

fn anew(
    plan: &Plan,
    paths: &Paths,
    mut journal: Journal,
    identity: &Map<String, Value>,
) -> Result<Start, Error> {
    // The journal first: an output without one counts as complete.
    if let Err(source) = journal.begin(identity) {
        let _ = journal.remove();
        return Err(unwritable(&paths.journal)(source));
    }
    let made = File::options().append(true).create_new(true).open(&paths.data);
    let output = match made {
        Ok(output) => output,
        Err(source) => {
            let _ = journal.remove();
            return Err(unwritable(&paths.data)(source));
        }
    };
    let mark = Mark { boot: journal::boot(), ..Mark::default() };
    journal.mark(&mark).map_err(unwritable(&paths.journal))?;
    sync_folder(&paths.data);
    let files = files(plan, paths, output, journal, mark);
    let (selection, count, header, old) = (Selection::From(0), None, None, None);
    Ok(Start { files, selection, count, header, old, is_new: true })
}

/// The names of new files onto the disk, where the system can.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|each| !each.as_os_str().is_empty());
    if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
        let _ = folder.sync_all();
    }
}

fn compare(
    was: &Map<String, Value>,
    now: &Map<String, Value>,
    options: &RunOptions,
    output: &Path,
) -> Result<(), Error> {
    let nothing = Value::Null;
    for what in was.keys().chain(now.keys()) {
        let (was, now) = (was.get(what).unwrap_or(&nothing), now.get(what).unwrap_or(&nothing));
        if was != now && !(options.accept_changes && CHANGEABLE.contains(&what.as_str())) {
            let (what, path) = (what.clone(), output.to_owned());
            let (was, now) = (words(was), words(now));
            return Err(Error::Different { path, what, was, now });
        }
    }
    Ok(())
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

fn go_on(
    plan: &Plan,
    paths: &Paths,
    options: &RunOptions,
    mut journal: Journal,
    earlier: &Earlier,
) -> Result<Start, Error> {
    let broken = unwritable(&paths.data);
    let boot = journal::boot();
    let lives_on = !boot.is_empty() && earlier.mark.boot == boot;
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    for (path, wanted) in [(&paths.data, earlier.mark.output), (&paths.errors, earlier.mark.errors)]
    {
        if length(path) < wanted {
            let why = "it is shorter than it was";
            return Err(Error::Damaged { path: path.clone(), why });
        }
    }
    let format = plan.output_format;
    let (selection, mut mark) = if options.unordered {
        let limits = (!lives_on).then_some((earlier.mark.output, earlier.mark.errors));
        let (done, mark) =
            recover::unordered(limits, &paths.data, &paths.errors, format).map_err(&broken)?;
        (Selection::Except(done), mark)
    } else {
        let mark = if lives_on {
            recover::ordered(&earlier.mark, &paths.data, &paths.errors, format).map_err(&broken)?
        } else {
            earlier.mark.clone()
        };
        (Selection::From(mark.done), mark)
    };
    mark.boot = boot;
    let output = File::options().append(true).create(true).open(&paths.data).map_err(&broken)?;
    output.set_len(mark.output).map_err(&broken)?;
    if length(&paths.errors) > mark.errors {
        let errors = File::options().write(true).open(&paths.errors);
        errors.and_then(|file| file.set_len(mark.errors)).map_err(unwritable(&paths.errors))?;
    }
    let again =
        journal.go_on().and_then(|()| output.sync_data()).and_then(|()| journal.mark(&mark));
    again.map_err(unwritable(&paths.journal))?;
    let header = header(&paths.data, format).map_err(&broken)?;
    let files = files(plan, paths, output, journal, mark);
    Ok(Start { files, selection, count: None, header, old: None, is_new: false })
}

/// The header of a CSV file that has one.
fn header(path: &Path, format: Format) -> io::Result<Option<Vec<u8>>> {
    if format != Format::Csv {
        return Ok(None);
    }
    let mut records = Splitter::new(File::open(path)?, Framing::Csv);
    Ok(records.next()?.map(|record| without_end(record.bytes).to_vec()))
}

fn retry(
    plan: &Plan,
    paths: &Paths,
    options: &RunOptions,
    mut journal: Journal,
) -> Result<Start, Error> {
    let failed = recover::listed(&paths.errors, 0).map_err(unwritable(&paths.errors))?;
    let gaps: HashSet<u64> = failed.iter().map(|each| each.index).collect();
    let mut gaps: Vec<u64> = gaps.into_iter().collect();
    gaps.sort_unstable();
    if gaps.is_empty() || !paths.output.exists() {
        let _ = journal.remove();
        return Err(Error::NothingFailed { path: paths.errors.clone() });
    }
    let identity = Map::from_iter([(RETRY.to_owned(), json!(true))]);
    journal.begin(&identity).map_err(unwritable(&paths.journal))?;
    let (data, errors) = paths.of_retry();
    let broken = unwritable(&data);
    File::create(&errors).map_err(unwritable(&errors))?;
    let mut output =
        File::options().write(true).create(true).truncate(true).open(&data).map_err(&broken)?;
    let mut records =
        Splitter::new(File::open(&paths.data).map_err(&broken)?, Framing::of(plan.output_format));
    let header = header(&paths.data, plan.output_format).map_err(&broken)?;
    let old = if options.unordered {
        let mut from = File::open(&paths.data).map_err(&broken)?;
        io::copy(&mut from, &mut output).map_err(&broken)?;
        None
    } else {
        if header.is_some() {
            let first = records.next().map_err(&broken)?;
            let bytes = first.map(|record| record.bytes).unwrap_or_default();
            io::Write::write_all(&mut output, bytes).map_err(&broken)?;
        }
        Some(Old { records, gaps: gaps.clone(), gap: 0, index: 0 })
    };
    let length = output.metadata().map_err(&broken)?.len();
    let mark = Mark { output: length, boot: journal::boot(), ..Mark::default() };
    let mut files = files(plan, paths, output, journal, mark);
    files.output_path = data;
    files.errors_path = Some(errors);
    files.hint = "make room, then run the same command again".to_owned();
    let count = Some(gaps.len() as u64);
    let selection = Selection::Only(gaps);
    Ok(Start { files, selection, count, header, old, is_new: false })
}
