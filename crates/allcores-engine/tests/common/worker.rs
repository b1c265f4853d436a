//! A worker written in Rust: it does what the tag of a batch says.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use allcores_engine::{Arrived, Body, FnId, Port, Work};

/// The byte that a worker puts into its gate when it starts a [`Job::Hold`].
pub(crate) const ENTERED: u8 = 7;
/// The byte that a worker puts into its gate for a [`Job::Mark`].
pub(crate) const MARKED: u8 = 8;

/// How often a worker says `often`: more often than its ring has room.
pub(crate) const OFTEN: usize = 500;

/// What a batch asks for; the discriminant is its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Job {
    /// Answer the payload.
    Echo,
    /// Answer the function's bytes, then the payload.
    Call,
    /// Answer the ids of the known functions, and how often each was sent.
    Known,
    /// Answer the worker's number.
    Who,
    /// Say so through the gate, wait there, then answer the payload.
    Hold,
    /// Leave in the middle of it.
    Leave,
    /// Keep the payload where it lies, answer nothing.
    Keep,
    /// Answer what was kept.
    Show,
    /// Say so through the gate, answer nothing.
    Mark,
    /// A careful batch: do with each item what its byte of the payload says (see `walk`).
    Walk,
    /// Say the payload beside the answer, then answer it.
    Say,
    /// Answer, and take nothing more.
    Retire,
}

impl Job {
    pub(crate) fn tag(self) -> u32 {
        self as u32
    }

    fn of(tag: u32) -> Job {
        let all = [
            Job::Echo,
            Job::Call,
            Job::Known,
            Job::Who,
            Job::Hold,
            Job::Leave,
            Job::Keep,
            Job::Show,
            Job::Mark,
            Job::Walk,
            Job::Say,
            Job::Retire,
        ];
        all[tag as usize]
    }
}

/// How a worker came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was told to, or its parent has gone.
    Left,
    /// In the middle of a batch.
    Broke,
}

/// Takes work until it is time to leave.
pub(crate) fn work(mut port: Port, mut gate: UnixStream, number: u64) -> Ending {
    let mut functions: BTreeMap<FnId, (Vec<u8>, u32)> = BTreeMap::new();
    let mut kept = Body::empty();
    port.ready().expect("the link is fresh");
    while let Some(work) = port.next_work().expect("the parent speaks sense") {
        let (task, body) = match work {
            Work::Function { function, body } => {
                let known = functions.entry(function).or_default();
                *known = (body.to_vec(), known.1 + 1);
                continue;
            }
            Work::Forget { function } => {
                assert!(functions.remove(&function).is_some(), "{function} was never sent");
                continue;
            }
            Work::Task { task, body } => (task, body),
        };
        let mut beside = Vec::new();
        let answer = match Job::of(task.tag) {
            Job::Echo => {
                beside = parcels_of(&body);
                body.to_vec()
            }
            Job::Call => {
                let named = task.function.and_then(|function| functions.get(&function));
                let (function, _) = named.expect("a function is sent before it is named");
                [function.as_slice(), &body.to_vec()].concat()
            }
            Job::Known => functions
                .iter()
                .flat_map(|(function, (_, times))| [function.0, *times])
                .flat_map(u32::to_le_bytes)
                .collect(),
            Job::Who => number.to_le_bytes().to_vec(),
            Job::Hold => {
                gate.write_all(&[ENTERED]).expect("the gate takes a byte");
                // Its end opens the gate too.
                let _opened = gate.read(&mut [0]);
                body.to_vec()
            }
            Job::Leave => return Ending::Broke,
            Job::Walk => {
                let Some(answer) = walk(&mut port, &mut gate, &body.to_vec()) else {
                    return Ending::Broke;
                };
                answer
            }
            Job::Say => {
                let words = body.to_vec();
                for _ in 0..if words == b"often" { OFTEN } else { 1 } {
                    port.say(&words).expect("the parent listens");
                }
                body.to_vec()
            }
            Job::Retire => Vec::new(),
            Job::Keep => {
                kept = body;
                Vec::new()
            }
            Job::Show => {
                beside = parcels_of(&kept);
                kept.to_vec()
            }
            Job::Mark => {
                gate.write_all(&[MARKED]).expect("the gate takes a byte");
                Vec::new()
            }
        };
        port.reply_with(task.tag, &answer, &returned(&beside)).expect("an answer fits");
        if task.tag == Job::Retire.tag() {
            port.retire().expect("the parent listens");
        }
    }
    Ending::Left
}

/// The bytes of what came beside the letter.
pub(crate) fn parcels_of(body: &Body) -> Vec<Vec<u8>> {
    let region = |parcel: &Arrived| parcel.region().expect("it can be mapped").to_vec();
    body.parcels().iter().map(region).collect()
}

/// Each in two pieces, as they are to be sent.
fn returned(parcels: &[Vec<u8>]) -> Vec<Vec<&[u8]>> {
    let halves = parcels.iter().map(|parcel| parcel.split_at(parcel.len() / 2));
    halves.map(|(one, other)| vec![one, other]).collect()
}

/// Runs the items of a careful batch; each is one byte of the payload, and its result is its
/// position. `None`: one of them was `x`.
///
/// | byte | what the item does                                                    |
/// | ---- | --------------------------------------------------------------------- |
/// | `.`  | nothing                                                               |
/// | `h`  | says so through the gate and waits there                              |
/// | `c`  | starts a process that stays, with the worker's gate and socket in it  |
/// | `o`  | the same, but the process that has started it ends                    |
/// | `x`  | leaves                                                                |
fn walk(port: &mut Port, gate: &mut UnixStream, items: &[u8]) -> Option<Vec<u8>> {
    let walk = port.walk().expect("the parent listens").expect("the batch is a careful one");
    let mut results = Vec::new();
    loop {
        while let Some(position) = walk.step() {
            match items[position as usize] {
                b'h' => {
                    gate.write_all(&[ENTERED]).expect("the gate takes a byte");
                    let _opened = gate.read(&mut [0]);
                }
                b'c' => drop(Command::new("sleep").arg("1000").spawn().expect("a child")),
                b'o' => {
                    let script = "sleep 1000 & exit 0";
                    Command::new("sh").args(["-c", script]).status().expect("a shell");
                }
                b'x' => return None,
                _ => {}
            }
            results.push(position as u8);
        }
        if walk.is_over() {
            return Some(results);
        }
        port.part(Job::Walk.tag(), &results, &[]).expect("a part fits");
        results.clear();
    }
}
