//! Quotas: how much there may be under a grant, the same on all replicas.

use syncline_kv::item::{OnRevoke, Quota};
use syncline_kv::{Entry, Grant, KvError, Tree, Verdict};
use syncline_testkit::cheap::CheapSigner;
use syncline_testkit::seed::{Rng, for_each_seed};

use crate::support::{
    apply, at, copy, draft, entry, exchange, hash, key, memory, namespace, open, passed_on, person, root, stamp, text,
    tree, unset,
};

fn entries(max: u64) -> Quota {
    Quota { entries: Some(max), bytes: None }
}

fn bytes(max: u64) -> Quota {
    Quota { entries: None, bytes: Some(max) }
}

fn limited(tree: &Tree, to: &CheapSigner, quota: Quota) -> Grant {
    let mut draft = draft(tree, to, "/**");
    draft.quota = quota;
    tree.grant(at(0), &root(), draft).expect("grants")
}

fn put(tree: &Tree, by: &CheapSigner, path: &str, value: &str) -> Result<Entry, KvError> {
    tree.put(at(1), by, &key(path), value.as_bytes())
}

#[test]
fn a_local_put_over_quota_is_refused_and_nothing_else() {
    let tree = unset();
    let member = person(1);
    let granted = limited(&tree, &member, entries(2));
    put(&tree, &member, "/a", "1").expect("the first");
    put(&tree, &member, "/b", "2").expect("the second");
    let refused = put(&tree, &member, "/c", "3").expect_err("the third");
    assert!(matches!(refused, KvError::OverQuota { grant } if grant == granted.id()), "{refused}");
    put(&tree, &member, "/a", "another value of the same key").expect("no entry more");
    tree.delete(at(2), &member, &key("/a")).expect("a deletion is an entry too, in the same place");
    assert!(put(&tree, &member, "/c", "3").is_err(), "until it is collected");
    put(&tree, &root(), "/c", "3").expect("a root has no quota");
    assert_eq!((text(&tree, "/a"), text(&tree, "/b")), (None, Some("2".into())));
    tree.check().expect("rows agree");
    let days = 31 * 24 * 60 * crate::support::MINUTE;
    assert_eq!(tree.collect(at(days)).expect("collects").keys, 1);
    tree.put(at(days), &member, &key("/d"), &b"4"[..]).expect("there is room again");
    tree.check().expect("rows agree");
}

#[test]
fn bytes_are_counted_to_the_last() {
    let probe = unset();
    let member = person(1);
    let leaf = limited(&probe, &member, bytes(1 << 20));
    let len = entry(&probe, &member, &[leaf.id()], "/k", "0123456789", stamp(1)).encoded().len() as u64;
    for (max, fits) in [(len, true), (len - 1, false), (0, false)] {
        let tree = unset();
        let leaf = limited(&tree, &member, bytes(max));
        let sent = entry(&tree, &member, &[leaf.id()], "/k", "0123456789", stamp(1));
        assert_eq!(sent.encoded().len() as u64, len);
        let verdict = apply(&tree, at(1), sent.clone());
        assert_eq!(verdict.is_stored(), fits, "{verdict:?}");
        assert_eq!(apply(&tree, at(1), sent).is_stored(), fits, "and again");
        tree.check().expect("rows agree");
    }
}

#[test]
fn a_quota_holds_for_all_that_is_delegated() {
    let tree = unset();
    let (lead, one, two) = (person(1), person(2), person(3));
    let above = limited(&tree, &lead, entries(3));
    for to in [&one, &two] {
        let mut below = passed_on(&tree, &above, &lead, to);
        below.quota = entries(2);
        tree.grant(at(0), &lead, below).expect("grants");
    }
    put(&tree, &one, "/1", "").expect("one");
    put(&tree, &one, "/2", "").expect("two");
    let own = put(&tree, &one, "/3", "").expect_err("its own is used up");
    assert!(matches!(own, KvError::OverQuota { grant } if grant != above.id()));
    put(&tree, &two, "/4", "").expect("three");
    let shared = put(&tree, &two, "/5", "").expect_err("the shared one is used up");
    assert!(matches!(shared, KvError::OverQuota { grant } if grant == above.id()));
    assert!(put(&tree, &lead, "/6", "").is_err());
    tree.check().expect("rows agree");
}

#[test]
fn a_revocation_frees_what_was_used() {
    let tree = tree(OnRevoke::Fallback);
    let (lead, member) = (person(1), person(2));
    let above = limited(&tree, &lead, entries(2));
    let below = passed_on(&tree, &above, &lead, &member);
    let below = tree.grant(at(0), &lead, below).expect("grants");
    put(&tree, &member, "/1", "").expect("one");
    put(&tree, &member, "/2", "").expect("two");
    assert!(put(&tree, &lead, "/3", "").is_err());
    tree.revoke(at(2), &lead, below.id()).expect("revokes");
    put(&tree, &lead, "/3", "").expect("there is room");
    put(&tree, &lead, "/4", "").expect("there is room");
    assert!(put(&tree, &lead, "/5", "").is_err());
    tree.check().expect("rows agree");
}

/// Leaves whose quota is used up are not named, and nobody else's entry goes for a local put.
#[test]
fn a_put_names_the_grants_that_have_room() {
    let tree = unset();
    let member = person(1);
    let full = limited(&tree, &member, entries(1));
    put(&tree, &member, "/1", "").expect("puts");
    let mut wide = draft(&tree, &member, "/**");
    wide.stamp = stamp(1);
    let wide = tree.grant(at(0), &root(), wide).expect("grants");
    let second = put(&tree, &member, "/2", "").expect("by the other grant");
    assert_eq!(second.leaves().as_slice(), [wide.id()]);
    // In the slot of the full one alone there is room for this key, in that of both there is not.
    let first = put(&tree, &member, "/1", "new").expect("puts");
    assert_eq!(first.leaves().as_slice(), [wide.id()], "not {}", full.id());
    tree.check().expect("rows agree");
}

