//! Takes out what grants that ended leave behind.

use std::sync::Arc;

use syncline_core::clock::Timestamp;
use syncline_storage::{Batch, Direction, Durability, KeyCodec as _};

use super::Inner;
use super::error::{Corruption, KvError};
use super::feed::tell_feeds;
use super::finish::EntryRows;
use super::lookup::former_roots;
use super::rows::{By, ENTRIES, REVIVING, Slot, UNDER, UnderColumns, readable};
use super::work::{Work, is_live};
use super::writer::Writer;
use crate::item::GrantId;
use crate::path::Key;

impl Inner {
    /// Takes out the entries that only these grants, or roots that are no longer trusted, allowed.
    ///
    /// Reads do not need this: an entry without a live grant is not a value. So it may be done in several batches, and goes on
    /// with the next write, or when the tree is opened again, should it be interrupted.
    pub(super) fn sweep(
        &self,
        writer: &mut Writer,
        now: Timestamp,
        ended: &[GrantId],
        roots_changed: bool,
        revived: bool,
    ) -> Result<(), KvError> {
        for grant in ended {
            self.sweep_one(writer, now, By::Grant(*grant))?;
        }
        if roots_changed {
            let authority = self.authority();
            for root in former_roots(&authority) {
                self.sweep_one(writer, now, By::Root(root))?;
            }
        }
        if revived {
            self.revive(writer)?;
        }
        if !ended.is_empty() || roots_changed {
            self.sweep_quarantine(writer)?;
        }
        Ok(())
    }

    /// Goes through all that one authority allows.
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
            let Some(last) = rows.last().cloned() else { return Ok(()) };
            let mut work = Work::new(self, &*snapshot, writer, now);
            for row in rows {
                work.sweep_row(by, row)?;
            }
            let finished = work.finish()?;
            if !finished.batch.is_empty() {
                self.write(writer, finished.batch, Durability::Immediate)?;
            }
            self.tell(&finished.changed, &[]);
            tell_feeds(&self.feeds, &[], None, finished.removed);
            after = Some(last);
        }
    }

    /// Writes anew what entries are found by, after grants came back to life.
    ///
    /// Rows of dead grants are gone, so all entries are visited. That is rare: only a rotation that wins over another one at the
    /// same place, or one that distrusts a revoker, brings grants back.
    fn revive(&self, writer: &mut Writer) -> Result<(), KvError> {
        let authority = self.authority();
        let rows = EntryRows { number: self.number, authority: &authority, now: Timestamp::ZERO };
        let mut after = None;
        loop {
            let snapshot = self.db.snapshot()?;
            let mut range = ENTRIES.prefix(&(self.number,));
            if let Some(after) = &after {
                range = range.after(ENTRIES.key(after));
            }
            let mut batch = Batch::new();
            after = None;
            for row in ENTRIES.scan_keys(&*snapshot, range, Direction::Forward)?.take(self.limits.sweep.max(1)) {
                let (columns, row) = readable(row, Corruption::Entry)?;
                // With a single grant it would be gone, had that been dead.
                if row.entry.leaves().as_slice().len() > 1 && is_live(&authority, &row.entry) {
                    rows.put_under(&mut batch, Slot(columns.2), &row.entry);
                }
                after = Some(columns);
            }
            let is_done = after.is_none();
            if is_done {
                REVIVING.delete_in(&mut batch, &(self.number,));
            }
            if !batch.is_empty() {
                self.write(writer, batch, Durability::Immediate)?;
            }
            if is_done {
                return Ok(());
            }
        }
    }

    /// Goes on with what was interrupted.
    pub(super) fn sweep_leftovers(&self, writer: &mut Writer, now: Timestamp) -> Result<(), KvError> {
        let authority = self.authority();
        let ids = authority.grants().map(|grant| grant.id());
        let dead: Vec<GrantId> = ids.filter(|grant| !authority.is_live_grant(*grant)).collect();
        let revived = REVIVING.get(&*self.db.snapshot()?, &(self.number,))?.is_some();
        let swept = self.sweep(writer, now, &dead, true, revived);
        writer.in_doubt |= swept.is_err();
        swept
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
        let authority = Arc::clone(&self.authority);
        match self.key(&key)?.in_slot(slot) {
            Some(entry) if !is_live(&authority, entry) => drop(self.remove(&key, slot)?),
            // Another grant allows it, under which it is found.
            Some(_) if matches!(by, By::Grant(_)) => UNDER.delete_in(&mut self.batch, &row),
            Some(_) | None => {}
        }
        Ok(())
    }
}
