//! S16, S17: what a revocation does to values.

use std::collections::BTreeSet;
use std::sync::Arc;

use syncline_kv::item::{OnRevoke, Quota};
use syncline_kv::{Grant, Tree};
use syncline_storage::{Database, Direction, KeyRange, MemoryDb, TraceDb, TraceEvent};
use syncline_testkit::cheap::CheapSigner;

use crate::support::{
    apply, at, copy, draft, entry, exchange, grant, hash, key, memory, namespace, open, passed_on, person, root, stamp,
    text, tree, unset,
};

/// Rows whose keys name this grant.
fn references(db: &dyn Database, grant: &Grant) -> usize {
    let snapshot = db.snapshot().expect("a snapshot");
    let rows = snapshot.scan(KeyRange::all(), Direction::Forward).expect("scans");
    let id = grant.id();
    let names = |bytes: &[u8]| bytes.windows(32).any(|window| window == id.as_bytes());
    // The grant itself, what was delegated from it and its revocation stay known: in table 0x23, and in what syncs it.
    let is_checked = |table: u8| (0x24..0x30).contains(&table);
    rows.map(|row| row.expect("reads"))
        .filter(|(key, value)| is_checked(key[0]) && (names(key) || names(value)))
        .count()
}

#[test]
fn s16_nothing_refers_to_a_dead_grant_and_only_its_keys_are_visited() {
    let db = Arc::new(TraceDb::new(MemoryDb::new()));
    let tree = open(&(Arc::clone(&db) as Arc<dyn Database>), &namespace(OnRevoke::Fallback));
    let (lead, member, other) = (person(1), person(2), person(3));
    let mut limited = draft(&tree, &lead, "/a/**");
    limited.quota = Quota { entries: Some(1_000), bytes: None };
    let above = tree.grant(at(0), &root(), limited).expect("grants");
    let below = passed_on(&tree, &above, &lead, &member);
    let below = tree.grant(at(0), &lead, below).expect("grants");
    let kept = grant(&tree, &other, "/**");
    let keys = |by: &CheapSigner, leaf: &Grant, count: u64| -> Vec<syncline_kv::Item> {
        let each = |nth| entry(&tree, by, &[leaf.id()], &format!("/a/{}/{nth}", count), "v", stamp(1)).into();
        (0..count).map(each).collect()
    };
    for items in [keys(&lead, &above, 7), keys(&member, &below, 20), keys(&other, &kept, 2_000)] {
        assert!(tree.apply(at(1), items).expect("applies").iter().all(|verdict| verdict.is_stored()));
    }
    assert!(references(&*db, &above) > 0 && references(&*db, &below) > 0);
    let run = tree.dry_run(above.id(), usize::MAX).expect("runs");
    assert_eq!((run.keys.len(), run.visited, run.grants.len()), (27, 27, 2));
    db.clear();
    tree.revoke(at(2), &root(), above.id()).expect("revokes");
    let reads = db.journal().into_iter().filter(|event| {
        matches!(event, TraceEvent::Scan { range, .. } if matches!(range.lower(), std::ops::Bound::Included([0x24, ..])))
    });
    assert!(reads.count() <= 27, "entries of other keys were read");
    assert_eq!((references(&*db, &above), references(&*db, &below)), (0, 0));
    assert_eq!(tree.root().expect("root").entries, 2_000);
    tree.check().expect("rows agree");
}

#[test]
fn s16_what_another_grant_still_allows_keeps_its_value() {
    let db = memory();
    let tree = open(&db, &namespace(OnRevoke::Unset));
    let member = person(1);
    let (one, two) = (grant(&tree, &member, "/a/**"), grant(&tree, &member, "/**"));
    let put = tree.put(at(1), &member, &key("/a/x"), &b"v"[..]).expect("puts");
    assert_eq!(put.leaves().as_slice().len(), 2);
    for (granted, value) in [(one, Some("v".to_owned())), (two, None)] {
        let revoked = tree.revoke(at(2), &root(), granted.id()).expect("revokes");
        assert_eq!(revoked.tombstones.len(), usize::from(value.is_none()), "S17: only after the second");
        assert_eq!(text(&tree, "/a/x"), value);
        tree.check().expect("rows agree");
    }
    // The index row of the dead one was gone before: what is left names neither.
    assert_eq!(tree.root().expect("root").entries, 1);
}

