//! Ours: `LogSync` over each kind of store, with `Ingest` for what is received.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Sink, SinkExt};
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicMap, TopicQuery};
use syncline_crypto::PublicKey;
use syncline_log::ingest::{ByExtension, IngestEvent, Outcome as Verdict};
use syncline_log::store::Link;
use syncline_log::sync::Encoding as Wire;
use syncline_log::{
    AnyLogStore, DatabaseStore, EncodedOperation, Extension, Header, Ingest, LogStore, LogSync, Logs, MemoryStore,
    NewOperation, PruneFlag, SeqRange,
};
use syncline_storage::MemoryDb;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use crate::author::Extensions;
use crate::image::{Image, LogKey, LogName, Scope, Stored, Topic};
use crate::io::Stream;
use crate::peer::{Contestant, Encoding, Event, Failure, Given, Outcome, Peer, Receive, Role};

/// `LogSync` over the store in memory.
pub(crate) struct Ours;

impl Contestant for Ours {
    const NAME: &'static str = "ours";

    type Peer<L: LogName> = OurPeer<L, false>;
}

/// `LogSync` over the store on a database.
pub(crate) struct OursOnDatabase;

impl Contestant for OursOnDatabase {
    const NAME: &'static str = "ours on a database";

    type Peer<L: LogName> = OurPeer<L, true>;
}

#[derive(Debug)]
struct Map<L>(Topic, Logs<L>);

#[async_trait]
impl<L: LogName> TopicMap<Topic, Logs<L>> for Map<L> {
    async fn get(&self, topic: &Topic) -> Option<Logs<L>> {
        (*topic == self.0).then(|| self.1.clone())
    }
}

impl TopicQuery for Topic {}

impl<L: LogName> Extension<L> for Extensions<L> {
    fn extract(header: &Header<Self>) -> Option<L> {
        header.extensions.as_ref().map(|extensions| extensions.log.clone())
    }
}

impl<L: LogName> Extension<PruneFlag> for Extensions<L> {
    fn extract(header: &Header<Self>) -> Option<PruneFlag> {
        header.extensions.as_ref().map(|extensions| PruneFlag::new(extensions.prune))
    }
}

/// A peer of ours.
pub(crate) struct OurPeer<L, const DATABASE: bool> {
    store: AnyLogStore<L>,
    map: Arc<Map<L>>,
    encoding: Wire,
    receive: Receive,
}

impl<L: LogName, const DATABASE: bool> OurPeer<L, DATABASE> {
    pub(crate) fn protocol(&self) -> LogSync<Topic, L, AnyLogStore<L>> {
        LogSync::new(self.map.clone(), self.store.clone()).with_encoding(self.encoding)
    }
}

impl<L: LogName, const DATABASE: bool> Peer<L> for OurPeer<L, DATABASE> {
    async fn new(given: Given<'_, L>) -> Self {
        let store = if DATABASE {
            AnyLogStore::new(DatabaseStore::new(Arc::new(MemoryDb::new())))
        } else {
            AnyLogStore::new(MemoryStore::new())
        };
        for (key, log) in &given.image.logs {
            let batch: Vec<_> = log.values().map(|stored| new_operation(&key.1, stored)).collect();
            let appended = store.append(batch).await.expect("the store works");
            assert!(appended.iter().all(syncline_log::Appended::is_stored), "{key:?}: {appended:?}");
        }
        let encoding = match given.encoding {
            Encoding::Bytes => Wire::Bytes,
            Encoding::Integers => Wire::Integers,
        };
        let map = Arc::new(Map(given.topic.clone(), scope(given.scope)));
        Self { store, map, encoding, receive: given.receive }
    }

