//! Revocations: the end of a grant.

use std::fmt;

use bytes::Bytes;
use syncline_core::cbor::Writer;
use syncline_core::clock::Hlc;
use syncline_crypto::{Domain, PublicKey, Signature, Signer};

use super::codec::{Fields, encode, id_of, same_bytes};
use super::entry::DraftError;
use super::signed::{SignedBytes, Unsigned};
use super::{GrantId, ItemError, NamespaceId, RevocationId};

pub(super) const DOMAIN: Domain = Domain::new("syncline/kv/revocation/v1");
const FIELDS: u64 = 4;

/// The fields of a revocation before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "these are the fields of the wire format")]
pub struct RevocationDraft {
    /// The tree.
    pub namespace: NamespaceId,
    /// The grant that ends.
    pub grant: GrantId,
    /// Who signs: a root, or the issuer of the grant or of a grant above it.
    pub revoker: PublicKey,
    /// When, for people; a revocation acts on everything under the grant, whatever its stamp.
    pub stamp: Hlc,
}

impl RevocationDraft {
    /// Makes the body, to be signed by whoever holds the revoker's key.
    #[must_use]
    pub fn unsigned(&self) -> Unsigned {
        Unsigned::new(DOMAIN, self.revoker, encode(128, |out| self.write(out)))
    }

    /// Signs with a key that is at hand, which must be the revoker's.
    ///
    /// # Errors
    ///
    /// [`DraftError`].
    pub fn sign(self, signer: &(impl Signer + ?Sized)) -> Result<Revocation, DraftError> {
        let bytes = self.unsigned().sign(signer)?;
        Ok(Revocation::decode(bytes)?)
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.array(FIELDS).bytes(self.namespace.as_bytes()).bytes(self.grant.as_bytes());
        out.bytes(self.revoker.as_bytes()).unsigned(self.stamp.to_bits());
    }
}

/// A signed revocation. It is final, and ends all that was delegated from the grant as well.
#[derive(Clone, PartialEq, Eq)]
pub struct Revocation {
    draft: RevocationDraft,
    id: RevocationId,
    bytes: SignedBytes,
}

impl Revocation {
    /// Reads a revocation from the bytes that [`encoded`](Self::encoded) gives.
    ///
    /// # Errors
    ///
    /// [`ItemError`].
    pub fn decode(bytes: Bytes) -> Result<Self, ItemError> {
        let bytes = SignedBytes::split(bytes)?;
        let body = bytes.body_bytes();
        let mut fields = Fields::new(&body, FIELDS)?;
        let draft = RevocationDraft {
            namespace: NamespaceId::from_bytes(fields.hash()?),
            grant: GrantId::from_bytes(fields.hash()?),
            revoker: fields.public_key()?,
            stamp: fields.stamp()?,
        };
        same_bytes(&body, |out| draft.write(out))?;
        let id = id_of(DOMAIN, &body).into();
        Ok(Self { draft, id, bytes })
    }

    /// Body and signature, as they came.
    #[must_use]
    pub fn encoded(&self) -> &Bytes {
        self.bytes.encoded()
    }

    /// What the revoker signed: the body under its domain tag.
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
    pub fn id(&self) -> RevocationId {
        self.id
    }

    /// The tree that it belongs to.
    #[must_use]
    pub fn namespace(&self) -> NamespaceId {
        self.draft.namespace
    }

    /// The grant that ends.
    #[must_use]
    pub fn grant(&self) -> GrantId {
        self.draft.grant
    }

    /// Who revoked it.
    #[must_use]
    pub fn revoker(&self) -> &PublicKey {
        &self.draft.revoker
    }

    /// When, by the revoker's clock.
    #[must_use]
    pub fn stamp(&self) -> Hlc {
        self.draft.stamp
    }
}

impl fmt::Debug for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocation").field("id", &self.id).field("fields", &self.draft).finish_non_exhaustive()
    }
}
