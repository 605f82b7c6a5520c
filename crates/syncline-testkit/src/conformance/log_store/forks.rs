//! Two histories of one log.

use syncline_crypto::Ed25519;
use syncline_log::store::Appended;
use syncline_log::{EncodedOperation, Extension as _, Fork, Link, LogStore, SeqNum};

use super::{all_encoded, append, append_new, assert_holds, author, ok, seq, write};
use crate::generate::{LogExtensions, Step};

pub(super) fn check<S: LogStore<u64>>(fresh: &impl Fn() -> S) {
    the_first_history_stays_and_the_other_is_proof(&fresh());
    a_fork_within_a_batch_is_found(&fresh());
    proofs_are_bounded(&fresh());
    proofs_outlive_pruning(&fresh());
}

/// The log that a header of the generator says it belongs to.
fn log_id(operation: &EncodedOperation) -> Option<u64> {
    LogExtensions::extract(&operation.header().ok()?)
}

#[track_caller]
fn assert_proof(fork: &Fork, first: &EncodedOperation, second: &EncodedOperation) {
    assert_eq!(fork.first(), first.header_bytes(), "the first header of a fork is the one that the log has");
    assert_eq!(fork.second(), second.header_bytes(), "the second header of a fork is the one that came later");
    assert_eq!((fork.author(), fork.seq_num()), (first.public_key(), first.seq_num()));
    if let Err(error) = fork.verify(&Ed25519, log_id) {
        panic!("a fork is a proof for everybody: {error:?}");
    }
}

fn the_first_history_stays_and_the_other_is_proof<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let trunk = write(&mut author, &["a", "b"]);
    let mut other = author.clone();
    let ours = write(&mut author, &["c", "d"]);
    let theirs = write(&mut other, &["C", "D", "E"]);
    append_new(store, 0, &trunk);
    append_new(store, 0, &ours);
    let (ours, theirs) = (all_encoded(&ours), all_encoded(&theirs));

    let outcomes = append(store, 0, &write(&mut author.clone(), &["e"]), Link::Next);
    assert_eq!(outcomes, [Appended::New]);
    let fork = Fork::new(ours[0].header_bytes().clone(), theirs[0].header_bytes().clone()).ok();
    let batch = theirs.iter().map(|operation| super::NewOperation::next(0, operation.clone()));
    let outcomes = ok(store.append(batch.collect()));
    assert_eq!(Some(&outcomes[0]), fork.map(Box::new).map(Appended::Forked).as_ref(), "the outcome has the proof");
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, Appended::Forked(_))),
        "each place is a fork: {outcomes:?}"
    );

    let forks = ok(store.forks(author.public_key(), 0));
    assert_eq!(forks.len(), 3, "each is kept");
    assert_proof(&forks[0], &ours[0], &theirs[0]);
    assert_proof(&forks[1], &ours[1], &theirs[1]);
    ok(store.append(vec![super::NewOperation::next(0, theirs[0].clone())]));
    assert_eq!(ok(store.forks(author.public_key(), 0)).len(), 3, "the same fork is kept once");
    assert_eq!(ok(store.get(theirs[0].hash())), None, "the second history is not in the log");
    let first = ok(store.tip(author.public_key(), 0)).map(|tip| tip.seq_num);
    assert_eq!(first, Some(seq(4)));

    // Behind the tip the other history shows by its backlink.
    let outcomes = append(store, 0, &write(&mut other, &["F"]), Link::Next);
    assert_eq!(outcomes, [Appended::Backlink]);
}

fn a_fork_within_a_batch_is_found<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let trunk = write(&mut author, &["a"]);
    let mut other = author.clone();
    let (ours, theirs) = (write(&mut author, &["b"]), write(&mut other, &["B"]));
    let batch: Vec<_> = [&trunk[0], &ours[0], &theirs[0], &theirs[0]].map(Clone::clone).into();
    let outcomes = append(store, 0, &batch, Link::Next);
    assert_eq!(outcomes[..2], [Appended::New, Appended::New]);
    assert!(matches!(outcomes[2..], [Appended::Forked(_), Appended::Forked(_)]), "{outcomes:?}");
    let forks = ok(store.forks(author.public_key(), 0));
    assert_eq!(forks.len(), 1);
    assert_proof(&forks[0], &all_encoded(&ours)[0], &all_encoded(&theirs)[0]);
    let written = [trunk, ours].concat();
    assert_holds(store, author.public_key(), 0, &all_encoded(&written));
}

fn proofs_are_bounded<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let beginning = author.clone();
    append_new(store, 0, &write(&mut author, &["a"]));
    let other = |timestamp| beginning.clone().write(Step { timestamp, ..Step::body("A") });
    let many: Vec<_> = (1..=2 * Fork::PER_LOG_MAX as u64).map(other).collect();
    let (one_by_one, at_once) = many.split_at(Fork::PER_LOG_MAX / 2);
    for operation in one_by_one {
        append(store, 0, std::slice::from_ref(operation), Link::Next);
    }
    let outcomes = append(store, 0, at_once, Link::Next);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Appended::Forked(_))), "a fork is told, kept or not");
    let forks = ok(store.forks(author.public_key(), 0));
    assert_eq!(forks.len(), Fork::PER_LOG_MAX, "only so many proofs are kept of one log");
    let kept: Vec<_> = all_encoded(&many[..Fork::PER_LOG_MAX]);
    let is_early = |fork: &Fork| kept.iter().any(|operation| operation.header_bytes() == fork.second());
    assert!(forks.iter().all(is_early), "the first ones are kept");
    assert!(forks.is_sorted_by_key(Fork::seq_num), "forks are ordered by place");
}

fn proofs_outlive_pruning<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let mut other = author.clone();
    let (ours, theirs) = (write(&mut author, &["a", "b"]), write(&mut other, &["A"]));
    append_new(store, 0, &ours);
    append(store, 0, &theirs, Link::Next);
    ok(store.prune(author.public_key(), 0, SeqNum::MAX));
    append_new(store, 0, &write(&mut author, &["c"]));
    let pruning = author.write(Step { prunes: true, ..Step::body("p") });
    append(store, 0, &[pruning], Link::Prunes);
    let forks = ok(store.forks(author.public_key(), 0));
    assert_eq!(forks.len(), 1, "pruning does not delete proofs");
    assert_proof(&forks[0], &all_encoded(&ours)[0], &all_encoded(&theirs)[0]);
}
