//! What is known of all nodes together, and what must hold of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use syncline_core::{TopicMap, TopicQuery};
use syncline_crypto::{Ed25519, Hash, PublicKey, Signer, SigningKey, Verifier};
use syncline_log::store::{LogSummary, SeqRange, StoredOperation};
use syncline_log::{DatabaseStore, Extension, LogStore, Logs, PruneFlag, SeqNum, validate};
use syncline_testkit::cheap::{CheapSigner, CheapVerifier};
use syncline_testkit::cluster::{Check, NodeId};
use syncline_testkit::generate::LogExtensions;
use syncline_testkit::seed::Rng;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Topic(pub(crate) u8);
impl TopicQuery for Topic {}

/// There is one topic, with all logs.
#[derive(Clone, Debug)]
pub(crate) struct Topics(pub(crate) Logs<u64>);

#[async_trait]
impl TopicMap<Topic, Logs<u64>> for Topics {
    async fn get(&self, topic: &Topic) -> Option<Logs<u64>> {
        (topic.0 == 1).then(|| self.0.clone())
    }
}

pub(crate) type Store = DatabaseStore<u64>;
pub(crate) type LogKey = (PublicKey, u64);

/// Who writes, and on which nodes. With two nodes the logs fork.
pub(crate) struct Author {
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) homes: Vec<usize>,
}

/// The parts of a seed that are the logs'.
pub(crate) struct World {
    pub(crate) authors: Vec<Author>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) verifier: Arc<dyn Verifier>,
    /// How many of 1000 operations prune.
    pub(crate) prunes_per_mille: u64,
    /// The node that sends forged operations, and how many of 1000.
    pub(crate) forger: Option<(usize, u64)>,
    pub(crate) is_calm: bool,
    /// Whether there is never more than one way for an operation to a node: then it comes once, and not back.
    pub(crate) is_one_line: bool,
    /// Logs whose authors write on two nodes.
    may_fork: BTreeSet<LogKey>,
    /// The operation at each place of each log, as some node had it first.
    first_seen: BTreeMap<(LogKey, u64), Hash>,
    /// Logs of which nodes have held two histories.
    forked: BTreeSet<LogKey>,
    /// Operations whose signatures were found good.
    valid: BTreeSet<Hash>,
    nodes: BTreeMap<NodeId, NodeState>,
}

/// What is known of one node, through all its lives.
#[derive(Default)]
struct NodeState {
    /// What is durable there.
    durable: Option<Store>,
    logs: BTreeMap<LogKey, LogState>,
}

#[derive(Clone, Copy, Default)]
struct LogState {
    /// As it was checked last.
    first: u64,
    tip: Option<(u64, Hash)>,
    /// The newest that was reported as stored, to the author or to the application.
    acknowledged: Option<(u64, Hash)>,
    /// The newest that the application got.
    delivered: Option<u64>,
}

pub(crate) type Shared = Arc<Mutex<World>>;

pub(crate) fn lock(world: &Shared) -> MutexGuard<'_, World> {
    // A panic fails the run anyway.
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls of the inspected stores complete at once: they run inline on memory.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("a store that runs inline")
}

impl World {
    pub(crate) fn draw(seed: u64, nodes: usize) -> Self {
        let mut rng = Rng::new(seed ^ 0x10c5);
        // One seed in twenty has real signatures.
        let is_real = seed % 20 == 7;
        let (mut authors, mut logs, mut may_fork) = (Vec::new(), Logs::new(), BTreeSet::new());
        let forks = rng.chance(1, 4);
        let log_count = 1 + rng.below(3);
        for index in 0..1 + rng.below(4) {
            let signer: Arc<dyn Signer> = if is_real {
                let secret = Hash::digest(&rng.next_u64().to_le_bytes()).to_bytes();
                Arc::new(SigningKey::from_bytes(&secret))
            } else {
                Arc::new(CheapSigner::from_seed(rng.next_u64()))
            };
            let mut homes = vec![rng.index(nodes)];
            let other = rng.index(nodes);
            if index == 0 && forks && other != homes[0] {
                homes.push(other);
            }
            for log_id in 0..log_count {
                logs.entry(signer.public_key()).or_default().push(log_id);
                if homes.len() > 1 {
                    may_fork.insert((signer.public_key(), log_id));
                }
            }
            authors.push(Author { signer, homes });
        }
        let verifier: Arc<dyn Verifier> = if is_real { Arc::new(Ed25519) } else { Arc::new(CheapVerifier) };
        let prunes_per_mille = if rng.chance(1, 2) { rng.below(200) } else { 0 };
        let forger = rng.chance(1, 4).then(|| (rng.index(nodes), 1 + rng.below(300)));
        Self {
            authors,
            topics: Arc::new(Topics(logs)),
            verifier,
            prunes_per_mille,
            forger,
            is_calm: false,
            is_one_line: false,
            may_fork,
            first_seen: BTreeMap::new(),
            forked: BTreeSet::new(),
            valid: BTreeSet::new(),
            nodes: BTreeMap::new(),
        }
    }

