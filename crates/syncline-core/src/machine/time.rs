use std::time::Duration;

use crate::clock::Timestamp;

/// Time as the machine sees it: the timer's, less the spans in which this side was the one to wait for.
#[derive(Debug)]
pub(super) struct MachineTime {
    started: Timestamp,
    stood_still: Duration,
    still_since: Option<Timestamp>,
}

impl MachineTime {
    pub(super) fn starting(now: Timestamp) -> Self {
        Self { started: now, stood_still: Duration::ZERO, still_since: None }
    }

    /// When the session started, by the timer and by the machine.
    pub(super) fn started(&self) -> Timestamp {
        self.started
    }

    /// From `now` on time stands still, unless it does already.
    pub(super) fn stop(&mut self, now: Timestamp) {
        self.still_since.get_or_insert(now);
    }

    /// From `now` on time runs.
    pub(super) fn resume(&mut self, now: Timestamp) {
        if let Some(since) = self.still_since.take() {
            self.stood_still += now.since(since);
        }
    }

    /// The machine's time when the timer's is `now`.
    pub(super) fn of(&self, now: Timestamp) -> Timestamp {
        self.started + now.since(self.started).saturating_sub(self.stood_still)
    }

    /// The timer's time when the machine's is `at`, if time does not stand still until then.
    pub(super) fn on_timer(&self, at: Timestamp) -> Timestamp {
        at + self.stood_still
    }
}
