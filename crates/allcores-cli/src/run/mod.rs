//! `allcores run`: a function over the records of a file, nothing twice and nothing lost.
//!
//! ```text
//!            feed                     host                      sink             writer
//!   input ─► records, unparsed ─► pool: parse, call, ─► results, failures ─► output, errors,
//!            (what a selector         serialise           in their places      journal
//!             wants of them)
//! ```
//!
//! The process in the middle only splits lines and writes bytes, so that it keeps up with many
//! workers. `start` decides where to begin; `journal` and `recover` know how far an earlier run came.

pub(crate) mod check;
pub(crate) mod feed;
mod journal;
mod plan;
mod records;
mod recover;
pub(crate) mod selection;
mod sink;
mod start;
mod stdout;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use crate::args::RunOptions;
use crate::error::Error;
use crate::formats::Format;
use crate::host::{Host, HostError, Items, Job, Results};
use crate::render::{self, progress};
use crate::{DONE, FAILED, UNREAD, clock};

use feed::Feed;
use plan::{Input, Output, Plan};
use selection::{Selector, Shared};
use sink::Sink;
use start::{Beginning, Paths, Start};
use stdout::Kept;
use writer::{Files, Watched, Writer};

/// Why the items ended.
enum End {
    /// There are none left.
    All,
    /// So many failed that it was to stop.
    TooManyFailed,
    /// Nothing can be written any more; the writer knows why.
    Unwritable,
    /// A Ctrl-C.
    Interrupted,
    /// The host gave up.
    Broken(Error),
}

/// Runs it; the exit code.
pub(crate) fn run(options: &RunOptions, host: &dyn Host) -> Result<u8, Error> {
    let kept = Kept::aside();
    let plan = Plan::of(options, &kept)?;
    let code = host.fingerprint(&options.target)?;
    let paths = Paths::of(&plan);
    let begun = match &paths {
        Some(paths) => start::begin(&plan, paths, options, &code)?,
        None => Beginning::Start(Box::new(start::stream(&plan, &kept)?)),
    };
    let start = match begun {
        Beginning::Start(start) => *start,
        Beginning::Complete { some_failed } => {
            if !options.quiet {
                let output = options.output.as_deref().unwrap_or(std::path::Path::new("-"));
                let shown = output.display();
                render::complain(&format!("allcores: nothing to resume, `{shown}` is complete\n"));
            }
            return Ok(if some_failed { FAILED } else { DONE });
        }
    };
    match work(options, host, &plan, paths.as_ref(), start) {
        Err(Error::Unread) => Ok(UNREAD),
        other => other,
    }
}

fn work(
    options: &RunOptions,
    host: &dyn Host,
    plan: &Plan,
    paths: Option<&Paths>,
    start: Start,
) -> Result<u8, Error> {
    let shared = Shared::default();
    let opened = open(options, host, plan, &start, &shared);
    let (mut results, total) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            start.take_back(paths, options.retry_failed);
            return Err(error);
        }
    };
    let Start { files, count, header, old, .. } = start;
    let watched = Arc::new(Watched {
        is_drawn: render::is_watched() && !options.quiet,
        begun: clock::now(),
        before: files.mark.done,
        total,
        size: plan.input.size().filter(|_| count.is_none()),
        shared: shared.clone(),
    });
    let is_spoken = files.errors_path.is_none();
    let writer = Writer::start(files, Arc::clone(&watched));
    let mut sink = Sink {
        writer: &writer,
        shared: shared.clone(),
        format: plan.output_format,
        is_indexed: plan.is_indexed,
        is_spoken,
        input: plan.input.name(),
        header,
        position: 0,
        unplaced: options.unordered.then(Vec::new),
        old,
        failed: 0,
        first_failure: None,
        trouble: None,
    };
    let mut end = pull(options, host, results.as_mut(), &mut sink);
    if !matches!(end, End::All) {
        results.abandon();
    } else {
        sink.complete();
    }
    drop(results);
    if let Some(source) = shared.lock().trouble.take() {
        end = End::Broken(Error::Unreadable { path: PathBuf::from(plan.input.name()), source });
    }
    let Sink { failed, first_failure, trouble, .. } = sink;
    if let Some(source) = trouble {
        let path = PathBuf::from(plan.input.name());
        end = End::Broken(Error::Unreadable { path, source });
    }
    let mut ended = None;
    let mut writer = Some(writer);
    host.aside(&mut || ended = writer.take().map(Writer::end));
    let (files, written) = ended.unwrap_or((None, Ok(())));
    written?;
    let Some(files) = files else { return Ok(FAILED) };
    conclude(options, host, plan, paths, files, &watched, end, failed, first_failure)
}

/// The results to come, and how many they will be if that is known.
fn open<'h>(
    options: &RunOptions,
    host: &'h dyn Host,
    plan: &Plan,
    start: &Start,
    shared: &Shared,
) -> Result<(Box<dyn Results + 'h>, Option<u64>), Error> {
    let total = total(options, host, plan, start.count)?;
    let selector = Selector::new(start.selection.clone(), options.limit, shared.clone());
    let (items, input_header) = items(plan, selector, shared)?;
    Ok((host.open(&job(options, plan, input_header), items)?, total))
}

fn total(
    options: &RunOptions,
    host: &dyn Host,
    plan: &Plan,
    count: Option<u64>,
) -> Result<Option<u64>, Error> {
    if count.is_some() {
        return Ok(count);
    }
    let rows = match &plan.input {
        Input::File(path, _) if plan.input_format == Format::Parquet => Some(host.rows(path)?),
        _ => None,
    };
    // Of lines there may be fewer than the limit; who sets one knows.
    Ok(rows.map_or(options.limit, |rows| Some(rows.min(options.limit.unwrap_or(rows)))))
}

