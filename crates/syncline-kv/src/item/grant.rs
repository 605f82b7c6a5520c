//! Grants: authority that is passed on.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use syncline_core::cbor::Writer;
use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::{Domain, PublicKey, Signature, Signer};

use super::codec::{Fields, bytes_or_null, encode, id_of, number_or_null, same_bytes};
use super::entry::DraftError;
use super::signed::{SignedBytes, Unsigned};
use super::{GrantId, ItemError, NamespaceId};
use crate::path::{Key, Pattern};

pub(super) const DOMAIN: Domain = Domain::new("syncline/kv/grant/v1");
const FIELDS: u64 = 12;

/// A pattern is as long as a key, and a last `/**` more.
const PATTERN_LEN_MAX: usize = Key::LEN_MAX + "/**".len();

/// What may be done: read, write, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "the wire format has these three")]
pub enum Ops {
    /// Sync the keys.
    Read,
    /// Set and delete values.
    Write,
    /// Both.
    ReadWrite,
}

impl Ops {
    const fn bits(self) -> u64 {
        match self {
            Self::Read => 1,
            Self::Write => 2,
            Self::ReadWrite => 3,
        }
    }

    /// Whether everything in `other` is in this.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.bits() & other.bits() == other.bits()
    }
}

impl fmt::Display for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::ReadWrite => "read and write",
        })
    }
}

/// How much may be written under a grant and all that is delegated from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "these are the fields of the wire format")]
pub struct Quota {
    /// Entries that are kept: keys, deleted ones too until they are collected. `None` is no limit.
    pub entries: Option<u64>,
    /// Bytes of these entries as they are encoded. `None` is no limit.
    pub bytes: Option<u64>,
}

impl Quota {
    /// No limit.
    pub const NONE: Self = Self { entries: None, bytes: None };

    /// Whether there is no limit.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

/// The fields of a grant before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "these are the fields of the wire format")]
pub struct GrantDraft {
    /// The tree.
    pub namespace: NamespaceId,
    /// The grant that this one is passed on from; none if a root issues it.
    pub parent: Option<GrantId>,
    /// Who signs: a root, or the parent's audience.
    pub issuer: PublicKey,
    /// Who gets the authority.
    pub audience: PublicKey,
    /// For which keys.
    pub pattern: Pattern,
    /// To do what.
    pub ops: Ops,
    /// How often it may be passed on further: 0 is not at all.
    pub depth: u8,
    /// From when on entries may be stamped. Wall time, inclusive.
    pub not_before: Option<Timestamp>,
    /// Until when entries may be stamped. Wall time, inclusive.
    pub not_after: Option<Timestamp>,
    /// How much may be written.
    pub quota: Quota,
    /// When it was issued. Two grants that are alike but for this are different grants.
    pub stamp: Hlc,
}

impl GrantDraft {
    /// Makes the body, to be signed by whoever holds the issuer's key.
    ///
    /// # Errors
    ///
    /// [`ItemError`] if the fields contradict each other.
    pub fn unsigned(&self) -> Result<Unsigned, ItemError> {
        self.check()?;
        let body = encode(320 + self.pattern.as_str().len(), |out| self.write(out));
        Ok(Unsigned::new(DOMAIN, self.issuer, body))
    }

    /// Signs with a key that is at hand, which must be the issuer's.
    ///
    /// # Errors
    ///
    /// [`DraftError`].
    pub fn sign(self, signer: &(impl Signer + ?Sized)) -> Result<Grant, DraftError> {
        let bytes = self.unsigned()?.sign(signer)?;
        Ok(Grant::decode(bytes)?)
    }

