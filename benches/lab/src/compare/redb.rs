//! Version 2 of log sync into a redb file.

use std::sync::{Arc, Mutex};

use futures::SinkExt as _;
use syncline_core::{FromSync, SyncError, SyncProtocol as _};
use syncline_log::ingest::ByExtension;
use syncline_log::{DatabaseStore, LiveStore, LogSyncV2};
use syncline_storage::RedbDb;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use crate::contestant::{CHANNEL, Contestant, Failure, Node, Received, Setup, Side, Stream, Tally, TopicLogs};
use crate::dataset::{Extensions, Topic};

/// A node that begins with nothing and initiates.
pub(super) struct Redb;

type Protocol = LogSyncV2<Topic, u64, DatabaseStore<u64>>;

struct RedbNode {
    protocol: Arc<Protocol>,
    stored: Arc<Mutex<Tally>>,
    /// The file is there as long as the node is.
    _folder: TempDir,
}

impl Contestant for Redb {
    fn name(&self) -> &'static str {
        "log-v2-redb"
    }

    fn node(&self, setup: &Setup<'_>) -> Arc<dyn Node> {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let db = RedbDb::create(folder.path().join("log.redb")).expect("a file can be made");
        let store = LiveStore::new(DatabaseStore::new(Arc::new(db)));
        let logs = Arc::new(TopicLogs::of(setup.dataset));
        let protocol = LogSyncV2::new(logs, store, Arc::new(ByExtension::<Extensions>::new()), [3; 32]);
        Arc::new(RedbNode { protocol: Arc::new(protocol), stored: Arc::default(), _folder: folder })
    }
}

impl Node for RedbNode {
    fn start(self: Arc<Self>, mut stream: Stream, mut received: Received) -> Side {
        let (app_tx, mut app_rx) = mpsc::channel(CHANNEL);
        let (protocol, stored) = (Arc::clone(&self.protocol), Arc::clone(&self.stored));
        let session = async move {
            let mut sink = PollSender::new(app_tx).sink_map_err(|err| SyncError::Critical(err.to_string()));
            let (tx, rx) = (Box::new(&mut *stream.writer as _), Box::new(&mut *stream.reader as _));
            protocol.initiate(Topic::ALL, tx, rx, Box::new(&mut sink)).await.map_err(Failure::from)
        };
        let application = async move {
            while let Some(event) = app_rx.recv().await {
                // What the protocol hands over is stored.
                if let FromSync::Data { header, payload } = event {
                    received.take(&header, payload.as_deref());
                }
            }
            *stored.lock().expect("nobody panics with it") = received.tally();
            received
        };
        Side { session: Box::pin(session), application: Box::pin(application) }
    }

    fn stored(&self) -> Tally {
        *self.stored.lock().expect("nobody panics with it")
    }
}
