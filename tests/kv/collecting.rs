//! Deletions are forgotten when all have seen them, and nothing comes back by that.

use std::time::Duration;

use syncline_kv::item::OnRevoke;
use syncline_kv::{KvError, Tree, Verdict};
use syncline_testkit::seed::{Rng, for_each_seed};

use crate::support::{
    MINUTE, apply, at, copy, entry, exchange, hash, key, limited, memory, namespace, open, person, public, root, stamp,
    text, unset,
};

const DAY: u64 = 24 * 60 * MINUTE;

#[test]
fn a_deletion_goes_when_all_known_peers_have_it() {
    let tree = unset();
    let old = tree.put(at(1), &root(), &key("/k"), &b"v"[..]).expect("puts");
    let deleted = tree.delete(at(2), &root(), &key("/k")).expect("deletes");
    assert_eq!(tree.collect(at(10)).expect("collects").keys, 0, "nobody is known to have it");
    tree.note_synced(&public(&person(1)), at(5)).expect("notes");
    tree.note_synced(&public(&person(2)), at(2)).expect("notes");
    assert_eq!(tree.collect(at(10)).expect("collects").keys, 0, "the second began before it came");
    tree.note_synced(&public(&person(2)), at(3)).expect("notes");
    let done = tree.collect(at(10)).expect("collects");
    assert_eq!((done.keys, done.entries), (1, 1));
    assert_eq!(tree.root().expect("root").entries, 0);
    for older in [old, deleted] {
        assert_eq!(apply(&tree, at(11), older), Verdict::Collected);
    }
    let newer = entry(&tree, &root(), &[], "/k", "newer", stamp(20));
    assert_eq!(apply(&tree, at(20), newer), Verdict::Applied);
    tree.check().expect("rows agree");
}

#[test]
fn a_peer_that_is_forgotten_holds_nothing_back() {
    let tree = unset();
    tree.note_synced(&public(&person(1)), at(1)).expect("notes");
    tree.note_synced(&public(&person(2)), at(100)).expect("notes");
    tree.note_synced(&public(&person(2)), at(50)).expect("an older session changes nothing");
    assert_eq!(tree.freshness().expect("reads").latest(), Some(at(100)));
    tree.delete(at(50), &root(), &key("/k")).expect("deletes");
    assert_eq!(tree.collect(at(200)).expect("collects").keys, 0);
    tree.forget_peer(&public(&person(1))).expect("forgets");
    assert_eq!(tree.collect(at(200)).expect("collects").keys, 1);
}

#[test]
fn age_alone_is_enough_and_marks_go_after_as_long_again() {
    let tree = unset();
    let old = tree.put(at(0), &root(), &key("/k"), &b"v"[..]).expect("puts");
    tree.delete(at(0), &root(), &key("/k")).expect("deletes");
    assert_eq!(tree.collect(at(30 * DAY)).expect("collects").keys, 0);
    assert_eq!(tree.collect(at(30 * DAY + 1)).expect("collects").keys, 1);
    assert_eq!(tree.collect(at(60 * DAY + 1)).expect("collects").marks, 0);
    assert_eq!(apply(&tree, at(60 * DAY + 1), old.clone()), Verdict::Collected);
    assert_eq!(tree.collect(at(60 * DAY + 2)).expect("collects").marks, 1);
    assert_eq!(apply(&tree, at(60 * DAY + 2), old), Verdict::Applied, "and that is why such replicas must not sync");
}

#[test]
fn many_deletions_and_marks_go_in_parts() {
    let tree = unset();
    let put = |nth| {
        let draft = syncline_kv::item::EntryDraft {
            namespace: tree.id(),
            key: key(&format!("/k/{nth}")),
            value: syncline_kv::Value::Tombstone,
            stamp: stamp(0),
            author: public(&root()),
            leaves: syncline_kv::item::Leaves::default(),
            previous: None,
        };
        syncline_kv::Item::from(draft.sign(&root()).expect("signs"))
    };
    tree.apply(at(0), (0..2_500).map(put).collect()).expect("applies");
    assert_eq!(tree.collect(at(31 * DAY)).expect("collects").keys, 2_500);
    assert_eq!(tree.root().expect("root").entries, 0);
    assert_eq!(tree.collect(at(62 * DAY)).expect("collects").marks, 2_500);
    tree.check().expect("rows agree");
}

