//! Every outcome of an append.

use syncline_crypto::Hash;
use syncline_log::store::{Appended, Tip};
use syncline_log::{Link, LogStore, SeqNum};

use super::{all_encoded, append, append_new, assert_holds, author, new, ok, seq, write};
use crate::generate::{Author, Step, encoded, signing_key};
use crate::seed::Rng;

pub(super) fn check<S: LogStore<u64>>(fresh: &impl Fn() -> S) {
    an_empty_store_has_nothing(&fresh());
    a_log_grows_by_one(&fresh());
    what_is_known_changes_nothing(&fresh());
    later_operations_of_a_batch_see_the_earlier_ones(&fresh());
    a_refused_operation_does_not_hinder_the_others(&fresh());
    an_empty_log_begins_where_its_link_allows(&fresh);
    a_prune_flag_takes_any_place_above_the_tip(&fresh());
    a_batch_may_begin_and_prune_a_log(&fresh());
    logs_are_apart(&fresh());
    the_last_place_ends_a_log(&fresh());
    bodies_may_be_missing(&fresh());
}

fn an_empty_store_has_nothing<S: LogStore<u64>>(store: &S) {
    let key = author(1, 0).public_key();
    assert_eq!(ok(store.append(Vec::new())), [], "an empty batch has no outcomes");
    assert_eq!(ok(store.tip(key, 0)), None, "an empty store has no tips");
    assert!(ok(store.heights(&[(key, vec![0, 1])].into())).is_empty(), "an empty store has no heights");
    assert_eq!(ok(store.get(Hash::digest(b"nothing"))), None, "an empty store has no operations");
    assert_eq!(ok(store.logs(None, 10)), [], "an empty store has no logs");
    assert_eq!(ok(store.prune(key, 0, SeqNum::MAX)), 0, "nothing can be pruned in an empty store");
    assert!(!ok(store.delete_log(key, 0)), "no log can be deleted in an empty store");
    assert!(!ok(store.delete_payload(Hash::digest(b"nothing"))), "no payload can be deleted in an empty store");
    assert_eq!(ok(store.forks(key, 0)), [], "an empty store has no forks");
}

fn a_log_grows_by_one<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let written = write(&mut author, &["a", "b", "c", "d", "e"]);
    append_new(store, 0, &written[..1]);
    append_new(store, 0, &written[1..4]);
    append_new(store, 0, &written[4..]);
    assert_eq!(ok(store.tip(author.public_key(), 0)), author.tip(), "the tip is the newest operation");
    assert_holds(store, author.public_key(), 0, &all_encoded(&written));
}

fn what_is_known_changes_nothing<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let written = write(&mut author, &["a", "b", "c"]);
    append_new(store, 0, &written);
    for link in [Link::Next, Link::Prunes, Link::MayStart] {
        let outcomes = append(store, 0, &written, link);
        assert_eq!(outcomes, vec![Appended::Known; 3], "an operation that is there is known, whatever its link");
    }
    assert_holds(store, author.public_key(), 0, &all_encoded(&written));
}

fn later_operations_of_a_batch_see_the_earlier_ones<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let written = write(&mut author, &["a", "b"]);
    let [first, second] = &written[..] else { return };
    let batch = [first, first, second, first, second].map(|operation| new(0, operation, Link::Next));
    use Appended::{Known, New};
    assert_eq!(ok(store.append(batch.into())), [New, Known, New, Known, Known], "a batch sees its own operations");
    assert_holds(store, author.public_key(), 0, &all_encoded(&written));
}

fn a_refused_operation_does_not_hinder_the_others<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let written = write(&mut author, &["a", "b", "c"]);
    let mut stranger = super::author(2, 0);
    let strange = write(&mut stranger, &["x", "y"]);
    let batch = [&written[0], &strange[1], &written[2], &written[1], &strange[0], &written[2]];
    let outcomes = ok(store.append(batch.map(|operation| new(0, operation, Link::Next)).into()));
    let gap = |expected| Appended::Gap { expected: seq(expected) };
    let new = Appended::New;
    let expected = [new.clone(), gap(0), gap(1), new.clone(), new.clone(), new];
    assert_eq!(outcomes, expected, "each operation of a batch is decided for itself, in order");
    assert_holds(store, author.public_key(), 0, &all_encoded(&written));
    assert_holds(store, stranger.public_key(), 0, &all_encoded(&strange[..1]));
}

fn an_empty_log_begins_where_its_link_allows<S: LogStore<u64>>(fresh: &impl Fn() -> S) {
    let mut author = author(1, 0);
    let written = write(&mut author, &["a", "b", "c", "d"]);
    let outcome = append(&fresh(), 0, &written[2..3], Link::Next);
    assert_eq!(outcome, [Appended::Gap { expected: seq(0) }], "an empty log begins at 0");
    for link in [Link::Prunes, Link::MayStart] {
        let store = fresh();
        assert_eq!(append(&store, 0, &written[2..3], link), [Appended::New], "a log may begin anywhere by {link:?}");
        append_new(&store, 0, &written[3..]);
        let outcomes = append(&store, 0, &written[..2], Link::MayStart);
        assert_eq!(outcomes, vec![Appended::Pruned; 2], "what is before a log's beginning is never taken");
        assert_holds(&store, author.public_key(), 0, &all_encoded(&written[2..]));
    }
    let store = fresh();
    append_new(&store, 0, &written[..1]);
    let outcome = append(&store, 0, &written[2..3], Link::MayStart);
    assert_eq!(outcome, [Appended::Gap { expected: seq(1) }], "only an empty log may begin anywhere");
}

