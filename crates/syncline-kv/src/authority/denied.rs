//! Why something is not allowed.

use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::PublicKey;
use thiserror::Error;

use super::Op;
use crate::item::{GrantId, NamespaceId, RevocationId};
use crate::path::{Key, Pattern};

/// Why something is not allowed. The text says what would help.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Denied {
    /// The entry is of another tree.
    #[error("the entry belongs to the namespace {found}; send it there")]
    OtherNamespace {
        /// The namespace that it names.
        found: NamespaceId,
    },
    /// An entry names no grant, which is for roots.
    #[error("{author} is not a root and named no grant; name a grant that allows the key")]
    NotRoot {
        /// Who wrote it.
        author: PublicKey,
    },
    /// Its word was a root's once, but is not for this stamp.
    #[error("{author} is no longer trusted as a root at {stamp:?}; have one of the present roots do it")]
    RootDistrusted {
        /// The former root.
        author: PublicKey,
        /// The stamp.
        stamp: Hlc,
    },
    /// A grant that was not admitted, or not yet.
    #[error("the grant {grant} is not known here; sync first, or send the grant along")]
    UnknownGrant {
        /// The grant.
        grant: GrantId,
    },
    /// The grant is somebody else's.
    #[error("the grant {grant} is {audience}'s; use one of your own, or have it passed on")]
    NotAudience {
        /// The grant.
        grant: GrantId,
        /// Whose it is.
        audience: PublicKey,
    },
    /// A link is for other keys.
    #[error("the grant {grant} is for {pattern}, which {key} is not in; ask its issuer for a grant that has the key")]
    Pattern {
        /// The link.
        grant: GrantId,
        /// The keys that it is for.
        pattern: Pattern,
        /// The key.
        key: Key,
    },
    /// A link does not allow the operation.
    #[error("the grant {grant} does not allow to {op}; ask its issuer for one that does")]
    Op {
        /// The link.
        grant: GrantId,
        /// The operation.
        op: Op,
    },
    /// A link lets nothing be read, since its keys are no subtree.
    #[error("the grant {grant} is for {pattern}, which is no subtree such as /a/**; only those can be read")]
    NotSubtree {
        /// The link.
        grant: GrantId,
        /// The keys that it is for.
        pattern: Pattern,
    },
    /// A link does not hold yet.
    #[error("the grant {grant} holds from {} ms on; wait until then, and check the clock", from.as_millis())]
    NotYet {
        /// The link.
        grant: GrantId,
        /// From when on.
        from: Timestamp,
    },
    /// A link does not hold any more.
    #[error("the grant {grant} held until {} ms; ask its issuer for a new one", until.as_millis())]
    Expired {
        /// The link.
        grant: GrantId,
        /// Until when.
        until: Timestamp,
    },
    /// A link is revoked.
    #[error("the grant {grant} is revoked by {revocation}; that is final, ask for a new grant")]
    Revoked {
        /// The link.
        grant: GrantId,
        /// A revocation of it that counts.
        revocation: RevocationId,
    },
    /// The root that issued the first link is not trusted for it any more.
    #[error(
        "the grant {grant} was issued by {issuer}, which is no longer trusted as a root; have a present root issue it anew"
    )]
    Unanchored {
        /// The first link.
        grant: GrantId,
        /// Who issued it.
        issuer: PublicKey,
    },
    /// There is no grant at all.
    #[error("{who} has no grants; ask a root, or who has a grant with depth, for one")]
    NoGrant {
        /// Who.
        who: PublicKey,
    },
}

impl Denied {
    /// Whether what is denied stays so, whatever else becomes known.
    ///
    /// If not, a rotation may change it, or a grant that is not known yet.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::OtherNamespace { .. }
            | Self::NotAudience { .. }
            | Self::Pattern { .. }
            | Self::Op { .. }
            | Self::NotSubtree { .. }
            | Self::NotYet { .. }
            | Self::Expired { .. } => true,
            Self::NotRoot { .. }
            | Self::RootDistrusted { .. }
            | Self::UnknownGrant { .. }
            | Self::Revoked { .. }
            | Self::Unanchored { .. }
            | Self::NoGrant { .. } => false,
        }
    }

    /// How far it was from being allowed, least first. Of grants for other keys the one is nearest whose pattern begins most
    /// like the key.
    pub(super) fn distance(&self) -> (u8, usize) {
        match self {
            Self::Unanchored { .. } => (0, 0),
            Self::Revoked { .. } => (1, 0),
            Self::NotYet { .. } => (2, 0),
            Self::Expired { .. } => (3, 0),
            Self::NotSubtree { .. } => (4, 0),
            Self::Op { .. } => (5, 0),
            Self::Pattern { pattern, key, .. } => (6, key.as_str().len() - common_len(pattern.literal_prefix(), key)),
            _ => (7, 0),
        }
    }
}

/// How many bytes the two begin with in common.
fn common_len(prefix: &str, key: &Key) -> usize {
    prefix.bytes().zip(key.as_str().bytes()).take_while(|(one, other)| one == other).count()
}
