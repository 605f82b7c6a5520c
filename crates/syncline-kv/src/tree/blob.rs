//! Values that are kept elsewhere.

use async_trait::async_trait;
use bytes::Bytes;
use syncline_crypto::Hash;
use thiserror::Error;

use crate::item::{BlobRef, Entry, Value};

/// Gets values that entries only name: from a blob store, a web server, a peer.
///
/// # Contract
///
/// - Give the bytes that hash to what is named, or say why not. They are checked by whoever asks.
/// - Do not read more than `blob.len` bytes.
#[async_trait]
pub trait FetchBlob: Send + Sync {
    /// Gets the value.
    ///
    /// # Errors
    ///
    /// [`BlobError::Unavailable`].
    async fn fetch(&self, blob: &BlobRef) -> Result<Bytes, BlobError>;
}

/// Why a value could not be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The entry is a deletion.
    #[error("the key was deleted")]
    Deleted,
    /// It is longer than allowed.
    #[error("the value has {len} bytes, at most {max} are wanted")]
    TooLong {
        /// As the entry says.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// What came is not what was named.
    #[error("what came does not have the hash or the length that the entry names")]
    Mismatch,
    /// It could not be fetched.
    #[error("the value could not be fetched")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Entry {
    /// The value's bytes: those in the entry, or those that it names, fetched and checked.
    ///
    /// # Errors
    ///
    /// [`BlobError`]. Nothing is fetched that is longer than `len_max` bytes.
    ///
    /// # Cancel safety
    ///
    /// As that of the fetch.
    pub async fn resolve(&self, source: &dyn FetchBlob, len_max: u64) -> Result<Bytes, BlobError> {
        let blob = match self.value() {
            Value::Inline(bytes) => return Ok(bytes.clone()),
            Value::Tombstone => return Err(BlobError::Deleted),
            Value::Blob(blob) => blob,
        };
        if blob.len > len_max {
            return Err(BlobError::TooLong { len: blob.len, max: len_max });
        }
        let bytes = source.fetch(blob).await?;
        if blob.names(&bytes) { Ok(bytes) } else { Err(BlobError::Mismatch) }
    }
}

impl BlobRef {
    /// The name of a value.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { hash: Hash::digest(bytes), len: bytes.len() as u64 }
    }

    /// Whether these are the bytes that this names.
    #[must_use]
    pub fn names(&self, bytes: &[u8]) -> bool {
        *self == Self::of(bytes)
    }
}
