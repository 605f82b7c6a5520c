//! Signatures that cost a hash and prove nothing: for simulators, in which real ones would take most of the time.
//!
//! Anybody can make these signatures for anybody. They tell whether code checks what it should check, and no more. Run a
//! part of the seeds with real keys.

use syncline_crypto::{Hasher, PublicKey, SignError, Signature, SignedMessage, Signer, Verifier, VerifyError};

/// Signs by a hash of the public key and the message.
///
/// ```
/// use syncline_crypto::{SignedMessage, Signer, Verifier};
/// use syncline_testkit::cheap::{CheapSigner, CheapVerifier};
///
/// let signer = CheapSigner::from_seed(7);
/// let signature = signer.sign(b"message")?;
/// let key = signer.public_key();
/// assert!(CheapVerifier.verify(SignedMessage::new(&key, b"message", &signature)).is_ok());
/// assert!(CheapVerifier.verify(SignedMessage::new(&key, b"another", &signature)).is_err());
/// # Ok::<(), syncline_crypto::SignError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CheapSigner {
    key: PublicKey,
}

impl CheapSigner {
    /// A signer whose key depends on the seed alone.
    ///
    /// # Panics
    ///
    /// Never in practice: only if none of 256 hashes is fit for a key.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let candidates = (0..=u8::MAX).filter_map(|nth| {
            let mut bytes = hash(&[b"key", &seed.to_le_bytes(), &[nth]]);
            // Below the field's order, so that the encoding is canonical.
            bytes[31] &= 0x3f;
            PublicKey::from_bytes(&bytes).ok()
        });
        let Some(key) = candidates.into_iter().next() else { panic!("no key for seed {seed}") };
        Self { key }
    }
}

impl Signer for CheapSigner {
    fn public_key(&self) -> PublicKey {
        self.key
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        Ok(signature(&self.key, message))
    }
}

/// Accepts what [`CheapSigner`] signs, and nothing else.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit struct that has nothing to add")]
pub struct CheapVerifier;

impl Verifier for CheapVerifier {
    fn verify(&self, item: SignedMessage<'_>) -> Result<(), VerifyError> {
        if signature(item.key, item.message) == *item.signature { Ok(()) } else { Err(VerifyError::Mismatch) }
    }
}

fn signature(key: &PublicKey, message: &[u8]) -> Signature {
    let mut bytes = [0; Signature::LEN];
    for (half, part) in bytes.chunks_exact_mut(32).zip([b"left", b"rite"]) {
        half.copy_from_slice(&hash(&[part, key.as_bytes(), message]));
    }
    Signature::from_bytes(bytes)
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().to_bytes()
}

#[cfg(test)]
mod tests {
    use syncline_crypto::Ed25519;

    use super::*;

    #[test]
    fn keys_differ_and_depend_on_the_seed_alone() {
        let keys: std::collections::BTreeSet<_> = (0..1_000).map(|seed| CheapSigner::from_seed(seed).key).collect();
        assert_eq!(keys.len(), 1_000);
        assert_eq!(CheapSigner::from_seed(5).key, CheapSigner::from_seed(5).key);
    }

    #[test]
    fn another_message_key_or_signature_is_refused() {
        let (one, two) = (CheapSigner::from_seed(1), CheapSigner::from_seed(2));
        let good = one.sign(b"message").unwrap();
        let verify = |key: &CheapSigner, message: &[u8], signature: &Signature| {
            CheapVerifier.verify(SignedMessage::new(&key.key, message, signature))
        };
        assert!(verify(&one, b"message", &good).is_ok());
        assert!(verify(&one, b"massage", &good).is_err());
        assert!(verify(&two, b"message", &good).is_err());
        let mut bytes = *good.as_bytes();
        bytes[63] ^= 1;
        assert!(verify(&one, b"message", &Signature::from_bytes(bytes)).is_err());
    }

    #[test]
    fn a_real_verifier_refuses_them() {
        let signer = CheapSigner::from_seed(1);
        let signature = signer.sign(b"message").unwrap();
        assert!(Ed25519.verify(SignedMessage::new(&signer.key, b"message", &signature)).is_err());
    }
}
