//! Signing in the process.

use std::fmt::Debug;
use std::sync::Arc;

use crate::{PublicKey, SignError, Signature, SigningKey};

/// Signs with one key, at once.
///
/// For keys that are elsewhere (a token, another machine, people who approve) see [`AsyncSigner`](crate::AsyncSigner).
///
/// # Contract
///
/// - `public_key` gives the same key for as long as the value lives, and does not block.
/// - A signature that `sign` returns is valid under `public_key` for exactly the bytes given, by the rule of
///   [`Ed25519`](crate::Ed25519) (or of the verifier that is put in its place in a simulation).
/// - No key material in `Debug` or in errors.
pub trait Signer: Send + Sync + Debug {
    /// The key under which the signatures are valid.
    fn public_key(&self) -> PublicKey;

    /// Signs `message`. May block for as long as a device needs.
    ///
    /// # Errors
    ///
    /// [`SignError::Unavailable`] and [`SignError::Failed`] by signers that can fail; [`SigningKey`] never does.
    fn sign(&self, message: &[u8]) -> Result<Signature, SignError>;
}

impl Signer for SigningKey {
    fn public_key(&self) -> PublicKey {
        self.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        Ok(self.sign(message))
    }
}

macro_rules! forward_signer {
    ($($pointer:ty),+) => {$(
        impl<S: Signer + ?Sized> Signer for $pointer {
            fn public_key(&self) -> PublicKey {
                (**self).public_key()
            }

            fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
                (**self).sign(message)
            }
        }
    )+};
}

forward_signer!(&S, Arc<S>, Box<S>);