    /// A node has started on this. Gives what its application has not seen yet, in order.
    pub(crate) fn started(&mut self, id: NodeId, durable: Store) -> Vec<(LogKey, u64, Hash)> {
        let state = self.nodes.entry(id).or_default();
        state.durable = Some(durable.clone());
        let mut missed = Vec::new();
        // A disk that fails while it is read ends the node; the next start reads again.
        for summary in now(durable.logs(None, usize::MAX)).unwrap_or_default() {
            let key = (summary.author, summary.log_id);
            let from = state.logs.get(&key).and_then(|log| log.delivered).map_or(0, |last| last + 1);
            let range = SeqRange::starting_at(SeqNum::new(from));
            let Ok(page) = now(durable.read(key.0, key.1, range, usize::MAX)) else { return Vec::new() };
            missed.extend(page.operations.iter().map(|one| (key, one.seq_num.get(), Hash::digest(&one.header))));
        }
        missed
    }

    pub(crate) fn is_forger(&self, id: NodeId) -> bool {
        self.forger.is_some_and(|(forger, _)| forger == id.index())
    }

    pub(crate) fn may_fork(&self, key: &LogKey) -> bool {
        self.may_fork.contains(key)
    }

    /// How far each log of a node went when it was checked last, forked ones aside.
    pub(crate) fn heights(&self, id: NodeId) -> BTreeMap<LogKey, u64> {
        let logs = self.nodes.get(&id).into_iter().flat_map(|state| &state.logs);
        let heights = logs.filter_map(|(key, log)| Some((*key, log.tip?.0)));
        heights.filter(|(key, _)| !self.may_fork.contains(key)).collect()
    }

    /// Something that a node lacks of what `peer` had when it had these heights, and still has.
    pub(crate) fn lacks(&self, id: NodeId, peer: NodeId, promised: &BTreeMap<LogKey, u64>) -> Option<(LogKey, u64)> {
        let (ours, theirs) = (self.ranges(id)?, self.ranges(peer)?);
        let lacks = promised.iter().find(|(key, height)| {
            let is_pruned = theirs.get(key).is_none_or(|(first, _)| first > *height);
            !is_pruned && ours.get(key).is_none_or(|(_, tip)| tip < *height)
        });
        lacks.map(|(key, height)| (*key, *height))
    }

    /// The first and the last place of each log of a node at this moment. `None` if its disk is off.
    fn ranges(&self, id: NodeId) -> Option<BTreeMap<LogKey, (u64, u64)>> {
        let durable = self.nodes.get(&id)?.durable.as_ref()?;
        let logs = now(durable.logs(None, usize::MAX)).ok()?;
        let range = |log: LogSummary<u64>| ((log.author, log.log_id), (log.first.get(), log.tip.seq_num.get()));
        Some(logs.into_iter().map(range).collect())
    }

    /// A node has said of an operation that it is stored.
    pub(crate) fn acknowledged(&mut self, id: NodeId, key: LogKey, seq_num: u64, hash: Hash) -> Result<(), String> {
        let state = self.nodes.entry(id).or_default();
        if let Some(durable) = &state.durable {
            let tip = now(durable.tip(key.0, key.1)).map_err(|err| err.to_string())?;
            if tip.is_none_or(|tip| tip.seq_num.get() < seq_num) {
                return Err(format!("{} is reported as stored and is not durable", name(&key, seq_num)));
            }
        }
        let log = state.logs.entry(key).or_default();
        if log.acknowledged.is_none_or(|(known, _)| known < seq_num) {
            log.acknowledged = Some((seq_num, hash));
        }
        Ok(())
    }

