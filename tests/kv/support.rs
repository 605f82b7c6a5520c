//! Trees, people and grants for tests, with signatures that cost nothing.

use std::sync::Arc;

use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::{Hash, PublicKey, Signer as _};
use syncline_kv::item::{EntryDraft, GrantDraft, Leaves, OnRevoke, Ops, Quota, Value};
use syncline_kv::tree::{Import, TreeLimits};
use syncline_kv::{Entry, Grant, GrantId, Item, Key, KvError, Namespace, Pattern, Tree, Verdict};
use syncline_storage::{Database, MemoryDb};
use syncline_testkit::cheap::{CheapSigner, CheapVerifier};

pub(crate) const MINUTE: u64 = 60_000;

/// A time that is later than all that tests stamp, so many milliseconds after it.
pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + millis)
}

pub(crate) fn stamp(millis: u64) -> Hlc {
    Hlc::new(at(millis), 0)
}

pub(crate) fn key(path: &str) -> Key {
    Key::new(path).expect("a key")
}

pub(crate) fn person(seed: u64) -> CheapSigner {
    CheapSigner::from_seed(seed)
}

/// The only root of the tests' namespaces.
pub(crate) fn root() -> CheapSigner {
    person(0)
}

pub(crate) fn namespace(on_revoke: OnRevoke) -> Namespace {
    let namespace = Namespace::new("tests", [root().public_key()]).expect("a namespace");
    namespace.with_on_revoke(on_revoke).expect("a policy")
}

pub(crate) fn limited(db: &Arc<dyn Database>, namespace: &Namespace, limits: TreeLimits) -> Result<Tree, KvError> {
    Tree::builder().verifier(Arc::new(CheapVerifier)).limits(limits).open(Arc::clone(db), namespace)
}

pub(crate) fn open(db: &Arc<dyn Database>, namespace: &Namespace) -> Tree {
    limited(db, namespace, TreeLimits::default()).expect("opens")
}

pub(crate) fn memory() -> Arc<dyn Database> {
    Arc::new(MemoryDb::new())
}

pub(crate) fn tree(on_revoke: OnRevoke) -> Tree {
    open(&memory(), &namespace(on_revoke))
}

pub(crate) fn unset() -> Tree {
    tree(OnRevoke::Unset)
}

pub(crate) fn limits(change: impl FnOnce(&mut TreeLimits)) -> TreeLimits {
    let mut limits = TreeLimits::default();
    change(&mut limits);
    limits
}

/// A grant by the root, to be changed.
pub(crate) fn draft(tree: &Tree, to: &CheapSigner, pattern: &str) -> GrantDraft {
    GrantDraft {
        namespace: tree.id(),
        parent: None,
        issuer: root().public_key(),
        audience: to.public_key(),
        pattern: Pattern::new(pattern).expect("a pattern"),
        ops: Ops::ReadWrite,
        depth: 3,
        not_before: None,
        not_after: None,
        quota: Quota::NONE,
        stamp: stamp(0),
    }
}

pub(crate) fn grant(tree: &Tree, to: &CheapSigner, pattern: &str) -> Grant {
    tree.grant(at(0), &root(), draft(tree, to, pattern)).expect("a root may")
}

/// A grant that its holder passes on.
pub(crate) fn passed_on(tree: &Tree, from: &Grant, by: &CheapSigner, to: &CheapSigner) -> GrantDraft {
    let mut draft = draft(tree, to, from.pattern().as_str());
    (draft.parent, draft.issuer) = (Some(from.id()), by.public_key());
    (draft.depth, draft.quota) = (from.fields().depth - 1, from.fields().quota);
    draft
}

/// An entry that nobody checked.
pub(crate) fn entry(tree: &Tree, by: &CheapSigner, leaves: &[GrantId], path: &str, value: &str, stamp: Hlc) -> Entry {
    let draft = EntryDraft {
        namespace: tree.id(),
        key: key(path),
        value: Value::from(value.as_bytes()),
        stamp,
        author: by.public_key(),
        leaves: Leaves::new(leaves.iter().copied()).expect("few"),
        previous: None,
    };
    draft.sign(by).expect("an entry")
}

/// Applies one item.
pub(crate) fn apply(tree: &Tree, now: Timestamp, item: impl Into<Item>) -> Verdict {
    let mut verdicts = tree.apply(now, vec![item.into()]).expect("applies");
    verdicts.pop().expect("one verdict for one item")
}

pub(crate) fn text(tree: &Tree, path: &str) -> Option<String> {
    tree.get(&key(path)).expect("reads").map(|entry| match entry.value() {
        Value::Inline(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("{other:?}"),
    })
}

pub(crate) fn hash(tree: &Tree) -> Hash {
    tree.root().expect("root").hash
}

pub(crate) fn bundle(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    tree.export(&mut bytes).expect("exports");
    bytes
}

/// Gives `to` all that `from` has.
pub(crate) fn copy(from: &Tree, to: &Tree, now: Timestamp) {
    let bytes = bundle(from);
    Import::open(&bytes[..]).expect("a bundle").apply_to(to, now).expect("applies");
}

/// Lets all give each other all that they have, twice, and checks each.
pub(crate) fn exchange(trees: &[&Tree], now: Timestamp) {
    for _ in 0..2 {
        for from in trees {
            for to in trees {
                copy(from, to, now);
            }
        }
    }
    for tree in trees {
        tree.check().expect("rows agree");
    }
}

pub(crate) fn public(person: &CheapSigner) -> PublicKey {
    person.public_key()
}
