//! Sync of trees between two peers: [`KvSync`], `syncline-kv/1`.

mod echoes;
mod event;
mod finish;
mod intake;
mod limits;
mod machine;
mod memory;
mod query;
mod queue;
mod session;
mod sets;
mod surroundings;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::{AsyncRead, AsyncWrite, Sink};
use syncline_core::clock::{Clock, Timer, Timestamp};
use syncline_core::machine::{Drive, drive};
use syncline_core::{FromSync, SyncError, SyncProtocol};
use syncline_crypto::{Domain, PublicKey};
use syncline_storage::{Blocking, Inline};

pub use event::Event;
pub use finish::FinishHandle;
pub use limits::Limits;
pub use query::{KvQuery, OpenError, Trees};

use event::Observer;
use finish::Finished;
use machine::{Config, KvMachine, Role};
use memory::Memory;
use session::Setting;
use surroundings::Surroundings;
use wire::{Capabilities, Nonce};

const NONCES: Domain = Domain::new("syncline/kv/sync-nonces/v1");

/// How revocations reach a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Eagerness {
    /// They are reconciled before all else, and pushed at once while a session is live.
    #[default]
    Full,
    /// They are not reconciled. A peer gets one when it offers something that the revocation forbids, as in kvgossip. It takes
    /// one side of a session that wants this. The peers' trees may then differ in their revocations after a session, and it
    /// does not count for [`Tree::freshness`](crate::Tree::freshness).
    OnRejection,
}

/// Sync of trees that verifies, stores, resumes, and stays open: `syncline-kv/1`.
///
/// A [`KvQuery`] names a namespace and a path. Peers that hold the same find that out in one round trip of some 150 bytes, however
/// much it is. Otherwise they reconcile the *system set*, which is grants, revocations and rotations of the roots, then the
/// entries below the path, and both send what the other lacks as it is found: whole trees by sketches in one round
/// trip if the difference is small, by ranges otherwise; parts of trees by ranges. A peer that holds nothing is sent
/// everything at once.
///
/// # What it promises
///
/// - What a peer may not read, by [`Authority::may_read`](crate::authority::Authority::may_read) for the key that the transport
///   has proven ([`with_remote`](Self::with_remote)), it is not told, neither items nor hashes nor counts; a namespace that it may
///   not read looks to it like one that is not here. It is checked again whenever something is sent, and a live session ends when
///   the right does.
/// - What the application gets was verified, is durable, and was not here before: [`FromSync::Data`] with the item's
///   [encoding](crate::Item::encoded) as its header.
/// - `Ok` means that each side has decided about all that the other sent of what it had when the session began, and that what it
///   took is durable. A stream that is cut, resets or ends early is [`SyncError::UnexpectedBehaviour`], wherever that happens.
/// - What arrived before a session was interrupted is kept and not sent again, but for the last batch.
/// - A bad item ends nothing. The [observer](Self::with_observer) is told what became of each. A peer that offers what will not be
///   taken is told so, with the revocation if there is one, and does not offer it again before grants or revocations change. That
///   is remembered in memory, as far as there is room.
/// - Memory is bounded by [`Limits`] on both sides. A slow application stalls the peer and loses nothing.
/// - A live session pushes what changes, here or by another peer's session, at once, revocations first, and not back to where it
///   came from. If more changes than is remembered, entries are reconciled again within the session.
///
/// # What it does not promise
///
/// - That a peer sends all that it has: nobody can tell.
/// - That two trees are equal below a path: whole trees are compared by accumulators that nobody can forge, parts by sums. Who
///   may write and spends CPU hours can make two different parts look the same to a session about this part.
/// - That a peer whose right to read has ended forgets what it got.
/// - The peer is not authenticated; that is the transport's part.
///
/// A replica without a single item may ask anybody, since it does not know yet who may read, and has nothing to hide.
///
/// # Deadlines
///
/// With a timer ([`with_timer`](Self::with_timer)) the protocol itself ends a session whose peer falls silent, and tells a live one
/// that it is there. Without one, run it in a [`Session`](syncline_core::session::Session).
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use syncline_core::clock::SystemClock;
/// use syncline_crypto::SigningKey;
/// use syncline_kv::sync::{KvQuery, KvSync};
/// use syncline_kv::{Namespace, Tree};
/// use syncline_storage::MemoryDb;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let root = SigningKey::from_bytes(&[7; 32]);
/// let namespace = Namespace::new("config", [root.public_key()])?;
/// let tree = Tree::open(Arc::new(MemoryDb::new()), &namespace)?;
/// let seed = [7; 32]; // 32 random bytes, others each time the program starts
/// let sync = KvSync::new(tree, Arc::new(SystemClock), seed);
///
/// // For each connection, with the key that the transport has proven.
/// let session = Arc::new(sync.clone().with_remote(root.public_key()).with_live(true));
/// let query = KvQuery::all(namespace.id());
/// session.check(&query)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct KvSync {
    trees: Arc<dyn Trees>,
    clock: Arc<dyn Clock>,
    remote: Option<PublicKey>,
    eagerness: Eagerness,
    blocking: Arc<dyn Blocking>,
    live: bool,
    limits: Limits,
    timer: Option<Arc<dyn Timer>>,
    observer: Option<Observer>,
    memory: Memory,
    nonces: Arc<Nonces>,
    finish: FinishHandle,
    finished: Finished,
}

impl KvSync {
    /// The name under which peers know the protocol.
    pub const NAME: &'static str = "syncline-kv/1";

