//! One batch in the making: what is decided sees what was decided before it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use syncline_core::clock::{Hlc, Timestamp};
use syncline_storage::{Batch, Snapshot};

use super::Inner;
use super::apply::Origin;
use super::error::KvError;
use super::quarantine::Held;
use super::quota::Place;
use super::rows::{COLLECTED, MarkRow, Slot, USAGE, UnderColumns, UsageRow, entries_of};
use super::verdict::Verdict;
use super::writer::Writer;
use crate::authority::{Authority, Awaited, Standing};
use crate::item::{Entry, GrantId, Item};
use crate::path::Key;

/// A batch in the making, over one snapshot.
pub(super) struct Work<'a> {
    pub(super) inner: &'a Inner,
    pub(super) snapshot: &'a dyn Snapshot,
    pub(super) now: Timestamp,
    /// Who made most of the items.
    pub(super) origin: Origin,
    /// Whether the item at hand was made here.
    pub(super) is_own: bool,
    pub(super) authority: Arc<Authority>,
    /// The greatest stamp that was given or seen.
    pub(super) last: Hlc,
    /// The one that is stored.
    pub(super) stored: Hlc,
    pub(super) keys: BTreeMap<Key, KeyState>,
    pub(super) usage: BTreeMap<GrantId, Tally>,
    /// Admitted here.
    pub(super) system: Vec<Item>,
    /// What this batch puts under each grant with a quota.
    pub(super) added: BTreeMap<GrantId, BTreeSet<Place>>,
    /// Behind these rows nothing is left that a quota limits.
    pub(super) emptied: BTreeMap<GrantId, UnderColumns>,
    /// By when they are due, and id.
    pub(super) quarantined: BTreeMap<(u64, [u8; 32]), Entry>,
    /// Rows that leave the quarantine.
    pub(super) unquarantined: BTreeSet<(u64, [u8; 32])>,
    /// How much is in quarantine, these included.
    pub(super) held: Held,
    /// Rows that other parts of the tree change in the same batch.
    pub(super) batch: Batch,
    /// Grants that this batch ends.
    pub(super) killed: BTreeSet<GrantId>,
    /// Grants that this batch brings back to life.
    pub(super) revived: BTreeSet<GrantId>,
    pub(super) roots_changed: bool,
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
    pub(super) before: UsageRow,
    pub(super) now: UsageRow,
}

