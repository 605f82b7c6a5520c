//! One replica on the network.

mod builder;
mod chores;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use syncline_core::clock::Clock;
use syncline_crypto::SigningKey;
use syncline_kv::agent::{Agent, AgentConfig, run};
use syncline_kv::{KvError, NamespaceId, Tree};
use syncline_net::{Node, PeerAddr, PeerAddrError, PeerId, TokioBlocking, TokioTimer};
use syncline_storage::blocking;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::event::{EventSink, Events};
use crate::links::Links;
use crate::status::{MemberStatus, NodeStats, NodeStatus};
use crate::{AddressBook, Hub, NetConnector, ShutdownReport, StartError, TreeGossip};

pub use builder::KvNodeBuilder;
pub use chores::Chores;

/// One replica of a signed tree on the network: it keeps links with its peers, finds out who has something else, syncs with
/// those, and pushes what is new. The application works on the [`tree`](Self::tree) as if it were alone.
///
/// Peers prove their keys to each other, and only who may read the whole namespace is told or asked anything; see
/// [`links`](crate::links). A replica that is empty does not know yet who may read, and has nothing to hide: it deals with the
/// peers that it was given.
///
/// Clones are the same replica. Dropping the last one breaks off; [`shutdown`](Self::shutdown) ends in order.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use syncline_core::clock::{Clock, SystemClock};
/// use syncline_crypto::SigningKey;
/// use syncline_gossip::KvNode;
/// use syncline_kv::{Key, Namespace, Tree};
/// use syncline_storage::MemoryDb;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let root = SigningKey::from_bytes(&[7; 32]);
/// let namespace = Namespace::new("config", [root.public_key()])?;
/// let tree = Tree::open(Arc::new(MemoryDb::new()), &namespace)?;
/// let first = KvNode::builder(tree, root.clone()).listen("127.0.0.1:0".parse()?).start().await?;
///
/// let key = Key::new("/my/key/state")?;
/// first.tree().put(SystemClock.now(), &root, &key, &b"on"[..])?;
///
/// // Another one that knows where the first is. In earnest it has a key of its own, and a grant to read.
/// let tree = Tree::open(Arc::new(MemoryDb::new()), &namespace)?;
/// let changes = tree.watch(syncline_kv::tree::Scope::all());
/// # let root2 = SigningKey::from_bytes(&[8; 32]);
/// # use syncline_kv::item::{GrantDraft, Ops, Quota};
/// # use syncline_kv::Pattern;
/// # let (stamp, now) = (first.tree().stamp(SystemClock.now())?, SystemClock.now());
/// # let draft = GrantDraft { namespace: namespace.id(), parent: None, issuer: root.public_key(), audience: root2.public_key(),
/// #     pattern: Pattern::all(), ops: Ops::ReadWrite, depth: 0, not_before: None, not_after: None, quota: Quota::NONE, stamp };
/// # first.tree().grant(now, &root, draft)?;
/// # let root = root2;
/// let second = KvNode::builder(tree, root).peer(first.peer_addr()?).start().await?;
/// while second.tree().get(&key)?.is_none() {
///     changes.changed().await;
/// }
/// second.shutdown().await;
/// first.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct KvNode {
    running: Arc<Running>,
}

struct Running {
    me: PeerId,
    namespace: NamespaceId,
    tree: Tree,
    clock: Arc<dyn Clock>,
    local: Option<SocketAddr>,
    node: Node,
    /// The node serves this replica alone, and ends with it.
    owns_node: bool,
    hub: Hub,
    book: AddressBook,
    links: Links,
    gossip: TreeGossip,
    events: EventSink,
    is_away: Arc<AtomicBool>,
    tasks: TaskTracker,
    stop: CancellationToken,
    #[cfg(feature = "swim")]
    swim: Option<crate::swim::Swim>,
}

impl KvNode {
    /// Starts to build a replica that has this tree and proves this key to its peers.
    #[must_use]
    pub fn builder(tree: Tree, key: SigningKey) -> KvNodeBuilder {
        KvNodeBuilder::new(tree, key)
    }

    /// Its key's public half, by which peers know it.
    #[must_use]
    pub fn peer_id(&self) -> &PeerId {
        &self.running.me
    }

