//! What is put is there: any bytes, in order, after closing too.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use syncline_core::clock::Timestamp;
use syncline_kv::item::{BlobRef, OnRevoke, Value};
use syncline_kv::path::Subtree;
use syncline_kv::tree::{BlobError, FetchBlob, Listing, PutOptions};
use syncline_kv::{Key, KvError, Tree, Verdict};
use syncline_storage::{Database, MemoryDb, RedbDb, TraceDb, TraceEvent};
use syncline_testkit::seed::{Rng, for_each_seed};

use crate::support::{
    apply, at, entry, grant, hash, key, limited, memory, namespace, open, person, root, stamp, text, unset,
};

#[test]
fn s1_any_bytes_are_a_value_up_to_the_limit() {
    let tree = unset();
    let max = tree.limits().value_len;
    for value in [vec![], vec![0], (0..=255).collect(), vec![0xff; max]] {
        tree.put(at(0), &root(), &key("/v"), &value[..]).expect("puts");
        let found = tree.get(&key("/v")).expect("reads").expect("is there");
        assert_eq!(found.value(), &Value::Inline(value.into()));
    }
    let too_long = vec![0; max + 1];
    let refused = tree.put(at(0), &root(), &key("/v"), &too_long[..]).expect_err("too long");
    assert!(
        matches!(refused, KvError::ValueTooLong { len, max: limit } if len == max + 1 && limit == max),
        "{refused}"
    );
    let sent = entry(&tree, &root(), &[], "/v", &"x".repeat(max + 1), stamp(5));
    assert!(matches!(apply(&tree, at(5), sent), Verdict::Malformed(_)));
    assert_eq!(tree.get(&key("/v")).expect("reads").expect("is there").value().inline_len(), max);
}

#[test]
fn s1_contents_survive_closing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tree");
    let (member, namespace) = (person(1), namespace(OnRevoke::Unset));
    let before = {
        let db: Arc<dyn Database> = Arc::new(RedbDb::create(&path).expect("creates"));
        let tree = open(&db, &namespace);
        let kept = grant(&tree, &member, "/a/**");
        let lost = grant(&tree, &person(2), "/b/**");
        tree.put(at(1), &member, &key("/a/x"), &b"1"[..]).expect("puts");
        tree.put(at(1), &person(2), &key("/b/x"), &b"2"[..]).expect("puts");
        tree.revoke(at(2), &root(), lost.id()).expect("revokes");
        (tree.root().expect("root"), kept.id(), lost.id())
    };
    let db: Arc<dyn Database> = Arc::new(RedbDb::create(&path).expect("opens"));
    let tree = open(&db, &namespace);
    tree.check().expect("rows agree");
    assert_eq!(tree.root().expect("root"), before.0);
    assert_eq!((text(&tree, "/a/x"), text(&tree, "/b/x")), (Some("1".into()), None));
    let authority = tree.authority();
    assert!(authority.is_live_grant(before.1) && !authority.is_live_grant(before.2));
    assert_eq!(authority.revocations().count(), 1);
}

/// The keys of a listing, page by page.
fn listed(tree: &Tree, subtree: &Subtree, limit: usize) -> Vec<Key> {
    let mut listing = Listing::of(subtree.clone()).limit(limit);
    let mut keys = Vec::new();
    loop {
        let page = tree.list(&listing).expect("lists");
        assert!(page.entries.len() <= limit);
        keys.extend(page.entries.iter().map(|entry| entry.key().clone()));
        let Some(next) = page.next else { return keys };
        assert!(listing.after.as_ref().is_none_or(|after| *after < next), "pages go on");
        listing = listing.after(next);
    }
}

#[test]
fn s1_listings_are_in_the_order_of_bytes_whatever_the_pages() {
    for_each_seed(0..20, |seed| {
        let mut rng = Rng::new(seed);
        let tree = unset();
        let member = person(1);
        grant(&tree, &member, "/**");
        let names = ["/a", "/a/b", "/a-b", "/a/b/c", "/a.", "/ab", "/a/z", "/a/_", "/b", "/a/b-", "/A", "/a/~"];
        let mut model: Vec<&str> = Vec::new();
        for name in names {
            if rng.chance(3, 4) {
                tree.put(at(1), &root(), &key(name), &b"r"[..]).expect("puts");
                // A second entry, that shadows the first.
                if rng.chance(1, 2) {
                    tree.put(at(2), &member, &key(name), &b"m"[..]).expect("puts");
                }
                if rng.chance(1, 4) {
                    tree.delete(at(3), &root(), &key(name)).expect("deletes");
                } else {
                    model.push(name);
                }
            }
        }
        model.sort_unstable_by_key(|name| name.as_bytes());
        for subtree in [Subtree::all(), Subtree::below(&key("/a")), Subtree::below(&key("/a/b"))] {
            let expected: Vec<Key> = model.iter().map(|name| key(name)).filter(|key| subtree.contains(key)).collect();
            for limit in [1, 2, 3, usize::MAX] {
                assert_eq!(listed(&tree, &subtree, limit), expected, "seed {seed}, {subtree:?} by {limit}");
            }
        }
    });
}

