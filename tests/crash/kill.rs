//! A process that is killed while it writes.

use syncline_storage::{Batch, CommitError, Database, Durability, RedbDb, Snapshot, StorageError};
use syncline_testkit::crash::{Breach, KillTest, survives_kills};

#[test]
fn acknowledged_commits_survive_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let report = survives_kills(
        "kill::acknowledged_commits_survive_sigkill",
        folder.path(),
        KillTest::default().kills(200),
        |path| RedbDb::create(path),
    );
    println!("{report:?}");
    let report = report.unwrap();
    assert_eq!(report.kills, 200);
    assert!(report.acknowledged > 0 && report.silent < report.kills, "{report:?}");
}

/// Keeps in memory what it acknowledges as durable.
#[derive(Debug)]
struct Hasty(RedbDb);

impl Database for Hasty {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
        self.0.snapshot()
    }

    fn commit(&self, batch: Batch, _durability: Durability) -> Result<(), CommitError> {
        self.0.commit(batch, Durability::Eventual)
    }
}

#[test]
fn an_engine_that_acknowledges_too_early_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let report = survives_kills(
        "kill::an_engine_that_acknowledges_too_early_is_noticed",
        folder.path(),
        KillTest::default().kills(20),
        |path| RedbDb::create(path).map(Hasty),
    );
    assert!(matches!(report, Err(Breach::Lost { .. })), "{report:?}");
}

/// Applies the changes of a batch one after the other.
#[derive(Debug)]
struct Splitting(RedbDb);

impl Database for Splitting {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
        self.0.snapshot()
    }

    fn commit(&self, batch: Batch, _durability: Durability) -> Result<(), CommitError> {
        for op in batch.into_ops() {
            let mut single = Batch::new();
            match op {
                syncline_storage::Op::Put { key, value } => single.put(key, value),
                syncline_storage::Op::Delete { key } => single.delete(key),
                syncline_storage::Op::DeleteRange { range } => single.delete_range(range),
            };
            self.0.commit(single, Durability::Immediate)?;
        }
        Ok(())
    }
}

#[test]
fn an_engine_that_splits_batches_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let report = survives_kills(
        "kill::an_engine_that_splits_batches_is_noticed",
        folder.path(),
        KillTest::default().kills(100),
        |path| RedbDb::create(path).map(Splitting),
    );
    assert!(matches!(report, Err(Breach::Partial { .. })), "{report:?}");
}
