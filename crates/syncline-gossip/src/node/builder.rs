//! Sets up a replica.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use syncline_core::clock::{Clock, SystemClock};
use syncline_crypto::SigningKey;
use syncline_kv::agent::AgentConfig;
use syncline_kv::{Subtree, Tree};
use syncline_net::quic::{QuicConfig, QuicEndpoint};
use syncline_net::transport::{Connector, Listener};
use syncline_net::{Node, NodeLimits, PeerAddr, PeerId};

use super::{Chores, KvNode, Running};
use crate::event::EventSink;
use crate::hub::Replica;
use crate::links::{Admits, Dialler, Links};
#[cfg(feature = "swim")]
use crate::swim::Swim;
use crate::{AddressBook, GossipLimits, Hub, LinkLimits, StartError, TreeGossip};

/// The time that accepted sessions are given at shutdown. What they have applied stays, and the next one goes on from there.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// Builds a [`KvNode`].
pub struct KvNodeBuilder {
    tree: Tree,
    key: SigningKey,
    clock: Arc<dyn Clock>,
    listen: Option<SocketAddr>,
    shared: Option<(Hub, Node)>,
    book: AddressBook,
    live: bool,
    config: AgentConfig,
    chores: Chores,
    link_limits: LinkLimits,
    gossip_limits: GossipLimits,
    node_limits: NodeLimits,
    quic: QuicConfig,
    #[cfg(feature = "swim")]
    swim: Option<crate::swim::SwimConfig>,
}

impl KvNodeBuilder {
    pub(super) fn new(tree: Tree, key: SigningKey) -> Self {
        Self {
            tree,
            key,
            clock: Arc::new(SystemClock),
            listen: None,
            shared: None,
            book: AddressBook::new(),
            live: false,
            config: AgentConfig::default(),
            chores: Chores::default(),
            link_limits: LinkLimits::default(),
            gossip_limits: GossipLimits::default(),
            node_limits: NodeLimits::default().with_shutdown_timeout(SHUTDOWN),
            quic: QuicConfig::default(),
            #[cfg(feature = "swim")]
            swim: None,
        }
    }

