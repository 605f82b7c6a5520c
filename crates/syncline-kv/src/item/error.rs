//! Why bytes are not an object.

use syncline_core::cbor::ReadError;
use syncline_crypto::KeyError as PublicKeyError;
use thiserror::Error;

use crate::path::{KeyError, PatternError};

/// Why bytes are not an object of a namespace, or fields cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ItemError {
    /// No bytes at all.
    #[error("the item is empty")]
    Empty,
    /// An unknown kind of item.
    #[error("kind {0} is not known; a newer version may have made it")]
    Kind(u8),
    /// Not the CBOR that is expected.
    #[error("the body cannot be read: {0}")]
    Cbor(#[from] ReadError),
    /// The array has another number of fields.
    #[error("the body has {found} fields, {expected} are expected")]
    Fields {
        /// As the format says.
        expected: u64,
        /// As the array says; 0 if it is of indefinite length.
        found: u64,
    },
    /// A field is of a form that does not exist.
    #[error("the field `{0}` does not have one of its forms")]
    Form(&'static str),
    /// A field is longer, or has more parts, than the format allows.
    #[error("the field `{field}` has {found}, at most {max} are allowed")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length or number of parts.
        found: u64,
        /// The limit.
        max: u64,
    },
    /// Parts that must be in rising order are not.
    #[error("the parts of the field `{0}` are not in rising order, each once")]
    Unsorted(&'static str),
    /// Fields contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
    /// The path of a key.
    #[error("the key: {0}")]
    Key(#[from] KeyError),
    /// A pattern.
    #[error("the pattern: {0}")]
    Pattern(#[from] PatternError),
    /// A public key that nobody may use.
    #[error("a public key: {0}")]
    PublicKey(#[from] PublicKeyError),
    /// Behind the body there are not exactly the bytes of the signature.
    #[error("{found} bytes follow the body, {expected} are expected")]
    Signature {
        /// Bytes expected.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The bytes are an encoding of the object, but not the one that is allowed.
    #[error("the body is not in deterministic encoding")]
    NotDeterministic,
}
