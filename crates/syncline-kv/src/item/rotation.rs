//! Rotations: new roots.

use std::collections::BTreeMap;
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use syncline_core::cbor::Writer;
use syncline_core::clock::Hlc;
use syncline_crypto::{Domain, Hash, PublicKey, Signature};

use super::codec::{Fields, body_len, encode, id_of, rising, same_bytes, within};
use super::namespace::{check_roots, read_roots, write_roots};
use super::signed::Unsigned;
use super::{ItemError, Namespace, NamespaceId, RotationId};

pub(super) const DOMAIN: Domain = Domain::new("syncline/kv/rotation/v1");
const FIELDS: u64 = 6;

/// The fields of a rotation before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "these are the fields of the wire format")]
pub struct RotateDraft {
    /// The tree.
    pub namespace: NamespaceId,
    /// The number of this rotation, from 1.
    pub index: u64,
    /// The rotation before, or the namespace's id before the first.
    pub previous: Hash,
    /// The roots from now on, in rising order.
    pub roots: Vec<PublicKey>,
    /// Former roots whose word still counts for what they stamped up to here. A root that is in neither list is distrusted
    /// altogether: its entries and the grants that it issued no longer count.
    pub retired: BTreeMap<PublicKey, Hlc>,
    /// When, for people.
    pub stamp: Hlc,
}

impl RotateDraft {
    /// The most former roots that are kept.
    pub const RETIRED_MAX: usize = 64;

    /// Makes the body, for one of the present roots to sign. Each that signs calls this and gives its signature to
    /// [`Endorsements`].
    ///
    /// # Errors
    ///
    /// [`ItemError`] if there is no root, too many, one twice, or one that is also retired.
    pub fn unsigned(&self, signer: PublicKey) -> Result<Unsigned, ItemError> {
        Ok(Unsigned::new(DOMAIN, signer, self.body()?))
    }

    fn body(&self) -> Result<Bytes, ItemError> {
        self.check()?;
        Ok(encode(128 + 34 * self.roots.len() + 45 * self.retired.len(), |out| self.write(out)))
    }

    fn check(&self) -> Result<(), ItemError> {
        check_roots(&self.roots)?;
        within("retired", self.retired.len(), Self::RETIRED_MAX)?;
        if self.index == 0 {
            return Err(ItemError::Contradiction("rotations are numbered from 1"));
        }
        if self.roots.iter().any(|root| self.retired.contains_key(root)) {
            return Err(ItemError::Contradiction("a root cannot be retired as well"));
        }
        Ok(())
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.array(FIELDS).bytes(self.namespace.as_bytes()).unsigned(self.index).bytes(self.previous.as_bytes());
        write_roots(out, &self.roots);
        out.array(self.retired.len() as u64);
        for (root, cut) in &self.retired {
            out.array(2).bytes(root.as_bytes()).unsigned(cut.to_bits());
        }
        out.unsigned(self.stamp.to_bits());
    }
}

/// Collects the signatures of a rotation.
#[derive(Clone, Debug)]
pub struct Endorsements {
    body: Bytes,
    by: BTreeMap<PublicKey, Signature>,
}

impl Endorsements {
    /// None yet.
    ///
    /// # Errors
    ///
    /// As [`RotateDraft::unsigned`].
    pub fn new(draft: &RotateDraft) -> Result<Self, ItemError> {
        Ok(Self { body: draft.body()?, by: BTreeMap::new() })
    }

    /// Adds a root's signature. It is checked when the rotation is applied.
    pub fn add(&mut self, root: PublicKey, signature: Signature) -> &mut Self {
        self.by.insert(root, signature);
        self
    }

    /// The rotation with the signatures so far.
    ///
    /// # Errors
    ///
    /// [`ItemError`] if there is none, or there are more than a namespace has roots.
    pub fn finish(&self) -> Result<RootRotate, ItemError> {
        let mut bytes = BytesMut::from(&self.body[..]);
        for (root, signature) in &self.by {
            bytes.put_slice(root.as_bytes());
            bytes.put_slice(signature.as_bytes());
        }
        RootRotate::decode(bytes.freeze())
    }
}

