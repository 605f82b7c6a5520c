use std::time::Duration;

use tokio::sync::watch;

/// Where a session stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// The peers have not agreed on the topic yet.
    #[default]
    Handshake,
    /// Items are exchanged.
    Sync,
    /// The peers have caught up and send each other what is new, as it appears. Only some protocols have this phase.
    Live,
    /// The session succeeded.
    Done,
    /// The session failed.
    Failed,
}

/// A snapshot of a running session, fit for a progress bar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionProgress {
    /// Where the session stands.
    pub phase: Phase,
    /// Bytes that the peer's stream took.
    pub bytes_sent: u64,
    /// Bytes that came from the peer.
    pub bytes_received: u64,
    /// Items handed to the stream, as far as the protocol reports them: those that run on
    /// [`machine::drive`](crate::machine::drive), or call [`report_items_sent`](super::report_items_sent), do.
    pub items_sent: u64,
    /// Items handed to the application.
    pub items_received: u64,
    /// Items that came although they were here already, as far as the protocol reports them.
    pub duplicates: u64,
    /// Items that came and were refused, as far as the protocol reports them.
    pub rejected: u64,
    /// Time since the session started.
    pub elapsed: Duration,
}

impl SessionProgress {
    /// Mean rate since the start, both directions together, in bytes per second. Zero before any time has passed.
    #[must_use]
    pub fn bytes_per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { (self.bytes_sent + self.bytes_received) as f64 / seconds } else { 0.0 }
    }
}

/// What a session moved, when it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReport {
    pub(super) last: SessionProgress,
    pub(super) caught_up: Option<Transferred>,
}

/// What moved in a part of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transferred {
    /// Bytes that the peer's stream took.
    pub bytes_sent: u64,
    /// Bytes that came from the peer.
    pub bytes_received: u64,
    /// Items sent, as far as the protocol reports them.
    pub items_sent: u64,
    /// Items handed to the application.
    pub items_received: u64,
}

impl Transferred {
    pub(super) fn of(progress: &SessionProgress) -> Self {
        Self {
            bytes_sent: progress.bytes_sent,
            bytes_received: progress.bytes_received,
            items_sent: progress.items_sent,
            items_received: progress.items_received,
        }
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            bytes_sent: self.bytes_sent.saturating_sub(earlier.bytes_sent),
            bytes_received: self.bytes_received.saturating_sub(earlier.bytes_received),
            items_sent: self.items_sent.saturating_sub(earlier.items_sent),
            items_received: self.items_received.saturating_sub(earlier.items_received),
        }
    }
}

impl SessionReport {
    /// The last snapshot.
    #[must_use]
    pub fn progress(&self) -> &SessionProgress {
        &self.last
    }

    /// Bytes that the peer's stream took.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.last.bytes_sent
    }

    /// Bytes that came from the peer.
    #[must_use]
    pub fn bytes_received(&self) -> u64 {
        self.last.bytes_received
    }

    /// Items sent, as far as the protocol reports them.
    #[must_use]
    pub fn items_sent(&self) -> u64 {
        self.last.items_sent
    }

    /// Items handed to the application.
    #[must_use]
    pub fn items_received(&self) -> u64 {
        self.last.items_received
    }

    /// Items that came although they were here already, as far as the protocol reports them.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.last.duplicates
    }

    /// Items that came and were refused, as far as the protocol reports them.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.last.rejected
    }

    /// What moved until the peers had caught up: all, if there was no live phase.
    #[must_use]
    pub fn sync_phase(&self) -> Transferred {
        self.caught_up.unwrap_or_else(|| Transferred::of(&self.last))
    }

    /// What moved after that, item by item as it appeared; `None` if there was no live phase.
    #[must_use]
    pub fn live_phase(&self) -> Option<Transferred> {
        self.caught_up.map(|earlier| Transferred::of(&self.last).since(earlier))
    }

    /// How long the session took.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.last.elapsed
    }
}

/// Watches the progress of a session. Only the newest snapshot is kept: a slow watcher misses some, and slows nobody.
#[derive(Clone, Debug)]
pub struct ProgressReceiver {
    pub(super) watch: watch::Receiver<SessionProgress>,
}

impl ProgressReceiver {
    /// The newest snapshot.
    #[must_use]
    pub fn latest(&self) -> SessionProgress {
        *self.watch.borrow()
    }

    /// Waits for a snapshot that was not seen yet. `None` once the session is over and its last snapshot was seen.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no snapshot is marked as seen unless it is returned.
    pub async fn changed(&mut self) -> Option<SessionProgress> {
        self.watch.changed().await.ok()?;
        Some(*self.watch.borrow_and_update())
    }
}
