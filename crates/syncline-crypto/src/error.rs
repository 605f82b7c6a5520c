//! What can go wrong, by who is at fault: malformed text or bytes, a refused key, a bad signature, a signer.

use std::error::Error as StdError;

use crate::{IdempotencyKey, KeyId, Rejection};

/// Bytes or hex text that cannot be a value of the type asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The number of bytes is wrong.
    #[error("{found} bytes where {expected} are needed")]
    Length {
        /// Bytes that the type has.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// The number of hex digits is wrong.
    #[error("{found} bytes of text where {expected} hex digits are needed")]
    TextLength {
        /// Hex digits that the type has.
        expected: usize,
        /// Bytes of text that were given.
        found: usize,
    },
    /// A byte of the text is not a hex digit.
    #[error("no hex digit at byte {position} of the text")]
    Digit {
        /// Where in the text, counted in bytes from zero.
        position: usize,
    },
}

/// Bytes or text that are refused as a [`PublicKey`](crate::PublicKey).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The input does not even have the form of a key.
    #[error("malformed public key")]
    Parse(#[from] ParseError),
    /// The bytes encode one of the eight points of small order. Under such a key anybody can make a signature for
    /// any message.
    #[error("public key of small order")]
    SmallOrder,
    /// The y coordinate is 2^255 - 19 or more: a second spelling of another key.
    #[error("public key in a non-canonical encoding")]
    NonCanonical,
}

/// A signature that does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// No point of the curve has this key's encoding, so no signature can be valid under it.
    #[error("public key is not on the curve")]
    KeyNotOnCurve,
    /// The scalar s of the signature is the group order or more. Such a signature is a changed copy of a valid one at
    /// best.
    #[error("signature with a scalar that is not reduced")]
    ScalarNotReduced,
    /// The signature was not made for this message with this key.
    #[error("signature does not match message and key")]
    Mismatch,
}

/// A signer did not give a signature.
///
/// [`is_transient`](SignError::is_transient) tells whether trying again with the same request can help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The signer holds no such key. Permanent.
    #[error("signer holds no key {key_id}")]
    UnknownKey {
        /// The key asked for.
        key_id: KeyId,
    },
    /// Another request came earlier with the same idempotency key. Permanent: the caller has a bug, or somebody plays
    /// with its keys.
    #[error("idempotency key {idempotency_key} was used for another request")]
    Conflict {
        /// The key that was used twice.
        idempotency_key: IdempotencyKey,
    },
    /// The signer has signed another message for this epoch. Permanent.
    #[error("another message was already signed for epoch {epoch}")]
    EpochTaken {
        /// The epoch of the request.
        epoch: u64,
    },
    /// A newer owner of the work has spoken to the signer. Permanent for this owner.
    #[error("request is fenced off: its fence is {offered}, a request with {seen} came before")]
    Fenced {
        /// The fence of the request.
        offered: u64,
        /// The greatest fence that the signer has seen for this work.
        seen: u64,
    },
    /// The message is longer than the signer takes. Permanent.
    #[error("message of {len} bytes where the signer takes {max}")]
    MessageTooLong {
        /// Bytes of the message.
        len: usize,
        /// Bytes that the signer takes.
        max: usize,
    },
    /// The request was ended without a signature, and stays so under this idempotency key. Permanent.
    #[error("request was rejected")]
    Rejected {
        /// Why.
        #[source]
        rejection: Rejection,
    },
    /// The signer cannot be reached or is busy. Transient.
    #[error("signer is unavailable")]
    Unavailable {
        /// The failure underneath.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The signer is broken and stays so until somebody repairs it. Permanent.
    #[error("signer failed")]
    Failed {
        /// The failure underneath.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl SignError {
    /// Whether the same request may succeed later without anybody changing anything.
    ///
    /// Only [`Unavailable`](SignError::Unavailable) is.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, SignError::Unavailable { .. })
    }
}
