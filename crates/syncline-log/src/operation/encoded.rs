//! Operations as they are moved and stored.

use std::fmt;

use bytes::Bytes;
use syncline_crypto::{Hash, PublicKey, Signature, SignedMessage, Verifier};

use super::layout::{self, Layout};
use super::{Body, DecodeError, EncodeError, Extensions, Header, Operation, SeqNum};
use crate::validate::Invalid;

/// An operation as it travels: the header's bytes exactly as they came, the body, and the fields that every log needs.
///
/// The type of the extensions does not matter here, so whoever stores or passes on operations need not know it. Cloning
/// copies no bytes of header or body.
///
/// That a value exists says only that its header is a header in its one encoding. Whether the signature and the body are
/// right, [`verify`](Self::verify) and [`check_body`](Self::check_body) tell; [`validate::operation`](crate::validate::operation)
/// does all at once.
///
/// # Which encodings are accepted
///
/// Exactly those that p2panda-core writes: an array of definite length, shortest heads, the fields that belong there and
/// none else, nothing behind. p2panda hashes and verifies what it gets by encoding it again, so under any other encoding
/// two peers would know one operation by two ids. The extensions, last in the array, may be any well-formed CBOR item up to
/// [`Reader::DEPTH_MAX`](syncline_core::cbor::Reader::DEPTH_MAX) levels deep.
#[derive(Clone)]
pub struct EncodedOperation {
    header: Bytes,
    body: Option<Bytes>,
    hash: Hash,
    layout: Layout,
}

impl EncodedOperation {
    /// Reads the fields of a signed header, and hashes it.
    ///
    /// The work is linear in the header's bytes and allocates nothing that a peer could make large. How long headers and
    /// bodies may be is for the caller to say. The body is not looked at, except that an empty one in an operation that
    /// has none is taken as none.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] with the reason.
    pub fn decode(header: Bytes, body: Option<Bytes>) -> Result<Self, DecodeError> {
        let layout = Layout::parse(&header)?;
        let body = body.filter(|body| layout.payload_size > 0 || !body.is_empty());
        let hash = Hash::digest(&header);
        Ok(Self { header, body, hash, layout })
    }

    /// Encodes a signed header.
    ///
    /// # Errors
    ///
    /// [`EncodeError`]: the extensions cannot be encoded, or the fields do not go together so that nobody could read it.
    pub fn encode<E: Extensions>(header: &Header<E>, body: Option<&Body>) -> Result<Self, EncodeError> {
        let body = body.map(|body| body.as_bytes().clone());
        Self::decode(header.to_bytes()?, body).map_err(EncodeError::Unreadable)
    }

    /// Encodes an operation. `operation.hash` is not used.
    ///
    /// # Errors
    ///
    /// Those of [`encode`](Self::encode).
    pub fn from_operation<E: Extensions>(operation: &Operation<E>) -> Result<Self, EncodeError> {
        Self::encode(&operation.header, operation.body.as_ref())
    }

    /// The header's bytes, as received.
    #[must_use]
    pub fn header_bytes(&self) -> &Bytes {
        &self.header
    }

    /// The body, if it came along.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }

    /// The operation with another body, or without.
    #[must_use]
    pub fn with_body(mut self, body: Option<Bytes>) -> Self {
        self.body = body.filter(|body| self.layout.payload_size > 0 || !body.is_empty());
        self
    }

    /// The header's bytes and the body.
    #[must_use]
    pub fn into_parts(self) -> (Bytes, Option<Bytes>) {
        (self.header, self.body)
    }

