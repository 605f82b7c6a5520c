use std::time::Duration;

use futures::future::BoxFuture;
use syncline_core::clock::{Clock, SystemClock, Timer, Timestamp};
use tokio::time::Instant;

/// Time by tokio's clock, anchored to the wall clock when it is created.
///
/// It never goes back and never jumps, whatever happens to the system's time; it drifts from it accordingly. Under tokio's
/// paused time it stands still and moves with it. Milliseconds are rounded down.
///
/// ```
/// use std::time::Duration;
/// use syncline_core::clock::{Clock, Timer};
/// use syncline_net::TokioTimer;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let timer = TokioTimer::new();
/// let at = timer.now() + Duration::from_millis(2);
/// timer.sleep_until(at).await;
/// assert!(timer.now() >= at);
/// # });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TokioTimer {
    anchor: Timestamp,
    started: Instant,
}

impl TokioTimer {
    /// A timer whose time is the wall clock's now.
    #[must_use]
    pub fn new() -> Self {
        Self::anchored(SystemClock.now())
    }

    /// A timer whose time is `anchor` now.
    #[must_use]
    pub fn anchored(anchor: Timestamp) -> Self {
        Self { anchor, started: Instant::now() }
    }
}

impl Default for TokioTimer {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioTimer {
    fn now(&self) -> Timestamp {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_millis(self.anchor.as_millis().saturating_add(millis))
    }
}

/// # Panics
///
/// The future panics when it is polled outside a tokio runtime whose time driver is enabled.
impl Timer for TokioTimer {
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let deadline = self.started.checked_add(at.since(self.anchor));
        Box::pin(async move {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => tokio::time::sleep(Duration::MAX).await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_moves_with_paused_time_and_only_then() {
        let timer = TokioTimer::anchored(Timestamp::from_millis(500));
        assert_eq!(timer.now().as_millis(), 500);
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(timer.now().as_millis(), 750);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_ends_at_its_time_and_not_before() {
        let timer = TokioTimer::anchored(Timestamp::ZERO);
        let mut sleep = timer.sleep_until(Timestamp::from_millis(100));
        tokio::time::advance(Duration::from_millis(99)).await;
        assert!(sleep.as_mut().now_or_never().is_none());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(sleep.as_mut().now_or_never().is_some());
        assert_eq!(timer.now().as_millis(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn the_past_is_over_and_the_end_of_time_never_comes() {
        let timer = TokioTimer::anchored(Timestamp::from_millis(1_000));
        assert!(timer.sleep_until(Timestamp::ZERO).now_or_never().is_some());
        assert!(timer.sleep_until(Timestamp::MAX).now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_new_timer_shows_the_wall_clock() {
        let before = SystemClock.now();
        let now = TokioTimer::new().now();
        assert!(before <= now && now <= SystemClock.now());
    }
}
