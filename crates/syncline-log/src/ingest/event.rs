use bytes::Bytes;
use syncline_crypto::{Hash, PublicKey};
use thiserror::Error;

use crate::store::Fork;
use crate::validate::Invalid;
use crate::{DecodeError, SeqNum};

/// What an [`Ingest`](super::Ingest) tells its observer.
#[derive(Debug)]
#[non_exhaustive]
pub enum IngestEvent<T, L> {
    /// The session is about this topic.
    Topic(T),
    /// What became of one operation.
    Verdict(Verdict<L>),
}

/// What became of one operation.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verdict<L> {
    /// Which operation; `None` if its header could not be decoded.
    pub operation: Option<OperationRef>,
    /// The header as it came: with a rejected operation, the evidence.
    pub header: Bytes,
    /// The log that it was placed in, if it was.
    pub log_id: Option<L>,
    /// What became of it.
    pub outcome: Outcome,
}

/// Names an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperationRef {
    /// The hash of its header.
    pub hash: Hash,
    /// Who the header says wrote it. Proven only if the operation was not rejected for its signature.
    pub author: PublicKey,
    /// Its place in the log.
    pub seq_num: SeqNum,
}

/// What became of an operation.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It is new, valid and durable.
    Stored,
    /// It is stored already, or was and has been pruned since.
    Known,
    /// Its author signed another operation with the same sequence number. The evidence is kept; the first stays.
    Forked(Box<Fork>),
    /// It was not stored.
    Rejected(Rejection),
}

impl Outcome {
    /// Whether an honest peer would not have sent the operation. That it does not continue its log is its author's
    /// doing, who may have shown different peers different branches.
    pub(crate) fn is_peer_fault(&self) -> bool {
        match self {
            Self::Rejected(Rejection::Gap { .. } | Rejection::Backlink) => false,
            Self::Rejected(_) => true,
            Self::Stored | Self::Known | Self::Forked(_) => false,
        }
    }
}

/// Why an operation was not stored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The header is not one.
    #[error("the header cannot be decoded")]
    Header(#[source] DecodeError),
    /// The application did not place it in any log.
    #[error("the operation belongs to no log")]
    Unplaced,
    /// The author has no part in the topic.
    #[error("the author is outside of the topic")]
    AuthorOutOfScope,
    /// The author has a part in the topic, but not this log.
    #[error("the log is outside of the topic")]
    LogOutOfScope,
    /// The operation belongs to another log than the peer said.
    #[error("the operation belongs to another log than the peer said")]
    OtherLog,
    /// Operations before it are missing.
    #[error("the log continues at {expected}")]
    Gap {
        /// The sequence number that comes next.
        expected: SeqNum,
    },
    /// It continues another log than the one that is stored: its author has forked somewhere before.
    #[error("the backlink is not the hash of the operation before")]
    Backlink,
    /// The version, the body or the signature is wrong.
    #[error("the operation is invalid")]
    Invalid(#[from] Invalid),
}

/// How many operations had which outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IngestReport {
    stored: u64,
    known: u64,
    forked: u64,
    rejected: u64,
}

impl IngestReport {
    pub(super) fn count(&mut self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Stored => &mut self.stored,
            Outcome::Known => &mut self.known,
            Outcome::Forked(_) => &mut self.forked,
            Outcome::Rejected(_) => &mut self.rejected,
        };
        *counter += 1;
    }

    /// New and stored.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.stored
    }

    /// Stored already.
    #[must_use]
    pub fn known(&self) -> u64 {
        self.known
    }

    /// In conflict with another operation of the same author.
    #[must_use]
    pub fn forked(&self) -> u64 {
        self.forked
    }

    /// Not stored.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected
    }
}