    /// Where it listens; none if it only dials, or is on a node that others made.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.running.local
    }

    /// The address for others to dial, if it listens at a specific one and not behind a translation.
    ///
    /// # Errors
    ///
    /// [`PeerAddrError::Port`] if it does not listen.
    pub fn peer_addr(&self) -> Result<PeerAddr, PeerAddrError> {
        PeerAddr::at(self.running.me, self.running.local.ok_or(PeerAddrError::Port)?)
    }

    /// The tree. What is written there goes to the others; what comes from them can be [watched](Tree::watch).
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.running.tree
    }

    /// Where peers are reached. What is put in there is dialled.
    #[must_use]
    pub fn peers(&self) -> &AddressBook {
        &self.running.book
    }

    /// The node that carries the links and sessions.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.running.node
    }

    /// Who was found over UDP, if it looks for members there.
    #[cfg(feature = "swim")]
    #[cfg_attr(docsrs, doc(cfg(feature = "swim")))]
    #[must_use]
    pub fn swim(&self) -> Option<&crate::swim::Swim> {
        self.running.swim.as_ref()
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        self.running.events.subscribe()
    }

    /// How it is now.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn status(&self) -> Result<NodeStatus, KvError> {
        let running = &self.running;
        let tree = running.tree.clone();
        let read = move || Ok::<_, KvError>((tree.root()?, tree.freshness()?));
        let (root, freshness) = match blocking::run(&TokioBlocking::current(), read).await {
            Ok(read) => read?,
            // The runtime shuts down, and nobody waits for this.
            Err(_) => (running.tree.root()?, running.tree.freshness()?),
        };
        Ok(NodeStatus {
            peer_id: running.me,
            local_addr: running.local,
            namespace: running.namespace,
            root,
            members: running.members(),
            synced: freshness.peers,
            is_away_too_long: running.is_away.load(Ordering::Relaxed),
            stats: running.stats(),
        })
    }

    /// Ends in order: no new links and sessions, the gossip, links, sessions within the node's time for them, the sockets. When
    /// it returns, no task of this replica is left. On a node that others made, that node goes on, and so do sessions of this
    /// replica that run.
    ///
    /// May be called more than once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the replica stopped; calling again goes on.
    pub async fn shutdown(&self) -> ShutdownReport {
        let running = &self.running;
        #[cfg(feature = "swim")]
        if let Some(swim) = &running.swim {
            swim.leave().await;
        }
        running.stop();
        running.tasks.wait().await;
        let mut report = ShutdownReport { tasks_left: running.tasks.len(), ..ShutdownReport::default() };
        if running.owns_node {
            report.sessions_cut_off = running.node.shutdown().await.sessions_cut_off();
            report.tasks_left += running.node.task_count();
        }
        report
    }

    /// Starts the tasks of a replica that is all set up.
    fn start(running: Running, config: AgentConfig, chores: Chores) -> Result<Self, StartError> {
        let seed = crate::random::bytes().map_err(|err| StartError::Random(std::io::Error::from(err)))?;
        let late = config.session_max();
        let agent = Agent::new(running.me, running.namespace.into(), u64::from_le_bytes(seed), config);
        let dialler = running.dialler();
        let chores = running.chores(chores, late);
        running.tasks.spawn(gossip(agent, running.links.clone(), running.book.clone(), running.gossip.clone()));
        running.tasks.spawn(dialler.run());
        running.tasks.spawn(chores.run());
        Ok(Self { running: Arc::new(running) })
    }
}

/// Runs the agent until the links are closed.
async fn gossip(mut agent: Agent<PeerId>, links: Links, book: AddressBook, gossip: TreeGossip) {
    let (mut members, mut broadcast) = (links.membership(), links);
    let (connector, timer) = (NetConnector::new(book), TokioTimer::new());
    run(&mut agent, &mut members, &mut broadcast, &connector, &gossip, &timer).await;
}

impl Running {
    fn stop(&self) {
        self.hub.remove(&self.namespace);
        self.gossip.close();
        self.links.close();
        self.stop.cancel();
        self.tasks.close();
    }

    fn members(&self) -> BTreeMap<PeerId, MemberStatus> {
        let mut members: BTreeMap<PeerId, MemberStatus> = BTreeMap::new();
        for addr in self.book.addresses() {
            if let Some(peer) = addr.peer_id().copied().filter(|peer| *peer != self.me) {
                members.entry(peer).or_default().addr = Some(addr);
            }
        }
        for (peer, link) in self.links.table().peers() {
            let member = members.entry(peer).or_default();
            (member.dialled, member.accepted, member.rtt) = (link.dialled, link.accepted, link.rtt);
        }
        members
    }

    fn stats(&self) -> NodeStats {
        let (links, gossip) = (self.links.table().counts(), self.gossip.counts());
        NodeStats {
            messages_sent: links.sent,
            messages_dropped: links.dropped,
            messages_received: links.received,
            strangers: links.strangers,
            links_faulty: links.faulty,
            pushed_new: gossip.pushed_new,
            pushed_refused: gossip.pushed_refused,
            sessions_opened: gossip.opened,
            sessions_accepted: gossip.accepted,
            sessions_completed: gossip.completed,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Also takes it out of the hub, which would keep all of it alive.
        self.stop();
    }
}

impl fmt::Debug for KvNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvNode")
            .field("peer_id", &self.running.me)
            .field("namespace", &self.running.namespace)
            .field("local", &self.running.local)
            .finish_non_exhaustive()
    }
}
