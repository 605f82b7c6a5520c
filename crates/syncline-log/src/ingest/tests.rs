use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::{FutureExt, SinkExt};
use serde::{Deserialize, Serialize};
use syncline_crypto::{BatchVerdict, SignedMessage, SigningKey, VerifyError};

use super::*;
use crate::store::{Appended, Heights, MemoryStore, NewOperation, Page, SeqRange, StoreError};
use crate::validate::Invalid;
use crate::{Body, Draft, Header, Link, LogWriter, Operation, SeqNum};

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Topic(u8);
impl TopicQuery for Topic {}

/// Topic 1 is the log 0 of author 1.
#[derive(Debug)]
struct Topics;

#[async_trait]
impl TopicMap<Topic, Logs<u64>> for Topics {
    async fn get(&self, topic: &Topic) -> Option<Logs<u64>> {
        (topic.0 == 1).then(|| Logs::from([(key(1).public_key(), vec![0])]))
    }
}

/// The extensions of these tests: the log id, and whether the operation prunes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ext {
    log: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    prune: bool,
}

impl crate::Extension<u64> for Ext {
    fn extract(header: &Header<Self>) -> Option<u64> {
        header.extensions.as_ref().map(|extensions| extensions.log)
    }
}

impl crate::Extension<crate::PruneFlag> for Ext {
    fn extract(header: &Header<Self>) -> Option<crate::PruneFlag> {
        header.extensions.as_ref().map(|extensions| crate::PruneFlag::new(extensions.prune))
    }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// A log of `count` operations.
async fn log(author: u8, log: u64, count: u64) -> Vec<Operation<Ext>> {
    let writer = LogWriter::new(MemoryStore::<u64>::new(), Arc::new(key(author)));
    let drafts =
        (0..count).map(|n| Draft::new(Some(Body::new(vec![author; n as usize + 1])), Some(Ext { log, prune: false })));
    writer.publish(log, drafts).await.unwrap()
}

fn data(operation: &Operation<Ext>) -> FromSync<Topic> {
    let header = operation.header.to_bytes().unwrap().to_vec();
    FromSync::Data { header, payload: operation.body.as_ref().map(|body| body.as_bytes().to_vec()) }
}

/// Events as short texts, so that a test reads like a list.
type Seen = Arc<Mutex<Vec<String>>>;

fn seen(events: &Seen) -> Vec<String> {
    std::mem::take(&mut *events.lock().unwrap())
}

fn ingest<S: LogStore<u64>>(store: S) -> (Ingest<Topic, u64, S>, Seen) {
    let events = Seen::default();
    let copy = Arc::clone(&events);
    let ingest = Ingest::new(Arc::new(Topics), store, Arc::new(ByExtension::<Ext>::new()));
    let ingest = ingest.with_observer(move |event| {
        let text = match event {
            IngestEvent::Topic(topic) => format!("topic {}", topic.0),
            IngestEvent::Verdict(Verdict { outcome: Outcome::Rejected(reason), .. }) => format!("{reason}: {reason:?}"),
            IngestEvent::Verdict(Verdict { outcome: Outcome::Forked(_), .. }) => "forked".into(),
            IngestEvent::Verdict(Verdict { outcome, operation, log_id, .. }) => {
                format!("{outcome:?} {}/{}", log_id.unwrap(), operation.unwrap().seq_num)
            }
        };
        copy.lock().unwrap().push(text);
    });
    (ingest, events)
}

async fn opened() -> (Ingest<Topic, u64, Arc<MemoryStore<u64>>>, Seen, Arc<MemoryStore<u64>>) {
    let store = Arc::new(MemoryStore::new());
    let (mut ingest, events) = ingest(Arc::clone(&store));
    ingest.send(FromSync::HandshakeSuccess(Topic(1))).await.unwrap();
    assert_eq!(seen(&events), ["topic 1"]);
    (ingest, events, store)
}

/// The verdict on one operation after `before` were stored.
async fn verdict_after(before: &[Operation<Ext>], item: FromSync<Topic>) -> String {
    let (mut ingest, events, _) = opened().await;
    for operation in before {
        ingest.send(data(operation)).await.unwrap();
    }
    seen(&events);
    ingest.send(item).await.unwrap();
    let mut events = seen(&events);
    assert_eq!(events.len(), 1);
    events.remove(0)
}

#[tokio::test]
async fn what_is_valid_is_stored_once() {
    let (mut ingest, events, store) = opened().await;
    let operations = log(1, 0, 3).await;
    for operation in operations.iter().chain(&operations[..1]) {
        ingest.feed(data(operation)).await.unwrap();
    }
    assert!(seen(&events).is_empty(), "no verdict before the batch is stored");
    ingest.flush().await.unwrap();
    assert_eq!(seen(&events), ["Stored 0/0", "Stored 0/1", "Stored 0/2", "Known 0/0"]);
    let tip = store.tip(key(1).public_key(), 0).await.unwrap().unwrap();
    assert_eq!(tip.hash, operations[2].hash);
    let report = ingest.report();
    assert_eq!((report.stored(), report.known(), report.forked(), report.rejected()), (3, 1, 0, 0));
}

#[tokio::test]
async fn each_fault_has_its_verdict() {
    let operations = log(1, 0, 3).await;
    type Change<'c> = &'c dyn Fn(&mut Vec<u8>, &mut Option<Vec<u8>>);
    let changed = |change: Change<'_>| {
        let FromSync::Data { mut header, mut payload } = data(&operations[0]) else { panic!("data") };
        change(&mut header, &mut payload);
        FromSync::Data { header, payload }
    };
    for (item, expected) in [
        (changed(&|header, _| header.truncate(20)), "the header cannot be decoded"),
        (changed(&|header, _| header.push(0)), "the header cannot be decoded"),
        (changed(&|header, _| header[1] = 2), "Version"),
        (changed(&|_, payload| *payload = Some(b"other".to_vec())), "PayloadSize"),
        (changed(&|_, payload| *payload = Some(b"x".to_vec())), "PayloadHash"),
        (changed(&|header, _| header[50] ^= 1), "Signature"),
        (data(&log(2, 0, 1).await[0]), "AuthorOutOfScope"),
        (data(&log(1, 5, 1).await[0]), "LogOutOfScope"),
        (data(&operations[1]), "Gap"),
    ] {
        let verdict = verdict_after(&[], item).await;
        assert!(verdict.contains(expected), "{expected}: {verdict}");
    }
}

