//! Random pairs of stores.

use std::collections::BTreeSet;

use crate::author::{Draft, Extensions, Pen};
use crate::image::{Image, LogKey, LogName, Prunes, Scope, Stored, Topic};
use crate::random::Random;

/// How much a scenario may hold. The original decodes a frame from its first byte again after each read, so what it gets
/// in small chunks has to be small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) authors: u64,
    pub(crate) logs: u64,
    pub(crate) operations: u64,
    /// Most bodies are shorter than this.
    pub(crate) body: u64,
    /// One body in the scenario may have up to this many bytes.
    pub(crate) large_body: u64,
}

impl Size {
    pub(crate) const TINY: Self = Self { authors: 2, logs: 2, operations: 3, body: 24, large_body: 64 };
    pub(crate) const SMALL: Self = Self { authors: 3, logs: 2, operations: 6, body: 100, large_body: 600 };
    pub(crate) const MEDIUM: Self = Self { authors: 4, logs: 4, operations: 10, body: 300, large_body: 16 << 10 };
    pub(crate) const LARGE: Self = Self { authors: 5, logs: 4, operations: 16, body: 1000, large_body: 1 << 20 };
}

/// Two stores, what they are asked to sync, and what is in neither's scope.
#[derive(Clone, Debug)]
pub(crate) struct Scenario<L: LogName> {
    pub(crate) topic: Topic,
    pub(crate) scope: Scope<L>,
    pub(crate) left: Image<L>,
    pub(crate) right: Image<L>,
    pub(crate) prunes: Prunes<L>,
    /// Logs where the side that is behind lacks operations that the other no longer has, with no prune flag that would
    /// say so. A receiver that insists on unbroken logs cannot take them.
    pub(crate) gaps: BTreeSet<LogKey<L>>,
}

impl<L: LogName> Scenario<L> {
    /// The scenario of a seed. `gaps` lets prefixes be deleted that the other side still needs.
    pub(crate) fn random(seed: u64, size: Size, gaps: bool) -> Self {
        generate(&mut Random::new(seed), size, gaps)
    }
}

/// One written log: its operations, and the numbers of those that prune.
struct Written {
    operations: Vec<Stored>,
    prunes: Vec<u64>,
}

fn generate<L: LogName>(random: &mut Random, size: Size, gaps: bool) -> Scenario<L> {
    let mut scenario = Scenario {
        topic: Topic(["", "messages", "täglich"][random.below(3) as usize].into(), [0, 23, 24, 255]),
        scope: Scope::new(),
        left: Image::new(),
        right: Image::new(),
        prunes: Prunes::new(),
        gaps: BTreeSet::new(),
    };
    let mut hashes = Vec::new();
    let mut large = random.one_in(3).then(|| random.between(size.body, size.large_body) as usize);
    for _ in 0..random.between(1, size.authors) {
        let secret = random.key();
        let author = Pen::new(secret).author();
        let mut scope: Vec<L> = Vec::new();
        let first = random.below(32);
        for n in first..first + random.below(size.logs + 1) {
            let key = (author, L::nth(n));
            let written = write_log(random, size, &key, secret, &mut hashes, &mut large);
            // One log in six is not asked for and must stay where it is.
            if !random.one_in(6) {
                scope.push(key.1.clone());
            }
            deal(random, &mut scenario, &key, &written, gaps);
        }
        // An author without a single log in the topic still appears in it.
        scenario.scope.insert(author, scope);
    }
    scenario
}

