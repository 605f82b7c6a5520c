//! Counts what a session moves.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::{Budget, Phase, ProgressReceiver, SessionLimits, SessionProgress, SessionReport, Transferred};

/// Counters of one session. They are only read and written by the session's task; atomics make it `Sync`.
#[derive(Debug)]
pub(crate) struct Meter {
    limits: SessionLimits,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
    items_sent: AtomicU64,
    items_received: AtomicU64,
    duplicates: AtomicU64,
    rejected: AtomicU64,
    /// What was moved when the live phase began.
    caught_up: OnceLock<Transferred>,
    handshake_done: AtomicBool,
    phase_changed: AtomicBool,
    /// The application did not take what it was last offered.
    app_stalled: AtomicBool,
    /// The driver waits for this side: the application, or the answer to a request.
    driver_stalled: AtomicBool,
    exceeded: Mutex<Option<Budget>>,
    watch: watch::Sender<SessionProgress>,
}

impl Meter {
    pub(super) fn new(limits: SessionLimits) -> Self {
        Self {
            limits,
            bytes_sent: AtomicU64::new(0),
            bytes_received: AtomicU64::new(0),
            items_sent: AtomicU64::new(0),
            items_received: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            caught_up: OnceLock::new(),
            handshake_done: AtomicBool::new(false),
            phase_changed: AtomicBool::new(false),
            app_stalled: AtomicBool::new(false),
            driver_stalled: AtomicBool::new(false),
            exceeded: Mutex::new(None),
            watch: watch::Sender::new(SessionProgress::default()),
        }
    }

    pub(super) fn subscribe(&self) -> ProgressReceiver {
        ProgressReceiver { watch: self.watch.subscribe() }
    }

