//! Keys, trees and drafts for tests.

use std::sync::Arc;

use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::{PublicKey, SigningKey};
use syncline_storage::MemoryDb;

use syncline_kv::item::{GrantDraft, GrantId, Namespace, NamespaceId, Ops, Quota};
use syncline_kv::path::{Key, Pattern};
use syncline_kv::tree::Tree;

pub(crate) fn key(path: &str) -> Key {
    Key::new(path).expect("a test's key")
}

pub(crate) fn signer(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + millis)
}

pub(crate) fn namespace(root: &SigningKey) -> Namespace {
    Namespace::new("test", [root.public_key()]).expect("a test's namespace")
}

pub(crate) fn tree(namespace: &Namespace) -> Tree {
    Tree::open(Arc::new(MemoryDb::new()), namespace).expect("memory opens")
}

/// A grant by a root, to be changed.
pub(crate) fn draft(namespace: NamespaceId, issuer: PublicKey, audience: PublicKey, pattern: &str) -> GrantDraft {
    GrantDraft {
        namespace,
        parent: None,
        issuer,
        audience,
        pattern: Pattern::new(pattern).expect("a test's pattern"),
        ops: Ops::Write,
        depth: 3,
        not_before: None,
        not_after: None,
        quota: Quota::NONE,
        stamp: Hlc::new(at(0), 0),
    }
}

/// The same, passed on.
pub(crate) fn passed_on(from: GrantId, mut draft: GrantDraft) -> GrantDraft {
    draft.parent = Some(from);
    draft.depth = 1;
    draft
}
