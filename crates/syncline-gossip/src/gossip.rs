//! A tree as what an agent gossips about.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::sink::{self, SinkExt};
use syncline_core::SyncError;
use syncline_core::clock::Clock;
use syncline_crypto::Hash;
use syncline_kv::agent::{self, Gossiped, News, Outcome, Push, PushKind, Side, Source};
use syncline_kv::sync::{KvQuery, KvSync};
use syncline_kv::tree::{Fed, Feed, Root};
use syncline_kv::{Item, KvError, NamespaceId, Tree};
use syncline_net::{NegotiationError, Node, PeerAddr, PeerId, SyncFailure, TokioBlocking};
use syncline_storage::blocking;
use tokio::sync::{Notify, watch};

use crate::event::{EventSink, NodeEvent};
use crate::syncing;

/// Limits of a [`TreeGossip`].
///
/// | limit | default | |
/// |---|---|---|
/// | bytes that were stored and wait to be pushed | 4 MiB | more is left to sessions |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GossipLimits {
    /// Bytes that were stored and wait to be pushed.
    pub feed_bytes: usize,
}

impl Default for GossipLimits {
    fn default() -> Self {
        Self { feed_bytes: 4 << 20 }
    }
}

/// A [`Tree`] as what an agent gossips about: [`Gossiped`].
///
/// What is stored, by whomever, comes by [`news`](Gossiped::news) from the tree's own feed, so that
/// [`apply`](Gossiped::apply) itself returns nothing: an item that had waited for a grant is passed on like others when the
/// grant comes. Sessions run through a [`Node`]. The tree is worked on where tokio runs what blocks. Clones share all of it.
#[derive(Clone)]
pub struct TreeGossip {
    inner: Arc<Inner>,
}

struct Inner {
    tree: Tree,
    namespace: NamespaceId,
    clock: Arc<dyn Clock>,
    blocking: TokioBlocking,
    node: Node,
    sync: KvSync,
    feed: Feed,
    state: Mutex<State>,
    /// Something was put among the news that did not come from the feed.
    told: Notify,
    /// Grows with each change of grants, revocations and roots.
    authority: watch::Sender<u64>,
    is_empty: AtomicBool,
    is_closed: AtomicBool,
    events: EventSink,
    counts: Counts,
}

struct State {
    root: Root,
    news: VecDeque<News<PeerId>>,
    /// Pushed items that are being applied, or were and have not come by the feed yet.
    pushed: BTreeSet<Hash>,
}

#[derive(Default)]
struct Counts {
    pushed_new: AtomicU64,
    pushed_refused: AtomicU64,
    opened: AtomicU64,
    accepted: AtomicU64,
    completed: AtomicU64,
}

/// What was counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GossipCounts {
    pub(crate) pushed_new: u64,
    pub(crate) pushed_refused: u64,
    pub(crate) opened: u64,
    pub(crate) accepted: u64,
    pub(crate) completed: u64,
}