    /// How many bytes may still be sent, at least one; none if the budget is spent, which is then exceeded.
    pub(super) fn send_budget(&self) -> Option<u64> {
        let left = self.limits.bytes_sent_max().saturating_sub(self.bytes_sent.load(Ordering::Relaxed));
        if left == 0 {
            self.exceed(Budget::BytesSent);
        }
        (left > 0).then_some(left)
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How many bytes may still be received.
    pub(super) fn receive_budget(&self) -> u64 {
        self.limits.bytes_received_max().saturating_sub(self.bytes_received.load(Ordering::Relaxed))
    }

    /// Counts received bytes. False if they exceed the budget.
    pub(super) fn received(&self, bytes: usize) -> bool {
        let sum = self.bytes_received.fetch_add(bytes as u64, Ordering::Relaxed).saturating_add(bytes as u64);
        self.within(sum, self.limits.bytes_received_max(), Budget::BytesReceived)
    }

    /// Counts an item for the application. False if it exceeds the budget, in which case it is not to be delivered.
    pub(super) fn item_received(&self) -> bool {
        let sum = self.items_received.load(Ordering::Relaxed).saturating_add(1);
        let within = self.within(sum, self.limits.items_received_max(), Budget::ItemsReceived);
        if within {
            self.items_received.store(sum, Ordering::Relaxed);
        }
        within
    }

    fn within(&self, sum: u64, max: u64, budget: Budget) -> bool {
        if sum > max {
            self.exceed(budget);
        }
        sum <= max
    }

    fn exceed(&self, budget: Budget) {
        self.exceeded.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(budget);
    }

    pub(super) fn exceeded(&self) -> Option<Budget> {
        *self.exceeded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn handshake_done(&self) {
        self.handshake_done.store(true, Ordering::Relaxed);
        self.phase_changed.store(true, Ordering::Relaxed);
    }

    pub(super) fn phase(&self) -> Phase {
        if self.caught_up.get().is_some() {
            Phase::Live
        } else if self.handshake_done.load(Ordering::Relaxed) {
            Phase::Sync
        } else {
            Phase::Handshake
        }
    }

    pub(super) fn take_phase_change(&self) -> bool {
        self.phase_changed.swap(false, Ordering::Relaxed)
    }

    pub(super) fn set_app_stalled(&self, stalled: bool) {
        self.app_stalled.store(stalled, Ordering::Relaxed);
    }

    /// Whether the session waits for this side rather than for the peer.
    pub(super) fn is_stalled(&self) -> bool {
        self.app_stalled.load(Ordering::Relaxed) || self.driver_stalled.load(Ordering::Relaxed)
    }

    pub(super) fn has_watchers(&self) -> bool {
        self.watch.receiver_count() > 0
    }

    /// A number that grows whenever a byte moves.
    pub(super) fn activity(&self) -> u64 {
        self.bytes_sent.load(Ordering::Relaxed).wrapping_add(self.bytes_received.load(Ordering::Relaxed))
    }

    fn snapshot(&self, phase: Phase, elapsed: Duration) -> SessionProgress {
        SessionProgress {
            phase,
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            bytes_received: self.bytes_received.load(Ordering::Relaxed),
            items_sent: self.items_sent.load(Ordering::Relaxed),
            items_received: self.items_received.load(Ordering::Relaxed),
            duplicates: self.duplicates.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
            elapsed,
        }
    }

    pub(super) fn publish(&self, elapsed: Duration) {
        self.watch.send_replace(self.snapshot(self.phase(), elapsed));
    }

    pub(super) fn finish(&self, elapsed: Duration, success: bool) -> SessionReport {
        let last = self.snapshot(if success { Phase::Done } else { Phase::Failed }, elapsed);
        self.watch.send_replace(last);
        SessionReport { last, caught_up: self.caught_up.get().copied() }
    }

    fn go_live(&self) {
        let moved = Transferred::of(&self.snapshot(Phase::Sync, Duration::ZERO));
        if self.caught_up.set(moved).is_ok() {
            self.phase_changed.store(true, Ordering::Relaxed);
        }
    }
}

thread_local! {
    /// The session whose protocol is being polled on this thread, if any. The seed's trait has no parameter through
    /// which a protocol could report what it sent.
    static CURRENT: RefCell<Option<Arc<Meter>>> = const { RefCell::new(None) };
}

/// Polls with `meter` as the current one, and puts back what was before, also on unwinding.
pub(super) fn scope<R>(meter: &Arc<Meter>, poll: impl FnOnce() -> R) -> R {
    struct Restore(Option<Arc<Meter>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(Some(Arc::clone(meter))));
    poll()
}

fn with_current(note: impl FnOnce(&Meter)) {
    CURRENT.with_borrow(|current| {
        if let Some(meter) = current {
            note(meter);
        }
    });
}

/// Says whether the driver of the session that is being polled waits for this side.
pub(crate) fn set_driver_stalled(stalled: bool) {
    with_current(|meter| meter.driver_stalled.store(stalled, Ordering::Relaxed));
}

/// Adds to [`SessionProgress::items_sent`] of the session that runs the calling protocol.
///
/// To be called from within [`SyncProtocol::initiate`](crate::SyncProtocol::initiate) or
/// [`accept`](crate::SyncProtocol::accept), on the task that runs them. Does nothing where no session is running.
pub fn report_items_sent(items: u64) {
    if items > 0 {
        with_current(|meter| {
            meter.items_sent.fetch_add(items, Ordering::Relaxed);
        });
    }
}

/// Says that the peers have caught up and the session stays open: what moves from now on is the live phase's.
///
/// Where and when to call it is as for [`report_items_sent`]. Only the first call counts.
pub fn report_live() {
    with_current(Meter::go_live);
}

/// Adds to [`SessionProgress::duplicates`] and [`SessionProgress::rejected`] of the session that runs the calling protocol.
///
/// Where and when to call it is as for [`report_items_sent`].
pub fn report_items_refused(duplicates: u64, rejected: u64) {
    with_current(|meter| {
        meter.duplicates.fetch_add(duplicates, Ordering::Relaxed);
        meter.rejected.fetch_add(rejected, Ordering::Relaxed);
    });
}
