//! The default engine: [redb](https://docs.rs/redb), a copy-on-write B+tree in one file.
//!
//! This is the only module that names redb. One redb table, `rows`, holds all rows; another, `syncline`, the version of
//! this layout. The file is locked while it is open; a second open, in this process or in another, is
//! [`Locked`](StorageErrorKind::Locked).
//!
//! What redb needs from the disk: a byte that was not written does not change, and a sync that returned has happened. A
//! single byte is written whole or not at all; anything larger may be torn.

mod create;
mod error;
mod options;

use std::{fmt, path::Path, sync::Arc};

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

pub use self::options::{RedbBackend, RedbOptions};
use crate::{
    Batch, CommitError, Database, Direction, Durability, KeyRange, Limits, Op, Scan, Snapshot, StorageError,
    StorageErrorKind,
};

type RowTable = TableDefinition<'static, &'static [u8], &'static [u8]>;

const ROWS: RowTable = TableDefinition::new("rows");
const LAYOUT: TableDefinition<'static, &'static str, u64> = TableDefinition::new("syncline");
const LAYOUT_KEY: &str = "layout";
const LAYOUT_VERSION: u64 = 1;

/// A [`Database`] in one file, by redb.
///
/// An [`Immediate`](Durability::Immediate) commit is one fsync. Only one commit runs at a time, readers never wait; put a
/// [`GroupCommit`](crate::GroupCommit) on top if many threads commit. Pages that [`Eventual`](Durability::Eventual)
/// commits free are used again only after the next `Immediate` one, so commit one now and then.
///
/// The file is closed, and its lock released, when the value and all its snapshots are dropped. Neither deletes nor
/// drops make the file shorter; what is freed is used again.
///
/// ```
/// use syncline_storage::{Batch, Database, Durability, RedbDb};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("peer.redb");
/// let db = RedbDb::create(&path)?;
/// let mut batch = Batch::new();
/// batch.put("greeting", "hello");
/// db.commit(batch, Durability::Immediate)?;
/// drop(db);
///
/// let db = RedbDb::open(&path)?;
/// assert_eq!(db.snapshot()?.get(b"greeting")?.as_deref(), Some(&b"hello"[..]));
/// # Ok(()) }
/// ```
pub struct RedbDb {
    db: Arc<redb::Database>,
    options: RedbOptions,
}

impl RedbDb {
    /// Opens the database at `path`, or makes a new one if there is no file or an empty one, with the default
    /// [`RedbOptions`]. The parent folder has to exist.
    ///
    /// # Errors
    ///
    /// [`Locked`](StorageErrorKind::Locked) if it is open elsewhere, [`NotADatabase`](StorageErrorKind::NotADatabase) if
    /// the file belongs to another program, [`Version`](StorageErrorKind::Version), [`Corrupt`](StorageErrorKind::Corrupt),
    /// [`Full`](StorageErrorKind::Full) or [`Io`](StorageErrorKind::Io).
    pub fn create(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        RedbOptions::new().create(path)
    }

    /// Opens the database at `path` with the default [`RedbOptions`]. An empty file becomes an empty database, since that
    /// is what a machine that stopped while it made one may leave.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create), and [`NotFound`](StorageErrorKind::NotFound) if there is no file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        RedbOptions::new().open(path)
    }

    /// Opens the database on a disk of one's own, or makes a new one if that is empty, with the default [`RedbOptions`].
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn open_backend(backend: RedbBackend) -> Result<Self, StorageError> {
        RedbOptions::new().open_backend(backend)
    }

    /// Takes over an open redb database, and makes it ours if there is nothing in it.
    fn adopt(db: redb::Database, options: RedbOptions) -> Result<Self, StorageError> {
        let txn = db.begin_write().map_err(error::transaction)?;
        let names: Vec<String> = {
            let tables = txn.list_tables().map_err(error::storage)?;
            tables.map(|table| redb::TableHandle::name(&table).to_owned()).collect()
        };
        if names.iter().any(|name| name == "syncline") {
            let layout = txn.open_table(LAYOUT).map_err(error::table)?;
            let version = layout.get(LAYOUT_KEY).map_err(error::storage)?;
            if version.map(|guard| guard.value()) != Some(LAYOUT_VERSION) {
                return Err(StorageErrorKind::Version.into());
            }
        } else if names.is_empty() && !has_multimaps(&txn)? {
            let mut layout = txn.open_table(LAYOUT).map_err(error::table)?;
            layout.insert(LAYOUT_KEY, LAYOUT_VERSION).map_err(error::storage)?;
            drop(layout);
            drop(txn.open_table(ROWS).map_err(error::table)?);
            txn.commit().map_err(error::open_commit)?;
        } else {
            return Err(StorageErrorKind::NotADatabase.into());
        }
        Ok(Self { db: Arc::new(db), options })
    }

    fn begin(&self, durability: Durability) -> Result<WriteTransaction, StorageError> {
        let mut txn = self.db.begin_write().map_err(error::transaction)?;
        let durability = match durability {
            Durability::Immediate => redb::Durability::Immediate,
            Durability::Eventual => redb::Durability::None,
        };
        txn.set_durability(durability)
            .map_err(|source| StorageError::with_source(StorageErrorKind::Unsupported, source))?;
        txn.set_two_phase_commit(self.options.two_phase_commit);
        txn.set_quick_repair(self.options.quick_repair);
        Ok(txn)
    }

    /// Applies what can be applied in one transaction. An `Err` is the result of every batch.
    fn transact(&self, batches: &[Batch], durability: Durability) -> Result<Vec<Result<(), CommitError>>, CommitError> {
        let txn = self.begin(durability)?;
        let mut results = Vec::with_capacity(batches.len());
        // Until the commit an error drops the transaction, which undoes it as a whole.
        let mut rows = txn.open_table(ROWS).map_err(error::table)?;
        for batch in batches {
            let verdict = match self.options.limits.check(batch) {
                Ok(()) => failed_precondition(&rows, batch)?,
                Err(error) => Some(error.into()),
            };
            if verdict.is_none() {
                apply(&mut rows, batch)?;
            }
            results.push(verdict.map_or(Ok(()), Err));
        }
        drop(rows);
        if results.iter().any(Result::is_ok) {
            txn.commit().map_err(error::commit)?;
        }
        Ok(results)
    }
}

