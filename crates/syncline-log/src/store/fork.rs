//! Proof that an author signed two histories of one log.

use std::fmt;

use bytes::Bytes;
use syncline_crypto::{Hash, PublicKey, Verifier};
use thiserror::Error;

use crate::validate::{self, Invalid};
use crate::{DecodeError, EncodedOperation, SeqNum};

/// Two signed headers with one author, one log and one sequence number: nobody but the author can have made both.
///
/// Which log a header belongs to is not among the fields that every header has; it follows from the extensions or from the
/// application (one log per author, say). So whoever is shown a fork checks it with [`verify`](Self::verify) and brings
/// the way to tell.
#[derive(Clone, PartialEq, Eq)]
pub struct Fork {
    author: PublicKey,
    seq_num: SeqNum,
    first: Bytes,
    second: Bytes,
}

/// Why a pair of headers proves nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ForkError {
    /// One of the headers cannot be read.
    #[error("a header of the fork cannot be read")]
    Decode(#[from] DecodeError),
    /// One of the headers is not valid.
    #[error("a header of the fork is not valid")]
    Invalid(#[from] Invalid),
    /// Both are the same operation.
    #[error("both headers are the same operation")]
    Same {
        /// The operation.
        hash: Hash,
    },
    /// They are of two authors.
    #[error("headers are of two authors")]
    Authors,
    /// They have two places in the log.
    #[error("headers have sequence numbers {first} and {second}")]
    SeqNums {
        /// The first's.
        first: SeqNum,
        /// The second's.
        second: SeqNum,
    },
    /// They belong to two logs, or to none that can be told.
    #[error("headers are not of one log")]
    Logs,
}

impl Fork {
    /// How many proofs a store keeps of one log. One is enough to show what the author did; a few more show where.
    pub const PER_LOG_MAX: usize = 8;

    /// Puts two headers together, the one that a log has first: found in a log, or sent by somebody who has the proof.
    /// Checks what can be checked without a verifier.
    ///
    /// # Errors
    ///
    /// [`ForkError`] if a header cannot be read, or they are not two operations of one author and sequence number.
    pub fn new(first: Bytes, second: Bytes) -> Result<Self, ForkError> {
        let (one, other) = (decode(&first)?, decode(&second)?);
        if one.public_key() != other.public_key() {
            return Err(ForkError::Authors);
        }
        if one.seq_num() != other.seq_num() {
            return Err(ForkError::SeqNums { first: one.seq_num(), second: other.seq_num() });
        }
        if one.hash() == other.hash() {
            return Err(ForkError::Same { hash: one.hash() });
        }
        Ok(Self { author: one.public_key(), seq_num: one.seq_num(), first, second })
    }

    /// Who signed both.
    #[must_use]
    pub fn author(&self) -> PublicKey {
        self.author
    }

    /// The place that both claim.
    #[must_use]
    pub fn seq_num(&self) -> SeqNum {
        self.seq_num
    }

    /// The header of the operation that came first to the one who has the proof.
    #[must_use]
    pub fn first(&self) -> &Bytes {
        &self.first
    }

    /// The header of the other operation.
    #[must_use]
    pub fn second(&self) -> &Bytes {
        &self.second
    }

    /// Checks the proof as somebody who trusts nobody: both headers are valid, two operations of one author and place,
    /// and, by `log_id`, of one log. `log_id` gives the log that a header belongs to, `None` if it cannot be told; where
    /// every author has one log only, `|_| Some(())` will do.
    ///
    /// # Errors
    ///
    /// [`ForkError`] with the reason why it is no proof.
    pub fn verify<L: Eq>(
        &self,
        verifier: &dyn Verifier,
        log_id: impl Fn(&EncodedOperation) -> Option<L>,
    ) -> Result<(), ForkError> {
        // That they are two operations of one author and place was checked when they were put together.
        let (first, second) = (decode(&self.first)?, decode(&self.second)?);
        match (log_id(&first), log_id(&second)) {
            (Some(one), Some(other)) if one == other => {}
            _ => return Err(ForkError::Logs),
        }
        validate::operation(&first, verifier)?;
        validate::operation(&second, verifier)?;
        Ok(())
    }
}

fn decode(header: &Bytes) -> Result<EncodedOperation, DecodeError> {
    EncodedOperation::decode(header.clone(), None)
}

impl fmt::Debug for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fork")
            .field("author", &self.author)
            .field("seq_num", &self.seq_num)
            .field("first", &Hash::digest(&self.first))
            .field("second", &Hash::digest(&self.second))
            .finish()
    }
}

#[cfg(test)]
mod tests;
