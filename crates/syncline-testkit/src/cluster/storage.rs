//! A node's disk: what is left of a node when it crashes.

use std::sync::Arc;

use syncline_storage::{
    CommitFault, Database, FaultDb, FaultScript, MemoryDb, Remains, StorageError, StorageErrorKind,
};

#[cfg(feature = "redb")]
use crate::disk::SimDisk;
use crate::seed::Rng;

/// What a disk can be told to do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiskFault {
    CommitRefused,
    CommitUnknown,
    ReadFailed,
}

/// The database of one life of a node.
pub(super) struct Opened {
    pub(super) database: Arc<dyn Database>,
    pub(super) durable: Arc<dyn Database>,
}

pub(super) enum NodeDisk {
    /// What is durable, and the database over it. A life has a database of its own, so that nobody writes in the next.
    Memory {
        disk: Arc<MemoryDb>,
        open: Option<Arc<FaultDb<Arc<MemoryDb>>>>,
        /// Commits until the last script was set, which counts from zero again.
        commits_before: u64,
    },
    #[cfg(feature = "redb")]
    Redb(SimDisk),
}

impl NodeDisk {
    pub(super) fn new(redb: bool, seed: u64) -> Self {
        #[cfg(feature = "redb")]
        if redb {
            return Self::Redb(SimDisk::new(seed));
        }
        let _ = (redb, seed);
        Self::Memory { disk: Arc::new(MemoryDb::new()), open: None, commits_before: 0 }
    }

    pub(super) fn open(&mut self) -> Result<Opened, StorageError> {
        match self {
            Self::Memory { disk, open, .. } => {
                let db = Arc::new(FaultDb::new(Arc::clone(disk), FaultScript::new())?);
                *open = Some(Arc::clone(&db));
                Ok(Opened { database: db, durable: Arc::clone(disk) as _ })
            }
            #[cfg(feature = "redb")]
            Self::Redb(disk) => {
                // A small cache, so that pages are written before their commit as well.
                let options = syncline_storage::redb::RedbOptions::new().cache_bytes(128 << 10);
                let db: Arc<dyn Database> = Arc::new(options.open_backend(disk.backend())?);
                Ok(Opened { database: Arc::clone(&db), durable: db })
            }
        }
    }

    /// Loses what is not durable, or a part of it.
    pub(super) fn crash(&mut self, rng: &mut Rng) {
        match self {
            Self::Memory { open, .. } => {
                if let Some(db) = open.take().filter(|db| !db.is_crashed()) {
                    // A disk in memory does not fail.
                    let _ = db.crash(rng.index(4));
                }
            }
            #[cfg(feature = "redb")]
            Self::Redb(disk) => disk.crash(),
        }
    }

    /// Whether the disk itself brought the node down.
    pub(super) fn has_crashed(&self) -> bool {
        match self {
            Self::Memory { open, .. } => open.as_ref().is_none_or(|db| db.is_crashed()),
            #[cfg(feature = "redb")]
            Self::Redb(disk) => disk.is_crashed(),
        }
    }

    /// A number that changes with each commit.
    pub(super) fn changes(&self) -> u64 {
        match self {
            Self::Memory { open, commits_before, .. } => {
                open.as_ref().map_or(0, |db| db.counts().commits) + commits_before
            }
            #[cfg(feature = "redb")]
            Self::Redb(disk) => disk.stats().operations,
        }
    }

    /// Fails one of the next calls. Gives whether this kind of disk can.
    pub(super) fn fail(&mut self, fault: DiskFault, rng: &mut Rng) -> bool {
        match self {
            Self::Memory { open: Some(db), commits_before, .. } => {
                *commits_before += db.counts().commits;
                db.set_script(script(fault, rng));
                true
            }
            Self::Memory { open: None, .. } => false,
            // An engine closes itself after any error of its file, so the other faults would be the same as this one.
            #[cfg(feature = "redb")]
            Self::Redb(disk) => {
                let can = fault == DiskFault::CommitUnknown;
                if can {
                    disk.crash_after(rng.below(10));
                }
                can
            }
        }
    }

    /// Takes back the faults that have not happened yet.
    pub(super) fn calm(&mut self) {
        match self {
            Self::Memory { open: Some(db), commits_before, .. } if !db.is_crashed() => {
                *commits_before += db.counts().commits;
                db.set_script(FaultScript::new());
            }
            Self::Memory { .. } => {}
            #[cfg(feature = "redb")]
            Self::Redb(disk) => disk.crash_after(u64::MAX),
        }
    }
}

fn script(fault: DiskFault, rng: &mut Rng) -> FaultScript {
    let nth = 1 + rng.below(3);
    let script = FaultScript::new();
    match fault {
        DiskFault::CommitRefused => script.at_commit(nth, CommitFault::Fail(StorageErrorKind::Full)),
        DiskFault::CommitUnknown => {
            let remains = match rng.below(3) {
                0 => Remains::Synced,
                1 => Remains::Pending(rng.index(3)),
                _ => Remains::Applied,
            };
            script.at_commit(nth, CommitFault::Crash(remains))
        }
        DiskFault::ReadFailed => script.at_read(nth + rng.below(60), StorageErrorKind::Io),
    }
}
