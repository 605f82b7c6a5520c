//! What rules, factories and handlers learn about a session.

use std::fmt;

use syncline_core::session::{CancelHandle, ProgressReceiver};

use crate::negotiation::ProtocolName;
use crate::{Identity, PeerId};

/// Whether somebody may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a rule says yes or no")]
pub enum Access {
    /// Yes.
    Allow,
    /// No.
    Deny,
}

impl Access {
    /// `Allow` if the condition holds, else `Deny`.
    #[must_use]
    pub fn allow_if(condition: bool) -> Self {
        if condition { Self::Allow } else { Self::Deny }
    }
}

/// Tells the sessions apart that a node accepted, in the order in which they were accepted, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(crate) u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who wants to run which protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerContext {
    pub(crate) remote: Identity,
    pub(crate) protocol: ProtocolName,
}

impl PeerContext {
    /// A context, to test rules and factories with.
    #[must_use]
    pub fn new(remote: Identity, protocol: ProtocolName) -> Self {
        Self { remote, protocol }
    }

    /// Who the peer is.
    #[must_use]
    pub fn remote(&self) -> Identity {
        self.remote
    }

    /// The peer's key, if the transport proved one.
    #[must_use]
    pub fn peer_id(&self) -> Option<&PeerId> {
        self.remote.peer_id()
    }

    /// The protocol that the peer named. A rule may be asked about protocols that nobody registered.
    #[must_use]
    pub fn protocol(&self) -> &str {
        self.protocol.as_str()
    }
}

/// A session that a peer opened and this node accepted.
#[derive(Clone, Debug)]
pub struct AcceptedSession {
    pub(crate) id: SessionId,
    pub(crate) peer: PeerContext,
    pub(crate) progress: ProgressReceiver,
    pub(crate) cancel: CancelHandle,
}

impl AcceptedSession {
    /// The session's number.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The peer and the protocol.
    #[must_use]
    pub fn peer(&self) -> &PeerContext {
        &self.peer
    }

    /// Where to watch the session's progress.
    #[must_use]
    pub fn progress(&self) -> ProgressReceiver {
        self.progress.clone()
    }

    /// Ends the session early.
    #[must_use]
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }
}
