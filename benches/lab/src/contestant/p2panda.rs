//! p2panda-sync 0.3.1 over its own memory store.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::SinkExt;
use p2panda_core::cbor::decode_cbor;
use p2panda_core::prune::validate_prunable_backlink;
use p2panda_core::{Body, Hash, Header, Operation, PublicKey, validate_operation};
use p2panda_store::{LogStore, MemoryStore, OperationStore};
use p2panda_sync::log_sync::{LogSyncProtocol, TopicLogMap};
use p2panda_sync::{FromSync, SyncError, SyncProtocol, TopicQuery};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use super::{CHANNEL, Contestant, Failure, Node, Receive, Received, Role, Setup, Side, Stream, Tally};
use crate::dataset::{Extensions, Topic};

type Store = MemoryStore<u64, Extensions>;

impl TopicQuery for Topic {}

#[derive(Clone, Debug)]
struct Map(Arc<HashMap<PublicKey, Vec<u64>>>);

#[async_trait]
impl TopicLogMap<Topic, u64> for Map {
    async fn get(&self, _: &Topic) -> Option<HashMap<PublicKey, Vec<u64>>> {
        Some((*self.0).clone())
    }
}

/// p2panda-sync 0.3.1: `p2panda-0.3`.
#[derive(Clone, Copy, Debug)]
pub struct Original;

impl Contestant for Original {
    fn name(&self) -> &str {
        "p2panda-0.3"
    }

    fn node(&self, setup: &Setup<'_>) -> Arc<dyn Node> {
        let mut map: HashMap<PublicKey, Vec<u64>> = HashMap::new();
        let mut store = Store::new();
        for (log, held) in setup.holds.logs(setup.dataset) {
            map.entry(PublicKey::from_bytes(&log.author).expect("a key from the dataset")).or_default().push(log.id);
            for operation in held {
                let header: Header<Extensions> = decode_cbor(&operation.header[..]).expect("a header from the dataset");
                let body = Body::from(&operation.body[..]);
                let hash = Hash::new(&operation.header);
                let insert = store.insert_operation(hash, &header, Some(&body), &operation.header, &log.id);
                let Ok(inserted) = futures::executor::block_on(insert);
                assert!(inserted, "each operation of the dataset is there once");
            }
        }
        Arc::new(OriginalNode { store, map: Map(Arc::new(map)), role: setup.role, receive: setup.receive })
    }
}

struct OriginalNode {
    store: Store,
    map: Map,
    role: Role,
    receive: Receive,
}

impl Node for OriginalNode {
    fn start(self: Arc<Self>, mut stream: Stream, received: Received) -> Side {
        let (app_tx, app_rx) = mpsc::channel(CHANNEL);
        let store = (self.receive == Receive::Ingest).then(|| self.store.clone());
        let session = async move {
            let protocol = LogSyncProtocol::<_, u64, Extensions, _>::new(self.map.clone(), self.store.clone());
            let protocol = Arc::new(protocol);
            let mut sink = PollSender::new(app_tx).sink_map_err(|err| SyncError::Critical(err.to_string()));
            let (tx, rx) = (Box::new(&mut *stream.writer as _), Box::new(&mut *stream.reader as _));
            match self.role {
                Role::Initiate => protocol.initiate(Topic::ALL, tx, rx, Box::new(&mut sink as _)).await,
                Role::Accept => protocol.accept(tx, rx, Box::new(&mut sink as _)).await,
            }
            .map_err(Failure::from)
        };
        Side { session: Box::pin(session), application: Box::pin(application(app_rx, store, received)) }
    }

    fn stored(&self) -> Tally {
        let mut tally = Tally::default();
        for (author, log) in self.map.0.iter().flat_map(|(author, logs)| logs.iter().map(move |log| (author, log))) {
            let Ok(operations) = futures::executor::block_on(self.store.get_raw_log(author, log, None));
            for (header, body) in operations.unwrap_or_default() {
                tally.add(&header, body.as_deref());
            }
        }
        tally
    }
}

/// Takes what the session hands over; with a store, as p2panda-stream does it.
async fn application(
    mut app_rx: mpsc::Receiver<FromSync<Topic>>,
    mut store: Option<Store>,
    mut received: Received,
) -> Received {
    while let Some(event) = app_rx.recv().await {
        if let FromSync::Data { header, payload } = event {
            received.take(&header, payload.as_deref());
            if let Some(store) = &mut store {
                ingest(store, header, payload).await;
            }
        }
    }
    received
}

/// Decodes, validates header, signature and body, checks the backlink against the newest operation of the log, and
/// inserts.
async fn ingest(store: &mut Store, header_bytes: Vec<u8>, payload: Option<Vec<u8>>) {
    let header: Header<Extensions> = decode_cbor(&header_bytes[..]).expect("a valid header");
    let log = header.extensions.as_ref().expect("extensions").log;
    let operation = Operation { hash: header.hash(), header, body: payload.map(Body::from) };
    validate_operation(&operation).expect("a valid operation");
    let Operation { hash, header, body } = operation;
    let Ok(known) = store.has_operation(hash).await;
    assert!(!known, "nothing is sent twice");
    if header.seq_num > 0 {
        let Ok(latest) = store.latest_operation(&header.public_key, &log).await;
        validate_prunable_backlink(latest.map(|(latest, _)| latest).as_ref(), &header, false)
            .expect("a valid backlink");
    }
    let Ok(inserted) = store.insert_operation(hash, &header, body.as_ref(), &header_bytes, &log).await;
    assert!(inserted, "nothing is sent twice");
}