    /// BLAKE3 of the header's bytes: the operation's id.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The version of the format that the author claims.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.layout.version
    }

    /// The author.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.layout.public_key
    }

    /// The author's signature, which nobody may have checked yet.
    #[must_use]
    pub fn signature(&self) -> Signature {
        let item = self.header.get(self.layout.signature.clone()).unwrap_or_default();
        // The layout was read from these very bytes, so the chunk is there.
        Signature::from_bytes(item.last_chunk().copied().unwrap_or([0; Signature::LEN]))
    }

    /// The operation's place in its log.
    #[must_use]
    pub fn seq_num(&self) -> SeqNum {
        self.layout.seq_num
    }

    /// Hash of the operation before in the same log; there if and only if `seq_num` is over 0.
    #[must_use]
    pub fn backlink(&self) -> Option<Hash> {
        self.layout.backlink
    }

    /// Bytes of the body, as the header says.
    #[must_use]
    pub fn payload_size(&self) -> u64 {
        self.layout.payload_size
    }

    /// BLAKE3 of the body, as the header says; there if and only if the size is over 0.
    #[must_use]
    pub fn payload_hash(&self) -> Option<Hash> {
        self.layout.payload_hash
    }

    /// The author's time.
    #[must_use]
    pub fn timestamp(&self) -> u64 {
        self.layout.timestamp
    }

    /// Hashes of operations of others that the author had seen.
    pub fn previous(&self) -> impl ExactSizeIterator<Item = Hash> + '_ {
        layout::hashes(self.header.get(self.layout.previous.clone()).unwrap_or_default())
    }

    /// The extensions as CBOR, if there are any.
    #[must_use]
    pub fn extension_bytes(&self) -> Option<&[u8]> {
        self.header.get(self.layout.extensions..).filter(|bytes| !bytes.is_empty())
    }

    /// What the author signed: the header without the signature, in an array that is shorter by one.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.header.len());
        self.append_signed_bytes(&mut bytes);
        bytes
    }

    /// Appends [`signed_bytes`](Self::signed_bytes) to `out`, so that a batch needs one buffer only. Gives their number.
    pub fn append_signed_bytes(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let signature = &self.layout.signature;
        let before = self.header.get(1..signature.start).unwrap_or_default();
        let behind = self.header.get(signature.end..).unwrap_or_default();
        // A header has 7 to 10 items, so the array's head is its first byte and the length is in its low bits.
        out.push(self.header.first().map_or(0, |head| head - 1));
        out.extend_from_slice(before);
        out.extend_from_slice(behind);
        out.len() - start
    }

    /// Checks the signature.
    ///
    /// # Errors
    ///
    /// [`Invalid::Signature`] with the verifier's reason.
    pub fn verify(&self, verifier: &dyn Verifier) -> Result<(), Invalid> {
        let bytes = self.signed_bytes();
        let signature = self.signature();
        verifier.verify(SignedMessage::new(&self.layout.public_key, &bytes, &signature)).map_err(Invalid::Signature)
    }

    /// Checks the body against the header. A body that is not there is right: it was deleted, or comes later.
    ///
    /// # Errors
    ///
    /// [`Invalid::PayloadSize`], [`Invalid::PayloadHash`].
    pub fn check_body(&self) -> Result<(), Invalid> {
        let Some(body) = &self.body else { return Ok(()) };
        let found = body.len() as u64;
        if found != self.payload_size() {
            return Err(Invalid::PayloadSize { expected: self.payload_size(), found });
        }
        let found = Hash::digest(body);
        match self.payload_hash() {
            Some(expected) if expected == found => Ok(()),
            expected => Err(Invalid::PayloadHash { expected, found }),
        }
    }

    /// The header as a typed value.
    ///
    /// # Errors
    ///
    /// [`DecodeError::ExtensionsType`] if the extensions are not an `E`.
    pub fn header<E: Extensions>(&self) -> Result<Header<E>, DecodeError> {
        let extensions = self.extension_bytes().map(ciborium::from_reader).transpose();
        Ok(Header {
            version: self.version(),
            public_key: self.public_key(),
            signature: Some(self.signature()),
            payload_size: self.payload_size(),
            payload_hash: self.payload_hash(),
            timestamp: self.timestamp(),
            seq_num: self.seq_num(),
            backlink: self.backlink(),
            previous: self.previous().collect(),
            extensions: extensions.map_err(|err| DecodeError::ExtensionsType(err.into()))?,
        })
    }

    /// The operation as a typed value, with the hash of the bytes that were received.
    ///
    /// # Errors
    ///
    /// Those of [`header`](Self::header).
    pub fn operation<E: Extensions>(&self) -> Result<Operation<E>, DecodeError> {
        Ok(Operation { hash: self.hash, header: self.header()?, body: self.body.clone().map(Body::new) })
    }
}

impl PartialEq for EncodedOperation {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.body == other.body
    }
}

impl Eq for EncodedOperation {}

impl fmt::Debug for EncodedOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedOperation")
            .field("hash", &self.hash)
            .field("public_key", &self.public_key())
            .field("seq_num", &self.seq_num())
            .field("header_len", &self.header.len())
            .field("body_len", &self.body.as_ref().map(Bytes::len))
            .finish_non_exhaustive()
    }
}
