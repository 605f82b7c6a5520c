use std::io;

use thiserror::Error;

/// Why a sync session failed, sorted by who has to act.
///
/// A backend that runs a [`SyncProtocol`](crate::SyncProtocol) decides by the variant alone; the text is for people.
///
/// | variant | whose fault | what a backend may do |
/// |---|---|---|
/// | [`UnexpectedBehaviour`](Self::UnexpectedBehaviour) | the peer or the way to it | close the stream, try again later or with another peer |
/// | [`InvalidEncoding`](Self::InvalidEncoding) | the peer sent bytes that are not the protocol | close the stream; retrying with the same peer rarely helps |
/// | [`Critical`](Self::Critical) | this side: store, application channel, a programming error | stop and tell the operator; another peer will not help |
///
/// Nothing that a peer sends, or fails to send, yields `Critical`.
///
/// The set of variants is fixed: code written for p2panda-sync matches on it exhaustively.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the three variants are the contract that users match on")]
pub enum SyncError {
    /// The peer did something that the protocol does not allow at this point, fell silent, or went away.
    #[error("unexpected behaviour: {0}")]
    UnexpectedBehaviour(String),

    /// The peer sent bytes that cannot be decoded, or that exceed a limit on what is decoded.
    #[error("invalid encoding: {0}")]
    InvalidEncoding(String),

    /// This side failed, whatever the peer did.
    #[error("critical: {0}")]
    Critical(String),
}

impl SyncError {
    /// Whether the fault lies with the peer or the connection, so that another try or another peer may succeed.
    #[must_use]
    pub fn is_peer_fault(&self) -> bool {
        !matches!(self, Self::Critical(_))
    }
}

/// A broken, reset, refused, timed-out or unreachable connection and bytes that the transport cannot make sense of are the
/// peer's behaviour; every other I/O error is critical.
impl From<io::Error> for SyncError {
    fn from(err: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match err.kind() {
            Kind::BrokenPipe => Self::UnexpectedBehaviour("broken pipe".into()),
            Kind::UnexpectedEof
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::ConnectionRefused
            | Kind::NotConnected
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::InvalidData
            | Kind::TimedOut
            | Kind::WriteZero => Self::UnexpectedBehaviour(format!("connection lost: {err}")),
            _ => Self::Critical(format!("internal i/o stream error {err}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_the_peers_behaviour() {
        for kind in [
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::NotConnected,
            io::ErrorKind::HostUnreachable,
            io::ErrorKind::NetworkUnreachable,
            io::ErrorKind::NetworkDown,
            io::ErrorKind::InvalidData,
            io::ErrorKind::TimedOut,
            io::ErrorKind::WriteZero,
        ] {
            let err = SyncError::from(io::Error::from(kind));
            assert!(matches!(err, SyncError::UnexpectedBehaviour(_)), "{kind:?}: {err}");
            assert!(err.is_peer_fault());
        }
    }

    #[test]
    fn any_other_io_error_is_critical() {
        for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::Other, io::ErrorKind::OutOfMemory] {
            let err = SyncError::from(io::Error::from(kind));
            assert!(matches!(err, SyncError::Critical(_)), "{kind:?}: {err}");
        }
    }

    #[test]
    fn the_broken_pipe_text_is_the_one_p2panda_users_know() {
        let err = SyncError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(err, SyncError::UnexpectedBehaviour("broken pipe".into()));
    }
}