#[test]
fn the_edges_of_listings() {
    let tree = unset();
    for name in ["/a", "/b/x", "/b/y", "/c"] {
        tree.put(at(1), &root(), &key(name), &b""[..]).expect("puts");
    }
    let below = Listing::of(Subtree::below(&key("/b")));
    assert_eq!(tree.list(&below.clone().limit(0)).expect("lists"), syncline_kv::tree::Page::default());
    // A cursor outside does not widen the listing.
    assert_eq!(tree.list(&below.clone().after(key("/a"))).expect("lists").entries.len(), 2);
    let end = tree.list(&below.clone().after(key("/b/y"))).expect("lists");
    assert_eq!((end.entries.len(), end.next), (0, None));
    assert!(tree.list(&below.clone().after(key("/z"))).expect("lists").entries.is_empty());
    let exact = tree.list(&below.limit(2)).expect("lists");
    assert_eq!((exact.entries.len(), exact.next), (2, None));
    tree.delete(at(2), &root(), &key("/a")).expect("deletes");
    assert_eq!(tree.list(&Listing::of(Subtree::all()).with_tombstones()).expect("lists").entries.len(), 4);
}

#[test]
fn puts_under_a_condition() {
    let (tree, key) = (unset(), key("/k"));
    let put = |value: &str, options: &PutOptions| tree.put_with(at(1), &root(), &key, value.as_bytes(), options);
    let first = put("1", &PutOptions::if_absent()).expect("nothing is there");
    let conflict = put("2", &PutOptions::if_absent()).expect_err("something is there");
    assert!(matches!(conflict, KvError::Conflict { found } if found == Some(first.id())));
    let second = put("2", &PutOptions::if_latest(first.id())).expect("it is the latest");
    assert_eq!(second.previous(), Some(first.id()));
    assert!(put("3", &PutOptions::if_latest(first.id())).is_err());
    let deleted = tree.delete(at(1), &root(), &key).expect("deletes");
    assert!(
        matches!(put("4", &PutOptions::if_absent()), Err(KvError::Conflict { found }) if found == Some(deleted.id()))
    );
    put("4", &PutOptions::if_latest(deleted.id())).expect("a deletion is an entry");
}

#[test]
fn conflicts_are_visible_by_what_came_before() {
    let (a, b) = (unset(), unset());
    let grants = (grant(&a, &person(1), "/**"), grant(&a, &person(2), "/**"));
    let base = a.put(at(1), &root(), &key("/k"), &b"base"[..]).expect("puts");
    crate::support::copy(&a, &b, at(1));
    let left = a.put(at(2), &person(1), &key("/k"), &b"left"[..]).expect("puts");
    let right = b.put(at(3), &person(2), &key("/k"), &b"right"[..]).expect("puts");
    crate::support::exchange(&[&a, &b], at(4));
    let history = a.history(&key("/k")).expect("reads");
    assert_eq!(history, [right, left, base.clone()], "{grants:?}");
    assert!(history[..2].iter().all(|entry| entry.previous() == Some(base.id())));
    assert_eq!(hash(&a), hash(&b));
}

#[test]
fn two_namespaces_in_one_database_do_not_see_each_other() {
    let db = memory();
    let (one, two) = (namespace(OnRevoke::Unset), namespace(OnRevoke::Fallback));
    let (a, b) = (open(&db, &one), open(&db, &two));
    let empty = hash(&b);
    let granted = grant(&a, &person(1), "/**");
    let put = a.put(at(1), &person(1), &key("/k"), &b"a"[..]).expect("puts");
    assert_eq!((text(&b, "/k"), hash(&b)), (None, empty));
    assert!(b.authority().grant(&granted.id()).is_none());
    for item in [syncline_kv::Item::from(put), granted.into()] {
        assert_eq!(apply(&b, at(1), item), Verdict::OtherNamespace);
    }
    b.put(at(1), &root(), &key("/k"), &b"b"[..]).expect("puts");
    drop((a, b));
    let (a, b) = (open(&db, &one), open(&db, &two));
    assert_eq!((text(&a, "/k"), text(&b, "/k")), (Some("a".into()), Some("b".into())));
    a.check().expect("rows agree");
    b.check().expect("rows agree");
}

