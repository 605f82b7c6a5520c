//! What is asked of an [`AsyncSigner`](crate::AsyncSigner), and the names by which it is asked for again.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bytes::byte_newtype;
use crate::{Domain, Hash, ParseError, PublicKey, Signature, SignedMessage, Verifier, VerifyError};

/// What two requests with one idempotency key must have in common.
const WORK: Domain = Domain::new("syncline/crypto/sign-work/v1");

/// Names a signing key at a signer: its public half.
///
/// What a token, a file or a quorum calls the key is the signer's own affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(PublicKey);

impl KeyId {
    /// The key with this public half.
    #[must_use]
    pub const fn new(key: PublicKey) -> Self {
        Self(key)
    }

    /// The public half.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.0
    }
}

impl From<PublicKey> for KeyId {
    fn from(key: PublicKey) -> Self {
        Self(key)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one piece of work for good: the same on every retry, another for all other work.
///
/// Derive it from what identifies the work (say the hash of a workflow's id and the number of its step), never draw it
/// afresh per attempt: after a crash the caller must come to the same key again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey([u8; Self::LEN]);

impl IdempotencyKey {
    /// Bytes of a key.
    pub const LEN: usize = 32;

    /// Takes the bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

byte_newtype!(IdempotencyKey, IdempotencyKey::LEN, ParseError, |bytes| Ok(IdempotencyKey(bytes)));

impl From<Hash> for IdempotencyKey {
    fn from(hash: Hash) -> Self {
        Self(hash.to_bytes())
    }
}

/// A request for one signature.
///
/// `key_id`, `message` and `epoch` are *the work*; the rest belongs to the attempt and may change from one to the next.
///
/// ```
/// use syncline_crypto::{Hash, IdempotencyKey, SignRequest, SigningKey};
///
/// let key = SigningKey::from_bytes(&[7; 32]);
/// let idempotency_key = IdempotencyKey::from(Hash::digest(b"workflow 12, step 3"));
/// let request = SignRequest::new(idempotency_key, key.public_key(), b"epoch head 9".to_vec())
///     .with_epoch(9)
///     .with_fence(1);
/// assert!(request.has_same_work(&request.clone().with_fence(2)));
/// assert!(!request.has_same_work(&request.clone().with_epoch(10)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignRequest {
    idempotency_key: IdempotencyKey,
    key_id: KeyId,
    #[serde(with = "serde_bytes")]
    message: Vec<u8>,
    epoch: Option<u64>,
    fence: u64,
    not_after_ms: Option<u64>,
}

impl SignRequest {
    /// Asks for a signature of `message`, domain tag and all, with a key; no epoch, fence 0, no deadline.
    #[must_use]
    pub fn new(idempotency_key: IdempotencyKey, key_id: impl Into<KeyId>, message: Vec<u8>) -> Self {
        Self { idempotency_key, key_id: key_id.into(), message, epoch: None, fence: 0, not_after_ms: None }
    }

    /// The place in a sequence that this signature fills, of which there must be only one: a signer that
    /// [keeps epochs](crate::SignerCaps::keeps_epochs) signs one message per key and epoch.
    #[must_use]
    pub fn with_epoch(mut self, epoch: u64) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// The number of the caller's claim to the work. It grows with each new owner, so a signer that
    /// [keeps fences](crate::SignerCaps::keeps_fences) can turn away one that was replaced.
    #[must_use]
    pub fn with_fence(mut self, fence: u64) -> Self {
        self.fence = fence;
        self
    }

    /// Until when a signature is of use: milliseconds since the Unix epoch, by the signer's clock. Not a safeguard, since
    /// clocks differ; the signature may come later.
    #[must_use]
    pub fn with_not_after_ms(mut self, not_after_ms: u64) -> Self {
        self.not_after_ms = Some(not_after_ms);
        self
    }

    /// The name of the work.
    #[must_use]
    pub fn idempotency_key(&self) -> &IdempotencyKey {
        &self.idempotency_key
    }

    /// The key to sign with.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// The bytes to sign.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// See [`with_epoch`](SignRequest::with_epoch).
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// See [`with_fence`](SignRequest::with_fence).
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// See [`with_not_after_ms`](SignRequest::with_not_after_ms).
    #[must_use]
    pub fn not_after_ms(&self) -> Option<u64> {
        self.not_after_ms
    }

    /// A hash of the work: key, epoch and message. A signer stores it under the idempotency key.
    #[must_use]
    pub fn work(&self) -> Hash {
        let mut hasher = WORK.hasher();
        hasher.update(self.key_id.public_key().as_bytes());
        // Each part has a fixed length, but for the message, which comes last.
        hasher.update(&[u8::from(self.epoch.is_some())]);
        hasher.update(&self.epoch.unwrap_or_default().to_be_bytes());
        hasher.update(&self.message);
        hasher.finalize()
    }

    /// Whether both ask for the same signature, whoever asks and until when.
    #[must_use]
    pub fn has_same_work(&self, other: &Self) -> bool {
        (self.key_id, self.epoch, &self.message) == (other.key_id, other.epoch, &other.message)
    }

    /// Checks the signature that came back. A caller does this before it uses one, for a signer is a device, a file or
    /// another machine.
    ///
    /// # Errors
    ///
    /// The reason why it is not a signature of this message with this key.
    pub fn check(&self, verifier: &(impl Verifier + ?Sized), signature: &Signature) -> Result<(), VerifyError> {
        verifier.verify(SignedMessage::new(self.key_id.public_key(), &self.message, signature))
    }
}

/// A signer's own name for a request that it has not answered yet: what to poll with.
///
/// The caller stores it and gives it back unread. `Debug` shows its length only, since a signer may let whoever holds a
/// ticket fetch the answer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Ticket(#[serde(with = "serde_bytes")] Vec<u8>);

impl Ticket {
    /// The longest ticket, in bytes, so that callers can plan for storing it.
    pub const MAX_LEN: usize = 1024;

    /// Makes a ticket of bytes that the signer chose.
    ///
    /// # Errors
    ///
    /// [`TicketError`] if there are more than [`MAX_LEN`](Ticket::MAX_LEN).
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, TicketError> {
        let bytes = bytes.into();
        if bytes.len() > Self::MAX_LEN { Err(TicketError { len: bytes.len() }) } else { Ok(Self(bytes)) }
    }

    /// The signer's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Ticket {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(serde_bytes::ByteBuf::deserialize(deserializer)?.into_vec()).map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({} bytes)", self.0.len())
    }
}

/// A ticket longer than [`Ticket::MAX_LEN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ticket of {len} bytes where {} are the most", Ticket::MAX_LEN)]
pub struct TicketError {
    len: usize,
}
