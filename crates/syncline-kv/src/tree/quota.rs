//! Quotas: how much there may be under a grant.

use syncline_storage::Direction;

use super::error::{Corruption, KvError};
use super::rows::{By, Slot, UNDER, UsageRow, quotas_of, rank, readable};
use super::work::Work;
use crate::item::{Entry, GrantId, Leaves};
use crate::path::Key;

/// Where an entry stands among those that a quota limits: the greatest goes first.
pub(super) type Place = (u64, Key, Slot);

impl Work<'_> {
    /// Adds an entry to what its grants have.
    pub(super) fn count(&mut self, slot: Slot, entry: &Entry) -> Result<(), KvError> {
        let quotas = quotas_of(&self.authority, entry.leaves());
        if quotas.is_empty() {
            return Ok(());
        }
        let (place, len) = ((rank(entry.key()), entry.key().clone(), slot), len_of(entry));
        for (grant, _) in quotas {
            let tally = &mut self.tally(grant)?.now;
            tally.entries = tally.entries.saturating_add(1);
            tally.bytes = tally.bytes.saturating_add(len);
            self.added.entry(grant).or_default().insert(place.clone());
        }
        Ok(())
    }

    /// Takes an entry from what its grants have.
    pub(super) fn discount(&mut self, entry: &Entry) -> Result<(), KvError> {
        for (grant, _) in quotas_of(&self.authority, entry.leaves()) {
            let tally = &mut self.tally(grant)?.now;
            let (entries, bytes) = (tally.entries.saturating_sub(1), tally.bytes.saturating_sub(len_of(entry)));
            *tally = UsageRow { entries, bytes };
        }
        Ok(())
    }

    /// An entry that is taken out is not among those that this batch adds.
    pub(super) fn unlist(&mut self, slot: Slot, entry: &Entry) {
        if self.added.is_empty() {
            return;
        }
        let place = (rank(entry.key()), entry.key().clone(), slot);
        for (grant, _) in quotas_of(&self.authority, entry.leaves()) {
            if let Some(places) = self.added.get_mut(&grant) {
                places.remove(&place);
            }
        }
    }

    /// The grant nearest to the entry whose quota would be exceeded by an entry of so many bytes in this slot, in addition to
    /// what is there.
    pub(super) fn exceeded_by(
        &mut self,
        key: &Key,
        slot: Slot,
        leaves: &Leaves,
        len: u64,
    ) -> Result<Option<GrantId>, KvError> {
        let quotas = quotas_of(&self.authority, leaves);
        if quotas.is_empty() {
            return Ok(None);
        }
        // What it would replace has the same grants, so it counts for the same quotas.
        let replaced = self.key(key)?.in_slot(slot).map(len_of);
        for (grant, quota) in quotas {
            let used = self.tally(grant)?.now;
            let entries = used.entries.saturating_add(u64::from(replaced.is_none()));
            let bytes = used.bytes.saturating_add(len).saturating_sub(replaced.unwrap_or_default());
            #[cfg(syncline_planted)]
            let entries = entries
                - u64::from(syncline_core::planted::is(syncline_core::planted::Bug::QuotaOffByOne) && entries > 0);
            if quota.entries.is_some_and(|max| entries > max) || quota.bytes.is_some_and(|max| bytes > max) {
                return Ok(Some(grant));
            }
        }
        Ok(None)
    }

    /// Makes room for an entry by taking out those that stand behind it. Gives the grant that has none if that is not enough;
    /// then nothing was taken out. For what is made here nothing ever is.
    ///
    /// Which entries a quota keeps thus depends on their keys, and not for long on the order in which they come: a limit of bytes
    /// may take two rounds of offering until replicas agree. What goes first goes from the grant nearest to the entry: that
    /// makes room in all above it.
    pub(super) fn make_room(&mut self, entry: &Entry) -> Result<Option<GrantId>, KvError> {
        let own = (rank(entry.key()), entry.key().clone(), Slot::of(entry));
        let mut out = Vec::new();
        while let Some(grant) = self.exceeded_by(entry.key(), own.2, entry.leaves(), len_of(entry))? {
            let last = if self.is_own { None } else { self.last_under(grant)? };
            let Some((_, key, slot)) = last.filter(|last| *last > own) else {
                for (slot, entry) in out {
                    self.place(slot, entry)?;
                }
                return Ok(Some(grant));
            };
            out.extend(self.remove(&key, slot)?.map(|entry| (slot, entry)));
        }
        Ok(None)
    }

    /// The entry that stands last under a grant and all that is delegated from it.
    fn last_under(&mut self, grant: GrantId) -> Result<Option<Place>, KvError> {
        let added = self.added.get(&grant).and_then(|places| places.last()).cloned();
        Ok(self.last_stored_under(grant)?.max(added))
    }

    fn last_stored_under(&mut self, grant: GrantId) -> Result<Option<Place>, KvError> {
        let (kind, id) = By::Quota(grant).columns();
        let mut range = UNDER.prefix(&(self.inner.number, kind, id));
        if let Some(emptied) = self.emptied.get(&grant) {
            range = range.before(UNDER.key(emptied));
        }
        for row in UNDER.scan_keys(self.snapshot, range, Direction::Reverse)? {
            let (row, _) = readable(row, Corruption::Index)?;
            let key = Key::new(&row.4).map_err(|_| KvError::Corrupt(Corruption::Index))?;
            // It may have been taken out before, in this batch. If it came back, it is among those that were added.
            if self.keys.get(&key).is_none_or(|state| state.in_slot(Slot(row.5)).is_some()) {
                return Ok(Some((row.3, key, Slot(row.5))));
            }
            self.emptied.insert(grant, row);
        }
        Ok(None)
    }
}

fn len_of(entry: &Entry) -> u64 {
    entry.encoded().len() as u64
}
