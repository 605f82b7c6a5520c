//! Ed25519 public keys, and which bytes are refused as one.

use crate::bytes::byte_newtype;
use crate::{Ed25519, KeyError, Signature, SignedMessage, Verifier as _, VerifyError};

/// An Ed25519 public key in its only accepted encoding.
///
/// Parsing compares bytes and nothing else, so that ten thousand keys cost no more than reading them. It refuses
///
/// - the 14 encodings, canonical or not, of the eight points of small order, under which anybody can sign anything, and
/// - every encoding whose y coordinate is 2^255 - 19 or more, so that no key has two spellings.
///
/// It does *not* find out whether the bytes are a point of the curve at all (about half of all strings are not); that
/// needs a square root, and [verification](PublicKey::verify) does it anyway. Under a key that is not on the curve no
/// signature is valid. Keys with a component of small order (which only their maker can make) are accepted, and every
/// verifier agrees on their signatures.
///
/// Text and serde are as for [`Hash`](crate::Hash), with the same refusals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; Self::LEN]);

impl PublicKey {
    /// Bytes of a public key.
    pub const LEN: usize = 32;

    /// Parses a key.
    ///
    /// # Errors
    ///
    /// [`KeyError::SmallOrder`] and [`KeyError::NonCanonical`] as told [above](PublicKey); a key that is both is of
    /// small order.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, KeyError> {
        let mut y = *bytes;
        y[Self::LEN - 1] &= !SIGN;
        if SMALL_ORDER_Y.contains(&y) {
            Err(KeyError::SmallOrder)
        } else if is_field_order_or_more(&y) {
            Err(KeyError::NonCanonical)
        } else {
            Ok(Self(*bytes))
        }
    }

    /// The encoding of a key that was computed from a secret one.
    pub(crate) const fn from_secret(bytes: [u8; Self::LEN]) -> Self {
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

    /// Verifies one signature as [`Ed25519`] does.
    ///
    /// # Errors
    ///
    /// The reason why the signature does not count.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), VerifyError> {
        Ed25519.verify(SignedMessage::new(self, message, signature))
    }
}

byte_newtype!(PublicKey, PublicKey::LEN, KeyError, |bytes: [u8; PublicKey::LEN]| PublicKey::from_bytes(&bytes));

impl TryFrom<[u8; PublicKey::LEN]> for PublicKey {
    type Error = KeyError;

    fn try_from(bytes: [u8; PublicKey::LEN]) -> Result<Self, KeyError> {
        Self::from_bytes(&bytes)
    }
}

impl From<PublicKey> for [u8; PublicKey::LEN] {
    fn from(key: PublicKey) -> Self {
        key.0
    }
}

/// The bit of the last byte that holds the sign of x; the other 255 are y, least byte first.
const SIGN: u8 = 0x80;

/// Whether y, with the sign bit cleared, is at least 2^255 - 19 = 0x7fff...ffed.
fn is_field_order_or_more(y: &[u8; PublicKey::LEN]) -> bool {
    let [least, middle @ .., greatest] = y;
    *greatest == 0x7f && *least >= 0xed && middle.iter().all(|byte| *byte == 0xff)
}

/// Every y, reduced or not, that a point of small order can be encoded with. Each counts with both signs, for decoders
/// also take a "negative zero": 14 encodings of 8 points.
const SMALL_ORDER_Y: [[u8; PublicKey::LEN]; 7] = [
    // y = 0, two points of order 4
    [
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    ],
    // y = 1, the identity
    [
        0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    ],
    // y = -1, the point of order 2
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
    // two of the four points of order 8
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    // the other two, y negated
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    // 2^255 - 19, which is 0 again
    [
        0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
    // 2^255 - 18, which is 1 again
    [
        0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];
