//! Headers, as typed values.

use bytes::{Bytes, BytesMut};
use syncline_core::cbor::Writer;
use syncline_crypto::{Hash, PublicKey, Signature, SignedMessage, Signer, Verifier};

use super::{DecodeError, EncodeError, EncodedOperation, Extension, Extensions, SeqNum, SignHeaderError};
use crate::validate::Invalid;

/// The header of an operation: what is signed.
///
/// [`to_bytes`](Self::to_bytes) writes the same bytes as p2panda-core 0.3 and 0.4 for every value. Only values whose
/// fields go together can be read again: `payload_hash` is there if and only if `payload_size` is over 0, `backlink` if
/// and only if `seq_num` is over 0, and `signature` is there.
///
/// # What is received
///
/// The id and the signature of an operation are about the bytes that its author wrote. A type `E` need not keep all of
/// them (an unknown field of a map, say), and then encoding the value again gives other bytes. So take the hash of what was
/// received from [`EncodedOperation::hash`], and check its signature with [`EncodedOperation::verify`]; neither needs
/// `E`. The methods here are for headers that are being written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fields are the format, and authors fill them in")]
pub struct Header<E = ()> {
    /// Version of the format; [`VERSION`](Self::VERSION) in every valid header.
    pub version: u64,
    /// The author.
    pub public_key: PublicKey,
    /// The author's signature over all other fields.
    pub signature: Option<Signature>,
    /// Bytes of the body; 0 if there is none.
    pub payload_size: u64,
    /// BLAKE3 of the body, so that the body can be deleted and the header still be checked.
    pub payload_hash: Option<Hash>,
    /// When the author says that it was written. p2panda counts microseconds since the Unix epoch. Nothing here checks
    /// or uses it.
    pub timestamp: u64,
    /// The operation's place in its log.
    pub seq_num: SeqNum,
    /// Hash of the operation before in the same log.
    pub backlink: Option<Hash>,
    /// Hashes of operations of others that the author had seen.
    pub previous: Vec<Hash>,
    /// What the application adds.
    pub extensions: Option<E>,
}

impl<E> Header<E> {
    /// The version of the format that is written and accepted.
    pub const VERSION: u64 = 1;

    /// The unsigned header of the first operation of a log, without body, at time 0.
    #[must_use]
    pub fn new(author: PublicKey) -> Self {
        Self {
            version: Self::VERSION,
            public_key: author,
            signature: None,
            payload_size: 0,
            payload_hash: None,
            timestamp: 0,
            seq_num: SeqNum::ZERO,
            backlink: None,
            previous: Vec::new(),
            extensions: None,
        }
    }

    /// Fields that are there.
    fn field_count(&self) -> u64 {
        let optional =
            [self.signature.is_some(), self.payload_hash.is_some(), self.backlink.is_some(), self.extensions.is_some()];
        6 + optional.into_iter().filter(|is_there| *is_there).count() as u64
    }
}

impl<E: Extensions> Header<E> {
    /// The header's encoding, with the signature if there is one.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Extensions`].
    pub fn to_bytes(&self) -> Result<Bytes, EncodeError> {
        self.encode(self.signature.as_ref()).map(BytesMut::freeze)
    }

    fn encode(&self, signature: Option<&Signature>) -> Result<BytesMut, EncodeError> {
        let without = u64::from(self.signature.is_some() && signature.is_none());
        let mut bytes = BytesMut::with_capacity(256 + 34 * self.previous.len());
        let mut out = Writer::new(&mut bytes);
        out.array(self.field_count() - without).unsigned(self.version).bytes(self.public_key.as_bytes());
        if let Some(signature) = signature {
            out.bytes(signature.as_bytes());
        }
        out.unsigned(self.payload_size);
        if let Some(hash) = &self.payload_hash {
            out.bytes(hash.as_bytes());
        }
        out.unsigned(self.timestamp).unsigned(self.seq_num.get());
        if let Some(hash) = &self.backlink {
            out.bytes(hash.as_bytes());
        }
        out.array(self.previous.len() as u64);
        for hash in &self.previous {
            out.bytes(hash.as_bytes());
        }
        if let Some(extensions) = &self.extensions {
            let mut encoded = Vec::new();
            ciborium::into_writer(extensions, &mut encoded).map_err(|err| EncodeError::Extensions(err.into()))?;
            out.raw(&encoded);
        }
        Ok(bytes)
    }

    /// Reads a signed header from its one encoding.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] with the reason.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        EncodedOperation::decode(Bytes::copy_from_slice(bytes), None)?.header()
    }

    /// Signs all other fields, as they are, and sets the signature. `public_key` has to be the signer's already.
    ///
    /// # Errors
    ///
    /// [`SignHeaderError`]; the header is then left as it was.
    pub fn sign(&mut self, signer: &dyn Signer) -> Result<(), SignHeaderError> {
        let bytes = self.encode(None)?;
        self.signature = Some(signer.sign(&bytes)?);
        Ok(())
    }

    /// BLAKE3 of the encoding: the operation's id, once the header is signed.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Extensions`].
    pub fn hash(&self) -> Result<Hash, EncodeError> {
        Ok(Hash::digest(&self.to_bytes()?))
    }

    /// Checks the signature.
    ///
    /// # Errors
    ///
    /// [`Invalid::MissingSignature`], [`Invalid::Signature`], or [`Invalid::Extensions`] if they cannot be encoded.
    pub fn verify(&self, verifier: &dyn Verifier) -> Result<(), Invalid> {
        let signature = self.signature.as_ref().ok_or(Invalid::MissingSignature)?;
        let bytes = self.encode(None).map_err(|_| Invalid::Extensions)?;
        verifier.verify(SignedMessage::new(&self.public_key, &bytes, signature)).map_err(Invalid::Signature)
    }

    /// One value of the extensions, or of what they make of the header.
    pub fn extension<T>(&self) -> Option<T>
    where
        E: Extension<T>,
    {
        E::extract(self)
    }
}
