//! The application of a node: what it gets in a session, and when.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Sink;
use futures::future::BoxFuture;
use syncline_core::clock::{Clock, Timer};
use syncline_core::{FromSync, SyncError};
use syncline_crypto::Hash;
use syncline_testkit::cluster::{Journal, NodeClock, NodeId, SessionId};
use syncline_testkit::seed::Rng;

use crate::world::{LogKey, Shared, Topic, lock, name};

/// What an application has to do with one session. Clones are the same.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) world: Shared,
    pub(crate) journal: Journal,
    pub(crate) node: NodeId,
    pub(crate) session: SessionId,
    /// Whether the peer is honest and the line does not lie: then nothing that arrives is wrong.
    pub(crate) is_clean: bool,
    pub(crate) pace: Pace,
    /// How often each operation came.
    arrived: Arc<Mutex<BTreeMap<Hash, u64>>>,
}

/// How slow an application is.
#[derive(Clone)]
pub(crate) struct Pace {
    pub(crate) clock: NodeClock,
    pub(crate) seed: u64,
    /// How many of 1000 items take a while.
    pub(crate) slow_per_mille: u64,
    pub(crate) delay_max: Duration,
}

impl App {
    pub(crate) fn new(
        world: &Shared,
        journal: &Journal,
        node: NodeId,
        session: SessionId,
        is_clean: bool,
        pace: Pace,
    ) -> Self {
        let (world, journal) = (Arc::clone(world), journal.clone());
        Self { world, journal, node, session, is_clean, pace, arrived: Arc::default() }
    }

    /// An operation is stored, and the application may have it.
    pub(crate) fn stored(&self, key: LogKey, seq_num: u64, hash: Hash) {
        if let Err(what) = lock(&self.world).delivered(self.node, key, seq_num, hash) {
            self.journal.breach(what);
        }
    }

    /// An operation was refused. `is_authors` is whether an author who wrote two histories explains that.
    pub(crate) fn refused(&self, key: Option<LogKey>, seq_num: u64, why: &str, is_authors: bool) {
        let may_fork = key.is_some_and(|key| lock(&self.world).may_fork(&key));
        if self.is_clean && !(is_authors && may_fork) {
            let what = key.map_or("something".to_owned(), |key| name(&key, seq_num));
            self.journal.breach(format!("{}: {what} came from an honest peer and was refused: {why}", self.session));
        }
    }

    /// An operation came that is here already.
    pub(crate) fn known(&self, key: Option<LogKey>, seq_num: u64) {
        // Of a forked log something may come that was pruned here, on another branch.
        let may_fork = key.is_some_and(|key| lock(&self.world).may_fork(&key));
        if self.is_clean && !may_fork && lock(&self.world).is_one_line {
            let what = key.map_or("something".to_owned(), |key| name(&key, seq_num));
            self.journal.breach(format!("{}: {what} came although it is here", self.session));
        }
    }

    /// An operation came in.
    pub(crate) fn arrived(&self, hash: Hash) {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let count = arrived.entry(hash).or_default();
        *count += 1;
        if *count > 1 && self.is_clean {
            self.journal.breach(format!("{}: {hash:?} came {count} times", self.session));
        }
    }

    /// How many operations came.
    pub(crate) fn arrivals(&self) -> u64 {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

/// Passes items on to another sink, at the application's pace, and looks at them.
pub(crate) struct Paced<I> {
    app: App,
    rng: Rng,
    nap: Option<BoxFuture<'static, ()>>,
    inner: I,
}

impl<I> Paced<I> {
    pub(crate) fn new(app: App, inner: I) -> Self {
        let rng = Rng::new(app.pace.seed);
        Self { app, rng, nap: None, inner }
    }

    fn poll_nap(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(nap) = &mut self.nap {
            ready!(nap.as_mut().poll(cx));
            self.nap = None;
        }
        Poll::Ready(())
    }
}

impl<I: Sink<FromSync<Topic>, Error = SyncError> + Unpin> Sink<FromSync<Topic>> for Paced<I> {
    type Error = SyncError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        ready!(self.poll_nap(cx));
        Pin::new(&mut self.inner).poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, item: FromSync<Topic>) -> Result<(), SyncError> {
        if let FromSync::Data { header, .. } = &item {
            self.app.arrived(Hash::digest(header));
            let pace = self.app.pace.clone();
            if self.rng.chance(pace.slow_per_mille, 1000) {
                let most = u64::try_from(pace.delay_max.as_millis()).unwrap_or(u64::MAX);
                let until = pace.clock.now() + Duration::from_millis(1 + self.rng.below(most));
                self.nap = Some(pace.clock.sleep_until(until));
            }
        }
        Pin::new(&mut self.inner).start_send(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        ready!(self.poll_nap(cx));
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        ready!(self.poll_nap(cx));
        Pin::new(&mut self.inner).poll_close(cx)
    }
}
