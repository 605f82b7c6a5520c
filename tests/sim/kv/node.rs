//! An honest node, and the scenario.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{AbortHandle, LocalBoxFuture};
use std::task::Waker;
use syncline_core::clock::{Clock, Timestamp};
use syncline_crypto::{Hash, PublicKey};
use syncline_kv::agent::{Agent, AgentInput, Root, Side};
use syncline_kv::sync::{KvSync, Limits};
use syncline_kv::tree::{Changes, Feed, KvError, Listing, Scope, TreeLimits};
use syncline_kv::{Entry, GrantId, Subtree, Tree};
use syncline_testkit::cluster::{Check, Context, Node, NodeId, Scenario, Session};
use syncline_testkit::seed::Rng;

use super::check::agree;
use super::clock::WallClock;
use super::foul::Fiend;
use super::oracle::by_grant;
use super::session;
use super::story::Story;
use super::work;
use super::world::{Role, SKEW, Setting, World};

/// How often quarantine is looked at.
pub(crate) const RELEASE: std::time::Duration = std::time::Duration::from_secs(5);

/// A cluster that keeps one tree.
pub(crate) struct KvScenario {
    pub(crate) world: Rc<World>,
    story: Option<Story>,
}

impl KvScenario {
    pub(crate) fn draw(seed: u64, nodes: usize) -> Self {
        Self { world: World::new(seed, Setting::draw(seed, nodes)), story: None }
    }

    /// Nodes that do what the story says and nothing else.
    pub(crate) fn told(seed: u64, setting: Setting, story: Story) -> Self {
        Self { world: World::new(seed, setting), story: Some(story) }
    }
}

/// One life of a node.
pub(crate) enum KvNode {
    Honest(Rc<Peer>),
    Foul(Fiend),
}

/// One life of an honest node.
pub(crate) struct Peer {
    pub(crate) world: Rc<World>,
    pub(crate) context: Context,
    pub(crate) wall: WallClock,
    pub(crate) tree: Tree,
    pub(crate) sync: KvSync,
    pub(crate) agent: RefCell<Agent<NodeId>>,
    pub(crate) root: Cell<Root>,
    pub(crate) feed: Feed,
    pub(crate) inbox: RefCell<VecDeque<AgentInput<NodeId>>>,
    pub(crate) lagged: Cell<bool>,
    pub(crate) waker: RefCell<Option<Waker>>,
    /// Sessions that the agent asked for: those that are not open yet, and those that are.
    pub(crate) dials: RefCell<BTreeMap<NodeId, Timestamp>>,
    pub(crate) open: RefCell<BTreeMap<NodeId, AbortHandle>>,
    /// Sessions that have ended, and how many of them were complete.
    pub(crate) sessions: Cell<(u64, u64)>,
    /// The last messages that the agent sent: to whom, if not to all, and when.
    pub(crate) sent: RefCell<VecDeque<(Timestamp, Option<NodeId>, Bytes)>>,
    pub(crate) paused_until: Arc<AtomicU64>,
    pub(crate) changes: Changes,
    /// How often it was looked at what has changed.
    pub(crate) checks: Cell<u64>,
}

impl Scenario for KvScenario {
    type Node = KvNode;

    fn start(&mut self, context: Context) -> Result<KvNode, String> {
        if let Some(memory) = self.world.memory.borrow_mut().get_mut(context.id().index()) {
            memory.peer = None;
        }
        if self.world.role(context.id()) != Role::Honest {
            return Ok(KvNode::Foul(Fiend::start(&self.world, context)));
        }
        let (is_first, id) = (context.starts() == 0, context.id());
        let peer = Rc::new(Peer::open(&self.world, context).map_err(|err| format!("{err}"))?);
        if is_first {
            peer.tree.apply(peer.wall.now(), self.world.founding.clone()).map_err(|err| format!("{err}"))?;
        }
        if let Some(what) = peer.lost() {
            peer.context.journal().breach(what);
        }
        if let Some(memory) = self.world.memory.borrow_mut().get_mut(id.index()) {
            memory.peer = Some(Rc::clone(&peer));
        }
        if self.world.setting.agent.is_some() {
            peer.context.spawn("gossip", Rc::clone(&peer).gossip());
        }
        peer.context.spawn("release", Rc::clone(&peer).release());
        if let Some(story) = self.story.as_mut().filter(|_| id.index() == 0) {
            peer.context.spawn("story", story.begin(&self.world, &peer.context));
        }
        Ok(KvNode::Honest(peer))
    }

    fn calm(&mut self) {
        self.world.calm();
    }

    fn converged(&mut self, nodes: &mut [KvNode]) -> Result<(), String> {
        if let Some(story) = &self.story {
            return story.is_over();
        }
        let peers: Vec<&Rc<Peer>> =
            nodes.iter().filter_map(|node| if let KvNode::Honest(peer) = node { Some(peer) } else { None }).collect();
        agree(&self.world, &peers)
    }
}

