//! Ed25519 secret keys.

use std::fmt;

use ed25519_dalek::Signer as _;
use rand_core::CryptoRng;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::{PublicKey, Signature};

/// An Ed25519 secret key.
///
/// It is wiped when dropped, `Debug` shows the public half only, and it can be neither printed, compared nor serialized:
/// who must store it calls [`to_bytes`](SigningKey::to_bytes) and says so. Moving the value copies its 32 bytes on the
/// stack, and such copies are not wiped; a key that lives long belongs into an `Arc` soon after it was made.
///
/// ```
/// use syncline_crypto::{SigningKey, VerifyError};
///
/// let key = SigningKey::from_bytes(&[7; 32]);
/// let signature = key.sign(b"a message");
/// assert_eq!(key.public_key().verify(b"a message", &signature), Ok(()));
/// assert_eq!(key.public_key().verify(b"another", &signature), Err(VerifyError::Mismatch));
/// ```
///
/// None of these compile:
///
/// ```compile_fail,E0277
/// # let key = syncline_crypto::SigningKey::from_bytes(&[7; 32]);
/// println!("{key}");
/// ```
/// ```compile_fail,E0369
/// # let key = syncline_crypto::SigningKey::from_bytes(&[7; 32]);
/// let same = key == key;
/// ```
/// ```compile_fail,E0277
/// fn store(_: impl serde::Serialize) {}
/// # let key = syncline_crypto::SigningKey::from_bytes(&[7; 32]);
/// store(key);
/// ```
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// Bytes of a secret key (the seed of RFC 8032, not the expanded scalar).
    pub const LEN: usize = 32;

    /// Takes the seed. Every 32 bytes are a key; they must come from a good random source.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(bytes))
    }

    /// Draws a key. The caller brings the generator; this crate has none.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; Self::LEN]);
        rng.fill_bytes(seed.as_mut_slice());
        Self::from_bytes(&seed)
    }

    /// The seed, in a buffer that is wiped when dropped.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; Self::LEN]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    ///
    /// It always is a key that [`PublicKey::from_bytes`] takes: it is canonical by construction, and it could be of
    /// small order only if a clamped scalar were a multiple of the group order, for which no seed is known and one in
    /// 2^252 would be.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_secret(self.0.verifying_key().to_bytes())
    }

    /// Signs `message` as RFC 8032 says: deterministic, no randomness needed.
    ///
    /// A key that signs objects of several kinds must tell them apart; see [`Domain`](crate::Domain).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature::from_bytes(self.0.sign(message).to_bytes())
    }
}

/// The key inside wipes itself.
impl ZeroizeOnDrop for SigningKey {}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public_key", &self.public_key()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_inside_is_wiped_on_drop() {
        fn wiped<K: ZeroizeOnDrop>(_: &K) {}
        wiped(&SigningKey::from_bytes(&[1; 32]).0);
    }
}
