//! Links: long-lived streams on which members hear each other. Protocol `syncline-kv-gossip/1`.
//!
//! Whoever knows where a member is dials it and keeps one link up, for each namespace; a link that was dialled carries
//! messages both ways, so one that the other side cannot dial back to hears and answers all the same. Peers are who QUIC proves
//! them to be. Only who may read the whole namespace gets a link: others are told nothing, not even that the namespace is here.
//! Whether a member may read is asked again before each message, in both directions.
//!
//! Nothing waits without a bound. What is to be sent waits in a queue per link, and is dropped when that is full; the agent is
//! then told that the member may have missed something. What came waits in a queue per link as well, and then the stream
//! itself: a member that sends more than is taken slows down itself and nobody else.

mod dialler;
mod frame;
mod protocol;
mod queue;
mod serve;
mod table;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use syncline_kv::agent::{Broadcast, Heard, MemberEvent, Membership};
use syncline_net::PeerId;

pub(crate) use dialler::Dialler;
pub use protocol::{LinkHello, LinkProtocol};
use table::Table;

use crate::event::EventSink;

/// Whether a peer may hear and be heard.
pub type Admits = Arc<dyn Fn(&PeerId) -> bool + Send + Sync>;

/// Limits of [`Links`].
///
/// | limit | default | |
/// |---|---|---|
/// | bytes of a message | 64 KiB | longer: the link ends; not sent |
/// | messages that wait to be sent, per link | 1 024 | further ones are dropped |
/// | bytes that wait to be sent, per link | 1 MiB | further ones are dropped |
/// | messages that wait to be heard, per link | 256 | the stream waits |
/// | bytes that wait to be heard, per link | 256 KiB | the stream waits |
/// | members with links | 1 024 | further ones are refused |
/// | time between pings | 10 s | must be well below the node's limit for silence |
/// | silence after which a link ends | 35 s | |
/// | delay before a link is dialled again | 250 ms to 30 s | doubled each time, up to half taken off at random |
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkLimits {
    /// Bytes of the longest message.
    pub message_len: usize,
    /// Messages that wait to be sent, per link.
    pub outbound_messages: usize,
    /// Bytes that wait to be sent, per link. One message is always taken.
    pub outbound_bytes: usize,
    /// Messages that wait to be heard, per link.
    pub inbound_messages: usize,
    /// Bytes that wait to be heard, per link. One message is always taken.
    pub inbound_bytes: usize,
    /// Members with links.
    pub members: usize,
    /// Time between pings.
    pub ping: Duration,
    /// Silence after which a link ends.
    pub silence: Duration,
    /// The delay before a link is dialled again after the first failure.
    pub retry_min: Duration,
    /// The longest such delay.
    pub retry_max: Duration,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self {
            message_len: 64 << 10,
            outbound_messages: 1_024,
            outbound_bytes: 1 << 20,
            inbound_messages: 256,
            inbound_bytes: 256 << 10,
            members: 1_024,
            ping: Duration::from_secs(10),
            silence: Duration::from_secs(35),
            retry_min: Duration::from_millis(250),
            retry_max: Duration::from_secs(30),
        }
    }
}

/// The links of one namespace: a [`Broadcast`]. Clones share them; one of them may receive.
#[derive(Clone)]
pub struct Links {
    table: Arc<Table>,
}

impl Links {
    /// No links yet. `admits` is asked for each message: it must be quick and not block.
    pub fn new(limits: LinkLimits, admits: Admits) -> Self {
        Self::with_events(limits, admits, EventSink::new())
    }

    pub(crate) fn with_events(limits: LinkLimits, admits: Admits, events: EventSink) -> Self {
        Self { table: Arc::new(Table::new(limits, admits, events)) }
    }

    /// Those with whom links are up, as members.
    #[must_use]
    pub fn membership(&self) -> LinkedPeers {
        LinkedPeers { links: self.clone() }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &LinkLimits {
        self.table.limits()
    }

    /// Ends all links in order, and refuses new ones. The broadcast and the membership end.
    pub fn close(&self) {
        self.table.close();
    }

    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("limits", self.table.limits()).finish_non_exhaustive()
    }
}

impl Broadcast<PeerId> for Links {
    fn max_len(&self) -> usize {
        self.table.limits().message_len
    }

    fn publish(&mut self, bytes: Bytes) {
        self.table.publish(&bytes);
    }

    fn send(&mut self, to: &PeerId, bytes: Bytes) {
        self.table.send(to, bytes);
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Heard<PeerId>>> {
        self.table.poll_receive(cx)
    }
}

/// Membership by links: a peer is a member while a link with it is up, in either direction, and it may read.
///
/// The time that a message takes there and back is measured by pings.
#[derive(Clone, Debug)]
pub struct LinkedPeers {
    links: Links,
}

impl Membership<PeerId> for LinkedPeers {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<MemberEvent<PeerId>>> {
        self.links.table.poll_event(cx)
    }
}
