//! BLAKE3.

use crate::ParseError;
use crate::bytes::byte_newtype;

/// A BLAKE3 hash of 32 bytes.
///
/// `Display` and [`FromStr`](std::str::FromStr) are 64 hex digits (parsing takes either case); `Debug` shows the first
/// ten. In binary formats serde writes a byte string and also reads a sequence of 32 integers; in formats that people
/// read it is the hex string.
///
/// Comparison is not constant-time: a hash is public.
///
/// ```
/// use syncline_crypto::Hash;
///
/// let hash = Hash::digest(b"abc");
/// assert_eq!(hash.to_string().parse(), Ok(hash));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; Self::LEN]);

impl Hash {
    /// Bytes of a hash.
    pub const LEN: usize = 32;

    /// Hashes `bytes` with BLAKE3 in its default (unkeyed) mode.
    #[must_use]
    pub fn digest(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Takes bytes that are known to be a hash. Any 32 bytes can be one.
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

byte_newtype!(Hash, Hash::LEN, ParseError, |bytes| Ok(Hash(bytes)));

impl From<[u8; Hash::LEN]> for Hash {
    fn from(bytes: [u8; Hash::LEN]) -> Self {
        Self(bytes)
    }
}

impl From<Hash> for [u8; Hash::LEN] {
    fn from(hash: Hash) -> Self {
        hash.0
    }
}

/// Hashes input that comes in pieces. How it is cut does not matter.
///
/// ```
/// use syncline_crypto::{Hash, Hasher};
///
/// let mut hasher = Hasher::new();
/// hasher.update(b"ab").update(b"c");
/// assert_eq!(hasher.finalize(), Hash::digest(b"abc"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Hasher(blake3::Hasher);

impl Hasher {
    /// Starts with empty input.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `bytes` to the input.
    pub fn update(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// The hash of the input so far. More can be appended afterwards.
    #[must_use]
    pub fn finalize(&self) -> Hash {
        Hash(*self.0.finalize().as_bytes())
    }
}
