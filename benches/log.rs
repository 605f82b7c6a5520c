//! The log's hot paths: decoding headers, verifying and storing, a session between two peers in memory.

#![expect(clippy::expect_used, reason = "a benchmark that cannot set itself up has no result")]

use std::hint::black_box;
use std::sync::Arc;

use async_trait::async_trait;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::SinkExt;
use futures::executor::block_on;
use serde::{Deserialize, Serialize};
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicMap, TopicQuery};
use syncline_crypto::{SignedMessage, SigningKey, verify_batch};
use syncline_log::ingest::ByExtension;
use syncline_log::sync::Encoding;
use syncline_log::{EncodedOperation, Ingest, LogStore, LogSync, Logs, MemoryStore};
use syncline_net::pipe::pipe;
use syncline_testkit::generate::{LogExtensions, LogShape, encoded, log, new_operations};
use syncline_testkit::seed::Rng;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Topic;
impl TopicQuery for Topic {}

#[derive(Debug)]
struct Topics(Logs<u64>);

#[async_trait]
impl TopicMap<Topic, Logs<u64>> for Topics {
    async fn get(&self, _: &Topic) -> Option<Logs<u64>> {
        Some(self.0.clone())
    }
}

const OPERATIONS: usize = 2_000;

/// One log of operations with bodies of up to 200 bytes.
fn operations() -> (Arc<Topics>, Vec<syncline_log::Operation<LogExtensions>>) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let shape = LogShape { operations: OPERATIONS, ..LogShape::default() };
    let topics = Arc::new(Topics(Logs::from([(key.public_key(), vec![0])])));
    (topics, log(&mut Rng::new(1), &key, 0, &shape))
}

fn decode(criterion: &mut Criterion) {
    let (_, operations) = operations();
    let encoded: Vec<EncodedOperation> = operations.iter().map(encoded).collect();
    let mut group = criterion.benchmark_group("header");
    group.throughput(Throughput::Elements(OPERATIONS as u64));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            for operation in &encoded {
                let header = operation.header_bytes().clone();
                black_box(EncodedOperation::decode(header, None).expect("it was encoded"));
            }
        });
    });
    group.finish();
}

fn ingest(criterion: &mut Criterion) {
    let (topics, operations) = operations();
    let encoded: Vec<EncodedOperation> = operations.iter().map(encoded).collect();
    let mut group = criterion.benchmark_group("ingest");
    group.sample_size(10).throughput(Throughput::Elements(OPERATIONS as u64));
    group.bench_function("memory", |bencher| {
        bencher.iter_batched(
            || Ingest::new(topics.clone(), MemoryStore::new(), Arc::new(ByExtension::<LogExtensions>::new())),
            |mut ingest| {
                block_on(async {
                    ingest.send(FromSync::HandshakeSuccess(Topic)).await?;
                    for operation in &encoded {
                        let (header, body) = operation.clone().into_parts();
                        let payload = body.map(|body| body.to_vec());
                        ingest.feed(FromSync::Data { header: header.to_vec(), payload }).await?;
                    }
                    ingest.flush().await
                })
                .expect("all is valid");
            },
            BatchSize::PerIteration,
        );
    });
    // What of it is the curve's.
    let messages: Vec<_> = encoded.iter().map(|one| (one.public_key(), one.signed_bytes(), one.signature())).collect();
    group.bench_function("limit: verify_batch", |bencher| {
        bencher.iter(|| {
            let signed: Vec<_> = messages.iter().map(|(key, bytes, sig)| SignedMessage::new(key, bytes, sig)).collect();
            assert!(verify_batch(&signed).is_all_valid());
        });
    });
    group.finish();
}

fn session(criterion: &mut Criterion) {
    let (topics, operations) = operations();
    let full = Arc::new(MemoryStore::new());
    block_on(full.append(new_operations(&operations))).expect("memory");
    let mut group = criterion.benchmark_group("session");
    group.sample_size(20).throughput(Throughput::Elements(OPERATIONS as u64));
    for (name, encoding) in [("byte strings", Encoding::Bytes), ("integers", Encoding::Integers)] {
        let sender = LogSync::new(topics.clone(), Arc::clone(&full)).with_encoding(encoding);
        let receiver = LogSync::new(topics.clone(), Arc::new(MemoryStore::new()));
        let (sender, receiver) = (Arc::new(sender), Arc::new(receiver));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let (one, two) = pipe(64 << 10);
                let ((mut rx, mut tx), (mut their_rx, mut their_tx)) = (one.into_split(), two.into_split());
                let (mut app, mut their_app) = (drain(), drain());
                let ours = Arc::clone(&receiver).initiate(
                    Topic,
                    Box::new(&mut tx as _),
                    Box::new(&mut rx as _),
                    Box::new(&mut app as _),
                );
                let theirs = Arc::clone(&sender).accept(
                    Box::new(&mut their_tx as _),
                    Box::new(&mut their_rx as _),
                    Box::new(&mut their_app as _),
                );
                let (ours, theirs) = block_on(async { futures::join!(ours, theirs) });
                ours.and(theirs).expect("the session succeeds");
            });
        });
    }
    group.finish();
}

fn drain() -> impl futures::Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin {
    futures::sink::drain().sink_map_err(|never| match never {})
}

criterion_group!(benches, decode, ingest, session);
criterion_main!(benches);
