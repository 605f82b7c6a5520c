//! Forgetting deletions, and knowing who is up to date.

use std::collections::BTreeMap;
use std::time::Duration;

use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::PublicKey;
use syncline_storage::{Batch, Direction, Durability};
use thiserror::Error;

use super::error::{Corruption, KvError};
use super::feed::tell_feeds;
use super::rows::{COLLECTED, MarkRow, PEERS, Slot, TOMBSTONES, readable};
use super::work::Work;
use super::writer::Writer;
use super::{Inner, Tree};
use crate::path::Key;

/// Tombstones that are looked at in one batch.
const AT_ONCE: usize = 1_024;

/// What was collected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collection {
    /// Keys whose deletion is forgotten.
    pub keys: u64,
    /// Entries that are gone: the deletions, and what they shadowed.
    pub entries: u64,
    /// Marks of earlier collections that are gone.
    pub marks: u64,
}

/// How up to date a replica is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Freshness {
    /// Each known peer, and when the last complete session with it began.
    pub peers: BTreeMap<PublicKey, Timestamp>,
}

impl Freshness {
    /// When the last complete session with any peer began.
    #[must_use]
    pub fn latest(&self) -> Option<Timestamp> {
        self.peers.values().max().copied()
    }
}

/// A replica has not synced recently enough to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not synced within {within:?}; a revocation that was made elsewhere may not be known here yet")]
#[non_exhaustive]
pub struct Stale {
    /// What was required.
    pub within: Duration,
    /// When the last complete session began, if there was one.
    pub last: Option<Timestamp>,
}

impl Tree {
    /// Notes that a session over the whole tree with a peer was completed: what was here when it `began` is there as well, and
    /// the other way round. Sync calls this.
    ///
    /// From the first time on the peer is known, and deletions are kept until it has them; see [`forget_peer`](Self::forget_peer).
    ///
    /// # Errors
    ///
    /// [`KvError::Storage`], [`KvError::Commit`].
    pub fn note_synced(&self, peer: &PublicKey, began: Timestamp) -> Result<(), KvError> {
        let mut writer = self.inner.writer()?;
        let row = (self.inner.number, peer.to_bytes());
        if PEERS.get(&*self.inner.db.snapshot()?, &row)?.is_some_and(|last| last >= began.as_millis()) {
            return Ok(());
        }
        let mut batch = Batch::new();
        PEERS.put_in(&mut batch, &row, &began.as_millis());
        // Should it be lost, deletions are kept longer.
        self.inner.write(&mut writer, batch, Durability::Eventual)
    }

    /// Waits for a peer no longer before deletions are forgotten: it is gone for good.
    ///
    /// # Errors
    ///
    /// [`KvError::Storage`], [`KvError::Commit`].
    pub fn forget_peer(&self, peer: &PublicKey) -> Result<(), KvError> {
        let mut writer = self.inner.writer()?;
        let mut batch = Batch::new();
        PEERS.delete_in(&mut batch, &(self.inner.number, peer.to_bytes()));
        self.inner.write(&mut writer, batch, Durability::Immediate)
    }

    /// When which peer was synced with.
    ///
    /// # Errors
    ///
    /// [`KvError::Storage`], [`KvError::Corrupt`].
    pub fn freshness(&self) -> Result<Freshness, KvError> {
        let snapshot = self.inner.db.snapshot()?;
        let mut freshness = Freshness::default();
        for row in PEERS.scan_prefix(&*snapshot, &(self.inner.number,), Direction::Forward)? {
            let ((_, peer), at) = readable(row, Corruption::Index)?;
            let peer = PublicKey::from_bytes(&peer).map_err(|_| KvError::Corrupt(Corruption::Index))?;
            freshness.peers.insert(peer, Timestamp::from_millis(at));
        }
        Ok(freshness)
    }

    /// Whether a complete session with some peer began within this time. Revocations reach a replica by sync; an answer about
    /// who may do what is at most as old as this says. The inner result is the answer.
    ///
    /// # Errors
    ///
    /// [`KvError::Storage`], [`KvError::Corrupt`].
    pub fn require_synced_within(&self, now: Timestamp, within: Duration) -> Result<Result<(), Stale>, KvError> {
        let last = self.freshness()?.latest();
        let is_fresh = last.is_some_and(|last| now.since(last) <= within);
        Ok(if is_fresh { Ok(()) } else { Err(Stale { within, last }) })
    }

    /// Whether this replica may sync: whether deletions that it has not seen are still remembered by its peers.
    ///
    /// # Errors
    ///
    /// [`KvError::AwayTooLong`] if it knows peers and completed no session for longer than
    /// [`TreeLimits::collect_after`](super::TreeLimits::collect_after); [`KvError::Storage`], [`KvError::Corrupt`].
    pub fn check_not_away(&self, now: Timestamp) -> Result<(), KvError> {
        let Some(last) = self.freshness()?.latest() else { return Ok(()) };
        let away = now.since(last);
        if away > self.inner.limits.collect_after { Err(KvError::AwayTooLong { away }) } else { Ok(()) }
    }

