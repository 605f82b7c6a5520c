//! What is synced, and where it is.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use syncline_core::{SyncError, TopicQuery};
use thiserror::Error;

use crate::item::NamespaceId;
use crate::path::Subtree;
use crate::tree::{KvError, Tree};

/// What a session is about: the keys below a path in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "the wire format has these two")]
pub struct KvQuery {
    /// The namespace.
    pub namespace: NamespaceId,
    /// Keys below this path. Grants, revocations and rotations are always all synced: entries rest on them.
    pub prefix: Subtree,
}

impl KvQuery {
    /// All keys of a namespace.
    #[must_use]
    pub fn all(namespace: NamespaceId) -> Self {
        Self { namespace, prefix: Subtree::all() }
    }

    /// The keys below a path.
    #[must_use]
    pub fn below(namespace: NamespaceId, prefix: Subtree) -> Self {
        Self { namespace, prefix }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.prefix == Subtree::all()
    }
}

impl TopicQuery for KvQuery {}

/// The trees of a node, by their namespaces.
///
/// # Contract
///
/// It is asked once per session, with ids that may come from a peer: no value may panic, and none may make a tree.
pub trait Trees: Debug + Send + Sync {
    /// The tree of a namespace; none if this node has none.
    fn tree(&self, namespace: &NamespaceId) -> Option<Tree>;
}

impl Trees for Tree {
    fn tree(&self, namespace: &NamespaceId) -> Option<Tree> {
        (self.id() == *namespace).then(|| self.clone())
    }
}

impl Trees for BTreeMap<NamespaceId, Tree> {
    fn tree(&self, namespace: &NamespaceId) -> Option<Tree> {
        self.get(namespace).cloned()
    }
}

/// Why a session is not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// This node has no tree of the namespace.
    #[error("there is no tree of the namespace {0} here")]
    UnknownNamespace(NamespaceId),
    /// The peer may not read what is asked for, as far as is known here. Nothing was sent.
    #[error("the peer may not read the keys below {prefix:?}; have a root grant it that, and sync the grant first")]
    PeerMayNotRead {
        /// The path.
        prefix: Subtree,
    },
    /// The tree failed, or was [away for too long](KvError::AwayTooLong).
    #[error(transparent)]
    Tree(#[from] KvError),
}

impl From<OpenError> for SyncError {
    fn from(err: OpenError) -> Self {
        Self::Critical(err.to_string())
    }
}
