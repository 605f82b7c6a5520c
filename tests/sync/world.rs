//! Nodes with logs, and sessions between them.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::executor::block_on;
use futures::{Sink, SinkExt};
use serde::{Deserialize, Serialize};
use syncline_core::clock::{ManualClock, Timer, Timestamp};
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicMap, TopicQuery};
use syncline_crypto::{Hash, PublicKey, SigningKey};
use syncline_log::ingest::{ByExtension, Ingest};
use syncline_log::store::{LogStore, Logs, MemoryStore, NewOperation, SeqRange};
use syncline_log::{LogSync, Operation};
use syncline_testkit::generate::{LogExtensions, LogShape, log, new_operations, signing_keys};
use syncline_testkit::net::{Conditions, Link, Sim};
use syncline_testkit::seed::Rng;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Topic(pub(crate) u8);
impl TopicQuery for Topic {}

/// Topic 1 covers all logs.
#[derive(Clone, Debug)]
pub(crate) struct Topics(pub(crate) Logs<u64>);

#[async_trait]
impl TopicMap<Topic, Logs<u64>> for Topics {
    async fn get(&self, topic: &Topic) -> Option<Logs<u64>> {
        (topic.0 == 1).then(|| self.0.clone())
    }
}

pub(crate) type Store = Arc<MemoryStore<u64>>;
pub(crate) type Protocol = LogSync<Topic, u64, Store>;
pub(crate) type Contents = BTreeMap<(PublicKey, u64), Vec<Hash>>;

/// All logs there are, of which nodes hold parts.
pub(crate) struct World {
    pub(crate) topics: Topics,
    pub(crate) logs: Vec<(SigningKey, u64, Vec<Operation<LogExtensions>>)>,
}

impl World {
    pub(crate) fn new(rng: &mut Rng, authors: usize, logs_each: u64, shape: &LogShape) -> Self {
        let mut topics = Topics(Logs::new());
        let mut logs = Vec::new();
        for key in signing_keys(rng, authors) {
            for log_id in 0..logs_each {
                topics.0.entry(key.public_key()).or_default().push(log_id);
                logs.push((key.clone(), log_id, log(rng, &key, log_id, shape)));
            }
        }
        Self { topics, logs }
    }

    /// A node that holds the first operations of each log: as many as `held` says.
    pub(crate) fn node(&self, mut held: impl FnMut(&[Operation<LogExtensions>]) -> usize) -> Store {
        let store = Arc::new(MemoryStore::new());
        for (_, _, operations) in &self.logs {
            append(&store, new_operations(&operations[..held(operations)]));
        }
        store
    }

    pub(crate) fn protocol(&self, store: &Store) -> Protocol {
        LogSync::new(Arc::new(self.topics.clone()), Arc::clone(store))
    }

    pub(crate) fn ingest(&self, store: &Store) -> Ingest<Topic, u64, Store> {
        Ingest::new(Arc::new(self.topics.clone()), Arc::clone(store), Arc::new(ByExtension::<LogExtensions>::new()))
    }

    /// The hashes of what a node holds of each log.
    pub(crate) fn contents(&self, store: &Store) -> Contents {
        let mut contents = Contents::new();
        for (key, log_id, _) in &self.logs {
            let page = block_on(store.read(key.public_key(), *log_id, SeqRange::ALL, usize::MAX)).expect("memory");
            let hashes = page.operations.iter().map(|operation| Hash::digest(&operation.header)).collect();
            contents.insert((key.public_key(), *log_id), hashes);
        }
        contents
    }
}

pub(crate) fn append(store: &Store, batch: Vec<NewOperation<u64>>) {
    let outcomes = block_on(store.append(batch)).expect("memory");
    assert!(outcomes.iter().all(syncline_log::Appended::is_stored), "{outcomes:?}");
}

pub(crate) fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_millis(1_000_000))
}

/// An application that takes a while for each item, and keeps all.
pub(crate) struct SlowApp {
    clock: ManualClock,
    delay: Duration,
    nap: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    pub(crate) items: Vec<FromSync<Topic>>,
}

impl SlowApp {
    pub(crate) fn new(clock: &ManualClock, delay: Duration) -> Self {
        Self { clock: clock.clone(), delay, nap: None, items: Vec::new() }
    }

    pub(crate) fn headers(&self) -> Vec<Hash> {
        let headers = self.items.iter().filter_map(|item| match item {
            FromSync::Data { header, .. } => Some(Hash::digest(header)),
            FromSync::HandshakeSuccess(_) => None,
        });
        headers.collect()
    }
}

impl Sink<FromSync<Topic>> for SlowApp {
    type Error = SyncError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        if let Some(nap) = &mut self.nap {
            std::task::ready!(nap.as_mut().poll(cx));
            self.nap = None;
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, item: FromSync<Topic>) -> Result<(), SyncError> {
        self.items.push(item);
        if !self.delay.is_zero() {
            use syncline_core::clock::Clock as _;
            let until = self.clock.now() + self.delay;
            self.nap = Some(self.clock.sleep_until(until));
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        self.poll_ready(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        self.poll_ready(cx)
    }
}

/// One session between two protocols, each with a channel for what it receives. Topic 1, unless said otherwise.
pub(crate) struct Outcome<A, B> {
    pub(crate) initiator: Result<(), SyncError>,
    pub(crate) acceptor: Result<(), SyncError>,
    pub(crate) apps: (A, B),
    /// Bytes that each side sent.
    pub(crate) sent: (u64, u64),
}

pub(crate) fn session<A, B, S>(
    clock: &ManualClock,
    conditions: (Conditions, Conditions),
    topic: Topic,
    (initiator, acceptor): (Protocol, LogSync<Topic, u64, S>),
    (mut app_a, mut app_b): (A, B),
) -> Outcome<A, B>
where
    S: LogStore<u64>,
    A: Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin,
    B: Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin,
{
    let timer: Arc<dyn Timer> = Arc::new(clock.clone());
    let (initiator, acceptor) =
        (Arc::new(initiator.with_timer(Arc::clone(&timer))), Arc::new(acceptor.with_timer(timer)));
    let Link { a, b, a_to_b, b_to_a } = Link::new(clock, conditions.0, conditions.1);
    let mut sim = Sim::new(clock);
    let one = sim.spawn("initiator", async {
        let mut end = a;
        let result = initiator
            .initiate(topic, Box::new(&mut end.tx as _), Box::new(&mut end.rx as _), Box::new(&mut app_a as _))
            .await;
        let _ = app_a.close().await;
        result
    });
    let two = sim.spawn("acceptor", async {
        let mut end = b;
        let result =
            acceptor.accept(Box::new(&mut end.tx as _), Box::new(&mut end.rx as _), Box::new(&mut app_b as _)).await;
        let _ = app_b.close().await;
        result
    });
    sim.run().expect("both sides end");
    let (one, two) = (one.take().expect("ended"), two.take().expect("ended"));
    drop(sim);
    let sent = (a_to_b.written(), b_to_a.written());
    Outcome { initiator: one, acceptor: two, apps: (app_a, app_b), sent }
}