#[test]
fn who_was_away_too_long_may_not_sync() {
    let tree = unset();
    tree.check_not_away(at(1_000 * DAY)).expect("who knows nobody was never away");
    tree.note_synced(&public(&person(1)), at(0)).expect("notes");
    tree.check_not_away(at(30 * DAY)).expect("just in time");
    let away = tree.check_not_away(at(30 * DAY + 1)).expect_err("too long");
    assert!(matches!(away, KvError::AwayTooLong { .. }));
    let fresh =
        |now, within| tree.require_synced_within(at(now), Duration::from_millis(within)).expect("reads").is_ok();
    assert!(fresh(10, 10) && !fresh(11, 10));
}

/// Three replicas delete, sync in pairs and collect when they like.
#[test]
fn nothing_comes_back_whenever_who_collects() {
    for_each_seed(0..30, |seed| {
        let mut rng = Rng::new(seed);
        let namespace = namespace(OnRevoke::Unset);
        let limits = crate::support::limits(|limits| limits.collect_after = Duration::from_millis(5_000));
        let open = || limited(&memory(), &namespace, limits.clone()).expect("opens");
        let trees: Vec<Tree> = (0..3).map(|_| open()).collect();
        let peer = |nth: usize| public(&person(100 + nth as u64));
        let mut now = 0;
        for _ in 0..60 {
            now += rng.below(200);
            let who = rng.index(3);
            let what = rng.index(4);
            let path = key(&format!("/{what}"));
            match rng.below(6) {
                0 => drop(trees[who].put(at(now), &root(), &path, &b"v"[..]).expect("puts")),
                1 => drop(trees[who].delete(at(now), &root(), &path).expect("deletes")),
                2 => drop(trees[who].collect(at(now)).expect("collects")),
                _ => {
                    let with = (who + 1 + rng.index(2)) % 3;
                    for (from, to) in [(who, with), (with, who)] {
                        copy(&trees[from], &trees[to], at(now));
                    }
                    trees[who].note_synced(&peer(with), at(now)).expect("notes");
                    trees[with].note_synced(&peer(who), at(now)).expect("notes");
                }
            }
        }
        let all: Vec<&Tree> = trees.iter().collect();
        exchange(&all, at(now));
        for what in 0..4 {
            let values: Vec<_> = all.iter().map(|tree| text(tree, &format!("/{what}"))).collect();
            assert!(values.iter().all(|value| *value == values[0]), "seed {seed}: {values:?}");
            trees[rng.index(3)].delete(at(now + 5), &root(), &key(&format!("/{what}"))).expect("deletes");
        }
        exchange(&all, at(now + 10));
        // From here on nothing is written: whoever collects when, everything stays deleted.
        for _ in 0..20 {
            now += 100;
            let (who, with) = (rng.index(3), rng.index(3));
            trees[who].collect(at(now)).expect("collects");
            copy(&trees[who], &trees[with], at(now));
            trees[with].note_synced(&peer(who), at(now)).expect("notes");
            for what in 0..4 {
                assert!(all.iter().all(|tree| text(tree, &format!("/{what}")).is_none()), "seed {seed}");
            }
        }
        for tree in &all {
            tree.collect(at(now + 100_000)).expect("collects");
            tree.check().expect("rows agree");
            assert_eq!((tree.root().expect("root").entries, hash(tree)), (0, hash(&trees[0])), "seed {seed}");
        }
    });
}

#[test]
fn what_a_deletion_shadows_goes_with_it_and_what_is_greater_stays() {
    let tree = open(&memory(), &namespace(OnRevoke::Fallback));
    let (one, two) = (person(1), person(2));
    crate::support::grant(&tree, &one, "/**");
    crate::support::grant(&tree, &two, "/**");
    let shadowed = tree.put(at(1), &one, &key("/k"), &b"1"[..]).expect("puts");
    tree.delete(at(2), &root(), &key("/k")).expect("deletes");
    let greater = tree.put(at(3), &two, &key("/k"), &b"2"[..]).expect("puts");
    tree.note_synced(&public(&one), at(10)).expect("notes");
    let done = tree.collect(at(11)).expect("collects");
    assert_eq!((done.keys, done.entries), (1, 2));
    assert_eq!(tree.history(&key("/k")).expect("reads"), [greater]);
    assert_eq!(apply(&tree, at(12), shadowed), Verdict::Collected);
    tree.check().expect("rows agree");
}
