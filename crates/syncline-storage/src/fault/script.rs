//! What fails, and when.

use std::collections::BTreeMap;

use crate::StorageErrorKind;

/// What a [`FaultDb`](super::FaultDb) finds on its disk after a crash in a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remains {
    /// Only what was durable before: neither this commit nor any that was only visible.
    Synced,
    /// What was durable, and the first so many of the commits that were only visible; this commit is lost.
    Pending(usize),
    /// Everything, this commit too.
    Applied,
    /// Everything before, and the first so many changes of this commit. No honest engine does this: it shows that a
    /// checker notices.
    Torn(usize),
}

/// What happens to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitFault {
    /// It fails with [`CommitError::Storage`](crate::CommitError::Storage) and nothing is applied; the database stays open.
    Fail(StorageErrorKind),
    /// It fails with [`CommitError::Unknown`](crate::CommitError::Unknown), and nothing works until the database is
    /// reopened.
    Crash(Remains),
}

/// Which calls of a [`FaultDb`](super::FaultDb) fail. Calls are counted from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultScript {
    commits: BTreeMap<u64, CommitFault>,
    reads: BTreeMap<u64, StorageErrorKind>,
}

impl FaultScript {
    /// No faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the `n`-th commit fail.
    #[must_use]
    pub fn at_commit(mut self, n: u64, fault: CommitFault) -> Self {
        self.commits.insert(n, fault);
        self
    }

    /// Lets the `n`-th read fail. Snapshots, gets, scans and each row of a scan count.
    #[must_use]
    pub fn at_read(mut self, n: u64, kind: StorageErrorKind) -> Self {
        self.reads.insert(n, kind);
        self
    }

    pub(super) fn commit(&self, n: u64) -> Option<CommitFault> {
        self.commits.get(&n).copied()
    }

    pub(super) fn read(&self, n: u64) -> Option<StorageErrorKind> {
        self.reads.get(&n).copied()
    }
}

/// How many calls a [`FaultDb`](super::FaultDb) has had: the range of `n` for "let the n-th fail, for every n".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultCounts {
    /// Commits, those that failed among them.
    pub commits: u64,
    /// Snapshots, gets, scans and rows of scans.
    pub reads: u64,
    /// How many of them failed by the script.
    pub faults: u64,
}
