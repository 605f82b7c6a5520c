//! What can go wrong, sorted by what the caller may do about it.

use std::{error::Error, fmt, sync::Arc};

use bytes::Bytes;

/// The sort of a [`StorageError`]: what happened and what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StorageErrorKind {
    /// What is stored is not what was written: a damaged file, or a row that does not decode. Trying again does not
    /// help; restore the database from a copy or from other peers.
    Corrupt,
    /// The operating system refused a read or a write.
    Io,
    /// No space is left on the device.
    Full,
    /// This handle is closed, or closed itself after an earlier failure. Drop it and open the database again.
    Closed,
    /// The database is open in another process, or a second time in this one.
    Locked,
    /// The file is not a database of this engine.
    NotADatabase,
    /// The file has a format of another version of the engine or of this crate.
    Version,
    /// There is no database at this place.
    NotFound,
    /// A key is empty. Every key has at least one byte, its table.
    EmptyKey,
    /// A key, a value or a batch is over its [limit](crate::Limits).
    TooLarge,
    /// The engine cannot do this.
    Unsupported,
}

impl StorageErrorKind {
    /// Whether the same call may succeed later on the same handle, because the cause is outside the database:
    /// [`Io`](Self::Io) and [`Full`](Self::Full).
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Io | Self::Full)
    }
}

impl fmt::Display for StorageErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Corrupt => "the database is corrupt; restore it from a copy or from other peers",
            Self::Io => "reading or writing the database failed",
            Self::Full => "no space is left for the database; free some and try again",
            Self::Closed => "the database is closed; drop this handle and open it again",
            Self::Locked => "the database is already open; close it in the other process or drop the other handle",
            Self::NotADatabase => "the file belongs to another program; choose another path",
            Self::Version => "the database has the format of another version; open it with that version and copy it",
            Self::NotFound => "there is no database at this path; create it first",
            Self::EmptyKey => "a key is empty; every key begins with the byte of its table",
            Self::TooLarge => "a key, a value or a batch is over the limit of the database",
            Self::Unsupported => "the engine does not support this",
        })
    }
}

/// A read or an open that failed, or the reason why a commit did.
///
/// The engine's own error is the [`source`](Error::source), never part of the type.
#[derive(Clone, Debug)]
pub struct StorageError {
    kind: StorageErrorKind,
    // Shared, because one failed transaction is the answer to every batch that was folded into it.
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl StorageError {
    /// An error without an underlying one.
    #[must_use]
    pub fn new(kind: StorageErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// An error with the engine's own one as its source.
    pub fn with_source(kind: StorageErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: Some(Arc::from(source.into())) }
    }

    /// The sort of the error.
    #[must_use]
    pub fn kind(&self) -> StorageErrorKind {
        self.kind
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl Error for StorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl From<StorageErrorKind> for StorageError {
    fn from(kind: StorageErrorKind) -> Self {
        Self::new(kind)
    }
}

/// Why a commit gave no success.
///
/// Two of the three say that nothing was applied; after [`Unknown`](Self::Unknown) only reopening tells.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A precondition of the batch does not hold. Nothing was applied. Read again and decide again.
    #[error("the precondition on key {} does not hold", Hex(.key))]
    #[non_exhaustive]
    Precondition {
        /// The key of the first precondition that failed.
        key: Bytes,
    },
    /// The batch may have been applied, in full or not at all: the failure came while it was made durable. The handle
    /// is of no more use. Open the database again and read.
    #[error("the outcome of the commit is not known; open the database again and read")]
    #[non_exhaustive]
    Unknown {
        /// What failed.
        #[source]
        source: StorageError,
    },
    /// The batch failed before anything was applied.
    #[error("the commit failed and nothing was applied")]
    Storage(#[source] StorageError),
}

impl CommitError {
    /// A failed precondition on `key`; for those who implement an engine.
    pub fn precondition(key: impl Into<Bytes>) -> Self {
        Self::Precondition { key: key.into() }
    }

    /// An unknown outcome; for those who implement an engine.
    #[must_use]
    pub fn unknown(source: StorageError) -> Self {
        Self::Unknown { source }
    }

    /// Whether it is certain that nothing of the batch was applied.
    #[must_use]
    pub fn nothing_applied(&self) -> bool {
        !matches!(self, Self::Unknown { .. })
    }

    /// Whether the same batch may be committed again on the same handle with a chance of success: nothing was applied
    /// and the cause [is transient](StorageErrorKind::is_transient). A failed precondition is not retryable: the
    /// caller has to read and decide again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Storage(error) if error.kind().is_transient())
    }

    /// Whether the handle is of no more use and the database has to be opened again.
    #[must_use]
    pub fn needs_reopen(&self) -> bool {
        match self {
            Self::Unknown { .. } => true,
            Self::Storage(error) => error.kind() == StorageErrorKind::Closed,
            Self::Precondition { .. } => false,
        }
    }

    /// The key of the failed precondition, if it is one.
    #[must_use]
    pub fn failed_key(&self) -> Option<&Bytes> {
        match self {
            Self::Precondition { key } => Some(key),
            Self::Unknown { .. } | Self::Storage(_) => None,
        }
    }
}

impl From<StorageError> for CommitError {
    /// A failure before anything was applied.
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<StorageErrorKind> for CommitError {
    fn from(kind: StorageErrorKind) -> Self {
        Self::Storage(kind.into())
    }
}

/// Shows a key in hexadecimal, long ones cut.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 48;
        for byte in self.0.iter().take(SHOWN) {
            write!(f, "{byte:02x}")?;
        }
        if self.0.len() > SHOWN {
            write!(f, "… ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
