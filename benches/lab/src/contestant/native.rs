//! Protocols that implement `SyncProtocol`, over the store in memory.

use std::fmt;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use cpu_time::ProcessTime;
use futures::channel::oneshot;
use futures::{Sink, SinkExt};
use syncline_core::clock::{ManualClock, Timestamp};
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicMap, TopicQuery};
use syncline_crypto::{PublicKey, SignedMessage, verify_batch as verify};
use syncline_log::ingest::{ByExtension, Verification};
use syncline_log::sync::Encoding;
use syncline_log::sync::v2::Intake;
use syncline_log::{
    EncodedOperation, Extension, Header, Ingest, LiveStore, LogStore, LogSync, LogSyncV2, Logs, MemoryStore,
    NewOperation, PruneFlag, SeqRange,
};
use syncline_testkit::net::{Conditions, Link, Sim};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use super::{CHANNEL, Contestant, Failure, Node, Receive, Received, Role, Setup, Side, Stream, Tally};
use crate::dataset::{Dataset, Extensions, Holdings, Operation, Topic};

impl TopicQuery for Topic {}

impl Extension<u64> for Extensions {
    fn extract(header: &Header<Self>) -> Option<u64> {
        header.extensions.as_ref().map(|extensions| extensions.log)
    }
}

impl Extension<PruneFlag> for Extensions {
    fn extract(_: &Header<Self>) -> Option<PruneFlag> {
        None
    }
}

/// The logs of the topic: those of the dataset.
#[derive(Debug)]
pub struct TopicLogs(Logs<u64>);

impl TopicLogs {
    /// All logs of a dataset.
    pub(crate) fn of(dataset: &Dataset) -> Self {
        let mut logs = Logs::new();
        for (log, _) in Holdings::all(dataset).logs(dataset) {
            logs.entry(PublicKey::from_bytes(&log.author).expect("a key from the dataset")).or_default().push(log.id);
        }
        Self(logs)
    }
}

#[async_trait]
impl TopicMap<Topic, Logs<u64>> for TopicLogs {
    async fn get(&self, _: &Topic) -> Option<Logs<u64>> {
        Some(self.0.clone())
    }
}

/// What a node is made of. A protocol takes what it needs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Parts {
    /// The node's store, filled.
    pub store: Arc<MemoryStore<u64>>,
    /// Which logs belong to the topic.
    pub logs: Arc<TopicLogs>,
    /// The operations that the node holds, by log, oldest first: for protocols that want no store.
    pub operations: Vec<Operation>,
    /// Which side of its sessions the node is.
    pub role: Role,
    /// What is to be done with what comes: for protocols that [do it themselves](Native::storing).
    pub receive: Receive,
}

/// A protocol that implements [`SyncProtocol`] for [`Topic`], under a name.
///
/// What it hands over is taken by the lab: counted, or verified and stored by [`Ingest`].
pub struct Native<F> {
    name: String,
    protocol: F,
    stores: bool,
}

impl<F> fmt::Debug for Native<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<F, P> Native<F>
where
    F: Fn(Parts) -> P + Send + Sync,
    P: for<'a> SyncProtocol<'a, Topic> + 'static,
{
    /// `protocol` makes the protocol of one node.
    pub fn new(name: impl Into<String>, protocol: F) -> Self {
        Self { name: name.into(), protocol, stores: false }
    }

    /// The protocol itself verifies and stores what comes, or does not, as [`Parts::receive`] says.
    ///
    /// Each node syncs with itself before it is measured, so that what the protocol keeps with its store is there.
    #[must_use]
    pub fn storing(self) -> Self {
        Self { stores: true, ..self }
    }
}

impl Native<()> {
    /// `LogSync`, version 1.
    #[must_use]
    pub fn log_v1() -> impl Contestant {
        Native::new("log-v1", |parts| LogSync::new(parts.logs, parts.store))
    }

    /// The same in the original's encoding.
    #[must_use]
    pub fn log_v1_integers() -> impl Contestant {
        let protocol = |parts: Parts| LogSync::new(parts.logs, parts.store).with_encoding(Encoding::Integers);
        Native::new("log-v1-integers", protocol)
    }

