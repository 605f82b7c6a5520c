//! What became of an item.

use std::fmt;

use syncline_core::clock::Timestamp;
use syncline_crypto::PublicKey;

use crate::authority::{Awaited, Denied, Refusal};
use crate::item::{EntryId, GrantId, ItemError, RevocationId};

/// What became of one item that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is stored and counts. An entry is now the value of its key.
    Applied,
    /// It is stored; an entry that other grants allow is greater. Should they be revoked, this one is the value.
    Shadowed {
        /// The greater one.
        by: EntryId,
    },
    /// It is stored, as all grants, revocations and rotations are that their signers could make, and does not count as things
    /// are: a grant on a chain that is revoked, a revocation by a root that is no longer trusted, a rotation that lost against
    /// another one.
    Ineffective,
    /// It was here before.
    Known,
    /// A greater entry that the same grants allow is here, or as many greater ones as are
    /// [kept of a key](super::TreeLimits::entries_per_key). It is not kept.
    Superseded {
        /// The greater one.
        by: EntryId,
    },
    /// Its author may not do that. It will not be taken later either, unless it is `NotRoot` and roots change.
    Unauthorized(Denied),
    /// It rests on a grant that is revoked.
    Revoked {
        /// The grant.
        grant: GrantId,
        /// The revocation, to be shown to whoever offered the item. None if the root behind the grant is no longer trusted.
        revocation: Option<RevocationId>,
    },
    /// A former root wrote it, whose word does not count any more for its stamp.
    Distrusted {
        /// The former root.
        author: PublicKey,
    },
    /// It rests on something that has not come yet. It is kept in memory for when that comes, as far as there is room.
    Waiting(Awaited),
    /// It is stamped too far ahead of this machine's clock. It is kept and applied when it is due.
    Quarantined {
        /// From when on it can be applied, by this machine's clock.
        until: Timestamp,
    },
    /// The quota of a grant leaves no room for it.
    OverQuota {
        /// The grant.
        grant: GrantId,
    },
    /// Its key was deleted after it was made, and the deletion has been forgotten but for that.
    Collected,
    /// It is not an item of this tree, or breaks a limit.
    Malformed(ItemError),
    /// It belongs to another namespace.
    OtherNamespace,
    /// Its signature does not count.
    BadSignature,
    /// A grant, revocation or rotation whose signer may not make it.
    Refused(Refusal),
    /// There is no room for more items of its kind: grants and such, or entries in quarantine.
    Full,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied => f.write_str("applied"),
            Self::Shadowed { by } => write!(f, "stored, but {by} by other grants is newer"),
            Self::Known => f.write_str("known before"),
            Self::Ineffective => f.write_str("stored, but revoked, distrusted or overtaken already"),
            Self::Superseded { by } => write!(f, "superseded by {by}"),
            Self::Unauthorized(denied) => write!(f, "not allowed: {denied}"),
            Self::Revoked { grant, revocation: Some(revocation) } => {
                write!(f, "grant {grant} was revoked by {revocation}")
            }
            Self::Revoked { grant, revocation: None } => {
                write!(f, "grant {grant} was issued by a root that is no longer trusted")
            }
            Self::Distrusted { author } => write!(f, "{author} is no longer trusted as a root for this stamp"),
            Self::Waiting(Awaited::Grant(grant)) => write!(f, "waits for grant {grant}"),
            Self::Waiting(Awaited::Rotation(rotation)) => write!(f, "waits for rotation {rotation}"),
            Self::Quarantined { until } => {
                write!(f, "stamped in the future; applied when this clock shows {} ms", until.as_millis())
            }
            Self::OverQuota { grant } => write!(f, "the quota of grant {grant} leaves no room"),
            Self::Collected => f.write_str("older than a deletion that is forgotten"),
            Self::Malformed(err) => write!(f, "malformed: {err}"),
            Self::OtherNamespace => f.write_str("of another namespace"),
            Self::BadSignature => f.write_str("the signature does not count"),
            Self::Refused(refusal) => write!(f, "refused: {refusal}"),
            Self::Full => f.write_str("no room for more items of its kind"),
        }
    }
}

impl Verdict {
    /// Whether the item is stored and counts, now or before.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        matches!(self, Self::Applied | Self::Shadowed { .. } | Self::Ineffective | Self::Known)
    }

    /// Whether the item was new and is stored now.
    #[must_use]
    pub fn is_new(&self) -> bool {
        matches!(self, Self::Applied | Self::Shadowed { .. } | Self::Ineffective)
    }

    /// Whether the same item will get the same verdict for as long as no root changes and no quota is freed.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Waiting(_) | Self::Quarantined { .. } | Self::Full)
    }

    /// Whether only a faulty or hostile peer offers such an item.
    ///
    /// What may have been allowed by a rotation that is not known here is no fault.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Unauthorized(denied) => !matches!(denied, Denied::NotRoot { .. }),
            Self::Refused(refusal) => refusal.is_final(),
            Self::Malformed(_) | Self::OtherNamespace | Self::BadSignature => true,
            _ => false,
        }
    }
}
