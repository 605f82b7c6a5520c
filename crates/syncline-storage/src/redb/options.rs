//! How a redb file is opened.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    ops::Bound,
    path::Path,
};

use redb::{BackendError, StorageBackend, backends::FileBackend};

use super::{RedbDb, create, error};
use crate::{Limits, StorageError, StorageErrorKind};

/// How a [`RedbDb`] is opened and how it commits. The defaults are right for most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedbOptions {
    pub(super) cache_bytes: usize,
    pub(super) verify_on_open: bool,
    pub(super) two_phase_commit: bool,
    pub(super) quick_repair: bool,
    pub(super) limits: Limits,
}

impl Default for RedbOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            verify_on_open: false,
            two_phase_commit: false,
            quick_repair: false,
            limits: Limits::default(),
        }
    }
}

impl RedbOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Memory for pages of the file, in bytes. Default 64 MiB.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Whether each open reads the whole file and compares the checksum of every page. Default no: then only an open
    /// after a crash does. Without it a file that something else has changed since a clean close may be
    /// found out late, by a panic in redb instead of a [`Corrupt`](StorageErrorKind::Corrupt).
    #[must_use]
    pub fn verify_on_open(mut self, verify: bool) -> Self {
        self.verify_on_open = verify;
        self
    }

    /// Whether an [`Immediate`](crate::Durability::Immediate) commit syncs twice, its data before the byte that makes it
    /// valid. Default no: then one sync covers both, and after a crash a checksum, which is not a cryptographic
    /// one, tells whether the last commit is whole. Someone who chooses what is stored, knows the file to the byte, and
    /// chooses when the machine loses its power and which pages reach the disk, could forge that.
    #[must_use]
    pub fn two_phase_commit(mut self, enabled: bool) -> Self {
        self.two_phase_commit = enabled;
        self
    }

    /// Whether each [`Immediate`](crate::Durability::Immediate) commit also stores what makes the open after a crash fast,
    /// instead of that open reading the whole file. Default no. Implies
    /// [`two_phase_commit`](Self::two_phase_commit); commits cost more.
    #[must_use]
    pub fn quick_repair(mut self, enabled: bool) -> Self {
        self.quick_repair = enabled;
        self
    }

    /// Limits of keys, values and batches. A database may be opened with lower limits than it was filled with: reads do
    /// not look at them.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// As [`RedbDb::create`], with these options.
    ///
    /// # Errors
    ///
    /// Those of [`RedbDb::create`].
    pub fn create(self, path: impl AsRef<Path>) -> Result<RedbDb, StorageError> {
        let path = path.as_ref();
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(error::io)?;
        create::discard_unfinished_file(&file)?;
        let new = file.metadata().map_err(error::io)?.len() == 0;
        let db = self.open_file(file)?;
        if new {
            sync_parent(path).map_err(error::io)?;
        }
        Ok(db)
    }

    /// As [`RedbDb::open`], with these options.
    ///
    /// # Errors
    ///
    /// Those of [`RedbDb::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<RedbDb, StorageError> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => StorageError::with_source(StorageErrorKind::NotFound, error),
            _ => error::io(error),
        })?;
        create::discard_unfinished_file(&file)?;
        self.open_file(file)
    }

    /// As [`RedbDb::open_backend`], with these options.
    ///
    /// # Errors
    ///
    /// Those of [`RedbDb::create`].
    pub fn open_backend(self, backend: RedbBackend) -> Result<RedbDb, StorageError> {
        create::discard_unfinished(&backend).map_err(error::io)?;
        let db = redb::Builder::new()
            .set_cache_size(self.cache_bytes)
            .set_check_integrity_on_open(self.verify_on_open)
            .create_with_backend(backend)
            .map_err(error::database)?;
        RedbDb::adopt(db, self)
    }

    fn open_file(self, file: File) -> Result<RedbDb, StorageError> {
        let backend = FileBackend::new(file).map_err(error::database)?;
        let db = redb::Builder::new()
            .set_cache_size(self.cache_bytes)
            .set_check_integrity_on_open(self.verify_on_open)
            .create_with_backend(backend)
            .map_err(error::database)?;
        RedbDb::adopt(db, self)
    }
}

/// Makes the name of a new file durable: a sync of the file alone does not promise that its folder lists it.
#[cfg(unix)]
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)?.sync_all()
}

#[cfg(not(unix))]
fn sync_parent(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// A disk of one's own for a [`RedbDb`]: anything that implements redb's `StorageBackend`, for instance the simulated
/// disk of the testkit.
pub struct RedbBackend(Box<dyn StorageBackend>);

impl RedbBackend {
    /// Wraps a backend. What redb says about its implementation holds here too.
    pub fn new(backend: impl StorageBackend) -> Self {
        Self(Box::new(backend))
    }
}

impl fmt::Debug for RedbBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedbBackend")
    }
}

impl StorageBackend for RedbBackend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_shared_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.query_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }
}
