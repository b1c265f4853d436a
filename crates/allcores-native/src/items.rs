//! The arguments of calls as words, and what these words point to.
//!
//! Types and words are put down together, so they always agree; and an address among the words is
//! that of memory which is kept here. So machine code for these types may follow it.

use allcores_shm::primitive::Arc;

use crate::types::{Buffer, Type};

/// The arguments of one call.
#[derive(Default)]
pub struct Item {
    kinds: Vec<Type>,
    words: Vec<u64>,
    kept: Vec<Arc<Vec<u64>>>,
}

/// The elements of a buffer, in the memory order of C.
#[derive(Clone)]
pub struct Elements {
    kind: Buffer,
    lengths: Vec<usize>,
    memory: Arc<Vec<u64>>,
}

impl Elements {
    /// Copies a buffer.
    ///
    /// Gives none if there are fewer bytes than the lengths ask for, or not as many lengths as
    /// dimensions.
    #[must_use]
    pub fn copied(kind: Buffer, lengths: Vec<usize>, bytes: &[u8]) -> Option<Self> {
        let mut memory: Vec<u64> = Vec::with_capacity(bytes.len() / 8 + 1);
        let (whole, rest) = bytes.as_chunks::<8>();
        memory.extend(whole.iter().map(|bytes| u64::from_ne_bytes(*bytes)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        memory.push(u64::from_ne_bytes(last));
        Self::new(kind, lengths, memory, bytes.len())
    }

    /// Takes words of eight bytes as elements of eight bytes.
    #[must_use]
    pub fn of_words(kind: Buffer, words: Vec<u64>) -> Option<Self> {
        let size = words.len() * 8;
        Self::new(kind, vec![words.len()], words, size)
    }

    fn new(kind: Buffer, lengths: Vec<usize>, memory: Vec<u64>, size: usize) -> Option<Self> {
        let wanted = lengths
            .iter()
            .try_fold(kind.element.size(), |product, length| product.checked_mul(*length))?;
        let fits = wanted <= size && lengths.len() == usize::from(kind.dimensions);
        fits.then(|| Self { kind, lengths, memory: Arc::new(memory) })
    }
}

impl Item {
    /// Adds `None`.
    pub fn none(&mut self) {
        self.kinds.push(Type::None);
    }

    /// Adds a `bool`.
    pub fn truth(&mut self, value: bool) {
        self.word(Type::Bool, value.into());
    }

    /// Adds an `int`.
    pub fn int(&mut self, value: i64) {
        self.word(Type::Int, value.cast_unsigned());
    }

    /// Adds a `float`.
    pub fn float(&mut self, value: f64) {
        self.word(Type::Float, value.to_bits());
    }

    fn word(&mut self, kind: Type, word: u64) {
        self.kinds.push(kind);
        self.words.push(word);
    }

    /// How many arguments there are so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Makes a tuple of the arguments from this one on.
    pub fn close_tuple(&mut self, first: usize) {
        let items = self.kinds.split_off(first);
        self.kinds.push(Type::Tuple(items.into()));
    }

    /// Adds a buffer.
    pub fn buffer(&mut self, elements: &Elements) {
        self.kinds.push(Type::Buffer(elements.kind));
        self.words.push(elements.memory.as_ptr().addr() as u64);
        self.words.extend(elements.lengths.iter().map(|length| *length as u64));
        self.kept.push(Arc::clone(&elements.memory));
    }

    /// The types of the arguments.
    #[must_use]
    pub fn kinds(&self) -> &[Type] {
        &self.kinds
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }
}

/// The arguments of many calls, of the same types.
pub struct Items {
    kinds: Vec<Type>,
    words: Vec<u64>,
    kept: Vec<Arc<Vec<u64>>>,
    count: usize,
}

impl Items {
    /// One item, to which others can be added.
    #[must_use]
    pub fn of(item: Item) -> Self {
        let Item { kinds, words, kept } = item;
        Self { kinds, words, kept, count: 1 }
    }

    /// Adds an item.
    ///
    /// # Errors
    ///
    /// The item itself, if it is of other types.
    pub fn add(&mut self, item: Item) -> Result<(), Item> {
        if item.kinds != self.kinds {
            return Err(item);
        }
        self.words.extend(item.words);
        self.kept.extend(item.kept);
        self.count += 1;
        Ok(())
    }

    /// The types of each item's arguments.
    #[must_use]
    pub fn kinds(&self) -> &[Type] {
        &self.kinds
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }
}