    /// Syncs a [`Tree`](crate::Tree), or several by their namespaces. Stamps and grants are judged by `clock`, which shows wall time.
    ///
    /// `seed` are 32 random bytes that were never used before, as from `getrandom`: what sessions say to each other must
    /// differ from session to session. Make one for a node and clone it for its sessions: clones share what was refused before.
    pub fn new(trees: impl Trees + 'static, clock: Arc<dyn Clock>, seed: [u8; 32]) -> Self {
        let (finish, finished) = FinishHandle::new();
        Self {
            trees: Arc::new(trees),
            clock,
            remote: None,
            eagerness: Eagerness::default(),
            blocking: Arc::new(Inline),
            live: false,
            limits: Limits::default(),
            timer: None,
            observer: None,
            memory: Memory::default(),
            nonces: Arc::new(Nonces { seed, used: AtomicU64::new(0) }),
            finish,
            finished,
        }
    }

    /// Stays open when both sides have caught up, if the peer does too.
    #[must_use]
    pub fn with_live(mut self, live: bool) -> Self {
        self.live = live;
        self
    }

    /// Keeps these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Keeps the deadlines of the [`Limits`] by this timer.
    #[must_use]
    pub fn with_timer(mut self, timer: Arc<dyn Timer>) -> Self {
        self.timer = Some(timer);
        self
    }

    /// For sessions with this peer, whose key the transport has proven; `None` if it has proven none, which may read public
    /// namespaces only. `None` unless this is called.
    #[must_use]
    pub fn with_remote(mut self, remote: impl Into<Option<PublicKey>>) -> Self {
        self.remote = remote.into();
        self
    }

    /// How revocations reach peers.
    #[must_use]
    pub fn with_eagerness(mut self, eagerness: Eagerness) -> Self {
        self.eagerness = eagerness;
        self
    }

    /// Works on trees where `blocking` says instead of on the session's task.
    #[must_use]
    pub fn with_blocking(mut self, blocking: Arc<dyn Blocking>) -> Self {
        self.blocking = blocking;
        self
    }

    /// Tells `observer` what becomes of every item that comes. It is called on the session's task and must not block.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.observer = Some(Observer::new(observer));
        self
    }

    /// Ends the live sessions of this protocol and its clones in order.
    #[must_use]
    pub fn finish_handle(&self) -> FinishHandle {
        self.finish.clone()
    }

    /// A handle of its own for sessions made from the result, instead of the one that clones share.
    #[must_use]
    pub fn with_own_finish_handle(mut self) -> Self {
        (self.finish, self.finished) = FinishHandle::new();
        self
    }

    /// Whether a session may be opened with the peer: what [`initiate`](SyncProtocol::initiate) would fail with as
    /// [`SyncError::Critical`] before it sends anything. Blocks.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn check(&self, query: &KvQuery) -> Result<(), OpenError> {
        let tree = self.trees.tree(&query.namespace).ok_or(OpenError::UnknownNamespace(query.namespace))?;
        self.setting().initiate(&tree, query.clone(), self.clock.now(), &[0; 16]).map(|_| ())
    }

    fn setting(&self) -> Setting {
        Setting {
            remote: self.remote,
            limits: self.limits.clone(),
            memory: self.memory.clone(),
            capabilities: self.capabilities(),
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { live: self.live, on_rejection: self.eagerness == Eagerness::OnRejection }
    }

    async fn run(
        &self,
        surroundings: &Surroundings<'_>,
        role: Role,
        nonce: Nonce,
        tx: &mut (dyn AsyncWrite + Send + Unpin),
        rx: &mut (dyn AsyncRead + Send + Unpin),
        app_tx: &mut (dyn Sink<FromSync<KvQuery>, Error = SyncError> + Send + Unpin),
    ) -> Result<(), SyncError> {
        let now = self.timer.as_ref().map_or(Timestamp::ZERO, |timer| timer.now());
        let mut how = Drive::new().with_window(self.limits.window_bytes());
        if let Some(timer) = &self.timer {
            how = how.with_timer(Arc::clone(timer));
        }
        let config = Config { limits: self.limits.clone(), capabilities: self.capabilities() };
        let mut machine = KvMachine::new(now, role, nonce, config);
        drive(&mut machine, surroundings, &how, tx, rx, app_tx).await
    }
}

/// Numbers used once.
struct Nonces {
    seed: [u8; 32],
    used: AtomicU64,
}

impl Nonces {
    fn next(&self) -> Nonce {
        let number = self.used.fetch_add(1, Ordering::Relaxed);
        let hash = NONCES.hasher().update(&self.seed).update(&number.to_le_bytes()).finalize();
        let mut nonce = [0; 16];
        nonce.copy_from_slice(hash.as_bytes().split_at(16).0);
        nonce
    }
}

#[async_trait]
impl<'a> SyncProtocol<'a, KvQuery> for KvSync {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn initiate(
        self: Arc<Self>,
        topic_query: KvQuery,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<KvQuery>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        let (surroundings, nonce) = (Surroundings::new(&self), self.nonces.next());
        let opening = surroundings.initiate(topic_query.clone(), nonce).await?;
        let role = Role::Initiator(topic_query, opening);
        self.run(&surroundings, role, nonce, *tx, *rx, *app_tx).await
    }

    async fn accept(
        self: Arc<Self>,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<KvQuery>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        let (surroundings, nonce) = (Surroundings::new(&self), self.nonces.next());
        self.run(&surroundings, Role::Acceptor, nonce, *tx, *rx, *app_tx).await
    }
}

impl fmt::Debug for KvSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvSync")
            .field("trees", &self.trees)
            .field("remote", &self.remote)
            .field("live", &self.live)
            .field("eagerness", &self.eagerness)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
