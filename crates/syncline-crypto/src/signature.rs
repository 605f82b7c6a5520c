//! Ed25519 signatures as bytes.

use crate::ParseError;
use crate::bytes::byte_newtype;

/// An Ed25519 signature: the encoded point R, then the scalar s.
///
/// Any 64 bytes can be parsed. Whether they are the signature of anything is for [verification](crate::Verifier) to
/// say, so that bytes can be kept exactly as they came. Text and serde are as for [`Hash`](crate::Hash).
///
/// Two different signatures can both be valid for one message and key, since whoever holds the secret key can make any
/// number of them. Do not use a signature as an id or to tell duplicates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature([u8; Self::LEN]);

impl Signature {
    /// Bytes of a signature.
    pub const LEN: usize = 64;

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

    /// A copy of the bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        self.0
    }
}

byte_newtype!(Signature, Signature::LEN, ParseError, |bytes| Ok(Signature(bytes)));

impl From<[u8; Signature::LEN]> for Signature {
    fn from(bytes: [u8; Signature::LEN]) -> Self {
        Self(bytes)
    }
}

impl From<Signature> for [u8; Signature::LEN] {
    fn from(signature: Signature) -> Self {
        signature.0
    }
}
