use std::time::Duration;

use syncline_core::session::SessionLimits;

use crate::BuildError;

/// Limits of a [`Node`](super::Node). All count what peers can cause; what this node starts itself is its own affair.
///
/// | limit | default |
/// |---|---|
/// | connections that were accepted, with those in their handshake | 256 |
/// | of these, per peer | 8 |
/// | streams at a time, per accepted connection | 64 |
/// | accepted sessions at a time | 512 |
/// | of these, per peer | 32 |
/// | time to connect, own dials | 10 s |
/// | time for the handshake of an accepted connection | 10 s |
/// | time for the negotiation on a stream, each side | 10 s |
/// | time in which a session's last bytes must reach the peer | 10 s |
/// | time without a stream after which a connection is closed | 60 s |
/// | time that running sessions are given at shutdown | 10 s |
/// | each session | [`SessionLimits`] |
///
/// A peer without a proven key ([`Identity::Anonymous`](crate::Identity::Anonymous)) has no limits of its own: only the
/// totals hold. A connection beyond a limit is refused; a stream beyond its limit waits at the peer; a session beyond a
/// limit is answered with [`Busy`](crate::RefuseReason::Busy).
///
/// The defaults are for sessions that end. Protocols that keep theirs open need
/// [`with_live_sessions`](Self::with_live_sessions), else each is cut off after an hour, and enough sessions for all peers that
/// stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLimits {
    pub(crate) connections_max: usize,
    pub(crate) connections_per_peer_max: usize,
    pub(crate) streams_per_connection_max: usize,
    pub(crate) sessions_max: usize,
    pub(crate) sessions_per_peer_max: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) negotiation_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) connection_idle: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) session: SessionLimits,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            connections_per_peer_max: 8,
            streams_per_connection_max: 64,
            sessions_max: 512,
            sessions_per_peer_max: 32,
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            negotiation_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(10),
            connection_idle: Duration::from_secs(60),
            shutdown_timeout: Duration::from_secs(10),
            session: SessionLimits::default(),
        }
    }
}

impl NodeLimits {
    /// Sets the connections that were accepted, in total and per peer.
    #[must_use]
    pub fn with_connections_max(mut self, total: usize, per_peer: usize) -> Self {
        (self.connections_max, self.connections_per_peer_max) = (total, per_peer);
        self
    }

    /// Sets the streams at a time of an accepted connection. A transport may have a limit of its own below it.
    #[must_use]
    pub fn with_streams_per_connection_max(mut self, streams: usize) -> Self {
        self.streams_per_connection_max = streams;
        self
    }

    /// Sets the accepted sessions at a time, in total and per peer.
    #[must_use]
    pub fn with_sessions_max(mut self, total: usize, per_peer: usize) -> Self {
        (self.sessions_max, self.sessions_per_peer_max) = (total, per_peer);
        self
    }

    /// Sets the time that a dial may take.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the time that the handshake of an accepted connection may take.
    #[must_use]
    pub fn with_handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Sets the time that agreeing on the protocol may take on a stream, from opening it.
    #[must_use]
    pub fn with_negotiation_timeout(mut self, timeout: Duration) -> Self {
        self.negotiation_timeout = timeout;
        self
    }

    /// Sets the time in which the last bytes of a session must reach the peer, and again that in which the peer must
    /// finish.
    #[must_use]
    pub fn with_close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// Sets the time without any stream after which a connection is closed, of either side's making.
    #[must_use]
    pub fn with_connection_idle(mut self, idle: Duration) -> Self {
        self.connection_idle = idle;
        self
    }

    /// Sets the time that running sessions are given at shutdown before they are cancelled.
    #[must_use]
    pub fn with_shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Sets the limits of each session, accepted or opened.
    #[must_use]
    pub fn with_session(mut self, session: SessionLimits) -> Self {
        self.session = session;
        self
    }

    /// Lets sessions stay open for as long as both peers want them to: takes the total deadline off each session, and its budgets
    /// of bytes and items. For nodes that run protocols with a live phase.
    ///
    /// What remains are the deadlines for the handshake and for silence, and the [number of sessions](Self::with_sessions_max),
    /// which a session that stays open counts towards all the time. The protocol must send something now and then:
    /// the deadline for silence is 30 s unless it was set, and a keep-alive should come at most after two thirds of it. These
    /// limits are for every session of the node; budgets of its own are each protocol's affair.
    #[must_use]
    pub fn with_live_sessions(mut self) -> Self {
        let session = self.session.with_total(Duration::MAX);
        let session = session.with_bytes_received_max(u64::MAX).with_bytes_sent_max(u64::MAX);
        self.session = session.with_items_received_max(u64::MAX);
        self
    }

    /// A node whose limits allow nothing is a mistake that is better found at once.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let counts = [
            ("connections_max", self.connections_max),
            ("connections_per_peer_max", self.connections_per_peer_max),
            ("streams_per_connection_max", self.streams_per_connection_max),
            ("sessions_max", self.sessions_max),
            ("sessions_per_peer_max", self.sessions_per_peer_max),
        ];
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((limit, _)) => Err(BuildError::ZeroLimit { limit }),
            None => Ok(()),
        }
    }
}
