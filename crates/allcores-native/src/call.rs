//! The call of machine code: the only unsafe file of this crate.
//!
//! A [`Machine`] owns the memory its code lies in, so the code is there as long as somebody can call
//! it. Code is called with slices whose lengths have been compared with what it reads and writes.
#![expect(unsafe_code, reason = "this is where machine code is called")]

use std::mem::ManuallyDrop;
use std::sync::PoisonError;

use allcores_shm::primitive::{Arc, AtomicU32, AtomicU64, Mutex, Ordering};
use cranelift_jit::JITModule;

use crate::compile::{Made, compile};
use crate::error::Error;
use crate::guard::{DONE, Guard};
use crate::ir::Program;
use crate::items::Item;
use crate::lists::{List, Lists};
use crate::types::Type;

/// Asked whether a run has to end.
pub type Look = dyn Fn() -> bool + Send + Sync;

/// What machine code knows of the run it is part of.
///
/// Machine code looks at the flag where loops close, and at the word after each pause.
#[repr(C)]
pub struct Run {
    flag: AtomicU32,
    word: AtomicU64,
    lists: Mutex<Lists>,
    look: Box<Look>,
}

impl Run {
    /// A run during which `look` is asked now and then whether it has to end.
    #[must_use]
    pub fn new(look: Box<Look>) -> Arc<Self> {
        Arc::new(Self {
            flag: AtomicU32::new(0),
            word: AtomicU64::new(DONE.cast_unsigned()),
            lists: Mutex::default(),
            look,
        })
    }

    /// Has the running code look up.
    pub(crate) fn interrupt(&self) {
        // Relaxed: it carries nothing; whoever looks synchronises by what `look` reads.
        self.flag.store(1, Ordering::Relaxed);
    }

    /// Has somebody raised the flag?
    pub(crate) fn is_flagged(&self) -> bool {
        self.flag.load(Ordering::Relaxed) != 0
    }

    /// Does it have to end?
    pub(crate) fn must_end(&self) -> bool {
        (self.look)()
    }
}

/// Where the word of a pause lies.
pub(crate) const WORD_OFFSET: i32 = 8;
const _: () = assert!(std::mem::offset_of!(Run, word) == WORD_OFFSET as usize);

/// Called by machine code when the flag is up.
extern "C" fn pause(run: *const Run) {
    // SAFETY: machine code hands on the pointer it was called with, which `Machine::run` made of a
    // reference that lives as long as that call.
    let run = unsafe { &*run };
    run.flag.store(0, Ordering::Relaxed);
    // Relaxed: machine code reads it in this thread.
    let word = if run.must_end() { Guard::Stopped.word() } else { DONE };
    run.word.store(word.cast_unsigned(), Ordering::Relaxed);
}

/// Called by machine code for a list of `word`, or for the words of a list repeated, if there is an
/// address of such: the new list's address, or 0.
pub(crate) extern "C" fn list_repeat(
    run: *const Run,
    data: *const u64,
    length: usize,
    word: u64,
    times: i64,
) -> *mut List {
    // SAFETY: machine code hands on the pointer it was called with, as for `pause`.
    let run = unsafe { &*run };
    let times = usize::try_from(times).unwrap_or_default();
    let mut lists = run.lists.lock().unwrap_or_else(PoisonError::into_inner);
    let made = if data.is_null() {
        lists.make(&[word], times)
    } else {
        // SAFETY: machine code has the addresses and lengths of lists from here alone; they live until
        // the item ends (`Machine::run`), and no other thread knows them. Nobody changes this one
        // meanwhile.
        let part = unsafe { std::slice::from_raw_parts(data, length) }.to_vec();
        lists.make(&part, times)
    };
    made.unwrap_or(std::ptr::null_mut())
}

