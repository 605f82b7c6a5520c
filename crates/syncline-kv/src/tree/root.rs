//! What a replica holds, in 32 bytes.

use std::sync::Arc;

use bytes::Bytes;
use syncline_core::clock::Hlc;
use syncline_crypto::{Domain, Hash};
use syncline_reconcile::{Item as SetItem, ReconcileSet, StoredView, SummaryIndex};
use syncline_storage::Snapshot;

use super::error::{Corruption, KvError};
use super::rows::{CLOCKS, SYSTEM, entries_of};
use super::{Inner, Tree};
use crate::item::Item;
use crate::path::Key;

const ROOT: Domain = Domain::new("syncline/kv/root/v1");

/// Summary of all that a replica holds: equal exactly if the replicas hold the same items.
///
/// It is a hash over the LtHash accumulators of both sets, so that nobody can make two different states have the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Root {
    /// The hash.
    pub hash: Hash,
    /// Entries that are kept: the value of each key, what it shadows, and deletions.
    pub entries: u64,
    /// Grants, revocations and rotations.
    pub system: u64,
    /// The greatest stamp that was given or seen here, as far as it is stored. Not a part of the hash.
    pub last: Hlc,
}

/// One of the two sets that replicas reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these two")]
pub enum SetName {
    /// Grants, revocations and rotations.
    System,
    /// Entries, under their keys.
    Entries,
}

impl SetName {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::System => 0,
            Self::Entries => 1,
        }
    }

    pub(super) const fn symbols(self) -> usize {
        match self {
            Self::System => 512,
            Self::Entries => 4_096,
        }
    }
}

/// The sort key of an item in the system set: what others rest on comes first.
pub(super) fn system_key(item: &Item) -> u8 {
    match item {
        Item::RootRotate(_) => 0,
        Item::Grant(_) => 1,
        Item::Revocation(_) | Item::Entry(_) => 2,
    }
}

impl Tree {
    /// The summary of what is held now.
    ///
    /// # Errors
    ///
    /// [`KvError::Storage`], [`KvError::Index`].
    pub fn root(&self) -> Result<Root, KvError> {
        let view = self.view()?;
        let last = CLOCKS.get(&*view.snapshot, &(self.inner.number,))?.map_or(Hlc::ZERO, Hlc::from_bits);
        let mut hasher = ROOT.hasher();
        hasher.update(&view.system.accumulator()?.to_bytes()).update(&view.entries.accumulator()?.to_bytes());
        Ok(Root { hash: hasher.finalize(), entries: view.entries.len()?, system: view.system.len()?, last })
    }

    /// Both sets as they are now.
    ///
    /// # Errors
    ///
    /// [`KvError::Storage`], [`KvError::Index`].
    pub fn view(&self) -> Result<TreeView, KvError> {
        let snapshot: Arc<dyn Snapshot> = self.inner.db.snapshot()?.into();
        Ok(TreeView {
            system: self.inner.system.view(Arc::clone(&snapshot))?,
            entries: self.inner.entries.view(Arc::clone(&snapshot))?,
            inner: Arc::clone(&self.inner),
            snapshot,
        })
    }
}

/// Both sets as they were at one time, and the items in them.
pub struct TreeView {
    /// Grants, revocations and rotations.
    pub system: StoredView,
    /// Entries.
    pub entries: StoredView,
    inner: Arc<Inner>,
    snapshot: Arc<dyn Snapshot>,
}

impl TreeView {
    /// The set of a name.
    #[must_use]
    pub fn set(&self, name: SetName) -> &StoredView {
        match name {
            SetName::System => &self.system,
            SetName::Entries => &self.entries,
        }
    }

    /// The encoded item that stands for an item of a set; none if it is not there.
    ///
    /// # Errors
    ///
    /// [`KvError::Storage`], [`KvError::Corrupt`].
    pub fn item(&self, name: SetName, item: &SetItem) -> Result<Option<Bytes>, KvError> {
        let (number, id) = (self.inner.number, item.id.as_bytes());
        match name {
            SetName::System => {
                let Some(kind) = item.key.first() else { return Ok(None) };
                Ok(SYSTEM.get(&*self.snapshot, &(number, *kind, *id))?)
            }
            SetName::Entries => {
                let text = std::str::from_utf8(&item.key).map_err(|_| KvError::Corrupt(Corruption::Index))?;
                let key = Key::new(text).map_err(|_| KvError::Corrupt(Corruption::Index))?;
                let entries = entries_of(&*self.snapshot, number, &key)?;
                let found = entries.into_iter().find(|(_, entry)| entry.id().as_bytes() == id);
                Ok(found.map(|(_, entry)| Item::Entry(entry).encoded()))
            }
        }
    }
}

impl std::fmt::Debug for TreeView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TreeView").field("system", &self.system).field("entries", &self.entries).finish_non_exhaustive()
    }
}
