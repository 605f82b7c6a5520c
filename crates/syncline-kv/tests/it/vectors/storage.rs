//! Rows of a tree, byte by byte.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::SigningKey;
use syncline_kv::item::{EntryDraft, GrantDraft, Item, Leaves, Namespace, Ops, Quota, Value};
use syncline_kv::path::{Key, Pattern};
use syncline_kv::tree::{Tree, TreeLimits};
use syncline_storage::{Database as _, Direction, KeyRange, MemoryDb};

use super::file::hex;

#[derive(Serialize)]
pub(crate) struct Rows {
    about: &'static str,
    namespace: String,
    steps: Vec<&'static str>,
    /// By the first byte of their keys.
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    key: String,
    value: String,
}

const STEPS: [&str; 7] = [
    "a namespace `rows` with the root 01 (secret key: 32 times that byte), opened at first",
    "at 1 000 000 ms: a grant to 02 for /a/**, to write, depth 0, with a quota of 10 entries, stamped 1 000 000.0",
    "an entry of 02 by that grant: /a/b is `v`, stamped 1 000 000.1, nothing before it",
    "an entry of 01: /c is `gone`, stamped 1 000 000.2; then its tombstone, stamped 1 000 000.3",
    "an entry of 01: /c is deleted at 1 100 000 ms, 1 s after which deletions are collected; the mark is from 1 200 000 ms",
    "an entry of 01: /d is deleted at 1 200 000 ms; then /e is `later`, stamped 2 000 000.0, which waits until 1 940 000 ms",
    "a session with 03 began at 1 200 000 ms",
];

pub(crate) fn made() -> Rows {
    let (root, member) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
    let namespace = Namespace::new("rows", [root.public_key()]).expect("a namespace");
    let db = Arc::new(MemoryDb::new());
    let mut limits = TreeLimits::default();
    limits.collect_after = Duration::from_secs(1);
    let tree = Tree::builder().limits(limits).open(db.clone(), &namespace).expect("memory opens");
    let now = |millis: u64| Timestamp::from_millis(1_000_000 + millis);
    let stamp = |millis, counter| Hlc::new(now(millis), counter);
    let grant = GrantDraft {
        namespace: namespace.id(),
        parent: None,
        issuer: root.public_key(),
        audience: member.public_key(),
        pattern: Pattern::new("/a/**").expect("a pattern"),
        ops: Ops::Write,
        depth: 0,
        not_before: None,
        not_after: None,
        quota: Quota { entries: Some(10), bytes: None },
        stamp: stamp(0, 0),
    };
    let grant = grant.sign(&root).expect("a key at hand signs");
    let entry = |by: &SigningKey, key: &str, value: Value, stamp, leaves: Leaves| -> Item {
        let key = Key::new(key).expect("a key");
        let (namespace, author) = (namespace.id(), by.public_key());
        let draft = EntryDraft { namespace, key, value, stamp, author, leaves, previous: None };
        draft.sign(by).expect("a key at hand signs").into()
    };
    let apply = |at, item: Item| tree.apply(now(at), vec![item]).expect("memory does not fail");
    let (leaves, none) = (Leaves::new([grant.id()]).expect("one"), Leaves::default);
    apply(0, grant.into());
    apply(0, entry(&member, "/a/b", b"v"[..].into(), stamp(0, 1), leaves));
    apply(0, entry(&root, "/c", b"gone"[..].into(), stamp(0, 2), none()));
    apply(0, entry(&root, "/c", Value::Tombstone, stamp(0, 3), none()));
    apply(100_000, entry(&root, "/c", Value::Tombstone, stamp(100_000, 0), none()));
    assert_eq!(tree.collect(now(200_000)).expect("memory does not fail").keys, 1);
    apply(200_000, entry(&root, "/d", Value::Tombstone, stamp(200_000, 0), none()));
    apply(200_000, entry(&root, "/e", b"later"[..].into(), stamp(1_000_000, 0), none()));
    tree.note_synced(&SigningKey::from_bytes(&[3; 32]).public_key(), now(200_000)).expect("memory does not fail");
    tree.check().expect("the rows agree");
    let snapshot = db.snapshot().expect("memory does not fail");
    let rows = snapshot.scan(KeyRange::all().starting_at(vec![0x20]).before(vec![0x30]), Direction::Forward);
    let rows = rows.expect("memory does not fail").map(|row| {
        let (key, value) = row.expect("memory does not fail");
        Row { key: hex(key), value: hex(&value) }
    });
    Rows {
        about: "All rows of a tree in the tables 20 to 2f when these steps have been taken in this order, in hex. See kv-storage.md.",
        namespace: hex(namespace.encoded()),
        steps: STEPS.to_vec(),
        rows: rows.collect(),
    }
}
