//! What can be wrong with the bytes of a header, or keep a header from becoming bytes.

use std::error::Error as StdError;
use std::fmt;

use syncline_core::cbor::ReadError;
use syncline_crypto::{KeyError, SignError};
use thiserror::Error;

/// A part of an encoded header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// The array that holds all others.
    Header,
    /// The version of the format.
    Version,
    /// The author's public key.
    PublicKey,
    /// The author's signature.
    Signature,
    /// The number of bytes of the body.
    PayloadSize,
    /// The hash of the body.
    PayloadHash,
    /// The author's time.
    Timestamp,
    /// The sequence number.
    SeqNum,
    /// The hash of the operation before in the same log.
    Backlink,
    /// The hashes of other operations that the author had seen.
    Previous,
    /// What the application adds.
    Extensions,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Version => "version",
            Self::PublicKey => "public key",
            Self::Signature => "signature",
            Self::PayloadSize => "payload size",
            Self::PayloadHash => "payload hash",
            Self::Timestamp => "timestamp",
            Self::SeqNum => "sequence number",
            Self::Backlink => "backlink",
            Self::Previous => "previous",
            Self::Extensions => "extensions",
        })
    }
}

/// Why bytes are not a signed header in its one encoding.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end within a field.
    #[error("bytes end within the {field}")]
    Truncated {
        /// The field.
        field: Field,
    },
    /// The field has another CBOR type than it should.
    #[error("wrong type of cbor item in the {field}")]
    Type {
        /// The field.
        field: Field,
    },
    /// The field is written with a longer head than needed, or with an indefinite length.
    #[error("the {field} is not in its shortest encoding")]
    NotCanonical {
        /// The field.
        field: Field,
    },
    /// A key, a signature or a hash has the wrong number of bytes.
    #[error("the {field} has {found} bytes where {expected} are needed")]
    Length {
        /// The field.
        field: Field,
        /// Bytes that the field has in every header.
        expected: usize,
        /// Bytes that are claimed.
        found: u64,
    },
    /// The array's length does not fit the fields that must be there.
    #[error("header of {found} items where its fields take {expected}, or one more with extensions")]
    ItemCount {
        /// Items of a header with these fields and no extensions.
        expected: u64,
        /// Items that the header claims.
        found: u64,
    },
    /// The header is not signed.
    #[error("header is not signed")]
    MissingSignature,
    /// The key is one that no signature can be trusted under.
    #[error("public key is refused")]
    PublicKey(#[source] KeyError),
    /// The extensions are not well-formed CBOR, or nest too deep.
    #[error("extensions are not well-formed cbor")]
    Extensions(#[source] ReadError),
    /// The extensions are well-formed, and not of the type that was asked for.
    #[error("extensions are not of the expected type")]
    ExtensionsType(#[source] Box<dyn StdError + Send + Sync>),
    /// Bytes follow the header.
    #[error("{count} bytes follow the header")]
    Trailing {
        /// How many.
        count: usize,
    },
}

/// Why a header could not be encoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The extensions' `Serialize` failed, or gave what CBOR cannot hold.
    #[error("extensions cannot be encoded as cbor")]
    Extensions(#[source] Box<dyn StdError + Send + Sync>),
    /// The fields do not go together, so that nobody could read the header: it lacks a signature, or has a hash or a
    /// backlink where none belongs, or lacks one.
    #[error("header would not be readable")]
    Unreadable(#[source] DecodeError),
}

/// Why a header was not signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignHeaderError {
    /// It could not be encoded.
    #[error("header cannot be encoded")]
    Encode(#[from] EncodeError),
    /// The signer gave no signature.
    #[error("signer gave no signature")]
    Sign(#[from] SignError),
}
