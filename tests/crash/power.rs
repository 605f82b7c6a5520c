//! Loss of power, on a simulated disk.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use syncline_storage::{
    Batch, CommitError, Database, Durability, Snapshot, StorageError,
    redb::{RedbDb, RedbOptions},
};
use syncline_testkit::{
    crash::{Breach, Workload},
    disk::{DiskStats, SimDisk},
    seed::{Rng, for_each_seed},
};

/// Crashes per disk.
const LIVES: u64 = 100;

/// Figures of a run, for those who read the output.
#[derive(Debug, Default)]
struct Total {
    crashes: u64,
    torn: u64,
    dropped: u64,
    kept: u64,
    syncs: u64,
    while_opening: u64,
    acknowledged: u64,
}

impl Total {
    fn add(&mut self, disk: DiskStats, work: &Workload, while_opening: u64) {
        self.crashes += disk.crashes;
        self.torn += disk.torn;
        self.dropped += disk.dropped;
        self.kept += disk.kept;
        self.syncs += disk.syncs;
        self.while_opening += while_opening;
        self.acknowledged += work.acknowledged_commits();
    }
}

/// Opens the database on a disk.
type Open = dyn Fn(&SimDisk) -> Result<Box<dyn Database>, StorageError>;

/// Opens, checks, works and crashes again and again. Begins with an empty disk, so that the creation is cut short too.
fn live_and_die(disk: &SimDisk, seed: u64, open: &Open, total: &mut Total) -> Result<(), Breach> {
    let mut rng = Rng::new(seed);
    let mut work = Workload::new(seed);
    let mut while_opening = 0;
    for _ in 0..LIVES {
        // The first of these come while the file is made or repaired.
        let most = *rng.pick(&[10, 40, 200]).unwrap_or(&40);
        disk.crash_after(rng.below(most));
        match open(disk) {
            Ok(db) => {
                if let Err(breach) = work.check(&*db) {
                    total.add(disk.stats(), &work, while_opening);
                    return Err(breach);
                }
                work_until_the_end(disk, &*db, &mut work, &mut rng)?;
            }
            Err(_) if disk.is_crashed() => while_opening += 1,
            Err(error) => return Err(Breach::Unreadable(error)),
        }
        // Closed or not: the power goes.
        disk.crash();
    }
    total.add(disk.stats(), &work, while_opening);
    Ok(())
}

fn work_until_the_end(disk: &SimDisk, db: &dyn Database, work: &mut Workload, rng: &mut Rng) -> Result<(), Breach> {
    // Now and then the power goes while the database is being closed, or after that.
    while !rng.chance(1, 100) {
        match work.step(db) {
            Ok(()) => {}
            Err(_) if disk.is_crashed() => return Ok(()),
            Err(CommitError::Storage(error)) => return Err(Breach::Unreadable(error)),
            Err(error) => panic!("a commit failed on a disk that works: {error:?}"),
        }
    }
    Ok(())
}

fn with_options(options: RedbOptions) -> impl Fn(&SimDisk) -> Result<Box<dyn Database>, StorageError> {
    // A small cache, so that pages are written before their commit as well.
    let options = options.cache_bytes(128 << 10);
    move |disk| Ok(Box::new(options.open_backend(disk.backend())?))
}

/// Runs on so many disks, each with its own seed from `first` on. `SYNCLINE_SOAK=n` runs on n times as many.
fn honest(first: u64, disks: u64, options: RedbOptions) -> Total {
    let soak: u64 = std::env::var("SYNCLINE_SOAK").map_or(1, |factor| factor.parse().expect("a number"));
    let seeds = first..first + disks * soak;
    let mut total = Total::default();
    for_each_seed(seeds.clone(), |seed| {
        let disk = SimDisk::new(seed);
        if let Err(breach) = live_and_die(&disk, seed, &with_options(options), &mut total) {
            panic!("{breach}: {breach:?}");
        }
    });
    let wanted = syncline_testkit::seed::from_env().map_or(seeds.end - seeds.start, |_| 1) * LIVES;
    assert_eq!(total.crashes, wanted, "{total:?}");
    assert!(total.torn > 0 && total.dropped > 0 && total.kept > 0 && total.while_opening > 0, "{total:?}");
    total
}

// Two tests instead of one, so that two cores share the work.
#[test]
fn acknowledged_commits_survive_the_loss_of_power() {
    println!("{:?}", honest(0, 110, RedbOptions::new()));
}

#[test]
fn acknowledged_commits_survive_the_loss_of_power_too() {
    println!("{:?}", honest(1 << 32, 110, RedbOptions::new()));
}

#[test]
fn with_quick_repair() {
    println!("{:?}", honest(2 << 32, 15, RedbOptions::new().quick_repair(true)));
}

#[test]
fn with_two_phase_commit_and_verification() {
    let options = RedbOptions::new().two_phase_commit(true).verify_on_open(true);
    println!("{:?}", honest(3 << 32, 15, options));
}

/// Runs until a promise is broken or the lives are over. A panic of the engine counts: it found nonsense on its disk.
fn is_noticed(disk: &SimDisk, seed: u64, open: &Open) -> bool {
    let run = || live_and_die(disk, seed, open, &mut Total::default());
    !matches!(catch_unwind(AssertUnwindSafe(run)), Ok(Ok(())))
}

#[test]
fn a_disk_that_lies_about_fsync_is_noticed() {
    let noticed: u32 = (0..40)
        .map(|seed| is_noticed(&SimDisk::lying(seed), seed, &with_options(RedbOptions::new())))
        .map(u32::from)
        .sum();
    println!("noticed on {noticed} of 40 disks");
    assert!(noticed >= 36, "a disk that lies was noticed on only {noticed} of 40");
}

/// Acknowledges immediate commits before they are durable.
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
    for seed in 0..20 {
        let open = |disk: &SimDisk| -> Result<Box<dyn Database>, StorageError> {
            Ok(Box::new(Hasty(RedbDb::open_backend(disk.backend())?)))
        };
        assert!(is_noticed(&SimDisk::new(seed), seed, &open), "not noticed with seed {seed}");
    }
}