    /// Forgets deletions that all known peers have seen, or that are older than
    /// [`TreeLimits::collect_after`](super::TreeLimits::collect_after), together with what they shadow.
    ///
    /// Nothing comes back by that: a mark stays for as long again, and refuses what was deleted. Replicas collect at different
    /// times; until all have, their roots differ.
    ///
    /// # Errors
    ///
    /// [`KvError::Storage`], [`KvError::Commit`], [`KvError::Corrupt`]; what was collected before stays so.
    pub fn collect(&self, now: Timestamp) -> Result<Collection, KvError> {
        let peers = self.freshness()?.peers;
        let mut done = Collection { marks: self.inner.drop_marks(now)?, ..Collection::default() };
        // A deletion that came before this was seen by all peers.
        let passed = peers.values().min().copied();
        let aged = now.as_millis().saturating_sub(millis(self.inner.limits.collect_after));
        let mut after = None;
        loop {
            // Others may write in between.
            let mut writer = self.inner.writer()?;
            let (next, some) = self.inner.collect_some(&mut writer, now, passed, aged, after)?;
            done.keys += some.keys;
            done.entries += some.entries;
            after = next;
            if after.is_none() {
                return Ok(done);
            }
        }
    }
}

/// Where a pass over the tombstones stands.
type TombstoneColumns = (u32, u64, String, [u8; 16]);

impl Inner {
    fn collect_some(
        &self,
        writer: &mut Writer,
        now: Timestamp,
        passed: Option<Timestamp>,
        aged: u64,
        after: Option<TombstoneColumns>,
    ) -> Result<(Option<TombstoneColumns>, Collection), KvError> {
        let snapshot = self.db.snapshot()?;
        let mut range = TOMBSTONES.prefix(&(self.number,));
        if let Some(after) = after {
            range = range.after(TOMBSTONES.key(&after));
        }
        let mut work = Work::new(self, &*snapshot, writer, now);
        let (mut last, mut done) = (None, Collection::default());
        let rows = TOMBSTONES.scan_keys(&*snapshot, range, Direction::Forward)?;
        for row in rows.take(AT_ONCE) {
            let (columns, came) = readable(row, Corruption::Index)?;
            let came = came.iter().fold(0, |sum: u64, byte| (sum << 8) | u64::from(*byte));
            let is_passed = passed.is_some_and(|passed| came < passed.as_millis());
            let stamped = Hlc::from_bits(columns.1).wall().as_millis();
            if is_passed || stamped.max(came) < aged {
                let key = Key::new(&columns.2).map_err(|_| KvError::Corrupt(Corruption::Index))?;
                let gone = work.collect_key(&key, Slot(columns.3))?;
                done.keys += u64::from(gone > 0);
                done.entries += gone;
            }
            last = Some(columns);
        }
        let finished = work.finish()?;
        if !finished.batch.is_empty() {
            self.write(writer, finished.batch, Durability::Immediate)?;
            tell_feeds(&self.feeds, &[], None, finished.removed);
        }
        Ok((last, done))
    }

    /// Drops marks that have done their time. Says how many.
    fn drop_marks(&self, now: Timestamp) -> Result<u64, KvError> {
        let mut dropped = 0;
        let mut after = None;
        loop {
            let mut writer = self.writer()?;
            let snapshot = self.db.snapshot()?;
            let mut range = COLLECTED.prefix(&(self.number,));
            if let Some(after) = &after {
                range = range.after(COLLECTED.key(after));
            }
            let (mut batch, mut last) = (Batch::new(), None);
            for row in COLLECTED.scan_keys(&*snapshot, range, Direction::Forward)?.take(AT_ONCE) {
                let (columns, mark) = readable(row, Corruption::Index)?;
                if now.since(mark.at) > self.limits.collect_after {
                    COLLECTED.delete_in(&mut batch, &columns);
                }
                last = Some(columns);
            }
            dropped += batch.len() as u64;
            if !batch.is_empty() {
                self.write(&mut writer, batch, Durability::Eventual)?;
            }
            if last.is_none() {
                return Ok(dropped);
            }
            after = last;
        }
    }
}

impl Work<'_> {
    /// Takes out a tombstone and all that is not greater than it. Says how many entries that were.
    fn collect_key(&mut self, key: &Key, slot: Slot) -> Result<u64, KvError> {
        let (number, now) = (self.inner.number, self.now);
        let state = self.key(key)?;
        let Some(tombstone) = state.in_slot(slot).filter(|entry| entry.is_tombstone()) else { return Ok(0) };
        let order = tombstone.order();
        let gone: Vec<Slot> =
            state.now.iter().filter(|(_, entry)| entry.order() <= order).map(|(slot, _)| *slot).collect();
        let mark = state.mark.map_or(order, |mark| mark.order.max(order));
        state.mark = Some(MarkRow { order: mark, at: now });
        for slot in &gone {
            self.remove(key, *slot)?;
        }
        COLLECTED.put_in(&mut self.batch, &(number, key.as_str().to_owned()), &MarkRow { order: mark, at: now });
        Ok(gone.len() as u64)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
