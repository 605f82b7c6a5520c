//! Entries that are stamped too far ahead.

use std::collections::BTreeSet;
use std::time::Duration;

use syncline_core::clock::Timestamp;
use syncline_storage::{Direction, Snapshot};

use super::apply::Origin;
use super::error::{Corruption, KvError};
use super::rows::{QUARANTINE, readable};
use super::verdict::Verdict;
use super::work::Work;
use super::Tree;
use crate::item::{Entry, Item};
use crate::path::Key;

/// Entries that are released in one batch.
const RELEASED_AT_ONCE: usize = 1_024;

impl Work<'_> {
    /// Takes an entry into quarantine if its stamp lies too far ahead.
    pub(super) fn quarantine(&mut self, entry: &Entry) -> Result<Option<Verdict>, KvError> {
        let until = due(entry, self.inner.limits.skew);
        if until <= self.now || self.origin == Origin::Here {
            return Ok(None);
        }
        let row = (self.inner.number, until.as_millis(), *entry.id().as_bytes());
        let is_new = QUARANTINE.get(self.snapshot, &row)?.is_none()
            && self.quarantined.iter().all(|(_, kept)| kept.id() != entry.id());
        if is_new {
            let held = Held { entries: self.held.entries + 1, bytes: self.held.bytes + entry.encoded().len() };
            if held.entries > self.inner.limits.quarantine_entries || held.bytes > self.inner.limits.quarantine_bytes {
                return Ok(Some(Verdict::Full));
            }
            self.held = held;
            self.quarantined.push((until, entry.clone()));
        }
        Ok(Some(Verdict::Quarantined { until }))
    }
}

/// When an entry is no longer too far ahead.
fn due(entry: &Entry, skew: Duration) -> Timestamp {
    let skew = u64::try_from(skew.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(entry.stamp().wall().as_millis().saturating_sub(skew))
}

/// How much is in quarantine.
#[derive(Clone, Copy, Debug, Default)]
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

    fn without(self, entries: &[Entry]) -> Self {
        let bytes: usize = entries.iter().map(|entry| entry.encoded().len()).sum();
        Self { entries: self.entries.saturating_sub(entries.len()), bytes: self.bytes.saturating_sub(bytes) }
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
            let mut writer = self.inner.writer();
            let snapshot = self.inner.db.snapshot()?;
            let (mut entries, mut rows) = (Vec::new(), Vec::new());
            for row in QUARANTINE.scan_prefix(&*snapshot, &(self.inner.number,), Direction::Forward)? {
                let (key, bytes) = readable(row, Corruption::Entry)?;
                if key.1 > now.as_millis() || entries.len() == RELEASED_AT_ONCE {
                    break;
                }
                entries.push(Entry::decode(bytes).map_err(|_| KvError::Corrupt(Corruption::Entry))?);
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
            let entry = Entry::decode(bytes).map_err(|_| KvError::Corrupt(Corruption::Entry))?;
            keys.insert(entry.key().clone());
        }
        Ok(keys)
    }
}
