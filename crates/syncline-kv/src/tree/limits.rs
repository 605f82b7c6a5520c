//! How much a tree holds.

use std::time::Duration;

use crate::authority::AuthorityLimits;
use crate::item::Entry;

/// How much a tree takes in, and for how long it remembers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TreeLimits {
    /// Bytes of the longest inline value. Longer ones are refused, here and from peers, so all replicas of a namespace should
    /// have the same. 64 KiB by default, at most [`Entry::VALUE_LEN_MAX`].
    pub value_len: usize,
    /// Entries that are kept of one key, each by other grants: its value and what that shadows. Of more the least go, so all
    /// replicas of a namespace should have the same limit. 64 by default, at least 1.
    pub entries_per_key: usize,
    /// How far ahead of this machine's clock a stamp may be. 60 s by default. What is further ahead waits in quarantine.
    pub skew: Duration,
    /// Entries in quarantine. 10 000 by default. If there are more, those go that are due last.
    pub quarantine_entries: usize,
    /// Bytes of the entries in quarantine. 16 MiB by default.
    pub quarantine_bytes: usize,
    /// Items that wait, in memory, for a grant or a rotation. 4 096 by default.
    pub waiting_items: usize,
    /// Bytes of the items that wait. 8 MiB by default.
    pub waiting_bytes: usize,
    /// For how long a deletion is remembered if not all known peers have seen it before; for so long once more it is
    /// remembered that it was forgotten. 30 days by default. A replica that completes no session for so long must not sync.
    pub collect_after: Duration,
    /// Entries that are visited in one batch when a grant ends. 1 024 by default.
    pub sweep: usize,
    /// Keys that a watcher may be behind before it is told to look at everything. 4 096 by default.
    pub watched_keys: usize,
    /// How many grants, revocations and rotations there may be.
    pub authority: AuthorityLimits,
}

impl Default for TreeLimits {
    fn default() -> Self {
        Self {
            value_len: 64 << 10,
            entries_per_key: 64,
            skew: Duration::from_secs(60),
            quarantine_entries: 10_000,
            quarantine_bytes: 16 << 20,
            waiting_items: 4_096,
            waiting_bytes: 8 << 20,
            collect_after: Duration::from_secs(30 * 24 * 3_600),
            sweep: 1_024,
            watched_keys: 4_096,
            authority: AuthorityLimits::default(),
        }
    }
}

impl TreeLimits {
    pub(super) fn value_len(&self) -> usize {
        self.value_len.min(Entry::VALUE_LEN_MAX)
    }
}