    /// An application got an operation.
    pub(crate) fn delivered(&mut self, id: NodeId, key: LogKey, seq_num: u64, hash: Hash) -> Result<(), String> {
        self.acknowledged(id, key, seq_num, hash)?;
        let state = self.nodes.entry(id).or_default();
        let log = state.logs.entry(key).or_default();
        match log.delivered {
            Some(last) if last >= seq_num => {
                return Err(format!("{} is delivered again, or behind {last}", name(&key, seq_num)));
            }
            last => {
                let next = last.map_or(0, |last| last + 1);
                let first = state.durable.as_ref().map(|durable| first_of(durable, &key)).transpose()?.flatten();
                // What was pruned before it came is never seen.
                if seq_num != next && first.is_none_or(|first| seq_num > first) {
                    return Err(format!("{} is delivered where {next} comes next", name(&key, seq_num)));
                }
            }
        }
        log.delivered = Some(seq_num);
        Ok(())
    }

    /// Checks what is durable at a node.
    pub(crate) fn check(&mut self, id: NodeId, check: Check) -> Result<(), String> {
        let Some(durable) = self.nodes.get(&id).and_then(|state| state.durable.clone()) else { return Ok(()) };
        // A disk that is off ends the node soon; what is on it is looked at when it starts again.
        let Ok(summaries) = now(durable.logs(None, usize::MAX)) else { return Ok(()) };
        let count = summaries.len();
        for summary in summaries {
            self.check_log(id, &durable, &summary, check)?;
        }
        let known = self.nodes.get(&id).map_or(0, |state| state.logs.values().filter(|log| log.tip.is_some()).count());
        if count < known { Err(format!("{} logs of {known} are gone", known - count)) } else { Ok(()) }
    }

    fn check_log(&mut self, id: NodeId, durable: &Store, log: &LogSummary<u64>, check: Check) -> Result<(), String> {
        let key = (log.author, log.log_id);
        let before = self.nodes.get(&id).and_then(|state| state.logs.get(&key)).copied().unwrap_or_default();
        let (first, tip) = (log.first.get(), (log.tip.seq_num.get(), log.tip.hash));
        let least = before.tip.map(|(seq_num, _)| seq_num).max(before.acknowledged.map(|(seq_num, _)| seq_num));
        if least.is_some_and(|least| tip.0 < least) || first < before.first {
            return Err(format!("{} was {least:?} and is the tip", name(&key, tip.0)));
        }
        // What was looked at already does not change, but for what is pruned.
        let checked = before.tip.filter(|(seq_num, _)| check == Check::Changed && *seq_num >= first);
        if checked == Some(tip) && first == before.first {
            return Ok(());
        }
        let from = checked.map_or(first, |(seq_num, _)| seq_num + 1);
        let Ok(page) = now(durable.read(key.0, key.1, SeqRange::new(SeqNum::new(from), SeqNum::MAX), usize::MAX))
        else {
            return Ok(());
        };
        let (mut place, mut last) = (from, checked.map(|(_, hash)| hash));
        for operation in &page.operations {
            if operation.seq_num.get() != place {
                return Err(format!("{} is there where {place} comes next", name(&key, operation.seq_num.get())));
            }
            last = Some(self.check_operation(&key, operation, last)?);
            if before.acknowledged.is_some_and(|(seq_num, hash)| seq_num == place && Some(hash) != last) {
                return Err(format!("{} is another one than was acknowledged", name(&key, place)));
            }
            place += 1;
        }
        if place != tip.0 + 1 || last.is_some_and(|last| last != tip.1) {
            return Err(format!("{} is the tip and not the last operation", name(&key, tip.0)));
        }
        let state = self.nodes.entry(id).or_default().logs.entry(key).or_default();
        (state.first, state.tip) = (first, Some(tip));
        Ok(())
    }