#[test]
fn a_put_writes_few_rows_however_many_there_are() {
    let db = Arc::new(TraceDb::new(MemoryDb::new()));
    let tree = open(&(Arc::clone(&db) as Arc<dyn Database>), &namespace(OnRevoke::Unset));
    let member = person(1);
    let leaf = grant(&tree, &member, "/**").id();
    let items = (0..10_000).map(|nth| entry(&tree, &member, &[leaf], &format!("/k/{nth}"), "v", stamp(1)).into());
    tree.apply(at(1), items.collect()).expect("applies");
    let mut most = 0;
    for nth in 0..50 {
        db.clear();
        tree.put(at(2), &member, &key(&format!("/k/{}", nth * 400)), &b"new"[..]).expect("puts");
        let rows = db.journal().into_iter().map(|event| match event {
            TraceEvent::Commit { ops, .. } => ops.len(),
            _ => 0,
        });
        most = most.max(rows.sum());
    }
    println!("at most {most} rows");
    assert!(most <= 18, "{most} rows");
}

#[test]
fn a_time_of_zero_and_the_end_of_time_are_times() {
    let tree = unset();
    tree.put(Timestamp::ZERO, &root(), &key("/k"), &b"1"[..]).expect("puts");
    tree.put(Timestamp::MAX, &root(), &key("/k"), &b"2"[..]).expect("puts");
    tree.put(Timestamp::ZERO, &root(), &key("/k"), &b"3"[..]).expect("puts");
    assert_eq!(text(&tree, "/k"), Some("3".into()));
    assert!(tree.release(Timestamp::MAX).expect("releases").is_empty());
    tree.collect(Timestamp::MAX).expect("collects");
    tree.collect(Timestamp::ZERO).expect("collects");
    let last = tree.root().expect("root").last;
    let mut left = u64::MAX - last.to_bits();
    while left > 0 {
        tree.stamp(Timestamp::MAX).expect("a stamp");
        left -= 1;
    }
    let exhausted = tree.put(Timestamp::MAX, &root(), &key("/k"), &b"4"[..]).expect_err("no stamp is left");
    assert!(matches!(exhausted, KvError::Clock(_)), "{exhausted}");
    assert_eq!(text(&tree, "/k"), Some("3".into()));
}

#[test]
fn only_so_many_entries_of_one_key_are_kept_and_the_same_everywhere() {
    let limits = crate::support::limits(|limits| limits.entries_per_key = 3);
    for_each_seed(0..50, |seed| {
        let mut rng = Rng::new(seed);
        let namespace = namespace(OnRevoke::Fallback);
        let trees: Vec<Tree> = (0..2).map(|_| limited(&memory(), &namespace, limits.clone()).expect("opens")).collect();
        let mut entries = Vec::new();
        for nth in 1..8 {
            let leaf = grant(&trees[0], &person(nth), "/**").id();
            let stamp = stamp(1 + rng.below(5));
            entries.push(entry(&trees[0], &person(nth), &[leaf], "/k", "v", stamp));
        }
        crate::support::copy(&trees[0], &trees[1], at(1));
        for tree in &trees {
            let mut left = entries.clone();
            while !left.is_empty() {
                apply(tree, at(10), left.swap_remove(rng.index(left.len())));
            }
            tree.check().expect("rows agree");
        }
        let mut greatest = entries;
        greatest.sort_by_key(|entry| std::cmp::Reverse(entry.order()));
        greatest.truncate(3);
        assert_eq!(trees[0].history(&key("/k")).expect("reads"), greatest, "seed {seed}");
        assert_eq!(hash(&trees[0]), hash(&trees[1]), "seed {seed}");
    });
}

struct Fetched(Bytes);

#[async_trait]
impl FetchBlob for Fetched {
    async fn fetch(&self, _: &BlobRef) -> Result<Bytes, BlobError> {
        Ok(self.0.clone())
    }
}

#[test]
fn blobs_are_what_the_entry_names() {
    let tree = unset();
    let bytes = Bytes::from_static(b"a long value that is kept elsewhere");
    let blob = tree.put(at(1), &root(), &key("/k"), Value::Blob(BlobRef::of(&bytes))).expect("puts");
    let resolve = |fetched: &[u8], max: u64| {
        let source = Fetched(Bytes::copy_from_slice(fetched));
        futures::executor::block_on(blob.resolve(&source, max))
    };
    let len = bytes.len() as u64;
    assert_eq!(resolve(&bytes, len).expect("it is that"), bytes);
    assert!(matches!(resolve(&bytes, len - 1), Err(BlobError::TooLong { .. })));
    assert!(matches!(resolve(&bytes[1..], len), Err(BlobError::Mismatch)));
    assert!(matches!(resolve(b"a long value that is kept elsewherE", len), Err(BlobError::Mismatch)));
    let deleted = tree.delete(at(2), &root(), &key("/k")).expect("deletes");
    let gone = futures::executor::block_on(deleted.resolve(&Fetched(bytes), len));
    assert!(matches!(gone, Err(BlobError::Deleted)));
}
