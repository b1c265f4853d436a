//! What can be asked of this crate without Python: its lists are whole, its reader trusts nothing.

use allcores_native::error::Malformed;
use allcores_native::guard::Guard;
use allcores_native::ir::{Builtin, Program};
use allcores_native::items::{Elements, Item};
use allcores_native::refuse::Reason;
use allcores_native::types::{Buffer, Element, Type};
use allcores_native::{Machine, Place, Run};
use proptest::prelude::*;

/// `def f(a): return a * a`, as the front writes it.
fn square() -> Vec<u8> {
    let number = |value: u32| value.to_le_bytes().to_vec();
    let place = [number(2), number(4)].concat();
    let local = [vec![4], place.clone(), number(0)].concat();
    let product = [vec![6], place.clone(), vec![2], local.clone(), local].concat();
    [
        vec![0],
        number(1),
        [number(1), b"f".to_vec()].concat(),
        place,
        number(1),
        [number(1), number(1), b"a".to_vec()].concat(),
        [number(1), vec![7], product].concat(),
    ]
    .concat()
}

#[test]
fn machine_code_gives_the_product_or_leaves_it() {
    let program = Program::decode(&square()).unwrap();
    let machine = Machine::new(&program, &[Type::Int]).unwrap();
    let run = Run::new(Box::new(|| false));
    let (mut words, mut list) = ([0], Vec::new());
    let item = |value| {
        let mut item = Item::default();
        item.int(value);
        item
    };
    assert_eq!(machine.run(&run, 0, &item(12), Place { words: &mut words, list: &mut list }), None);
    assert_eq!(words, [144]);
    let place = Place { words: &mut words, list: &mut list };
    assert_eq!(machine.run(&run, 0, &item(1 << 40), place), Some(Guard::Overflow));
}

#[test]
fn buffer_has_all_the_elements_it_says() {
    let kind = Buffer { element: Element::I16, dimensions: 2, is_foreign: false };
    assert!(Elements::copied(kind, vec![2, 3], &[0; 12]).is_some());
    assert!(Elements::copied(kind, vec![2, 3], &[0; 11]).is_none());
    assert!(Elements::copied(kind, vec![usize::MAX, 3], &[0; 12]).is_none());
    assert!(Elements::copied(kind, vec![3], &[0; 12]).is_none());
}

#[test]
fn bytes_after_the_program_are_an_error() {
    let code = [square(), vec![0]].concat();
    assert_eq!(Program::decode(&code).unwrap_err(), Malformed::TooLong);
}

#[test]
fn every_guard_is_known_by_its_word() {
    for &guard in Guard::ALL {
        assert_eq!(Guard::of_word(guard.word()), Some(guard));
    }
    assert_eq!(Guard::of_word(0), None);
}

#[test]
fn no_two_reasons_and_no_two_functions_have_one_name() {
    let mut names: Vec<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    names.extend(Builtin::ALL.iter().map(|builtin| builtin.name()));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

proptest! {
    #[test]
    fn reader_takes_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Program::decode(&bytes);
    }

    #[test]
    fn reader_takes_a_program_cut_off_anywhere(length in 0_usize..60) {
        let code = square();
        prop_assume!(length < code.len());
        prop_assert!(Program::decode(&code[..length]).is_err());
    }
}
