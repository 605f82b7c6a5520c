//! Anti-entropy: the same sync again and again, so that two peers stay equal.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use syncline_core::TopicQuery;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::outgoing::Request;
use super::shared::Shared;
use super::{AppSink, DynProtocol, SyncOutcome};
use crate::{PeerAddr, SyncFailure};

/// When to sync again.
///
/// After a success the next round begins after the interval, more or less the jitter, so that many nodes do not ask at
/// the same moment. After a failure it begins after `retry_min`, which doubles with each further failure up to
/// `retry_max`, and of which a random part up to half is taken off. Times count from the end of a round.
///
/// A round whose session stays open is one round for as long as that lasts. If it fails after it has lasted `retry_max` or
/// longer, it counts as the first failure: the peer was there meanwhile.
///
/// | setting | default |
/// |---|---|
/// | jitter | 10 % |
/// | retries | 1 s to 300 s |
///
/// The seed decides all randomness: nodes that are to be out of step need different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    interval: Duration,
    jitter_percent: u8,
    retry_min: Duration,
    retry_max: Duration,
    seed: u64,
}

impl Schedule {
    /// A schedule with this interval, at least a millisecond.
    #[must_use]
    pub fn new(interval: Duration, seed: u64) -> Self {
        Self {
            interval: interval.max(Duration::from_millis(1)),
            jitter_percent: 10,
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(300),
            seed,
        }
    }

    /// Sets by how much the interval varies, up or down, from 0 to 100 percent.
    #[must_use]
    pub fn with_jitter_percent(mut self, percent: u8) -> Self {
        self.jitter_percent = percent.min(100);
        self
    }

    /// Sets the shortest and the longest delay after failures; at least a millisecond, and the longest is at least the
    /// shortest.
    #[must_use]
    pub fn with_retry(mut self, min: Duration, max: Duration) -> Self {
        self.retry_min = min.max(Duration::from_millis(1));
        self.retry_max = max.max(self.retry_min);
        self
    }
}

/// The delays of a schedule, one after the other.
#[derive(Debug)]
struct Delays {
    schedule: Schedule,
    random: u64,
    failures: u32,
}

impl Delays {
    fn new(schedule: Schedule) -> Self {
        Self { schedule, random: schedule.seed, failures: 0 }
    }

    fn after_success(&mut self) -> Duration {
        self.failures = 0;
        let spread = f64::from(self.schedule.jitter_percent) / 100.0;
        let factor = 1.0 + spread * (2.0 * self.fraction() - 1.0);
        saturating_mul(self.schedule.interval, factor)
    }

    /// The delay after a round that failed after `lasted`.
    fn after_failure(&mut self, lasted: Duration) -> Duration {
        if lasted >= self.schedule.retry_max {
            self.failures = 0;
        }
        let doubled = 2u32.checked_pow(self.failures).and_then(|factor| self.schedule.retry_min.checked_mul(factor));
        self.failures = self.failures.saturating_add(1);
        let delay = doubled.unwrap_or(Duration::MAX).min(self.schedule.retry_max);
        saturating_mul(delay, 1.0 - self.fraction() / 2.0)
    }

    /// A number from 0 to 1, by SplitMix64 (Steele, Lea and Flood, 2014).
    fn fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The upper 53 bits are what a float holds exactly.
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn saturating_mul(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// How the rounds have gone so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoundsStatus {
    /// Rounds that succeeded.
    pub succeeded: u64,
    /// Rounds that failed.
    pub failed: u64,
    /// Failures since the last success.
    pub failures_in_a_row: u32,
    /// The name of the protocol that ran last; `None` if the peers have not agreed on one yet.
    pub protocol: Option<&'static str>,
}

/// Rounds that go on until they are stopped or the node shuts down.
///
/// Dropping the handle lets them go on.
#[derive(Debug)]
pub struct KeepInSync {
    stop: CancellationToken,
    status: watch::Receiver<RoundsStatus>,
}

impl KeepInSync {
    /// How the rounds have gone so far.
    #[must_use]
    pub fn status(&self) -> RoundsStatus {
        self.status.borrow().clone()
    }

    /// Waits for the end of a round that was not seen yet. `None` when no more will come.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; of several rounds that ended meanwhile only the last status is seen.
    pub async fn changed(&mut self) -> Option<RoundsStatus> {
        self.status.changed().await.ok()?;
        Some(self.status.borrow_and_update().clone())
    }

