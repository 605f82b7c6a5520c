//! What can go wrong, by operation: dialling, a connection's life, the negotiation on a stream, a whole sync.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use syncline_core::session::SessionFailure;
use thiserror::Error;

use crate::PeerId;
use crate::negotiation::{NameError, NegotiationError, RefuseReason};

/// Why there is no connection.
///
/// It can be cloned, since several syncs may wait for one dial.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Another peer answered than the one dialled. Nothing of a protocol was sent.
    #[error("dialled {expected}, but {found} answered")]
    WrongPeer {
        /// Who was dialled.
        expected: PeerId,
        /// Who answered.
        found: PeerId,
    },
    /// The transport did not prove who answered, though the address names a key.
    #[error("dialled {expected}, but the transport does not prove who answered")]
    Unproven {
        /// Who was dialled.
        expected: PeerId,
    },
    /// The transport proves keys, and the address names none.
    #[error("the transport needs the key of the peer to dial")]
    KeyRequired,
    /// Nobody answers there.
    #[error("peer is unreachable")]
    Unreachable {
        /// What the operating system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The connection was not established in time.
    #[error("no connection within {after:?}")]
    TimedOut {
        /// The time that it was given.
        after: Duration,
    },
    /// The peer refused the connection: it is busy, or does not let this node in.
    #[error("peer refused the connection")]
    Refused,
    /// The handshake failed for another reason.
    #[error("handshake failed")]
    HandshakeFailed {
        /// What the transport said.
        #[source]
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The transport's code panicked.
    #[error("the connector panicked")]
    Panicked,
    /// The node was built without a connector.
    #[error("the node has no connector")]
    NoConnector,
    /// This side is shut down.
    #[error("the endpoint is closed")]
    Closed,
}

impl ConnectError {
    /// Wraps a transport's own error as [`HandshakeFailed`](Self::HandshakeFailed).
    pub fn handshake(source: impl StdError + Send + Sync + 'static) -> Self {
        Self::HandshakeFailed { source: Arc::new(source) }
    }

    /// Wraps an I/O error as [`Unreachable`](Self::Unreachable).
    #[must_use]
    pub fn unreachable(source: io::Error) -> Self {
        Self::Unreachable { source: Arc::new(source) }
    }

    /// Whether dialling the same address again may succeed without anybody changing anything here.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::WrongPeer { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Refused
            | Self::HandshakeFailed { .. } => true,
            Self::Unproven { .. } | Self::KeyRequired | Self::Panicked | Self::NoConnector | Self::Closed => false,
        }
    }
}

/// Why a connection gives no more streams.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// It was closed in order, by either side.
    #[error("connection is closed")]
    Closed,
    /// The peer broke it off during its handshake: it does not let this node in, or found its proof wrong.
    #[error("peer refused the connection")]
    Refused,
    /// It broke.
    #[error("connection was lost")]
    Lost {
        /// What the transport said.
        #[source]
        source: Arc<dyn StdError + Send + Sync>,
    },
}

impl TransportError {
    /// Wraps a transport's own error as [`Lost`](Self::Lost).
    pub fn lost(source: impl StdError + Send + Sync + 'static) -> Self {
        Self::Lost { source: Arc::new(source) }
    }
}

/// Why a sync gave no success.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SyncFailure {
    /// There is no connection to the peer.
    #[error("could not connect to the peer")]
    Connect(#[from] ConnectError),
    /// The connection ended before the session began.
    #[error("connection failed before the session")]
    Transport(#[from] TransportError),
    /// The peer does not offer the protocol to this node now, or does not speak ours.
    #[error("could not agree on the protocol")]
    Negotiation(#[from] NegotiationError),
    /// The session ran and failed.
    #[error("session failed")]
    Session(#[from] SessionFailure),
    /// The protocol, the topic's code or the application's sink or handler panicked.
    #[error("the session's code panicked")]
    Panicked,
    /// The sync was cancelled before its session began.
    #[error("sync was cancelled")]
    Cancelled,
    /// The node is shut down.
    #[error("the node is shut down")]
    ShutDown,
    /// The protocol's name cannot be negotiated.
    #[error("the protocol's name cannot be negotiated")]
    ProtocolName(#[from] NameError),
    /// No protocol was given to choose from.
    #[error("no protocol was given")]
    NoProtocol,
}

impl SyncFailure {
    /// Whether the peer said that it has no protocol of the name that it was offered.
    pub(crate) fn is_unknown_protocol(&self) -> bool {
        matches!(self, Self::Negotiation(NegotiationError::Refused(RefuseReason::UnknownProtocol)))
    }

    /// Whether the same sync may succeed later without anybody changing anything here.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect(err) => err.is_retryable(),
            Self::Transport(_) | Self::Negotiation(_) => true,
            Self::Session(err) => err.cause.is_peer_fault(),
            Self::Panicked | Self::Cancelled | Self::ShutDown | Self::ProtocolName(_) | Self::NoProtocol => false,
        }
    }
}

/// Why a node cannot be built.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// Two protocols were registered under one name.
    #[error("protocol {name} is registered twice")]
    DuplicateProtocol {
        /// The name.
        name: &'static str,
    },
    /// A protocol's name cannot be negotiated.
    #[error("protocol {name:?} has a name that cannot be negotiated")]
    ProtocolName {
        /// The name.
        name: &'static str,
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
    /// A limit is 0 where nothing would work.
    #[error("limit {limit} is zero")]
    ZeroLimit {
        /// The name of the limit.
        limit: &'static str,
    },
    /// Not called from within a tokio runtime.
    #[error("a node needs a tokio runtime")]
    NoRuntime,
}
