//! Pruning, deleted payloads, deleted logs.

use std::sync::OnceLock;

use syncline_log::store::{Appended, NewOperation};
use syncline_log::{EncodedOperation, Link, LogStore, Operation, SeqNum};

use super::{all_encoded, append, append_new, assert_holds, author, ok, seq, write};
use crate::generate::{Author, LogExtensions, Step};

pub(super) fn check<S: LogStore<u64>>(fresh: &impl Fn() -> S) {
    pruning_keeps_the_tail(&fresh());
    a_fully_pruned_log_keeps_its_height(&fresh());
    a_prune_flag_follows_a_pruned_log(&fresh());
    a_deleted_payload_leaves_the_header(&fresh());
    a_payload_can_be_added_later(&fresh());
    a_deleted_log_is_forgotten(&fresh());
    an_operation_may_be_in_two_logs(&fresh());
    many_operations_are_deleted(&fresh());
}

fn pruning_keeps_the_tail<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let key = author.public_key();
    let written = write(&mut author, &["a", "b", "c", "d", "e"]);
    append_new(store, 0, &written);
    assert_eq!(ok(store.prune(key, 0, seq(0))), 0, "nothing is before place 0");
    assert_eq!(ok(store.prune(key, 0, seq(2))), 2, "the operations before place 2");
    assert_eq!(ok(store.prune(key, 0, seq(1))), 0, "a horizon does not go back");
    assert_eq!(ok(store.prune(key, 0, seq(3))), 1, "a horizon goes on");
    assert_holds(store, key, 0, &all_encoded(&written[3..]));
    for gone in &written[..3] {
        assert_eq!(ok(store.get(gone.hash)), None, "a pruned operation is not found by its hash");
        assert!(!ok(store.delete_payload(gone.hash)), "a pruned operation has no payload");
    }
    assert_eq!(append(store, 0, &written[..3], Link::Next), vec![Appended::Pruned; 3], "it is not taken again");
    assert_eq!(append(store, 0, &written[3..], Link::Next), vec![Appended::Known; 2]);
    append_new(store, 0, &write(&mut author, &["f"]));
}

fn a_fully_pruned_log_keeps_its_height<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let key = author.public_key();
    let written = write(&mut author, &["a", "b"]);
    append_new(store, 0, &written);
    assert_eq!(ok(store.prune(key, 0, SeqNum::MAX)), 2);
    assert_holds(store, key, 0, &[]);
    assert_eq!(ok(store.tip(key, 0)), author.tip(), "the tip is known although it is pruned");
    let heights = ok(store.heights(&[(key, vec![0])].into()));
    assert_eq!(heights, [(key, [(0, seq(1))].into())].into(), "a height does not fall");
    let outcomes = append(store, 0, &written, Link::MayStart);
    assert_eq!(outcomes, [Appended::Pruned, Appended::Known], "a pruned log does not begin again");
    assert_eq!(ok(store.prune(key, 0, SeqNum::MAX)), 0);

    let tail = write(&mut author, &["c", "d"]);
    let gap = append(store, 0, &tail[1..], Link::MayStart);
    assert_eq!(gap, [Appended::Gap { expected: seq(2) }], "a pruned log has no freedom where to go on");
    append_new(store, 0, &tail);
    assert_holds(store, key, 0, &all_encoded(&tail));
}

fn a_prune_flag_follows_a_pruned_log<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    append_new(store, 0, &write(&mut author, &["a", "b"]));
    ok(store.prune(author.public_key(), 0, SeqNum::MAX));
    let pruning = author.write(Step { prunes: true, skip: 3, ..Step::body("p") });
    assert_eq!(append(store, 0, std::slice::from_ref(&pruning), Link::Prunes), [Appended::New]);
    assert_holds(store, author.public_key(), 0, &all_encoded(&[pruning]));
}

fn a_deleted_payload_leaves_the_header<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let written = write(&mut author, &["a", "b", "", "d"]);
    append_new(store, 0, &written);
    assert!(ok(store.delete_payload(written[1].hash)), "there was a payload");
    assert!(!ok(store.delete_payload(written[1].hash)), "it can be deleted once");
    assert!(!ok(store.delete_payload(written[2].hash)), "an operation without body has none to delete");
    let mut expected = all_encoded(&written);
    expected[1] = expected[1].clone().with_body(None);
    assert_holds(store, author.public_key(), 0, &expected);
    let found = ok(store.get(written[1].hash)).map(|located| located.operation.body);
    assert_eq!(found, Some(None), "by hash it is found without the payload, too");
    assert_eq!(append(store, 0, &written, Link::Next), vec![Appended::Known; 4]);
    assert_holds(store, author.public_key(), 0, &expected);
    ok(store.prune(author.public_key(), 0, seq(3)));
    assert_holds(store, author.public_key(), 0, &expected[3..]);
}

