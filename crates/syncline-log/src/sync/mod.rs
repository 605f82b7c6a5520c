//! Sync of logs between two peers: [`LogSync`].

mod access;
mod limits;
mod stored;
mod v1;
pub mod v2;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite, FutureExt, Sink};
use syncline_core::clock::{Timer, Timestamp};
use syncline_core::machine::{Drive, Perform, drive};
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicMap, TopicQuery};
use syncline_crypto::PublicKey;

use crate::store::{LogId, LogStore, Logs};

pub use access::{Access, AllowAll};
pub use limits::Limits;
pub use stored::StoredLogSync;
use v1::{LogMachine, Request, Response, Role, Scope};
pub use v2::LogSyncV2;

/// How operations are encoded on the way out. Both are accepted on the way in, also mixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// CBOR byte strings: half the bytes. Every release of p2panda-sync that speaks this protocol decodes them, in both
    /// roles, at a tenth of the time.
    #[default]
    Bytes,
    /// Arrays of integers, as p2panda-sync sends them itself, byte for byte.
    Integers,
}

/// Sync of append-only logs, wire-compatible with p2panda-sync 0.2 to 0.4: `p2panda-log-sync-v1`.
///
/// A [`TopicMap`] says which logs of which authors a topic covers. The peers tell each other the heights of those logs,
/// and each sends the operations that the other lacks, straight from its store, in order by author, log and sequence
/// number. One session serves both directions.
///
/// # What it promises
///
/// - `Ok` means that both sides said that they are done. A stream that is cut, resets or ends early is
///   [`SyncError::UnexpectedBehaviour`], wherever that happens.
/// - [`FromSync::HandshakeSuccess`] comes exactly once and before any data: when accepting, after the topic was found and
///   allowed; when initiating, when the peer has shown that it supports the topic.
/// - Operations of one log come in order, each at most once per session if the peer is correct.
/// - Memory is bounded by [`Limits`]: about one page, one window and one frame each way, beside the heights.
/// - A slow application stalls the peer and loses nothing.
///
/// # What it does not promise
///
/// - **Operations are handed over as they came.** Nothing is verified, as in the original. Give an
///   [`Ingest`](crate::ingest::Ingest) as the application's channel to have them verified and stored.
/// - The peer is not authenticated; that is the transport's part. The topic is sent in clear to whoever answers.
/// - The protocol only knows heights. A fork is found when an operation of the other branch arrives at a place that is
///   taken, and not before; a log that was deleted altogether is sent again.
///
/// # Deadlines
///
/// With a timer ([`with_timer`](Self::with_timer)) the protocol itself ends a session whose peer falls silent. Without
/// one, run it in a [`Session`](syncline_core::session::Session), or it waits as long as the stream stays open. A peer that
/// moves a byte now and then is only stopped by a session's total deadline.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use async_trait::async_trait;
/// use serde::{Deserialize, Serialize};
/// use syncline_core::{TopicMap, TopicQuery};
/// use syncline_log::store::{Logs, MemoryStore};
/// use syncline_log::sync::LogSync;
///
/// #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
/// struct Chat(u64);
/// impl TopicQuery for Chat {}
///
/// #[derive(Debug)]
/// struct Chats;
/// #[async_trait]
/// impl TopicMap<Chat, Logs<String>> for Chats {
///     async fn get(&self, topic: &Chat) -> Option<Logs<String>> {
///         (topic.0 == 1).then(Logs::new)
///     }
/// }
///
/// let protocol = Arc::new(LogSync::new(Arc::new(Chats), MemoryStore::<String>::new()));
/// ```
pub struct LogSync<T, L, S> {
    topic_map: Arc<dyn TopicMap<T, Logs<L>>>,
    store: S,
    access: Arc<dyn Access<T>>,
    remote: Option<PublicKey>,
    encoding: Encoding,
    limits: Limits,
    timer: Option<Arc<dyn Timer>>,
}

impl<T, L, S> LogSync<T, L, S>
where
    T: TopicQuery,
    L: LogId,
    S: LogStore<L>,
{
    /// The name under which p2panda peers know the protocol.
    pub const NAME: &'static str = "p2panda-log-sync-v1";

    /// Syncs the logs that `topic_map` names, out of `store`.
    pub fn new(topic_map: Arc<dyn TopicMap<T, Logs<L>>>, store: S) -> Self {
        Self {
            topic_map,
            store,
            access: Arc::new(AllowAll),
            remote: None,
            encoding: Encoding::default(),
            limits: Limits::default(),
            timer: None,
        }
    }

    /// Encodes outgoing operations so.
    #[must_use]
    pub fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
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

    /// For sessions with this peer, whose key the transport has proven; `None` if it has proven none. It is what
    /// [`Access`] gets to see, and `None` unless this is called.
    #[must_use]
    pub fn with_remote(mut self, remote: impl Into<Option<PublicKey>>) -> Self {
        self.remote = remote.into();
        self
    }

    /// The scope of a topic, if it is known and allowed.
    async fn resolve(&self, topic: &T) -> Result<Option<Scope<L>>, SyncError> {
        if !self.access.is_allowed(self.remote.as_ref(), topic).await {
            return Ok(None);
        }
        let Some(logs) = self.topic_map.get(topic).await else { return Ok(None) };
        let heights = self.store.heights(&logs).await;
        let heights = heights.map_err(|err| SyncError::Critical(format!("the log store failed: {err}")))?;
        Ok(Some(Scope { logs, heights }))
    }

    async fn run(
        &self,
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
        let mut machine = LogMachine::new(now, role, self.encoding, self.limits.clone())?;
        drive(&mut machine, self, &how, tx, rx, app_tx).await
    }
}

impl<T, L, S> Perform<Request<T, L>, Response<L>> for LogSync<T, L, S>
where
    T: TopicQuery,
    L: LogId,
    S: LogStore<L>,
{
    fn perform(&self, request: Request<T, L>) -> BoxFuture<'_, Response<L>> {
        match request {
            Request::Resolve(topic) => async move {
                match self.resolve(&topic).await {
                    Ok(scope) => Response::Resolved(scope),
                    Err(err) => Response::Failed(err),
                }
            }
            .boxed(),
            Request::Read { author, log_id, range, bytes_max } => async move {
                match self.store.read(author, log_id, range, bytes_max).await {
                    Ok(page) => Response::Page(page),
                    Err(err) => Response::Failed(SyncError::Critical(format!("the log store failed: {err}"))),
                }
            }
            .boxed(),
        }
    }
}

#[async_trait]
impl<'a, T, L, S> SyncProtocol<'a, T> for LogSync<T, L, S>
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
        let scope = self.resolve(&topic_query).await?;
        let scope = scope.ok_or_else(|| {
            SyncError::Critical(format!("topic {topic_query:?} is not known here, or not for this peer"))
        })?;
        self.run(Role::Initiator { topic: topic_query, scope }, *tx, *rx, *app_tx).await
    }

    async fn accept(
        self: Arc<Self>,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        self.run(Role::Acceptor, *tx, *rx, *app_tx).await
    }
}

impl<T, L, S: Clone> Clone for LogSync<T, L, S> {
    fn clone(&self) -> Self {
        Self {
            topic_map: Arc::clone(&self.topic_map),
            store: self.store.clone(),
            access: Arc::clone(&self.access),
            remote: self.remote,
            encoding: self.encoding,
            limits: self.limits.clone(),
            timer: self.timer.clone(),
        }
    }
}

impl<T, L, S: fmt::Debug> fmt::Debug for LogSync<T, L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSync")
            .field("store", &self.store)
            .field("remote", &self.remote)
            .field("encoding", &self.encoding)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
