//! Where one record ends and the next begins, without looking into them.
//!
//! Lines end with a newline. In CSV a newline within quotes ends nothing, and quotes within quotes
//! are doubled, so a record ends at a newline after an even number of quotes. Frames (results on
//! their way into a table) say their length first.

use std::io::{self, Read};

use memchr::{memchr, memchr2};

use crate::formats::Format;

const READ_AT_ONCE: usize = 1 << 18;
const LENGTH: usize = 4;

/// What ends a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A newline.
    Lines,
    /// A newline outside quotes.
    Csv,
    /// Four bytes of length before it.
    Frames,
}

impl Framing {
    /// Of a file in that format; a table has none, its results wait in frames.
    pub(crate) fn of(format: Format) -> Framing {
        match format {
            Format::Jsonl | Format::Text => Framing::Lines,
            Format::Csv => Framing::Csv,
            Format::Parquet => Framing::Frames,
        }
    }
}

/// A record as it lies in the file, with what ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// Its bytes.
    pub(crate) bytes: &'a [u8],
    /// Whether its end was there; the last one's may be missing.
    pub(crate) is_whole: bool,
}

/// Hands out the records of a source.
#[derive(Debug)]
pub(crate) struct Splitter<R> {
    source: R,
    framing: Framing,
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    /// How far behind `start` was looked for the end already.
    seen: usize,
    is_quoted: bool,
    has_ended: bool,
}

impl<R: Read> Splitter<R> {
    /// Of a source whose next byte begins a record.
    pub(crate) fn new(source: R, framing: Framing) -> Splitter<R> {
        Splitter {
            source,
            framing,
            buffer: Vec::new(),
            start: 0,
            filled: 0,
            seen: 0,
            is_quoted: false,
            has_ended: false,
        }
    }

    /// The next record; `None` at the end. After `Interrupted` it can be asked again.
    pub(crate) fn next(&mut self) -> io::Result<Option<Record<'_>>> {
        loop {
            if let Some(length) = self.end_of_record() {
                return Ok(Some(self.take(length, true)));
            }
            if self.has_ended {
                let left = self.filled - self.start;
                return Ok((left > 0).then(|| self.take(left, false)));
            }
            self.fill()?;
        }
    }

    fn take(&mut self, length: usize, is_whole: bool) -> Record<'_> {
        let begin = self.start;
        self.start += length;
        self.seen = 0;
        self.is_quoted = false;
        Record { bytes: &self.buffer[begin..begin + length], is_whole }
    }

    /// `length` bytes of the record that `next` gave last, of which `behind` come after them.
    pub(crate) fn last(&self, length: usize, behind: usize) -> &[u8] {
        &self.buffer[self.start - behind - length..self.start - behind]
    }

    fn end_of_record(&mut self) -> Option<usize> {
        let held = &self.buffer[self.start..self.filled];
        match self.framing {
            Framing::Lines => match memchr(b'\n', &held[self.seen..]) {
                Some(at) => return Some(self.seen + at + 1),
                None => self.seen = held.len(),
            },
            Framing::Csv => {
                while let Some(at) = memchr2(b'\n', b'"', &held[self.seen..]) {
                    let at = self.seen + at;
                    self.seen = at + 1;
                    if held[at] == b'"' {
                        self.is_quoted = !self.is_quoted;
                    } else if !self.is_quoted {
                        return Some(at + 1);
                    }
                }
                self.seen = held.len();
            }
            Framing::Frames => {
                let length = u32::from_le_bytes(*held.first_chunk::<LENGTH>()?) as usize + LENGTH;
                return (held.len() >= length).then_some(length);
            }
        }
        None
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.start = 0;
        }
        if self.buffer.len() < self.filled + READ_AT_ONCE {
            let more = (self.filled * 2).max(self.filled + READ_AT_ONCE);
            self.buffer.resize(more, 0);
        } else if self.buffer.len() > 8 * READ_AT_ONCE && self.filled < READ_AT_ONCE {
            // A long record has gone.
            self.buffer.truncate(2 * READ_AT_ONCE);
            self.buffer.shrink_to_fit();
        }
        let count = self.source.read(&mut self.buffer[self.filled..])?;
        self.filled += count;
        self.has_ended = count == 0;
        Ok(())
    }
}

/// A record's bytes without the newline that ends it, and the carriage return before that.
pub(crate) fn without_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// A frame around `parts`.
pub(crate) fn frame(parts: &[&[u8]], to: &mut Vec<u8>) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    // A result of 4 GB would not have come through the pool.
    to.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    for part in parts {
        to.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::{Framing, Splitter, frame};

    fn all(bytes: &[u8], framing: Framing) -> Vec<(Vec<u8>, bool)> {
        let mut splitter = Splitter::new(bytes, framing);
        let mut found = Vec::new();
        while let Some(record) = splitter.next().unwrap() {
            found.push((record.bytes.to_vec(), record.is_whole));
        }
        found
    }

    #[test]
    fn line_without_newline_at_the_end_is_a_record_but_not_whole() {
        assert_eq!(all(b"a\nb", Framing::Lines), [(b"a\n".to_vec(), true), (b"b".to_vec(), false)]);
        assert_eq!(all(b"", Framing::Lines), []);
    }

    #[test]
    fn newline_within_quotes_ends_nothing() {
        let text = b"a,\"b\n\"\"c\"\nd\n";
        assert_eq!(
            all(text, Framing::Csv),
            [(b"a,\"b\n\"\"c\"\n".to_vec(), true), (b"d\n".to_vec(), true)]
        );
    }

    #[test]
    fn frame_that_was_cut_is_not_whole() {
        let mut bytes = Vec::new();
        frame(&[b"ab", b"c"], &mut bytes);
        frame(&[], &mut bytes);
        bytes.extend_from_slice(&[9, 0, 0, 0, 1]);
        let found = all(&bytes, Framing::Frames);
        let whole: Vec<bool> = found.iter().map(|(_, is_whole)| *is_whole).collect();
        assert_eq!(whole, [true, true, false]);
        assert_eq!(found[0].0, b"\x03\0\0\0abc");
    }

    #[test]
    fn records_longer_than_the_buffer_arrive_whole() {
        let long = [vec![b'x'; 3_000_000], b"\n".to_vec()].concat();
        let bytes = [long.clone(), b"y\n".to_vec(), long.clone()].concat();
        let found = all(&bytes, Framing::Lines);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].0, long);
        assert_eq!(found[2].0, long);
    }
}
