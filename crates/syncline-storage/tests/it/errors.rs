//! What errors say and what they advise.

use std::error::Error;

use syncline_storage::{CommitError, StorageError, StorageErrorKind};

const KINDS: [StorageErrorKind; 11] = [
    StorageErrorKind::Corrupt,
    StorageErrorKind::Io,
    StorageErrorKind::Full,
    StorageErrorKind::Closed,
    StorageErrorKind::Locked,
    StorageErrorKind::NotADatabase,
    StorageErrorKind::Version,
    StorageErrorKind::NotFound,
    StorageErrorKind::EmptyKey,
    StorageErrorKind::TooLarge,
    StorageErrorKind::Unsupported,
];

#[test]
fn only_transient_failures_may_be_tried_again() {
    for kind in KINDS {
        let transient = matches!(kind, StorageErrorKind::Io | StorageErrorKind::Full);
        assert_eq!(kind.is_transient(), transient);
        let failed = CommitError::from(kind);
        assert_eq!(failed.is_retryable(), transient);
        assert!(failed.nothing_applied());
        assert_eq!(failed.needs_reopen(), kind == StorageErrorKind::Closed);

        let unknown = CommitError::unknown(kind.into());
        assert!(!unknown.is_retryable() && !unknown.nothing_applied() && unknown.needs_reopen());
    }
    let precondition = CommitError::precondition("k");
    assert!(!precondition.is_retryable() && precondition.nothing_applied());
    assert!(!precondition.needs_reopen());
}

#[test]
fn messages_are_distinct_and_sources_are_kept() {
    let messages: std::collections::BTreeSet<String> = KINDS.iter().map(ToString::to_string).collect();
    assert_eq!(messages.len(), KINDS.len());
    for message in messages {
        assert!(message.starts_with(|first: char| first.is_ascii_lowercase()), "{message}");
        assert!(!message.ends_with('.'), "{message}");
    }
    let inner = std::io::Error::other("the cable");
    let error = CommitError::unknown(StorageError::with_source(StorageErrorKind::Io, inner));
    let source = error.source().unwrap();
    assert_eq!(source.to_string(), StorageErrorKind::Io.to_string());
    assert_eq!(source.source().unwrap().to_string(), "the cable");
}

#[test]
fn keys_are_shown_in_hexadecimal_and_cut() {
    let error = CommitError::precondition(vec![0xab, 0x00]);
    assert_eq!(error.to_string(), "the precondition on key ab00 does not hold");
    let long = CommitError::precondition(vec![0x11; 1000]).to_string();
    assert!(long.len() < 200 && long.contains("(1000 bytes)"), "{long}");
}
