//! Comparing the rows of a tree with each other.

use std::collections::BTreeMap;

use syncline_reconcile::{Item as SetItem, ItemId, ReconcileSet as _, SummaryIndex as _};
use syncline_storage::Direction;

use super::Tree;
use super::error::{Corruption, KvError};
use super::root::system_key;
use super::rows::{By, ENTRIES, SYSTEM, Slot, TOMBSTONES, UNDER, USAGE, UsageRow, rank, readable};
use super::work::set_item;
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
        let _writer = self.inner.writer();
        let authority = self.inner.authority();
        let view = self.view()?;
        let snapshot = self.inner.db.snapshot()?;
        let number = self.inner.number;
        let corrupt = || KvError::Corrupt(Corruption::Index);
        self.inner.entries.check(&*snapshot)?;
        self.inner.system.check(&*snapshot)?;
        let (mut entries, mut under, mut tombstones) = (0, 0, 0);
        let mut usage: BTreeMap<GrantId, UsageRow> = BTreeMap::new();
        for row in ENTRIES.scan_prefix(&*snapshot, &(number,), Direction::Forward)? {
            let ((_, key, slot), row) = readable(row, Corruption::Entry)?;
            let entry = row.entry;
            let item = set_item(&entry);
            let is_live = authority.is_live(entry.leaves(), entry.author(), entry.stamp());
            let is_placed = entry.key().as_str() == key && Slot::of(&entry).0 == slot;
            if !is_live || !is_placed || !view.entries.contains(&item.key, &item.id)? {
                return Err(KvError::Corrupt(Corruption::Entry));
            }
            entries += 1;
            tombstones += u64::from(entry.is_tombstone());
            let rank = rank(entry.key());
            for by in By::all(entry.leaves(), entry.author()) {
                if matches!(by, By::Grant(grant) if !authority.is_live_grant(grant)) {
                    continue;
                }
                let (kind, id) = by.columns();
                let found = UNDER.get(&*snapshot, &(number, kind, id, rank, key.clone(), slot))?;
                found.ok_or_else(corrupt)?;
                under += 1;
            }
            let quotas: BTreeMap<GrantId, _> =
                entry.leaves().as_slice().iter().flat_map(|leaf| authority.quotas(leaf)).collect();
            for grant in quotas.into_keys() {
                let used = usage.entry(grant).or_default();
                used.entries += 1;
                used.bytes += entry.encoded().len() as u64;
            }
        }
        let mut stored = BTreeMap::new();
        for row in USAGE.scan_prefix(&*snapshot, &(number,), Direction::Forward)? {
            let ((_, grant), used) = readable(row, Corruption::Index)?;
            stored.insert(GrantId::from_bytes(grant), used);
        }
        let mut found = 0;
        for row in UNDER.scan_prefix(&*snapshot, &(number,), Direction::Forward)? {
            readable(row, Corruption::Index)?;
            found += 1;
        }
        let dead = TOMBSTONES.scan_prefix(&*snapshot, &(number,), Direction::Forward)?.count() as u64;
        if found != under || stored != usage || dead != tombstones || view.entries.len()? != entries {
            return Err(corrupt());
        }
        let mut system = 0;
        for row in SYSTEM.scan_prefix(&*snapshot, &(number,), Direction::Forward)? {
            let (_, bytes) = readable(row, Corruption::System)?;
            let item = Item::decode(&bytes).map_err(|_| KvError::Corrupt(Corruption::System))?;
            let item = SetItem::new([system_key(&item)], ItemId::from_bytes(item.id_bytes()));
            if !view.system.contains(&item.key, &item.id)? {
                return Err(KvError::Corrupt(Corruption::System));
            }
            system += 1;
        }
        if view.system.len()? == system { Ok(()) } else { Err(KvError::Corrupt(Corruption::System)) }
    }
}
