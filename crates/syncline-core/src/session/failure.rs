use std::fmt;

use thiserror::Error;

use super::SessionReport;
use crate::SyncError;

/// A session ended without success.
#[derive(Debug, Error)]
#[error("session failed after {} bytes received", .report.bytes_received())]
#[non_exhaustive]
pub struct SessionFailure {
    /// Why.
    #[source]
    pub cause: FailureCause,
    /// What had been transferred by then.
    pub report: Box<SessionReport>,
}

/// Why a session ended without success.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureCause {
    /// The protocol failed.
    #[error(transparent)]
    Protocol(#[from] SyncError),
    /// The peer did not keep a deadline.
    #[error("the peer exceeded the {0} deadline")]
    Deadline(Deadline),
    /// The session moved more than its budget.
    #[error("the session exceeded its budget of {0}")]
    Budget(Budget),
    /// Somebody used the [`CancelHandle`](super::CancelHandle).
    #[error("the session was cancelled")]
    Cancelled,
}

impl FailureCause {
    /// Whether the fault lies with the peer or the connection. A total deadline counts as theirs, though this side may have
    /// taken some of the time.
    #[must_use]
    pub fn is_peer_fault(&self) -> bool {
        match self {
            Self::Protocol(err) => err.is_peer_fault(),
            Self::Deadline(_) | Self::Budget(_) => true,
            Self::Cancelled => false,
        }
    }
}

/// Which deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deadline {
    /// Until the handshake succeeded.
    Handshake,
    /// Between two bytes, in either direction.
    Idle,
    /// For the whole session.
    Total,
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "handshake",
            Self::Idle => "idle",
            Self::Total => "total",
        })
    }
}

/// Which budget was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Budget {
    /// Bytes received.
    BytesReceived,
    /// Bytes sent.
    BytesSent,
    /// Items received.
    ItemsReceived,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BytesReceived => "bytes received",
            Self::BytesSent => "bytes sent",
            Self::ItemsReceived => "items received",
        })
    }
}
