//! Nodes with live stores, and sessions between them.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::Sink;
use futures::executor::block_on;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use syncline_core::clock::{Clock as _, ManualClock, Timer as _, Timestamp};
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicMap, TopicQuery};
use syncline_crypto::{Hash, PublicKey, SigningKey};
use syncline_log::ingest::ByExtension;
use syncline_log::store::{LiveStore, LogStore, Logs, MemoryStore, NewOperation, SeqRange};
use syncline_log::sync::LogSyncV2;
use syncline_log::sync::v2::Event;
use syncline_log::{EncodedOperation, Operation};
use syncline_testkit::generate::{LogExtensions, LogShape, log, new_operations, signing_keys};
use syncline_testkit::net::{Conditions, End, Link, Sim, Step};
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

pub(crate) type Store = LiveStore<u64, MemoryStore<u64>>;
pub(crate) type Protocol = LogSyncV2<Topic, u64, MemoryStore<u64>>;
pub(crate) type Contents = BTreeMap<(PublicKey, u64), Vec<(Hash, bool)>>;

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

    /// Two authors with one log each.
    pub(crate) fn pair(operations: usize, body_max: usize) -> Self {
        Self::new(&mut Rng::new(5), 2, 1, &LogShape { operations, body_max, ..LogShape::default() })
    }

    /// A node that holds the first operations of each log: as many as `held` says of the n-th log.
    pub(crate) fn node(&self, mut held: impl FnMut(usize, &[Operation<LogExtensions>]) -> usize) -> Node {
        let node = Node::new(self.topics.clone());
        for (nth, (_, _, operations)) in self.logs.iter().enumerate() {
            node.append(new_operations(&operations[..held(nth, operations)]));
        }
        node
    }

    /// A node that holds the n-th log and nothing else.
    pub(crate) fn node_with(&self, log: usize) -> Node {
        self.node(|nth, operations| if nth == log { operations.len() } else { 0 })
    }

    pub(crate) fn full(&self) -> Node {
        self.node(|_, operations| operations.len())
    }

    pub(crate) fn empty(&self) -> Node {
        self.node(|_, _| 0)
    }
}

/// A peer: a store, and what it was told.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) topics: Topics,
    pub(crate) store: Store,
    pub(crate) verdicts: Arc<Mutex<Vec<String>>>,
}

impl Node {
    pub(crate) fn new(topics: Topics) -> Self {
        Self { topics, store: LiveStore::new(MemoryStore::new()), verdicts: Arc::default() }
    }

    pub(crate) fn append(&self, batch: Vec<NewOperation<u64>>) {
        let outcomes = block_on(self.store.append(batch)).expect("memory");
        assert!(outcomes.iter().all(syncline_log::Appended::is_stored), "{outcomes:?}");
    }

    /// The protocol of this node. The seed tells its nonces from others'.
    pub(crate) fn protocol(&self, seed: u8) -> Protocol {
        let verdicts = Arc::clone(&self.verdicts);
        let classify = Arc::new(ByExtension::<LogExtensions>::new());
        LogSyncV2::new(Arc::new(self.topics.clone()), self.store.clone(), classify, [seed; 32]).with_observer(
            move |event| {
                verdicts.lock().unwrap().push(match event {
                    Event::Verdict(verdict) => format!("{:?}", verdict.outcome).chars().take(60).collect(),
                    other => format!("{other:?}"),
                });
            },
        )
    }

    pub(crate) fn verdicts(&self) -> Vec<String> {
        self.verdicts.lock().unwrap().clone()
    }

    /// The hashes of what the node holds of each log, and whether the body is there.
    pub(crate) fn contents(&self) -> Contents {
        let mut contents = Contents::new();
        for (author, log_ids) in &self.topics.0 {
            for log_id in log_ids {
                let page = block_on(self.store.read(*author, *log_id, SeqRange::ALL, usize::MAX)).expect("memory");
                let rows = page.operations.iter();
                let rows = rows.map(|operation| (Hash::digest(&operation.header), operation.body.is_some()));
                contents.insert((*author, *log_id), rows.collect());
            }
        }
        contents
    }

    pub(crate) fn count(&self) -> usize {
        self.contents().values().map(Vec::len).sum()
    }
}

pub(crate) fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_millis(1_000_000))
}

/// An application that takes a while for each item, and keeps all. Clones are the same.
#[derive(Clone)]
pub(crate) struct App {
    clock: ManualClock,
    delay: Duration,
    nap: Arc<Mutex<Option<BoxFuture<'static, ()>>>>,
    pub(crate) items: Arc<Mutex<Vec<FromSync<Topic>>>>,
}

