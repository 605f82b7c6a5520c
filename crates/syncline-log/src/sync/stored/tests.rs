use std::collections::BTreeSet;
use std::sync::Mutex;

use futures::channel::mpsc;
use futures::executor::block_on;
use futures::{FutureExt, SinkExt, StreamExt};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use syncline_crypto::SigningKey;

use super::*;
use crate::ingest::ByExtension;
use crate::store::{LogStore, MemoryStore, SeqRange};
use crate::sync::v2::TopicKey;
use crate::{Body, Draft, Extension, Header, LogWriter, Operation, PruneFlag};

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Topic(u8);
impl TopicQuery for Topic {}

/// Topics 1 and 2 are the log 0 of author 1.
#[derive(Debug)]
struct Topics;

#[async_trait]
impl TopicMap<Topic, Logs<u64>> for Topics {
    async fn get(&self, topic: &Topic) -> Option<Logs<u64>> {
        (topic.0 <= 2).then(|| Logs::from([(key(1).public_key(), vec![0])]))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

type Protocol = StoredLogSync<Topic, u64, MemoryStore<u64>>;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn protocol() -> Protocol {
    StoredLogSync::new(Arc::new(Topics), LiveStore::new(MemoryStore::new()), Arc::new(ByExtension::<InLog>::new()))
}

/// A log of `count` operations.
fn log(author: u8, log: u64, count: u8) -> Vec<Operation<InLog>> {
    let writer = LogWriter::new(MemoryStore::<u64>::new(), Arc::new(key(author)));
    let drafts = (0..count).map(|n| Draft::new(Some(Body::new(vec![n; 9])), Some(InLog(log))));
    block_on(writer.publish(log, drafts)).unwrap()
}

fn data(operation: &Operation<InLog>) -> FromSync<Topic> {
    let header = operation.header.to_bytes().unwrap().to_vec();
    FromSync::Data { header, payload: operation.body.as_ref().map(|body| body.as_bytes().to_vec()) }
}

fn garbage() -> FromSync<Topic> {
    FromSync::Data { header: vec![0], payload: None }
}

/// With another body than was signed.
fn forged(operation: &Operation<InLog>) -> FromSync<Topic> {
    let FromSync::Data { header, .. } = data(operation) else { panic!("data") };
    FromSync::Data { header, payload: Some(vec![99; 9]) }
}

/// With another signature.
fn unsigned(operation: &Operation<InLog>) -> FromSync<Topic> {
    let FromSync::Data { mut header, payload } = data(operation) else { panic!("data") };
    header[50] ^= 1;
    FromSync::Data { header, payload }
}

type Receiver = mpsc::Receiver<FromSync<Topic>>;

/// An application's channel for so many items.
fn app(capacity: usize) -> (impl Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin, Receiver) {
    let (tx, rx) = mpsc::channel(capacity - 1);
    (tx.sink_map_err(|_| SyncError::Critical("gone".into())), rx)
}

/// All that is in the channel.
fn received(rx: &mut Receiver) -> Vec<FromSync<Topic>> {
    std::iter::from_fn(|| rx.next().now_or_never().flatten()).collect()
}

fn stored(protocol: &Protocol) -> Vec<FromSync<Topic>> {
    let page = block_on(protocol.log_sync.store.read(key(1).public_key(), 0, SeqRange::ALL, usize::MAX)).unwrap();
    let items = page.operations.into_iter();
    items
        .map(|row| FromSync::Data { header: row.header.to_vec(), payload: row.body.map(|body| body.to_vec()) })
        .collect()
}

/// Feeds a session for topic 1 and gives what the application got.
fn session(protocol: &Protocol, items: Vec<FromSync<Topic>>) -> (Result<(), SyncError>, Vec<FromSync<Topic>>) {
    let (mut app_tx, mut app_rx) = app(10_000);
    let outcome = block_on(async {
        let mut storing = protocol.storing(&mut app_tx);
        storing.send(FromSync::HandshakeSuccess(Topic(1))).await?;
        for item in items {
            storing.feed(item).await?;
        }
        storing.close().await
    });
    let mut got = received(&mut app_rx);
    assert_eq!(got.remove(0), FromSync::HandshakeSuccess(Topic(1)), "once, and before all else");
    (outcome, got)
}

#[test]
fn only_what_is_new_and_verified_reaches_the_application() {
    let operations = log(1, 0, 4);
    let protocol = protocol();
    let items = vec![
        garbage(),
        data(&operations[0]),
        data(&operations[0]),
        forged(&operations[1]),
        unsigned(&operations[1]),
        data(&log(2, 0, 1)[0]),
        data(&log(1, 7, 1)[0]),
        data(&operations[1]),
        data(&operations[3]),
        data(&operations[2]),
        garbage(),
    ];
    let (outcome, got) = session(&protocol, items);
    outcome.unwrap();
    let expected: Vec<_> = operations[..3].iter().map(data).collect();
    assert_eq!(got, expected);
    assert_eq!(stored(&protocol), expected);

    let (outcome, got) = session(&protocol, operations.iter().map(data).collect());
    outcome.unwrap();
    assert_eq!(got, [data(&operations[3])], "the others are known from the session before");
}

#[test]
fn nothing_is_handed_on_before_it_is_stored() {
    let operations = log(1, 0, 3);
    let protocol = protocol();
    let (mut app_tx, mut app_rx) = app(100);
    let mut storing = protocol.storing(&mut app_tx);
    block_on(storing.send(FromSync::HandshakeSuccess(Topic(1)))).unwrap();
    for operation in &operations {
        block_on(storing.feed(data(operation))).unwrap();
    }
    assert_eq!(received(&mut app_rx), [FromSync::HandshakeSuccess(Topic(1))]);
    assert!(stored(&protocol).is_empty());
    block_on(storing.flush()).unwrap();
    assert_eq!(received(&mut app_rx).len(), 3);
    assert_eq!(stored(&protocol).len(), 3);
}

#[test]
fn a_slow_application_holds_the_session_up_and_loses_nothing() {
    let operations = log(1, 0, 60);
    let protocol = protocol().with_ingest_limits(IngestLimits::default().with_batch_operations_max(4));
    let (mut app_tx, mut app_rx) = app(1);
    let mut storing = protocol.storing(&mut app_tx);
    storing.feed(FromSync::HandshakeSuccess(Topic(1))).now_or_never().unwrap().unwrap();
    let (mut taken, mut got) = (0, Vec::new());
    while taken < operations.len() {
        match storing.feed(data(&operations[taken])).now_or_never() {
            Some(result) => {
                result.unwrap();
                taken += 1;
            }
            // It takes one item at a time, and only when nothing moves without.
            None => got.extend(app_rx.next().now_or_never().flatten()),
        }
        assert!(taken <= got.len() + 3 * 4, "{taken} were taken while the application had {}", got.len());
    }
    while storing.flush().now_or_never().is_none() {
        got.extend(app_rx.next().now_or_never().flatten());
    }
    got.extend(received(&mut app_rx));
    assert_eq!(got[1..], operations.iter().map(data).collect::<Vec<_>>());
}

#[test]
fn too_much_that_is_rejected_fails_the_session_but_not_what_was_good() {
    let operations = log(1, 0, 3);
    let protocol = protocol().with_ingest_limits(IngestLimits::default().with_rejected_max(2));
    let mut items: Vec<_> = operations.iter().map(data).collect();
    items.extend([garbage(), garbage()]);
    assert_eq!(session(&protocol, items.clone()).0, Ok(()), "as many as are borne");
    let fresh = self::protocol().with_ingest_limits(IngestLimits::default().with_rejected_max(2));
    items.push(garbage());
    let (outcome, got) = session(&fresh, items);
    assert!(matches!(outcome, Err(SyncError::UnexpectedBehaviour(_))), "{outcome:?}");
    assert_eq!(got, operations.iter().map(data).collect::<Vec<_>>(), "what was stored before is told");
}

#[test]
fn errors_are_those_of_the_ingest_and_of_the_application() {
    let protocol = protocol();
    // The topic is not known any more.
    let (mut app_tx, _app_rx) = app(9);
    let mut storing = protocol.storing(&mut app_tx);
    let outcome = block_on(storing.send(FromSync::HandshakeSuccess(Topic(9))));
    assert!(matches!(outcome, Err(SyncError::Critical(_))), "{outcome:?}");
    let again = block_on(storing.flush());
    assert_eq!(again, outcome, "it stays failed");

    let (mut app_tx, _app_rx) = app(9);
    let outcome = block_on(protocol.storing(&mut app_tx).send(data(&log(1, 0, 1)[0])));
    assert!(matches!(outcome, Err(SyncError::UnexpectedBehaviour(_))), "data before a topic: {outcome:?}");

    let (mut app_tx, app_rx) = app(9);
    drop(app_rx);
    let outcome = block_on(protocol.storing(&mut app_tx).send(FromSync::HandshakeSuccess(Topic(1))));
    assert_eq!(outcome, Err(SyncError::Critical("gone".into())));
}

#[test]
fn the_observer_hears_of_everything_that_came() {
    let verdicts = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&verdicts);
    let protocol =
        protocol().with_observer(move |verdict| heard.lock().unwrap().push(format!("{:?}", verdict.outcome)));
    let operations = log(1, 0, 1);
    session(&protocol, vec![data(&operations[0]), data(&operations[0]), garbage()]).0.unwrap();
    let verdicts = verdicts.lock().unwrap();
    assert_eq!(verdicts[..2], ["Stored", "Known"]);
    assert!(verdicts[2].starts_with("Rejected"), "{verdicts:?}");
}

/// Topic 2 has a key.
#[derive(Debug)]
struct SecondIsSecret;

#[async_trait]
impl TopicKeys<Topic> for SecondIsSecret {
    async fn key(&self, topic: &Topic) -> Option<TopicKey> {
        (topic.0 == 2).then(|| TopicKey::from_bytes([7; 32]))
    }

