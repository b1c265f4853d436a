//! Why machine code leaves an item to Python.
//!
//! Compiled functions have no effect but their result, so whatever is uncertain ends the item with
//! one of these words, and Python runs it from the start: its result or exception is the answer.

macro_rules! guards {
    ($($variant:ident = $code:literal $name:literal: $words:literal),* $(,)?) => {
        /// What happened to an item; the word that machine code returns.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Guard { $(#[doc = $words] $variant = $code),* }

        impl Guard {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

guards! {
    Overflow = 1 "overflow": "An int would need more than 64 bits.",
    ZeroDivision = 2 "zero-division": "Division by zero.",
    Inexact = 3 "inexact": "An int beyond 2**53 meets a float where the difference can be seen.",
    Domain = 4 "domain": "A function outside its domain, or a result that Python raises for.",
    Unbound = 5 "unbound": "A variable that may not have a value.",
    Raised = 6 "raised": "The function raises.",
    Depth = 7 "depth": "Calls too deep.",
    Stopped = 8 "stopped": "Somebody asked for the end.",
    Index = 10 "index": "There is no element of that index.",
    Memory = 11 "memory": "A list of no end, or no memory for it.",
    Type = 9 "type": "An argument is of a type that isn't compiled.",
}

/// The word of an item that has its result.
pub const DONE: i64 = 0;

impl Guard {
    /// The word that machine code returns.
    #[must_use]
    pub fn word(self) -> i64 {
        self as i64
    }

    /// What a word means; `None` for a result.
    #[must_use]
    pub fn of_word(word: i64) -> Option<Self> {
        Self::ALL.iter().copied().find(|each| each.word() == word)
    }
}
