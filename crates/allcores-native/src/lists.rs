//! Lists that a program has made: they live as long as the item that makes them.
//!
//! Machine code reads where the words lie and how many there are, and writes words in place; whatever
//! needs more memory is asked for here, and a list of no end leaves the item to Python.

/// All lists of an item together have at most so many words (a gigabyte).
const MOST_WORDS: usize = 1 << 27;

/// Where machine code finds the address of the first word.
pub(crate) const DATA_OFFSET: i32 = 0;
/// Where it finds how many words there are.
pub(crate) const LENGTH_OFFSET: i32 = 8;

/// One list.
#[repr(C)]
pub(crate) struct List {
    /// An address, not a pointer: Rust never follows it.
    data: usize,
    length: i64,
    words: Vec<u64>,
}

const _: () = assert!(std::mem::offset_of!(List, data) == DATA_OFFSET as usize);
const _: () = assert!(std::mem::offset_of!(List, length) == LENGTH_OFFSET as usize);

impl List {
    /// Brings what machine code reads up to date.
    fn publish(&mut self) {
        self.data = self.words.as_mut_ptr().expose_provenance();
        self.length = i64::try_from(self.words.len()).unwrap_or_default();
    }

    /// One more word at the end; false if there is no memory for it.
    pub(crate) fn push(&mut self, word: u64) -> bool {
        if self.words.len() >= MOST_WORDS || self.words.try_reserve(1).is_err() {
            return false;
        }
        self.words.push(word);
        self.publish();
        true
    }
}

/// The lists of an item.
#[derive(Default)]
pub(crate) struct Lists {
    #[expect(clippy::vec_box, reason = "machine code has their addresses")]
    all: Vec<Box<List>>,
    words: usize,
}

impl Lists {
    /// A new list of `part`, repeated; none if there is no memory for it.
    pub(crate) fn make(&mut self, part: &[u64], times: usize) -> Option<*mut List> {
        let count = part.len().checked_mul(times)?;
        if self.words.checked_add(count)? > MOST_WORDS {
            return None;
        }
        let mut words = Vec::new();
        words.try_reserve_exact(count).ok()?;
        match part {
            [word] => words.resize(count, *word),
            _ => (0..times).for_each(|_| words.extend_from_slice(part)),
        }
        self.words += count;
        let mut list = Box::new(List { data: 0, length: 0, words });
        list.publish();
        self.all.push(list);
        self.all.last_mut().map(|list| &raw mut **list)
    }

    /// Takes the words of the list of which machine code has this address, or that of its words.
    pub(crate) fn take(&mut self, address: usize) -> Option<Vec<u64>> {
        let is_it = |list: &List| list.data == address || (&raw const *list).addr() == address;
        let list = self.all.iter_mut().find(|list| is_it(list))?;
        Some(std::mem::take(&mut list.words))
    }

    pub(crate) fn clear(&mut self) {
        self.all.clear();
        self.words = 0;
    }
}