fn items(
    plan: &Plan,
    selector: Selector,
    shared: &Shared,
) -> Result<(Items, Option<Vec<u8>>), Error> {
    if let (Format::Parquet, Input::File(path, _)) = (plan.input_format, &plan.input) {
        return Ok((Items::Table(path.clone(), selector), None));
    }
    let mut feed = Feed::new(plan.input.open()?, plan.input_format, selector, shared.clone());
    let mut header = None;
    if plan.input_format == Format::Csv {
        let path = PathBuf::from(plan.input.name());
        let found = feed.header();
        header = found.map_err(|source| Error::Unreadable { path: path.clone(), source })?;
        if header.is_none() && plan.input.size() != Some(0) {
            return Err(Error::NoHeader { path });
        }
    }
    Ok((Items::Records(Box::new(feed)), header))
}

fn job(options: &RunOptions, plan: &Plan, header: Option<Vec<u8>>) -> Job {
    Job {
        target: options.target.clone(),
        name: plan.input.name(),
        input: plan.input_format,
        output: plan.output_format,
        calling: options.args,
        header,
        backend: options.backend.clone(),
        workers: options.workers.map(|count| count as usize),
        timeout: options.timeout,
        retries: options.retries,
        ordered: !options.unordered,
        trace: options.trace.clone(),
    }
}

fn pull(
    options: &RunOptions,
    host: &dyn Host,
    results: &mut dyn Results,
    sink: &mut Sink<'_>,
) -> End {
    loop {
        match results.next(&mut |outcome| sink.take(outcome)) {
            Ok(true) => {}
            Ok(false) => return End::All,
            Err(HostError::Interrupted) => return End::Interrupted,
            Err(error) => return End::Broken(error.into()),
        }
        if options.max_failures.is_some_and(|limit| sink.failures() >= limit) {
            return End::TooManyFailed;
        }
        if sink.writer.is_behind() {
            let writer = sink.writer;
            host.aside(&mut || writer.wait());
        }
        if sink.writer.is_broken() {
            return End::Unwritable;
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "the end of a run brings all of it together")]
fn conclude(
    options: &RunOptions,
    host: &dyn Host,
    plan: &Plan,
    paths: Option<&Paths>,
    files: Files,
    watched: &Watched,
    end: End,
    failed: u64,
    first_failure: Option<String>,
) -> Result<u8, Error> {
    let all_failed = files.mark.failed;
    let now = watched.snapshot(files.mark.done, all_failed);
    let done = progress::grouped(files.mark.done);
    let again = match (paths, options.retry_failed) {
        (None, _) => String::new(),
        (Some(paths), true) => {
            if !matches!(end, End::All) {
                paths.forget_retry();
                if let Some(journal) = files.journal {
                    let _ = journal.remove();
                }
                return match end {
                    End::Broken(error) => Err(error),
                    End::Interrupted => {
                        Err(Error::Interrupted { hint: ", the output is as it was".to_owned() })
                    }
                    _ => Ok(FAILED),
                };
            }
            String::new()
        }
        (Some(_), false) => {
            "\nhint: the same command with `--resume` goes on where it stopped".to_owned()
        }
    };
    let code = match end {
        End::All => {
            finish(host, plan, paths, files, options.retry_failed)?;
            if all_failed > 0 { FAILED } else { DONE }
        }
        End::Interrupted => {
            return Err(Error::Interrupted { hint: format!(" after {done} items{again}") });
        }
        End::Broken(error) => return Err(error),
        End::Unwritable => return Ok(FAILED),
        End::TooManyFailed => {
            render::complain(&format!(
                "allcores: stopped after {} failed items{again}\n",
                progress::grouped(failed)
            ));
            FAILED
        }
    };
    if watched.is_drawn {
        render::complain(&format!("{}\n", progress::summary(&now)));
    }
    report_failures(plan, all_failed, first_failure);
    Ok(code)
}

fn report_failures(plan: &Plan, failed: u64, first: Option<String>) {
    let Some(errors) = plan.errors.as_ref().filter(|_| failed > 0) else { return };
    let items = if failed == 1 { "item" } else { "items" };
    let mut text = format!(
        "allcores: {} {items} failed, listed in `{}`\n",
        progress::grouped(failed),
        errors.display()
    );
    if let Some(first) = first {
        text.push_str(&format!("  {first}\n"));
    }
    let can_retry = matches!(plan.output, Output::File(_)) && plan.output_format != Format::Parquet;
    if can_retry {
        text.push_str("hint: the same command with `--retry-failed` runs only those\n");
    }
    render::complain(&text);
}

/// All is written; now it gets its names.
fn finish(
    host: &dyn Host,
    plan: &Plan,
    paths: Option<&Paths>,
    mut files: Files,
    is_retry: bool,
) -> Result<(), Error> {
    let (Some(paths), Some(mut journal)) = (paths, files.journal.take()) else { return Ok(()) };
    let unwritable = |source| Error::Unwritable { path: paths.output.clone(), source };
    if is_retry {
        journal.note_renaming().and_then(|()| paths.rename_retry()).map_err(unwritable)?;
    }
    if plan.output_format == Format::Parquet {
        host.write_table(&paths.data, &paths.output, plan.is_indexed)?;
        std::fs::remove_file(&paths.data).map_err(unwritable)?;
    }
    journal.remove().map_err(unwritable)
}
