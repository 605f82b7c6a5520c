//! What only one call at a time may use, and what becomes of it when a call fails half way.

use std::sync::{Arc, MutexGuard, PoisonError};

use syncline_core::clock::{Hlc, Timestamp};
use syncline_storage::{Batch, CommitError, Database, Durability, Snapshot};

use super::error::{Corruption, KvError};
use super::feed::lag_feeds;
use super::quarantine::Held;
use super::rows::{CLOCKS, OPENINGS, SYSTEM, readable};
use super::waiting::Waiting;
use super::{Inner, TreeLimits};
use crate::authority::{Authority, SystemItem};
use crate::item::{Item, Namespace};

/// What only one call at a time may use.
pub(super) struct Writer {
    /// The greatest stamp that was given or seen.
    pub(super) last: Hlc,
    /// The one that is stored.
    pub(super) stored: Hlc,
    pub(super) held: Held,
    pub(super) waiting: Waiting,
    /// A commit whose outcome is not known, or something that was left half done: what is stored has to be read again.
    pub(super) in_doubt: bool,
}

/// What memory has of the rows of a namespace.
pub(super) struct Loaded {
    pub(super) authority: Authority,
    pub(super) last: Hlc,
    pub(super) held: Held,
}

impl Loaded {
    pub(super) fn read(
        db: &dyn Database,
        number: u32,
        namespace: &Namespace,
        limits: &TreeLimits,
    ) -> Result<Self, KvError> {
        let snapshot = db.snapshot()?;
        let authority = read_authority(&*snapshot, number, namespace, limits)?;
        let last = CLOCKS.get(&*snapshot, &(number,))?.map_or(Hlc::ZERO, Hlc::from_bits);
        Ok(Self { authority, last, held: Held::read(&*snapshot, number)? })
    }
}

impl Writer {
    pub(super) fn new(last: Hlc, held: Held) -> Self {
        Self { last, stored: last, held, waiting: Waiting::default(), in_doubt: false }
    }
}

impl Inner {
    /// The right to write, after what an earlier call left in doubt was read again and finished.
    pub(super) fn writer(&self) -> Result<MutexGuard<'_, Writer>, KvError> {
        let mut writer = self.writer_as_it_is();
        if OPENINGS.get(&*self.db.snapshot()?, &(self.number,))? != Some(self.opening) {
            return Err(CommitError::precondition(OPENINGS.key(&(self.number,))).into());
        }
        if writer.in_doubt {
            self.recover(&mut writer)?;
        }
        Ok(writer)
    }

    pub(super) fn writer_as_it_is(&self) -> MutexGuard<'_, Writer> {
        // A panic while it was held left it as it was before a commit, or after one.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recover(&self, writer: &mut Writer) -> Result<(), KvError> {
        let namespace = self.authority().namespace().clone();
        let loaded = Loaded::read(&*self.db, self.number, &namespace, &self.limits)?;
        (writer.stored, writer.held) = (loaded.last, loaded.held);
        writer.last = writer.last.max(loaded.last);
        self.publish(Arc::new(loaded.authority));
        self.tell_all();
        lag_feeds(&self.feeds);
        writer.in_doubt = false;
        // Time matters to nothing that is swept.
        self.sweep_leftovers(writer, Timestamp::ZERO)
    }

    /// Commits, provided that the namespace was not opened again since.
    pub(super) fn write(&self, writer: &mut Writer, mut batch: Batch, durability: Durability) -> Result<(), KvError> {
        OPENINGS.require_equals_in(&mut batch, &(self.number,), &self.opening);
        #[cfg(syncline_planted)]
        let durability = match syncline_core::planted::is(syncline_core::planted::Bug::AcknowledgeBeforeCommit) {
            true => Durability::Eventual,
            false => durability,
        };
        self.db.commit(batch, durability).map_err(|err| {
            writer.in_doubt |= !err.nothing_applied();
            err.into()
        })
    }
}

/// Admits again what was admitted before. Its signatures were checked then.
fn read_authority(
    snapshot: &dyn Snapshot,
    number: u32,
    namespace: &Namespace,
    limits: &TreeLimits,
) -> Result<Authority, KvError> {
    let mut admitted = Vec::new();
    for row in SYSTEM.scan_prefix(snapshot, &(number,), syncline_storage::Direction::Forward)? {
        let (_, bytes) = readable(row, Corruption::System)?;
        let item = Item::decode(&bytes).map_err(|_| KvError::Corrupt(Corruption::System))?;
        admitted.push(match item {
            Item::Grant(grant) => SystemItem::Grant(grant),
            Item::Revocation(revocation) => SystemItem::Revocation(revocation),
            Item::RootRotate(rotation) => SystemItem::RootRotate(rotation),
            Item::Entry(_) => return Err(KvError::Corrupt(Corruption::System)),
        });
    }
    Authority::restore(namespace.clone(), limits.authority, admitted).map_err(|_| KvError::Corrupt(Corruption::System))
}
