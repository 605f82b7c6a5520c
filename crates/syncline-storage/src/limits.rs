//! How large keys, values and batches may be.

use crate::{Batch, Op, StorageError, StorageErrorKind};

/// The sizes that a database accepts. What is over a limit is refused by the commit as a whole, with
/// [`TooLarge`](StorageErrorKind::TooLarge); nothing is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest key in bytes, its table byte included. Default 65 535.
    pub max_key_len: usize,
    /// Longest value in bytes. Default 256 MiB.
    pub max_value_len: usize,
    /// Largest [`byte_len`](Batch::byte_len) of a batch. Default 1 GiB.
    pub max_batch_len: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_key_len: 65_535, max_value_len: 256 << 20, max_batch_len: 1 << 30 }
    }
}

impl Limits {
    /// Sets [`max_key_len`](Self::max_key_len).
    #[must_use]
    pub fn max_key_len(mut self, bytes: usize) -> Self {
        self.max_key_len = bytes;
        self
    }

    /// Sets [`max_value_len`](Self::max_value_len).
    #[must_use]
    pub fn max_value_len(mut self, bytes: usize) -> Self {
        self.max_value_len = bytes;
        self
    }

    /// Sets [`max_batch_len`](Self::max_batch_len).
    #[must_use]
    pub fn max_batch_len(mut self, bytes: usize) -> Self {
        self.max_batch_len = bytes;
        self
    }

    /// What every engine checks before it applies anything of a batch.
    ///
    /// # Errors
    ///
    /// [`EmptyKey`](StorageErrorKind::EmptyKey) if an operation or a precondition names the empty key,
    /// [`TooLarge`](StorageErrorKind::TooLarge) if a key, a value or the batch is over its limit.
    pub fn check(&self, batch: &Batch) -> Result<(), StorageError> {
        if batch.byte_len() > self.max_batch_len {
            return Err(StorageErrorKind::TooLarge.into());
        }
        for op in batch.ops() {
            match op {
                Op::Put { key, value } => {
                    self.check_key(key)?;
                    self.check_value(value)?;
                }
                Op::Delete { key } => self.check_key(key)?,
                // A bound is only compared with, so that it may be of any length.
                Op::DeleteRange { .. } => {}
            }
        }
        for precondition in batch.preconditions() {
            self.check_key(precondition.key())?;
        }
        Ok(())
    }

    fn check_key(&self, key: &[u8]) -> Result<(), StorageError> {
        if key.is_empty() {
            Err(StorageErrorKind::EmptyKey.into())
        } else if key.len() > self.max_key_len {
            Err(StorageErrorKind::TooLarge.into())
        } else {
            Ok(())
        }
    }

    fn check_value(&self, value: &[u8]) -> Result<(), StorageError> {
        if value.len() > self.max_value_len { Err(StorageErrorKind::TooLarge.into()) } else { Ok(()) }
    }
}
