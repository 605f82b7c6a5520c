//! Comparing the rows of a tree with each other.

use std::collections::BTreeMap;

use syncline_reconcile::{Item as SetItem, ItemId, ReconcileSet as _, SummaryIndex as _};
use syncline_storage::{Direction, Snapshot};

use super::error::{Corruption, KvError};
use super::finish::set_item;
use super::lookup::has;
use super::root::system_key;
use super::rows::{
    By, ENTRIES, EntryRow, SYSTEM, Slot, TOMBSTONES, UNDER, USAGE, UsageRow, quotas_of, rank, readable,
};
use super::work::is_live;
use super::{Inner, Tree, TreeView};
use crate::authority::Authority;
use crate::item::{GrantId, Item};

impl Tree {
    /// Compares every row with the entries, grants and revocations that it should follow from: the indexes, what counts for
    /// quotas, both sets. Reads everything; for tests, and after a disk was in doubt.
    ///
    /// # Errors
    ///
    /// [`KvError::Corrupt`] or [`KvError::Index`] with the first thing that does not agree; [`KvError::Storage`].
    pub fn check(&self) -> Result<(), KvError> {
        // So that no revocation is half swept.
        let _writer = self.inner.writer()?;
        let authority = self.inner.authority();
        let view = self.view()?;
        let check = Check { inner: &self.inner, snapshot: &*self.inner.db.snapshot()?, authority: &authority };
        self.inner.entries.check(check.snapshot)?;
        self.inner.system.check(check.snapshot)?;
        let found = check.entries(&view)?;
        check.indexes(&found)?;
        check.system(&view)?;
        if view.entries.len()? == found.entries { Ok(()) } else { Err(KvError::Corrupt(Corruption::Entry)) }
    }
}

struct Check<'a> {
    inner: &'a Inner,
    snapshot: &'a dyn Snapshot,
    authority: &'a Authority,
}

/// What follows from the entries.
#[derive(Default)]
struct Found {
    entries: u64,
    tombstones: u64,
    under: u64,
    usage: BTreeMap<GrantId, UsageRow>,
}

impl Check<'_> {
    fn entries(&self, view: &TreeView) -> Result<Found, KvError> {
        let mut found = Found::default();
        for row in ENTRIES.scan_prefix(self.snapshot, &(self.inner.number,), Direction::Forward)? {
            let ((_, key, slot), EntryRow { entry }) = readable(row, Corruption::Entry)?;
            let item = set_item(&entry);
            let is_placed = entry.key().as_str() == key && Slot::of(&entry).0 == slot;
            if !is_live(self.authority, &entry) || !is_placed || !view.entries.contains(&item.key, &item.id)? {
                return Err(KvError::Corrupt(Corruption::Entry));
            }
            found.entries += 1;
            found.tombstones += u64::from(entry.is_tombstone());
            for by in By::live(self.authority, entry.leaves(), entry.author()) {
                let (kind, id) = by.columns();
                let row = (self.inner.number, kind, id, rank(entry.key()), key.clone(), slot);
                UNDER.get(self.snapshot, &row)?.ok_or(KvError::Corrupt(Corruption::Index))?;
                found.under += 1;
            }
            for (grant, _) in quotas_of(self.authority, entry.leaves()) {
                let used = found.usage.entry(grant).or_default();
                used.entries += 1;
                used.bytes += entry.encoded().len() as u64;
            }
        }
        Ok(found)
    }

    fn indexes(&self, found: &Found) -> Result<(), KvError> {
        let number = (self.inner.number,);
        let mut usage = BTreeMap::new();
        for row in USAGE.scan_prefix(self.snapshot, &number, Direction::Forward)? {
            let ((_, grant), used) = readable(row, Corruption::Index)?;
            usage.insert(GrantId::from_bytes(grant), used);
        }
        let mut under = 0;
        for row in UNDER.scan_prefix(self.snapshot, &number, Direction::Forward)? {
            readable(row, Corruption::Index)?;
            under += 1;
        }
        let mut tombstones = 0;
        for row in TOMBSTONES.scan_prefix(self.snapshot, &number, Direction::Forward)? {
            readable(row, Corruption::Index)?;
            tombstones += 1;
        }
        let agrees = usage == found.usage && under == found.under && tombstones == found.tombstones;
        if agrees { Ok(()) } else { Err(KvError::Corrupt(Corruption::Index)) }
    }

    fn system(&self, view: &TreeView) -> Result<(), KvError> {
        let mut system = 0;
        for row in SYSTEM.scan_prefix(self.snapshot, &(self.inner.number,), Direction::Forward)? {
            let (_, bytes) = readable(row, Corruption::System)?;
            let item = Item::decode(&bytes).map_err(|_| KvError::Corrupt(Corruption::System))?;
            let stored = SetItem::new([system_key(&item)], ItemId::from_bytes(item.id_bytes()));
            if !has(self.authority, &item) || !view.system.contains(&stored.key, &stored.id)? {
                return Err(KvError::Corrupt(Corruption::System));
            }
            system += 1;
        }
        if view.system.len()? == system { Ok(()) } else { Err(KvError::Corrupt(Corruption::System)) }
    }
}
