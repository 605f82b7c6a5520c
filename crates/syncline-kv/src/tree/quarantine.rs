//! Entries that are stamped too far ahead.

use std::collections::BTreeSet;
use std::time::Duration;

use syncline_core::clock::Timestamp;
use syncline_storage::{Batch, Direction, Durability, Snapshot};

use super::apply::Origin;
use super::error::{Corruption, KvError};
use super::rows::{QUARANTINE, readable};
use super::verdict::Verdict;
use super::work::{Work, is_live};
use super::writer::Writer;
use super::{Inner, Tree, TreeLimits};
use crate::item::{Entry, Item};
use crate::path::Key;

/// Entries that are released in one batch.
const RELEASED_AT_ONCE: usize = 1_024;

/// By when an entry in quarantine is due, and its id.
type Ticket = (u64, [u8; 32]);

impl Work<'_> {
    /// Takes an entry into quarantine if its stamp lies too far ahead. If there is no room, those go that are due last: what
    /// never comes due must not keep out what does.
    pub(super) fn quarantine(&mut self, entry: &Entry) -> Result<Option<Verdict>, KvError> {
        #[cfg(syncline_planted)]
        if syncline_core::planted::is(syncline_core::planted::Bug::AcceptBeyondSkew) {
            return Ok(None);
        }
        let until = due(entry, self.inner.limits.skew);
        if until <= self.now || self.is_own {
            return Ok(None);
        }
        let ticket = (until.as_millis(), *entry.id().as_bytes());
        if self.is_quarantined(ticket)? {
            return Ok(Some(Verdict::Quarantined { until }));
        }
        let mut out = Vec::new();
        while !self.held.with(entry).is_within(&self.inner.limits) {
            let Some((last, kept)) = self.last_quarantined()?.filter(|(last, _)| *last > ticket) else {
                out.into_iter().for_each(|(ticket, kept)| self.take_in(ticket, kept));
                return Ok(Some(Verdict::Full));
            };
            self.held = self.held.without(std::slice::from_ref(&kept));
            if self.quarantined.remove(&last).is_none() {
                self.unquarantined.insert(last);
            }
            out.push((last, kept));
        }
        self.take_in(ticket, entry.clone());
        Ok(Some(Verdict::Quarantined { until }))
    }

    fn take_in(&mut self, ticket: Ticket, entry: Entry) {
        self.held = self.held.with(&entry);
        // Put after it was deleted, it stays.
        self.quarantined.insert(ticket, entry);
    }

    fn is_quarantined(&self, ticket: Ticket) -> Result<bool, KvError> {
        if self.quarantined.contains_key(&ticket) {
            return Ok(true);
        }
        let row = (self.inner.number, ticket.0, ticket.1);
        Ok(!self.unquarantined.contains(&ticket) && QUARANTINE.get(self.snapshot, &row)?.is_some())
    }

    fn last_quarantined(&self) -> Result<Option<(Ticket, Entry)>, KvError> {
        let new = self.quarantined.last_key_value().map(|(ticket, entry)| (*ticket, entry.clone()));
        let mut range = QUARANTINE.prefix(&(self.inner.number,));
        // Always the last ones go, so there is nothing behind the first of them.
        if let Some((due, id)) = self.unquarantined.first() {
            range = range.before(QUARANTINE.key(&(self.inner.number, *due, *id)));
        }
        let Some(row) = QUARANTINE.scan_keys(self.snapshot, range, Direction::Reverse)?.next() else { return Ok(new) };
        let ((_, due, id), bytes) = readable(row, Corruption::Entry)?;
        let stored = ((due, id), decoded(bytes)?);
        Ok(Some(new.filter(|(ticket, _)| *ticket > stored.0).unwrap_or(stored)))
    }
}

fn decoded(bytes: bytes::Bytes) -> Result<Entry, KvError> {
    Entry::decode(bytes).map_err(|_| KvError::Corrupt(Corruption::Entry))
}

/// When an entry is no longer too far ahead.
fn due(entry: &Entry, skew: Duration) -> Timestamp {
    let skew = u64::try_from(skew.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(entry.stamp().wall().as_millis().saturating_sub(skew))
}

/// How much is in quarantine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    entries: usize,
    bytes: usize,
}

