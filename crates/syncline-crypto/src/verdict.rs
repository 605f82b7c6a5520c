//! What a batch verification says about each item.

use crate::VerifyError;

/// Which items of a batch are valid.
///
/// It holds the places of the invalid ones only, in rising order, so the usual verdict allocates nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a verdict that nobody reads accepts everything"]
pub struct BatchVerdict {
    len: usize,
    invalid: Vec<usize>,
}

impl BatchVerdict {
    /// The verdict of checks made one by one, in the order of the batch.
    pub fn from_results(results: impl IntoIterator<Item = Result<(), VerifyError>>) -> Self {
        let mut verdict = Self { len: 0, invalid: Vec::new() };
        for result in results {
            if result.is_err() {
                verdict.invalid.push(verdict.len);
            }
            verdict.len += 1;
        }
        verdict
    }

    /// From places that are in rising order, distinct and less than `len`.
    pub(crate) fn from_sorted(len: usize, invalid: Vec<usize>) -> Self {
        debug_assert!(invalid.is_sorted_by(|a, b| a < b) && invalid.last().is_none_or(|last| *last < len));
        Self { len, invalid }
    }

    /// Items in the batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the batch had no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether every item is valid. True of an empty batch.
    #[must_use]
    pub fn is_all_valid(&self) -> bool {
        self.invalid.is_empty()
    }

    /// Whether the item at `index` is valid. False past the end of the batch.
    #[must_use]
    pub fn is_valid(&self, index: usize) -> bool {
        index < self.len && self.invalid.binary_search(&index).is_err()
    }

    /// The places of the invalid items, rising.
    pub fn invalid(&self) -> impl Iterator<Item = usize> + '_ {
        self.invalid.iter().copied()
    }

    /// The verdict as a result, for callers that take all or nothing.
    ///
    /// # Errors
    ///
    /// [`BatchError`] if any item is invalid.
    pub fn into_result(self) -> Result<(), BatchError> {
        if self.invalid.is_empty() { Ok(()) } else { Err(BatchError { len: self.len, invalid: self.invalid }) }
    }
}

/// At least one signature of a batch does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} of {len} signatures are invalid", invalid.len())]
pub struct BatchError {
    len: usize,
    invalid: Vec<usize>,
}

impl BatchError {
    /// The places of the invalid items, rising; at least one.
    pub fn invalid(&self) -> impl Iterator<Item = usize> + '_ {
        self.invalid.iter().copied()
    }
}
