//! `syncline-log/2`: see [`LogSyncV2`].

mod event;
mod fetch;
mod finish;
mod intake;
mod limits;
mod machine;
mod secrecy;
mod surroundings;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::{AsyncRead, AsyncWrite, Sink};
use syncline_core::clock::{Timer, Timestamp};
use syncline_core::machine::{Drive, drive};
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicMap, TopicQuery};
use syncline_crypto::{Ed25519, PublicKey, Verifier};
use syncline_storage::{Blocking, Inline};

use super::access::{Access, AllowAll};
use crate::ingest::{Classify, Verification};
use crate::store::{LiveStore, LogId, LogStore, Logs, StoreError};

pub use event::{Event, PayloadOutcome};
pub use fetch::FetchPayloads;
pub use finish::FinishHandle;
pub use limits::Limits;
pub use secrecy::{NoSecrets, TopicKey, TopicKeys};

use event::Observer;
use finish::Finished;
use machine::{Config, LogMachine, Resolved, Role};
use secrecy::Nonce;
use surroundings::Surroundings;

/// What becomes of operations that come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Intake {
    /// They are verified and stored, and then those that are new are handed to the application.
    #[default]
    Store,
    /// They are handed to the application as they come. Nothing is verified and nothing is stored: the application does
    /// that, for example by an [`Ingest`](crate::ingest::Ingest) over the same [`LiveStore`]. That the peer's operations have
    /// arrived is then acknowledged, not that they are stored.
    Forward,
}

/// What an operation leads to that an honest peer would not have sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnBadOperation {
    /// Nothing more of its log is taken in this session, and the peer is told. Everything else goes on.
    #[default]
    StopLog,
    /// The session fails.
    FailSession,
}

/// Sync of append-only logs that verifies, stores, resumes, and stays open: `syncline-log/2`.
///
/// A [`TopicMap`] says which logs of which authors a topic covers. Peers that have the same operations find that out in one
/// round trip of fewer than 256 bytes beside the topic's name, however many logs there are, since each keeps a summary beside its
/// [`LiveStore`]. Otherwise they find the logs that differ by range-based set reconciliation, and then both send at
/// once what the other lacks, straight from the store.
///
/// # What it promises
///
/// - What the application gets was verified, is durable, and was not here before. Each operation is handed over once per store, by
///   the session that stored it; those of one log come in order within a session. A session that is cancelled or dropped, or
///   a crash, may leave operations that are stored and were not handed over, and two sessions at the same time each go at
///   their own pace: whoever needs all of them, or the order across sessions, reads the store behind a cursor
///   ([`CursorStore`](crate::store::CursorStore)) and takes what is handed over as the word that there is something to read.
/// - `Ok` means that both sides have stored all that the other sent of what it had when the session began, those logs aside
///   that were stopped. A stream that is cut, resets or ends early is [`SyncError::UnexpectedBehaviour`], wherever that happens.
/// - What arrived before a session was interrupted is kept and not sent again, but for the last batch.
/// - A bad operation ends its log for this session, and no other; the [observer](Self::with_observer) gets the evidence. See
///   [`OnBadOperation`].
/// - Memory is bounded by [`Limits`] on both sides, beside the summary and the heights of logs that differ. A slow application stalls the peer and loses nothing.
/// - A live session pushes what is appended, here or by another peer's session, at once, and not back to where it came from.
///   A peer that falls behind is served from the store; what is kept for it is which logs changed.
/// - Two operations that one author signed for the same place are shown to both sides, and kept as evidence.
///
/// # What it does not promise
///
/// - That both sides end up with the same branch of a log whose author forked it: each keeps the first that it saw.
/// - That bodies are there: they may have been deleted, be withheld, or be longer than
///   [`Limits::with_body_len_max`](Limits::with_body_len_max). [`fetch_payloads`](Self::fetch_payloads) gets them later.
/// - That a peer sends all that it has: it can name a height and send less, and nobody can tell that from a log that it has
///   pruned.
/// - That a session follows the topic map. Which logs a topic covers is asked once, at its beginning; end live sessions, and
///   make new ones, when that changes.
/// - The peer is not authenticated; that is the transport's part, and [`with_remote`](Self::with_remote) passes on what it found.
///
/// # Live mode
///
/// If both sides want it ([`with_live`](Self::with_live)), the session stays open once both have caught up. It ends when a
/// [`FinishHandle`] says so, at either side; in order, when one side had to stop a log that another session may do better
/// with; when it is cancelled or cut; or when the peer falls silent. So keep making new ones, as a node's `keep_in_sync` does.
///
/// # Secret topics
///
/// A topic is sent in clear to whoever answers, unless [`with_topic_keys`](Self::with_topic_keys) has a key for it. Then the peer
/// sees a number that means something only to those who have the key, and both prove to each other that they do before
/// anything else is said. `docs/spec/log-v2.md` tells who learns what.
///
/// # Deadlines
///
/// With a timer ([`with_timer`](Self::with_timer)) the protocol itself ends a session whose peer falls silent, and keeps quiet
/// live sessions alive. Without one, run it in a [`Session`](syncline_core::session::Session) and do not go live.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use async_trait::async_trait;
/// use serde::{Deserialize, Serialize};
/// use syncline_core::{TopicMap, TopicQuery};
/// use syncline_log::ingest::{Classify, Placement};
/// use syncline_log::store::{LiveStore, Logs, MemoryStore};
/// use syncline_log::sync::LogSyncV2;
/// use syncline_log::EncodedOperation;
///
/// #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
/// struct Chat(u64);
/// impl TopicQuery for Chat {}
///
/// #[derive(Debug)]
/// struct Chats;
/// #[async_trait]
/// impl TopicMap<Chat, Logs<u64>> for Chats {
///     async fn get(&self, topic: &Chat) -> Option<Logs<u64>> {
///         (topic.0 == 1).then(Logs::new)
///     }
/// }
///
/// /// Every author has one log. Real applications read the log id from the signed header.
/// #[derive(Debug)]
/// struct OneLogEach;
/// impl Classify<u64> for OneLogEach {
///     fn place(&self, _: &EncodedOperation) -> Option<Placement<u64>> {
///         Some(Placement::next(0))
///     }
/// }
///
/// let store = LiveStore::new(MemoryStore::new());
/// let seed = [7; 32]; // 32 random bytes, others each time the program starts
/// let protocol = Arc::new(LogSyncV2::new(Arc::new(Chats), store, Arc::new(OneLogEach), seed).with_live(true));
/// ```
pub struct LogSyncV2<T, L, S> {
    topic_map: Arc<dyn TopicMap<T, Logs<L>>>,
    store: LiveStore<L, S>,
    classify: Arc<dyn Classify<L>>,
    access: Arc<dyn Access<T>>,
    keys: Arc<dyn TopicKeys<T>>,
    remote: Option<PublicKey>,
    verifier: Arc<dyn Verifier>,
    verification: Verification,
    blocking: Arc<dyn Blocking>,
    intake: Intake,
    on_bad: OnBadOperation,
    live: bool,
    limits: Limits,
    timer: Option<Arc<dyn Timer>>,
    observer: Option<Observer<L>>,
    nonces: Arc<Nonces>,
    finish: FinishHandle,
    finished: Finished,
}

