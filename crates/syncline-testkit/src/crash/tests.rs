use syncline_storage::{Batch, CommitFault, Database, Durability, FaultDb, FaultScript, KeyRange, MemoryDb, Remains};

use super::*;
use crate::seed::for_each_seed;

fn run(seed: u64, at: u64, remains: Remains) -> Result<(), Breach> {
    let script = FaultScript::new().at_commit(at, CommitFault::Crash(remains));
    let db = FaultDb::new(MemoryDb::new(), script).unwrap();
    let mut work = Workload::new(seed);
    while work.step(&db).is_ok() {}
    db.reopen().unwrap();
    work.check(&db)?;
    for _ in 0..5 {
        work.step(&db).unwrap();
    }
    work.check(&db)
}

#[test]
fn honest_crashes_pass() {
    for_each_seed(0..40, |seed| {
        for at in 1..12 {
            for remains in
                [Remains::Synced, Remains::Pending(0), Remains::Pending(1), Remains::Pending(3), Remains::Applied]
            {
                if let Err(breach) = run(seed, at, remains) {
                    panic!("{remains:?} at commit {at}: {breach}");
                }
            }
        }
    });
}

#[test]
fn torn_commits_are_noticed() {
    let (mut noticed, mut all) = (0, 0);
    for seed in 0..40 {
        for at in 2..12 {
            all += 1;
            noticed += u32::from(matches!(run(seed, at, Remains::Torn(1)), Err(Breach::Partial { .. })));
        }
    }
    // The first change may be one that changes nothing, or the only one.
    assert!(noticed * 10 > all * 6, "{noticed} of {all}");
}

#[test]
fn lost_commits_are_noticed() {
    let db = MemoryDb::new();
    let mut work = Workload::new(3);
    while work.acknowledged_commits() < 5 {
        work.step(&db).unwrap();
    }
    let mut wipe = Batch::new();
    wipe.delete_range(KeyRange::all());
    db.commit(wipe, Durability::Immediate).unwrap();
    assert!(matches!(work.check(&db), Err(Breach::Lost { found: 0, .. })));
}

#[test]
fn failed_commits_that_are_there_are_noticed() {
    let db = MemoryDb::new();
    let mut work = Workload::new(4);
    work.step(&db).unwrap();
    // Another writer does what the next step would do, and the step fails.
    let mut ahead = Batch::new();
    ahead.put("number", 2u64.to_be_bytes().to_vec());
    let failing =
        FaultDb::new(db, FaultScript::new().at_commit(1, CommitFault::Fail(syncline_storage::StorageErrorKind::Io)))
            .unwrap();
    work.step(&failing).unwrap_err();
    failing.commit(ahead, Durability::Immediate).unwrap();
    assert!(matches!(work.check(&failing), Err(Breach::Invented { found: 2 })));
}
