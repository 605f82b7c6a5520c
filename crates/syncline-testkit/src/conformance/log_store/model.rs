//! Random calls, compared with a model that is obviously right.

use std::collections::BTreeMap;

use bytes::Bytes;
use syncline_crypto::{Hash, PublicKey};
use syncline_log::store::{Appended, LogSummary, NewOperation, StoredOperation, Tip, Tips};
use syncline_log::{EncodedOperation, Fork, Heights, Link, LogStore, Logs, SeqNum, SeqRange};

use super::{author, ok, seq, stored};
use crate::generate::{Author, Step, encoded};
use crate::seed::{Rng, for_each_seed};

const SEEDS: u64 = 16;
const STEPS: usize = 60;
const AUTHORS: u64 = 2;
const LOG_IDS: [u64; 2] = [0, 300];

type Name = (PublicKey, u64);

#[derive(Default)]
struct Model {
    logs: BTreeMap<Name, Log>,
}

struct Log {
    /// What is below is never taken again.
    horizon: u64,
    tip: Tip,
    operations: BTreeMap<u64, EncodedOperation>,
    /// By place and hash of the second.
    forks: BTreeMap<(u64, Hash), Fork>,
}

pub(super) fn check<S: LogStore<u64>>(fresh: &impl Fn() -> S, reopen: Option<&dyn Fn(S) -> S>) {
    for_each_seed(0..SEEDS, |seed| {
        let mut rng = Rng::new(seed);
        let pool = pool(&mut rng);
        let (mut store, mut model) = (fresh(), Model::default());
        for _ in 0..STEPS {
            step(&store, &mut model, &pool, &mut rng);
            if let Some(reopen) = reopen.filter(|_| rng.chance(1, 10)) {
                store = reopen(store);
            }
            compare(&store, &model, &pool, &mut rng);
        }
    });
}

/// Operations of several logs, of several histories each, with the links that their prune flags ask for.
fn pool(rng: &mut Rng) -> Vec<NewOperation<u64>> {
    let mut pool = Vec::new();
    for number in 0..AUTHORS {
        for log_id in LOG_IDS {
            let mut histories = vec![author(number, log_id)];
            for _ in 0..24 {
                let at = rng.index(histories.len());
                if rng.chance(1, 10) {
                    let fork = histories[at].clone();
                    histories.push(fork);
                }
                pool.push(write(&mut histories[at], rng));
            }
        }
    }
    pool
}

fn write(history: &mut Author, rng: &mut Rng) -> NewOperation<u64> {
    let prunes = history.tip().is_some() && rng.chance(1, 12);
    let skip = if prunes { rng.below(3) } else { 0 };
    let body_len = rng.index(30);
    let step =
        Step { body: rng.bytes(body_len).into(), timestamp: rng.below(1 << 40), prunes, skip, ..Step::default() };
    let link = step.link();
    NewOperation { log_id: history.log_id(), operation: encoded(&history.write(step)), link }
}

fn step<S: LogStore<u64>>(store: &S, model: &mut Model, pool: &[NewOperation<u64>], rng: &mut Rng) {
    let (author, log_id) = name(pool, rng);
    match rng.below(20) {
        0..15 => {
            let batch = batch(pool, rng);
            let expected: Vec<Appended> = batch.iter().map(|new| model.append(new)).collect();
            assert_eq!(ok(store.append(batch)), expected, "the outcomes of a batch");
        }
        15 => {
            let before = seq(rng.below(26));
            assert_eq!(ok(store.prune(author, log_id, before)), model.prune(author, log_id, before), "what is pruned");
        }
        18 => {
            let hash = hash(pool, rng);
            let body = pool.iter().find(|new| new.operation.hash() == hash).and_then(|new| new.operation.body());
            if let Some(body) = body {
                let was_missing = model.add_payload(hash, body);
                assert_eq!(ok(store.add_payload(hash, body.clone())), was_missing, "whether a payload was missing");
            }
        }
        16..18 => {
            let hash = hash(pool, rng);
            assert_eq!(ok(store.delete_payload(hash)), model.delete_payload(hash), "whether there was a payload");
        }
        _ => {
            let was_there = model.logs.remove(&(author, log_id)).is_some();
            assert_eq!(ok(store.delete_log(author, log_id)), was_there, "whether there was a log");
        }
    }
}

/// Mostly runs in order, as sync brings them.
fn batch(pool: &[NewOperation<u64>], rng: &mut Rng) -> Vec<NewOperation<u64>> {
    let start = rng.index(pool.len());
    let len = rng.index(12);
    let run = pool.iter().cycle().skip(start).take(len);
    let mut batch: Vec<NewOperation<u64>> = run.filter(|_| rng.chance(14, 15)).cloned().collect();
    for new in &mut batch {
        if rng.chance(1, 12) {
            new.link = *rng.pick(&[Link::Next, Link::Prunes, Link::MayStart]).unwrap_or(&Link::Next);
        }
        if rng.chance(1, 15) {
            new.operation = new.operation.clone().with_body(None);
        }
    }
    batch
}

fn name(pool: &[NewOperation<u64>], rng: &mut Rng) -> Name {
    rng.pick(pool).map_or((author(0, 0).public_key(), 0), |new| (new.operation.public_key(), new.log_id))
}

fn hash(pool: &[NewOperation<u64>], rng: &mut Rng) -> Hash {
    rng.pick(pool).map_or(Hash::digest(b""), |new| new.operation.hash())
}

