//! redb's errors as ours: what helps the caller, with redb's own error as the source.

use std::io;

use crate::{CommitError, StorageError, StorageErrorKind};

fn kind_of_io(error: &io::Error) -> StorageErrorKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StorageErrorKind::Full
        }
        // The file is shorter than its header says.
        io::ErrorKind::UnexpectedEof => StorageErrorKind::Corrupt,
        io::ErrorKind::Unsupported => StorageErrorKind::Unsupported,
        _ => StorageErrorKind::Io,
    }
}

fn kind_of(error: &redb::StorageError) -> StorageErrorKind {
    match error {
        redb::StorageError::Corrupted(_) => StorageErrorKind::Corrupt,
        redb::StorageError::ValueTooLarge(_) => StorageErrorKind::TooLarge,
        redb::StorageError::Io(error) => kind_of_io(error),
        redb::StorageError::Unsupported => StorageErrorKind::Unsupported,
        // Previous I/O error, closed, poisoned lock: nothing works on this handle any more.
        _ => StorageErrorKind::Closed,
    }
}

pub(super) fn io(error: io::Error) -> StorageError {
    StorageError::with_source(kind_of_io(&error), error)
}

pub(super) fn storage(error: redb::StorageError) -> StorageError {
    StorageError::with_source(kind_of(&error), error)
}

pub(super) fn table(error: redb::TableError) -> StorageError {
    match error {
        redb::TableError::Storage(error) => storage(error),
        // A table of ours that is missing or has other types: not what this crate wrote.
        error => StorageError::with_source(StorageErrorKind::Corrupt, error),
    }
}

pub(super) fn transaction(error: redb::TransactionError) -> StorageError {
    match error {
        redb::TransactionError::Storage(error) => storage(error),
        error => StorageError::with_source(StorageErrorKind::Closed, error),
    }
}

pub(super) fn commit(error: redb::CommitError) -> CommitError {
    match error {
        redb::CommitError::Storage(error) => CommitError::unknown(storage(error)),
        // The transaction was poisoned before and has been rolled back.
        error => StorageError::with_source(StorageErrorKind::Closed, error).into(),
    }
}

/// The commit that makes a new database: whatever its outcome, the next open begins again or finds it done.
pub(super) fn open_commit(error: redb::CommitError) -> StorageError {
    match error {
        redb::CommitError::Storage(error) => storage(error),
        error => StorageError::with_source(StorageErrorKind::Closed, error),
    }
}

pub(super) fn database(error: redb::DatabaseError) -> StorageError {
    let kind = match &error {
        redb::DatabaseError::DatabaseAlreadyOpen | redb::DatabaseError::LockProtocolMismatch => {
            StorageErrorKind::Locked
        }
        redb::DatabaseError::UpgradeRequired(_) => StorageErrorKind::Version,
        redb::DatabaseError::RepairAborted => StorageErrorKind::Corrupt,
        // The magic number is wrong.
        redb::DatabaseError::Storage(redb::StorageError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            StorageErrorKind::NotADatabase
        }
        redb::DatabaseError::Storage(error) => kind_of(error),
        _ => StorageErrorKind::Closed,
    };
    StorageError::with_source(kind, error)
}
