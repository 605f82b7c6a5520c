use std::time::Duration;

/// Deadlines and budgets of one session.
///
/// A session may last exactly as long, and move exactly as much, as is said here. Durations count in whole milliseconds,
/// rounded up.
///
/// | limit | default |
/// |---|---|
/// | handshake | 10 s |
/// | idle | 30 s |
/// | total | 1 h |
/// | bytes received, bytes sent | 16 GiB each |
/// | items received | 2^32 |
///
/// ```
/// use std::time::Duration;
/// use syncline_core::session::SessionLimits;
///
/// let limits = SessionLimits::default().with_idle(Duration::from_secs(5)).with_bytes_received_max(1 << 20);
/// assert_eq!(limits.idle(), Duration::from_secs(5));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    handshake: Duration,
    idle: Duration,
    total: Duration,
    bytes_received_max: u64,
    bytes_sent_max: u64,
    items_received_max: u64,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            total: Duration::from_secs(3600),
            bytes_received_max: 16 << 30,
            bytes_sent_max: 16 << 30,
            items_received_max: 1 << 32,
        }
    }
}

impl SessionLimits {
    /// The time until the handshake must have succeeded. Time that this side takes itself does not count; see
    /// [`idle`](Self::idle).
    #[must_use]
    pub fn handshake(&self) -> Duration {
        self.handshake
    }

    /// Sets the time until the handshake must have succeeded.
    #[must_use]
    pub fn with_handshake(mut self, handshake: Duration) -> Self {
        self.handshake = handshake;
        self
    }

    /// The longest time in which no byte moves in either direction.
    ///
    /// Time that this side takes itself does not count: while the application does not take what was delivered, and while
    /// [`machine::drive`](crate::machine::drive) waits for the answer to a request.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// Sets the idle time. A peer's application may stall its session for as long as it likes; choose this longer than
    /// the longest such stall that is to be borne.
    #[must_use]
    pub fn with_idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// The longest time of a whole session, whoever takes it.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.total
    }

    /// Sets the longest time of a whole session.
    #[must_use]
    pub fn with_total(mut self, total: Duration) -> Self {
        self.total = total;
        self
    }

    /// The most bytes to receive in a session.
    #[must_use]
    pub fn bytes_received_max(&self) -> u64 {
        self.bytes_received_max
    }

    /// Sets the most bytes to receive in a session.
    #[must_use]
    pub fn with_bytes_received_max(mut self, bytes: u64) -> Self {
        self.bytes_received_max = bytes;
        self
    }

    /// The most bytes to send in a session.
    #[must_use]
    pub fn bytes_sent_max(&self) -> u64 {
        self.bytes_sent_max
    }

    /// Sets the most bytes to send in a session.
    #[must_use]
    pub fn with_bytes_sent_max(mut self, bytes: u64) -> Self {
        self.bytes_sent_max = bytes;
        self
    }

    /// The most items to take from the peer in a session.
    #[must_use]
    pub fn items_received_max(&self) -> u64 {
        self.items_received_max
    }

    /// Sets the most items to take from the peer in a session.
    #[must_use]
    pub fn with_items_received_max(mut self, items: u64) -> Self {
        self.items_received_max = items;
        self
    }
}
