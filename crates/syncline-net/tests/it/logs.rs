//! Log sync between nodes: two protocols that mean the same to the application, and sessions that stay open.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use syncline_core::session::{SessionLimits, SessionReport};
use syncline_core::{FromSync, SyncError, TopicMap, TopicQuery};
use syncline_log::ingest::ByExtension;
use syncline_log::store::{LiveStore, Logs, MemoryStore};
use syncline_log::sync::v2::FinishHandle;
use syncline_log::{
    Body, Draft, EncodedOperation, Extension, Header, Ingest, LogSync, LogSyncV2, LogWriter, PruneFlag, StoredLogSync,
};
use syncline_net::memory::MemoryNetwork;
use syncline_net::{
    AcceptedSession, AppSink, DynProtocol, Node, NodeBuilder, NodeLimits, PeerAddr, Schedule, SessionHandler,
    SyncFailure, TokioTimer,
};
use tokio::sync::watch;

use crate::support::{FOREVER, id, key};

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Notes;
impl TopicQuery for Notes {}

/// One log each of three authors.
#[derive(Debug)]
struct Everybody;

#[async_trait]
impl TopicMap<Notes, Logs<u64>> for Everybody {
    async fn get(&self, _: &Notes) -> Option<Logs<u64>> {
        Some((1..=3).map(|seed| (id(seed), vec![0])).collect())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct InLog(u64);

impl Extension<u64> for InLog {
    fn extract(header: &Header<Self>) -> Option<u64> {
        header.extensions.as_ref().map(|extensions| extensions.0)
    }
}

impl Extension<PruneFlag> for InLog {
    fn extract(_: &Header<Self>) -> Option<PruneFlag> {
        None
    }
}

type Store = LiveStore<u64, MemoryStore<u64>>;
type V2 = LogSyncV2<Notes, u64, MemoryStore<u64>>;
type V1 = StoredLogSync<Notes, u64, MemoryStore<u64>>;

/// An application: the texts that came, with their authors.
#[derive(Clone, Debug)]
struct App {
    texts: watch::Sender<Vec<(u8, String)>>,
    ended: watch::Sender<Vec<Result<SessionReport, String>>>,
}

impl App {
    fn new() -> Self {
        Self { texts: watch::Sender::default(), ended: watch::Sender::default() }
    }

    fn sink(&self) -> AppSink<Notes> {
        let texts = self.texts.clone();
        Box::new(Box::pin(futures::sink::unfold((), move |(), item| {
            if let FromSync::Data { header, payload } = item {
                let operation = EncodedOperation::decode(header.into(), payload.clone().map(Into::into)).unwrap();
                let author = (1..=3).find(|seed| id(*seed) == operation.public_key()).unwrap();
                texts.send_modify(|texts| texts.push((author, String::from_utf8(payload.unwrap()).unwrap())));
            }
            std::future::ready(Ok::<_, SyncError>(()))
        })))
    }

    /// Waits until there are so many, and gives them in order.
    async fn texts(&self, count: usize) -> Vec<(u8, String)> {
        let mut texts = self.texts.subscribe();
        let wait = texts.wait_for(|texts| texts.len() >= count);
        let mut texts = tokio::time::timeout(FOREVER, wait).await.expect("they never came").unwrap().clone();
        texts.sort();
        texts
    }

    /// Waits until so many accepted sessions have ended.
    async fn ended(&self, count: usize) -> Vec<Result<SessionReport, String>> {
        let mut ended = self.ended.subscribe();
        let wait = ended.wait_for(|ended| ended.len() >= count);
        tokio::time::timeout(FOREVER, wait).await.expect("they never ended").unwrap().clone()
    }
}

impl SessionHandler<Notes> for App {
    fn start(&self, _: &AcceptedSession) -> AppSink<Notes> {
        self.sink()
    }

    fn ended(&self, _: &AcceptedSession, outcome: &Result<SessionReport, SyncFailure>) {
        let outcome = match outcome {
            Ok(report) => Ok(report.clone()),
            Err(failure) => Err(format!("{failure:?}")),
        };
        self.ended.send_modify(|ended| ended.push(outcome));
    }
}

/// A store with its author, its application, and both protocols.
struct Peer {
    seed: u8,
    store: Store,
    writer: LogWriter<Store>,
    app: App,
    v2: V2,
    v1: V1,
    finish: FinishHandle,
}

impl Peer {
    fn new(seed: u8) -> Self {
        let store = LiveStore::new(MemoryStore::new());
        let writer = LogWriter::new(store.clone(), Arc::new(key(seed)));
        let classify = Arc::new(ByExtension::<InLog>::new());
        let v2 = LogSyncV2::new(Arc::new(Everybody), store.clone(), classify.clone(), [seed; 32]);
        let v2 = v2.with_timer(Arc::new(TokioTimer::new()));
        let v1 = StoredLogSync::new(Arc::new(Everybody), store.clone(), classify);
        let finish = v2.finish_handle();
        Self { seed, store, writer, app: App::new(), v2, v1, finish }
    }

    fn live(mut self) -> Self {
        self.v2 = self.v2.with_live(true);
        self.finish = self.v2.finish_handle();
        self
    }

    /// Writes notes, and gives them as others will see them.
    async fn write(&self, texts: &[&str]) -> Vec<(u8, String)> {
        let drafts = texts.iter().map(|text| Draft::new(Some(Body::new(text.as_bytes().to_vec())), Some(InLog(0))));
        self.writer.publish(0, drafts).await.unwrap();
        texts.iter().map(|text| (self.seed, (*text).to_owned())).collect()
    }

    fn protocols(&self, versions: &[u8]) -> Vec<Arc<DynProtocol<Notes>>> {
        let of = |version: &u8| match version {
            2 => Arc::new(self.v2.clone()) as Arc<DynProtocol<Notes>>,
            _ => Arc::new(self.v1.clone()) as Arc<DynProtocol<Notes>>,
        };
        versions.iter().map(of).collect()
    }

    /// Offers these versions, and ends live sessions in order at a shutdown.
    fn offer(&self, mut builder: NodeBuilder, versions: &[u8]) -> NodeBuilder {
        for version in versions {
            builder = match version {
                2 => builder.register(Arc::new(self.v2.clone()), self.app.clone()),
                _ => builder.register(Arc::new(self.v1.clone()), self.app.clone()),
            };
        }
        let finish = self.finish.clone();
        builder.on_shutdown(move || finish.finish())
    }
}

/// Who runs the sessions of two peers, and how the first reaches the second.
struct Nodes {
    a: Node,
    b: Node,
    to_b: PeerAddr,
}

fn in_memory(network: &MemoryNetwork, (a, b): (&Peer, &Peer), versions: &[u8], limits: &NodeLimits) -> Nodes {
    let (end_a, end_b) = (network.endpoint(id(a.seed)).unwrap(), network.endpoint(id(b.seed)).unwrap());
    let to_b = end_b.addr().clone();
    let build = |peer: &Peer, end, versions: &[u8]| {
        peer.offer(Node::builder().endpoint(end).limits(limits.clone()), versions).build().unwrap()
    };
    Nodes { a: build(a, end_a, &[]), b: build(b, end_b, versions), to_b }
}

#[cfg(feature = "quic")]
fn over_quic((a, b): (&Peer, &Peer), versions: &[u8], limits: &NodeLimits) -> Nodes {
    use syncline_net::quic::{QuicConfig, QuicEndpoint};
    let bind = |peer: &Peer| {
        QuicEndpoint::bind(&key(peer.seed), "127.0.0.1:0".parse().unwrap(), QuicConfig::default()).unwrap()
    };
    let (end_a, end_b) = (bind(a), bind(b));
    let to_b = end_b.peer_addr().unwrap();
    let build = |peer: &Peer, end, versions: &[u8]| {
        peer.offer(Node::builder().endpoint(end).limits(limits.clone()), versions).build().unwrap()
    };
    Nodes { a: build(a, end_a, &[]), b: build(b, end_b, versions), to_b }
}

/// What the two sides have, in the initiator's order, and which name then runs.
const CASES: [(&[u8], &[u8], Option<&str>); 8] = [
    (&[2, 1], &[2, 1], Some(V2::NAME)),
    (&[2, 1], &[2], Some(V2::NAME)),
    (&[2, 1], &[1], Some(V1::NAME)),
    (&[2, 1], &[], None),
    (&[1], &[2, 1], Some(V1::NAME)),
    (&[2], &[2, 1], Some(V2::NAME)),
    (&[1], &[2], None),
    (&[2], &[1], None),
];

async fn assert_case(nodes: &Nodes, (a, b): (&Peer, &Peer), ours: &[u8], expected: Option<&str>) {
    let mine = a.write(&["a1", "a2", "a3"]).await;
    let theirs = b.write(&["b1", "b2"]).await;
    let handle = nodes.a.sync_any(&nodes.to_b, a.protocols(ours), Notes, a.app.sink());
    let outcome = tokio::time::timeout(FOREVER, handle.outcome()).await.unwrap();
    assert_eq!(outcome.protocol, expected);
    let Some(_) = expected else {
        outcome.result.unwrap_err();
        assert!(a.app.texts(0).await.is_empty() && b.app.texts(0).await.is_empty());
        return;
    };
    outcome.result.unwrap();
    b.app.ended(1).await[0].as_ref().unwrap();
    assert_eq!((a.app.texts(2).await, b.app.texts(3).await), (theirs.clone(), mine.clone()));

    // Again: nothing is new, and then one more is.
    let more = b.write(&["b3"]).await;
    let handle = nodes.a.sync_any(&nodes.to_b, a.protocols(ours), Notes, a.app.sink());
    let outcome = tokio::time::timeout(FOREVER, handle.outcome()).await.unwrap();
    assert_eq!((outcome.protocol, outcome.result.unwrap().items_received()), (expected, 1));
    b.app.ended(2).await[1].as_ref().unwrap();
    assert_eq!((a.app.texts(3).await, b.app.texts(3).await), ([theirs, more].concat(), mine));
}

#[tokio::test]
async fn whichever_version_runs_the_applications_get_the_same_in_memory() {
    for (ours, theirs, expected) in CASES {
        let (a, b) = (Peer::new(1), Peer::new(2));
        let nodes = in_memory(&MemoryNetwork::default(), (&a, &b), theirs, &NodeLimits::default());
        assert_case(&nodes, (&a, &b), ours, expected).await;
    }
}

#[cfg(feature = "quic")]
#[tokio::test]
async fn whichever_version_runs_the_applications_get_the_same_over_quic() {
    for (ours, theirs, expected) in CASES {
        let (a, b) = (Peer::new(1), Peer::new(2));
        let nodes = over_quic((&a, &b), theirs, &NodeLimits::default());
        assert_case(&nodes, (&a, &b), ours, expected).await;
        nodes.a.shutdown().await;
        nodes.b.shutdown().await;
    }
}

/// The first protocol as applications used it before, with an ingest of their own.
#[tokio::test]
async fn an_old_peer_with_an_ingest_of_its_own_is_served_in_both_roles() {
    for old_initiates in [false, true] {
        let (new, old) = (Peer::new(1), Peer::new(2));
        let (mine, theirs) = (new.write(&["n1", "n2"]).await, old.write(&["o1"]).await);
        let plain = Arc::new(LogSync::new(Arc::new(Everybody), old.store.clone()));
        let store = old.store.clone();
        let ingest = move || -> AppSink<Notes> {
            Box::new(Ingest::new(Arc::new(Everybody), store.clone(), Arc::new(ByExtension::<InLog>::new())))
        };
        let network = MemoryNetwork::default();
        let ends = [1, 2].map(|seed| network.endpoint(id(seed)).unwrap());
        let to = [0, 1].map(|at: usize| ends[at].addr().clone());
        let [new_end, old_end] = ends;
        let new_node = new.offer(Node::builder().endpoint(new_end), &[2, 1]).build().unwrap();
        let own = ingest.clone();
        let handler = move |_: &AcceptedSession| own();
        let old_node = Node::builder().endpoint(old_end).register(Arc::clone(&plain), handler).build().unwrap();
        if old_initiates {
            old_node.sync(&to[0], plain, Notes, ingest()).finished().await.unwrap();
            new.app.ended(1).await[0].as_ref().unwrap();
        } else {
            let handle = new_node.sync_any(&to[1], new.protocols(&[2, 1]), Notes, new.app.sink());
            let outcome = handle.outcome().await;
            assert_eq!(outcome.protocol, Some(V1::NAME));
            outcome.result.unwrap();
        }
        assert_eq!(new.app.texts(1).await, theirs);
        old_node.shutdown().await;
        // What the old peer stored, a third one gets from it.
        let third = Peer::new(3);
        let nodes = in_memory(&MemoryNetwork::default(), (&third, &old), &[2], &NodeLimits::default());
        let handle = nodes.a.sync_any(&nodes.to_b, third.protocols(&[2]), Notes, third.app.sink());
        handle.finished().await.unwrap();
        assert_eq!(third.app.texts(3).await, [mine, theirs].concat());
    }
}

fn live_limits() -> NodeLimits {
    NodeLimits::default().with_live_sessions()
}

/// Both write while a session is open, and then one side's node shuts down.
async fn assert_live(nodes: Nodes, (a, b): (&Peer, &Peer), acceptor_ends: bool) {
    a.write(&["before"]).await;
    let handle = nodes.a.sync_any(&nodes.to_b, a.protocols(&[2, 1]), Notes, a.app.sink());
    b.app.texts(1).await;
    for round in 0..5 {
        a.write(&["from a"]).await;
        b.write(&["from b"]).await;
        assert_eq!(a.app.texts(round + 1).await.len(), round + 1);
        assert_eq!(b.app.texts(round + 2).await.len(), round + 2);
    }
    let (first, second) = if acceptor_ends { (&nodes.b, &nodes.a) } else { (&nodes.a, &nodes.b) };
    assert_eq!(first.shutdown().await.sessions_cut_off(), 0);
    let report = tokio::time::timeout(FOREVER, handle.finished()).await.unwrap().unwrap();
    let live = report.live_phase().expect("it went live");
    assert_eq!((live.items_sent, live.items_received), (5, 5));
    b.app.ended(1).await[0].as_ref().unwrap();
    assert_eq!(second.shutdown().await.sessions_cut_off(), 0);
    assert_eq!((nodes.a.task_count(), nodes.b.task_count()), (0, 0));
}

#[cfg(feature = "quic")]
#[tokio::test]
async fn what_is_written_while_a_session_is_open_appears_over_quic_and_a_shutdown_ends_it_in_order() {
    for acceptor_ends in [false, true] {
        let (a, b) = (Peer::new(1).live(), Peer::new(2).live());
        let nodes = over_quic((&a, &b), &[2, 1], &live_limits());
        assert_live(nodes, (&a, &b), acceptor_ends).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_written_while_a_session_is_open_appears_in_memory_and_a_shutdown_ends_it_in_order() {
    for acceptor_ends in [false, true] {
        let (a, b) = (Peer::new(1).live(), Peer::new(2).live());
        let nodes = in_memory(&MemoryNetwork::default(), (&a, &b), &[2, 1], &live_limits());
        let start = tokio::time::Instant::now();
        assert_live(nodes, (&a, &b), acceptor_ends).await;
        assert!(start.elapsed() < Duration::from_secs(1), "nobody waited for a timeout");
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn a_quiet_session_stays_open_for_days_if_the_limits_let_it() {
    let (a, b) = (Peer::new(1).live(), Peer::new(2).live());
    let nodes = in_memory(&MemoryNetwork::default(), (&a, &b), &[2, 1], &live_limits());
    let handle = nodes.a.sync_any(&nodes.to_b, a.protocols(&[2, 1]), Notes, a.app.sink());
    for day in 1..=3 {
        tokio::time::sleep(24 * HOUR).await;
        b.write(&["another day"]).await;
        a.app.texts(day).await;
    }
    assert_eq!(b.app.ended.borrow().len(), 0);
    nodes.b.shutdown().await;
    handle.finished().await.unwrap();

    // Without them it is cut off after the total time.
    let (a, b) = (Peer::new(1).live(), Peer::new(2).live());
    let nodes = in_memory(&MemoryNetwork::default(), (&a, &b), &[2, 1], &NodeLimits::default());
    let start = tokio::time::Instant::now();
    nodes.a.sync_any(&nodes.to_b, a.protocols(&[2, 1]), Notes, a.app.sink()).finished().await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), HOUR.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_silence_ends_a_session_that_stays_open_also_without_a_total_deadline() {
    let (a, b) = (Peer::new(1).live(), Peer::new(2).live());
    // Keep-alives come every 20 s.
    let limits =
        |idle| NodeLimits::default().with_session(SessionLimits::default().with_idle(idle)).with_live_sessions();
    let nodes = in_memory(&MemoryNetwork::default(), (&a, &b), &[2], &limits(Duration::from_secs(19)));
    let failure = nodes.a.sync_any(&nodes.to_b, a.protocols(&[2]), Notes, a.app.sink()).finished().await;
    assert!(failure.unwrap_err().to_string().contains("session failed"));
    assert!(b.app.ended(1).await[0].is_err());
}

#[tokio::test(start_paused = true)]
async fn rounds_with_open_sessions_are_made_again_when_they_break() {
    let (a, b) = (Peer::new(1).live(), Peer::new(2).live());
    let network = MemoryNetwork::default();
    let nodes = in_memory(&network, (&a, &b), &[2, 1], &live_limits());
    let schedule = Schedule::new(HOUR, 1).with_retry(Duration::from_secs(4), Duration::from_secs(64));
    let sinks = Arc::new(Mutex::new(0));
    let (counted, app) = (Arc::clone(&sinks), a.app.clone());
    let mut rounds = nodes.a.keep_in_sync_any(&nodes.to_b, a.protocols(&[2, 1]), Notes, schedule, move || {
        *counted.lock().unwrap() += 1;
        app.sink()
    });
    for cut in 1..=4 {
        b.write(&["live"]).await;
        a.app.texts(2 * cut - 1).await;
        // Longer than the longest delay: each break is the first.
        tokio::time::sleep(2 * HOUR).await;
        assert_eq!(*sinks.lock().unwrap(), cut, "still the same round");
        network.cut_all();
        b.write(&["in between"]).await;
        let status = rounds.changed().await.unwrap();
        assert_eq!((status.failed, status.succeeded, status.protocol), (cut as u64, 0, Some(V2::NAME)));
        let start = tokio::time::Instant::now();
        a.app.texts(2 * cut).await;
        assert!(start.elapsed() <= Duration::from_secs(5), "{:?}", start.elapsed());
    }
    // One that ends in order is made again after the interval.
    b.finish.finish();
    assert_eq!(rounds.changed().await.unwrap().succeeded, 1);
    let texts = b.write(&["after the end"]).await;
    tokio::time::sleep(HOUR / 2).await;
    assert_eq!(a.app.texts.borrow().len(), 8);
    tokio::time::sleep(HOUR).await;
    assert_eq!(a.app.texts(9).await.len(), 8 + texts.len());
    rounds.stop();
    nodes.a.shutdown().await;
    nodes.b.shutdown().await;
}
