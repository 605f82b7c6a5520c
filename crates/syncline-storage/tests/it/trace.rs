//! The journal.

use syncline_storage::{
    Batch, CommitError, CommitFault, Database, Direction, Durability, FaultDb, FaultScript, KeyRange, MemoryDb,
    Remains, StorageErrorKind, TraceDb, TraceEvent, TraceOutcome,
};

use crate::put;

#[test]
fn everything_stands_in_its_order() {
    let db = TraceDb::new(MemoryDb::new());
    db.mark("begin");
    db.commit(put("a", "secret"), Durability::Eventual).unwrap();
    let snapshot = db.snapshot().unwrap();
    snapshot.get(b"a").unwrap();
    snapshot.get(b"b").unwrap();
    let rows = snapshot.scan(KeyRange::prefix(b"a"), Direction::Reverse).unwrap();
    assert_eq!(rows.count(), 1);
    let mut batch = put("x", "secret");
    batch.require_absent("a");
    db.commit(batch, Durability::Immediate).unwrap_err();
    db.commit_all(vec![put("c", "1"), put("", "2")], Durability::Immediate);
    db.mark(format!("end {}", 1));
    assert_eq!(
        format!("{:#?}", db.journal()),
        "[
    Mark \"begin\",
    Commit Eventual Applied [Put(61, 6 bytes)],
    Snapshot #1,
    Get 61 from #1: Some(true),
    Get 62 from #1: Some(false),
    Scan KeyRange { lower: Included(61), upper: Excluded(62) } Reverse from #1,
    Commit Immediate Precondition [Put(78, 6 bytes)],
    Commit Immediate Applied [Put(63, 1 bytes)],
    Commit Immediate Failed [Put(, 1 bytes)],
    Mark \"end 1\",
]"
    );
    db.clear();
    assert!(db.journal().is_empty());
    assert_eq!(db.inner().len(), 2);
}

#[test]
fn durable_before_a_mark() {
    let db = TraceDb::new(MemoryDb::new());
    db.commit(put("early", "1"), Durability::Immediate).unwrap();
    db.commit(put("eventual", "1"), Durability::Eventual).unwrap();
    db.mark("first");
    db.commit(put("late", "1"), Durability::Immediate).unwrap();
    let mut failed = put("failed", "1");
    failed.require_absent("late");
    db.commit(failed, Durability::Immediate).unwrap_err();
    let mut range = Batch::new();
    range.delete_range(KeyRange::prefix(b"ran")).delete("gone");
    db.commit(range, Durability::Immediate).unwrap();
    db.mark("second");
    db.mark("first");

    for (key, first, second) in [
        ("early", true, true),
        // The commit behind it made it durable, after the first mark.
        ("eventual", false, true),
        ("late", false, true),
        ("failed", false, false),
        ("range", false, true),
        ("gone", false, true),
        ("never", false, false),
    ] {
        assert_eq!(db.is_durable_before(key.as_bytes(), "first"), first, "{key}");
        assert_eq!(db.is_durable_before(key.as_bytes(), "second"), second, "{key}");
        assert!(!db.is_durable_before(key.as_bytes(), "no such mark"));
    }
}

#[test]
fn failures_of_the_database_below_are_passed_on_and_written_down() {
    let script = FaultScript::new()
        .at_commit(1, CommitFault::Fail(StorageErrorKind::Full))
        .at_commit(2, CommitFault::Crash(Remains::Applied))
        .at_read(2, StorageErrorKind::Io);
    let db = TraceDb::new(FaultDb::new(MemoryDb::new(), script).unwrap());
    let snapshot = db.snapshot().unwrap();
    assert_eq!(snapshot.get(b"a").unwrap_err().kind(), StorageErrorKind::Io);
    let failed = db.commit(put("a", "1"), Durability::Immediate).unwrap_err();
    assert!(matches!(failed, CommitError::Storage(_)));
    let unknown = db.commit(put("a", "1"), Durability::Immediate).unwrap_err();
    assert!(matches!(unknown, CommitError::Unknown { .. }));
    db.snapshot().unwrap_err();
    let outcomes: Vec<_> = db
        .journal()
        .into_iter()
        .map(|event| match event {
            TraceEvent::Commit { outcome, .. } => Some(outcome),
            TraceEvent::Get { found, .. } => {
                assert_eq!(found, None);
                None
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        outcomes,
        [None, None, Some(TraceOutcome::Failed), Some(TraceOutcome::Unknown)],
        "a snapshot that failed is not in the journal"
    );
}
