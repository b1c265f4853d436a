//! The records of a text input on their way to the pool, unparsed.

use std::io::{self, Read};

use super::records::{Framing, Splitter, without_end};
use super::selection::{Selector, Shared, Step};
use crate::formats::Format;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Records, one after the other.
pub trait Records: Send {
    /// The next one's position and bytes; `None` at the end. After an `Interrupted` the caller
    /// looks after signals and asks again.
    fn next(&mut self) -> io::Result<Option<(u64, &[u8])>>;
}

/// The records of lines or CSV that a selector wants.
pub(crate) struct Feed {
    splitter: Splitter<Box<dyn Read + Send>>,
    format: Format,
    selector: Selector,
    shared: Shared,
    line: u64,
    read: u64,
    is_at_start: bool,
}

impl Feed {
    pub(crate) fn new(
        source: Box<dyn Read + Send>,
        format: Format,
        selector: Selector,
        shared: Shared,
    ) -> Feed {
        let splitter = Splitter::new(source, Framing::of(format));
        Feed { splitter, format, selector, shared, line: 0, read: 0, is_at_start: true }
    }

    /// The header of a CSV file; `None` if it is empty.
    pub(crate) fn header(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.splitter.next()? {
            Some(record) => {
                self.line = memchr::memchr_iter(b'\n', record.bytes).count() as u64;
                self.read = record.bytes.len() as u64;
                self.is_at_start = false;
                let bytes = without_end(record.bytes);
                let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
                Ok((!bytes.is_empty()).then(|| bytes.to_vec()))
            }
            None => Ok(None),
        }
    }

    fn find(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        // What is found is remembered by its place in the buffer: the borrow checker does not see
        // that a record that is skipped is no longer borrowed.
        loop {
            if self.selector.is_done() {
                return Ok(None);
            }
            let Some(record) = self.splitter.next()? else { return Ok(None) };
            let first_line = self.line + 1;
            self.line += match self.format {
                Format::Csv => memchr::memchr_iter(b'\n', record.bytes).count() as u64,
                _ => 1,
            };
            self.read += record.bytes.len() as u64;
            let mut skipped = record.bytes.len();
            let mut bytes = without_end(record.bytes);
            if self.is_at_start {
                self.is_at_start = false;
                bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
            }
            if self.format != Format::Text && bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match self.selector.judge(first_line, self.read) {
                Step::Take(position) => {
                    skipped -= bytes.len();
                    let is_marked = record.bytes.starts_with(BYTE_ORDER_MARK)
                        && !bytes.starts_with(BYTE_ORDER_MARK);
                    let front = if is_marked { BYTE_ORDER_MARK.len() } else { 0 };
                    let (length, behind) = (bytes.len(), skipped - front);
                    return Ok(Some((position, self.splitter.last(length, behind))));
                }
                Step::Skip => {}
                Step::Stop => return Ok(None),
            }
        }
    }
}

impl Records for Feed {
    fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        let shared = self.shared.clone();
        self.find().inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                // The one that is raised goes through Python and comes back as words.
                shared.lock().trouble = Some(io::Error::new(error.kind(), error.to_string()));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::{Feed, Records};
    use crate::formats::Format;
    use crate::run::selection::{Place, Selection, Selector, Shared};

    fn fed(text: &'static str, format: Format) -> Vec<(Place, String)> {
        let shared = Shared::default();
        let selector = Selector::new(Selection::From(0), None, shared.clone());
        let mut feed = Feed::new(Box::new(Cursor::new(text)), format, selector, shared.clone());
        if format == Format::Csv {
            feed.header().unwrap();
        }
        let mut found = Vec::new();
        while let Some((position, bytes)) = feed.next().unwrap() {
            let place = shared.lock().ended(position).unwrap();
            found.push((place, String::from_utf8(bytes.to_vec()).unwrap()));
        }
        found
    }

    fn at(index: u64, line: u64, text: &str) -> (Place, String) {
        (Place { index, line }, text.to_owned())
    }

    #[test]
    fn byte_order_mark_and_carriage_returns_are_no_part_of_a_record() {
        let text = "\u{feff}a\r\nb\r\n\r\nc";
        assert_eq!(
            fed(text, Format::Text),
            [at(0, 1, "a"), at(1, 2, "b"), at(2, 3, ""), at(3, 4, "c")]
        );
    }

    #[test]
    fn empty_lines_hold_no_json_and_count_as_lines() {
        assert_eq!(fed("1\n\n \n2\n", Format::Jsonl), [at(0, 1, "1"), at(1, 4, "2")]);
    }

    #[test]
    fn csv_records_are_counted_by_their_first_line() {
        let text = "a,b\n\"x\ny\",1\nz,2\n";
        assert_eq!(fed(text, Format::Csv), [at(0, 2, "\"x\ny\",1"), at(1, 4, "z,2")]);
    }
}