    /// Stops: no further round begins, and one that is under way is cancelled. To end a session in order that stays open,
    /// have its protocol end it first.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

/// What to sync again and again.
pub(crate) struct Rounds<T, A> {
    pub(crate) peer: PeerAddr,
    /// In order of preference.
    pub(crate) protocols: Vec<Arc<DynProtocol<T>>>,
    pub(crate) topic: T,
    pub(crate) schedule: Schedule,
    pub(crate) app: A,
}

impl<T, A> Rounds<T, A>
where
    T: TopicQuery + 'static,
    A: FnMut() -> AppSink<T> + Send + 'static,
{
    pub(crate) fn start(self, shared: &Arc<Shared>) -> KeepInSync {
        let stop = shared.stop.child_token();
        let (tx, status) = watch::channel(RoundsStatus::default());
        shared.spawn(self.run(Arc::clone(shared), stop.clone(), tx));
        KeepInSync { stop, status }
    }

    async fn run(mut self, shared: Arc<Shared>, stop: CancellationToken, status: watch::Sender<RoundsStatus>) {
        let mut delays = Delays::new(self.schedule);
        while !stop.is_cancelled() {
            let began = Instant::now();
            let SyncOutcome { protocol, result: outcome } = self.round(&shared, &stop).await;
            if matches!(outcome, Err(SyncFailure::ShutDown)) {
                return;
            }
            let delay = match &outcome {
                Ok(_) => delays.after_success(),
                Err(_) => delays.after_failure(began.elapsed()),
            };
            status.send_modify(|status| {
                status.protocol = protocol.or(status.protocol);
                match &outcome {
                    Ok(_) => {
                        status.succeeded += 1;
                        status.failures_in_a_row = 0;
                    }
                    Err(failure) => {
                        debug!(error = failure as &dyn std::error::Error, "round failed");
                        status.failed += 1;
                        status.failures_in_a_row = status.failures_in_a_row.saturating_add(1);
                    }
                }
            });
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    async fn round(&mut self, shared: &Arc<Shared>, stop: &CancellationToken) -> SyncOutcome {
        let Ok(app_tx) = catch_unwind(AssertUnwindSafe(|| (self.app)())) else {
            return SyncOutcome { protocol: None, result: Err(SyncFailure::Panicked) };
        };
        let request =
            Request { peer: self.peer.clone(), protocols: self.protocols.clone(), topic: self.topic.clone(), app_tx };
        let handle = request.start(shared);
        let cancel = handle.canceller();
        let mut finished = std::pin::pin!(handle.outcome());
        tokio::select! {
            biased;
            outcome = &mut finished => outcome,
            () = stop.cancelled() => {
                // At a shutdown the round gets the same time as any other session.
                if !shared.stop.is_cancelled() {
                    cancel.cancel();
                }
                finished.await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn delays_keep_their_bounds(
            seed: u64,
            interval in 1u64..100_000,
            jitter in 0u8..=100,
            retry_min in 1u64..5_000,
            retry_max in 1u64..500_000,
            outcomes in proptest::collection::vec(any::<bool>(), 1..80),
        ) {
            let millis = Duration::from_millis;
            let schedule = Schedule::new(millis(interval), seed)
                .with_jitter_percent(jitter)
                .with_retry(millis(retry_min), millis(retry_max));
            let (mut delays, mut again) = (Delays::new(schedule), Delays::new(schedule));
            let mut failures = 0u32;
            for success in outcomes {
                let slack = millis(1);
                if success {
                    failures = 0;
                    let delay = delays.after_success();
                    let spread = millis(interval).mul_f64(f64::from(jitter) / 100.0) + slack;
                    prop_assert!(delay <= millis(interval) + spread);
                    prop_assert!(delay + spread >= millis(interval));
                    prop_assert_eq!(delay, again.after_success());
                } else {
                    let full = millis(retry_min.saturating_mul(1 << failures.min(40)).min(retry_max.max(retry_min)));
                    failures += 1;
                    let delay = delays.after_failure(Duration::ZERO);
                    prop_assert!(delay <= full + slack, "{delay:?} of {full:?}");
                    prop_assert!(delay + slack >= full / 2, "{delay:?} of {full:?}");
                    prop_assert_eq!(delay, again.after_failure(Duration::ZERO));
                }
            }
        }
    }

    #[test]
    fn different_seeds_are_out_of_step() {
        let delay = |seed| Delays::new(Schedule::new(Duration::from_secs(60), seed)).after_success();
        let delays: std::collections::BTreeSet<_> = (0..100).map(delay).collect();
        assert_eq!(delays.len(), 100);
    }

    #[test]
    fn a_failure_after_a_long_round_is_the_first() {
        let seconds = Duration::from_secs;
        let mut delays = Delays::new(Schedule::new(seconds(60), 1).with_retry(seconds(1), seconds(100)));
        for _ in 0..20 {
            delays.after_failure(seconds(99));
        }
        assert!(delays.after_failure(seconds(99)) >= seconds(50));
        assert!(delays.after_failure(seconds(100)) <= seconds(1));
        assert!(delays.after_failure(Duration::ZERO) <= seconds(2));
    }

    #[test]
    fn no_number_of_failures_overflows() {
        let mut delays = Delays::new(Schedule::new(Duration::MAX, 1).with_retry(Duration::MAX, Duration::MAX));
        for _ in 0..100 {
            delays.after_failure(Duration::ZERO);
        }
        delays.after_success();
    }
}
