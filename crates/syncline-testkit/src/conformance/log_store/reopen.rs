//! What is there after a clean close.

use syncline_log::{Link, LogStore, SeqNum};

use super::{all_encoded, append, append_new, assert_holds, author, ok, seq, write};

pub(super) fn check<S: LogStore<u64>>(fresh: &impl Fn() -> S, reopen: &impl Fn(S) -> S) {
    let mut author = author(1, 0);
    let key = author.public_key();
    let mut other = author.clone();
    let written = write(&mut author, &["a", "b", "c"]);
    let mut gone = super::author(2, 7);
    let store = fresh();
    append_new(&store, 0, &written);
    append(&store, 0, &write(&mut other, &["A"]), Link::Next);
    append_new(&store, 7, &write(&mut gone, &["x"]));
    ok(store.delete_payload(written[1].hash));
    ok(store.prune(key, 0, seq(1)));
    ok(store.prune(gone.public_key(), 7, SeqNum::MAX));
    let forks = ok(store.forks(key, 0));
    let logs = ok(store.logs(None, 10));

    let store = reopen(store);
    let mut expected = all_encoded(&written);
    expected[1] = expected[1].clone().with_body(None);
    assert_holds(&store, key, 0, &expected[1..]);
    assert_eq!(ok(store.forks(key, 0)), forks, "forks are there after reopening");
    assert_eq!(ok(store.logs(None, 10)), logs, "logs are there after reopening");
    assert_eq!(ok(store.tip(gone.public_key(), 7)), gone.tip(), "a pruned log's tip is there after reopening");
    append_new(&store, 0, &write(&mut author, &["d"]));
    append_new(&store, 7, &write(&mut gone, &["y"]));
}
