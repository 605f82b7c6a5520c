use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::future::{BoxFuture, poll_fn};

use super::{Clock, Timer, Timestamp};

/// A clock that moves only when told to: virtual time for tests and simulators.
///
/// Clones share the same time.
///
/// ```
/// use std::time::Duration;
/// use syncline_core::clock::{Clock, ManualClock, Timestamp};
///
/// let clock = ManualClock::new(Timestamp::ZERO);
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(clock.now(), Timestamp::from_millis(1_000));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    next_id: u64,
    /// Sleepers by the time they wait for. The id keeps those of one time apart.
    sleepers: BTreeMap<(Timestamp, u64), Waker>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { state: Arc::new(Mutex::new(State { now, next_id: 0, sleepers: BTreeMap::new() })) }
    }

    // No code under the lock can panic halfway through a change, so a poisoned state is still whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the time on by `duration` and wakes who waited for it.
    pub fn advance(&self, duration: Duration) {
        self.advance_by(|now| now + duration);
    }

    /// Moves the time to `now`, unless it is past that already, and wakes who waited for it. Time never goes back.
    pub fn advance_to(&self, now: Timestamp) {
        self.advance_by(|before| before.max(now));
    }

    fn advance_by(&self, next: impl FnOnce(Timestamp) -> Timestamp) {
        let due = {
            let mut state = self.state();
            state.now = next(state.now);
            let last_due = (state.now, u64::MAX);
            let later = state.sleepers.split_off(&last_due);
            std::mem::replace(&mut state.sleepers, later)
        };
        // Not under the lock: a waker runs code of others, which may ask for the time.
        for waker in due.into_values() {
            waker.wake();
        }
    }

    /// The earliest time that somebody waits for: where a simulator jumps to when nothing else is left to do.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.state().sleepers.first_key_value().map(|((at, _), _)| *at)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.state().now
    }
}

/// Removes the sleeper when its future is dropped.
struct Sleeper {
    clock: ManualClock,
    key: (Timestamp, u64),
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let waker = self.clock.state().sleepers.remove(&self.key);
        // Not under the lock: with its waker a task may go, and with that other sleepers.
        drop(waker);
    }
}

impl Timer for ManualClock {
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let id = {
            let mut state = self.state();
            state.next_id += 1;
            state.next_id
        };
        let sleeper = Sleeper { clock: self.clone(), key: (at, id) };
        Box::pin(poll_fn(move |cx| {
            let waker = cx.waker().clone();
            let mut state = sleeper.clock.state();
            if state.now >= at {
                return Poll::Ready(());
            }
            let before = state.sleepers.insert(sleeper.key, waker);
            drop(state);
            drop(before);
            Poll::Pending
        }))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn sleepers_wake_when_their_time_has_come_and_not_before() {
        let clock = ManualClock::new(Timestamp::ZERO);
        let mut sleep = clock.sleep_until(Timestamp::from_millis(10));
        assert!(sleep.as_mut().now_or_never().is_none());
        assert_eq!(clock.next_wake(), Some(Timestamp::from_millis(10)));
        clock.advance(Duration::from_millis(9));
        assert!(sleep.as_mut().now_or_never().is_none());
        clock.advance(Duration::from_millis(1));
        block_on(sleep);
        assert_eq!(clock.next_wake(), None);
    }

    #[test]
    fn a_dropped_sleeper_is_forgotten() {
        let clock = ManualClock::new(Timestamp::ZERO);
        let mut sleep = clock.sleep_until(Timestamp::from_millis(10));
        assert!(sleep.as_mut().now_or_never().is_none());
        drop(sleep);
        assert_eq!(clock.next_wake(), None);
    }

    #[test]
    fn a_sleep_that_is_due_already_completes_at_once() {
        let clock = ManualClock::new(Timestamp::from_millis(10));
        assert!(clock.sleep_until(Timestamp::from_millis(10)).now_or_never().is_some());
        assert!(clock.sleep_until(Timestamp::ZERO).now_or_never().is_some());
        assert_eq!(clock.next_wake(), None);
    }

    #[test]
    fn sleepers_of_one_time_are_all_woken_and_later_ones_are_not() {
        let clock = ManualClock::new(Timestamp::ZERO);
        let mut sleeps: Vec<_> = [10, 10, 20].map(|at| clock.sleep_until(Timestamp::from_millis(at))).into();
        assert!(sleeps.iter_mut().all(|sleep| sleep.as_mut().now_or_never().is_none()));
        clock.advance_to(Timestamp::from_millis(10));
        assert_eq!(clock.next_wake(), Some(Timestamp::from_millis(20)));
        let done: Vec<_> = sleeps.iter_mut().map(|sleep| sleep.as_mut().now_or_never().is_some()).collect();
        assert_eq!(done, [true, true, false]);
    }

    /// A waker that asks for the time, and holds a sleep that goes with it.
    struct Nosy {
        clock: ManualClock,
        // Only to be dropped. In a mutex, since wakers are shared between threads and sleeps are not.
        _sleep: Mutex<BoxFuture<'static, ()>>,
    }

    impl std::task::Wake for Nosy {
        fn wake(self: Arc<Self>) {
            self.clock.now();
        }
    }

    #[test]
    fn wakers_may_use_the_clock() {
        let clock = ManualClock::new(Timestamp::ZERO);
        let mut outer = clock.sleep_until(Timestamp::from_millis(5));
        let mut inner = clock.sleep_until(Timestamp::from_millis(9));
        assert!(inner.as_mut().now_or_never().is_none());
        for _ in 0..2 {
            // The second registration drops the first waker, and the sleep with it.
            let nosy = Arc::new(Nosy { clock: clock.clone(), _sleep: Mutex::new(inner) });
            let waker = std::task::Waker::from(nosy);
            assert!(outer.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
            drop(waker);
            inner = clock.sleep_until(Timestamp::from_millis(9));
        }
        clock.advance(Duration::from_millis(5));
        block_on(outer);
    }

    #[test]
    fn time_never_goes_back() {
        let clock = ManualClock::new(Timestamp::from_millis(10));
        clock.advance_to(Timestamp::from_millis(5));
        assert_eq!(clock.now(), Timestamp::from_millis(10));
    }
}
