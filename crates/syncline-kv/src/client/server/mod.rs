//! Serves subscriptions out of a tree.

mod machine;
mod reads;
#[cfg(test)]
mod tests;
mod work;

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{AsyncRead, AsyncWrite, Sink};
use syncline_core::clock::{Clock, Timer, Timestamp};
use syncline_core::machine::{Drive, drive};
use syncline_core::{FromSync, SyncError, SyncProtocol};
use syncline_crypto::PublicKey;
use syncline_storage::{Blocking, Inline};

use super::{WatchLimits, WatchQuery};
use crate::tree::Tree;

use machine::ServerMachine;
use reads::{QuarantinedKeys, Reads};

/// Serves the subscriptions of [`Client`](super::Client)s out of a tree: the accepting side of `syncline-kv-watch/1`.
///
/// # What it promises
///
/// - For each subscription the client gets what there is, a mark that this was all, and from then on what changes, with nothing
///   lost in between. Of a key that changes more often than the client reads it gets the latest value, not every one.
/// - A slow client holds up nobody that writes, and costs bounded memory: remembered is which keys changed, and values are read
///   when the client has taken what was sent before.
/// - Nothing is sent to a peer that may not read it, as told by the key that [`with_remote`](Self::with_remote) gives and the
///   grants that the tree knows. Rights are looked at again with each read, when grants, revocations or rotations come, and
///   from time to time as grants run out. Who may not read learns that, and nothing else.
/// - Entries are sent as their authors signed them, with the grants on which they rest, each once per session, and with the
///   revocations of the grants that the client holds.
///
/// # What it does not promise
///
/// That a key has no value, and how fresh the tree is, is this server's word; a client cannot check it. Neither is proven that
/// the value of a key is the latest one.
///
/// A session ends when the client says so, is cut or falls silent. Run it under a node or a
/// [`Session`](syncline_core::session::Session); clones share the tree.
#[derive(Clone)]
pub struct WatchServer {
    tree: Tree,
    clock: Arc<dyn Clock>,
    timer: Option<Arc<dyn Timer>>,
    remote: Option<PublicKey>,
    limits: WatchLimits,
    blocking: Arc<dyn Blocking>,
    quarantined: Arc<Mutex<QuarantinedKeys>>,
}

impl WatchServer {
    /// The name under which peers know the protocol.
    pub const NAME: &'static str = "syncline-kv-watch/1";

    /// Serves this tree. The clock is the wall clock, for the windows of grants to read and for how fresh the tree is.
    #[must_use]
    pub fn new(tree: Tree, clock: Arc<dyn Clock>) -> Self {
        Self {
            tree,
            clock,
            timer: None,
            remote: None,
            limits: WatchLimits::default(),
            blocking: Arc::new(Inline),
            quarantined: Arc::default(),
        }
    }

    /// Keeps the deadlines of the limits by this timer. Without one, silent peers are not noticed, and neither is it that a
    /// grant to read has run out before something changes.
    #[must_use]
    pub fn with_timer(mut self, timer: Arc<dyn Timer>) -> Self {
        self.timer = Some(timer);
        self
    }

    /// For sessions with this peer, whose key the transport has proven; `None` if it has proven none, and unless this is called.
    #[must_use]
    pub fn with_remote(mut self, remote: impl Into<Option<PublicKey>>) -> Self {
        self.remote = remote.into();
        self
    }

    /// Keeps these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: WatchLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Reads from the tree where `blocking` says instead of on the session's task.
    #[must_use]
    pub fn with_blocking(mut self, blocking: Arc<dyn Blocking>) -> Self {
        self.blocking = blocking;
        self
    }
}

#[async_trait]
impl<'a> SyncProtocol<'a, WatchQuery> for WatchServer {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    /// Fails with [`SyncError::Critical`]: a server only accepts. A [`Connection`](super::Connection) initiates.
    async fn initiate(
        self: Arc<Self>,
        _topic_query: WatchQuery,
        _tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        _rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        _app_tx: Box<&'a mut (dyn Sink<FromSync<WatchQuery>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        Err(SyncError::Critical("a watch server accepts sessions only; initiate them by a client's connection".into()))
    }

    async fn accept(
        self: Arc<Self>,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<WatchQuery>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        let reads = Reads::new(&self);
        let age = reads.age().await?;
        let now = self.timer.as_ref().map_or(Timestamp::ZERO, |timer| timer.now());
        let mut how = Drive::new().with_window(self.limits.window);
        if let Some(timer) = &self.timer {
            how = how.with_timer(Arc::clone(timer));
        }
        let mut machine = ServerMachine::new(now, self.tree.id(), age, self.limits.clone());
        drive(&mut machine, &reads, &how, *tx, *rx, *app_tx).await
    }
}

impl fmt::Debug for WatchServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchServer")
            .field("tree", &self.tree)
            .field("remote", &self.remote)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