/// Called by machine code for one more word at a list's end: 1, or 0 if there is no memory for it.
pub(crate) extern "C" fn list_push(list: *mut List, word: u64) -> i64 {
    // SAFETY: as in `list_repeat`.
    let list = unsafe { &mut *list };
    list.push(word).into()
}

/// Where the result of an item goes.
pub struct Place<'a> {
    /// Its words; that of a list means nothing.
    pub words: &'a mut [u64],
    /// The words of its list, if it has one.
    pub list: &'a mut Vec<u64>,
}

type Entry = extern "C" fn(*const Run, i64, *const u64, *mut u64) -> i64;

/// A program for certain types, ready to run from any thread.
pub struct Machine {
    entry: Entry,
    arguments: Vec<Type>,
    words_in: usize,
    result: Type,
    words_out: usize,
    /// At which word of the result a list is, if it has one.
    list: Option<usize>,
    is_recursive: bool,
    module: ManuallyDrop<Mutex<JITModule>>,
}

impl Machine {
    /// Compiles function 0 of the program for these types.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the types have no exact meaning, else what the generator said.
    pub fn new(program: &Program, arguments: &[Type]) -> Result<Self, Error> {
        let made = compile(program, arguments, pause as *const u8)?;
        let Made { module, entry, result, is_recursive } = made;
        // SAFETY: the generator has written a function of exactly this type there (`compile::entry`),
        // in memory that is executable by now and lives as long as `module`.
        let entry = unsafe { std::mem::transmute::<*const u8, Entry>(entry) };
        Ok(Self {
            entry,
            arguments: arguments.to_vec(),
            words_in: arguments.iter().map(Type::width).sum(),
            words_out: result.width(),
            list: result.place_of_list(),
            result,
            is_recursive,
            module: ManuallyDrop::new(Mutex::new(module)),
        })
    }

    /// How many words the arguments of an item have.
    #[must_use]
    pub fn words_in(&self) -> usize {
        self.words_in
    }

    /// The type of the results.
    #[must_use]
    pub fn result(&self) -> &Type {
        &self.result
    }

    /// Has the result a list in it? It has one at most.
    #[must_use]
    pub fn has_list(&self) -> bool {
        self.list.is_some()
    }

    /// Does the program call itself, so that it matters how deep it may?
    #[must_use]
    pub fn is_recursive(&self) -> bool {
        self.is_recursive
    }

    /// The types of the arguments.
    #[must_use]
    pub fn arguments(&self) -> &[Type] {
        &self.arguments
    }

    /// Runs one item; on `None` its result is in `output`, and the words of its list in `list`.
    ///
    /// # Panics
    ///
    /// If the item is of other types, or the slice doesn't have as many words as the result.
    pub fn run(&self, run: &Run, depth: i64, item: &Item, place: Place<'_>) -> Option<Guard> {
        assert!(item.kinds() == self.arguments, "an item of another program");
        self.run_words(run, depth, item.words(), place)
    }

    /// Runs words that are known to be those of an item of the right types.
    pub(crate) fn run_words(
        &self,
        run: &Run,
        depth: i64,
        input: &[u64],
        place: Place<'_>,
    ) -> Option<Guard> {
        let Place { words: output, list } = place;
        assert!(
            input.len() == self.words_in && output.len() == self.words_out,
            "words of another program"
        );
        let word = (self.entry)(run, depth, input.as_ptr(), output.as_mut_ptr());
        let mut lists = run.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(at), DONE) = (self.list, word) {
            let address = usize::try_from(output[at]).unwrap_or_default();
            *list = lists.take(address).unwrap_or_default();
        }
        lists.clear();
        if word == DONE { None } else { Some(Guard::of_word(word).unwrap_or(Guard::Type)) }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: taken here once, and not used after.
        let module = unsafe { ManuallyDrop::take(&mut self.module) };
        if let Ok(module) = module.into_inner() {
            // SAFETY: code runs only within `run`, which borrows `self`; nobody does any more.
            unsafe { module.free_memory() };
        }
    }
}
