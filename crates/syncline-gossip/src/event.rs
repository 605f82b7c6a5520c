//! What a replica tells about itself.

use syncline_kv::agent::{Outcome, Side};
use syncline_kv::tree::Collection;
use syncline_net::PeerId;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Something that happened to a replica. What changes in the tree, the tree tells: see [`Tree::watch`](syncline_kv::Tree::watch).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeEvent {
    /// A member is there: a link to it, or from it, is up.
    MemberUp(PeerId),
    /// The last link with a member is gone.
    MemberDown(PeerId),
    /// Somebody wanted a link who may not read the namespace, and was sent nothing.
    StrangerRefused(PeerId),
    /// A session has ended.
    SessionEnded {
        /// With whom.
        peer: PeerId,
        /// Who had opened it.
        side: Side,
        /// How it ended.
        outcome: Outcome,
    },
    /// Entries came out of quarantine: their time has come.
    Released {
        /// How many.
        entries: usize,
    },
    /// Deletions were forgotten.
    Collected(Collection),
    /// The replica completed no session for so long that it must not sync any more. See
    /// [`KvError::AwayTooLong`](syncline_kv::KvError::AwayTooLong).
    AwayTooLong,
    /// The tree failed in a chore. It is tried again.
    ChoreFailed(String),
    /// Events were dropped because they were not fetched.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// The events of a replica from when this was made. At most 256 wait to be fetched; then the oldest go.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<NodeEvent>,
}

impl Events {
    /// Waits for the next event. `None` once the replica is gone.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost.
    pub async fn next(&mut self) -> Option<NodeEvent> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(NodeEvent::Lagged { missed }),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Where events go.
#[derive(Clone, Debug)]
pub(crate) struct EventSink(broadcast::Sender<NodeEvent>);

impl EventSink {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(256))
    }

    pub(crate) fn tell(&self, event: NodeEvent) {
        // Nobody may be listening.
        let _ = self.0.send(event);
    }

    pub(crate) fn subscribe(&self) -> Events {
        Events { receiver: self.0.subscribe() }
    }
}
