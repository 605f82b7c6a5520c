//! What can go wrong.

use syncline_storage::StorageError;
use thiserror::Error;

/// Why an index could not answer, or was not changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The item is there already. A set has each item once; adding it again would break its sums.
    #[error("the item is in the set already")]
    Duplicate,
    /// Items or bounds that should come in ascending order do not.
    #[error("items or bounds are not in order")]
    Unordered,
    /// The sort key is too long.
    #[error("sort key of {len} bytes where at most {max} are allowed", max = crate::Item::KEY_LEN_MAX)]
    KeyTooLong {
        /// Bytes of the key.
        len: usize,
    },
    /// The database failed.
    #[error("the database failed")]
    Storage(#[from] StorageError),
    /// The rows of a stored index do not fit together; rebuild it.
    #[error("the stored index is damaged: {0}; rebuild it")]
    Corrupt(&'static str),
}

/// Why a reconciliation failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// The peer's message is not well formed, or contradicts itself or an earlier one.
    #[error("the peer sent a message that is not well formed: {0}")]
    Malformed(&'static str),
    /// The peer made this side exceed a limit.
    #[error("the peer exceeded the limit of {limit}: {what}")]
    Budget {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: u64,
    },
    /// The set is not the one that the session began with.
    #[error("the set changed during a session")]
    SetChanged,
    /// The message came when none was expected.
    #[error("a message came out of turn")]
    OutOfTurn,
    /// The sets could not be made out to be equal although nothing differs any more. Somebody made sums collide, and
    /// comparing with salted hashes did not help.
    #[error("the sets differ and no difference can be found")]
    Inconsistent,
    /// This side's index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}