    /// Version 2, which verifies and stores.
    #[must_use]
    pub fn log_v2() -> impl Contestant {
        Self::log_v2_with("log-v2", Verification::All)
    }

    /// The same, which checks the newest signature of each run only.
    #[must_use]
    pub fn log_v2_heads() -> impl Contestant {
        Self::log_v2_with("log-v2-heads", Verification::Heads)
    }

    fn log_v2_with(name: &str, verification: Verification) -> impl Contestant + use<> {
        let protocol = move |parts: Parts| {
            let intake = match parts.receive {
                Receive::Forward => Intake::Forward,
                Receive::Ingest => Intake::Store,
            };
            // The same on each run, so that each run sends the same bytes.
            let seed = [if parts.role == Role::Initiate { 1 } else { 2 }; 32];
            let classify = Arc::new(ByExtension::<Extensions>::new());
            LogSyncV2::new(parts.logs, LiveStore::new(parts.store), classify, seed)
                .with_intake(intake)
                .with_verification(verification)
        };
        Native::new(name, protocol).storing()
    }
}

impl<F, P> Contestant for Native<F>
where
    F: Fn(Parts) -> P + Send + Sync,
    P: for<'a> SyncProtocol<'a, Topic> + 'static,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn node(&self, setup: &Setup<'_>) -> Arc<dyn Node> {
        let mut logs = Logs::new();
        let store = Arc::new(MemoryStore::new());
        for (log, held) in setup.holds.logs(setup.dataset) {
            logs.entry(PublicKey::from_bytes(&log.author).expect("a key from the dataset")).or_default().push(log.id);
            // Small batches, so that no large buffer is freed whose memory a session could then use unnoticed.
            for operations in held.chunks(BATCH) {
                let batch = operations.iter().map(|operation| NewOperation::next(log.id, decode(operation))).collect();
                let appended = futures::executor::block_on(store.append(batch)).expect("memory does not fail");
                assert!(appended.iter().all(syncline_log::Appended::is_stored), "the dataset's logs are whole");
            }
        }
        let held = setup.holds.logs(setup.dataset).flat_map(|(_, held)| held);
        let logs = Arc::new(TopicLogs(logs));
        let protocol = Arc::new((self.protocol)(Parts {
            store: Arc::clone(&store),
            logs: Arc::clone(&logs),
            operations: held.cloned().collect(),
            role: setup.role,
            receive: setup.receive,
        }));
        if self.stores {
            rehearse(&protocol);
        }
        let ingests = setup.receive == Receive::Ingest && !self.stores;
        Arc::new(NativeNode { protocol, store, logs, role: setup.role, ingests })
    }
}

/// A session of a node with itself.
fn rehearse<P: for<'a> SyncProtocol<'a, Topic> + 'static>(protocol: &Arc<P>) {
    let clock = ManualClock::new(Timestamp::ZERO);
    let mut sim = Sim::new(&clock);
    let Link { a, b, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
    let sides = [(Role::Initiate, a), (Role::Accept, b)].map(|(role, end)| {
        let protocol = Arc::clone(protocol);
        sim.spawn(format!("{role:?}"), async move {
            let mut sink = futures::sink::drain().sink_map_err(|never| match never {});
            run(protocol, role, Stream::new(end.rx, end.tx), &mut sink).await
        })
    });
    sim.run().expect("the rehearsal ends");
    for side in sides {
        side.take().expect("the rehearsal ends").expect("a node can sync with itself");
    }
}

/// One side of a session.
async fn run<P: for<'a> SyncProtocol<'a, Topic> + 'static>(
    protocol: Arc<P>,
    role: Role,
    mut stream: Stream,
    sink: &mut (dyn Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin),
) -> Result<(), SyncError> {
    let (tx, rx) = (Box::new(&mut *stream.writer as _), Box::new(&mut *stream.reader as _));
    match role {
        Role::Initiate => protocol.initiate(Topic::ALL, tx, rx, Box::new(sink)).await,
        Role::Accept => protocol.accept(tx, rx, Box::new(sink)).await,
    }
}

struct NativeNode<P> {
    protocol: Arc<P>,
    store: Arc<MemoryStore<u64>>,
    logs: Arc<TopicLogs>,
    role: Role,
    /// Whether the lab verifies and stores what comes.
    ingests: bool,
}