impl Model {
    fn append(&mut self, new: &NewOperation<u64>) -> Appended {
        let operation = &new.operation;
        let (place, hash) = (operation.seq_num().get(), operation.hash());
        let name = (operation.public_key(), new.log_id);
        let Some(log) = self.logs.get_mut(&name) else {
            if place > 0 && new.link == Link::Next {
                return Appended::Gap { expected: seq(0) };
            }
            let tip = Tip { seq_num: operation.seq_num(), hash };
            let operations = [(place, operation.clone())].into();
            self.logs.insert(name, Log { horizon: place, tip, operations, forks: BTreeMap::new() });
            return Appended::New;
        };
        let tip = log.tip.seq_num.get();
        if place > tip {
            if new.link == Link::Prunes {
                log.operations.clear();
                log.horizon = place;
            } else if place > tip + 1 {
                return Appended::Gap { expected: seq(tip + 1) };
            } else if operation.backlink() != Some(log.tip.hash) {
                return Appended::Backlink;
            }
            log.operations.insert(place, operation.clone());
            log.tip = Tip { seq_num: operation.seq_num(), hash };
            return Appended::New;
        }
        if log.tip.hash == hash {
            return Appended::Known;
        }
        match log.operations.get(&place) {
            None => Appended::Pruned,
            Some(stored) if stored.hash() == hash => Appended::Known,
            Some(stored) => {
                let fork = Fork::new(stored.header_bytes().clone(), operation.header_bytes().clone());
                let Ok(fork) = fork else { panic!("two operations at one place are a fork: {fork:?}") };
                if log.forks.len() < Fork::PER_LOG_MAX {
                    log.forks.entry((place, hash)).or_insert_with(|| fork.clone());
                }
                Appended::Forked(Box::new(fork))
            }
        }
    }

    fn prune(&mut self, author: PublicKey, log_id: u64, before: SeqNum) -> u64 {
        let Some(log) = self.logs.get_mut(&(author, log_id)) else { return 0 };
        let had = log.operations.len();
        log.operations.retain(|place, _| *place >= before.get());
        log.horizon = log.horizon.max(before.get().min(log.tip.seq_num.get() + 1));
        (had - log.operations.len()) as u64
    }

    fn delete_payload(&mut self, hash: Hash) -> bool {
        let operations = self.logs.values_mut().flat_map(|log| log.operations.values_mut());
        let found = operations.filter(|operation| operation.hash() == hash && operation.body().is_some());
        found.map(|operation| *operation = operation.clone().with_body(None)).count() > 0
    }

    fn add_payload(&mut self, hash: Hash, body: &Bytes) -> bool {
        let operations = self.logs.values_mut().flat_map(|log| log.operations.values_mut());
        let found = operations.filter(|operation| operation.hash() == hash && operation.body().is_none());
        found.map(|operation| *operation = operation.clone().with_body(Some(body.clone()))).count() > 0
    }

    fn heights(&self, logs: &Logs<u64>) -> Heights<u64> {
        let mut heights = Heights::new();
        for (author, log_ids) in logs {
            for log_id in log_ids {
                if let Some(log) = self.logs.get(&(*author, *log_id)) {
                    heights.entry(*author).or_default().insert(*log_id, log.tip.seq_num);
                }
            }
        }
        heights
    }
}

fn compare<S: LogStore<u64>>(store: &S, model: &Model, pool: &[NewOperation<u64>], rng: &mut Rng) {
    let logs: Logs<u64> = (0..AUTHORS).map(|number| (author(number, 0).public_key(), LOG_IDS.into())).collect();
    assert_eq!(ok(store.heights(&logs)), model.heights(&logs), "heights");
    let mut tips = Tips::new();
    for ((author, log_id), log) in &model.logs {
        tips.entry(*author).or_default().insert(*log_id, log.tip);
    }
    assert_eq!(ok(store.tips(&logs)), tips, "tips");
    let hash = hash(pool, rng);
    let found = ok(store.get(hash)).map(|located| ((located.author, located.log_id), located.operation));
    let operations = |log: &Log| log.operations.values().find(|row| row.hash() == hash).map(stored);
    let expected = model.logs.iter().find_map(|(name, log)| Some((*name, operations(log)?)));
    assert_eq!(found, expected, "the operation {hash}");

    let (author, log_id) = name(pool, rng);
    let log = model.logs.get(&(author, log_id));
    assert_eq!(ok(store.tip(author, log_id)), log.map(|log| log.tip), "a tip");
    let forks = log.map_or(Vec::new(), |log| log.forks.values().cloned().collect());
    assert_eq!(ok(store.forks(author, log_id)), forks, "forks");
    let range = SeqRange::new(seq(rng.below(20)), if rng.chance(1, 2) { SeqNum::MAX } else { seq(rng.below(30)) });
    let rows = log.map_or(Vec::new(), |log| log.operations.values().map(stored).collect());
    let rows: Vec<StoredOperation> = rows.into_iter().filter(|row| range.contains(row.seq_num)).collect();
    let size = ok(store.size(author, log_id, range));
    let bytes: usize = rows.iter().map(StoredOperation::byte_len).sum();
    assert_eq!((size.operations, size.bytes), (rows.len() as u64, bytes as u64), "a size");
    let bytes_max = rng.index(2000);
    let page = ok(store.read(author, log_id, range, bytes_max));
    assert_eq!(page.operations, rows[..page.operations.len()], "a page");
    assert_eq!(page.next, rows.get(page.operations.len()).map(|row| row.seq_num), "what comes behind a page");

    let mut listed = ok(store.logs(None, usize::MAX));
    listed.sort_by_key(|log| (log.author, log.log_id));
    let summary = |(name, log): (&Name, &Log)| LogSummary::new(name.0, name.1, seq(log.horizon), log.tip);
    assert_eq!(listed, model.logs.iter().map(summary).collect::<Vec<_>>(), "the listing");
}
