//! From outcomes to bytes: results in their format and failures as lines of JSON, for the writer.

use std::fs::File;
use std::io;

use serde_json::json;

use super::records::{Framing, Splitter, frame, without_end};
use super::recover::around;
use super::selection::{Place, Shared};
use super::writer::{Count, Writer};
use crate::formats::Format;
use crate::host::{Failure, Outcome};

/// Takes outcomes.
pub(crate) struct Sink<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) shared: Shared,
    pub(crate) format: Format,
    /// Each result is written with its index.
    pub(crate) is_indexed: bool,
    /// Failures are lines for people: there is no file for them.
    pub(crate) is_spoken: bool,
    /// The input's name, for messages.
    pub(crate) input: String,
    /// Of a CSV output, once there is a result.
    pub(crate) header: Option<Vec<u8>>,
    /// Of an ordered run: the how manieth outcome comes next.
    pub(crate) position: u64,
    /// Of an unordered run: failures of which nobody knows the item until all others are there.
    pub(crate) unplaced: Option<Vec<Failure>>,
    /// Of a retry: the results that there are already.
    pub(crate) old: Option<Old>,
    /// Items of this run that failed, and what was said of the first.
    pub(crate) failed: u64,
    pub(crate) first_failure: Option<String>,
    /// Of an old output that can't be read.
    pub(crate) trouble: Option<io::Error>,
}

/// An output into whose gaps results are put.
pub(crate) struct Old {
    pub(crate) records: Splitter<File>,
    /// Items without a record in it, in order.
    pub(crate) gaps: Vec<u64>,
    pub(crate) gap: usize,
    pub(crate) index: u64,
}

impl Sink<'_> {
    /// Takes what came of one item.
    pub(crate) fn take(&mut self, outcome: Outcome<'_>) {
        let outcome = match (outcome, &mut self.unplaced) {
            (Outcome::Failed(None, failure), Some(unplaced)) => return unplaced.push(failure),
            (outcome, _) => outcome,
        };
        let (Outcome::Finished(position, _) | Outcome::Failed(position, _)) = &outcome;
        let position = position.unwrap_or(self.position);
        self.position += 1;
        let place = self.shared.lock().ended(position);
        let place = place.unwrap_or(Place { index: position, line: 0 });
        if self.old.is_some() {
            self.copy_until(Some(place.index));
        }
        match outcome {
            Outcome::Finished(_, bytes) => self.finished(place, bytes),
            Outcome::Failed(_, failure) => self.failed(place, &failure),
        }
    }

    /// Items that failed, whether it is known which or not.
    pub(crate) fn failures(&self) -> u64 {
        self.failed + self.unplaced.as_ref().map_or(0, |unplaced| unplaced.len() as u64)
    }

    /// All outcomes are there: finds places for what has none, and copies what is left of the old
    /// output.
    pub(crate) fn complete(&mut self) {
        let unplaced = self.unplaced.take().unwrap_or_default();
        let left = self.shared.lock().left();
        for (place, failure) in left.into_iter().zip(&unplaced) {
            self.failed(place, failure);
        }
        if self.old.is_some() {
            self.copy_until(None);
        }
    }

    fn copy_until(&mut self, end: Option<u64>) {
        let Some(old) = &mut self.old else { return };
        while end.is_none_or(|end| old.index < end) {
            if old.gaps.get(old.gap) == Some(&old.index) {
                old.gap += 1;
                old.index += 1;
                continue;
            }
            match old.records.next() {
                Ok(Some(record)) => self.writer.push(|output, _| {
                    output.extend_from_slice(record.bytes);
                    Count::Nothing
                }),
                Ok(None) => break,
                Err(error) => {
                    self.trouble = Some(error);
                    break;
                }
            }
            old.index += 1;
        }
    }

    fn finished(&mut self, place: Place, bytes: &[u8]) {
        let (before, behind) =
            if self.is_indexed { around(place.index, self.format) } else { (Vec::new(), &b""[..]) };
        match self.format {
            Format::Parquet => self.writer.push(|output, _| {
                frame(&[&before, bytes, behind], output);
                Count::Done
            }),
            Format::Csv => self.row(place, &before, bytes),
            Format::Jsonl | Format::Text => self.writer.push(|output, _| {
                for part in [&before, bytes, behind, b"\n"] {
                    output.extend_from_slice(part);
                }
                Count::Done
            }),
        }
    }

    /// A row comes with its header before it.
    fn row(&mut self, place: Place, before: &[u8], bytes: &[u8]) {
        let mut splitter = Splitter::new(bytes, Framing::Csv);
        let header = match splitter.next() {
            Ok(Some(record)) => without_end(record.bytes).to_vec(),
            _ => Vec::new(),
        };
        let row = match splitter.next() {
            Ok(Some(record)) => without_end(record.bytes),
            _ => b"",
        };
        let index: &[u8] = if self.is_indexed { b"index," } else { b"" };
        let header = [index, &header].concat();
        let is_first = self.header.is_none();
        let first = self.header.get_or_insert_with(|| header.clone());
        if *first != header {
            let failure = Failure {
                kind: "ValueError".to_owned(),
                message: format!(
                    "the result has the columns `{}`, the first one had `{}`; a CSV file has the \
                     same in each row",
                    String::from_utf8_lossy(&header),
                    String::from_utf8_lossy(first)
                ),
                ..Failure::default()
            };
            self.failed(place, &failure);
            return;
        }
        self.writer.push(|output, _| {
            if is_first {
                output.extend_from_slice(&header);
                output.push(b'\n');
            }
            for part in [before, row, b"\n"] {
                output.extend_from_slice(part);
            }
            Count::Done
        });
    }

    fn failed(&mut self, place: Place, failure: &Failure) {
        self.failed += 1;
        let line = if place.line > 0 { Some(place.line) } else { None };
        let whose = match line {
            Some(line) => format!("line {line} of `{}`", self.input),
            None => format!("row {} of `{}`", place.index, self.input),
        };
        let message = failure.message.lines().next().unwrap_or_default();
        let colon = if message.is_empty() { "" } else { ": " };
        let said = format!("{whose}: {}{colon}{message}", failure.kind);
        let said = if failure.input.is_empty() {
            said
        } else {
            format!("{said}\n  it was: `{}`", failure.input)
        };
        let text = if self.is_spoken {
            format!("allcores: {said}\n")
        } else {
            let value = json!({
                "index": place.index, "line": line, "type": failure.kind,
                "message": failure.message, "input": failure.input,
                "traceback": failure.traceback,
            });
            format!("{value}\n")
        };
        self.first_failure.get_or_insert(said);
        self.writer.push(|_, errors| {
            errors.extend_from_slice(text.as_bytes());
            Count::Failed
        });
    }
}