impl<P: for<'a> SyncProtocol<'a, Topic> + 'static> NativeNode<P> {
    fn forward(self: Arc<Self>, stream: Stream, mut received: Received) -> Side {
        let (app_tx, mut app_rx) = mpsc::channel(CHANNEL);
        let session = async move {
            let mut sink = PollSender::new(app_tx).sink_map_err(|err| SyncError::Critical(err.to_string()));
            run(Arc::clone(&self.protocol), self.role, stream, &mut sink).await.map_err(Failure::from)
        };
        let application = async move {
            while let Some(event) = app_rx.recv().await {
                if let FromSync::Data { header, payload } = event {
                    received.take(&header, payload.as_deref());
                }
            }
            received
        };
        Side { session: Box::pin(session), application: Box::pin(application) }
    }

    fn ingest(self: Arc<Self>, stream: Stream, received: Received) -> Side {
        let (done, finished) = oneshot::channel();
        let session = async move {
            let classify = Arc::new(ByExtension::<Extensions>::new());
            let ingest = Ingest::new(self.logs.clone(), Arc::clone(&self.store), classify);
            let mut tee = Tee { received, sink: ingest };
            run(Arc::clone(&self.protocol), self.role, stream, &mut tee).await?;
            tee.close().await?;
            done.send(tee.received).map_err(|_| "the application is gone".into())
        };
        // A session that fails says so itself.
        let application = async move { finished.await.unwrap_or_default() };
        Side { session: Box::pin(session), application: Box::pin(application) }
    }
}

impl<P: for<'a> SyncProtocol<'a, Topic> + 'static> Node for NativeNode<P> {
    fn start(self: Arc<Self>, stream: Stream, received: Received) -> Side {
        if self.ingests { self.ingest(stream, received) } else { self.forward(stream, received) }
    }

    fn stored(&self) -> Tally {
        let mut tally = Tally::default();
        for (author, log) in self.logs.0.iter().flat_map(|(author, logs)| logs.iter().map(move |log| (*author, *log))) {
            let size = futures::executor::block_on(self.store.size(author, log, SeqRange::ALL));
            let size = size.expect("memory does not fail");
            tally.operations += size.operations;
            tally.bytes += size.bytes;
        }
        tally
    }
}

/// Takes note of what goes into a sink.
struct Tee<S> {
    received: Received,
    sink: S,
}

impl<S: Sink<FromSync<Topic>, Error = SyncError> + Unpin> Sink<FromSync<Topic>> for Tee<S> {
    type Error = SyncError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        self.sink.poll_ready_unpin(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, item: FromSync<Topic>) -> Result<(), SyncError> {
        if let FromSync::Data { header, payload } = &item {
            self.received.take(header, payload.as_deref());
        }
        self.sink.start_send_unpin(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        self.sink.poll_flush_unpin(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        self.sink.poll_close_unpin(cx)
    }
}

/// Operations that [`Ingest`] verifies and stores together.
const BATCH: usize = 512;

fn decode(operation: &Operation) -> EncodedOperation {
    let (header, body) = (Bytes::copy_from_slice(&operation.header), Bytes::copy_from_slice(&operation.body));
    EncodedOperation::decode(header, Some(body)).expect("a header from the dataset")
}

/// CPU seconds to check the signatures of all operations in batches as `Ingest` makes them, and nothing else.
pub(crate) fn verify_batch(dataset: &Dataset) -> f64 {
    let operations: Vec<EncodedOperation> = dataset.operations().map(decode).collect();
    let parts: Vec<_> = operations
        .iter()
        .map(|operation| (operation.public_key(), operation.signed_bytes(), operation.signature()))
        .collect();
    let signed: Vec<SignedMessage<'_>> =
        parts.iter().map(|(key, message, signature)| SignedMessage::new(key, message, signature)).collect();
    let before = ProcessTime::now();
    for batch in signed.chunks(BATCH) {
        assert!(black_box(verify(black_box(batch))).is_all_valid(), "the dataset's signatures are valid");
    }
    before.elapsed().as_secs_f64()
}
