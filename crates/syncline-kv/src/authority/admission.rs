//! What becomes of an object that is offered.

use syncline_crypto::{Hash, PublicKey};
use thiserror::Error;

use crate::item::{Grant, GrantId, Item, NamespaceId, Revocation, RootRotate};

/// An object of the system set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the wire format has these three")]
pub enum SystemItem {
    /// An authority that is passed on.
    Grant(Grant),
    /// The end of a grant.
    Revocation(Revocation),
    /// A new set of roots.
    RootRotate(RootRotate),
}

impl SystemItem {
    /// The namespace that it belongs to.
    #[must_use]
    pub fn namespace(&self) -> NamespaceId {
        match self {
            Self::Grant(grant) => grant.namespace(),
            Self::Revocation(revocation) => revocation.namespace(),
            Self::RootRotate(rotation) => rotation.namespace(),
        }
    }
}

impl From<SystemItem> for Item {
    fn from(item: SystemItem) -> Self {
        match item {
            SystemItem::Grant(grant) => Self::Grant(grant),
            SystemItem::Revocation(revocation) => Self::Revocation(revocation),
            SystemItem::RootRotate(rotation) => Self::RootRotate(rotation),
        }
    }
}

macro_rules! system_item_from {
    ($($object:ident),+) => {$(
        impl From<$object> for SystemItem {
            fn from(object: $object) -> Self {
                Self::$object(object)
            }
        }
    )+};
}

system_item_from!(Grant, Revocation, RootRotate);

/// What became of an object that was offered to [`Authority::admit`](super::Authority::admit).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "who admits has to store or drop the object, one way or the other")]
pub enum Admission {
    /// It was admitted, for ever.
    Added(Effects),
    /// It was there already.
    Known,
    /// It cannot be judged yet. Nothing of it is kept: offer it again when what it waits for was admitted.
    Waiting(Awaited),
    /// It is not admitted.
    Refused(Refusal),
    /// There is no room: a [limit](super::AuthorityLimits) is reached.
    Full,
}

/// What an object waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "links go to these two")]
pub enum Awaited {
    /// The grant above, or the one that is revoked.
    Grant(GrantId),
    /// The rotation before.
    Rotation(Hash),
}

/// What an admitted object changed about others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Effects {
    /// Grants that were alive and are dead now, ascending.
    pub killed: Vec<GrantId>,
    /// Grants that were dead and are alive now, ascending. Only a rotation does this.
    pub revived: Vec<GrantId>,
    /// Whether there are other roots now, or others retired: entries that were written without a grant may have died or revived.
    pub roots_changed: bool,
}

impl Effects {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Why an object is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is of another tree.
    #[error("it belongs to the namespace {found}; send it there")]
    OtherNamespace {
        /// The namespace that it names.
        found: NamespaceId,
    },
    /// A grant without a parent that no root issued.
    #[error("{issuer} never was a root; name the grant that it passes on as the parent, or have a root issue it")]
    NotRoot {
        /// Who issued it.
        issuer: PublicKey,
    },
    /// A grant that was issued by somebody else than who holds its parent.
    #[error("it was issued by {issuer}, but the grant {parent} is {audience}'s to pass on")]
    NotAudience {
        /// The grant above.
        parent: GrantId,
        /// Whose that is.
        audience: PublicKey,
        /// Who issued the grant.
        issuer: PublicKey,
    },
    /// A grant that leaves as much depth as its parent has, or more.
    #[error("its depth is {found}, but the grant {parent} may be passed on with a depth below {held} only")]
    Depth {
        /// The grant above.
        parent: GrantId,
        /// Its depth.
        held: u8,
        /// The depth of the refused one.
        found: u8,
    },
    /// A revocation by somebody who may not revoke the grant.
    #[error("{revoker} may not revoke {grant}: only a root may, or who issued it or a grant above it")]
    NotRevoker {
        /// The grant.
        grant: GrantId,
        /// Who revoked.
        revoker: PublicKey,
    },
    /// A rotation that is not numbered after the one that it follows.
    #[error("the rotation has number {found} but follows number {}", expected.saturating_sub(1))]
    Index {
        /// Its number should be.
        expected: u64,
        /// Its number.
        found: u64,
    },
    /// A first rotation that does not follow from the namespace.
    #[error("the first rotation must name the namespace as what it follows")]
    NotFirst,
    /// A rotation that too few of the roots before it signed. One with more signatures has the same id.
    #[error("{found} of the roots before it signed the rotation, {needed} are needed; collect more signatures")]
    Signatures {
        /// How many must sign.
        needed: usize,
        /// How many did, of those who were roots.
        found: usize,
    },
}

impl Refusal {
    /// Whether the same bytes are refused for ever.
    ///
    /// If not, a rotation that is not known yet may make the signer a root, and the object may be offered again after it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::NotRoot { .. } | Self::NotRevoker { .. })
    }
}
