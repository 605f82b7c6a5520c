//! Ours: `LogSync` over the store in memory.

use std::hint::black_box;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cpu_time::ProcessTime;
use futures::SinkExt;
use futures::future::BoxFuture;
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicMap, TopicQuery};
use syncline_crypto::{PublicKey, SignedMessage, verify_batch as verify};
use syncline_log::ingest::ByExtension;
use syncline_log::sync::Encoding;
use syncline_log::{
    EncodedOperation, Extension, Header, Ingest, LogStore, LogSync, Logs, MemoryStore, NewOperation, PruneFlag,
    SeqRange,
};
use tokio::sync::mpsc;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};
use tokio_util::sync::PollSender;

use crate::dataset::{Dataset, Extensions, Operation, Topic};
use crate::session::{CHANNEL, Contestant, Node, Receive, Role, Stream, Tally};

type Store = Arc<MemoryStore<u64>>;

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

#[derive(Debug)]
struct Map(Logs<u64>);

#[async_trait]
impl TopicMap<Topic, Logs<u64>> for Map {
    async fn get(&self, _: &Topic) -> Option<Logs<u64>> {
        Some(self.0.clone())
    }
}

/// Operations that [`Ingest`] verifies and stores together.
const BATCH: usize = 512;

fn decode(operation: &Operation) -> EncodedOperation {
    let (header, body) = (Bytes::copy_from_slice(&operation.header), Bytes::copy_from_slice(&operation.body));
    EncodedOperation::decode(header, Some(body)).expect("a header from the dataset")
}

/// Ours, with the encoding that it sends.
pub(crate) struct Ours(Encoding);

impl Ours {
    pub(crate) const DEFAULT: Self = Self(Encoding::Bytes);
    pub(crate) const INTEGERS: Self = Self(Encoding::Integers);
}

impl Contestant for Ours {
    fn node(&self, dataset: &Dataset, full: bool) -> Arc<dyn Node> {
        let mut logs = Logs::new();
        let store = Store::new(MemoryStore::new());
        for log in &dataset.logs {
            logs.entry(PublicKey::from_bytes(&log.author).expect("a key from the dataset")).or_default().push(log.id);
            // Small batches, so that no large buffer is freed whose memory a session could then use unnoticed.
            for operations in log.operations.chunks(BATCH).filter(|_| full) {
                let batch = operations.iter().map(|operation| NewOperation::next(log.id, decode(operation))).collect();
                let appended = futures::executor::block_on(store.append(batch)).expect("memory does not fail");
                assert!(appended.iter().all(syncline_log::Appended::is_stored), "the dataset's logs are whole");
            }
        }
        Arc::new(OurNode { store, map: Arc::new(Map(logs)), encoding: self.0 })
    }
}

struct OurNode {
    store: Store,
    map: Arc<Map>,
    encoding: Encoding,
}

impl OurNode {
    async fn session(
        &self,
        role: Role,
        stream: Stream,
        sink: &mut (dyn futures::Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin),
    ) {
        let protocol = LogSync::new(self.map.clone(), Arc::clone(&self.store)).with_encoding(self.encoding);
        let protocol = Arc::new(protocol);
        let (reader, writer) = tokio::io::split(stream);
        let (mut reader, mut writer) = (reader.compat(), writer.compat_write());
        let (tx, rx) = (Box::new(&mut writer as _), Box::new(&mut reader as _));
        match role {
            Role::Initiate => protocol.initiate(Topic(1), tx, rx, Box::new(sink)).await,
            Role::Accept => protocol.accept(tx, rx, Box::new(sink)).await,
        }
        .expect("the session succeeds");
    }
}

impl Node for OurNode {
    fn run(self: Arc<Self>, role: Role, stream: Stream, receive: Receive) -> BoxFuture<'static, Tally> {
        Box::pin(async move {
            if receive == Receive::Ingest {
                let classify = Arc::new(ByExtension::<Extensions>::new());
                let mut ingest = Ingest::new(self.map.clone(), Arc::clone(&self.store), classify);
                self.session(role, stream, &mut ingest).await;
                return Tally::default();
            }
            let (app_tx, mut app_rx) = mpsc::channel(CHANNEL);
            let application = tokio::spawn(async move {
                let mut tally = Tally::default();
                while let Some(event) = app_rx.recv().await {
                    if let FromSync::Data { header, payload } = event {
                        tally.add(&header, payload.as_deref());
                    }
                }
                tally
            });
            let mut sink = PollSender::new(app_tx).sink_map_err(|err| SyncError::Critical(err.to_string()));
            self.session(role, stream, &mut sink).await;
            drop(sink);
            application.await.expect("the application does not panic")
        })
    }

    fn stored(&self) -> Tally {
        let mut tally = Tally::default();
        for (author, log) in self.map.0.iter().flat_map(|(author, logs)| logs.iter().map(move |log| (*author, *log))) {
            let size = futures::executor::block_on(self.store.size(author, log, SeqRange::ALL));
            let size = size.expect("memory does not fail");
            tally.operations += size.operations;
            tally.bytes += size.bytes;
        }
        tally
    }
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