    async fn secret_topics(&self) -> Vec<(Topic, TopicKey)> {
        vec![(Topic(2), TopicKey::from_bytes([7; 32]))]
    }
}

#[test]
fn a_topic_that_has_a_key_is_never_named() {
    /// An output that must stay empty.
    fn initiate(protocol: Protocol, topic: Topic) -> (Result<(), SyncError>, usize) {
        let (mut tx, mut rx) = (futures::io::Cursor::new(vec![0; 1_000]), futures::io::empty());
        let (mut app_tx, _app_rx) = app(9);
        let outcome =
            block_on(Arc::new(protocol).initiate(topic, Box::new(&mut tx), Box::new(&mut rx), Box::new(&mut app_tx)));
        (outcome, tx.position() as usize)
    }
    let guarded = || protocol().with_topic_keys(Arc::new(SecondIsSecret));
    let (outcome, sent) = initiate(guarded(), Topic(2));
    assert!(matches!(outcome, Err(SyncError::Critical(_))), "{outcome:?}");
    assert_eq!(sent, 0);
    for (protocol, topic) in [(guarded(), Topic(1)), (protocol(), Topic(2))] {
        let (outcome, sent) = initiate(protocol, topic);
        assert!(matches!(outcome, Err(SyncError::UnexpectedBehaviour(_))), "the stream ends: {outcome:?}");
        assert!(sent > 0);
    }
}

#[derive(Clone, Copy, Debug)]
enum Sent {
    Good(usize),
    Forged(usize),
    Unsigned(usize),
    Garbage,
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        4 => (0usize..12).prop_map(Sent::Good),
        1 => (0usize..12).prop_map(Sent::Forged),
        1 => (0usize..12).prop_map(Sent::Unsigned),
        1 => Just(Sent::Garbage),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The model: an operation is new if it is good and the next of its log.
    #[test]
    fn whatever_comes_the_application_gets_the_log_once_and_in_order(
        sessions in proptest::collection::vec(proptest::collection::vec(sent(), 0..40), 1..4),
        batch in 1usize..8,
    ) {
        let operations = log(1, 0, 12);
        let protocol = protocol().with_ingest_limits(IngestLimits::default().with_batch_operations_max(batch));
        let mut here = BTreeSet::new();
        for session_items in sessions {
            let mut expected = Vec::new();
            for sent in &session_items {
                if let Sent::Good(nth) = sent && *nth == here.len() && here.insert(*nth) {
                    expected.push(data(&operations[*nth]));
                }
            }
            let items = session_items.into_iter().map(|sent| match sent {
                Sent::Good(nth) => data(&operations[nth]),
                Sent::Forged(nth) => forged(&operations[nth]),
                Sent::Unsigned(nth) => unsigned(&operations[nth]),
                Sent::Garbage => garbage(),
            });
            let (outcome, got) = session(&protocol, items.collect());
            prop_assert_eq!(outcome, Ok(()));
            prop_assert_eq!(got, expected);
        }
        prop_assert_eq!(stored(&protocol).len(), here.len());
    }
}
