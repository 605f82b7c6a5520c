//! What can fail in a store.

use std::error::Error as StdError;

use syncline_crypto::{Hash, PublicKey};
use syncline_storage::{CommitError, JobLost, StorageError};
use thiserror::Error;

use crate::SeqNum;

/// Rows of a store that contradict one another or do not decode. Restore the store from a copy, or delete the log and
/// sync it again.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Corruption {
    /// The row about a log is not what was written.
    #[error("row of a log of author {author} does not decode")]
    Log {
        /// The log's author.
        author: PublicKey,
    },
    /// The row of an operation is not what was written.
    #[error("row of operation {seq_num} of author {author} does not decode")]
    Operation {
        /// The log's author.
        author: PublicKey,
        /// The operation's place.
        seq_num: SeqNum,
    },
    /// An operation should be there and is not.
    #[error("operation {seq_num} of author {author} is missing")]
    Missing {
        /// The log's author.
        author: PublicKey,
        /// The operation's place.
        seq_num: SeqNum,
    },
    /// The row that tells where an operation is does not decode.
    #[error("index row of operation {hash} does not decode")]
    Index {
        /// The operation.
        hash: Hash,
    },
    /// The row of a proof of a fork does not decode.
    #[error("row of a fork of author {author} does not decode")]
    Fork {
        /// The log's author.
        author: PublicKey,
    },
    /// A key does not decode.
    #[error("key of a row does not decode")]
    Key,
}

/// A store that could not do what was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database could not be read.
    #[error("log store cannot be read")]
    Read(#[from] StorageError),
    /// The database did not commit. Nothing was changed unless the source says that the outcome is unknown.
    #[error("log store cannot be written")]
    Commit(#[source] CommitError),
    /// Others changed the same logs all the time. Nothing was changed; try again.
    #[error("log store gave up after {attempts} conflicts with others")]
    Conflict {
        /// How often it was tried.
        attempts: u32,
    },
    /// What is stored is damaged.
    #[error("log store is corrupt")]
    Corrupt(#[from] Corruption),
    /// A log id cannot be encoded.
    #[error("log id cannot be encoded")]
    LogId(#[source] Box<dyn StdError + Send + Sync>),
    /// A log id is encoded in too many bytes.
    #[error("log id of {len} bytes where {max} are allowed")]
    LogIdTooLong {
        /// Bytes of the encoding.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The thread pool dropped the job, as it does when it shuts down, or the job panicked.
    #[error("job of the log store was lost")]
    Lost(#[from] JobLost),
    /// A failure of a store that is not of this crate.
    #[error("log store failed")]
    Other(#[source] Box<dyn StdError + Send + Sync>),
}

impl StoreError {
    /// Whether the same call may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Conflict { .. } => true,
            Self::Read(err) => err.kind().is_transient(),
            Self::Commit(err) => err.is_retryable(),
            _ => false,
        }
    }
}
