//! The n-th operation fails, for every n.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{cell::RefCell, io, sync::Arc};

use syncline_storage::{
    CommitFault, Database, FaultDb, FaultScript, MemoryDb, RedbDb, Remains, StorageError, StorageErrorKind,
    redb::RedbOptions,
};
use syncline_testkit::disk::SimDisk;

use crate::ledger::{Ledger, Verdict};

const TRANSFERS: u32 = 40;

type Faulty = Arc<FaultDb<MemoryDb>>;

fn play(script: FaultScript, transfers: u32) -> (Verdict, Faulty) {
    let db: Faulty = Arc::new(FaultDb::new(MemoryDb::new(), script).unwrap());
    let mut open = || -> Result<Arc<dyn Database>, StorageError> {
        if db.is_crashed() {
            db.reopen()?;
        }
        Ok(Arc::clone(&db) as Arc<dyn Database>)
    };
    let verdict = Ledger::new(transfers, &mut open).play();
    (verdict, db)
}

/// Faults that an honest engine may have.
const COMMIT_FAULTS: [CommitFault; 8] = [
    CommitFault::Fail(StorageErrorKind::Io),
    CommitFault::Fail(StorageErrorKind::Full),
    CommitFault::Fail(StorageErrorKind::Closed),
    CommitFault::Crash(Remains::Synced),
    CommitFault::Crash(Remains::Pending(0)),
    CommitFault::Crash(Remains::Pending(1)),
    CommitFault::Crash(Remains::Pending(2)),
    CommitFault::Crash(Remains::Applied),
];

#[test]
fn the_nth_commit_fails() {
    let (verdict, db) = play(FaultScript::new(), TRANSFERS);
    assert_eq!(verdict, Verdict::Right);
    let commits = db.counts().commits;
    assert!(commits > u64::from(TRANSFERS));
    for fault in COMMIT_FAULTS {
        for n in 1..=commits {
            let (verdict, db) = play(FaultScript::new().at_commit(n, fault), TRANSFERS);
            assert_eq!(verdict, Verdict::Right, "{fault:?} at commit {n}");
            assert_eq!(db.counts().faults, 1, "{fault:?} at commit {n} did not happen");
        }
    }
}

#[test]
fn the_nth_and_the_mth_commit_fail() {
    const FEW: u32 = 12;
    let commits = play(FaultScript::new(), FEW).1.counts().commits;
    for first in COMMIT_FAULTS {
        for second in COMMIT_FAULTS {
            for n in 1..=commits {
                for m in n + 1..=commits + 1 {
                    let script = FaultScript::new().at_commit(n, first).at_commit(m, second);
                    let (verdict, _) = play(script, FEW);
                    assert_eq!(verdict, Verdict::Right, "{first:?} at {n}, {second:?} at {m}");
                }
            }
        }
    }
}

#[test]
fn the_nth_read_fails() {
    let reads = play(FaultScript::new(), TRANSFERS).1.counts().reads;
    for kind in [StorageErrorKind::Io, StorageErrorKind::Corrupt, StorageErrorKind::Closed] {
        for n in 1..=reads {
            let (verdict, db) = play(FaultScript::new().at_read(n, kind), TRANSFERS);
            assert_eq!(verdict, Verdict::Right, "{kind:?} at read {n}");
            assert_eq!(db.counts().faults, 1, "{kind:?} at read {n} did not happen");
        }
    }
}

#[test]
fn a_torn_commit_is_noticed() {
    let commits = play(FaultScript::new(), TRANSFERS).1.counts().commits;
    // The first sets up the accounts, the last is the barrier; those between have three changes each.
    for n in 2..commits {
        for ops in [1, 2] {
            let fault = CommitFault::Crash(Remains::Torn(ops));
            let (verdict, _) = play(FaultScript::new().at_commit(n, fault), TRANSFERS);
            assert_eq!(verdict, Verdict::Wrong, "{ops} changes of commit {n}");
        }
    }
}

/// What the disk does at its n-th operation.
#[derive(Clone, Copy, Debug)]
enum DiskFault {
    None,
    Error(io::ErrorKind),
    PowerLoss,
}

/// Plays on redb.
fn play_on_disk(disk: &SimDisk, fault: DiskFault, n: u64) -> Verdict {
    match fault {
        DiskFault::None => {}
        DiskFault::Error(kind) => disk.fail_after(n, kind),
        DiskFault::PowerLoss => disk.crash_after(n),
    }
    let opened: RefCell<Option<Arc<RedbDb>>> = RefCell::default();
    let mut open = || -> Result<Arc<dyn Database>, StorageError> {
        // The program before is gone; what it wrote is in the cache of the machine.
        opened.replace(None);
        let options = RedbOptions::new().cache_bytes(128 << 10);
        let db = Arc::new(options.open_backend(disk.backend())?);
        opened.replace(Some(Arc::clone(&db)));
        Ok(db)
    };
    Ledger::new(15, &mut open).play()
}

#[test]
fn the_nth_operation_of_the_disk_fails() {
    let whole = SimDisk::new(0);
    assert_eq!(play_on_disk(&whole, DiskFault::None, 0), Verdict::Right);
    let operations = whole.stats().operations;
    assert!(operations > 50, "{operations}");
    for fault in [
        DiskFault::Error(io::ErrorKind::Other),
        DiskFault::Error(io::ErrorKind::StorageFull),
        DiskFault::Error(io::ErrorKind::Interrupted),
        DiskFault::PowerLoss,
    ] {
        for n in 0..operations {
            let disk = SimDisk::new(n);
            let verdict = play_on_disk(&disk, fault, n);
            assert_eq!(verdict, Verdict::Right, "{fault:?} at operation {n}");
        }
    }
}
