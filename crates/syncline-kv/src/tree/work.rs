//! One batch in the making: what is decided sees what was decided before it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use syncline_core::clock::{Hlc, Timestamp};
use syncline_reconcile::{Item as SetItem, ItemId};
use syncline_storage::{Batch, Snapshot};

use super::apply::Origin;
use super::error::KvError;
use super::feed::lock;
use super::quarantine::Held;
use super::root::system_key;
use super::rows::{
    By, CLOCKS, COLLECTED, ENTRIES, EntryRow, MarkRow, QUARANTINE, SYSTEM, Slot, TOMBSTONES, UNDER, USAGE, UsageRow,
    entries_of, rank,
};
use super::verdict::Verdict;
use super::{Inner, Writer};
use crate::authority::{Authority, Awaited, Standing};
use crate::item::{Entry, GrantId, Item};
use crate::path::Key;

/// A batch in the making, over one snapshot.
pub(super) struct Work<'a> {
    pub(super) inner: &'a Inner,
    pub(super) snapshot: &'a dyn Snapshot,
    pub(super) now: Timestamp,
    pub(super) origin: Origin,
    pub(super) authority: Arc<Authority>,
    /// The greatest stamp that was given or seen.
    pub(super) last: Hlc,
    pub(super) keys: BTreeMap<Key, KeyState>,
    pub(super) usage: BTreeMap<GrantId, Tally>,
    /// Admitted here.
    pub(super) system: Vec<Item>,
    pub(super) quarantined: Vec<(Timestamp, Entry)>,
    /// How much is in quarantine, these included.
    pub(super) held: Held,
    /// Rows that other parts of the tree change in the same batch.
    pub(super) batch: Batch,
    /// Grants that this batch ends.
    pub(super) killed: BTreeSet<GrantId>,
    pub(super) roots_changed: bool,
    was: Hlc,
}

/// The entries of a key, as stored and as decided.
#[derive(Debug)]
pub(super) struct KeyState {
    before: Vec<(Slot, Entry)>,
    pub(super) now: Vec<(Slot, Entry)>,
    pub(super) mark: Option<MarkRow>,
}

/// How much there is under a grant, as stored and as decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    before: UsageRow,
    pub(super) now: UsageRow,
}

impl<'a> Work<'a> {
    pub(super) fn new(inner: &'a Inner, snapshot: &'a dyn Snapshot, writer: &Writer, now: Timestamp) -> Self {
        Self {
            inner,
            snapshot,
            now,
            origin: Origin::default(),
            authority: inner.authority(),
            last: writer.last,
            was: writer.last,
            keys: BTreeMap::new(),
            usage: BTreeMap::new(),
            system: Vec::new(),
            quarantined: Vec::new(),
            held: writer.held,
            batch: Batch::new(),
            killed: BTreeSet::new(),
            roots_changed: false,
        }
    }

    /// The entries of a key.
    pub(super) fn key(&mut self, key: &Key) -> Result<&mut KeyState, KvError> {
        let (number, snapshot) = (self.inner.number, self.snapshot);
        if !self.keys.contains_key(key) {
            let before = entries_of(snapshot, number, key)?;
            let mark = COLLECTED.get(snapshot, &(number, key.as_str().to_owned()))?;
            self.keys.insert(key.clone(), KeyState { now: before.clone(), before, mark });
        }
        Ok(self.keys.entry(key.clone()).or_insert_with(KeyState::empty))
    }

    /// How much there is under a grant.
    pub(super) fn tally(&mut self, grant: GrantId) -> Result<&mut Tally, KvError> {
        if !self.usage.contains_key(&grant) {
            let before = USAGE.get(self.snapshot, &(self.inner.number, *grant.as_bytes()))?.unwrap_or_default();
            self.usage.insert(grant, Tally { before, now: before });
        }
        let empty = || Tally { before: UsageRow::default(), now: UsageRow::default() };
        Ok(self.usage.entry(grant).or_insert_with(empty))
    }

    /// What can be said of an entry before its signature is looked at: only what changes nothing.
    pub(super) fn triage(&mut self, entry: &Entry) -> Result<Option<Verdict>, KvError> {
        let slot = Slot::of(entry);
        let state = self.key(entry.key())?;
        Ok(state.in_slot(slot).and_then(|kept| {
            if kept.id() == entry.id() {
                return Some(Verdict::Known);
            }
            (kept.order() > entry.order()).then(|| Verdict::Superseded { by: kept.id() })
        }))
    }

