//! The sessions of `docs/spec/vectors/log-v1.json`, played against one side of log sync.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::executor::block_on;
use futures::{AsyncReadExt, AsyncWriteExt};
use serde::{Deserialize, Serialize};
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicMap, TopicQuery};
use syncline_crypto::PublicKey;
use syncline_log::store::{LogStore, Logs, MemoryStore, NewOperation};
use syncline_log::sync::Encoding;
use syncline_log::{EncodedOperation, LogSync};
use syncline_testkit::net::{Conditions, Link, Sim};

use crate::world::clock;

#[derive(Deserialize)]
struct Vectors {
    topic: String,
    author: PublicKey,
    log_id: u64,
    sessions: Vec<Session>,
}

#[derive(Deserialize)]
struct Session {
    name: String,
    role: String,
    encoding: String,
    holds: Vec<Operation>,
    receives: String,
    sends: String,
    delivers: Vec<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    header: String,
    body: Option<String>,
}

/// The topic of the vectors, a tuple of a name and four bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Topic(String, [u8; 4]);
impl TopicQuery for Topic {}

#[derive(Debug)]
struct Topics(PublicKey, u64);

#[async_trait]
impl TopicMap<Topic, Logs<u64>> for Topics {
    async fn get(&self, _topic: &Topic) -> Option<Logs<u64>> {
        Some(Logs::from([(self.0, vec![self.1])]))
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digits).collect()
}

fn play(vectors: &Vectors, session: &Session, chunk: usize) {
    let topic: Topic = ciborium::from_reader(&bytes(&vectors.topic)[..]).expect("the topic");
    let store = Arc::new(MemoryStore::new());
    let held = session.holds.iter().map(|operation| {
        let body = operation.body.as_deref().map(|body| bytes(body).into());
        let operation = EncodedOperation::decode(bytes(&operation.header).into(), body).expect("a header");
        NewOperation::next(vectors.log_id, operation)
    });
    let outcomes = block_on(store.append(held.collect())).expect("memory");
    assert!(outcomes.iter().all(syncline_log::Appended::is_stored));

    let encoding = if session.encoding == "bytes" { Encoding::Bytes } else { Encoding::Integers };
    let protocol =
        Arc::new(LogSync::new(Arc::new(Topics(vectors.author, vectors.log_id)), store).with_encoding(encoding));
    let clock = clock();
    let in_pieces = Conditions::new().with_chunk(chunk).with_latency(Duration::from_millis(1));
    let Link { mut a, mut b, b_to_a, .. } = Link::new(&clock, in_pieces.clone(), in_pieces);
    let (app, mut items) = futures::channel::mpsc::unbounded::<FromSync<Topic>>();
    let mut app = futures::SinkExt::sink_map_err(app, |_| SyncError::Critical("closed".into()));
    let mut sim = Sim::new(&clock);
    let initiates = session.role == "initiator";
    let result = sim.spawn("side", async {
        let (tx, rx) = (Box::new(&mut b.tx as _), Box::new(&mut b.rx as _));
        let app = Box::new(&mut app as _);
        if initiates { protocol.initiate(topic.clone(), tx, rx, app).await } else { protocol.accept(tx, rx, app).await }
    });
    sim.spawn("script", async {
        a.tx.write_all(&bytes(&session.receives)).await?;
        a.tx.flush().await?;
        // The stream stays open: a session must end by its messages.
        let mut sink = vec![0; 64];
        while a.rx.read(&mut sink).await? > 0 {}
        Ok::<(), std::io::Error>(())
    });
    // The script waits for more when the side is done.
    sim.settle().expect("no faults");
    assert_eq!(result.take(), Some(Ok(())), "{} in pieces of {chunk}", session.name);
    drop(sim);
    assert_eq!(b_to_a.recorded(), bytes(&session.sends), "{} in pieces of {chunk}", session.name);

    let mut expected = vec![FromSync::HandshakeSuccess(topic)];
    expected.extend(session.delivers.iter().map(|operation| FromSync::Data {
        header: bytes(&operation.header),
        payload: operation.body.as_deref().map(bytes),
    }));
    let mut delivered = Vec::new();
    while let Ok(item) = items.try_recv() {
        delivered.push(item);
    }
    assert_eq!(delivered, expected, "{}", session.name);
}

#[test]
fn every_session_goes_as_it_is_written_down() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/spec/vectors/log-v1.json");
    let text = std::fs::read_to_string(path).expect("the vectors");
    let vectors: Vectors = serde_json::from_str(&text).expect("vectors");
    assert!(vectors.sessions.len() >= 13);
    for session in &vectors.sessions {
        for chunk in [1, 7, 1400, 65536] {
            play(&vectors, session, chunk);
        }
    }
}
