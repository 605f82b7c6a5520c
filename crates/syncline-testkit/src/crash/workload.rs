//! Random batches, and what must be left of them after a crash.

use std::collections::BTreeMap;

use bytes::Bytes;
use syncline_storage::{Batch, CommitError, Database, Direction, Durability, KeyRange, Op, StorageError};

use crate::seed::Rng;

/// A promise that a database broke.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Breach {
    /// An acknowledged commit is gone.
    #[error("commit {acknowledged} was acknowledged as durable, and only commit {found} is there")]
    #[non_exhaustive]
    Lost {
        /// The newest commit that had to be there.
        acknowledged: u64,
        /// The newest commit that is.
        found: u64,
    },
    /// The rows are those of no commit: a part of a batch, or rows of two commits.
    #[error("the rows are not those of commit {found} (first difference at key {key:?})")]
    #[non_exhaustive]
    Partial {
        /// The commit to which the newest row belongs.
        found: u64,
        /// The first key whose row differs.
        key: Bytes,
    },
    /// A commit is there that failed, or that was never made.
    #[error("commit {found} is there, which was not applied")]
    #[non_exhaustive]
    Invented {
        /// Its number.
        found: u64,
    },
    /// The database does not open any more, or cannot be read.
    #[error("the database cannot be read")]
    Unreadable(#[source] StorageError),
}

type Rows = BTreeMap<Bytes, Bytes>;

/// The row with the number of the newest commit; every batch sets it.
const NUMBER: Bytes = Bytes::from_static(b"number");

/// A writer with a memory. Each batch of it changes several rows and one number, so that lost, partial and reordered
/// batches show.
///
/// ```
/// use syncline_storage::{FaultDb, FaultScript, MemoryDb};
/// use syncline_testkit::crash::Workload;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let db = FaultDb::new(MemoryDb::new(), FaultScript::new())?;
/// let mut work = Workload::new(1);
/// for _ in 0..20 {
///     work.step(&db)?;
/// }
/// db.crash(0)?;
/// db.reopen()?;
/// work.check(&db)?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Workload {
    rng: Rng,
    /// The states that may be found, by their number: the last durable one and all after it.
    possible: BTreeMap<u64, Rows>,
    /// The least number that must be found.
    acknowledged: u64,
    /// The number of the newest batch that was made.
    newest: u64,
    commits: u64,
}

impl Workload {
    /// A writer that begins with an empty database.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            possible: BTreeMap::from([(0, Rows::new())]),
            acknowledged: 0,
            newest: 0,
            commits: 0,
        }
    }

    /// Number of commits that were acknowledged as durable.
    #[must_use]
    pub fn acknowledged_commits(&self) -> u64 {
        self.commits
    }

    /// Commits a random batch, most of them immediate, or now and then an empty one, which makes all before it durable.
    ///
    /// # Errors
    ///
    /// What the commit gave. After an error that [needs a reopen](CommitError::needs_reopen) the database has to be
    /// opened again and [checked](Self::check) before the next step.
    pub fn step(&mut self, db: &dyn Database) -> Result<(), CommitError> {
        if self.rng.chance(1, 8) {
            return self.barrier(db);
        }
        let before = self.possible.last_key_value().map(|(_, rows)| rows.clone()).unwrap_or_default();
        let (batch, after) = self.batch(before);
        let durability = match self.rng.chance(3, 4) {
            true => Durability::Immediate,
            false => Durability::Eventual,
        };
        let number = self.newest;
        self.possible.insert(number, after);
        let result = db.commit(batch, durability);
        match &result {
            Ok(()) if durability == Durability::Immediate => self.durable(number),
            Ok(()) => {}
            Err(error) if error.nothing_applied() => drop(self.possible.remove(&number)),
            Err(_) => {}
        }
        result
    }

    fn barrier(&mut self, db: &dyn Database) -> Result<(), CommitError> {
        db.commit(Batch::new(), Durability::Immediate)?;
        if let Some((newest, _)) = self.possible.last_key_value() {
            self.durable(*newest);
        }
        Ok(())
    }

    /// Compares a database that was just opened with what must and may be there, and goes on from what it holds.
    ///
    /// # Errors
    ///
    /// The promise that the database broke.
    pub fn check(&mut self, db: &dyn Database) -> Result<(), Breach> {
        let found = read(db).map_err(Breach::Unreadable)?;
        let number = found.get(&NUMBER).and_then(|value| value.get(..8)?.try_into().ok()).map_or(0, u64::from_be_bytes);
        if number < self.acknowledged {
            return Err(Breach::Lost { acknowledged: self.acknowledged, found: number });
        }
        let Some(expected) = self.possible.get(&number) else {
            return Err(Breach::Invented { found: number });
        };
        if let Some(key) = first_difference(&found, expected) {
            return Err(Breach::Partial { found: number, key });
        }
        self.acknowledged = number;
        self.possible = BTreeMap::from([(number, found)]);
        Ok(())
    }

    fn durable(&mut self, number: u64) {
        self.acknowledged = number;
        self.possible = self.possible.split_off(&number);
        self.commits += 1;
    }

    fn batch(&mut self, mut rows: Rows) -> (Batch, Rows) {
        let mut batch = Batch::new();
        if let Some(number) = rows.get(&NUMBER)
            && self.rng.chance(1, 3)
        {
            batch.require_equals(NUMBER, number.clone());
        }
        for _ in 0..1 + self.rng.index(7) {
            match self.rng.below(20) {
                0 => batch.delete_range(KeyRange::prefix(&self.key()[..1])),
                1..5 => batch.delete(self.key()),
                _ => batch.put(self.key(), self.value()),
            };
        }
        self.newest += 1;
        batch.put(NUMBER, self.newest.to_be_bytes().to_vec());
        for op in batch.ops() {
            match op {
                Op::Put { key, value } => drop(rows.insert(key.clone(), value.clone())),
                Op::Delete { key } => drop(rows.remove(key)),
                Op::DeleteRange { range } => rows.retain(|key, _| !range.contains(key)),
            }
        }
        (batch, rows)
    }

    /// One of 60 keys.
    fn key(&mut self) -> Vec<u8> {
        let number = u8::try_from(self.rng.below(60)).unwrap_or_default();
        vec![b'0' + number / 6, b'a' + number % 6, b'.', b'k']
    }

    fn value(&mut self) -> Vec<u8> {
        let len = match self.rng.below(40) {
            0 => self.rng.index(12_000),
            1 => 0,
            _ => self.rng.index(250),
        };
        self.rng.bytes(len)
    }
}

fn read(db: &dyn Database) -> Result<Rows, StorageError> {
    db.snapshot()?.scan(KeyRange::all(), Direction::Forward)?.collect()
}

fn first_difference(found: &Rows, expected: &Rows) -> Option<Bytes> {
    let keys = found.keys().chain(expected.keys());
    keys.filter(|key| found.get(*key) != expected.get(*key)).min().cloned()
}
