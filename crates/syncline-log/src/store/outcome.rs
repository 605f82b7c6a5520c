//! What goes into a store, and what became of it.

use crate::{EncodedOperation, Fork, SeqNum};

/// How an operation may follow what its log has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a store that took an unknown link for another would break logs")]
pub enum Link {
    /// It extends the tip by one and has its hash as backlink; or the log is empty and it has sequence number 0.
    #[default]
    Next,
    /// The author set the prune flag: any place above the tip will do, whatever the backlink, and everything below is
    /// deleted.
    Prunes,
    /// As [`Next`](Self::Next), but an empty log may begin at any place, because what comes before was pruned
    /// elsewhere. It will not be taken later.
    MayStart,
}

/// An operation to append, whose signature and body were found valid.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "callers build it")]
pub struct NewOperation<L> {
    /// The log, which together with the operation's author tells where it belongs.
    pub log_id: L,
    /// The operation.
    pub operation: EncodedOperation,
    /// How it may follow what the log has.
    pub link: Link,
}

impl<L> NewOperation<L> {
    /// An operation that extends its log, or begins it at 0.
    #[must_use]
    pub fn next(log_id: L, operation: EncodedOperation) -> Self {
        Self { log_id, operation, link: Link::Next }
    }
}

/// What became of one operation of a batch. All but [`New`](Self::New) leave the log as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Appended {
    /// It is stored, and durable.
    New,
    /// The log has it already, or had it as its tip before everything was pruned. If its body came along and the stored
    /// one was deleted, it stays deleted.
    Known,
    /// The log has another operation at this place: the author signed two histories. The proof is kept, up to
    /// [`Fork::PER_LOG_MAX`] of a log, for [`forks`](crate::LogStore::forks).
    Forked(Box<Fork>),
    /// Operations are missing before it.
    Gap {
        /// The place that comes next.
        expected: SeqNum,
    },
    /// It extends the tip by one, and its backlink is not the tip's hash: it belongs to another history of the log.
    Backlink,
    /// Its place is below the log's prune horizon, so whether it was ever there is not known.
    Pruned,
}

impl Appended {
    /// Whether the operation is in the log, new or not.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        matches!(self, Self::New | Self::Known)
    }
}
