//! Takes out what grants that ended leave behind.

use std::collections::BTreeSet;

use syncline_core::clock::Timestamp;
use syncline_storage::{Direction, Durability, KeyCodec as _};

use super::error::{Corruption, KvError};
use super::feed::lock;
use super::lookup::former_roots;
use super::rows::{By, Slot, UNDER, UnderColumns};
use super::work::{Work, put_under};
use super::{Inner, Writer};
use crate::item::GrantId;
use crate::path::Key;

impl Inner {
    /// Takes out the entries that only these grants, or roots that are no longer trusted, allowed.
    ///
    /// Reads do not need this: an entry without a live grant is not a value. So it may be done in several batches, and goes on
    /// when the tree is opened again should it be interrupted.
    pub(super) fn sweep(
        &self,
        writer: &mut Writer,
        now: Timestamp,
        ended: Vec<GrantId>,
        roots_changed: bool,
    ) -> Result<(), KvError> {
        for grant in ended {
            self.sweep_one(writer, now, By::Grant(grant))?;
        }
        if roots_changed {
            let authority = self.authority();
            for root in former_roots(&authority) {
                self.sweep_one(writer, now, By::Root(root))?;
            }
        }
        Ok(())
    }

    /// Goes through all that one authority allows. How many entries it visited is counted.
    fn sweep_one(&self, writer: &mut Writer, now: Timestamp, by: By) -> Result<(), KvError> {
        let (kind, id) = by.columns();
        let mut after: Option<UnderColumns> = None;
        loop {
            let snapshot = self.db.snapshot()?;
            let range = match &after {
                Some(last) => UNDER.prefix(&(self.number, kind, id)).after(UNDER.key(last)),
                None => UNDER.prefix(&(self.number, kind, id)),
            };
            let mut rows = Vec::new();
            let found = snapshot.scan(range, Direction::Forward)?;
            for row in found.take(self.limits.sweep.max(1)) {
                rows.push(under_columns(&row?.0)?);
            }
            let Some(last) = rows.last().cloned() else { break };
            let mut work = Work::new(self, &*snapshot, writer, now);
            for row in rows {
                work.sweep_row(by, row)?;
            }
            let finished = work.finish()?;
            if !finished.batch.is_empty() {
                self.db.commit(finished.batch, Durability::Immediate)?;
            }
            self.tell(&finished.changed, &[]);
            lock(&self.feeds).tell(&[], None, finished.removed);
            after = Some(last);
        }
        Ok(())
    }

    /// Goes on with what was interrupted.
    pub(super) fn sweep_leftovers(&self, writer: &mut Writer, now: Timestamp) -> Result<(), KvError> {
        let authority = self.authority();
        let dead: BTreeSet<GrantId> =
            authority.grants().map(|grant| grant.id()).filter(|grant| !authority.is_live_grant(*grant)).collect();
        self.sweep(writer, now, dead.into_iter().collect(), true)
    }
}

fn under_columns(row: &[u8]) -> Result<UnderColumns, KvError> {
    // The range lies within the table, whose number the first byte is.
    UnderColumns::decode_all(row.get(1..).unwrap_or_default()).map_err(|_| KvError::Corrupt(Corruption::Index))
}

impl Work<'_> {
    fn sweep_row(&mut self, by: By, row: UnderColumns) -> Result<(), KvError> {
        let corrupt = || KvError::Corrupt(Corruption::Index);
        let (key, slot) = (Key::new(&row.4).map_err(|_| corrupt())?, Slot(row.5));
        let entry = self.key(&key)?.in_slot(slot).cloned();
        let Some(entry) = entry else { return Ok(()) };
        if self.authority.is_live(entry.leaves(), entry.author(), entry.stamp()) {
            if matches!(by, By::Grant(_)) {
                // Another grant allows it. It must be found under that one, and under this one no more.
                put_under(&mut self.batch, self.inner.number, slot, &entry, &self.authority);
                UNDER.delete_in(&mut self.batch, &row);
            }
            return Ok(());
        }
        self.remove(&key, slot)?;
        Ok(())
    }
}
