//! The positions of consumers.

use syncline_log::store::{CursorName, CursorStore};
use syncline_log::{Heights, Logs, SeqNum};

use super::{author, ok, seq};

pub(super) fn check<S: CursorStore<u64>>(fresh: &impl Fn() -> S) {
    positions_are_kept(&fresh());
    names_are_apart(&fresh());
}

fn name(text: &str) -> CursorName {
    match CursorName::new(text) {
        Ok(name) => name,
        Err(error) => panic!("a name of the suite was refused: {error:?}"),
    }
}

fn positions_are_kept<S: CursorStore<u64>>(store: &S) {
    let (one, two) = (author(1, 0).public_key(), author(2, 0).public_key());
    let all: Logs<u64> = [(one, vec![0, 1, 2]), (two, vec![0])].into();
    assert!(ok(store.cursor(name("a"), &all)).is_empty(), "a new consumer has no positions");
    ok(store.move_cursor(name("a"), Heights::new()));
    ok(store.move_cursor(name("a"), [(one, [].into())].into()));
    assert!(!ok(store.delete_cursor(name("a"))), "no position is not a cursor");

    ok(store.move_cursor(name("a"), [(one, [(0, seq(5)), (1, SeqNum::MAX)].into())].into()));
    ok(store.move_cursor(name("a"), [(one, [(0, seq(3))].into()), (two, [(0, seq(0))].into())].into()));
    let expected: Heights<u64> = [(one, [(0, seq(3)), (1, SeqNum::MAX)].into()), (two, [(0, seq(0))].into())].into();
    assert_eq!(ok(store.cursor(name("a"), &all)), expected, "positions go both ways, and others stay");
    let some: Logs<u64> = [(one, vec![1, 1])].into();
    assert_eq!(ok(store.cursor(name("a"), &some)), [(one, [(1, SeqNum::MAX)].into())].into(), "what was asked for");
}

fn names_are_apart<S: CursorStore<u64>>(store: &S) {
    let one = author(1, 0).public_key();
    let logs: Logs<u64> = [(one, vec![0])].into();
    let longest = "n".repeat(CursorName::LEN_MAX);
    let names = ["a", "ab", "a\0", "a\0b", "b", "ä", &longest];
    for (at, text) in names.iter().enumerate() {
        ok(store.move_cursor(name(text), [(one, [(0, seq(at as u64))].into())].into()));
    }
    assert!(ok(store.delete_cursor(name("a"))));
    assert!(!ok(store.delete_cursor(name("a"))), "a consumer can be forgotten once");
    for (at, text) in names.iter().enumerate() {
        let expected = if *text == "a" { Heights::new() } else { [(one, [(0, seq(at as u64))].into())].into() };
        assert_eq!(ok(store.cursor(name(text), &logs)), expected, "the position of {text:?}");
    }
}
