//! How far consumers have read.

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use super::{Heights, LogId, Logs, StoreError};

/// The name of a consumer: 1 to 128 bytes of text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CursorName(String);

/// Text that is no name for a cursor.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("name of {len} bytes where 1 to {max} are allowed", max = CursorName::LEN_MAX)]
#[non_exhaustive]
pub struct CursorNameError {
    /// Bytes of the text.
    pub len: usize,
}

impl CursorName {
    /// The most bytes that a name may have.
    pub const LEN_MAX: usize = 128;

    /// Takes a text as a name.
    ///
    /// # Errors
    ///
    /// [`CursorNameError`] if it is empty or too long.
    pub fn new(name: impl Into<String>) -> Result<Self, CursorNameError> {
        let name = name.into();
        match name.len() {
            1..=Self::LEN_MAX => Ok(Self(name)),
            len => Err(CursorNameError { len }),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CursorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CursorName {
    type Err = CursorNameError;

    fn from_str(name: &str) -> Result<Self, CursorNameError> {
        Self::new(name)
    }
}

/// Remembers for each named consumer, for each log, the last operation that it is done with.
///
/// A consumer reads from behind its position, does its work, and then moves: after a crash it sees some operations again
/// and misses none. A position may be below a log's prune horizon, if the log was pruned before the consumer got there.
///
/// Positions are the consumer's own. They need not be operations that are there, they may go back, and deleting a log
/// does not delete them.
pub trait CursorStore<L: LogId>: fmt::Debug + Send + Sync + 'static {
    /// The positions in those of `logs` that the consumer has been in.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn cursor(&self, name: CursorName, logs: &Logs<L>) -> impl Future<Output = Result<Heights<L>, StoreError>> + Send;

    /// Sets these positions, all or none, and leaves all others as they are. Durable when it returns.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then nothing was changed, unless it says that the outcome is unknown.
    fn move_cursor(
        &self,
        name: CursorName,
        positions: Heights<L>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Forgets a consumer. Gives whether it had any position.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn delete_cursor(&self, name: CursorName) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

impl<L: LogId, S: CursorStore<L>> CursorStore<L> for Arc<S> {
    fn cursor(&self, name: CursorName, logs: &Logs<L>) -> impl Future<Output = Result<Heights<L>, StoreError>> + Send {
        (**self).cursor(name, logs)
    }

    fn move_cursor(
        &self,
        name: CursorName,
        positions: Heights<L>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        (**self).move_cursor(name, positions)
    }

    fn delete_cursor(&self, name: CursorName) -> impl Future<Output = Result<bool, StoreError>> + Send {
        (**self).delete_cursor(name)
    }
}
