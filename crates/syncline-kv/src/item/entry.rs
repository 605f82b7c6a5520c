//! Entries: values of keys.

use std::cmp::Ordering;
use std::fmt;

use bytes::Bytes;
use syncline_core::cbor::{Kind, Writer};
use syncline_core::clock::Hlc;
use syncline_crypto::{Domain, Hash, PublicKey, SignError, Signature, Signer};

use super::codec::{Fields, bytes_or_null, encode, id_of, rising, same_bytes, within};
use super::signed::{SignedBytes, Unsigned};
use super::{EntryId, GrantId, ItemError, NamespaceId};
use crate::path::Key;

pub(super) const DOMAIN: Domain = Domain::new("syncline/kv/entry/v1");
const FIELDS: u64 = 7;

/// What an entry says about its key.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the wire format has these three")]
pub enum Value {
    /// The value itself, 0 bytes or more.
    Inline(Bytes),
    /// The name of a value that is fetched in some other way.
    Blob(BlobRef),
    /// The key has no value any more.
    Tombstone,
}

/// Names a value by its BLAKE3 hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a hash and a length name a value")]
pub struct BlobRef {
    /// The BLAKE3 hash of the value.
    pub hash: Hash,
    /// Its length in bytes, as the author claims.
    pub len: u64,
}

impl Value {
    /// Bytes of the value that count for a quota: those of an inline value.
    #[must_use]
    pub fn inline_len(&self) -> usize {
        match self {
            Self::Inline(bytes) => bytes.len(),
            Self::Blob(_) | Self::Tombstone => 0,
        }
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Inline(Bytes::copy_from_slice(bytes))
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::Inline(bytes)
    }
}

/// A value may be a secret: only its length is shown.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(bytes) => write!(f, "Inline({} bytes)", bytes.len()),
            Self::Blob(blob) => write!(f, "Blob({:?}, {} bytes)", blob.hash, blob.len),
            Self::Tombstone => f.write_str("Tombstone"),
        }
    }
}

/// The grants by which an author writes: each alone must allow it. None at all is a root's way of writing.
///
/// More than one lets an entry outlive the revocation of one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leaves(Vec<GrantId>);

impl Leaves {
    /// The most grants that an entry names.
    pub const MAX: usize = 4;

    /// Grants in any order; one that is named twice counts once.
    ///
    /// # Errors
    ///
    /// [`ItemError::TooLong`] if there are more than [`MAX`](Self::MAX).
    pub fn new(grants: impl IntoIterator<Item = GrantId>) -> Result<Self, ItemError> {
        let mut grants: Vec<GrantId> = grants.into_iter().collect();
        grants.sort_unstable();
        grants.dedup();
        within("leaves", grants.len(), Self::MAX)?;
        Ok(Self(grants))
    }

    /// The grants in rising order.
    #[must_use]
    pub fn as_slice(&self) -> &[GrantId] {
        &self.0
    }

    /// Whether the author writes as a root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where an entry stands among all of its key: by stamp, then author, then id. The greatest valid one is the key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the order of entries is a promise")]
pub struct Order {
    /// When it was made.
    pub stamp: Hlc,
    /// By whom.
    pub author: PublicKey,
    /// Its id.
    pub id: EntryId,
}

/// The fields of an entry before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "these are the fields of the wire format")]
pub struct EntryDraft {
    /// The tree.
    pub namespace: NamespaceId,
    /// The key.
    pub key: Key,
    /// What to say about it.
    pub value: Value,
    /// When. Greater than all stamps that the author has seen, else the entry may lose to them.
    pub stamp: Hlc,
    /// Who signs.
    pub author: PublicKey,
    /// The grants that allow it.
    pub leaves: Leaves,
    /// The entry that the author saw as the key's value. Two entries with the same one were made without knowledge of each other.
    pub previous: Option<EntryId>,
}

impl EntryDraft {
    /// Makes the body, to be signed by whoever holds the author's key.
    ///
    /// # Errors
    ///
    /// [`ItemError::TooLong`] if an inline value is longer than [`Entry::VALUE_LEN_MAX`].
    pub fn unsigned(&self) -> Result<Unsigned, ItemError> {
        within("value", self.value.inline_len(), Entry::VALUE_LEN_MAX)?;
        let body = encode(320 + self.value.inline_len(), |out| self.write(out));
        Ok(Unsigned::new(DOMAIN, self.author, body))
    }