    async fn session(&mut self, role: Role<'_>, stream: &mut Stream) -> Outcome {
        let protocol = self.protocol();
        match self.receive {
            Receive::Forward => {
                let (app_tx, mut app_rx) = mpsc::channel(128);
                let mut sink = PollSender::new(app_tx).sink_map_err(|err| SyncError::Critical(err.to_string()));
                let session = async move { run(protocol, role, stream, &mut sink).await };
                let application = async {
                    let mut events = Vec::new();
                    while let Some(event) = app_rx.recv().await {
                        events.push(to_event(event));
                    }
                    events
                };
                let (result, events) = tokio::join!(session, application);
                Outcome { result, events, refused: Vec::new() }
            }
            Receive::Store => {
                let refused = Arc::new(Mutex::new(Vec::new()));
                let observer = Arc::clone(&refused);
                let classify = ByExtension::<Extensions<L>>::starting_anywhere();
                let ingest = Ingest::new(self.map.clone(), self.store.clone(), Arc::new(classify));
                let ingest = ingest.with_observer(move |event| {
                    if let IngestEvent::Verdict(verdict) = event
                        && !matches!(verdict.outcome, Verdict::Stored)
                    {
                        observer.lock().expect("no observer panicked").push(format!("{:?}", verdict.outcome));
                    }
                });
                let mut sink = Recording { ingest, events: Vec::new() };
                let result = run(protocol, role, stream, &mut sink).await;
                let Recording { ingest, events } = sink;
                drop(ingest);
                let refused = std::mem::take(&mut *refused.lock().expect("no observer panicked"));
                Outcome { result, events, refused }
            }
        }
    }

    async fn dump(&self, keys: &BTreeSet<LogKey<L>>) -> Image<L> {
        let mut image = Image::new();
        for key in keys {
            let page = self.store.read(author(&key.0), key.1.clone(), SeqRange::ALL, usize::MAX).await;
            let page = page.expect("the store works");
            assert_eq!(page.next, None, "all of a log was asked for");
            for operation in page.operations {
                let stored = Stored { header: operation.header.into(), body: operation.body.map(Into::into) };
                image.insert(key, operation.seq_num.get(), stored);
            }
        }
        image
    }
}

/// Runs one side of a session.
pub(crate) async fn run<'a, L: LogName>(
    protocol: LogSync<Topic, L, AnyLogStore<L>>,
    role: Role<'_>,
    stream: &'a mut Stream,
    sink: &'a mut (dyn Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin),
) -> Result<(), Failure> {
    let protocol = Arc::new(protocol);
    let (tx, rx, app) = (Box::new(&mut stream.writer as _), Box::new(&mut stream.reader as _), Box::new(sink));
    let result = match role {
        Role::Initiate(topic) => protocol.initiate(topic.clone(), tx, rx, app).await,
        Role::Accept => protocol.accept(tx, rx, app).await,
    };
    result.map_err(|err| match err {
        SyncError::UnexpectedBehaviour(text) => Failure::Unexpected(text),
        SyncError::InvalidEncoding(text) => Failure::Invalid(text),
        SyncError::Critical(text) => Failure::Critical(text),
    })
}

fn new_operation<L: LogName>(log: &L, stored: &Stored) -> NewOperation<L> {
    let body = stored.body.clone().map(Bytes::from);
    let operation = EncodedOperation::decode(stored.header.clone().into(), body).expect("a header of a scenario");
    let prunes = operation.header::<Extensions<L>>().is_ok_and(|header| header.extensions.is_some_and(|ext| ext.prune));
    let link = if prunes { Link::Prunes } else { Link::MayStart };
    NewOperation { log_id: log.clone(), operation, link }
}

fn author(key: &[u8; 32]) -> PublicKey {
    PublicKey::from_bytes(key).expect("a key from the scenario")
}

fn scope<L: LogName>(scope: &Scope<L>) -> Logs<L> {
    scope.iter().map(|(key, logs)| (author(key), logs.clone())).collect()
}

fn to_event(event: FromSync<Topic>) -> Event {
    match event {
        FromSync::HandshakeSuccess(topic) => Event::Handshake(topic.0),
        FromSync::Data { header, payload } => Event::Data(header, payload),
    }
}

/// An [`Ingest`] that remembers what it was given.
struct Recording<L: LogName> {
    ingest: Ingest<Topic, L, AnyLogStore<L>>,
    events: Vec<Event>,
}

impl<L: LogName> Sink<FromSync<Topic>> for Recording<L> {
    type Error = SyncError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        self.ingest.poll_ready_unpin(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, item: FromSync<Topic>) -> Result<(), SyncError> {
        self.events.push(to_event(item.clone()));
        self.ingest.start_send_unpin(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        self.ingest.poll_flush_unpin(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        self.ingest.poll_close_unpin(cx)
    }
}
