//! Quotas: how much there may be under a grant.

use std::collections::BTreeMap;

use syncline_storage::Direction;

use super::error::{Corruption, KvError};
use super::rows::{By, Slot, UNDER, UsageRow, rank, readable};
use super::work::Work;
use crate::item::{Entry, GrantId, Leaves, Quota};
use crate::path::Key;

/// Where an entry stands among those that a quota limits: the greatest goes first.
type Place = (u64, Key, Slot);

impl Work<'_> {
    /// The grants with a quota that an entry counts for.
    fn quotas_of(&self, leaves: &Leaves) -> BTreeMap<GrantId, Quota> {
        leaves.as_slice().iter().flat_map(|leaf| self.authority.quotas(leaf)).collect()
    }

    /// Adds an entry to what its grants have, or takes it from there.
    pub(super) fn count(&mut self, entry: &Entry, add: bool) -> Result<(), KvError> {
        for grant in self.quotas_of(entry.leaves()).into_keys() {
            let tally = &mut self.tally(grant)?.now;
            let bytes = entry.encoded().len() as u64;
            *tally = if add {
                UsageRow { entries: tally.entries + 1, bytes: tally.bytes.saturating_add(bytes) }
            } else {
                UsageRow { entries: tally.entries.saturating_sub(1), bytes: tally.bytes.saturating_sub(bytes) }
            };
        }
        Ok(())
    }

    /// A grant whose quota would be exceeded by an entry of so many bytes in this slot, in addition to what is there.
    pub(super) fn exceeded_by(
        &mut self,
        key: &Key,
        slot: Slot,
        leaves: &Leaves,
        len: u64,
    ) -> Result<Option<GrantId>, KvError> {
        let quotas = self.quotas_of(leaves);
        if quotas.is_empty() {
            return Ok(None);
        }
        // What it would replace has the same grants, so it counts for the same quotas.
        let replaced = self.key(key)?.in_slot(slot).map(|kept| kept.encoded().len() as u64);
        for (grant, quota) in quotas {
            let used = self.tally(grant)?.now;
            let entries = used.entries + u64::from(replaced.is_none());
            let bytes = used.bytes.saturating_add(len).saturating_sub(replaced.unwrap_or_default());
            if quota.entries.is_some_and(|max| entries > max) || quota.bytes.is_some_and(|max| bytes > max) {
                return Ok(Some(grant));
            }
        }
        Ok(None)
    }

    /// Makes room for an entry by taking out those that stand behind it. Gives the grant that has none, if that is not enough.
    ///
    /// Which entries a quota keeps thus does not depend on the order in which they come, but on their keys.
    pub(super) fn make_room(&mut self, entry: &Entry) -> Result<Option<GrantId>, KvError> {
        let own = (rank(entry.key()), entry.key().clone(), Slot::of(entry));
        let len = entry.encoded().len() as u64;
        while let Some(grant) = self.exceeded_by(entry.key(), own.2, entry.leaves(), len)? {
            match self.last_under(grant)? {
                Some(last) if last > own => self.remove(&last.1, last.2)?,
                _ => return Ok(Some(grant)),
            };
        }
        Ok(None)
    }

    /// The entry that stands last under a grant and all that is delegated from it.
    fn last_under(&mut self, grant: GrantId) -> Result<Option<Place>, KvError> {
        let family = self.authority.family(grant);
        let mut last: Option<Place> = None;
        for leaf in &family {
            let (kind, id) = By::Grant(*leaf).columns();
            let rows = UNDER.scan_prefix(self.snapshot, &(self.inner.number, kind, id), Direction::Reverse)?;
            for row in rows {
                let ((_, _, _, rank, key, slot), _) = readable(row, Corruption::Index)?;
                let key = Key::new(&key).map_err(|_| KvError::Corrupt(Corruption::Index))?;
                let place = (rank, key, Slot(slot));
                if last.as_ref().is_some_and(|last| *last >= place) {
                    break;
                }
                // It may have been taken out before, in this batch.
                if self.keys.get(&place.1).is_none_or(|state| state.in_slot(place.2).is_some()) {
                    last = Some(place);
                    break;
                }
            }
        }
        // Those that this batch adds have no rows yet.
        for (key, state) in &self.keys {
            for (slot, entry) in &state.now {
                let is_under = entry.leaves().as_slice().iter().any(|leaf| family.contains(leaf));
                if is_under && last.as_ref().is_none_or(|(at, of, _)| (*at, of) < (rank(key), key)) {
                    last = Some((rank(key), key.clone(), *slot));
                }
            }
        }
        Ok(last)
    }
}