    /// Signs with a key that is at hand, which must be the author's.
    ///
    /// # Errors
    ///
    /// [`DraftError`].
    pub fn sign(self, signer: &(impl Signer + ?Sized)) -> Result<Entry, DraftError> {
        let bytes = self.unsigned()?.sign(signer)?;
        Ok(Entry::decode(bytes)?)
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.array(FIELDS).bytes(self.namespace.as_bytes()).text(self.key.as_str());
        match &self.value {
            Value::Inline(bytes) => out.bytes(bytes),
            Value::Tombstone => out.null(),
            Value::Blob(blob) => out.array(2).bytes(blob.hash.as_bytes()).unsigned(blob.len),
        };
        out.unsigned(self.stamp.to_bits()).bytes(self.author.as_bytes());
        out.array(self.leaves.0.len() as u64);
        for leaf in &self.leaves.0 {
            out.bytes(leaf.as_bytes());
        }
        bytes_or_null(out, self.previous.as_ref().map(EntryId::as_bytes));
    }
}

/// An object could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// The fields do not go together.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// The signer did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// A signed value of a key.
///
/// That one exists says that its bytes are well-formed, not that anybody may write there or that the signature counts: that
/// is decided when it is applied. Cloning copies no bytes of the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    draft: EntryDraft,
    id: EntryId,
    bytes: SignedBytes,
}

impl Entry {
    /// Bytes of the longest inline value that the format allows. A tree may allow less.
    pub const VALUE_LEN_MAX: usize = 1 << 20;

    /// Reads an entry from the bytes that [`encoded`](Self::encoded) gives.
    ///
    /// # Errors
    ///
    /// [`ItemError`].
    pub fn decode(bytes: Bytes) -> Result<Self, ItemError> {
        let bytes = SignedBytes::split(bytes)?;
        let id = id_of(DOMAIN, bytes.body()).into();
        Self::parse(bytes, id)
    }

    /// Reads an entry that this side stored under its id.
    pub(crate) fn decode_stored(bytes: Bytes, id: EntryId) -> Result<Self, ItemError> {
        Self::parse(SignedBytes::split(bytes)?, id)
    }

    fn parse(bytes: SignedBytes, id: EntryId) -> Result<Self, ItemError> {
        let body = bytes.body_bytes();
        let mut fields = Fields::new(&body, FIELDS)?;
        let namespace = NamespaceId::from_bytes(fields.hash()?);
        let key = Key::new(&fields.text("key", Key::LEN_MAX)?)?;
        let value = match fields.reader.kind()? {
            Kind::Bytes => {
                let from = fields.reader.bytes()?;
                within("value", from.len(), Self::VALUE_LEN_MAX)?;
                // A definite string lies in the body as it is; any other is refused below.
                let to = fields.reader.position();
                Value::Inline(body.slice(to - from.len()..to))
            }
            Kind::Array => {
                if fields.parts("value", 2)? != 2 {
                    return Err(ItemError::Form("value"));
                }
                Value::Blob(BlobRef { hash: Hash::from_bytes(fields.hash()?), len: fields.number()? })
            }
            _ if fields.reader.null() => Value::Tombstone,
            _ => return Err(ItemError::Form("value")),
        };
        let stamp = fields.stamp()?;
        let author = fields.public_key()?;
        let count = fields.parts("leaves", Leaves::MAX)?;
        let leaves: Vec<GrantId> =
            (0..count).map(|_| fields.hash().map(GrantId::from_bytes)).collect::<Result<_, _>>()?;
        rising("leaves", &leaves)?;
        let previous = fields.hash_or_null()?.map(EntryId::from_bytes);
        let draft = EntryDraft { namespace, key, value, stamp, author, leaves: Leaves(leaves), previous };
        same_bytes(&body, |out| draft.write(out))?;
        Ok(Self { draft, id, bytes })
    }

    /// Body and signature, as they came.
    #[must_use]
    pub fn encoded(&self) -> &Bytes {
        self.bytes.encoded()
    }

    /// What the author signed: the body under its domain tag.
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
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// The tree that it belongs to.
    #[must_use]
    pub fn namespace(&self) -> NamespaceId {
        self.draft.namespace
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.draft.key
    }

    /// What it says about the key.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.draft.value
    }

    /// Whether it is a deletion.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.draft.value == Value::Tombstone
    }

    /// When it was made, by the author's clock.
    #[must_use]
    pub fn stamp(&self) -> Hlc {
        self.draft.stamp
    }

    /// Who made it.
    #[must_use]
    pub fn author(&self) -> &PublicKey {
        &self.draft.author
    }

    /// The grants by which it was made.
    #[must_use]
    pub fn leaves(&self) -> &Leaves {
        &self.draft.leaves
    }

    /// The entry that its author saw as the value before.
    #[must_use]
    pub fn previous(&self) -> Option<EntryId> {
        self.draft.previous
    }

    /// Its place among the entries of its key.
    #[must_use]
    pub fn order(&self) -> Order {
        Order { stamp: self.draft.stamp, author: self.draft.author, id: self.id }
    }
}

/// By key, then by [order](Entry::order).
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key()).then_with(|| self.order().cmp(&other.order()))
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.draft.key)
            .field("value", &self.draft.value)
            .field("stamp", &self.draft.stamp)
            .field("author", &self.draft.author)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