    fn check(&self) -> Result<(), ItemError> {
        if usize::from(self.depth) >= Grant::CHAIN_LEN_MAX {
            return Err(ItemError::TooLong {
                field: "depth",
                found: self.depth.into(),
                max: Grant::CHAIN_LEN_MAX as u64 - 1,
            });
        }
        if let (Some(from), Some(until)) = (self.not_before, self.not_after)
            && from > until
        {
            return Err(ItemError::Contradiction("the grant ends before it begins"));
        }
        Ok(())
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.array(FIELDS).bytes(self.namespace.as_bytes());
        bytes_or_null(out, self.parent.as_ref().map(GrantId::as_bytes));
        out.bytes(self.issuer.as_bytes()).bytes(self.audience.as_bytes()).text(self.pattern.as_str());
        out.unsigned(self.ops.bits()).unsigned(self.depth.into());
        number_or_null(out, self.not_before.map(Timestamp::as_millis));
        number_or_null(out, self.not_after.map(Timestamp::as_millis));
        number_or_null(out, self.quota.entries);
        number_or_null(out, self.quota.bytes);
        out.unsigned(self.stamp.to_bits());
    }
}

/// A signed grant.
///
/// That one exists says that its bytes are well-formed, not that its issuer had anything to grant: a chain of grants is
/// looked at as a whole, and gives what all of its links give.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    draft: GrantDraft,
    id: GrantId,
    bytes: SignedBytes,
}

impl Grant {
    /// The most links of a chain, the one by a root included.
    pub const CHAIN_LEN_MAX: usize = 8;

    /// Reads a grant from the bytes that [`encoded`](Self::encoded) gives.
    ///
    /// # Errors
    ///
    /// [`ItemError`].
    pub fn decode(bytes: Bytes) -> Result<Self, ItemError> {
        let bytes = SignedBytes::split(bytes)?;
        let body = bytes.body_bytes();
        let mut fields = Fields::new(&body, FIELDS)?;
        let draft = GrantDraft {
            namespace: NamespaceId::from_bytes(fields.hash()?),
            parent: fields.hash_or_null()?.map(GrantId::from_bytes),
            issuer: fields.public_key()?,
            audience: fields.public_key()?,
            pattern: Pattern::new(&fields.text("pattern", PATTERN_LEN_MAX)?)?,
            ops: match fields.number()? {
                1 => Ops::Read,
                2 => Ops::Write,
                3 => Ops::ReadWrite,
                _ => return Err(ItemError::Form("ops")),
            },
            depth: u8::try_from(fields.number()?).map_err(|_| ItemError::Form("depth"))?,
            not_before: fields.time_or_null()?,
            not_after: fields.time_or_null()?,
            quota: super::Quota { entries: fields.number_or_null()?, bytes: fields.number_or_null()? },
            stamp: fields.stamp()?,
        };
        draft.check()?;
        same_bytes(&body, |out| draft.write(out))?;
        let id = id_of(DOMAIN, &body).into();
        Ok(Self { draft, id, bytes })
    }

    /// Body and signature, as they came.
    #[must_use]
    pub fn encoded(&self) -> &Bytes {
        self.bytes.encoded()
    }

    /// What the issuer signed: the body under its domain tag.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        DOMAIN.message(self.bytes.body())
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> Signature {
        self.bytes.signature()
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> GrantId {
        self.id
    }

    /// All of its fields.
    #[must_use]
    pub fn fields(&self) -> &GrantDraft {
        &self.draft
    }

    /// The tree that it belongs to.
    #[must_use]
    pub fn namespace(&self) -> NamespaceId {
        self.draft.namespace
    }

    /// The grant that it is passed on from.
    #[must_use]
    pub fn parent(&self) -> Option<GrantId> {
        self.draft.parent
    }

    /// Who signed.
    #[must_use]
    pub fn issuer(&self) -> &PublicKey {
        &self.draft.issuer
    }

    /// Who gets the authority.
    #[must_use]
    pub fn audience(&self) -> &PublicKey {
        &self.draft.audience
    }

    /// For which keys.
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        &self.draft.pattern
    }

    /// To do what.
    #[must_use]
    pub fn ops(&self) -> Ops {
        self.draft.ops
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("id", &self.id).field("fields", &self.draft).finish_non_exhaustive()
    }
}