fn a_prune_flag_takes_any_place_above_the_tip<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    append_new(store, 0, &write(&mut author, &["a", "b", "c"]));
    let first = ok(store.tip(author.public_key(), 0));
    let pruning = author.write(Step { prunes: true, skip: 4, ..Step::body("p") });
    assert_eq!(append(store, 0, std::slice::from_ref(&pruning), Link::Prunes), [Appended::New], "it leaves out places");
    assert_holds(store, author.public_key(), 0, &[encoded(&pruning)]);
    let gone = first.map(|tip| ok(store.get(tip.hash)));
    assert_eq!(gone, Some(None), "what is pruned is not found by hash");
    let tail = write(&mut author, &["d"]);
    append_new(store, 0, &tail);

    // An operation right behind the tip, whose author had another tip in mind.
    let other = Tip { seq_num: seq(8), hash: Hash::digest(b"another history") };
    let key = signing_key(&mut Rng::new(1));
    let pruning = Author::at(key, 0, other).write(Step { prunes: true, ..Step::body("q") });
    assert_eq!(append(store, 0, std::slice::from_ref(&pruning), Link::Next), [Appended::Backlink]);
    assert_eq!(append(store, 0, std::slice::from_ref(&pruning), Link::Prunes), [Appended::New]);
    assert_holds(store, author.public_key(), 0, &[encoded(&pruning)]);
    assert_eq!(append(store, 0, &tail, Link::Next), [Appended::Pruned], "what a prune flag deleted is not taken again");
}

fn a_batch_may_begin_and_prune_a_log<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let mut written = write(&mut author, &["a", "b"]);
    written.push(author.write(Step { prunes: true, ..Step::body("p") }));
    written.extend(write(&mut author, &["c"]));
    let links = [Link::Next, Link::Next, Link::Prunes, Link::Next];
    let batch = written.iter().zip(links).map(|(operation, link)| new(0, operation, link));
    assert_eq!(ok(store.append(batch.collect())), vec![Appended::New; 4]);
    assert_holds(store, author.public_key(), 0, &all_encoded(&written[2..]));
    assert_eq!(ok(store.get(written[0].hash)), None, "what the batch itself pruned is not there");
    assert_eq!(append(store, 0, &written[..2], Link::Next), vec![Appended::Pruned; 2]);
}

fn logs_are_apart<S: LogStore<u64>>(store: &S) {
    let mut authors = [author(1, 0), author(1, 1), author(2, 0), author(1, 256), author(1, u64::MAX)];
    let written = authors.each_mut().map(|author| write(author, &["a", "b"]));
    let batch = written.iter().flatten().map(|operation| {
        let log_id = operation.header.extensions.as_ref().map_or(0, |extensions| extensions.log_id);
        new(log_id, operation, Link::Next)
    });
    assert_eq!(ok(store.append(batch.collect())), vec![Appended::New; 10], "a batch may be of many logs");
    for (author, written) in authors.iter().zip(&written) {
        assert_holds(store, author.public_key(), author.log_id(), &all_encoded(written));
    }
}

fn the_last_place_ends_a_log<S: LogStore<u64>>(store: &S) {
    let before = Tip { seq_num: seq(u64::MAX - 2), hash: Hash::digest(b"before") };
    let mut author = Author::at(signing_key(&mut Rng::new(1)), 0, before);
    let written = write(&mut author, &["y", "z"]);
    assert_eq!(append(store, 0, &written, Link::MayStart), vec![Appended::New; 2], "a log may end at the last place");
    assert_eq!(ok(store.tip(author.public_key(), 0)), author.tip());
    assert_holds(store, author.public_key(), 0, &all_encoded(&written));
    assert_eq!(append(store, 0, &written, Link::Prunes), vec![Appended::Known; 2]);
    assert_eq!(ok(store.prune(author.public_key(), 0, SeqNum::MAX)), 1, "all but the last place can be pruned");
    assert_holds(store, author.public_key(), 0, &all_encoded(&written[1..]));
}

fn bodies_may_be_missing<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let written = write(&mut author, &["a", "", "c"]);
    let mut batch: Vec<_> = written.iter().map(|operation| new(0, operation, Link::Next)).collect();
    batch[2].operation = batch[2].operation.clone().with_body(None);
    let operations: Vec<_> = batch.iter().map(|new| new.operation.clone()).collect();
    assert_eq!(ok(store.append(batch)), vec![Appended::New; 3], "an operation is taken without its body");
    assert_holds(store, author.public_key(), 0, &operations);
}