impl App {
    pub(crate) fn new(clock: &ManualClock) -> Self {
        Self { clock: clock.clone(), delay: Duration::ZERO, nap: Arc::default(), items: Arc::default() }
    }

    pub(crate) fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// What came, decoded.
    pub(crate) fn operations(&self) -> Vec<EncodedOperation> {
        let items = self.items.lock().unwrap();
        let operations = items.iter().filter_map(|item| match item {
            FromSync::Data { header, payload } => {
                let payload = payload.clone().map(Into::into);
                Some(EncodedOperation::decode(header.clone().into(), payload).expect("verified"))
            }
            FromSync::HandshakeSuccess(_) => None,
        });
        operations.collect()
    }

    pub(crate) fn hashes(&self) -> Vec<Hash> {
        self.operations().iter().map(EncodedOperation::hash).collect()
    }
}

impl Sink<FromSync<Topic>> for App {
    type Error = SyncError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        let mut nap = self.nap.lock().unwrap();
        if let Some(napping) = nap.as_mut() {
            std::task::ready!(napping.as_mut().poll(cx));
            *nap = None;
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, item: FromSync<Topic>) -> Result<(), SyncError> {
        self.items.lock().unwrap().push(item);
        if !self.delay.is_zero() {
            *self.nap.lock().unwrap() = Some(self.clock.sleep_until(self.clock.now() + self.delay));
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

/// How a session went.
pub(crate) struct Outcome {
    pub(crate) initiator: Result<(), SyncError>,
    pub(crate) acceptor: Result<(), SyncError>,
    pub(crate) apps: (App, App),
    /// Bytes that each side sent.
    pub(crate) sent: (u64, u64),
}

impl Outcome {
    #[track_caller]
    pub(crate) fn assert_ok(&self) {
        assert_eq!((&self.initiator, &self.acceptor), (&Ok(()), &Ok(())));
    }
}

pub(crate) async fn initiate(
    protocol: Arc<impl for<'a> SyncProtocol<'a, Topic> + 'static>,
    mut end: End,
    mut app: App,
) -> Result<(), SyncError> {
    protocol.initiate(Topic(1), Box::new(&mut end.tx as _), Box::new(&mut end.rx as _), Box::new(&mut app as _)).await
}

pub(crate) async fn accept(
    protocol: Arc<impl for<'a> SyncProtocol<'a, Topic> + 'static>,
    mut end: End,
    mut app: App,
) -> Result<(), SyncError> {
    protocol.accept(Box::new(&mut end.tx as _), Box::new(&mut end.rx as _), Box::new(&mut app as _)).await
}

/// One session, with applications that are quick.
pub(crate) fn session(
    conditions: (Conditions, Conditions),
    initiator: impl for<'a> SyncProtocol<'a, Topic> + 'static,
    acceptor: impl for<'a> SyncProtocol<'a, Topic> + 'static,
) -> Outcome {
    let clock = clock();
    let apps = (App::new(&clock), App::new(&clock));
    session_with(&clock, conditions, initiator, acceptor, apps)
}

pub(crate) fn session_with(
    clock: &ManualClock,
    conditions: (Conditions, Conditions),
    initiator: impl for<'a> SyncProtocol<'a, Topic> + 'static,
    acceptor: impl for<'a> SyncProtocol<'a, Topic> + 'static,
    apps: (App, App),
) -> Outcome {
    let Link { a, b, a_to_b, b_to_a } = Link::new(clock, conditions.0, conditions.1);
    let mut sim = Sim::new(clock);
    let one = sim.spawn("initiator", initiate(Arc::new(initiator), a, apps.0.clone()));
    let two = sim.spawn("acceptor", accept(Arc::new(acceptor), b, apps.1.clone()));
    sim.run().expect("both sides end");
    let (one, two) = (one.take().expect("ended"), two.take().expect("ended"));
    drop(sim);
    Outcome { initiator: one, acceptor: two, apps, sent: (a_to_b.written(), b_to_a.written()) }
}

pub(crate) async fn sleep(clock: &ManualClock, time: Duration) {
    clock.sleep_until(clock.now() + time).await;
}

/// Lets everything go on for so long.
pub(crate) fn run_for(sim: &mut Sim<'_>, time: Duration) {
    let until = sim.clock().now() + time;
    while sim.clock().now() < until {
        if sim.step_until(until).expect("nothing panics") == Step::Idle {
            break;
        }
    }
}
