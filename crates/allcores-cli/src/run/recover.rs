//! How far an earlier run has really come, from its journal and its files.
//!
//! In an ordered run the errors of a moment are written before its results. So beyond the last mark
//! item after item is either listed in the errors, or the next record of the output is its result;
//! the first that is neither has not been done.  An unordered run's records name their items.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde_json::Value;

use super::journal::Mark;
use super::records::{Framing, Splitter};
use crate::formats::Format;

/// A failed item as the errors list it, and where its line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) index: u64,
    pub(crate) end: u64,
}

/// The items that a list of errors holds from byte `from` on; a line that was cut is none.
pub(crate) fn listed(path: &Path, from: u64) -> io::Result<Vec<Listed>> {
    let mut found = Vec::new();
    let Some(file) = opened(path, from)? else { return Ok(found) };
    let mut splitter = Splitter::new(file, Framing::Lines);
    let mut end = from;
    while let Some(record) = splitter.next()? {
        let value = record.is_whole.then(|| serde_json::from_slice::<Value>(record.bytes).ok());
        let Some(index) = value.flatten().and_then(|value| value.get("index")?.as_u64()) else {
            break;
        };
        end += record.bytes.len() as u64;
        found.push(Listed { index, end });
    }
    Ok(found)
}

/// How far an ordered run has come; `mark` says what is certain.
pub(crate) fn ordered(
    mark: &Mark,
    output: &Path,
    errors: &Path,
    format: Format,
) -> io::Result<Mark> {
    let mut found = mark.clone();
    let mut failed = VecDeque::from(listed(errors, mark.errors)?);
    let mut next_failed = |found: &mut Mark| {
        while let Some(first) = failed.front().filter(|first| first.index == found.done) {
            found.done += 1;
            found.failed += 1;
            found.errors = first.end;
            failed.pop_front();
        }
    };
    next_failed(&mut found);
    let Some(file) = opened(output, mark.output)? else { return Ok(found) };
    let mut splitter = Splitter::new(file, Framing::of(format));
    let mut is_header = format == Format::Csv && mark.output == 0;
    while let Some(record) = splitter.next()? {
        if !record.is_whole {
            break;
        }
        found.output += record.bytes.len() as u64;
        if std::mem::take(&mut is_header) {
            continue;
        }
        found.done += 1;
        next_failed(&mut found);
    }
    Ok(found)
}

/// Which items an unordered run has done, and how far its files are whole; `limits` are the lengths
/// to trust, `None` for all.
pub(crate) fn unordered(
    limits: Option<(u64, u64)>,
    output: &Path,
    errors: &Path,
    format: Format,
) -> io::Result<(HashSet<u64>, Mark)> {
    let mut done = HashSet::new();
    let mut found = Mark::default();
    for each in listed(errors, 0)? {
        if limits.is_some_and(|(_, errors)| each.end > errors) {
            break;
        }
        found.errors = each.end;
        found.failed += 1;
        done.insert(each.index);
    }
    if let Some(file) = opened(output, 0)? {
        let mut splitter = Splitter::new(file, Framing::of(format));
        let mut is_header = format == Format::Csv;
        while let Some(record) = splitter.next()? {
            let end = found.output + record.bytes.len() as u64;
            if !record.is_whole || limits.is_some_and(|(output, _)| end > output) {
                break;
            }
            if !std::mem::take(&mut is_header) {
                let Some(index) = index_of(record.bytes, format) else { break };
                done.insert(index);
            }
            found.output = end;
        }
    }
    found.done = done.len() as u64;
    Ok((done, found))
}

/// Before and behind a result that is written with its index.
pub(crate) fn around(index: u64, format: Format) -> (Vec<u8>, &'static [u8]) {
    match format {
        Format::Jsonl => (format!("{{\"index\": {index}, \"result\": ").into_bytes(), b"}"),
        Format::Text => (format!("{index}\t").into_bytes(), b""),
        Format::Csv => (format!("{index},").into_bytes(), b""),
        Format::Parquet => (index.to_le_bytes().to_vec(), b""),
    }
}

fn index_of(record: &[u8], format: Format) -> Option<u64> {
    let rest = match format {
        Format::Jsonl => record.strip_prefix(b"{\"index\": ")?,
        Format::Parquet => return Some(u64::from_le_bytes(*record.get(4..)?.first_chunk()?)),
        Format::Text | Format::Csv => record,
    };
    let length = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&rest[..length]).ok()?.parse().ok()
}

fn opened(path: &Path, from: u64) -> io::Result<Option<impl Read + use<>>> {
    match File::open(path) {
        Ok(mut file) => {
            file.seek(SeekFrom::Start(from))?;
            Ok(Some(file))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Format, Mark, around, index_of, ordered, unordered};

    struct Files(PathBuf);

    impl Files {
        fn of(name: &str, output: &str, errors: &str) -> Files {
            let folder =
                std::env::temp_dir().join(format!("allcores-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("out"), output).unwrap();
            std::fs::write(folder.join("err"), errors).unwrap();
            Files(folder)
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn items_beyond_the_mark_are_results_or_listed_failures() {
        let errors = "{\"index\":1}\n{\"index\":2}\n{\"index\":4}\n{\"index\":9}\n{\"ind";
        let files = Files::of("ordered", "a\nb\nc\nd", errors);
        let (output, errors) = (files.0.join("out"), files.0.join("err"));
        let found = ordered(&Mark::default(), &output, &errors, Format::Jsonl).unwrap();
        // 0 a, 1 and 2 failed, 3 b, 4 failed, 5 c; 6 was cut, 9 is too far ahead.
        let mark = Mark { done: 6, failed: 3, output: 6, errors: 36, boot: String::new() };
        assert_eq!(found, mark);
    }

    #[test]
    fn unordered_records_name_their_items() {
        let output = "{\"index\": 3, \"result\": 1}\n{\"index\": 0, \"result\": 1}\n{\"index\": 5";
        let files = Files::of("unordered", output, "{\"index\":1}\n");
        let (output, errors) = (files.0.join("out"), files.0.join("err"));
        let (done, mark) = unordered(None, &output, &errors, Format::Jsonl).unwrap();
        assert_eq!(done, [0, 1, 3].into());
        assert_eq!((mark.done, mark.failed, mark.output, mark.errors), (3, 1, 52, 12));
    }

    #[test]
    fn index_is_read_as_it_is_written() {
        for format in [Format::Jsonl, Format::Text, Format::Csv] {
            let (before, behind) = around(1234, format);
            let record = [&before[..], b"7", behind].concat();
            assert_eq!(index_of(&record, format), Some(1234));
        }
    }
}
