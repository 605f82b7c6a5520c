//! A simulated disk under the redb engine: it loses its power at a chosen operation, and what was not synced is then
//! kept, dropped or torn, in any order.
//!
//! The model is that of a file on a disk with a volatile cache. A write changes what the process reads back at once; a
//! sync makes all writes before it durable. When the power goes, each write since the last sync survives as a whole, not
//! at all, or as any piece of itself, whichever came first; changes of the length survive up to some point. A
//! single byte is never torn, and what was synced never changes: there is no bit rot and no misdirected write in it.
//! A disk that [lies](SimDisk::lying) answers a sync without doing it, to show that a checker can fail.
//!
//! ```
//! use syncline_storage::{Batch, Database, Durability, RedbDb};
//! use syncline_testkit::disk::SimDisk;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let disk = SimDisk::new(7);
//! let db = RedbDb::open_backend(disk.backend())?;
//! let mut batch = Batch::new();
//! batch.put("k", "v");
//! db.commit(batch, Durability::Immediate)?;
//!
//! disk.crash();
//! let after = RedbDb::open_backend(disk.backend())?;
//! assert_eq!(after.snapshot()?.get(b"k")?.as_deref(), Some(&b"v"[..]));
//! # Ok(()) }
//! ```

mod platter;

#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use syncline_storage::redb::RedbBackend;

use self::platter::Platter;
use crate::seed::Rng;

/// What has happened to a [`SimDisk`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskStats {
    /// Writes, changes of the length and syncs that were asked for while the power was on.
    pub operations: u64,
    /// Syncs among them.
    pub syncs: u64,
    /// Losses of power.
    pub crashes: u64,
    /// Un-synced writes that survived a crash as a whole.
    pub kept: u64,
    /// Un-synced writes that a crash dropped.
    pub dropped: u64,
    /// Un-synced writes of which a crash left a piece.
    pub torn: u64,
}

/// A disk that can lose its power. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

struct State {
    platter: Platter,
    rng: Rng,
    lying: bool,
    powered: bool,
    /// Counts the backends; only the newest one works.
    process: u64,
    crash_at: Option<u64>,
    fail_at: Option<(u64, io::ErrorKind)>,
    stats: DiskStats,
}

impl SimDisk {
    /// An empty disk. The seed decides what crashes leave.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with(seed, false)
    }

    /// A disk whose syncs do nothing, so that a crash may lose anything ever written.
    #[must_use]
    pub fn lying(seed: u64) -> Self {
        Self::with(seed, true)
    }

    fn with(seed: u64, lying: bool) -> Self {
        Self(Arc::new(Mutex::new(State {
            platter: Platter::default(),
            rng: Rng::new(seed),
            lying,
            powered: true,
            process: 0,
            crash_at: None,
            fail_at: None,
            stats: DiskStats::default(),
        })))
    }

    /// The disk as the next process sees it; turns the power on again after a crash. Backends from before fail from now
    /// on, as a process that is gone.
    #[must_use]
    pub fn backend(&self) -> RedbBackend {
        let mut state = self.lock();
        state.powered = true;
        state.process += 1;
        RedbBackend::new(SimBackend { disk: self.clone(), process: state.process })
    }

    /// Lets the power go in the midst of the operation that comes after `operations` more: that one fails, and if it is a
    /// write it counts as one that was not synced.
    pub fn crash_after(&self, operations: u64) {
        let mut state = self.lock();
        state.crash_at = Some(state.stats.operations.saturating_add(operations));
    }

    /// Lets the operation that comes after `operations` more fail with `kind`, without effect, while the power stays on.
    pub fn fail_after(&self, operations: u64, kind: io::ErrorKind) {
        let mut state = self.lock();
        state.fail_at = Some((state.stats.operations.saturating_add(operations), kind));
    }

    /// Takes the power away now. Nothing more happens if it is off already.
    pub fn crash(&self) {
        self.lock().crash();
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_crashed(&self) -> bool {
        !self.lock().powered
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> DiskStats {
        self.lock().stats
    }

    /// The bytes that a process reads now.
    #[must_use]
    pub fn image(&self) -> Vec<u8> {
        self.lock().platter.bytes().to_vec()
    }

    /// Replaces all bytes, as synced: a file of another program, or a damaged one.
    pub fn set_image(&self, bytes: Vec<u8>) {
        self.lock().platter = Platter::new(bytes);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in here is a bug of the simulator; the test that met it has failed already.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").field("stats", &self.lock().stats).finish_non_exhaustive()
    }
}

impl State {
    fn crash(&mut self) {
        if !self.powered {
            return;
        }
        self.powered = false;
        self.crash_at = None;
        self.stats.crashes += 1;
        let left = self.platter.crash(&mut self.rng);
        self.stats.kept += left.kept;
        self.stats.dropped += left.dropped;
        self.stats.torn += left.torn;
    }

    fn alive(&self, process: u64) -> io::Result<()> {
        if self.powered && self.process == process {
            Ok(())
        } else {
            Err(io::Error::other("the simulated machine is off"))
        }
    }

    /// Does one operation, unless it is the one that fails or crashes.
    fn operate(&mut self, process: u64, operation: impl FnOnce(&mut Self)) -> io::Result<()> {
        self.alive(process)?;
        let number = self.stats.operations;
        self.stats.operations += 1;
        if let Some((at, kind)) = self.fail_at
            && at == number
        {
            self.fail_at = None;
            return Err(io::Error::new(kind, "a simulated failure"));
        }
        if self.crash_at == Some(number) {
            // The write is under way; a sync in which the power goes has synced nothing that counts.
            self.lying_for(operation);
            self.crash();
            return Err(io::Error::other("the simulated machine lost its power"));
        }
        operation(self);
        Ok(())
    }

    /// Does an operation that, if it is a sync, has no effect.
    fn lying_for(&mut self, operation: impl FnOnce(&mut Self)) {
        let honest = std::mem::replace(&mut self.lying, true);
        operation(self);
        self.lying = honest;
    }
}

struct SimBackend {
    disk: SimDisk,
    process: u64,
}

impl fmt::Debug for SimBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimBackend")
    }
}

impl redb::StorageBackend for SimBackend {
    fn len(&self) -> io::Result<u64> {
        let state = self.disk.lock();
        state.alive(self.process)?;
        u64::try_from(state.platter.bytes().len()).map_err(io::Error::other)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.lock();
        state.alive(self.process)?;
        let start = to_usize(offset)?;
        let bytes = start
            .checked_add(out.len())
            .and_then(|end| state.platter.bytes().get(start..end))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = to_usize(len)?;
        let mut state = self.disk.lock();
        state.operate(self.process, |state| state.platter.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.operate(self.process, |state| {
            state.stats.syncs += 1;
            if !state.lying {
                state.platter.sync();
            }
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = to_usize(offset)?;
        let mut state = self.disk.lock();
        state.operate(self.process, |state| state.platter.write(offset, data))
    }
}

fn to_usize(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(io::Error::other)
}
