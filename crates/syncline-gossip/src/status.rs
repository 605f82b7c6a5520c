//! How a replica is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use syncline_core::clock::Timestamp;
use syncline_kv::NamespaceId;
use syncline_kv::tree::Root;
use syncline_net::{PeerAddr, PeerId};

/// How a replica is, at one time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeStatus {
    /// Its key.
    pub peer_id: PeerId,
    /// Where it listens; none if it does not, or shares a node with others.
    pub local_addr: Option<SocketAddr>,
    /// Its namespace.
    pub namespace: NamespaceId,
    /// What it holds.
    pub root: Root,
    /// Peers that it knows an address of, or has a link with.
    pub members: BTreeMap<PeerId, MemberStatus>,
    /// When the last complete session with each peer began that it ever had one with.
    pub synced: BTreeMap<PeerId, Timestamp>,
    /// It was away for too long and must not sync.
    pub is_away_too_long: bool,
    /// What it has done.
    pub stats: NodeStats,
}

/// How it stands with one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberStatus {
    /// Where it is reached, if that is known.
    pub addr: Option<PeerAddr>,
    /// A link that was dialled here is up.
    pub dialled: bool,
    /// A link that the peer dialled is up.
    pub accepted: bool,
    /// How long a message to it and back took the last time.
    pub rtt: Option<Duration>,
}

impl MemberStatus {
    /// Whether messages can go to it.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.dialled || self.accepted
    }
}

/// What a replica has done since it was started. The numbers only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStats {
    /// Messages that were handed to links; each receiver counts.
    pub messages_sent: u64,
    /// Messages that were dropped because a link had no room.
    pub messages_dropped: u64,
    /// Messages that came by links.
    pub messages_received: u64,
    /// Links that were refused because the peer may not read.
    pub strangers: u64,
    /// Links that ended because the peer broke a rule of theirs.
    pub links_faulty: u64,
    /// Items that members pushed and that were new.
    pub pushed_new: u64,
    /// Items that members pushed and that were not taken.
    pub pushed_refused: u64,
    /// Sessions that were opened here.
    pub sessions_opened: u64,
    /// Sessions that peers opened.
    pub sessions_accepted: u64,
    /// Of both, how many came to their end.
    pub sessions_completed: u64,
}