impl Peer {
    fn open(world: &Rc<World>, context: Context) -> Result<Self, KvError> {
        let id = context.id();
        let clock_error = Arc::clone(&world.memory.borrow()[id.index()].clock);
        let mut rng = Rng::new(context.seed());
        work::mistake_the_time(world, id, &mut rng);
        let wall = WallClock::new(context.clock(), &clock_error);
        let tree = Tree::builder()
            .limits(limits())
            .verifier(Arc::clone(&world.verifier))
            .open(Arc::clone(context.database()), &world.namespace)?;
        // Other numbers in each life of each node.
        let life = [context.seed(), id.index() as u64, context.starts()].map(u64::to_le_bytes).concat();
        let seed = Hash::digest(&life).to_bytes();
        let sync_limits = Limits::default()
            .with_page_bytes(1 << (7 + rng.below(10)))
            .with_window_bytes(1 << (7 + rng.below(10)))
            .with_batch_items_max(1 << rng.below(8));
        let sync = KvSync::new(tree.clone(), Arc::new(wall.clone()), seed)
            .with_limits(sync_limits)
            .with_eagerness(world.setting.eagerness)
            .with_timer(Arc::new(context.clock().clone()));
        let config = world.setting.agent.clone().unwrap_or_default();
        Ok(Self {
            agent: RefCell::new(Agent::new(id, world.namespace.id().into(), rng.next_u64(), config)),
            root: Cell::new(Root::new(Hash::digest(&[]), 0)),
            feed: tree.feed(1 << 20),
            changes: tree.watch(Scope::all()),
            world: Rc::clone(world),
            context,
            wall,
            sync,
            tree,
            inbox: RefCell::default(),
            lagged: Cell::new(false),
            waker: RefCell::default(),
            dials: RefCell::default(),
            open: RefCell::default(),
            sessions: Cell::default(),
            sent: RefCell::default(),
            paused_until: Arc::default(),
            checks: Cell::new(0),
        })
    }

    async fn release(self: Rc<Self>) {
        use syncline_core::clock::Timer;
        let clock = self.context.clock();
        loop {
            clock.sleep_until(clock.now() + RELEASE).await;
            // A disk that fails is tried again.
            let _ = self.tree.release(self.wall.now());
        }
    }

    /// Who has revoked which grant, as far as this node knows.
    pub(crate) fn revocations(&self) -> BTreeMap<GrantId, Vec<PublicKey>> {
        by_grant(self.tree.authority().revocations())
    }

    /// The entries that decide about the keys, in their order.
    pub(crate) fn latest(&self) -> Result<Vec<Entry>, KvError> {
        let listing = Listing::of(Subtree::all()).limit(usize::MAX).with_tombstones();
        Ok(self.tree.list(&listing)?.entries)
    }
}

/// Small enough for a run to reach some of them.
fn limits() -> TreeLimits {
    let mut limits = TreeLimits::default();
    limits.skew = SKEW;
    limits.sweep = 3;
    limits
}

impl Node for KvNode {
    fn step(&mut self, rng: &mut Rng) -> LocalBoxFuture<'static, String> {
        let text = match self {
            Self::Honest(peer) => work::some(peer, rng),
            Self::Foul(fiend) => fiend.step(rng),
        };
        async move { text }.boxed_local()
    }

    fn initiate(&mut self, session: Session) -> LocalBoxFuture<'static, Result<String, String>> {
        match self {
            Self::Honest(peer) => session::run(peer, session, Side::Opened),
            Self::Foul(fiend) => fiend.session(session, true),
        }
    }

    fn accept(&mut self, session: Session) -> LocalBoxFuture<'static, Result<String, String>> {
        match self {
            Self::Honest(peer) => session::run(peer, session, Side::Accepted),
            Self::Foul(fiend) => fiend.session(session, false),
        }
    }

    fn receive(&mut self, from: NodeId, bytes: Bytes) {
        if let Self::Honest(peer) = self
            && peer.world.setting.agent.is_some()
        {
            // A transport proves who its members are, and nothing of strangers.
            let from = Some(from).filter(|from| peer.world.role(*from) != Role::Stranger);
            peer.tell(AgentInput::Received { from, bytes });
        }
    }

    fn check(&mut self, check: Check) -> Result<(), String> {
        if let Self::Honest(peer) = self { peer.check(check) } else { Ok(()) }
    }

    fn digest(&mut self) -> Hash {
        match self {
            Self::Honest(peer) => peer.tree.root().map_or(Hash::digest(&[]), |root| root.hash),
            Self::Foul(_) => Hash::digest(&[]),
        }
    }
}
