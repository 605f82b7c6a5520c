use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use syncline_core::clock::{Clock, ManualClock, Timer, Timestamp};

/// A node's own clock: that of the simulation, and as many milliseconds more as it is wrong. It never goes back while the
/// node runs; it may after a crash.
#[derive(Clone)]
pub struct NodeClock {
    base: ManualClock,
    ahead_millis: Arc<AtomicU64>,
}

impl NodeClock {
    pub(super) fn new(base: &ManualClock, ahead: Duration) -> Self {
        let clock = Self { base: base.clone(), ahead_millis: Arc::default() };
        clock.jump(ahead);
        clock
    }

    /// Sets it ahead by so much more.
    pub(super) fn jump(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.ahead_millis.fetch_add(millis, Ordering::SeqCst);
    }

    fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_millis.load(Ordering::SeqCst))
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        self.base.now() + self.ahead()
    }
}

impl Timer for NodeClock {
    /// A jump of the clock does not wake sleepers: they were promised a span, and the jump only makes them late.
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let at = at.as_millis().saturating_sub(self.ahead_millis.load(Ordering::SeqCst));
        self.base.sleep_until(Timestamp::from_millis(at))
    }
}

impl fmt::Debug for NodeClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeClock").field("now", &self.now()).field("ahead", &self.ahead()).finish()
    }
}
