//! The seam behind which signatures are checked, and the one rule by which real ones are.

use std::fmt::Debug;
use std::sync::Arc;

use crate::{BatchVerdict, PublicKey, Signature, VerifyError, batch};

/// A message with the key that is said to have signed it.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "these three are what a signature is about, and callers build it")]
pub struct SignedMessage<'a> {
    /// Who is said to have signed.
    pub key: &'a PublicKey,
    /// The exact bytes that were signed.
    pub message: &'a [u8],
    /// The signature to check.
    pub signature: &'a Signature,
}

impl<'a> SignedMessage<'a> {
    /// Puts the three together.
    #[must_use]
    pub const fn new(key: &'a PublicKey, message: &'a [u8], signature: &'a Signature) -> Self {
        Self { key, message, signature }
    }
}

/// Decides which signatures count.
///
/// Code that checks signatures takes a `&dyn Verifier` (or `Arc<dyn Verifier>`) and does not care whose it is.
/// [`Ed25519`] is the real one. A simulation may put a keyed hash in its place, which is hundreds of times cheaper.
///
/// # Contract
///
/// - *One rule.* Whether an item is valid depends on the item alone: not on time, not on earlier calls, not on what else
///   is in the batch, nor its order or size. `verify_batch` calls an item valid if and only if `verify` does.
/// - *Sound.* `Ok` only if the holder of the key's secret signed this very message (within the strength of the scheme).
/// - *Total.* No panic, whatever bytes the item has. An empty batch is valid.
/// - *Pure computation.* No I/O and no waiting; a large batch may still take milliseconds, so on an async executor it
///   belongs where blocking work goes.
pub trait Verifier: Send + Sync + Debug {
    /// Checks one signature.
    ///
    /// # Errors
    ///
    /// The reason why it does not count.
    fn verify(&self, item: SignedMessage<'_>) -> Result<(), VerifyError>;

    /// Checks many and says for each whether it counts. As given: one by one.
    fn verify_batch(&self, items: &[SignedMessage<'_>]) -> BatchVerdict {
        BatchVerdict::from_results(items.iter().map(|item| self.verify(*item)))
    }
}

macro_rules! forward_verifier {
    ($($pointer:ty),+) => {$(
        impl<V: Verifier + ?Sized> Verifier for $pointer {
            fn verify(&self, item: SignedMessage<'_>) -> Result<(), VerifyError> {
                (**self).verify(item)
            }

            fn verify_batch(&self, items: &[SignedMessage<'_>]) -> BatchVerdict {
                (**self).verify_batch(items)
            }
        }
    )+};
}

forward_verifier!(&V, Arc<V>, Box<V>);

/// Ed25519 by the rule of [ZIP 215](https://zips.z.cash/zip-0215).
///
/// A signature (R, s) counts for a message M and a [`PublicKey`] A if and only if
///
/// - A and R are encodings of points of the curve (R may be any encoding of any point; A was narrowed when it was
///   parsed),
/// - s is less than the group order L, and
/// - \[8\]\[s\]B = \[8\]R + \[8\]\[k\]A, with k the SHA-512 of the 32 bytes of R, the 32 bytes of A, and M, mod L.
///
/// The factor 8 is what makes checks of one and of many agree. See the crate's page for how other rules differ.
/// [`verify_batch`](Verifier::verify_batch) is [the function of that name](crate::verify_batch).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a unit struct, so that the rule is named where it is used")]
pub struct Ed25519;

impl Verifier for Ed25519 {
    fn verify(&self, item: SignedMessage<'_>) -> Result<(), VerifyError> {
        if !batch::has_reduced_scalar(item.signature) {
            return Err(VerifyError::ScalarNotReduced);
        }
        batch::prepare(item).verify_single().map_err(|error| match error {
            ed25519_zebra::Error::MalformedPublicKey => VerifyError::KeyNotOnCurve,
            _ => VerifyError::Mismatch,
        })
    }

    fn verify_batch(&self, items: &[SignedMessage<'_>]) -> BatchVerdict {
        batch::verify_batch(items)
    }
}