    /// Accepts peers at this address, by QUIC; port 0 lets the system choose. Without one it only dials, from IPv4.
    #[must_use]
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.listen = Some(addr);
        self
    }

    /// Serves it by a node that has a hub [registered](Hub::register), together with replicas of other namespaces. The node must
    /// prove the key that this was built with. [`listen`](Self::listen) and limits of the node then have no effect.
    #[must_use]
    pub fn on(mut self, hub: Hub, node: Node) -> Self {
        self.shared = Some((hub, node));
        self
    }

    /// Dials this peer, and keeps a link with it. An address without a key is passed over.
    #[must_use]
    pub fn peer(self, addr: PeerAddr) -> Self {
        self.book.insert(addr);
        self
    }

    /// Dials the peers of this book, which somebody else may change later. Those that were named before are put into it.
    #[must_use]
    pub fn peers(mut self, book: AddressBook) -> Self {
        for addr in self.book.addresses() {
            book.insert(addr);
        }
        self.book = book;
        self
    }

    /// Finds members over UDP, and dials them. They dial where this node [listens](Self::listen), or the address that the settings
    /// advertise for that; on a shared node, or one that only dials, nothing else is known.
    #[cfg(feature = "swim")]
    #[cfg_attr(docsrs, doc(cfg(feature = "swim")))]
    #[must_use]
    pub fn swim(mut self, config: crate::swim::SwimConfig) -> Self {
        self.swim = Some(config);
        self
    }

    /// Sets how the agent gossips.
    #[must_use]
    pub fn config(mut self, config: AgentConfig) -> Self {
        self.config = config;
        self
    }

    /// Lets sessions stay open that a peer wants to stay open, for peers that do not gossip. Off by default: then no session that
    /// a peer opens may take longer than the agent's own.
    #[must_use]
    pub fn live(mut self, live: bool) -> Self {
        self.live = live;
        self
    }

    /// Sets how often it looks after its tree.
    #[must_use]
    pub fn chores(mut self, chores: Chores) -> Self {
        self.chores = chores;
        self
    }

    /// Sets the limits of links.
    #[must_use]
    pub fn link_limits(mut self, limits: LinkLimits) -> Self {
        self.link_limits = limits;
        self
    }

    /// Sets the limits of what waits to be pushed.
    #[must_use]
    pub fn gossip_limits(mut self, limits: GossipLimits) -> Self {
        self.gossip_limits = limits;
        self
    }

    /// Sets the limits of the node: the defaults, but for 3 s in place of 10 s at shutdown, unless this is called. Links stay open
    /// whatever they say.
    #[must_use]
    pub fn node_limits(mut self, limits: NodeLimits) -> Self {
        self.node_limits = limits;
        self
    }

    /// Sets the limits of the transport.
    #[must_use]
    pub fn quic(mut self, config: QuicConfig) -> Self {
        self.quic = config;
        self
    }

    /// Stamps and grants are judged by this clock, which shows wall time. The system's by default.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Starts the replica on the tokio runtime that the caller runs in.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing is left running.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future starts nothing.
    pub async fn start(self) -> Result<KvNode, StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let me = self.key.public_key();
        let (hub, node, local, owns_node) = match self.shared.clone() {
            Some((hub, node)) => (hub, node, None, false),
            None => self.make_node()?,
        };
        let events = EventSink::new();
        let gossip = {
            let (tree, node, sync, clock) = (self.tree.clone(), node.clone(), hub.sync().clone(), self.clock.clone());
            let (limits, events) = (self.gossip_limits, events.clone());
            let open = move || TreeGossip::with_events(tree, node, sync, clock, limits, events);
            runtime.spawn_blocking(open).await.map_err(|_| StartError::NoRuntime)??
        };
        let admits: Admits = Arc::new(admits(me, &self.tree, &self.clock, &gossip, &self.book));
        let links = Links::with_events(self.link_limits, Arc::clone(&admits), events.clone());
        let namespace = self.tree.id();
        #[cfg(feature = "swim")]
        let swim = match self.swim {
            Some(config) => {
                let quic = local.or(config.advertise_quic).ok_or_else(|| {
                    StartError::Swim(std::io::Error::new(
                        std::io::ErrorKind::InvalidInput,
                        "no address to be dialled at",
                    ))
                })?;
                let joining = Swim::start(&self.key, namespace, quic, config, admits, self.book.clone());
                Some(joining.await.map_err(StartError::Swim)?)
            }
            None => None,
        };
        let replica = Replica { tree: self.tree.clone(), links: links.clone(), gossip: gossip.clone() };
        hub.insert(namespace, replica)?;
        let running = Running {
            me,
            namespace,
            tree: self.tree,
            clock: self.clock,
            local,
            node,
            owns_node,
            hub,
            book: self.book,
            links,
            gossip,
            events,
            is_away: Arc::default(),
            tasks: Default::default(),
            stop: Default::default(),
            #[cfg(feature = "swim")]
            swim,
        };
        KvNode::start(running, self.config, self.chores)
    }

    /// A node for this replica alone.
    fn make_node(&self) -> Result<(Hub, Node, Option<SocketAddr>, bool), StartError> {
        let hub = Hub::new(Arc::clone(&self.clock), self.live)?;
        let addr = self.listen.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        let endpoint = QuicEndpoint::bind(&self.key, addr, self.quic.clone()).map_err(StartError::Listen)?;
        let mut builder = hub.register(Node::builder()).limits(self.node_limits.clone().with_live_sessions());
        builder = builder.connector(Arc::clone(&endpoint) as Arc<dyn Connector>);
        if self.listen.is_some() {
            builder = builder.listener(Arc::clone(&endpoint) as Arc<dyn Listener>);
        }
        let local = self.listen.map(|_| endpoint.local_addr());
        Ok((hub, builder.build()?, local, true))
    }
}

/// Whom a replica talks to.
fn admits(
    me: PeerId,
    tree: &Tree,
    clock: &Arc<dyn Clock>,
    gossip: &TreeGossip,
    book: &AddressBook,
) -> impl Fn(&PeerId) -> bool + Send + Sync + 'static {
    let (tree, clock, gossip, book) = (tree.clone(), Arc::clone(clock), gossip.clone(), book.clone());
    let all = Subtree::all();
    move |peer| {
        let may_read = || tree.authority().may_read(Some(peer), &all, clock.now());
        // Who holds nothing does not know yet who may read, and has nothing to hide.
        *peer != me && (may_read() || (gossip.is_empty() && book.get(peer).is_some()))
    }
}

impl Running {
    pub(super) fn dialler(&self) -> Dialler {
        Dialler {
            node: self.node.clone(),
            me: self.me,
            namespace: self.namespace,
            links: self.links.clone(),
            book: self.book.clone(),
            authority: self.gossip.authority(),
            stop: self.stop.clone(),
        }
    }
}

impl fmt::Debug for KvNodeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvNodeBuilder")
            .field("tree", &self.tree)
            .field("key", &self.key.public_key())
            .field("listen", &self.listen)
            .field("live", &self.live)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
