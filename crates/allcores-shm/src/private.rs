//! A segment's bytes as memory of this process's own: a mapping that is copied page by page when written to.
//!
//! Making such a mapping and taking it away costs twice what copying the bytes does: each page is entered
//! and removed one by one. So one that is not needed any more is kept with its segment, for the next payload
//! that comes in it. That is right as long as no page of it was written to (and so copied): such a page
//! would go on showing what it showed. The system says which pages were.

use std::fs::File;
use std::os::unix::fs::FileExt;

use memmap2::MmapRaw;

use crate::segment::WORD;

/// Bits of the system's word about a page (proc(5), `pagemap`).
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const IS_THE_FILES: u64 = 1 << 61;

/// So many words are looked at at a time.
const WORDS_AT_ONCE: usize = 4096;

/// A part of a segment as memory of this process's own.
#[derive(Debug)]
pub(crate) struct Private(MmapRaw);

impl Private {
    pub(crate) fn new(map: MmapRaw) -> Self {
        Self(map)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn as_mut_ptr(&self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    /// Whether every page of it still shows the segment; false if nobody can say.
    pub(crate) fn is_untouched(&self) -> bool {
        self.look_at_pages().unwrap_or(false)
    }

    fn look_at_pages(&self) -> std::io::Result<bool> {
        let page = rustix::param::page_size();
        let start = self.as_mut_ptr().addr() / page;
        let end = (self.as_mut_ptr().addr() + self.len()).div_ceil(page);
        // Opened anew each time: it belongs to the process that opened it.
        let map = File::open("/proc/self/pagemap")?;
        let mut bytes = [0; WORDS_AT_ONCE * WORD];
        for first in (start..end).step_by(WORDS_AT_ONCE) {
            let count = (end - first).min(WORDS_AT_ONCE);
            let bytes = &mut bytes[..count * WORD];
            map.read_exact_at(bytes, (first * WORD) as u64)?;
            let copied = |word: &[u8; WORD]| {
                let word = u64::from_ne_bytes(*word);
                word & (PRESENT | SWAPPED) != 0 && word & IS_THE_FILES == 0
            };
            if bytes.as_chunks::<WORD>().0.iter().any(copied) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use crate::segment::Segment;

    const LEN: usize = 1 << 20;

    #[test]
    fn reading_leaves_a_mapping_untouched_and_writing_does_not() {
        let segment = Segment::create(LEN).expect("there is memory");
        segment.copy_in(5, b"theirs").expect("it fits");
        let private = segment.map_privately(0).expect("it can be mapped");
        let sixth = private.as_mut_ptr().wrapping_add(5);
        // SAFETY: it lies in the mapping, which nobody else has.
        let found = unsafe { sixth.read_volatile() };
        assert_eq!(found, b't');
        assert!(private.is_untouched());
        // SAFETY: as above; the mapping is private and writable.
        unsafe { sixth.write_volatile(1) };
        assert!(!private.is_untouched());
    }

    #[test]
    fn a_mapping_that_was_written_to_is_not_used_again() {
        let segment = Segment::create(LEN).expect("there is memory");
        for write in [false, true, false] {
            let private = segment.map_privately(0).expect("it can be mapped");
            let first = private.as_mut_ptr();
            // SAFETY: the first byte of a mapping that nobody else has.
            let found = unsafe { first.read_volatile() };
            assert_eq!(found, 0, "what the segment holds");
            if write {
                // SAFETY: as above.
                unsafe { first.write_volatile(9) };
            }
            segment.keep_mapping(private);
            assert_eq!(segment.has_mapping(), !write);
        }
    }
}
