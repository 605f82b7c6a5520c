//! What happens to an agent, and what it wants done.

use std::time::Duration;

use bytes::Bytes;

use super::{MessageError, Root};

/// What happens to an agent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AgentInput<P> {
    /// The node is ready, and this is what it has. The first input that has an effect beside those on members; a second one
    /// counts as a change.
    Started {
        /// What the node has.
        root: Root,
    },
    /// A member is there, or what is known of it has changed.
    PeerUp {
        /// The member.
        peer: P,
        /// How long a message to it and back takes, if that is known. Only the order counts.
        rtt: Option<Duration>,
    },
    /// A member is gone, or is thought to be. A session with it goes on until it ends by itself.
    PeerDown {
        /// The member.
        peer: P,
    },
    /// The connection to a member was lost for a while, and with it maybe messages.
    Reconnected {
        /// The member.
        peer: P,
    },
    /// A message came, by broadcast or directly.
    Received {
        /// Whose it is, if the transport has authenticated that.
        from: Option<P>,
        /// The message, as it came.
        bytes: Bytes,
    },
    /// Messages were dropped before they came here.
    Lagged,
    /// What the node has changed.
    Changed {
        /// What it has now.
        root: Root,
        /// Why it changed.
        source: Source<P>,
        /// What is new, as far as it is to be pushed: what was verified and applied, never what was merely received.
        pushes: Vec<Push>,
    },
    /// A member has opened a session with this node.
    SessionAccepted {
        /// The member.
        peer: P,
    },
    /// A session has ended. What it has changed is told before.
    SessionEnded {
        /// With whom.
        peer: P,
        /// Who had opened it.
        side: Side,
        /// How it ended.
        outcome: Outcome,
    },
    /// The time that [`Agent::next_timeout`](super::Agent::next_timeout) named may have come. Harmless if it has not.
    Timeout,
}

/// Why what a node has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source<P> {
    /// By the application on this node, or by an import.
    Local,
    /// By an [`AgentOutput::Apply`] with this sender.
    Pushed(Option<P>),
    /// By a session with this member, whoever opened it.
    Session(P),
}

impl<P> Source<P> {
    /// Who has the items already.
    pub(super) fn peer(&self) -> Option<&P> {
        match self {
            Self::Local => None,
            Self::Pushed(from) => from.as_ref(),
            Self::Session(peer) => Some(peer),
        }
    }
}

/// Who opened a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Side {
    /// This node, because of an [`AgentOutput::Sync`].
    Opened,
    /// The other one.
    Accepted,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Both sides came to its end.
    Completed {
        /// How many items were new to the side that got them. If there were none although the roots differed, the session was
        /// of no use, and the next one waits as after a failure.
        moved: u64,
    },
    /// It broke off, or the peer could not be reached.
    Failed,
    /// The peer did not want it.
    Refused,
}

/// What an item is, as far as pushing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PushKind {
    /// A value or a tombstone: pushed if it is short, or urgent.
    Entry,
    /// Pushed whatever its length.
    Grant,
    /// Pushed whatever its length, before entries.
    Revocation,
}

/// An item to push.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Push {
    /// What it is.
    pub kind: PushKind,
    /// Whether it goes first and whatever its length. Revocations and grants do without it; it is for tombstones that a
    /// revocation brings with it.
    pub urgent: bool,
    /// The item as the receiver's tree takes it: kind byte and signed bytes.
    pub bytes: Bytes,
}

impl Push {
    /// An item that is as urgent as its kind.
    #[must_use]
    pub fn new(kind: PushKind, bytes: Bytes) -> Self {
        Self { kind, urgent: false, bytes }
    }

    /// Makes it go first and whatever its length.
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.urgent = true;
        self
    }

    pub(super) fn goes_first(&self) -> bool {
        self.urgent || self.kind != PushKind::Entry
    }
}

/// What an agent wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AgentOutput<P> {
    /// Send this to all members. It may be lost.
    Broadcast {
        /// The message.
        bytes: Bytes,
    },
    /// Send this to one member, as one message. It may be lost.
    Send {
        /// The member.
        to: P,
        /// The message.
        bytes: Bytes,
    },
    /// Open a session with this member. Its end is told by [`AgentInput::SessionEnded`].
    Sync {
        /// The member.
        with: P,
    },
    /// Drop the session that was opened with this member: it has taken too long. Its end is not told any more.
    CancelSync {
        /// The member.
        with: P,
    },
    /// Hand these to the tree, which verifies them; what it took comes back by [`AgentInput::Changed`] with
    /// [`Source::Pushed`]. At most one for each input.
    Apply {
        /// Who sent them, if that is known.
        from: Option<P>,
        /// Encoded items that are not known to have come before.
        items: Vec<Bytes>,
    },
    /// A message was not one, and is ignored. For logs.
    Rejected {
        /// Whose it was, if that is known.
        from: Option<P>,
        /// What is wrong with it.
        error: MessageError,
    },
}
