//! What an agent has done and met.

/// What an agent has done and met since it was made. The numbers only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentStats {
    /// Digests broadcast.
    pub broadcasts: u64,
    /// Digests sent to one member.
    pub digests_sent: u64,
    /// Digests of others with another root.
    pub disagreements: u64,
    /// Replies sent.
    pub replies_sent: u64,
    /// Replies left out since enough others had answered, or a session with the asker was under way.
    pub replies_suppressed: u64,
    /// Digests and replies left out since the rate was spent.
    pub direct_limited: u64,
    /// Sessions asked for.
    pub sessions: u64,
    /// Sessions asked for that failed, were refused, took too long or were of no use.
    pub sessions_failed: u64,
    /// Messages with items sent; each receiver counts.
    pub pushes_sent: u64,
    /// Items left out of pushes since too many waited, or since they were too long.
    pub pushes_dropped: u64,
    /// Items that came and were handed on to be applied.
    pub items_received: u64,
    /// Items that came again.
    pub duplicates: u64,
    /// Messages with items ignored since their sender had sent too much.
    pub intake_limited: u64,
    /// Messages that were none.
    pub rejected: u64,
    /// Digests and replies of those who are no members, or whose sender is unknown; ignored.
    pub strangers: u64,
    /// Replies to nothing that was asked lately; ignored.
    pub unsolicited: u64,
    /// Members ignored since too many were known.
    pub peers_refused: u64,
}

/// What a member has done wrong, or too much of, since it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStats {
    /// Messages that were none, parts that did not fit among them.
    pub rejected: u64,
    /// Messages ignored since it had sent too much.
    pub intake_limited: u64,
    /// Replies to nothing that was asked.
    pub unsolicited: u64,
    /// Sessions with it that failed, were refused, took too long or were of no use, since the last good one.
    pub failures: u32,
}
