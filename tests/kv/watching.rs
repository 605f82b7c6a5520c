//! Watchers and feeds miss nothing, hold little and never keep a writer waiting.

use std::collections::BTreeSet;

use futures::FutureExt as _;
use syncline_kv::item::OnRevoke;
use syncline_kv::tree::Scope;
use syncline_kv::{Item, Key, Subtree};
use syncline_testkit::seed::{Rng, for_each_seed};

use crate::support::{apply, at, entry, grant, key, limited, memory, namespace, person, public, root, stamp, unset};

#[test]
fn a_watcher_hears_of_every_key_whose_value_changes() {
    for_each_seed(0..30, |seed| {
        let mut rng = Rng::new(seed);
        let tree = unset();
        let member = person(1);
        let scopes = [Scope::all(), Scope::Below(Subtree::below(&key("/a"))), Scope::Key(key("/a/1"))];
        let watchers: Vec<_> = scopes.iter().map(|scope| tree.watch(scope.clone())).collect();
        let keys: Vec<Key> = ["/a/1", "/a/2", "/b/1", "/a"].iter().map(|path| key(path)).collect();
        let mut leaf = grant(&tree, &member, "/**");
        let values = |tree: &syncline_kv::Tree| -> Vec<_> {
            keys.iter().map(|key| tree.get(key).expect("reads").map(|entry| entry.id())).collect()
        };
        let mut before = values(&tree);
        for step in 1..60 {
            let path = rng.pick(&keys).expect("keys").clone();
            match rng.below(8) {
                0 => {
                    tree.revoke(at(step), &root(), leaf.id()).expect("revokes");
                    let mut draft = crate::support::draft(&tree, &member, "/**");
                    draft.stamp = stamp(step);
                    leaf = tree.grant(at(step), &root(), draft).expect("grants");
                }
                1 => drop(tree.delete(at(step), &root(), &path).expect("deletes")),
                2..4 => drop(tree.put(at(step), &root(), &path, &b"r"[..]).expect("puts")),
                _ => drop(tree.put(at(step), &member, &path, &b"m"[..]).expect("puts")),
            }
            let now = values(&tree);
            let changed: BTreeSet<Key> =
                (0..keys.len()).filter(|nth| before[*nth] != now[*nth]).map(|nth| keys[nth].clone()).collect();
            for (scope, watcher) in scopes.iter().zip(&watchers) {
                let heard = watcher.take().unwrap_or_default();
                let within = |key: &&Key| match scope {
                    Scope::Key(watched) => watched == *key,
                    Scope::Below(subtree) => subtree.contains(key),
                };
                assert!(changed.iter().filter(within).all(|key| heard.keys.contains(key)), "seed {seed}, step {step}");
                assert!(heard.keys.iter().all(|key| within(&key)), "seed {seed}, step {step}");
                assert!(!heard.lagged);
            }
            before = now;
        }
    });
}

#[test]
fn a_watcher_that_is_behind_is_told_so() {
    let limits = crate::support::limits(|limits| limits.watched_keys = 3);
    let tree = limited(&memory(), &namespace(OnRevoke::Unset), limits).expect("opens");
    let (all, one) = (tree.watch(Scope::all()), tree.watch(Scope::Key(key("/3"))));
    for nth in 0..3 {
        tree.put(at(1), &root(), &key(&format!("/{nth}")), &b""[..]).expect("puts");
    }
    assert!(one.take().is_none());
    for nth in 3..5 {
        tree.put(at(1), &root(), &key(&format!("/{nth}")), &b""[..]).expect("puts");
    }
    let behind = all.take().expect("changed");
    assert_eq!((behind.lagged, behind.keys.len()), (true, 0), "four are too many");
    assert_eq!(one.take().expect("changed").keys.len(), 1);
    tree.put(at(1), &root(), &key("/0"), &b"again"[..]).expect("puts");
    assert_eq!(all.take().expect("changed").keys, [key("/0")].into(), "from anew");
    assert!(all.changed().now_or_never().is_none());
    grant(&tree, &person(1), "/**");
    assert!(one.take().expect("who may write has changed").authority);
}

#[test]
fn a_feed_has_the_items_and_who_brought_them() {
    let tree = unset();
    let feed = tree.feed(1 << 20);
    let granted = grant(&tree, &person(1), "/**");
    let sent = entry(&tree, &person(1), &[granted.id()], "/k", "v", stamp(1));
    tree.apply_from(at(1), vec![sent.clone().into()], Some(public(&person(2)))).expect("applies");
    tree.apply_from(at(1), vec![sent.clone().into()], Some(public(&person(2)))).expect("known, and not told again");
    let fed = feed.next().now_or_never().expect("there is something");
    let items: Vec<(Item, bool)> =
        fed.items.iter().map(|stored| (stored.item.clone(), stored.from.is_some())).collect();
    assert_eq!(items, [(granted.clone().into(), false), (sent.into(), true)]);
    tree.revoke(at(2), &root(), granted.id()).expect("revokes");
    let fed = feed.next().now_or_never().expect("there is something");
    assert!(fed.removed && !fed.lagged);
    assert!(matches!(fed.items[0].item, Item::Revocation(_)));
    assert!(fed.items[1].urgent, "the deletion goes with it");
    assert!(feed.next().now_or_never().is_none());
}

#[test]
fn a_feed_keeps_so_many_bytes_and_no_more() {
    let tree = unset();
    let len = entry(&tree, &root(), &[], "/1", "v", stamp(1)).encoded().len();
    let feed = tree.feed(3 * len);
    for nth in 1..=4 {
        apply(&tree, at(1), entry(&tree, &root(), &[], &format!("/{nth}"), "v", stamp(1)));
    }
    let fed = feed.next().now_or_never().expect("there is something");
    assert!(fed.lagged);
    assert_eq!(fed.items.len(), 3, "the newest");
}
