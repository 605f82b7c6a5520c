//! What makes an operation valid: alone, and as the next one of a log.
//!
//! A [`LogStore`](crate::LogStore) decides the place in the log itself, in the transaction that appends; it takes signature
//! and body as checked. So who receives operations checks each with [`operation`] (or many signatures at once with
//! [`Verifier::verify_batch`]) and then appends. [`link`] is for those who check logs outside a store.
//!
//! Timestamps are left to the application: an author can write any, and nothing here depends on them.

use syncline_crypto::{Hash, PublicKey, Verifier, VerifyError};
use thiserror::Error;

use crate::store::{Link, Tip};
use crate::{EncodedOperation, Extensions, Header, SeqNum};

/// Why an operation is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// The format has a version that is not [`Header::VERSION`].
    #[error("operation format {found} is not supported")]
    Version {
        /// The version that the header claims.
        found: u64,
    },
    /// The header is not signed.
    #[error("operation is not signed")]
    MissingSignature,
    /// The signature is not the author's, or not for these bytes.
    #[error("signature does not count")]
    Signature(#[source] VerifyError),
    /// The extensions cannot be encoded, so there is nothing that could have been signed.
    #[error("extensions cannot be encoded")]
    Extensions,
    /// The header has a payload size without hash, or a hash without size.
    #[error("payload size and hash do not go together")]
    PayloadInfo,
    /// The body has another size than the header says.
    #[error("body of {found} bytes where the header says {expected}")]
    PayloadSize {
        /// Bytes that the header says.
        expected: u64,
        /// Bytes that the body has.
        found: u64,
    },
    /// The body has another hash than the header says.
    #[error("body does not match the hash in the header")]
    PayloadHash {
        /// The hash in the header.
        expected: Option<Hash>,
        /// The body's.
        found: Hash,
    },
    /// The operation is not the next of its log.
    #[error("sequence number {found} where {expected} comes next")]
    SequenceGap {
        /// The number that comes next.
        expected: SeqNum,
        /// The operation's number.
        found: SeqNum,
    },
    /// The log has an operation at this place or behind it already, and cannot have another.
    #[error("sequence number {found} is not above the log's height {height}")]
    SequencePast {
        /// The log's greatest number.
        height: SeqNum,
        /// The operation's number.
        found: SeqNum,
    },
    /// An operation that is not the first of its log has no backlink.
    #[error("backlink is missing")]
    BacklinkMissing,
    /// The first operation of a log has a backlink.
    #[error("first operation of a log has a backlink")]
    BacklinkAtStart,
    /// The backlink is not the hash of the operation before.
    #[error("backlink is not the hash of the operation before")]
    BacklinkMismatch {
        /// The hash of the operation before.
        expected: Hash,
        /// The backlink.
        found: Hash,
    },
    /// The operation is of another author than the log.
    #[error("operation is of another author than its log")]
    Author {
        /// The log's author.
        expected: PublicKey,
        /// The operation's author.
        found: PublicKey,
    },
}

/// Checks all that can be known of an operation alone: version, signature, body.
///
/// The cheap checks come first, the signature last.
///
/// # Errors
///
/// The first reason that was found.
pub fn operation(operation: &EncodedOperation, verifier: &dyn Verifier) -> Result<(), Invalid> {
    version(operation)?;
    operation.check_body()?;
    operation.verify(verifier)
}

/// Checks the version of the format.
///
/// # Errors
///
/// [`Invalid::Version`].
pub fn version(operation: &EncodedOperation) -> Result<(), Invalid> {
    match operation.version() {
        Header::<()>::VERSION => Ok(()),
        found => Err(Invalid::Version { found }),
    }
}

/// Checks a header that did not come as bytes: version, which fields go together, signature.
///
/// # Errors
///
/// The first reason that was found.
pub fn header<E: Extensions>(header: &Header<E>, verifier: &dyn Verifier) -> Result<(), Invalid> {
    if header.version != Header::<E>::VERSION {
        return Err(Invalid::Version { found: header.version });
    }
    if header.payload_hash.is_some() != (header.payload_size > 0) {
        return Err(Invalid::PayloadInfo);
    }
    match header.backlink {
        Some(_) if header.seq_num == SeqNum::ZERO => return Err(Invalid::BacklinkAtStart),
        None if header.seq_num > SeqNum::ZERO => return Err(Invalid::BacklinkMissing),
        _ => {}
    }
    header.verify(verifier)
}

/// Checks that an operation is of the author whose log it shall join.
///
/// # Errors
///
/// [`Invalid::Author`].
pub fn author(operation: &EncodedOperation, expected: PublicKey) -> Result<(), Invalid> {
    let found = operation.public_key();
    if found == expected { Ok(()) } else { Err(Invalid::Author { expected, found }) }
}

/// Checks an operation's place in a log with this tip: sequence number and backlink, or the freedom that a prune flag
/// gives. `None` is a log without operations. See [`Link`] for the rules.
///
/// # Errors
///
/// [`Invalid::SequenceGap`], [`Invalid::SequencePast`], [`Invalid::BacklinkMismatch`].
pub fn link(tip: Option<Tip>, operation: &EncodedOperation, link: Link) -> Result<(), Invalid> {
    let found = operation.seq_num();
    let Some(tip) = tip else {
        return match link {
            Link::Next if found > SeqNum::ZERO => Err(Invalid::SequenceGap { expected: SeqNum::ZERO, found }),
            Link::Next | Link::Prunes | Link::MayStart => Ok(()),
        };
    };
    // Behind the last number there is none, and everything is at or below it.
    let Some(expected) = tip.seq_num.checked_next().filter(|next| found >= *next) else {
        return Err(Invalid::SequencePast { height: tip.seq_num, found });
    };
    if link == Link::Prunes {
        return Ok(());
    }
    if found > expected {
        return Err(Invalid::SequenceGap { expected, found });
    }
    // Above 0 every encoded header has a backlink.
    match operation.backlink() {
        Some(backlink) if backlink == tip.hash => Ok(()),
        Some(found) => Err(Invalid::BacklinkMismatch { expected: tip.hash, found }),
        None => Err(Invalid::BacklinkMissing),
    }
}

#[cfg(test)]
mod tests;