/// Writes a whole log, from its first operation.
fn write_log<L: LogName>(
    random: &mut Random,
    size: Size,
    key: &LogKey<L>,
    secret: [u8; 32],
    hashes: &mut Vec<[u8; 32]>,
    large: &mut Option<usize>,
) -> Written {
    let mut pen = Pen::new(secret);
    let mut written = Written { operations: Vec::new(), prunes: Vec::new() };
    for seq in 0..random.below(size.operations + 1) {
        let body = match large.take_if(|_| random.one_in(4)) {
            Some(len) => random.bytes(len),
            None if random.one_in(5) => Vec::new(),
            None => {
                let len = random.between(1, size.body) as usize;
                random.bytes(len)
            }
        };
        let prune = seq > 0 && random.one_in(8);
        if prune {
            written.prunes.push(seq);
        }
        let previous = 0..random.below(3).min(hashes.len() as u64);
        let previous = previous.map(|_| hashes[random.below(hashes.len() as u64) as usize]).collect();
        let timestamp =
            if random.one_in(2) { 1_700_000_000_000_000 + random.below(1 << 40) } else { random.below(300) };
        let extensions = Extensions {
            prune,
            expires: random.one_in(3).then(|| random.next() as i64 >> random.below(60)),
            tags: (0..random.below(2)).map(|n| (format!("tag {n}"), random.one_in(2).then_some(n as u8))).collect(),
            blob: if random.one_in(6) { random.bytes(20) } else { Vec::new() },
            ..Extensions::of(key.1.clone())
        };
        let (operation, hash) = pen.write(Draft { timestamp, body, previous, extensions: Some(extensions) });
        written.operations.push(operation);
        hashes.push(hash);
    }
    written
}

/// Gives each side a range of the log, as it might have come to hold it.
fn deal<L: LogName>(random: &mut Random, scenario: &mut Scenario<L>, key: &LogKey<L>, written: &Written, gaps: bool) {
    let len = written.operations.len() as u64;
    if len == 0 {
        return;
    }
    scenario.prunes.extend(written.prunes.iter().map(|seq| (key.clone(), *seq)));
    // How many operations each side has got so far; one in four has got all, one in four none.
    let mut got = || match random.below(4) {
        0 => len,
        1 => 0,
        _ => random.between(0, len),
    };
    let got = [got(), got()];
    // The newest prune flag that a side has seen removed what was before it.
    let mut starts = got.map(|got| written.prunes.iter().copied().rfind(|seq| *seq < got).unwrap_or(0));
    for (side, other) in [(0, 1), (1, 0)] {
        if got[side] > 0 && random.one_in(5) {
            let last = if gaps { got[side] - 1 } else { (got[side] - 1).min(got[other].max(starts[side])) };
            starts[side] = random.between(starts[side], last);
        }
        if got[side] > got[other] && starts[side] > got[other] && !written.prunes.contains(&starts[side]) {
            scenario.gaps.insert(key.clone());
        }
    }
    for (side, image) in [&mut scenario.left, &mut scenario.right].into_iter().enumerate() {
        for seq in starts[side]..got[side] {
            let mut operation = written.operations[seq as usize].clone();
            if random.one_in(10) {
                operation.body = None;
            }
            image.insert(key, seq, operation);
        }
    }
}

#[test]
fn scenarios_are_varied_and_repeatable() {
    let mut seen = [false; 7];
    for seed in 0..200 {
        let scenario = Scenario::<u64>::random(seed, Size::MEDIUM, seed % 2 == 0);
        assert_eq!(scenario.left, Scenario::random(seed, Size::MEDIUM, seed % 2 == 0).left, "seed {seed}");
        assert!(seed % 2 == 0 || scenario.gaps.is_empty(), "seed {seed}");
        let in_both = |key| scenario.left.logs.contains_key(key) && scenario.right.logs.contains_key(key);
        let starts_late = scenario.left.logs.values().any(|log| !log.contains_key(&0));
        let scoped = |key: &LogKey<u64>| scenario.scope.get(&key.0).is_some_and(|logs| logs.contains(&key.1));
        seen[0] |= scenario.left.len() > 0 && scenario.right.len() > 0;
        seen[1] |= scenario.left.len() == 0 || scenario.right.len() == 0;
        seen[2] |= scenario.left.logs.keys().any(in_both);
        seen[3] |= starts_late;
        seen[4] |= !scenario.gaps.is_empty();
        seen[5] |= scenario.left.logs.keys().any(|key| !scoped(key));
        seen[6] |= scenario.scope.values().any(Vec::is_empty);
    }
    assert_eq!(seen, [true; 7]);
}