impl<'a> Work<'a> {
    pub(super) fn new(inner: &'a Inner, snapshot: &'a dyn Snapshot, writer: &Writer, now: Timestamp) -> Self {
        Self {
            inner,
            snapshot,
            now,
            origin: Origin::default(),
            is_own: false,
            authority: inner.authority(),
            last: writer.last,
            stored: writer.stored,
            keys: BTreeMap::new(),
            usage: BTreeMap::new(),
            system: Vec::new(),
            added: BTreeMap::new(),
            emptied: BTreeMap::new(),
            quarantined: BTreeMap::new(),
            unquarantined: BTreeSet::new(),
            held: writer.held,
            batch: Batch::new(),
            killed: BTreeSet::new(),
            revived: BTreeSet::new(),
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
        let (slot, authority) = (Slot::of(entry), Arc::clone(&self.authority));
        let Some(kept) = self.key(entry.key())?.in_slot(slot) else { return Ok(None) };
        if !is_live(&authority, kept) {
            // About to be swept.
            return Ok(None);
        }
        if kept.id() == entry.id() {
            return Ok(Some(Verdict::Known));
        }
        Ok((kept.order() > entry.order()).then(|| Verdict::Superseded { by: kept.id() }))
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
        if let Some(verdict) = self.triage(&entry)? {
            return Ok(verdict);
        }
        if let Some(verdict) = self.quarantine(&entry)? {
            return Ok(verdict);
        }
        if self.key(entry.key())?.mark.is_some_and(|mark| mark.order >= entry.order()) {
            return Ok(Verdict::Collected);
        }
        self.drop_dead(entry.key())?;
        if let Some(verdict) = self.admit(&entry)? {
            return Ok(verdict);
        }
        self.last = self.last.max(entry.stamp());
        let (id, key, slot) = (entry.id(), entry.key().clone(), Slot::of(&entry));
        self.place(slot, entry)?;
        let authority = Arc::clone(&self.authority);
        let winner = self.key(&key)?.winner(&authority).map_or(id, Entry::id);
        Ok(if winner == id { Verdict::Applied } else { Verdict::Shadowed { by: winner } })
    }

    /// Makes room for an entry, or says why there is none; then nothing was taken out.
    fn admit(&mut self, entry: &Entry) -> Result<Option<Verdict>, KvError> {
        let max = self.inner.limits.entries_per_key.max(1);
        let state = self.key(entry.key())?;
        let mut least = None;
        if state.in_slot(Slot::of(entry)).is_none() && state.now.len() >= max {
            least = state.now.iter().min_by_key(|(_, kept)| kept.order()).cloned();
        }
        if let Some((slot, kept)) = &least {
            if kept.order() > entry.order() {
                return Ok(Some(Verdict::Superseded { by: kept.id() }));
            }
            self.remove(entry.key(), *slot)?;
        }
        let Some(grant) = self.make_room(entry)? else { return Ok(None) };
        if let Some((slot, kept)) = least {
            self.place(slot, kept)?;
        }
        Ok(Some(Verdict::OverQuota { grant }))
    }

    /// Takes out the entries of a key that are not live. They would be swept later, and should count for no quota now.
    fn drop_dead(&mut self, key: &Key) -> Result<(), KvError> {
        let authority = Arc::clone(&self.authority);
        let state = self.key(key)?;
        let dead: Vec<Slot> =
            state.now.iter().filter(|(_, kept)| !is_live(&authority, kept)).map(|(slot, _)| *slot).collect();
        for slot in dead {
            self.remove(key, slot)?;
        }
        Ok(())
    }

    /// Puts an entry into its slot.
    pub(super) fn place(&mut self, slot: Slot, entry: Entry) -> Result<(), KvError> {
        self.count(slot, &entry)?;
        let state = self.key(&entry.key().clone())?;
        let replaced = match state.now.binary_search_by_key(&slot, |(slot, _)| *slot) {
            Ok(at) => state.now.get_mut(at).map(|(_, kept)| std::mem::replace(kept, entry)),
            Err(at) => {
                state.now.insert(at, (slot, entry));
                None
            }
        };
        match replaced {
            // It stays among those that were added: the new one is in its place.
            Some(replaced) => self.discount(&replaced),
            None => Ok(()),
        }
    }

    /// Takes an entry out of its slot.
    pub(super) fn remove(&mut self, key: &Key, slot: Slot) -> Result<Option<Entry>, KvError> {
        let state = self.key(key)?;
        let Ok(at) = state.now.binary_search_by_key(&slot, |(slot, _)| *slot) else { return Ok(None) };
        let (_, entry) = state.now.remove(at);
        self.discount(&entry)?;
        self.unlist(slot, &entry);
        Ok(Some(entry))
    }
}

impl KeyState {
    fn empty() -> Self {
        Self { before: Vec::new(), now: Vec::new(), mark: None }
    }

    pub(super) fn in_slot(&self, slot: Slot) -> Option<&Entry> {
        find(&self.now, slot)
    }

    pub(super) fn before(&self) -> &[(Slot, Entry)] {
        &self.before
    }

    pub(super) fn before_in(&self, slot: Slot) -> Option<&Entry> {
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
    entries.iter().map(|(_, entry)| entry).filter(|entry| is_live(authority, entry)).max_by_key(|entry| entry.order())
}

/// Whether a kept entry counts.
pub(super) fn is_live(authority: &Authority, entry: &Entry) -> bool {
    authority.is_live(entry.leaves(), entry.author(), entry.stamp())
}