    /// Checks one operation behind the one with the hash `last`, or at the log's beginning. Gives its hash.
    fn check_operation(
        &mut self,
        key: &LogKey,
        operation: &StoredOperation,
        last: Option<Hash>,
    ) -> Result<Hash, String> {
        let at = || name(key, operation.seq_num.get());
        let decoded = operation.decode().map_err(|err| format!("{} cannot be read: {err}", at()))?;
        let hash = decoded.hash();
        if !self.valid.contains(&hash) {
            validate::operation(&decoded, &*self.verifier).map_err(|err| format!("{} is not valid: {err}", at()))?;
            self.valid.insert(hash);
        }
        let header = decoded.header::<LogExtensions>().map_err(|err| format!("{}: {err}", at()))?;
        let prunes = <LogExtensions as Extension<PruneFlag>>::extract(&header).is_some_and(|flag| flag.is_set());
        let log_id = <LogExtensions as Extension<u64>>::extract(&header);
        if (decoded.public_key(), log_id) != (key.0, Some(key.1)) || decoded.seq_num() != operation.seq_num {
            return Err(format!("{} is in the wrong place", at()));
        }
        let begins = operation.seq_num == SeqNum::ZERO || prunes;
        let continues = last.map_or(begins, |last| decoded.backlink() == Some(last) || prunes);
        if !continues {
            return Err(format!("{} does not continue its log", at()));
        }
        let seen = *self.first_seen.entry((*key, operation.seq_num.get())).or_insert(hash);
        if seen != hash {
            if !self.may_fork.contains(key) {
                return Err(format!("{} exists twice, and its author wrote it once", at()));
            }
            self.forked.insert(*key);
        }
        Ok(hash)
    }

    /// Whether all nodes hold the same, and each application has got it.
    pub(crate) fn converged(&self, forks_are_noticed: bool) -> Result<(), String> {
        for (author, logs) in &self.topics.0 {
            for log_id in logs {
                let key = (*author, *log_id);
                for (id, state) in &self.nodes {
                    let log = state.logs.get(&key).copied().unwrap_or_default();
                    if log.delivered != log.tip.map(|(seq_num, _)| seq_num) {
                        let (got, has) = (log.delivered, log.tip.map(|(seq_num, _)| seq_num));
                        return Err(format!("{id} has {}, its application {got:?}", name(&key, has.unwrap_or(0))));
                    }
                }
                self.agree(&key, forks_are_noticed)?;
            }
        }
        Ok(())
    }

    fn agree(&self, key: &LogKey, forks_are_noticed: bool) -> Result<(), String> {
        let held = |state: &NodeState| state.logs.get(key).map(|log| (log.first, log.tip));
        let mut all = self.nodes.iter().map(|(id, state)| (id, held(state)));
        let Some((one, held_by_one)) = all.next() else { return Ok(()) };
        let Some((other, held_by_other)) = all.find(|(_, held)| *held != held_by_one) else { return Ok(()) };
        if !self.forked.contains(key) {
            return Err(format!("{one} has {held_by_one:?} of {}, {other} {held_by_other:?}", name(key, 0)));
        }
        // What a prune flag has taken away proves nothing any more.
        let is_pruned = |state: &NodeState| state.logs.get(key).is_some_and(|log| log.first > 0);
        if !forks_are_noticed || self.nodes.values().any(is_pruned) {
            return Ok(());
        }
        for (id, state) in &self.nodes {
            let Some(durable) = &state.durable else { continue };
            let forks = now(durable.forks(key.0, key.1)).map_err(|err| err.to_string())?;
            if forks.is_empty() {
                let held: Vec<String> = self
                    .nodes
                    .iter()
                    .map(|(id, state)| format!("{id} {:?}", held(state).unwrap_or_default()))
                    .collect();
                let log = name(key, 0);
                return Err(format!("{id} does not know that {log} is forked, of which {}", held.join(", ")));
            }
        }
        Ok(())
    }

    /// A hash of what a node has.
    pub(crate) fn digest(&self, id: NodeId) -> Hash {
        let mut bytes = Vec::new();
        for ((author, log_id), log) in self.nodes.get(&id).into_iter().flat_map(|state| &state.logs) {
            bytes.extend_from_slice(author.as_bytes());
            bytes.extend_from_slice(&log_id.to_le_bytes());
            bytes.extend_from_slice(format!("{:?} {:?} {:?}", log.first, log.tip, log.delivered).as_bytes());
        }
        Hash::digest(&bytes)
    }
}

fn first_of(durable: &Store, key: &LogKey) -> Result<Option<u64>, String> {
    let logs = now(durable.logs(None, usize::MAX)).map_err(|err| err.to_string())?;
    Ok(logs.into_iter().find(|log| (log.author, log.log_id) == *key).map(|log| log.first.get()))
}

/// An operation in a message: a few digits of the author, the log, the place.
pub(crate) fn name((author, log_id): &LogKey, seq_num: u64) -> String {
    let author: String = author.as_bytes().iter().take(2).map(|byte| format!("{byte:02x}")).collect();
    format!("{author}/{log_id}@{seq_num}")
}
