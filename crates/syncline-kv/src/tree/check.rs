//! Comparing the rows of a tree with each other.

use std::collections::BTreeMap;

use syncline_core::clock::Hlc;
use syncline_reconcile::{Item as SetItem, ItemId, ReconcileSet as _, SummaryIndex as _};
use syncline_storage::{Direction, Snapshot};

use super::error::{Corruption, KvError};
use super::finish::set_item;
use super::lookup::has;
use super::quarantine::Held;
use super::root::system_key;
use super::rows::{
    By, COLLECTED, ENTRIES, EntryRow, SYSTEM, Slot, TOMBSTONES, UNDER, USAGE, UsageRow, quotas_of, rank, readable,
};
use super::work::is_live;
use super::{Inner, Tree, TreeView};
use crate::authority::Authority;
use crate::item::{Entry, GrantId, Item};

impl Tree {
    /// Compares every row with the entries, grants and revocations that it should follow from: the indexes, what counts for
    /// quotas, marks, the clock, both sets. Reads everything; for tests, and after a disk was in doubt.
    ///
    /// # Errors
    ///
    /// [`KvError::Corrupt`] or [`KvError::Index`] with the first thing that does not agree; [`KvError::Storage`].
    pub fn check(&self) -> Result<(), KvError> {
        // So that no revocation is half swept.
        let writer = self.inner.writer()?;
        let authority = self.inner.authority();
        let view = self.view()?;
        let check = Check { inner: &self.inner, snapshot: &*self.inner.db.snapshot()?, authority: &authority };
        self.inner.entries.check(check.snapshot)?;
        self.inner.system.check(check.snapshot)?;
        let found = check.entries(&view)?;
        check.indexes(&found)?;
        check.system(&view)?;
        let held = Held::read(check.snapshot, self.inner.number)?;
        let is_whole = view.entries.len()? == found.entries && held == writer.held && found.last <= writer.stored;
        if is_whole { Ok(()) } else { Err(KvError::Corrupt(Corruption::Entry)) }
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
    last: Hlc,
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
            found.last = found.last.max(entry.stamp());
            self.deletion(&entry, &key, slot)?;
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

    /// A deletion is found by its stamp, and what was collected stays away.
    fn deletion(&self, entry: &Entry, key: &str, slot: [u8; 16]) -> Result<(), KvError> {
        let row = (self.inner.number, entry.stamp().to_bits(), key.to_owned(), slot);
        let is_found = TOMBSTONES.get(self.snapshot, &row)?.is_some();
        let mark = COLLECTED.get(self.snapshot, &(self.inner.number, key.to_owned()))?;
        let is_newer = mark.is_none_or(|mark| mark.order < entry.order());
        if is_found == entry.is_tombstone() && is_newer { Ok(()) } else { Err(KvError::Corrupt(Corruption::Index)) }
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
