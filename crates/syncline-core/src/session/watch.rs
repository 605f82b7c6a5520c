use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;

use super::meter::Meter;
use super::{Deadline, Phase, SessionLimits, SessionReport};
use crate::clock::{Timer, Timestamp};

/// How often progress is published at most; changes of phase are published at once.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);

/// Watches the deadlines of a running session and publishes its progress.
pub(super) struct Watch<'s> {
    timer: &'s dyn Timer,
    limits: &'s SessionLimits,
    meter: &'s Meter,
    started: Timestamp,
    /// When a byte last moved, or when this side last was the one to wait for.
    active: Timestamp,
    activity: u64,
    /// Since when this side is the one to wait for, if it is.
    stalled_since: Option<Timestamp>,
    /// How long this side was the one to wait for.
    stalled: Duration,
    published: Timestamp,
    /// Something moved since progress was published.
    news: bool,
    sleep: Option<(Timestamp, BoxFuture<'static, ()>)>,
    finished: bool,
}

/// What there is to do at a time.
#[derive(Clone, Copy)]
enum Due {
    Fail(Deadline),
    Publish,
}

impl<'s> Watch<'s> {
    pub(super) fn new(timer: &'s dyn Timer, limits: &'s SessionLimits, meter: &'s Meter) -> Self {
        let now = timer.now();
        Self {
            timer,
            limits,
            meter,
            started: now,
            active: now,
            activity: 0,
            stalled_since: None,
            stalled: Duration::ZERO,
            published: now,
            news: false,
            sleep: None,
            finished: false,
        }
    }

    pub(super) fn before_poll(&mut self) {
        if let Some(since) = self.stalled_since.take() {
            self.active = self.timer.now();
            self.stalled += self.active.since(since);
        }
    }

    pub(super) fn after_poll(&mut self) {
        if self.meter.is_stalled() {
            self.stalled_since = Some(self.timer.now());
        }
        let activity = self.meter.activity();
        let phase_changed = self.meter.take_phase_change();
        if activity == self.activity && !phase_changed {
            return;
        }
        let now = self.timer.now();
        self.activity = activity;
        self.active = now;
        self.news = true;
        if phase_changed || now.since(self.published) >= PROGRESS_INTERVAL {
            self.publish(now);
        }
    }

    fn publish(&mut self, now: Timestamp) {
        self.published = now;
        self.news = false;
        self.meter.publish(now.since(self.started));
    }

    /// What is due next, and when.
    fn next_due(&self) -> (Timestamp, Due) {
        let mut next = (self.started + self.limits.total(), Due::Fail(Deadline::Total));
        let mut or_at = |at: Timestamp, due: Due| {
            if at < next.0 {
                next = (at, due);
            }
        };
        if self.stalled_since.is_none() {
            if self.meter.phase() == Phase::Handshake {
                or_at(self.started + self.stalled + self.limits.handshake(), Due::Fail(Deadline::Handshake));
            }
            or_at(self.active + self.limits.idle(), Due::Fail(Deadline::Idle));
        }
        if self.news && self.meter.has_watchers() {
            or_at(self.published + PROGRESS_INTERVAL, Due::Publish);
        }
        next
    }

    /// Ready with the deadline that has passed.
    pub(super) fn poll_deadlines(&mut self, cx: &mut Context<'_>) -> Poll<Deadline> {
        loop {
            let (at, due) = self.next_due();
            // Activity moves the deadlines on at each poll. A sleep that ends too early for that is kept: it costs one
            // needless wake-up, a new one would cost as much at each poll.
            let (armed, mut sleep) = match self.sleep.take() {
                Some((armed, sleep)) if armed <= at => (armed, sleep),
                _ => (at, self.timer.sleep_until(at)),
            };
            if sleep.as_mut().poll(cx).is_pending() {
                self.sleep = Some((armed, sleep));
                return Poll::Pending;
            }
            match due {
                _ if armed < at => {}
                Due::Fail(deadline) => return Poll::Ready(deadline),
                Due::Publish => self.publish(self.timer.now()),
            }
        }
    }

    pub(super) fn finish(mut self, success: bool) -> SessionReport {
        self.finished = true;
        self.meter.finish(self.timer.now().since(self.started), success)
    }
}

impl Drop for Watch<'_> {
    /// A session that is dropped has failed.
    fn drop(&mut self) {
        if !self.finished {
            self.meter.finish(self.timer.now().since(self.started), false);
        }
    }
}