#[test]
fn s17_unset_and_fallback() {
    for (on_revoke, expected) in [(OnRevoke::Unset, None), (OnRevoke::Fallback, Some("older".to_owned()))] {
        let tree = tree(on_revoke);
        let member = person(1);
        let granted = grant(&tree, &member, "/**");
        tree.put(at(1), &root(), &key("/k"), &b"older"[..]).expect("puts");
        tree.put(at(2), &member, &key("/k"), &b"newer"[..]).expect("puts");
        tree.put(at(2), &member, &key("/shadowed"), &b"newer"[..]).expect("puts");
        tree.put(at(3), &root(), &key("/shadowed"), &b"newest"[..]).expect("puts");
        let run = tree.dry_run(granted.id(), 10).expect("runs");
        assert_eq!(run.keys.len(), 1, "what is shadowed is no value");
        assert!(run.keys[0].fallback.is_some());
        let changes = tree.watch(syncline_kv::tree::Scope::Key(key("/k")));
        let before = hash(&tree);
        tree.revoke(at(4), &root(), granted.id()).expect("revokes");
        assert_eq!(text(&tree, "/k"), expected);
        assert_eq!(text(&tree, "/shadowed"), Some("newest".into()));
        assert_ne!(hash(&tree), before);
        assert!(changes.take().expect("watchers hear of it").keys.contains(&key("/k")));
        let listed = tree.list(&syncline_kv::tree::Listing::of(syncline_kv::Subtree::all())).expect("lists");
        assert_eq!(listed.entries.len(), 1 + usize::from(expected.is_some()));
    }
}

#[test]
fn s17_what_was_unset_comes_back_nowhere() {
    let trees: Vec<Tree> = (0..5).map(|_| unset()).collect();
    let all: Vec<&Tree> = trees.iter().collect();
    let (one, two, other) = (person(1), person(2), person(3));
    let (first, second) = (grant(&trees[0], &one, "/**"), grant(&trees[0], &two, "/**"));
    grant(&trees[0], &other, "/**");
    exchange(&all, at(0));
    // Each replica knows some of the writes.
    for (nth, by) in [&one, &two, &other, &one, &two].into_iter().enumerate() {
        let value = format!("{nth}");
        trees[nth].put(at(10 + nth as u64), by, &key("/k"), value.as_bytes()).expect("puts");
        trees[nth].put(at(10 + nth as u64), &one, &key(&format!("/only/{nth}")), &b"v"[..]).expect("puts");
    }
    copy(&trees[3], &trees[4], at(20));
    copy(&trees[2], &trees[4], at(20));
    copy(&trees[0], &trees[4], at(20));
    trees[4].revoke(at(21), &root(), second.id()).expect("revokes");
    assert_eq!(text(&trees[4], "/k"), None);
    trees[4].revoke(at(22), &root(), first.id()).expect("revokes");
    exchange(&all, at(30));
    for tree in &all {
        assert_eq!(text(tree, "/k"), None);
        for nth in 0..5 {
            assert_eq!(text(tree, &format!("/only/{nth}")), None);
        }
        assert_eq!(hash(tree), hash(&trees[0]));
    }
}

#[test]
fn a_large_revocation_is_swept_in_parts_and_unsets_all() {
    let tree = unset();
    let member = person(1);
    let granted = grant(&tree, &member, "/**");
    let entries =
        (0..10_000).map(|nth| entry(&tree, &member, &[granted.id()], &format!("/k/{nth}"), "v", stamp(1)).into());
    tree.apply(at(1), entries.collect()).expect("applies");
    assert!(tree.dry_run(granted.id(), 3).expect("runs").is_truncated);
    let revoked = tree.revoke(at(2), &root(), granted.id()).expect("revokes");
    assert_eq!((revoked.tombstones.len(), revoked.not_unset.len(), revoked.visited), (10_000, 0, 10_000));
    assert_eq!(tree.root().expect("root").entries, 10_000, "a deletion for each");
    tree.check().expect("rows agree");
}

/// Whoever is revoked cannot prevent that by filling the quota that the revoker has.
#[test]
fn a_full_quota_does_not_hinder_a_revocation() {
    for many in [10_u64, 4_200] {
        let tree = unset();
        let (lead, member) = (person(1), person(2));
        let mut limited = draft(&tree, &lead, "/**");
        limited.quota = Quota { entries: Some(many + 1), bytes: None };
        let above = tree.grant(at(0), &root(), limited).expect("grants");
        let below = passed_on(&tree, &above, &lead, &member);
        let below = tree.grant(at(0), &lead, below).expect("grants");
        tree.put(at(1), &lead, &key("/own"), &b"v"[..]).expect("puts");
        let entries = (0..many).map(|nth| entry(&tree, &member, &[below.id()], &format!("/k/{nth}"), "v", stamp(1)));
        let entries: Vec<syncline_kv::Item> = entries.map(Into::into).collect();
        assert!(tree.apply(at(1), entries).expect("applies").iter().all(|verdict| verdict.is_stored()));
        let revoked = tree.revoke(at(2), &lead, below.id()).expect("revokes");
        assert_eq!((revoked.tombstones.len() as u64, revoked.not_unset.len()), (many, 0));
        assert_eq!(text(&tree, "/own"), Some("v".into()), "nothing of the revoker's is lost");
        tree.check().expect("rows agree");
    }
}

