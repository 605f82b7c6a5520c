//! What replicas exchange: entries, grants, revocations, rotations of the roots. Each is signed whole.
//!
//! An object travels and is stored as its *body*, one deterministic CBOR array, followed by 64 bytes of signature. What is
//! signed is the body under the object's domain tag; the id is the BLAKE3 hash of the same message, without the signature.
//! Bytes are kept as they came, and a body that is not the one encoding of its fields is refused, so that nobody knows an
//! object by two ids. `docs/spec/kv.md` has the bytes, field by field.

mod codec;
mod entry;
mod error;
mod grant;
mod id;
mod namespace;
mod revocation;
mod rotation;
mod signed;
#[cfg(test)]
mod tests;

use bytes::{BufMut, Bytes, BytesMut};

pub use entry::{BlobRef, DraftError, Entry, EntryDraft, Leaves, Order, Value};
pub use error::ItemError;
pub use grant::{Grant, GrantDraft, Ops, Quota};
pub use id::{EntryId, GrantId, NamespaceId, RevocationId, RotationId};
pub use namespace::{Namespace, OnRevoke, Reads};
pub use revocation::{Revocation, RevocationDraft};
pub use rotation::{Endorsements, RootRotate, RotateDraft};
pub use signed::Unsigned;

/// Any object that replicas exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the wire format has these four")]
pub enum Item {
    /// A value of a key, or its deletion.
    Entry(Entry),
    /// An authority that is passed on.
    Grant(Grant),
    /// The end of a grant.
    Revocation(Revocation),
    /// A new set of roots.
    RootRotate(RootRotate),
}

impl Item {
    /// The longest encoded item: an entry with the largest value that the format allows, its fields and its kind.
    pub const LEN_MAX: usize = Entry::VALUE_LEN_MAX + 4_096;

    const ENTRY: u8 = 0;
    const GRANT: u8 = 1;
    const REVOCATION: u8 = 2;
    const ROTATION: u8 = 3;

    /// Reads what [`encoded`](Self::encoded) wrote. No signature is checked here.
    ///
    /// # Errors
    ///
    /// [`ItemError`] with the reason; the bytes are not changed by trying.
    pub fn decode(bytes: &Bytes) -> Result<Self, ItemError> {
        let Some((&kind, _)) = bytes.split_first() else { return Err(ItemError::Empty) };
        let object = bytes.slice(1..);
        match kind {
            Self::ENTRY => Entry::decode(object).map(Self::Entry),
            Self::GRANT => Grant::decode(object).map(Self::Grant),
            Self::REVOCATION => Revocation::decode(object).map(Self::Revocation),
            Self::ROTATION => RootRotate::decode(object).map(Self::RootRotate),
            kind => Err(ItemError::Kind(kind)),
        }
    }

    /// One byte for the kind, then the object's bytes as they came.
    #[must_use]
    pub fn encoded(&self) -> Bytes {
        let (kind, object) = match self {
            Self::Entry(entry) => (Self::ENTRY, entry.encoded()),
            Self::Grant(grant) => (Self::GRANT, grant.encoded()),
            Self::Revocation(revocation) => (Self::REVOCATION, revocation.encoded()),
            Self::RootRotate(rotation) => (Self::ROTATION, rotation.encoded()),
        };
        let mut out = BytesMut::with_capacity(1 + object.len());
        out.put_u8(kind);
        out.put_slice(object);
        out.freeze()
    }

    /// Bytes of the object, without the kind.
    pub(crate) fn object_len(&self) -> usize {
        match self {
            Self::Entry(entry) => entry.encoded().len(),
            Self::Grant(grant) => grant.encoded().len(),
            Self::Revocation(revocation) => revocation.encoded().len(),
            Self::RootRotate(rotation) => rotation.encoded().len(),
        }
    }

    /// The namespace that it belongs to.
    #[must_use]
    pub fn namespace(&self) -> NamespaceId {
        match self {
            Self::Entry(entry) => entry.namespace(),
            Self::Grant(grant) => grant.namespace(),
            Self::Revocation(revocation) => revocation.namespace(),
            Self::RootRotate(rotation) => rotation.namespace(),
        }
    }

    /// The 32 bytes of its id, whatever its kind.
    #[must_use]
    pub fn id_bytes(&self) -> [u8; 32] {
        match self {
            Self::Entry(entry) => *entry.id().as_bytes(),
            Self::Grant(grant) => *grant.id().as_bytes(),
            Self::Revocation(revocation) => *revocation.id().as_bytes(),
            Self::RootRotate(rotation) => *rotation.id().as_bytes(),
        }
    }

    /// Whether it belongs to the system set, which is reconciled before the entries.
    #[must_use]
    pub fn is_system(&self) -> bool {
        !matches!(self, Self::Entry(_))
    }
}

macro_rules! item_from {
    ($($object:ident),+) => {$(
        impl From<$object> for Item {
            fn from(object: $object) -> Self {
                Self::$object(object)
            }
        }
    )+};
}

item_from!(Entry, Grant, Revocation, RootRotate);
