use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, TransportConfig, VarInt};

use super::tls::Allow;
use crate::{Access, PeerId};

/// Limits and rules of a QUIC endpoint.
///
/// | limit | default |
/// |---|---|
/// | streams of a peer at a time, per connection | 64 |
/// | bytes received and not yet read, per stream | 1 MiB |
/// | bytes received and not yet read, per connection | 8 MiB |
/// | bytes sent and not yet acknowledged, per connection | 8 MiB |
/// | silence after which a connection is lost | 30 s |
/// | interval of keep-alives | 8 s |
/// | handshakes at a time with peers whose address is not validated | 32 |
/// | connections that wait for their handshake to begin | 256 |
///
/// A session whose application does not take its items fills its stream's window and, with others like it, that of the
/// connection: choose the latter several times the former.
#[derive(Clone)]
pub struct QuicConfig {
    pub(super) streams_max: u32,
    pub(super) stream_window: u32,
    pub(super) connection_window: u32,
    pub(super) send_window: u32,
    pub(super) idle_timeout: Duration,
    pub(super) keep_alive: Duration,
    pub(super) unvalidated_handshakes_max: usize,
    pub(super) backlog: usize,
    pub(super) allow: Option<Allow>,
}

impl Default for QuicConfig {
    fn default() -> Self {
        Self {
            streams_max: 64,
            stream_window: 1 << 20,
            connection_window: 8 << 20,
            send_window: 8 << 20,
            idle_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(8),
            unvalidated_handshakes_max: 32,
            backlog: 256,
            allow: None,
        }
    }
}

impl QuicConfig {
    /// Sets how many streams a peer may have open at a time on one connection. Further ones wait at the peer.
    #[must_use]
    pub fn with_streams_max(mut self, streams: u32) -> Self {
        self.streams_max = streams;
        self
    }

    /// Sets the windows in bytes: what may wait to be read, per stream and per connection, and what may wait for its
    /// acknowledgement, per connection. The greater the product of rate and round-trip time, the greater they must be.
    #[must_use]
    pub fn with_windows(mut self, stream: u32, connection: u32, send: u32) -> Self {
        (self.stream_window, self.connection_window, self.send_window) = (stream, connection, send);
        self
    }

    /// Sets the silence after which a connection is lost, up to 24 hours, and the interval of keep-alives, which must be
    /// clearly shorter.
    #[must_use]
    pub fn with_idle_timeout(mut self, silence: Duration, keep_alive: Duration) -> Self {
        (self.idle_timeout, self.keep_alive) = (silence.min(Duration::from_secs(24 * 3600)), keep_alive);
        self
    }

    /// Sets how many handshakes may be under way with peers whose address is not validated. Beyond it a dialler first has
    /// to show that it receives at its address (a retry, one more round trip), so that forged addresses cost little.
    #[must_use]
    pub fn with_unvalidated_handshakes_max(mut self, handshakes: usize) -> Self {
        self.unvalidated_handshakes_max = handshakes;
        self
    }

    /// Sets how many connections may wait until their handshake begins; further ones are refused.
    #[must_use]
    pub fn with_backlog(mut self, connections: usize) -> Self {
        self.backlog = connections;
        self
    }

    /// Lets in only those for whom `allow` says so. It is asked during the handshake, on the thread that drives the
    /// connection: it must be quick and not block.
    #[must_use]
    pub fn with_allow(mut self, allow: impl Fn(&PeerId) -> Access + Send + Sync + 'static) -> Self {
        self.allow = Some(Arc::new(allow));
        self
    }

    /// The transport's parameters; `streams` is what the peer may open.
    pub(super) fn transport(&self, streams: u32) -> Arc<TransportConfig> {
        let mut transport = TransportConfig::default();
        // At most 24 hours, which QUIC's integers of 62 bits hold; else none would be the safe direction to fail in.
        let idle = IdleTimeout::try_from(self.idle_timeout).ok();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(streams))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .stream_receive_window(VarInt::from_u32(self.stream_window))
            .receive_window(VarInt::from_u32(self.connection_window))
            .send_window(u64::from(self.send_window))
            .max_idle_timeout(idle)
            .keep_alive_interval(Some(self.keep_alive))
            .datagram_receive_buffer_size(None);
        Arc::new(transport)
    }
}

impl fmt::Debug for QuicConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicConfig")
            .field("streams_max", &self.streams_max)
            .field("stream_window", &self.stream_window)
            .field("connection_window", &self.connection_window)
            .field("send_window", &self.send_window)
            .field("idle_timeout", &self.idle_timeout)
            .field("keep_alive", &self.keep_alive)
            .field("unvalidated_handshakes_max", &self.unvalidated_handshakes_max)
            .field("backlog", &self.backlog)
            .field("allow", &self.allow.is_some())
            .finish()
    }
}