impl Held {
    /// Reads it from the rows.
    pub(super) fn read(snapshot: &dyn Snapshot, number: u32) -> Result<Self, KvError> {
        let mut held = Self::default();
        for row in QUARANTINE.scan_prefix(snapshot, &(number,), Direction::Forward)? {
            let (_, entry) = readable(row, Corruption::Entry)?;
            held.entries += 1;
            held.bytes += entry.len();
        }
        Ok(held)
    }

    fn with(self, entry: &Entry) -> Self {
        Self { entries: self.entries.saturating_add(1), bytes: self.bytes.saturating_add(entry.encoded().len()) }
    }

    fn is_within(self, limits: &TreeLimits) -> bool {
        self.entries <= limits.quarantine_entries && self.bytes <= limits.quarantine_bytes
    }

    fn without(self, entries: &[Entry]) -> Self {
        let bytes: usize = entries.iter().map(|entry| entry.encoded().len()).sum();
        Self { entries: self.entries.saturating_sub(entries.len()), bytes: self.bytes.saturating_sub(bytes) }
    }
}

impl Inner {
    /// Takes out of quarantine what no live grant allows any more.
    pub(super) fn sweep_quarantine(&self, writer: &mut Writer) -> Result<(), KvError> {
        let (authority, snapshot) = (self.authority(), self.db.snapshot()?);
        let (mut batch, mut gone) = (Batch::new(), Vec::new());
        for row in QUARANTINE.scan_prefix(&*snapshot, &(self.number,), Direction::Forward)? {
            let (columns, bytes) = readable(row, Corruption::Entry)?;
            let entry = decoded(bytes)?;
            if !is_live(&authority, &entry) {
                QUARANTINE.delete_in(&mut batch, &columns);
                gone.push(entry);
            }
        }
        if !gone.is_empty() {
            self.write(writer, batch, Durability::Immediate)?;
            writer.held = writer.held.without(&gone);
        }
        Ok(())
    }
}

impl Tree {
    /// Applies the entries in quarantine that are due. Gives what became of each, the earliest first.
    ///
    /// # Errors
    ///
    /// [`KvError::Storage`], [`KvError::Commit`], [`KvError::Corrupt`]; what was released before stays so.
    pub fn release(&self, now: Timestamp) -> Result<Vec<(Entry, Verdict)>, KvError> {
        let mut released = Vec::new();
        loop {
            let mut writer = self.inner.writer()?;
            let snapshot = self.inner.db.snapshot()?;
            let (mut entries, mut rows) = (Vec::new(), Vec::new());
            for row in QUARANTINE.scan_prefix(&*snapshot, &(self.inner.number,), Direction::Forward)? {
                let (key, bytes) = readable(row, Corruption::Entry)?;
                if key.1 > now.as_millis() || entries.len() == RELEASED_AT_ONCE {
                    break;
                }
                entries.push(decoded(bytes)?);
                rows.push(key);
            }
            if entries.is_empty() {
                return Ok(released);
            }
            let items = entries.iter().cloned().map(Item::Entry).collect();
            let verdicts = self.inner.apply(&mut writer, now, items, Origin::Anywhere, |batch| {
                for row in &rows {
                    QUARANTINE.delete_in(batch, row);
                }
            })?;
            writer.held = writer.held.without(&entries);
            released.extend(entries.into_iter().zip(verdicts));
        }
    }

    /// When the next entry in quarantine is due, if there is one.
    ///
    /// # Errors
    ///
    /// [`KvError::Storage`], [`KvError::Corrupt`].
    pub fn next_release(&self) -> Result<Option<Timestamp>, KvError> {
        let snapshot = self.inner.db.snapshot()?;
        let mut rows = QUARANTINE.scan_prefix(&*snapshot, &(self.inner.number,), Direction::Forward)?;
        let first = rows.next().map(|row| readable(row, Corruption::Entry)).transpose()?;
        Ok(first.map(|((_, due, _), _)| Timestamp::from_millis(due)))
    }

    /// The keys that have an entry in quarantine. Reads all of them, unless there are none.
    ///
    /// # Errors
    ///
    /// [`KvError::Storage`], [`KvError::Corrupt`].
    pub fn quarantined_keys(&self) -> Result<BTreeSet<Key>, KvError> {
        let snapshot = self.inner.db.snapshot()?;
        let mut keys = BTreeSet::new();
        for row in QUARANTINE.scan_prefix(&*snapshot, &(self.inner.number,), Direction::Forward)? {
            let (_, bytes) = readable(row, Corruption::Entry)?;
            keys.insert(decoded(bytes)?.key().clone());
        }
        Ok(keys)
    }
}
