//! Limits, at the limit.

use syncline_storage::{Batch, CommitError, Database, Durability, KeyRange, Limits, MemoryDb, StorageErrorKind};

/// The kind of the refusal, from a database with small limits.
fn refusal(fill: impl FnOnce(&mut Batch) -> &mut Batch) -> Option<StorageErrorKind> {
    let limits = Limits::default().max_key_len(3).max_value_len(5).max_batch_len(20);
    let db = MemoryDb::with_limits(limits);
    assert_eq!(db.limits(), limits);
    let mut batch = Batch::new();
    fill(&mut batch);
    match db.commit(batch, Durability::Immediate) {
        // A precondition that fails has passed the limits.
        Ok(()) | Err(CommitError::Precondition { .. }) => None,
        Err(CommitError::Storage(error)) => {
            assert!(db.is_empty());
            Some(error.kind())
        }
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn each_limit_holds_exactly() {
    let too_large = Some(StorageErrorKind::TooLarge);
    assert_eq!(refusal(|b| b.put("abc", "12345").delete("abc").require_absent("abc")), None);
    assert_eq!(refusal(|b| b.put("abcd", "")), too_large);
    assert_eq!(refusal(|b| b.delete("abcd")), too_large);
    assert_eq!(refusal(|b| b.require_absent("abcd")), too_large);
    assert_eq!(refusal(|b| b.put("abc", "123456")), too_large);
    assert_eq!(refusal(|b| b.put("abc", "12345").put("abc", "12345").put("abc", "1")), None);
    assert_eq!(refusal(|b| b.put("abc", "12345").put("abc", "12345").put("abc", "12")), too_large);
}

#[test]
fn what_is_only_compared_with_is_bounded_by_the_batch_alone() {
    assert_eq!(refusal(|b| b.require_equals("abc", "12345678")), None);
    assert_eq!(refusal(|b| b.delete_range(KeyRange::prefix(b"abcdef"))), None);
    assert_eq!(refusal(|b| b.require_equals("abc", vec![0; 18])), Some(StorageErrorKind::TooLarge));
}

#[test]
fn no_key_is_empty() {
    let empty = Some(StorageErrorKind::EmptyKey);
    assert_eq!(refusal(|b| b.put("", "1")), empty);
    assert_eq!(refusal(|b| b.delete("")), empty);
    assert_eq!(refusal(|b| b.require_absent("")), empty);
    assert_eq!(refusal(|b| b.require_equals("", "")), empty);
    assert_eq!(refusal(|b| b.delete_range(KeyRange::prefix(b""))), None);
}

#[test]
fn defaults_are_as_documented() {
    let limits = Limits::default();
    assert_eq!(limits.max_key_len, 65_535);
    assert_eq!(limits.max_value_len, 256 * 1024 * 1024);
    assert_eq!(limits.max_batch_len, 1024 * 1024 * 1024);
}
