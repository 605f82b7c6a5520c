//! Many commits, one fsync.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::{Batch, CommitError, Database, Durability, Limits, Snapshot, StorageError, StorageErrorKind};

/// How much is folded into one commit of the database below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupLimits {
    /// Most batches in a group. Default 1024.
    pub max_batches: usize,
    /// Most bytes in a group, by [`Batch::byte_len`]. A single batch over it goes alone. Default 64 MiB.
    pub max_bytes: usize,
}

impl Default for GroupLimits {
    fn default() -> Self {
        Self { max_batches: 1024, max_bytes: 64 << 20 }
    }
}

impl GroupLimits {
    /// Sets [`max_batches`](Self::max_batches); at least one goes in any case.
    #[must_use]
    pub fn max_batches(mut self, batches: usize) -> Self {
        self.max_batches = batches;
        self
    }

    /// Sets [`max_bytes`](Self::max_bytes).
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}

/// Folds the commits of many threads into one [`commit_all`](Database::commit_all) of another [`Database`], so that they
/// share one fsync. A [`Database`] itself.
///
/// While one group is being committed the next one gathers; the first to come leads it. There is no thread and no
/// timer, and a commit that finds nobody else is not delayed.
///
/// - [`Immediate`](Durability::Immediate) commits are folded, in the order in which they came. Each caller gets the
///   result of its own batch: a precondition that fails fails that batch only.
/// - [`Eventual`](Durability::Eventual) commits go straight to the database below, since they wait for no disk.
/// - A failure of a group is the result of every batch in it. A panic of the database below is an
///   [`Unknown`](CommitError::Unknown) outcome for the others of the group, and goes on in the thread that led it.
#[derive(Debug)]
pub struct GroupCommit<D> {
    inner: D,
    limits: GroupLimits,
    state: Mutex<State>,
    changed: Condvar,
}

/// A place in the queue; counts from 0 and never comes again.
type Ticket = u64;

#[derive(Debug, Default)]
struct State {
    next: Ticket,
    waiting: VecDeque<(Ticket, Batch)>,
    done: BTreeMap<Ticket, Result<(), CommitError>>,
    led: bool,
}

impl<D> GroupCommit<D> {
    /// Folds the commits to `inner`, with the default [`GroupLimits`].
    pub fn new(inner: D) -> Self {
        Self::with_limits(inner, GroupLimits::default())
    }

    /// Folds the commits to `inner`, with limits of one's own.
    pub fn with_limits(inner: D, limits: GroupLimits) -> Self {
        Self { inner, limits, state: Mutex::default(), changed: Condvar::new() }
    }

    /// The database below.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// Gives the database back.
    pub fn into_inner(self) -> D {
        self.inner
    }

    /// Number of batches that wait for the next group.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Database> GroupCommit<D> {
    /// Waits until all of `tickets` are done, and leads groups for as long as nobody else does.
    fn settle(&self, tickets: std::ops::Range<Ticket>) -> Vec<Result<(), CommitError>> {
        let mut state = self.lock();
        loop {
            if tickets.clone().all(|t| state.done.contains_key(&t)) {
                return tickets.filter_map(|t| state.done.remove(&t)).collect();
            }
            state = if state.led {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                state.led = true;
                let group = state.take_group(self.limits);
                drop(state);
                self.lead(group);
                self.lock()
            };
        }
    }

    fn lead(&self, group: Vec<(Ticket, Batch)>) {
        let (tickets, batches): (Vec<Ticket>, Vec<Batch>) = group.into_iter().unzip();
        let mut turn = Turn { state: &self.state, changed: &self.changed, tickets, results: Vec::new() };
        turn.results = self.inner.commit_all(batches, Durability::Immediate);
    }
}

impl State {
    fn take_group(&mut self, limits: GroupLimits) -> Vec<(Ticket, Batch)> {
        let mut bytes = 0usize;
        let mut count = 0;
        for (_, batch) in self.waiting.iter().take(limits.max_batches.max(1)) {
            bytes = bytes.saturating_add(batch.byte_len());
            if count > 0 && bytes > limits.max_bytes {
                break;
            }
            count += 1;
        }
        self.waiting.drain(..count).collect()
    }
}

/// The turn of a leader. Its end hands out the results and gives the lead away, also if the database panicked.
struct Turn<'a> {
    state: &'a Mutex<State>,
    changed: &'a Condvar,
    tickets: Vec<Ticket>,
    results: Vec<Result<(), CommitError>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut results = self.results.drain(..);
        for ticket in self.tickets.drain(..) {
            let lost = || Err(CommitError::unknown(StorageErrorKind::Closed.into()));
            state.done.insert(ticket, results.next().unwrap_or_else(lost));
        }
        state.led = false;
        drop(state);
        self.changed.notify_all();
    }
}

impl<D: Database> Database for GroupCommit<D> {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StorageError> {
        self.inner.snapshot()
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        if durability == Durability::Eventual {
            return self.inner.commit(batch, durability);
        }
        self.commit_all(vec![batch], durability)
            .pop()
            .unwrap_or_else(|| Err(CommitError::unknown(StorageErrorKind::Closed.into())))
    }

    fn commit_all(&self, batches: Vec<Batch>, durability: Durability) -> Vec<Result<(), CommitError>> {
        if durability == Durability::Eventual {
            return self.inner.commit_all(batches, durability);
        }
        let mut state = self.lock();
        let first = state.next;
        for batch in batches {
            let ticket = state.next;
            state.next += 1;
            state.waiting.push_back((ticket, batch));
        }
        let tickets = first..state.next;
        drop(state);
        self.settle(tickets)
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }
}