#[test]
fn a_revoker_without_authority_over_the_keys_says_which_fall_back() {
    let tree = unset();
    let (lead, member) = (person(1), person(2));
    let mut ending = draft(&tree, &lead, "/**");
    ending.not_after = Some(at(100));
    let above = tree.grant(at(0), &root(), ending).expect("grants");
    let mut below = passed_on(&tree, &above, &lead, &member);
    below.not_after = Some(at(100));
    let below = tree.grant(at(0), &lead, below).expect("grants");
    tree.put(at(1), &member, &key("/k"), &b"v"[..]).expect("puts");
    let revoked = tree.revoke(at(200), &lead, below.id()).expect("revokes");
    assert_eq!((revoked.tombstones.len(), revoked.not_unset), (0, vec![key("/k")]));
    assert_eq!(text(&tree, "/k"), None);
}

/// A rotation that wins over another one brings grants back, and revoking them then has to find everything.
#[test]
fn grants_that_come_back_to_life_can_be_revoked_again() {
    use std::collections::BTreeMap;
    use syncline_crypto::Signer as _;
    use syncline_kv::item::{Endorsements, Leaves, Namespace};
    let (other, member) = (person(50), person(1));
    let roots = [root().public_key(), other.public_key()];
    let namespace = Namespace::new("tests", roots).and_then(|it| it.with_rotation_threshold(1));
    let namespace = namespace.and_then(|it| it.with_on_revoke(OnRevoke::Fallback)).expect("a namespace");
    let tree = open(&memory(), &namespace);
    let by_root = grant(&tree, &member, "/a/**");
    let mut theirs = draft(&tree, &member, "/a/**");
    theirs.issuer = other.public_key();
    let by_other = tree.grant(at(0), &other, theirs).expect("grants");
    let put = tree.put(at(1), &member, &key("/a/x"), &b"v"[..]).expect("puts");
    assert_eq!(put.leaves(), &Leaves::new([by_root.id(), by_other.id()]).expect("two"));
    // Two rotations follow the namespace; the one with the less id wins.
    let rotation = |keep: &CheapSigner, nth: u64| {
        let draft = tree.authority().roots().next(tree.id(), [keep.public_key()], BTreeMap::new(), stamp(nth));
        let unsigned = draft.unsigned(root().public_key()).expect("a rotation");
        let signature = root().sign(&unsigned.message()).expect("signs");
        let mut endorsements = Endorsements::new(&draft).expect("a rotation");
        endorsements.add(root().public_key(), signature).finish().expect("signed")
    };
    let without_other = rotation(&root(), 1);
    let with_both = (2..).map(|nth| {
        let roots = [root().public_key(), other.public_key()];
        let draft = syncline_kv::item::RotateDraft {
            namespace: tree.id(),
            index: 1,
            previous: tree.id().into(),
            roots: {
                let mut roots = roots.to_vec();
                roots.sort_unstable();
                roots
            },
            retired: BTreeMap::new(),
            stamp: stamp(nth),
        };
        let unsigned = draft.unsigned(root().public_key()).expect("a rotation");
        let signature = root().sign(&unsigned.message()).expect("signs");
        Endorsements::new(&draft).expect("a rotation").add(root().public_key(), signature).finish().expect("signed")
    });
    let with_both = with_both.into_iter().find(|found| found.id() < without_other.id()).expect("half of them are less");
    apply(&tree, at(10), without_other);
    assert!(!tree.authority().is_live_grant(by_other.id()));
    tree.check().expect("rows agree");
    apply(&tree, at(10), with_both);
    assert!(tree.authority().is_live_grant(by_other.id()));
    tree.check().expect("rows agree");
    tree.revoke(at(11), &root(), by_root.id()).expect("revokes");
    assert_eq!(text(&tree, "/a/x"), Some("v".into()), "by the one that came back");
    tree.revoke(at(12), &root(), by_other.id()).expect("revokes");
    assert_eq!(text(&tree, "/a/x"), None);
    tree.check().expect("rows agree");
}

#[test]
fn a_dry_run_tells_what_a_revocation_does() {
    let tree = tree(OnRevoke::Fallback);
    let members: Vec<CheapSigner> = (1..4).map(person).collect();
    let grants: Vec<Grant> = members.iter().map(|member| grant(&tree, member, "/**")).collect();
    for nth in 0..30_u64 {
        let by = &members[nth as usize % 3];
        tree.put(at(nth), by, &key(&format!("/k/{}", nth % 8)), nth.to_string().as_bytes()).expect("puts");
    }
    let run = tree.dry_run(grants[0].id(), usize::MAX).expect("runs");
    let keys: BTreeSet<_> = (0..8).map(|nth| key(&format!("/k/{nth}"))).collect();
    let winner = |key: &syncline_kv::Key| tree.latest(key).expect("reads").map(|entry| entry.id());
    let before: Vec<_> = keys.iter().map(winner).collect();
    tree.revoke(at(100), &root(), grants[0].id()).expect("revokes");
    for (key, before) in keys.iter().zip(before) {
        let told = run.keys.iter().find(|affected| affected.key == *key);
        match told {
            Some(affected) => assert_eq!((Some(affected.entry), affected.fallback), (before, winner(key))),
            None => assert_eq!(winner(key), before),
        }
    }
}