    /// Decides about an entry whose signature counts.
    pub(super) fn entry(&mut self, entry: Entry) -> Result<Verdict, KvError> {
        match self.authority.check(&entry) {
            Standing::Live => {}
            Standing::Dead { grant, revocation } => return Ok(Verdict::Revoked { grant, revocation }),
            Standing::Distrusted { author } => return Ok(Verdict::Distrusted { author }),
            Standing::Unauthorized(denied) => return Ok(Verdict::Unauthorized(denied)),
            Standing::Waiting(grant) => return Ok(Verdict::Waiting(Awaited::Grant(grant))),
        }
        if let Some(verdict) = self.quarantine(&entry)? {
            return Ok(verdict);
        }
        if let Some(verdict) = self.triage(&entry)? {
            return Ok(verdict);
        }
        if self.key(entry.key())?.mark.is_some_and(|mark| mark.order >= entry.order()) {
            return Ok(Verdict::Collected);
        }
        if let Some(grant) = self.make_room(&entry)? {
            return Ok(Verdict::OverQuota { grant });
        }
        self.last = self.last.max(entry.stamp());
        let (id, key, slot) = (entry.id(), entry.key().clone(), Slot::of(&entry));
        self.place(slot, entry)?;
        let authority = Arc::clone(&self.authority);
        let winner = self.key(&key)?.winner(&authority).map_or(id, Entry::id);
        Ok(if winner == id { Verdict::Applied } else { Verdict::Shadowed { by: winner } })
    }

    /// Puts an entry into its slot.
    fn place(&mut self, slot: Slot, entry: Entry) -> Result<(), KvError> {
        self.count(&entry, true)?;
        let state = self.key(&entry.key().clone())?;
        let replaced = match state.now.binary_search_by_key(&slot, |(slot, _)| *slot) {
            Ok(at) => state.now.get_mut(at).map(|(_, kept)| std::mem::replace(kept, entry)),
            Err(at) => {
                state.now.insert(at, (slot, entry));
                None
            }
        };
        if let Some(replaced) = replaced {
            self.count(&replaced, false)?;
        }
        Ok(())
    }

    /// Takes an entry out of its slot.
    pub(super) fn remove(&mut self, key: &Key, slot: Slot) -> Result<Option<Entry>, KvError> {
        let state = self.key(key)?;
        let Ok(at) = state.now.binary_search_by_key(&slot, |(slot, _)| *slot) else { return Ok(None) };
        let (_, entry) = state.now.remove(at);
        self.count(&entry, false)?;
        Ok(Some(entry))
    }

    /// Everything that was decided, as one batch. Gives the keys whose entries changed as well.
    pub(super) fn finish(self) -> Result<Finished, KvError> {
        let Self { inner, snapshot, mut batch, keys, .. } = self;
        let number = inner.number;
        let feeds = !lock(&inner.feeds).is_empty();
        let (mut changed, mut stored, mut removed) = (Vec::new(), Vec::new(), false);
        let mut set = inner.entries.change(snapshot)?;
        for (key, state) in keys {
            let mut touched = false;
            for (slot, entry) in &state.before {
                match state.in_slot(*slot) {
                    Some(kept) if kept.id() == entry.id() => continue,
                    Some(_) => drop_tombstone(&mut batch, number, *slot, entry),
                    None => drop_entry(&mut batch, number, *slot, entry),
                }
                removed |= state.in_slot(*slot).is_none();
                touched = true;
                set.remove(&set_item(entry))?;
            }
            for (slot, entry) in &state.now {
                let before = state.before_in(*slot);
                if before.is_some_and(|kept| kept.id() == entry.id()) {
                    continue;
                }
                touched = true;
                if feeds {
                    stored.push(Item::Entry(entry.clone()));
                }
                set.insert(&set_item(entry))?;
                put_entry(&mut batch, number, *slot, entry, self.now);
                if before.is_none() {
                    put_under(&mut batch, number, *slot, entry, &self.authority);
                }
            }
            if touched {
                changed.push(key);
            }
        }
        set.write(&mut batch)?;
        let mut system = inner.system.change(snapshot)?;
        for item in &self.system {
            let (sort_key, id) = (system_key(item), item.id_bytes());
            SYSTEM.put_in(&mut batch, &(number, sort_key, id), &item.encoded());
            system.insert(&SetItem::new([sort_key], ItemId::from_bytes(id)))?;
        }
        system.write(&mut batch)?;
        for (grant, tally) in self.usage {
            let row = (number, *grant.as_bytes());
            if tally.now == UsageRow::default() {
                USAGE.delete_in(&mut batch, &row);
            } else if tally.now != tally.before {
                USAGE.put_in(&mut batch, &row, &tally.now);
            }
        }
        for (due, entry) in &self.quarantined {
            QUARANTINE.put_in(&mut batch, &(number, due.as_millis(), *entry.id().as_bytes()), entry.encoded());
        }
        if self.last != self.was {
            CLOCKS.put_in(&mut batch, &(number,), &self.last.to_bits());
        }
        Ok(Finished {
            batch,
            changed,
            stored,
            removed,
            origin: self.origin,
            system: self.system,
            authority: self.authority,
            last: self.last,
            held: self.held,
            killed: self.killed,
            roots_changed: self.roots_changed,
        })
    }
}

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
    pub(super) roots_changed: bool,
}