impl TreeGossip {
    /// For sessions of `sync` through `node`; `clock` shows wall time. Blocks for a moment.
    ///
    /// # Errors
    ///
    /// Those of the database.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn new(
        tree: Tree,
        node: Node,
        sync: KvSync,
        clock: Arc<dyn Clock>,
        limits: GossipLimits,
    ) -> Result<Self, KvError> {
        Self::with_events(tree, node, sync, clock, limits, EventSink::new())
    }

    pub(crate) fn with_events(
        tree: Tree,
        node: Node,
        sync: KvSync,
        clock: Arc<dyn Clock>,
        limits: GossipLimits,
        events: EventSink,
    ) -> Result<Self, KvError> {
        // First, so that what is stored meanwhile is not missed.
        let feed = tree.feed(limits.feed_bytes);
        let root = tree.root()?;
        let inner = Inner {
            namespace: tree.id(),
            clock,
            blocking: TokioBlocking::current(),
            node,
            sync,
            feed,
            state: Mutex::new(State { root, news: VecDeque::new(), pushed: BTreeSet::new() }),
            told: Notify::new(),
            authority: watch::Sender::new(0),
            is_empty: AtomicBool::new(is_empty(&root)),
            is_closed: AtomicBool::new(false),
            events,
            counts: Counts::default(),
            tree,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Ends the news, and with them the agent.
    pub fn close(&self) {
        self.inner.is_closed.store(true, Ordering::Relaxed);
        self.inner.told.notify_one();
    }

    /// Tells that a peer has opened a session with this node.
    pub fn session_accepted(&self, peer: PeerId) {
        self.inner.counts.accepted.fetch_add(1, Ordering::Relaxed);
        self.tell(News::SessionAccepted { peer });
    }

    /// Tells that such a session has ended.
    pub fn session_ended(&self, peer: PeerId, outcome: Outcome) {
        self.note_end(peer, Side::Accepted, outcome);
        self.tell(News::SessionEnded { peer, outcome });
    }

    fn tell(&self, news: News<PeerId>) {
        self.lock().news.push_back(news);
        self.inner.told.notify_one();
    }

    pub(crate) fn authority(&self) -> watch::Receiver<u64> {
        self.inner.authority.subscribe()
    }

    /// Whether the tree held nothing when that was last looked at.
    pub(crate) fn is_empty(&self) -> bool {
        self.inner.is_empty.load(Ordering::Relaxed)
    }

    pub(crate) fn counts(&self) -> GossipCounts {
        let counts = &self.inner.counts;
        GossipCounts {
            pushed_new: counts.pushed_new.load(Ordering::Relaxed),
            pushed_refused: counts.pushed_refused.load(Ordering::Relaxed),
            opened: counts.opened.load(Ordering::Relaxed),
            accepted: counts.accepted.load(Ordering::Relaxed),
            completed: counts.completed.load(Ordering::Relaxed),
        }
    }

    fn note_end(&self, peer: PeerId, side: Side, outcome: Outcome) {
        if matches!(outcome, Outcome::Completed { .. }) {
            self.inner.counts.completed.fetch_add(1, Ordering::Relaxed);
        }
        self.inner.events.tell(NodeEvent::SessionEnded { peer, side, outcome });
    }

    /// Reads the root again. If the tree fails, the old one stays until the next change.
    async fn refresh(&self) {
        let tree = self.inner.tree.clone();
        match blocking::run(&self.inner.blocking, move || tree.root()).await {
            Ok(Ok(root)) => {
                self.inner.is_empty.store(is_empty(&root), Ordering::Relaxed);
                self.lock().root = root;
            }
            Ok(Err(err)) => self.inner.events.tell(NodeEvent::ChoreFailed(err.to_string())),
            // The runtime shuts down.
            Err(_) => {}
        }
    }

    /// Puts what was fed among the news, by where it came from.
    fn sort(&self, fed: Fed) {
        let mut state = self.lock();
        let mut any_system = false;
        let mut lots: Vec<(Source<PeerId>, Vec<Push>)> = Vec::new();
        for stored in fed.items {
            any_system |= stored.item.is_system();
            let bytes = stored.item.encoded();
            let source = match stored.from {
                None => Source::Local,
                Some(peer) if state.pushed.remove(&Hash::digest(&bytes)) => Source::Pushed(Some(peer)),
                Some(peer) => Source::Session(peer),
            };
            let push = push_of(&stored.item, bytes, stored.urgent);
            match lots.last_mut() {
                Some((last, pushes)) if *last == source => pushes.push(push),
                _ => lots.push((source, vec![push])),
            }
        }
        if fed.lagged {
            // Some of them will not come any more.
            state.pushed.clear();
        }
        if fed.lagged || fed.removed {
            lots.push((Source::Local, Vec::new()));
        }
        state.news.extend(lots.into_iter().map(|(source, pushes)| News::Changed { source, pushes }));
        drop(state);
        if any_system {
            self.inner.authority.send_modify(|version| *version += 1);
        }
    }

    async fn next_news(&self) -> Option<News<PeerId>> {
        loop {
            if self.inner.is_closed.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(news) = self.lock().news.pop_front() {
                return Some(news);
            }
            tokio::select! {
                fed = self.inner.feed.next() => {
                    self.sort(fed);
                    self.refresh().await;
                }
                () = self.inner.told.notified() => {}
            }
        }
    }

    async fn apply_pushed(&self, from: Option<PeerId>, items: Vec<Bytes>) {
        if self.is_empty() {
            // Who holds nothing asks its peers for everything. With an entry and without the grants it could no longer know whom
            // it may ask.
            return;
        }
        let decoded: Vec<Item> = items.iter().filter_map(|bytes| Item::decode(bytes).ok()).collect();
        let refused = (items.len() - decoded.len()) as u64;
        let hashes: Vec<Hash> = decoded.iter().map(|item| Hash::digest(&item.encoded())).collect();
        self.lock().pushed.extend(hashes.iter().copied());
        let (tree, now) = (self.inner.tree.clone(), self.inner.clock.now());
        let applied = blocking::run(&self.inner.blocking, move || tree.apply_from(now, decoded, from)).await;
        let (mut new, mut refused) = (0, refused);
        {
            let mut state = self.lock();
            match applied {
                Ok(Ok(verdicts)) => {
                    for (hash, verdict) in hashes.iter().zip(&verdicts) {
                        new += u64::from(verdict.is_new());
                        refused += u64::from(verdict.is_fault());
                        if !verdict.is_new() {
                            state.pushed.remove(hash);
                        }
                    }
                }
                failed => {
                    for hash in &hashes {
                        state.pushed.remove(hash);
                    }
                    if let Ok(Err(err)) = failed {
                        self.inner.events.tell(NodeEvent::ChoreFailed(err.to_string()));
                    }
                }
            }
        }
        self.inner.counts.pushed_new.fetch_add(new, Ordering::Relaxed);
        self.inner.counts.pushed_refused.fetch_add(refused, Ordering::Relaxed);
        if new > 0 {
            self.refresh().await;
        }
    }

    async fn run_session(&self, peer: PeerId, addr: PeerAddr) -> Outcome {
        self.inner.counts.opened.fetch_add(1, Ordering::Relaxed);
        let protocol = Arc::new(self.inner.sync.clone().with_remote(peer).with_live(false));
        let sink = sink::drain().sink_map_err(|never| -> SyncError { match never {} });
        let handle = self.inner.node.sync(&addr, protocol, KvQuery::all(self.inner.namespace), sink);
        let outcome = outcome_of(&syncing::finished(handle, || false).await);
        self.refresh().await;
        self.note_end(peer, Side::Opened, outcome);
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gossiped<PeerId, PeerAddr> for TreeGossip {
    fn root(&self) -> agent::Root {
        let root = self.lock().root;
        agent::Root::new(root.hash, root.entries + root.system)
    }

    fn apply(&self, from: Option<PeerId>, items: Vec<Bytes>) -> BoxFuture<'_, Vec<Push>> {
        Box::pin(async move {
            self.apply_pushed(from, items).await;
            Vec::new()
        })
    }

    fn news(&self) -> BoxFuture<'_, Option<News<PeerId>>> {
        Box::pin(self.next_news())
    }

    fn sync(&self, peer: PeerId, addr: PeerAddr) -> BoxFuture<'_, Outcome> {
        Box::pin(self.run_session(peer, addr))
    }
}

impl fmt::Debug for TreeGossip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeGossip").field("namespace", &self.inner.namespace).finish_non_exhaustive()
    }
}

fn is_empty(root: &Root) -> bool {
    root.entries + root.system == 0
}

fn push_of(item: &Item, bytes: Bytes, urgent: bool) -> Push {
    let kind = match item {
        Item::Entry(_) => PushKind::Entry,
        Item::Grant(_) => PushKind::Grant,
        Item::Revocation(_) | Item::RootRotate(_) => PushKind::Revocation,
    };
    let push = Push::new(kind, bytes);
    if urgent { push.urgent() } else { push }
}

/// What an agent makes of the end of a session.
pub(crate) fn outcome_of(result: &Result<syncline_core::session::SessionReport, SyncFailure>) -> Outcome {
    match result {
        Ok(report) => Outcome::Completed { moved: report.items_received() + report.items_sent() },
        Err(SyncFailure::Negotiation(NegotiationError::Refused(_))) => Outcome::Refused,
        Err(_) => Outcome::Failed,
    }
}
