//! A clock that shows wall time, and may be wrong in either direction.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use syncline_core::clock::{Clock, Timestamp};
use syncline_testkit::cluster::NodeClock;

/// What a node takes for the time of day. It may go back, unlike the clock by which the node waits.
#[derive(Clone, Debug)]
pub(crate) struct WallClock {
    base: BaseClock,
    error: Arc<ClockError>,
}

#[derive(Clone)]
struct BaseClock(NodeClock);

impl std::fmt::Debug for BaseClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeClock")
    }
}

/// By how much the clock of a node is wrong, through all its lives.
#[derive(Debug, Default)]
pub(crate) struct ClockError {
    millis: AtomicI64,
    /// The latest time that was ever shown.
    latest: AtomicU64,
}

impl ClockError {
    pub(crate) fn set(&self, millis: i64) {
        self.millis.store(millis, Ordering::SeqCst);
    }

    pub(crate) fn latest(&self) -> Timestamp {
        Timestamp::from_millis(self.latest.load(Ordering::SeqCst))
    }
}

impl WallClock {
    pub(crate) fn new(base: &NodeClock, error: &Arc<ClockError>) -> Self {
        Self { base: BaseClock(base.clone()), error: Arc::clone(error) }
    }
}

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let millis = self.error.millis.load(Ordering::SeqCst);
        let shown = self.base.0.now().as_millis().saturating_add_signed(millis);
        self.error.latest.fetch_max(shown, Ordering::SeqCst);
        Timestamp::from_millis(shown)
    }
}
