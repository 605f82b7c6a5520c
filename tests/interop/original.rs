//! The original: p2panda-sync's own protocol over p2panda-store's own memory store, verified as p2panda-stream does it.

macro_rules! original {
    ($version:ident, $contestant:ident, $name:literal, $core:ident, $store:ident, $sync:ident) => {
        /// One version of the original.
        pub(crate) struct $contestant;

        mod $version {
            use std::collections::{BTreeSet, HashMap};
            use std::sync::Arc;

            use async_trait::async_trait;
            use futures::SinkExt;
            use tokio::sync::mpsc;
            use tokio_util::sync::PollSender;
            use $core::cbor::decode_cbor;
            use $core::{Body, Hash, Header, Operation, PublicKey, validate_backlink, validate_operation};
            use $store::{LogStore, MemoryStore, OperationStore};
            use $sync::log_sync::{LogSyncProtocol, TopicLogMap};
            use $sync::{FromSync, SyncError, SyncProtocol, TopicQuery};

            use crate::author::Extensions;
            use crate::image::{Image, LogKey, LogName, Scope, Stored, Topic};
            use crate::io::Stream;
            use crate::peer::{Contestant, Event, Failure, Given, Outcome, Peer, Receive, Role};

            impl Contestant for super::$contestant {
                const NAME: &'static str = $name;

                type Peer<L: LogName> = Original<L>;
            }

            #[derive(Clone, Debug)]
            struct Map<L>(Topic, HashMap<PublicKey, Vec<L>>);

            #[async_trait]
            impl<L: LogName> TopicLogMap<Topic, L> for Map<L> {
                async fn get(&self, topic: &Topic) -> Option<HashMap<PublicKey, Vec<L>>> {
                    (*topic == self.0).then(|| self.1.clone())
                }
            }

            impl TopicQuery for Topic {}

            /// A peer of this version.
            pub(crate) struct Original<L> {
                store: MemoryStore<L, Extensions<L>>,
                map: Map<L>,
                receive: Receive,
            }

            impl<L: LogName> Peer<L> for Original<L> {
                async fn new(given: Given<'_, L>) -> Self {
                    let mut store = MemoryStore::new();
                    for (key, log) in &given.image.logs {
                        for stored in log.values() {
                            insert(&mut store, &key.1, stored).await;
                        }
                    }
                    Self { store, map: Map(given.topic.clone(), scope(given.scope)), receive: given.receive }
                }

                async fn session(&mut self, role: Role<'_>, stream: &mut Stream) -> Outcome {
                    let (app_tx, mut app_rx) = mpsc::channel::<FromSync<Topic>>(128);
                    let mut sink = PollSender::new(app_tx).sink_map_err(|err| SyncError::Critical(err.to_string()));
                    let protocol = LogSyncProtocol::<_, L, Extensions<L>, _>::new(self.map.clone(), self.store.clone());
                    let protocol = Arc::new(protocol);
                    let (tx, rx) = (&mut stream.writer, &mut stream.reader);
                    let session = async move {
                        let (tx, rx, sink) = (Box::new(tx as _), Box::new(rx as _), Box::new(&mut sink as _));
                        match role {
                            Role::Initiate(topic) => protocol.initiate(topic.clone(), tx, rx, sink).await,
                            Role::Accept => protocol.accept(tx, rx, sink).await,
                        }
                    };
                    let application = async {
                        let (mut events, mut refused) = (Vec::new(), Vec::new());
                        while let Some(event) = app_rx.recv().await {
                            if let (FromSync::Data { header, payload }, Receive::Store) = (&event, self.receive) {
                                let ingested = ingest(&mut self.store, header, payload.as_deref()).await;
                                refused.extend(ingested.err());
                            }
                            events.push(match event {
                                FromSync::HandshakeSuccess(topic) => Event::Handshake(topic.0),
                                FromSync::Data { header, payload } => Event::Data(header, payload),
                            });
                        }
                        (events, refused)
                    };
                    let (result, (events, refused)) = tokio::join!(session, application);
                    Outcome { result: result.map_err(failure), events, refused }
                }

                async fn dump(&self, keys: &BTreeSet<LogKey<L>>) -> Image<L> {
                    let mut image = Image::new();
                    for key in keys {
                        let author = PublicKey::from_bytes(&key.0).expect("a key from the scenario");
                        let Ok(log) = self.store.get_raw_log(&author, &key.1, None).await;
                        for (header, body) in log.unwrap_or_default() {
                            let seq = decode::<L>(&header).expect("a stored header decodes").seq_num;
                            image.insert(key, seq, Stored { header, body });
                        }
                    }
                    image
                }
            }

            fn scope<L: LogName>(scope: &Scope<L>) -> HashMap<PublicKey, Vec<L>> {
                let author = |key| PublicKey::from_bytes(key).expect("a key from the scenario");
                scope.iter().map(|(key, logs)| (author(key), logs.clone())).collect()
            }

            fn failure(err: SyncError) -> Failure {
                match err {
                    SyncError::UnexpectedBehaviour(text) => Failure::Unexpected(text),
                    SyncError::InvalidEncoding(text) => Failure::Invalid(text),
                    SyncError::Critical(text) => Failure::Critical(text),
                }
            }

            fn decode<L: LogName>(header: &[u8]) -> Result<Header<Extensions<L>>, String> {
                decode_cbor(header).map_err(|err| err.to_string())
            }

            async fn insert<L: LogName>(store: &mut MemoryStore<L, Extensions<L>>, log: &L, stored: &Stored) {
                let header = decode::<L>(&stored.header).expect("headers of a scenario decode");
                let body = stored.body.clone().map(Body::from);
                let hash = Hash::new(&stored.header);
                let Ok(_) = store.insert_operation(hash, &header, body.as_ref(), &stored.header, log).await;
            }

            /// Takes in a received operation: signature, body, log by the extension, backlink to the newest operation of
            /// the log unless there is none or the prune flag is set, removal of what a prune flag says.
            async fn ingest<L: LogName>(
                store: &mut MemoryStore<L, Extensions<L>>,
                header_bytes: &[u8],
                payload: Option<&[u8]>,
            ) -> Result<(), String> {
                let header = decode::<L>(header_bytes)?;
                let body = payload.map(Body::from);
                let operation = Operation { hash: header.hash(), header, body };
                validate_operation(&operation).map_err(|err| err.to_string())?;
                if operation.hash != Hash::new(header_bytes) {
                    return Err("the header was not encoded as it is hashed".into());
                }
                let Operation { hash, header, body } = operation;
                let extensions = header.extensions.clone().ok_or("no log id")?;
                let Ok(latest) = store.latest_operation(&header.public_key, &extensions.log).await;
                if let Some((latest, _)) = latest.filter(|_| !extensions.prune) {
                    validate_backlink(&latest, &header).map_err(|err| err.to_string())?;
                }
                let log = &extensions.log;
                let Ok(inserted) = store.insert_operation(hash, &header, body.as_ref(), header_bytes, log).await;
                if !inserted {
                    return Err("already there".into());
                }
                if extensions.prune {
                    let Ok(_) = store.delete_operations(&header.public_key, log, header.seq_num).await;
                }
                Ok(())
            }
        }
    };
}

original!(v03, V03, "p2panda-sync 0.3.1", p2panda_core_03, p2panda_store_03, p2panda_sync_03);
original!(v04, V04, "p2panda-sync 0.4.0", p2panda_core_04, p2panda_store_04, p2panda_sync_04);