/// A change of the roots, signed by as many of the roots before as the namespace asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct RootRotate {
    draft: RotateDraft,
    id: RotationId,
    bytes: Bytes,
    body_len: usize,
    signatures: Vec<(PublicKey, Signature)>,
}

impl RootRotate {
    const SIGNED_LEN: usize = PublicKey::LEN + Signature::LEN;

    /// Reads a rotation from the bytes that [`encoded`](Self::encoded) gives.
    ///
    /// # Errors
    ///
    /// [`ItemError`].
    pub fn decode(bytes: Bytes) -> Result<Self, ItemError> {
        let body_len = body_len(&bytes)?;
        let (body, rest) = (bytes.slice(..body_len), bytes.slice(body_len..));
        let mut fields = Fields::new(&body, FIELDS)?;
        let namespace = NamespaceId::from_bytes(fields.hash()?);
        let index = fields.number()?;
        let previous = Hash::from_bytes(fields.hash()?);
        let roots = read_roots(&mut fields)?;
        let retired = read_retired(&mut fields)?;
        let draft = RotateDraft { namespace, index, previous, roots, retired, stamp: fields.stamp()? };
        draft.check()?;
        same_bytes(&body, |out| draft.write(out))?;
        let signatures = read_signatures(&rest)?;
        let id = id_of(DOMAIN, &body).into();
        Ok(Self { draft, id, bytes, body_len, signatures })
    }

    /// Body and signatures, as they came.
    #[must_use]
    pub fn encoded(&self) -> &Bytes {
        &self.bytes
    }

    /// What each root signed: the body under its domain tag.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        DOMAIN.message(self.bytes.get(..self.body_len).unwrap_or_default())
    }

    /// Who signed, in rising order, and how.
    #[must_use]
    pub fn signatures(&self) -> &[(PublicKey, Signature)] {
        &self.signatures
    }

    /// Its id, which does not depend on who signed.
    #[must_use]
    pub fn id(&self) -> RotationId {
        self.id
    }

    /// All of its fields.
    #[must_use]
    pub fn fields(&self) -> &RotateDraft {
        &self.draft
    }

    /// The tree that it belongs to.
    #[must_use]
    pub fn namespace(&self) -> NamespaceId {
        self.draft.namespace
    }
}

fn read_retired(fields: &mut Fields<'_>) -> Result<BTreeMap<PublicKey, Hlc>, ItemError> {
    let count = fields.parts("retired", RotateDraft::RETIRED_MAX)?;
    let mut retired = Vec::with_capacity(count);
    for _ in 0..count {
        if fields.parts("retired", 2)? != 2 {
            return Err(ItemError::Form("retired"));
        }
        retired.push((fields.public_key()?, fields.stamp()?));
    }
    if !retired.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(ItemError::Unsorted("retired"));
    }
    Ok(retired.into_iter().collect())
}

fn read_signatures(bytes: &[u8]) -> Result<Vec<(PublicKey, Signature)>, ItemError> {
    let (signed, rest) = bytes.as_chunks::<{ RootRotate::SIGNED_LEN }>();
    if signed.is_empty() || !rest.is_empty() {
        return Err(ItemError::Signature { expected: RootRotate::SIGNED_LEN, found: bytes.len() });
    }
    within("signatures", signed.len(), Namespace::ROOTS_MAX)?;
    let mut signatures = Vec::with_capacity(signed.len());
    for chunk in signed {
        let (mut key, mut signature) = ([0; PublicKey::LEN], [0; Signature::LEN]);
        let (first, second) = chunk.split_at(PublicKey::LEN);
        key.copy_from_slice(first);
        signature.copy_from_slice(second);
        signatures.push((PublicKey::from_bytes(&key)?, Signature::from_bytes(signature)));
    }
    let keys: Vec<PublicKey> = signatures.iter().map(|(key, _)| *key).collect();
    rising("signatures", &keys)?;
    Ok(signatures)
}

impl fmt::Debug for RootRotate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootRotate")
            .field("id", &self.id)
            .field("index", &self.draft.index)
            .field("signatures", &self.signatures.len())
            .finish_non_exhaustive()
    }
}
