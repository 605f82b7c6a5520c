//! The first log sync with the second one's manners: [`StoredLogSync`].

mod storing;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{AsyncRead, AsyncWrite, Sink};
use syncline_core::clock::Timer;
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicMap, TopicQuery};
use syncline_crypto::{Ed25519, PublicKey, Verifier};
use syncline_storage::{Blocking, Inline};

use super::v2::TopicKeys;
use super::{Access, Encoding, Limits, LogSync};
use crate::ingest::{Classify, Ingest, IngestLimits, Verdict, Verification};
use crate::store::{LiveStore, LogId, LogStore, Logs};

use storing::Storing;

type Observer<L> = Arc<dyn Fn(Verdict<L>) + Send + Sync>;

/// [`LogSync`] that verifies and stores what comes, and hands on what is new: what [`LogSyncV2`](super::LogSyncV2) promises an
/// application, over `p2panda-log-sync-v1`, for peers that speak nothing else.
///
/// An application that offers both, over the same [`LiveStore`] and with the same topic map and [`Classify`], gets the same from
/// either, and needs no [`Ingest`] of its own. What came in a session of the one is pushed in the live sessions of the other.
///
/// # What it promises
///
/// - What the application gets was verified, is durable, and was not here before: exactly once per store. Operations of one
///   log come in order. To lose none across crashes, read from the store behind a cursor at the start.
/// - What arrived before a session failed is stored and handed on nevertheless.
/// - A slow application stalls the peer and loses nothing. Beside what [`LogSync`] holds, up to four batches of
///   [`IngestLimits`] are in memory at a time.
///
/// # What it does not promise
///
/// - All else that the second protocol does better: `Ok` means that the peer has sent everything, not that it has stored what
///   it got; sessions do not stay open; bodies are not left behind; what was rejected does not stop its log.
/// - It cannot hide a topic. One that has a [key](Self::with_topic_keys) is not synced this way at all.
///
/// # Errors
///
/// Those of [`LogSync`], and those of [`Ingest`]: [`SyncError::Critical`] if the store or the topic map fails,
/// [`SyncError::UnexpectedBehaviour`] if too much was rejected.
///
/// # Cancel safety
///
/// A session that is dropped loses what has no verdict yet, which is still at the peer. A batch whose commit is under way may
/// be stored although the application is not told.
pub struct StoredLogSync<T, L, S> {
    log_sync: LogSync<T, L, LiveStore<L, S>>,
    classify: Arc<dyn Classify<L>>,
    verifier: Arc<dyn Verifier>,
    verification: Verification,
    blocking: Arc<dyn Blocking>,
    ingest_limits: IngestLimits,
    observer: Option<Observer<L>>,
}