impl KeyState {
    fn empty() -> Self {
        Self { before: Vec::new(), now: Vec::new(), mark: None }
    }

    pub(super) fn in_slot(&self, slot: Slot) -> Option<&Entry> {
        find(&self.now, slot)
    }

    fn before_in(&self, slot: Slot) -> Option<&Entry> {
        find(&self.before, slot)
    }

    /// The greatest live entry.
    pub(super) fn winner(&self, authority: &Authority) -> Option<&Entry> {
        winner(&self.now, authority)
    }
}

fn find(entries: &[(Slot, Entry)], slot: Slot) -> Option<&Entry> {
    let at = entries.binary_search_by_key(&slot, |(slot, _)| *slot).ok()?;
    entries.get(at).map(|(_, entry)| entry)
}

/// The greatest live entry among those of one key.
pub(super) fn winner<'a>(entries: &'a [(Slot, Entry)], authority: &Authority) -> Option<&'a Entry> {
    entries
        .iter()
        .map(|(_, entry)| entry)
        .filter(|entry| authority.is_live(entry.leaves(), entry.author(), entry.stamp()))
        .max_by_key(|entry| entry.order())
}

/// An entry in the set that is reconciled.
pub(super) fn set_item(entry: &Entry) -> SetItem {
    SetItem::new(entry.key().as_bytes(), ItemId::from_bytes(*entry.id().as_bytes()))
}

fn put_entry(batch: &mut Batch, number: u32, slot: Slot, entry: &Entry, now: Timestamp) {
    let key = entry.key().as_str().to_owned();
    ENTRIES.put_in(batch, &(number, key.clone(), slot.0), &EntryRow { entry: entry.clone() });
    if entry.is_tombstone() {
        let came = Bytes::copy_from_slice(&now.as_millis().to_be_bytes());
        TOMBSTONES.put_in(batch, &(number, entry.stamp().to_bits(), key, slot.0), &came);
    }
}

/// Rows for what allows an entry, as far as it is live.
pub(super) fn put_under(batch: &mut Batch, number: u32, slot: Slot, entry: &Entry, authority: &Authority) {
    let rank = rank(entry.key());
    for by in By::all(entry.leaves(), entry.author()) {
        if matches!(by, By::Grant(grant) if !authority.is_live_grant(grant)) {
            continue;
        }
        let (kind, id) = by.columns();
        let row = (number, kind, id, rank, entry.key().as_str().to_owned(), slot.0);
        UNDER.put_in(batch, &row, &Bytes::new());
    }
}

fn drop_entry(batch: &mut Batch, number: u32, slot: Slot, entry: &Entry) {
    let key = entry.key().as_str().to_owned();
    ENTRIES.delete_in(batch, &(number, key.clone(), slot.0));
    let rank = rank(entry.key());
    for by in By::all(entry.leaves(), entry.author()) {
        let (kind, id) = by.columns();
        UNDER.delete_in(batch, &(number, kind, id, rank, key.clone(), slot.0));
    }
    drop_tombstone(batch, number, slot, entry);
}

fn drop_tombstone(batch: &mut Batch, number: u32, slot: Slot, entry: &Entry) {
    if entry.is_tombstone() {
        let key = entry.key().as_str().to_owned();
        TOMBSTONES.delete_in(batch, &(number, entry.stamp().to_bits(), key, slot.0));
    }
}