impl fmt::Debug for RedbDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbDb").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Database for RedbDb {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
        let txn = self.db.begin_read().map_err(error::transaction)?;
        Ok(Box::new(RedbSnapshot { rows: txn.open_table(ROWS).map_err(error::table)?, _db: Arc::clone(&self.db) }))
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        self.transact(&[batch], durability)?.into_iter().collect()
    }

    fn commit_all(&self, batches: Vec<Batch>, durability: Durability) -> Vec<Result<(), CommitError>> {
        self.transact(&batches, durability).unwrap_or_else(|error| vec![Err(error); batches.len()])
    }

    fn limits(&self) -> Limits {
        self.options.limits
    }
}

type Rows<'txn> = redb::Table<'txn, &'static [u8], &'static [u8]>;

fn failed_precondition(rows: &Rows<'_>, batch: &Batch) -> Result<Option<CommitError>, StorageError> {
    for precondition in batch.preconditions() {
        let found = rows.get(&precondition.key()[..]).map_err(error::storage)?;
        if !precondition.holds(found.as_ref().map(|guard| guard.value())) {
            return Ok(Some(CommitError::precondition(precondition.key().clone())));
        }
    }
    Ok(None)
}

fn apply(rows: &mut Rows<'_>, batch: &Batch) -> Result<(), StorageError> {
    for op in batch.ops() {
        match op {
            Op::Put { key, value } => {
                rows.insert(&key[..], &value[..]).map_err(error::storage)?;
            }
            Op::Delete { key } => {
                rows.remove(&key[..]).map_err(error::storage)?;
            }
            Op::DeleteRange { range } if range.is_empty() => {}
            Op::DeleteRange { range } => {
                rows.retain_in::<&[u8], _>((range.lower(), range.upper()), |_, _| false).map_err(error::storage)?
            }
        }
    }
    Ok(())
}

fn has_multimaps(txn: &WriteTransaction) -> Result<bool, StorageError> {
    let mut tables = txn.list_multimap_tables().map_err(error::storage)?;
    Ok(tables.next().is_some())
}

struct RedbSnapshot {
    // Dropped before the database, which closes only when nothing reads from it any more.
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
    _db: Arc<redb::Database>,
}

impl Snapshot for RedbSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let found = self.rows.get(key).map_err(error::storage)?;
        Ok(found.map(|guard| Bytes::copy_from_slice(guard.value())))
    }

    fn scan(&self, range: KeyRange, direction: Direction) -> Result<Scan<'_>, StorageError> {
        if range.is_empty() {
            return Ok(Box::new(std::iter::empty()));
        }
        let bounds = (range.lower(), range.upper());
        let mut rows = Some(self.rows.range::<&[u8]>(bounds).map_err(error::storage)?);
        Ok(Box::new(std::iter::from_fn(move || {
            let iter = rows.as_mut()?;
            let row = match direction {
                Direction::Forward => iter.next()?,
                Direction::Reverse => iter.next_back()?,
            };
            if row.is_err() {
                rows = None;
            }
            Some(
                row.map_err(error::storage)
                    .map(|(key, value)| (Bytes::copy_from_slice(key.value()), Bytes::copy_from_slice(value.value()))),
            )
        })))
    }
}