impl<T, L, S> StoredLogSync<T, L, S>
where
    T: TopicQuery + 'static,
    L: LogId,
    S: LogStore<L>,
{
    /// The name under which peers know the protocol: that of [`LogSync`].
    pub const NAME: &'static str = LogSync::<T, L, LiveStore<L, S>>::NAME;

    /// Syncs the logs that `topic_map` names, out of and into `store`. What comes is placed in its log by `classify`.
    pub fn new(
        topic_map: Arc<dyn TopicMap<T, Logs<L>>>,
        store: LiveStore<L, S>,
        classify: Arc<dyn Classify<L>>,
    ) -> Self {
        Self {
            log_sync: LogSync::new(topic_map, store),
            classify,
            verifier: Arc::new(Ed25519),
            verification: Verification::default(),
            blocking: Arc::new(Inline),
            ingest_limits: IngestLimits::default(),
            observer: None,
        }
    }

    /// Encodes outgoing operations so.
    #[must_use]
    pub fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.log_sync = self.log_sync.with_encoding(encoding);
        self
    }

    /// Keeps these limits on the wire.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.log_sync = self.log_sync.with_limits(limits);
        self
    }

    /// Keeps these limits on what comes.
    #[must_use]
    pub fn with_ingest_limits(mut self, limits: IngestLimits) -> Self {
        self.ingest_limits = limits;
        self
    }

    /// Keeps the deadlines of the [`Limits`] by this timer.
    #[must_use]
    pub fn with_timer(mut self, timer: Arc<dyn Timer>) -> Self {
        self.log_sync = self.log_sync.with_timer(timer);
        self
    }

    /// Asks `access` before a topic is revealed to a peer. All are allowed otherwise.
    #[must_use]
    pub fn with_access(mut self, access: Arc<dyn Access<T>>) -> Self {
        self.log_sync = self.log_sync.with_access(access);
        self
    }

    /// Does not sync the topics that have a key, as if they were not known here: this protocol would name them to whoever
    /// answers. To be given the same as [`LogSyncV2::with_topic_keys`](super::LogSyncV2::with_topic_keys), so that a peer
    /// that refuses the other protocol does not get to see what it was not meant to.
    #[must_use]
    pub fn with_topic_keys(mut self, keys: Arc<dyn TopicKeys<T>>) -> Self {
        let topics = self.log_sync.topic_map;
        self.log_sync.topic_map = Arc::new(ClearTopics { topics, keys });
        self
    }

    /// For sessions with this peer, whose key the transport has proven; `None` if it has proven none. It is what
    /// [`Access`] gets to see, and `None` unless this is called.
    #[must_use]
    pub fn with_remote(mut self, remote: impl Into<Option<PublicKey>>) -> Self {
        self.log_sync = self.log_sync.with_remote(remote);
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

    /// Tells `observer` what becomes of every operation that comes. It is called on the session's task and must not block.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Fn(Verdict<L>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// What one session hands its items to.
    fn storing<'s>(
        &self,
        app_tx: &'s mut (dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin + 's),
    ) -> Storing<'s, T, L, S> {
        let topic_map = Arc::clone(&self.log_sync.topic_map);
        let ingest = Ingest::new(topic_map, self.log_sync.store.clone(), Arc::clone(&self.classify))
            .with_limits(self.ingest_limits.clone())
            .with_verifier(Arc::clone(&self.verifier))
            .with_verification(self.verification)
            .with_blocking(Arc::clone(&self.blocking));
        let observer = self.observer.clone();
        let observe = move |verdict| {
            if let Some(observer) = &observer {
                observer(verdict);
            }
        };
        Storing::new(ingest, observe, app_tx)
    }
}

#[async_trait]
impl<'a, T, L, S> SyncProtocol<'a, T> for StoredLogSync<T, L, S>
where
    T: TopicQuery + Unpin + 'static,
    L: LogId + Unpin,
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
        let mut storing = self.storing(*app_tx);
        let log_sync = Arc::new(self.log_sync.clone());
        log_sync.initiate(topic_query, Box::new(*tx), Box::new(*rx), Box::new(&mut storing)).await
    }

    async fn accept(
        self: Arc<Self>,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        let mut storing = self.storing(*app_tx);
        let log_sync = Arc::new(self.log_sync.clone());
        log_sync.accept(Box::new(*tx), Box::new(*rx), Box::new(&mut storing)).await
    }
}

impl<T, L, S> Clone for StoredLogSync<T, L, S> {
    fn clone(&self) -> Self {
        Self {
            log_sync: self.log_sync.clone(),
            classify: Arc::clone(&self.classify),
            verifier: Arc::clone(&self.verifier),
            verification: self.verification,
            blocking: Arc::clone(&self.blocking),
            ingest_limits: self.ingest_limits.clone(),
            observer: self.observer.clone(),
        }
    }
}

impl<T, L, S: fmt::Debug> fmt::Debug for StoredLogSync<T, L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredLogSync")
            .field("log_sync", &self.log_sync)
            .field("ingest_limits", &self.ingest_limits)
            .finish_non_exhaustive()
    }
}

/// The topics that have no key.
#[derive(Debug)]
struct ClearTopics<T, L> {
    topics: Arc<dyn TopicMap<T, Logs<L>>>,
    keys: Arc<dyn TopicKeys<T>>,
}

#[async_trait]
impl<T: TopicQuery, L: LogId> TopicMap<T, Logs<L>> for ClearTopics<T, L> {
    async fn get(&self, topic: &T) -> Option<Logs<L>> {
        if self.keys.key(topic).await.is_some() {
            return None;
        }
        self.topics.get(topic).await
    }
}

#[cfg(test)]
mod tests;
