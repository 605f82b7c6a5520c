//! Peers that lie about operations.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::executor::block_on;
use syncline_crypto::{Hash, PublicKey};
use syncline_log::ingest::{IngestEvent, IngestLimits, Outcome};
use syncline_log::store::{
    Appended, Fork, Heights, Located, LogSize, LogStore, LogSummary, Logs, NewOperation, Page, SeqRange, StoreError,
    StoredOperation, Tip,
};
use syncline_log::{LogSync, SeqNum};
use syncline_testkit::generate::LogShape;
use syncline_testkit::net::Conditions;
use syncline_testkit::seed::Rng;

use crate::world::{SlowApp, Store, Topic, World, clock, session};

/// A store that says it has what it was given: what a hostile peer sends from.
#[derive(Debug)]
struct Liar(BTreeMap<(PublicKey, u64), Vec<StoredOperation>>);

impl Liar {
    /// The world's logs, with each operation changed in some way.
    fn new(world: &World, change: impl Fn(usize, StoredOperation) -> StoredOperation) -> Self {
        let honest = world.node(<[_]>::len);
        let logs = world.logs.iter().map(|(key, log_id, _)| {
            let page = block_on(honest.read(key.public_key(), *log_id, SeqRange::ALL, usize::MAX)).unwrap();
            let changed = page.operations.into_iter().enumerate().map(|(at, operation)| change(at, operation));
            ((key.public_key(), *log_id), changed.collect())
        });
        Self(logs.collect())
    }
}

macro_rules! never_asked {
    ($($name:ident($($type:ty),*) -> $out:ty;)*) => {
        $(async fn $name(&self, $(_: $type),*) -> Result<$out, StoreError> {
            unreachable!("a session that sends needs heights and pages only")
        })*
    };
}

impl LogStore<u64> for Liar {
    async fn heights(&self, _: &Logs<u64>) -> Result<Heights<u64>, StoreError> {
        let mut heights = Heights::new();
        for ((author, log_id), operations) in &self.0 {
            let last = operations.last().expect("no empty logs").seq_num;
            heights.entry(*author).or_default().insert(*log_id, last);
        }
        Ok(heights)
    }

    async fn read(&self, author: PublicKey, log_id: u64, _: SeqRange, _: usize) -> Result<Page, StoreError> {
        Ok(Page::new(self.0[&(author, log_id)].clone(), None))
    }

    never_asked! {
        append(Vec<NewOperation<u64>>) -> Vec<Appended>;
        get(Hash) -> Option<Located<u64>>;
        tip(PublicKey, u64) -> Option<Tip>;
        prune(PublicKey, u64, SeqNum) -> u64;
        delete_payload(Hash) -> bool;
        add_payload(Hash, Bytes) -> bool;
        delete_log(PublicKey, u64) -> bool;
        forks(PublicKey, u64) -> Vec<Fork>;
        size(PublicKey, u64, SeqRange) -> LogSize;
        logs(Option<(PublicKey, u64)>, usize) -> Vec<LogSummary<u64>>;
    }
}

/// The operation with one bit of its signature flipped.
fn forge(operation: StoredOperation) -> StoredOperation {
    let signature = operation.decode().unwrap().signature();
    let mut header = operation.header.to_vec();
    let place = header.windows(64).position(|bytes| bytes == signature.as_bytes()).unwrap();
    header[place] ^= 1;
    StoredOperation::new(operation.seq_num, header.into(), operation.body)
}

fn receive_from(world: &World, hostile: Liar, limits: IngestLimits) -> (Store, Vec<String>, bool) {
    let ours = world.node(|_| 0);
    let verdicts = Arc::new(Mutex::new(Vec::new()));
    let copy = Arc::clone(&verdicts);
    let ingest = world.ingest(&ours).with_limits(limits).with_observer(move |event| {
        if let IngestEvent::Verdict(verdict) = event {
            copy.lock().unwrap().push(match verdict.outcome {
                Outcome::Rejected(why) => format!("{why:?}"),
                stored => format!("{stored:?}"),
            });
        }
    });
    let clock = clock();
    let theirs = SlowApp::new(&clock, Default::default());
    let conditions = (Conditions::new(), Conditions::new());
    let liar = LogSync::new(Arc::new(world.topics.clone()), hostile);
    let protocols = (world.protocol(&ours), liar);
    let outcome = session(&clock, conditions, Topic(1), protocols, (ingest, theirs));
    let verdicts = verdicts.lock().unwrap().clone();
    (ours, verdicts, outcome.initiator.is_ok())
}

fn one_log(operations: usize) -> World {
    let shape = LogShape { operations, body_max: 50, ..LogShape::default() };
    World::new(&mut Rng::new(3), 1, 1, &shape)
}

#[test]
fn one_forged_operation_does_not_take_the_others_along() {
    let shape = LogShape { operations: 3, body_max: 50, ..LogShape::default() };
    let world = World::new(&mut Rng::new(4), 3, 1, &shape);
    let victim = world.logs[1].0.public_key();
    let hostile = Liar::new(&world, |at, operation| {
        let is_target = at == 1 && operation.decode().unwrap().public_key() == victim;
        if is_target { forge(operation) } else { operation }
    });
    let (ours, verdicts, ok) = receive_from(&world, hostile, IngestLimits::default());
    assert!(ok, "verdicts do not end the session");
    assert_eq!(verdicts.iter().filter(|verdict| *verdict == "Stored").count(), 7, "{verdicts:?}");
    assert!(verdicts.iter().any(|verdict| verdict.contains("Signature")), "{verdicts:?}");
    assert!(verdicts.iter().any(|verdict| verdict.contains("Gap")), "what follows the forged one: {verdicts:?}");
    let tip = block_on(ours.tip(victim, 0)).unwrap().unwrap();
    assert_eq!(tip.seq_num.get(), 0);
}

#[test]
fn a_changed_body_is_not_stored() {
    let world = one_log(3);
    let hostile = Liar::new(&world, |_, operation| {
        let body = operation.body.map(|body| Hash::digest(&body).to_bytes().to_vec().into());
        StoredOperation::new(operation.seq_num, operation.header, body)
    });
    let (ours, verdicts, _) = receive_from(&world, hostile, IngestLimits::default());
    let stored = block_on(ours.read(world.logs[0].0.public_key(), 0, SeqRange::ALL, usize::MAX)).unwrap();
    for operation in stored.operations {
        operation.decode().unwrap().check_body().expect("only what fits its header is stored");
    }
    assert!(verdicts.iter().any(|verdict| verdict.contains("Payload")), "{verdicts:?}");
}

#[test]
fn a_flood_of_forgeries_ends_the_session() {
    let world = one_log(50);
    let hostile = Liar::new(&world, |_, operation| forge(operation));
    let (ours, verdicts, ok) = receive_from(&world, hostile, IngestLimits::default().with_rejected_max(10));
    assert!(!ok);
    assert!(verdicts.iter().all(|verdict| verdict != "Stored"));
    assert!(block_on(ours.tip(world.logs[0].0.public_key(), 0)).unwrap().is_none());
}
