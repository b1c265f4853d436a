//! Turns the bytes that a fuzzer gives into decisions: each byte means something, whatever it is.

use allcores_shm::{MESSAGE_WORDS, Message, Payload};

/// The bytes, read from the front; zeroes when they are used up.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Reader<'a> {
        Reader(data)
    }

    /// The next decision; `None` at the end.
    pub(crate) fn step(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.step().unwrap_or(0)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit.max(1)
    }

    /// True for one of so many bytes.
    pub(crate) fn one_in(&mut self, many: u8) -> bool {
        self.byte().is_multiple_of(many)
    }

    /// Words that a hostile peer would like: small ones, those near the end, single bits, any.
    pub(crate) fn word(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=159 => u64::from(small),
            near @ 160..=175 => u64::MAX - u64::from(near - 160),
            176..=239 => 1 << self.below(64),
            _ => {
                let mut bytes = [0; 8];
                let taken = self.bytes(8);
                bytes[..taken.len()].copy_from_slice(taken);
                u64::from_le_bytes(bytes)
            }
        }
    }

    /// At most `limit` of the next bytes.
    pub(crate) fn bytes(&mut self, limit: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(limit.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Up to 255 of the next bytes.
    pub(crate) fn some_bytes(&mut self) -> &'a [u8] {
        let limit = usize::from(self.byte());
        self.bytes(limit)
    }

    fn halves(&mut self) -> u64 {
        self.word() & 0xffff_ffff | self.word() << 32
    }

    /// Eight words that are a message more often than not, of any kind that there is: what a kind
    /// does not use is cleared until the decoder has no objection.
    pub(crate) fn message(&mut self, payloads: &[Payload]) -> [u64; MESSAGE_WORDS] {
        let mut words = [0; MESSAGE_WORDS];
        words[0] = u64::from(self.byte() % 24) | u64::from(self.byte() % 16) << 8;
        words[1] = self.word();
        for word in &mut words[2..5] {
            *word = self.halves();
        }
        match payloads.get(self.below(payloads.len() + 1)) {
            Some(payload) => (words[5], words[6]) = (payload.block.to_word(), payload.len),
            None => (words[5], words[6]) = (self.word(), self.word()),
        }
        words[7] = self.word();
        for at in (0..MESSAGE_WORDS).rev() {
            if Message::decode(&words).is_ok() {
                break;
            }
            words[at] &= if at == 0 { 0xff } else { 0 };
        }
        words
    }
}
