//! What the author of a scenario writes, and what the simulator gives to it.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use syncline_crypto::Hash;
use syncline_storage::Database;

use super::NodeClock;
use crate::net::End;
use crate::seed::Rng;

/// A node of a cluster, from 0 on. It stays the same through crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) usize);

impl NodeId {
    /// Its place among the nodes.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// A session of two nodes, counted from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(super) u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// One side of a session that begins.
#[derive(Debug)]
#[non_exhaustive]
pub struct Session {
    /// Which one. Both sides see the same.
    pub id: SessionId,
    /// The other node.
    pub peer: NodeId,
    /// This side's halves of the connection.
    pub end: End,
    /// Whether bytes that arrive are those that were sent: false if the line damages some.
    pub is_faithful: bool,
}

/// How thoroughly to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// The node has just committed something: look at what may have changed.
    Changed,
    /// It has just started, or the run is over: look at everything.
    All,
}

/// What is tested: how its nodes start, and when they have converged.
///
/// What the nodes have in common, a model to compare with for instance, lives in the scenario; nodes reach it through an
/// [`Rc`] or an [`Arc`], since all run on one thread.
pub trait Scenario {
    /// A running node.
    type Node: Node;

    /// Starts a node on what is on its disk: nothing, or what a crash left. It is not called while the node runs.
    ///
    /// # Errors
    ///
    /// Why it could not start, its disk having failed meanwhile. It is started again later, as after a crash; once faults
    /// have stopped, this fails the run.
    fn start(&mut self, context: Context) -> Result<Self::Node, String>;

    /// Faults stop now. Whoever plays foul on purpose stops as well.
    fn calm(&mut self) {}

    /// Whether all nodes hold what they should. Asked in the liveness phase only, of nodes that are all up.
    ///
    /// # Errors
    ///
    /// What is missing, in words: the run fails with it if it does not change in time.
    fn converged(&mut self, nodes: &mut [Self::Node]) -> Result<(), String>;
}

/// One run of a node, from its start to its crash. Everything in it is gone after that.
pub trait Node {
    /// Does something of its own accord: a piece of the workload. What it says goes to the trace and to the history.
    ///
    /// The future is a task of the node. Dropped by a crash, it stops at any place where it waits.
    fn step(&mut self, rng: &mut Rng) -> LocalBoxFuture<'static, String>;

    /// Runs the side of a session that opens it. `Ok` is a session that the protocol calls complete, with a few words
    /// about it; `Err` is any other, with the reason.
    fn initiate(&mut self, session: Session) -> LocalBoxFuture<'static, Result<String, String>>;

    /// Runs the other side.
    fn accept(&mut self, session: Session) -> LocalBoxFuture<'static, Result<String, String>>;

    /// A datagram came that a node [sent](Journal::send). For protocols that need more than sessions; by default it is dropped.
    ///
    /// The sender is the true one. What takes time belongs into a [task](Context::spawn).
    fn receive(&mut self, from: NodeId, bytes: Bytes) {
        let _ = (from, bytes);
    }

    /// Checks what must hold at any time.
    ///
    /// # Errors
    ///
    /// What is wrong, in words. It fails the run.
    fn check(&mut self, check: Check) -> Result<(), String>;

    /// A hash of the state, for the trace. Called now and then. By default of nothing: the trace then has what was sent
    /// and said.
    fn digest(&mut self) -> Hash {
        Hash::digest(&[])
    }
}

/// What a node has of the world, from its start to its crash. Clones are the same.
#[derive(Clone)]
pub struct Context {
    pub(super) id: NodeId,
    pub(super) nodes: usize,
    pub(super) starts: u64,
    pub(super) seed: u64,
    pub(super) clock: NodeClock,
    pub(super) database: Arc<dyn Database>,
    pub(super) durable: Arc<dyn Database>,
    pub(super) tasks: NewTasks,
    pub(super) journal: Journal,
}

/// Tasks that nodes asked for since the simulator looked last.
pub(super) type NewTasks = Rc<RefCell<Vec<(NodeId, String, LocalBoxFuture<'static, ()>)>>>;

/// A node's line to the simulator. Unlike the [`Context`] it may be sent between threads, as what a protocol is given often
/// must.
#[derive(Clone)]
pub struct Journal {
    pub(super) node: NodeId,
    pub(super) wishes: Arc<Mutex<Vec<(NodeId, Wish)>>>,
}

/// What a node wants the simulator to do.
#[derive(Debug)]
pub(super) enum Wish {
    Dial(NodeId),
    Send(NodeId, Bytes),
    Note(String),
    Breach(String),
}

impl Journal {
    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<(NodeId, Wish)>> {
        // A list is whole at any time.
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, wish: Wish) {
        self.lock().push((self.node, wish));
    }

    /// Asks for a session with `peer`, beside those that the simulator opens. If it cannot be reached, nothing comes of
    /// it.
    pub fn dial(&self, peer: NodeId) {
        self.push(Wish::Dial(peer));
    }

    /// Sends a datagram to `peer`. It arrives whole, after a random time, maybe twice, maybe behind later ones; or not at all, if
    /// it is lost, if the line is partitioned when it is sent, or if `peer` is not up when it comes. Length does not matter.
    pub fn send(&self, peer: NodeId, bytes: Bytes) {
        self.push(Wish::Send(peer, bytes));
    }

    /// Writes a line into the trace and the history.
    pub fn note(&self, text: impl Into<String>) {
        self.push(Wish::Note(text.into()));
    }

    /// Something happened that must not. The run fails with it.
    pub fn breach(&self, text: impl Into<String>) {
        self.push(Wish::Breach(text.into()));
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Journal").field(&self.node).finish()
    }
}

impl Context {
    /// Which node this is.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// All nodes of the cluster, this one too.
    pub fn all(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes).map(NodeId)
    }

    /// How often the node has started before: 0 the first time.
    #[must_use]
    pub fn starts(&self) -> u64 {
        self.starts
    }

    /// A number that depends on the seed, the node and its start: for nonces, orders, jitter.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The node's clock. It may be wrong, and jump ahead.
    #[must_use]
    pub fn clock(&self) -> &NodeClock {
        &self.clock
    }

    /// The node's database: what survives. It fails as the seed says.
    #[must_use]
    pub fn database(&self) -> &Arc<dyn Database> {
        &self.database
    }

    /// What of the database a crash now would leave for certain, read without faults: for checks. Not to be written to.
    ///
    /// On redb under a simulated disk it is the [`database`](Self::database) itself, and fails once the disk is off.
    #[must_use]
    pub fn durable(&self) -> &Arc<dyn Database> {
        &self.durable
    }

    /// Runs a task beside the sessions. It goes with the node.
    pub fn spawn(&self, name: impl Into<String>, task: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().push((self.id, name.into(), Box::pin(task)));
    }

    /// The node's line to the simulator: to ask for sessions, to write into the history, to report what must not be.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("id", &self.id).field("starts", &self.starts).finish_non_exhaustive()
    }
}
