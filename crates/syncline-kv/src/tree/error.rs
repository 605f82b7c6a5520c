//! What can go wrong with a tree, by who is at fault: the caller, the database, the clock.

use std::time::Duration;

use syncline_core::clock::HlcError;
use syncline_crypto::PublicKey;
use syncline_reconcile::IndexError;
use syncline_storage::{CommitError, StorageError};
use thiserror::Error;

use super::verdict::Verdict;
use crate::authority::{Denied, MintError};
use crate::item::{DraftError, EntryId, GrantId, ItemError, NamespaceId};

/// Why a call failed. Nothing of it was applied, unless the variant says otherwise.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KvError {
    /// The author may not write the key.
    #[error("not allowed: {0}")]
    Denied(#[from] Denied),
    /// The grant would give what its issuer does not have.
    #[error("the grant cannot be issued: {0}")]
    Mint(#[from] MintError),
    /// The key's value is not the one that was expected.
    #[error("the key has another value than expected: {}", found.map_or_else(|| "none".into(), |id| id.to_string()))]
    Conflict {
        /// The entry that is there.
        found: Option<EntryId>,
    },
    /// The value is longer than the tree keeps inline.
    #[error(
        "a value of {len} bytes where {max} are kept inline; store it elsewhere and put its hash as a `Value::Blob`"
    )]
    ValueTooLong {
        /// Bytes of the value.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The grants that allow the write have no room left.
    #[error(
        "the quota of grant {grant} is used up; deleting makes room only once deletions are collected, so ask its issuer for a \
         larger one"
    )]
    OverQuota {
        /// The grant whose quota it is.
        grant: GrantId,
    },
    /// A grant that is not known here.
    #[error("grant {0} is not known here; sync first")]
    UnknownGrant(GrantId),
    /// The key may not revoke this grant.
    #[error("{revoker} may not revoke {grant}: only a root and the issuers of the grant and of those above it may")]
    NotRevoker {
        /// The grant.
        grant: GrantId,
        /// Who tried.
        revoker: PublicKey,
    },
    /// What was signed here was not taken by the tree itself, or is stored and [does not count](Verdict::Ineffective).
    #[error("what was signed was not applied: {0}")]
    NotApplied(Box<Verdict>),
    /// The fields do not go together.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// The signer did not sign.
    #[error(transparent)]
    Sign(#[from] syncline_crypto::SignError),
    /// The clock cannot give a stamp.
    #[error("no stamp: {0}; is the clock of this machine right?")]
    Clock(#[from] HlcError),
    /// The database holds a namespace under this name with another description.
    #[error("the database has the namespace {0} with another description")]
    Description(NamespaceId),
    /// This replica was away for so long that deletions it has not seen may have been forgotten by the others.
    #[error(
        "this replica completed no session for {away:?}, longer than deletions are remembered; export what only it has, \
         and start a new one"
    )]
    AwayTooLong {
        /// Since the last session.
        away: Duration,
    },
    /// The database failed. Nothing was applied.
    #[error("the database failed")]
    Storage(#[from] StorageError),
    /// A commit failed. If its outcome is unknown, open the database and the tree again.
    #[error("the commit failed")]
    Commit(#[from] CommitError),
    /// An index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// What is stored is not what was written.
    #[error("{0}")]
    Corrupt(Corruption),
}

impl From<DraftError> for KvError {
    fn from(err: DraftError) -> Self {
        match err {
            DraftError::Item(err) => Self::Item(err),
            DraftError::Sign(err) => Self::Sign(err),
        }
    }
}

/// Which row is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Corruption {
    /// An entry.
    #[error("a stored entry cannot be read")]
    Entry,
    /// A grant, a revocation or a rotation.
    #[error("a stored grant, revocation or rotation cannot be read, or does not count any more")]
    System,
    /// A row of an index.
    #[error("a row of an index cannot be read, or has nothing that it stands for")]
    Index,
    /// The description of the namespace.
    #[error("the stored description of the namespace cannot be read")]
    Description,
}