#[tokio::test]
async fn an_operation_that_nobody_places_is_rejected() {
    #[derive(Debug)]
    struct Nowhere;
    impl Classify<u64> for Nowhere {
        fn place(&self, _operation: &EncodedOperation) -> Option<Placement<u64>> {
            None
        }
    }
    let mut ingest = Ingest::new(Arc::new(Topics), MemoryStore::new(), Arc::new(Nowhere));
    ingest.send(FromSync::HandshakeSuccess(Topic(1))).await.unwrap();
    ingest.send(data(&log(1, 0, 1).await[0])).await.unwrap();
    assert_eq!(ingest.report().rejected(), 1);
}

#[tokio::test]
async fn a_fork_and_a_wrong_backlink_are_told_apart() {
    let ours = log(1, 0, 2).await;
    let writer = LogWriter::new(MemoryStore::<u64>::new(), Arc::new(key(1)));
    let other = |text: &'static str| Draft::new(Some(Body::new(text)), Some(Ext { log: 0, prune: false }));
    let theirs = writer.publish(0, [other("x"), other("y"), other("z")]).await.unwrap();
    assert_eq!(verdict_after(&ours, data(&theirs[1])).await, "forked");
    assert!(verdict_after(&ours, data(&theirs[2])).await.contains("Backlink"));
}

#[tokio::test]
async fn a_prune_flag_passes_over_a_gap_and_deletes_what_was_before() {
    let writer = LogWriter::new(MemoryStore::<u64>::new(), Arc::new(key(1)));
    let draft = |prune| Draft { prunes: prune, ..Draft::new(None, Some(Ext { log: 0, prune })) };
    let operations = writer.publish(0, [false, false, true].map(draft)).await.unwrap();
    let (mut ingest, events, store) = opened().await;
    ingest.send(data(&operations[0])).await.unwrap();
    ingest.send(data(&operations[2])).await.unwrap();
    assert_eq!(seen(&events), ["Stored 0/0", "Stored 0/2"]);
    let page = store.read(key(1).public_key(), 0, SeqRange::ALL, usize::MAX).await.unwrap();
    assert_eq!(page.operations.len(), 1);
}

#[tokio::test]
async fn a_log_may_start_anywhere_only_if_that_was_asked_for() {
    let operations = log(1, 0, 3).await;
    let classify = Arc::new(ByExtension::<Ext>::starting_anywhere());
    let mut ingest = Ingest::new(Arc::new(Topics), MemoryStore::new(), classify);
    ingest.send(FromSync::HandshakeSuccess(Topic(1))).await.unwrap();
    for operation in &operations[1..] {
        ingest.send(data(operation)).await.unwrap();
    }
    assert_eq!(ingest.report().stored(), 2);
    assert!(verdict_after(&[], data(&operations[1])).await.contains("Gap"));
}

