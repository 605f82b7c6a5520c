//! What was decided, as one batch of rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use syncline_core::clock::{Hlc, Timestamp};
use syncline_reconcile::{Item as SetItem, ItemId};
use syncline_storage::Batch;

use super::apply::Origin;
use super::error::KvError;
use super::feed::lock;
use super::quarantine::Held;
use super::root::system_key;
use super::rows::{
    By, CLOCKS, ENTRIES, EntryRow, QUARANTINE, REVIVING, SYSTEM, Slot, TOMBSTONES, UNDER, USAGE, UsageRow, rank,
};
use super::work::{KeyState, Work};
use crate::authority::Authority;
use crate::item::{Entry, GrantId, Item};
use crate::path::Key;

/// A batch that is made, and what is to be told once it is durable.
pub(super) struct Finished {
    pub(super) batch: Batch,
    pub(super) changed: Vec<Key>,
    /// New entries, if somebody wants to know.
    pub(super) stored: Vec<Item>,
    /// Entries went without being replaced.
    pub(super) removed: bool,
    pub(super) origin: Origin,
    pub(super) system: Vec<Item>,
    pub(super) authority: Arc<Authority>,
    pub(super) last: Hlc,
    pub(super) held: Held,
    pub(super) killed: BTreeSet<GrantId>,
    pub(super) revived: bool,
    pub(super) roots_changed: bool,
}

impl Work<'_> {
    /// Everything that was decided, as one batch. Gives the keys whose entries changed as well.
    pub(super) fn finish(mut self) -> Result<Finished, KvError> {
        let mut batch = std::mem::take(&mut self.batch);
        let changes = self.write_entries(&mut batch)?;
        self.write_system(&mut batch)?;
        self.write_usage(&mut batch);
        self.write_quarantine(&mut batch);
        if self.last != self.stored {
            CLOCKS.put_in(&mut batch, &(self.inner.number,), &self.last.to_bits());
        }
        Ok(Finished {
            batch,
            changed: changes.keys,
            stored: changes.stored,
            removed: changes.removed,
            origin: self.origin,
            system: self.system,
            authority: self.authority,
            last: self.last,
            held: self.held,
            killed: self.killed,
            revived: !self.revived.is_empty(),
            roots_changed: self.roots_changed,
        })
    }

    fn write_entries(&mut self, batch: &mut Batch) -> Result<Changes, KvError> {
        let mut changes = Changes { wanted: !lock(&self.inner.feeds).is_empty(), ..Changes::default() };
        let mut set = self.inner.entries.change(self.snapshot)?;
        let rows = EntryRows { number: self.inner.number, authority: &self.authority, now: self.now };
        for (key, state) in std::mem::take(&mut self.keys) {
            let (gone, new) = differences(&state);
            for (slot, entry) in &gone {
                rows.delete(batch, *slot, entry, state.in_slot(*slot).is_some());
                set.remove(&set_item(entry))?;
                changes.removed |= state.in_slot(*slot).is_none();
            }
            for (slot, entry) in &new {
                rows.put(batch, *slot, entry, state.before_in(*slot).is_some());
                set.insert(&set_item(entry))?;
                if changes.wanted {
                    changes.stored.push(Item::Entry((*entry).clone()));
                }
            }
            if !gone.is_empty() || !new.is_empty() {
                changes.keys.push(key);
            }
        }
        set.write(batch)?;
        Ok(changes)
    }

    fn write_system(&self, batch: &mut Batch) -> Result<(), KvError> {
        if !self.system.is_empty() {
            let mut set = self.inner.system.change(self.snapshot)?;
            for item in &self.system {
                let (sort_key, id) = (system_key(item), item.id_bytes());
                SYSTEM.put_in(batch, &(self.inner.number, sort_key, id), &item.encoded());
                set.insert(&SetItem::new([sort_key], ItemId::from_bytes(id)))?;
            }
            set.write(batch)?;
        }
        if !self.revived.is_empty() {
            REVIVING.put_in(batch, &(self.inner.number,), &Bytes::new());
        }
        Ok(())
    }

    fn write_usage(&self, batch: &mut Batch) {
        for (grant, tally) in &self.usage {
            let row = (self.inner.number, *grant.as_bytes());
            if tally.now == tally.before {
                continue;
            }
            if tally.now == UsageRow::default() {
                USAGE.delete_in(batch, &row);
            } else {
                USAGE.put_in(batch, &row, &tally.now);
            }
        }
    }

    fn write_quarantine(&self, batch: &mut Batch) {
        for (due, id) in &self.unquarantined {
            QUARANTINE.delete_in(batch, &(self.inner.number, *due, *id));
        }
        for ((due, id), entry) in &self.quarantined {
            QUARANTINE.put_in(batch, &(self.inner.number, *due, *id), entry.encoded());
        }
    }
}

