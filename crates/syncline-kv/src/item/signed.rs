//! Bodies with and without their signature.

use bytes::{BufMut, Bytes, BytesMut};
use syncline_crypto::{Domain, IdempotencyKey, PublicKey, SignError, SignRequest, Signature, Signer};

use super::ItemError;
use super::codec::{body_len, id_of};

/// The bytes of a signed object: body, then signature.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SignedBytes {
    bytes: Bytes,
    body_len: usize,
}

impl SignedBytes {
    pub(super) fn split(bytes: Bytes) -> Result<Self, ItemError> {
        let body_len = body_len(&bytes)?;
        let found = bytes.len() - body_len;
        if found != Signature::LEN {
            return Err(ItemError::Signature { expected: Signature::LEN, found });
        }
        Ok(Self { bytes, body_len })
    }

    pub(super) fn join(body: &[u8], signature: &Signature) -> Self {
        let mut bytes = BytesMut::with_capacity(body.len() + Signature::LEN);
        bytes.put_slice(body);
        bytes.put_slice(signature.as_bytes());
        Self { bytes: bytes.freeze(), body_len: body.len() }
    }

    pub(super) fn encoded(&self) -> &Bytes {
        &self.bytes
    }

    pub(super) fn body(&self) -> &[u8] {
        self.bytes.get(..self.body_len).unwrap_or_default()
    }

    /// The bytes of the body, sharing memory with the whole.
    pub(super) fn body_bytes(&self) -> Bytes {
        self.bytes.slice(..self.body_len)
    }

    pub(super) fn signature(&self) -> Signature {
        let mut signature = [0; Signature::LEN];
        signature.copy_from_slice(self.bytes.get(self.body_len..).unwrap_or_default());
        Signature::from_bytes(signature)
    }
}

/// An object that is complete but for its signature, which may come from a signer that answers hours later.
///
/// Store [`body`](Self::body) and the request; when the signature is there, [`complete`](Self::complete) makes the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsigned {
    domain: Domain,
    signer: PublicKey,
    body: Bytes,
}

impl Unsigned {
    pub(super) fn new(domain: Domain, signer: PublicKey, body: Bytes) -> Self {
        Self { domain, signer, body }
    }

    /// The bytes of the body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Whose signature is needed.
    #[must_use]
    pub fn signer(&self) -> PublicKey {
        self.signer
    }

    /// What is to be signed: the body under its domain tag.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        self.domain.message(&self.body)
    }

    /// The request for an [`AsyncSigner`](syncline_crypto::AsyncSigner). Its idempotency key is the id of the object, so that
    /// asking again after a crash is asking for the same.
    #[must_use]
    pub fn request(&self) -> SignRequest {
        let key = IdempotencyKey::from(id_of(self.domain, &self.body));
        SignRequest::new(key, self.signer, self.message())
    }

    /// The body with its signature behind it: what [`Entry::decode`](super::Entry::decode) and its siblings read.
    ///
    /// The signature is not checked here but by whoever applies the object.
    #[must_use]
    pub fn complete(&self, signature: &Signature) -> Bytes {
        SignedBytes::join(&self.body, signature).bytes
    }

    pub(super) fn sign(&self, signer: &(impl Signer + ?Sized)) -> Result<Bytes, SignError> {
        Ok(self.complete(&self.domain.sign(signer, &self.body)?))
    }
}