#[tokio::test]
async fn verdicts_come_in_order_and_bad_ones_do_not_take_others_along() {
    let (mut ingest, events, _) = opened().await;
    let operations = log(1, 0, 4).await;
    let garbage = || FromSync::Data { header: vec![0], payload: None };
    ingest.feed(garbage()).await.unwrap();
    ingest.feed(data(&operations[0])).await.unwrap();
    ingest.feed(data(&log(2, 0, 1).await[0])).await.unwrap();
    ingest.feed(data(&operations[1])).await.unwrap();
    ingest.feed(garbage()).await.unwrap();
    ingest.feed(garbage()).await.unwrap();
    ingest.feed(data(&operations[2])).await.unwrap();
    ingest.flush().await.unwrap();
    let events = seen(&events);
    let stored: Vec<bool> = events.iter().map(|event| event.starts_with("Stored")).collect();
    assert_eq!(stored, [false, true, false, true, false, false, true], "{events:?}");
}

#[tokio::test]
async fn too_many_rejected_operations_end_the_session() {
    let (ingest, _, _) = opened().await;
    let mut ingest = ingest.with_limits(IngestLimits::default().with_rejected_max(2));
    let garbage = || FromSync::Data { header: vec![0], payload: None };
    ingest.send(garbage()).await.unwrap();
    ingest.send(garbage()).await.unwrap();
    let err = ingest.send(garbage()).await.unwrap_err();
    assert!(matches!(err, SyncError::UnexpectedBehaviour(_)), "{err}");
}

#[tokio::test]
async fn what_follows_a_fork_is_not_held_against_the_peer() {
    let (ingest, _, _) = opened().await;
    let mut ingest = ingest.with_limits(IngestLimits::default().with_rejected_max(2));
    for operation in &log(1, 0, 10).await[1..] {
        ingest.send(data(operation)).await.unwrap();
    }
    assert_eq!(ingest.report().rejected(), 9);
}

#[tokio::test]
async fn data_before_a_topic_and_a_second_topic_are_unexpected() {
    let (mut early, _) = ingest(MemoryStore::new());
    let err = early.send(data(&log(1, 0, 1).await[0])).await.unwrap_err();
    assert!(matches!(err, SyncError::UnexpectedBehaviour(_)));
    let (mut twice, _, _) = opened().await;
    let err = twice.send(FromSync::HandshakeSuccess(Topic(1))).await.unwrap_err();
    assert!(matches!(err, SyncError::UnexpectedBehaviour(_)));
}

#[tokio::test]
async fn a_topic_that_is_gone_is_critical() {
    let (mut ingest, _) = ingest(MemoryStore::new());
    let err = ingest.send(FromSync::HandshakeSuccess(Topic(2))).await.unwrap_err();
    assert!(matches!(err, SyncError::Critical(_)));
}

/// Counts signatures and how many came together.
#[derive(Debug, Default)]
struct Counting {
    batches: AtomicUsize,
    largest: AtomicUsize,
}

impl Verifier for Counting {
    fn verify(&self, item: SignedMessage<'_>) -> Result<(), VerifyError> {
        Ed25519.verify(item)
    }

    fn verify_batch(&self, items: &[SignedMessage<'_>]) -> BatchVerdict {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.largest.fetch_max(items.len(), Ordering::Relaxed);
        Ed25519.verify_batch(items)
    }
}

#[tokio::test]
async fn batches_are_bounded_in_operations_and_bytes() {
    let operations = log(1, 0, 20).await;
    for (limits, batches, largest) in [
        (IngestLimits::default(), 1, 20),
        (IngestLimits::default().with_batch_operations_max(8), 3, 8),
        (IngestLimits::default().with_batch_bytes_max(1), 20, 1),
    ] {
        let verifier = Arc::new(Counting::default());
        let (ingest, _) = ingest(MemoryStore::new());
        let mut ingest = ingest.with_verifier(Arc::clone(&verifier) as Arc<dyn Verifier>).with_limits(limits);
        ingest.send(FromSync::HandshakeSuccess(Topic(1))).await.unwrap();
        for operation in &operations {
            ingest.feed(data(operation)).await.unwrap();
        }
        ingest.flush().await.unwrap();
        assert_eq!(ingest.report().stored(), 20);
        assert_eq!(verifier.batches.load(Ordering::Relaxed), batches);
        assert_eq!(verifier.largest.load(Ordering::Relaxed), largest);
    }
}

/// Holds every commit back until told to let it go.
#[derive(Debug)]
struct HeldStore {
    inner: MemoryStore<u64>,
    gate: tokio::sync::Semaphore,
}

macro_rules! held_store {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        impl LogStore<u64> for HeldStore {
            async fn append(&self, batch: Vec<NewOperation<u64>>) -> Result<Vec<Appended>, StoreError> {
                self.gate.acquire().await.expect("never closed").forget();
                self.inner.append(batch).await
            }
            async fn heights(&self, logs: &Logs<u64>) -> Result<Heights<u64>, StoreError> {
                self.inner.heights(logs).await
            }
            $(async fn $name(&self, $($arg: $type),*) -> Result<$out, StoreError> {
                self.inner.$name($($arg),*).await
            })*
        }
    };
}