fn a_payload_can_be_added_later<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let key = author.public_key();
    let written = write(&mut author, &["a", "b", "c"]);
    let mut without = all_encoded(&written);
    without[1] = without[1].clone().with_body(None);
    let batch = without.iter().map(|operation| NewOperation::next(0, operation.clone()));
    assert_eq!(ok(store.append(batch.collect())), vec![Appended::New; 3], "an operation may come without its body");
    assert_holds(store, key, 0, &without);
    let (hash, body) = (written[1].hash, all_encoded(&written)[1].body().cloned().unwrap_or_default());
    assert!(ok(store.add_payload(hash, body.clone())), "the payload was missing");
    assert!(!ok(store.add_payload(hash, "other".into())), "it can be added once");
    assert!(!ok(store.add_payload(written[0].hash, "other".into())), "a payload that is there is not replaced");
    assert_holds(store, key, 0, &all_encoded(&written));
    assert!(ok(store.delete_payload(hash)));
    assert!(ok(store.add_payload(hash, body)), "a payload that was deleted can be added again");
    assert_holds(store, key, 0, &all_encoded(&written));
    ok(store.prune(key, 0, seq(2)));
    assert!(!ok(store.add_payload(hash, "other".into())), "a pruned operation takes no payload");
    assert_holds(store, key, 0, &all_encoded(&written)[2..]);
}

fn a_deleted_log_is_forgotten<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let key = author.public_key();
    let mut neighbour = super::author(1, 1);
    let kept = write(&mut neighbour, &["x", "y"]);
    append_new(store, 1, &kept);
    let mut fork = author.clone();
    let written = write(&mut author, &["a", "b", "c"]);
    append_new(store, 0, &written);
    append(store, 0, &write(&mut fork, &["other"]), Link::Next);
    ok(store.prune(key, 0, seq(1)));
    assert!(ok(store.delete_log(key, 0)));
    assert!(!ok(store.delete_log(key, 0)), "a log can be deleted once");
    assert_eq!(ok(store.tip(key, 0)), None);
    assert_eq!(ok(store.get(written[2].hash)), None);
    assert_eq!(ok(store.forks(key, 0)), []);
    assert_holds(store, key, 0, &[]);
    append_new(store, 0, &written);
    assert_holds(store, key, 0, &all_encoded(&written));
    assert_holds(store, key, 1, &all_encoded(&kept));
    assert!(ok(store.get(kept[0].hash)).is_some(), "the author's other logs stay");
}

/// No application should do this, but one that changes its mind about log ids does.
fn an_operation_may_be_in_two_logs<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let key = author.public_key();
    let written = write(&mut author, &["a", "b"]);
    for log_id in 0..3 {
        append_new(store, log_id, &written);
    }
    ok(store.prune(key, 0, seq(1)));
    assert!(ok(store.get(written[0].hash)).is_some_and(|found| found.log_id != 0), "it is in the other logs");
    ok(store.delete_log(key, 1));
    assert_eq!(ok(store.get(written[0].hash)).map(|found| found.log_id), Some(2));
    assert!(ok(store.delete_payload(written[1].hash)), "a payload is deleted wherever it is");
    let without: Vec<EncodedOperation> =
        vec![all_encoded(&written)[0].clone(), all_encoded(&written)[1].clone().with_body(None)];
    assert_holds(store, key, 0, &without[1..]);
    assert_holds(store, key, 2, &without);
    ok(store.prune(key, 2, SeqNum::MAX));
    assert_eq!(ok(store.get(written[0].hash)), None);
    assert_eq!(ok(store.get(written[1].hash)).map(|found| found.log_id), Some(0));
}

/// More operations than a store may want to delete at once.
fn many_operations_are_deleted<S: LogStore<u64>>(store: &S) {
    const COUNT: usize = 4_500;
    const KEPT: usize = 10;
    /// Signing takes longer than all the rest, so one process does it once.
    static WRITTEN: OnceLock<[(Author, Vec<Operation<LogExtensions>>); 3]> = OnceLock::new();
    let written = WRITTEN.get_or_init(|| {
        [author(1, 0), author(1, 1), author(1, 2)].map(|mut author| {
            let operations = write(&mut author, &["x"; COUNT]);
            (author, operations)
        })
    });
    for (author, operations) in written {
        for operations in operations.chunks(500) {
            append_new(store, author.log_id(), operations);
        }
    }
    let key = written[0].0.public_key();
    assert_eq!(ok(store.prune(key, 0, seq((COUNT - KEPT) as u64))), (COUNT - KEPT) as u64);
    assert_holds(store, key, 0, &all_encoded(&written[0].1[COUNT - KEPT..]));
    let pruning = written[1].0.clone().write(Step { prunes: true, ..Step::body("p") });
    assert_eq!(append(store, 1, std::slice::from_ref(&pruning), Link::Prunes), [Appended::New]);
    assert_holds(store, key, 1, &all_encoded(&[pruning]));
    assert!(ok(store.delete_log(key, 2)));
    assert_holds(store, key, 2, &[]);
    for (author, operations) in written {
        let gone = &operations[..COUNT - KEPT];
        let found = gone.iter().filter(|operation| ok(store.get(operation.hash)).is_some()).count();
        assert_eq!(found, 0, "no deleted operation of log {} is found by its hash", author.log_id());
    }
}