/// What changed among the entries.
#[derive(Default)]
struct Changes {
    keys: Vec<Key>,
    wanted: bool,
    stored: Vec<Item>,
    removed: bool,
}

type Slotted<'a> = (Slot, &'a Entry);

/// Entries of a key that were stored and are not to be any more, and those that are to be and were not.
fn differences(state: &KeyState) -> (Vec<Slotted<'_>>, Vec<Slotted<'_>>) {
    let differs = |entry: &Entry, other: Option<&Entry>| other.is_none_or(|other| other.id() != entry.id());
    let gone = state.before().iter().filter(|(slot, entry)| differs(entry, state.in_slot(*slot)));
    let new = state.now.iter().filter(|(slot, entry)| differs(entry, state.before_in(*slot)));
    (gone.map(|(slot, entry)| (*slot, entry)).collect(), new.map(|(slot, entry)| (*slot, entry)).collect())
}

/// The rows that an entry has.
pub(super) struct EntryRows<'a> {
    pub(super) number: u32,
    pub(super) authority: &'a Authority,
    pub(super) now: Timestamp,
}

impl EntryRows<'_> {
    fn put(&self, batch: &mut Batch, slot: Slot, entry: &Entry, replaces: bool) {
        let key = entry.key().as_str().to_owned();
        ENTRIES.put_in(batch, &(self.number, key.clone(), slot.0), &EntryRow { entry: entry.clone() });
        if entry.is_tombstone() {
            let came = Bytes::copy_from_slice(&self.now.as_millis().to_be_bytes());
            TOMBSTONES.put_in(batch, &(self.number, entry.stamp().to_bits(), key, slot.0), &came);
        }
        // What it replaces has the same grants.
        if !replaces {
            self.put_under(batch, slot, entry);
        }
    }

    /// Rows for what allows and limits an entry, as far as it is live.
    pub(super) fn put_under(&self, batch: &mut Batch, slot: Slot, entry: &Entry) {
        #[cfg(syncline_planted)]
        if syncline_core::planted::is(syncline_core::planted::Bug::ForgetReverseIndex) {
            return;
        }
        let rank = rank(entry.key());
        for by in By::live(self.authority, entry.leaves(), entry.author()) {
            let (kind, id) = by.columns();
            let row = (self.number, kind, id, rank, entry.key().as_str().to_owned(), slot.0);
            UNDER.put_in(batch, &row, &Bytes::new());
        }
    }

    fn delete(&self, batch: &mut Batch, slot: Slot, entry: &Entry, is_replaced: bool) {
        let key = entry.key().as_str().to_owned();
        if entry.is_tombstone() {
            TOMBSTONES.delete_in(batch, &(self.number, entry.stamp().to_bits(), key.clone(), slot.0));
        }
        if is_replaced {
            return;
        }
        ENTRIES.delete_in(batch, &(self.number, key.clone(), slot.0));
        let rank = rank(entry.key());
        for by in By::all(self.authority, entry.leaves(), entry.author()) {
            let (kind, id) = by.columns();
            UNDER.delete_in(batch, &(self.number, kind, id, rank, key.clone(), slot.0));
        }
    }
}

/// An entry in the set that is reconciled.
pub(super) fn set_item(entry: &Entry) -> SetItem {
    SetItem::new(entry.key().as_bytes(), ItemId::from_bytes(*entry.id().as_bytes()))
}