type Key = syncline_crypto::PublicKey;
held_store! {
    read(author: Key, log: u64, range: SeqRange, bytes: usize) -> Page;
    get(hash: syncline_crypto::Hash) -> Option<crate::store::Located<u64>>;
    tip(author: Key, log: u64) -> Option<crate::store::Tip>;
    prune(author: Key, log: u64, before: SeqNum) -> u64;
    delete_payload(hash: syncline_crypto::Hash) -> bool;
    add_payload(hash: syncline_crypto::Hash, body: Bytes) -> bool;
    delete_log(author: Key, log: u64) -> bool;
    forks(author: Key, log: u64) -> Vec<crate::store::Fork>;
    size(author: Key, log: u64, range: SeqRange) -> crate::store::LogSize;
    logs(after: Option<(Key, u64)>, count: usize) -> Vec<crate::store::LogSummary<u64>>;
}

#[tokio::test]
async fn a_slow_store_pushes_back_after_two_batches() {
    let store = Arc::new(HeldStore { inner: MemoryStore::new(), gate: tokio::sync::Semaphore::new(0) });
    let (ingest, events) = ingest(Arc::clone(&store));
    let mut ingest = ingest.with_limits(IngestLimits::default().with_batch_operations_max(2));
    ingest.send(FromSync::HandshakeSuccess(Topic(1))).await.unwrap();
    let mut taken = 0;
    for operation in &log(1, 0, 10).await {
        match ingest.feed(data(operation)).now_or_never() {
            Some(result) => result.unwrap(),
            None => break,
        }
        taken += 1;
    }
    assert_eq!(taken, 4, "one batch under way, one waiting");
    assert_eq!(seen(&events), ["topic 1"], "nothing is reported before it is stored");
    store.gate.add_permits(2);
    ingest.flush().await.unwrap();
    assert_eq!(ingest.report().stored(), 4);
}

#[tokio::test]
async fn whatever_the_batch_size_the_store_is_the_same() {
    let operations = log(1, 0, 30).await;
    let mut tips = BTreeMap::new();
    for size in [1, 3, 7, 512] {
        let store = Arc::new(MemoryStore::new());
        let (ingest, _) = ingest(Arc::clone(&store));
        let mut ingest = ingest.with_limits(IngestLimits::default().with_batch_operations_max(size));
        ingest.send(FromSync::HandshakeSuccess(Topic(1))).await.unwrap();
        for operation in &operations {
            ingest.feed(data(operation)).await.unwrap();
        }
        ingest.close().await.unwrap();
        tips.insert(size, store.tip(key(1).public_key(), 0).await.unwrap().unwrap().hash);
    }
    assert!(tips.values().all(|tip| *tip == operations[29].hash));
}

#[test]
fn placements_are_what_the_extension_says() {
    let link = |classify: ByExtension<Ext>, prune| {
        let mut header = Header::new(key(1).public_key());
        header.extensions = Some(Ext { log: 3, prune });
        let operation = Operation::sign(header, None, &key(1)).unwrap();
        let encoded = EncodedOperation::from_operation(&operation).unwrap();
        let placement: Placement<u64> = classify.place(&encoded).unwrap();
        assert_eq!(placement.log_id, 3);
        placement.link
    };
    assert_eq!(link(ByExtension::new(), false), Link::Next);
    assert_eq!(link(ByExtension::new(), true), Link::Prunes);
    assert_eq!(link(ByExtension::starting_anywhere(), false), Link::MayStart);
    assert_eq!(link(ByExtension::starting_anywhere(), true), Link::Prunes);
    assert!(matches!(Rejection::from(Invalid::Version { found: 2 }), Rejection::Invalid(_)));
}