/// Replicas that got the same entries, in whatever order, keep the same ones once all was offered again.
#[test]
fn replicas_keep_the_same_whatever_the_order() {
    for_each_seed(0..50, |seed| {
        let mut rng = Rng::new(seed);
        let namespace = namespace(OnRevoke::Fallback);
        let source = open(&memory(), &namespace);
        let (lead, people) = (person(1), [person(2), person(3), person(4)]);
        let by_bytes = rng.chance(1, 2);
        let quota = |rng: &mut Rng, most: u64| {
            let max = 1 + rng.below(most);
            if by_bytes { bytes(max * 330) } else { entries(max) }
        };
        let above = limited(&source, &lead, quota(&mut rng, 9));
        let mut leaves = vec![(lead.clone(), above.id())];
        for (nth, to) in people.iter().enumerate() {
            let mut below = passed_on(&source, &above, &lead, to);
            if nth > 0 {
                below.quota = quota(&mut rng, 4);
            }
            // Maybe more than the lead has, which gives nothing more.
            let below = below.sign(&lead).expect("signs");
            leaves.push((to.clone(), below.id()));
            assert_eq!(apply(&source, at(0), below), Verdict::Applied);
        }
        let mut items = Vec::new();
        for _ in 0..25 {
            let (by, leaf) = rng.pick(&leaves).expect("people").clone();
            let value = "x".repeat(rng.index(100));
            let path = format!("/{}", rng.below(12));
            items.push(entry(&source, &by, &[leaf], &path, &value, stamp(rng.below(9))));
        }
        let trees: Vec<Tree> = (0..3).map(|_| open(&memory(), &namespace)).collect();
        for tree in &trees {
            copy(&source, tree, at(0));
            let mut left = items.clone();
            while !left.is_empty() {
                let some = (0..1 + rng.index(5)).map_while(|_| {
                    let at = (!left.is_empty()).then(|| rng.index(left.len()))?;
                    Some(left.swap_remove(at).into())
                });
                let some: Vec<syncline_kv::Item> = some.collect();
                tree.apply(at(10), some).expect("applies");
                tree.check().expect("rows agree");
            }
            let mut before = None;
            while before != Some(hash(tree)) {
                before = Some(hash(tree));
                tree.apply(at(10), items.iter().cloned().map(Into::into).collect()).expect("applies");
            }
        }
        let all: Vec<&Tree> = trees.iter().collect();
        exchange(&all, at(10));
        assert!(all.iter().all(|tree| hash(tree) == hash(all[0])), "seed {seed}");
    });
}

/// An entry that is refused in the end costs nobody else their place.
#[test]
fn a_refused_entry_takes_nothing_out() {
    for_each_seed(0..100, |seed| {
        let mut rng = Rng::new(seed);
        let tree = unset();
        let (lead, member) = (person(1), person(2));
        let above = limited(&tree, &lead, entries(3));
        let mut below = passed_on(&tree, &above, &lead, &member);
        below.quota = entries(1);
        let below = tree.grant(at(0), &lead, below).expect("grants");
        for nth in 0..2 {
            apply(&tree, at(1), entry(&tree, &lead, &[above.id()], &format!("/lead/{nth}"), "", stamp(1)));
        }
        apply(&tree, at(1), entry(&tree, &member, &[below.id()], "/member", "", stamp(1)));
        let before = hash(&tree);
        let another = entry(&tree, &member, &[below.id()], &format!("/{}", rng.next_u64()), "", stamp(1));
        match apply(&tree, at(1), another) {
            Verdict::OverQuota { .. } => assert_eq!(hash(&tree), before, "seed {seed}"),
            // It stands before the member's other one, which goes; the lead's stay.
            verdict => {
                assert_eq!(verdict, Verdict::Applied, "seed {seed}");
                assert_eq!(tree.root().expect("root").entries, 3, "seed {seed}");
            }
        }
        assert!(text(&tree, "/lead/0").is_some() && text(&tree, "/lead/1").is_some(), "seed {seed}");
    });
}

/// One goes for it, but that is not enough, and the next in turn stands before it: so nobody goes.
#[test]
fn what_was_taken_out_in_vain_comes_back() {
    let tree = unset();
    let member = person(1);
    let mut paths: Vec<String> = (0..3).map(|nth| format!("/{nth}")).collect();
    paths.sort_by_key(|path| *syncline_crypto::Hash::digest(path.as_bytes()).as_bytes());
    let leaf = limited(&tree, &member, bytes(2_000));
    let sent = |nth: usize, len: usize| entry(&tree, &member, &[leaf.id()], &paths[nth], &"x".repeat(len), stamp(1));
    for (nth, len) in [(0, 1_000), (2, 10)] {
        assert_eq!(apply(&tree, at(1), sent(nth, len)), Verdict::Applied);
    }
    let before = hash(&tree);
    assert_eq!(apply(&tree, at(1), sent(1, 900)), Verdict::OverQuota { grant: leaf.id() });
    assert_eq!(hash(&tree), before);
    tree.check().expect("rows agree");
    assert_eq!(apply(&tree, at(1), sent(1, 460)), Verdict::Applied, "for this one it is enough");
    assert_eq!(text(&tree, &paths[2]), None);
    tree.check().expect("rows agree");
}