impl<T, L, S> LogSyncV2<T, L, S>
where
    T: TopicQuery + 'static,
    L: LogId,
    S: LogStore<L>,
{
    /// The name under which peers know the protocol.
    pub const NAME: &'static str = "syncline-log/2";

    /// Syncs the logs that `topic_map` names, out of and into `store`. What comes is placed in its log by `classify`.
    ///
    /// `seed` are 32 random bytes that were never used before, as from `getrandom`: what sessions say to each other must
    /// differ from session to session.
    pub fn new(
        topic_map: Arc<dyn TopicMap<T, Logs<L>>>,
        store: LiveStore<L, S>,
        classify: Arc<dyn Classify<L>>,
        seed: [u8; 32],
    ) -> Self {
        let (finish, finished) = FinishHandle::new();
        Self {
            topic_map,
            store,
            classify,
            access: Arc::new(AllowAll),
            keys: Arc::new(NoSecrets),
            remote: None,
            verifier: Arc::new(Ed25519),
            verification: Verification::default(),
            blocking: Arc::new(Inline),
            intake: Intake::default(),
            on_bad: OnBadOperation::default(),
            live: false,
            limits: Limits::default(),
            timer: None,
            observer: None,
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

    /// Asks `access` before a topic is revealed to a peer. All are allowed otherwise.
    #[must_use]
    pub fn with_access(mut self, access: Arc<dyn Access<T>>) -> Self {
        self.access = access;
        self
    }

    /// Hides the topics that have a key from those who do not have it.
    #[must_use]
    pub fn with_topic_keys(mut self, keys: Arc<dyn TopicKeys<T>>) -> Self {
        self.keys = keys;
        self
    }

    /// For sessions with this peer, whose key the transport has proven; `None` if it has proven none. It is what
    /// [`Access`] gets to see, and `None` unless this is called.
    #[must_use]
    pub fn with_remote(mut self, remote: impl Into<Option<PublicKey>>) -> Self {
        self.remote = remote.into();
        self
    }

    /// Checks these signatures.
    #[must_use]
    pub fn with_verification(mut self, verification: Verification) -> Self {
        self.verification = verification;
        self
    }

    /// Verifies signatures by `verifier`: for simulations.
    #[must_use]
    pub fn with_verifier(mut self, verifier: Arc<dyn Verifier>) -> Self {
        self.verifier = verifier;
        self
    }

    /// Verifies batches where `blocking` says instead of on the session's task.
    #[must_use]
    pub fn with_blocking(mut self, blocking: Arc<dyn Blocking>) -> Self {
        self.blocking = blocking;
        self
    }

    /// Does this with what comes.
    #[must_use]
    pub fn with_intake(mut self, intake: Intake) -> Self {
        self.intake = intake;
        self
    }

    /// Does this when a peer sends what an honest one would not.
    #[must_use]
    pub fn on_bad_operation(mut self, on_bad: OnBadOperation) -> Self {
        self.on_bad = on_bad;
        self
    }

    /// Tells `observer` what becomes of every operation and every body that comes. It is called on the session's task and must
    /// not block.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Fn(Event<L>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Observer::new(observer));
        self
    }

    /// Ends the live sessions of this protocol and its clones in order.
    #[must_use]
    pub fn finish_handle(&self) -> FinishHandle {
        self.finish.clone()
    }

    async fn initiator(&self, surroundings: &Surroundings<'_, T, L, S>, topic: T) -> Result<Resolved<T, L>, SyncError> {
        let name = encode_topic(&topic)?;
        let secret = self.keys.key(&topic).await;
        let unknown = format!("topic {topic:?} is not known here, or not for this peer");
        surroundings.resolve(topic, name, secret).await?.ok_or(SyncError::Critical(unknown))
    }

    async fn run(
        &self,
        surroundings: &Surroundings<'_, T, L, S>,
        role: Role<T, L>,
        tx: &mut (dyn AsyncWrite + Send + Unpin),
        rx: &mut (dyn AsyncRead + Send + Unpin),
        app_tx: &mut (dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin),
    ) -> Result<(), SyncError> {
        let now = self.timer.as_ref().map_or(Timestamp::ZERO, |timer| timer.now());
        let mut how = Drive::new().with_window(self.limits.window_bytes());
        if let Some(timer) = &self.timer {
            how = how.with_timer(Arc::clone(timer));
        }
        let config = Config {
            limits: self.limits.clone(),
            live: self.live,
            is_forwarding: self.intake == Intake::Forward,
            fails_on_bad: self.on_bad == OnBadOperation::FailSession,
        };
        let mut machine = LogMachine::new(now, role, self.nonces.next(), config);
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
        let mut nonce = [0; 16];
        blake3::Hasher::new_keyed(&self.seed).update(&number.to_le_bytes()).finalize_xof().fill(&mut nonce);
        nonce
    }
}

fn encode_topic<T: TopicQuery>(topic: &T) -> Result<Vec<u8>, SyncError> {
    let mut name = Vec::new();
    ciborium::into_writer(topic, &mut name)
        .map_err(|err| SyncError::Critical(format!("the topic cannot be encoded: {err}")))?;
    Ok(name)
}

fn store_failed(err: StoreError) -> SyncError {
    SyncError::Critical(format!("the log store failed: {err}"))
}

#[async_trait]
impl<'a, T, L, S> SyncProtocol<'a, T> for LogSyncV2<T, L, S>
where
    T: TopicQuery + 'static,
    L: LogId,
    S: LogStore<L>,
{
    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn initiate(
        self: Arc<Self>,
        topic_query: T,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        let surroundings = Surroundings::new(&*self);
        let resolved = self.initiator(&surroundings, topic_query).await?;
        self.run(&surroundings, Role::Initiator(resolved), *tx, *rx, *app_tx).await
    }

    async fn accept(
        self: Arc<Self>,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        let surroundings = Surroundings::new(&*self);
        self.run(&surroundings, Role::Acceptor, *tx, *rx, *app_tx).await
    }
}

impl<T, L, S> Clone for LogSyncV2<T, L, S> {
    fn clone(&self) -> Self {
        Self {
            topic_map: Arc::clone(&self.topic_map),
            store: self.store.clone(),
            classify: Arc::clone(&self.classify),
            access: Arc::clone(&self.access),
            keys: Arc::clone(&self.keys),
            remote: self.remote,
            verifier: Arc::clone(&self.verifier),
            verification: self.verification,
            blocking: Arc::clone(&self.blocking),
            intake: self.intake,
            on_bad: self.on_bad,
            live: self.live,
            limits: self.limits.clone(),
            timer: self.timer.clone(),
            observer: self.observer.clone(),
            nonces: Arc::clone(&self.nonces),
            finish: self.finish.clone(),
            finished: self.finished.clone(),
        }
    }
}

impl<T, L, S: fmt::Debug> fmt::Debug for LogSyncV2<T, L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSyncV2")
            .field("store", &self.store)
            .field("remote", &self.remote)
            .field("live", &self.live)
            .field("intake", &self.intake)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
