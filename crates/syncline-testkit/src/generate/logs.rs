//! Whole logs.

use bytes::Bytes;
use syncline_crypto::{Hash, SigningKey};
use syncline_log::store::NewOperation;
use syncline_log::{EncodedOperation, Extension as _, Link, Operation, PruneFlag};

use super::{Author, LogExtensions, Step};
use crate::seed::Rng;

/// What a generated log is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "tests build it")]
pub struct LogShape {
    /// Number of operations.
    pub operations: usize,
    /// The greatest body in bytes. One in eight has none.
    pub body_max: usize,
    /// How many of 1000 operations have the prune flag. Half of these leave out some sequence numbers.
    pub prunes_per_mille: u64,
    /// The most hashes of other operations in a header. Half of the headers have none.
    pub previous_max: usize,
}

impl Default for LogShape {
    /// 16 operations of up to 200 bytes, nothing pruned, nothing referred to.
    fn default() -> Self {
        Self { operations: 16, body_max: 200, prunes_per_mille: 0, previous_max: 0 }
    }
}

/// The operations of a log, from its first on.
pub fn log(rng: &mut Rng, key: &SigningKey, log_id: u64, shape: &LogShape) -> Vec<Operation<LogExtensions>> {
    let mut author = Author::new(key.clone(), log_id);
    (0..shape.operations)
        .map(|at| {
            let step = step(rng, at, shape);
            author.write(step)
        })
        .collect()
}

fn step(rng: &mut Rng, at: usize, shape: &LogShape) -> Step {
    let body_len = if rng.chance(1, 8) { 0 } else { rng.index(shape.body_max.saturating_add(1)) };
    let previous = if rng.chance(1, 2) { 0 } else { rng.index(shape.previous_max.saturating_add(1)) };
    let prunes = at > 0 && rng.chance(shape.prunes_per_mille, 1000);
    Step {
        body: Bytes::from(rng.bytes(body_len)),
        timestamp: rng.next_u64() >> rng.below(64),
        previous: (0..previous).map(|_| Hash::digest(&rng.next_u64().to_le_bytes())).collect(),
        prunes,
        skip: if prunes && rng.chance(1, 2) { rng.below(5) } else { 0 },
    }
}

/// The operation as it travels.
///
/// # Panics
///
/// If it cannot be encoded. Operations from this module can.
#[must_use]
pub fn encoded(operation: &Operation<LogExtensions>) -> EncodedOperation {
    match EncodedOperation::from_operation(operation) {
        Ok(encoded) => encoded,
        Err(error) => panic!("an operation of the generator was not encoded: {error:?}"),
    }
}

/// The operations as they are appended, linked as their prune flags say.
///
/// # Panics
///
/// As [`encoded`].
#[must_use]
pub fn new_operations(operations: &[Operation<LogExtensions>]) -> Vec<NewOperation<u64>> {
    operations
        .iter()
        .map(|operation| {
            let prunes: Option<PruneFlag> = operation.header.extension();
            let link = if prunes.is_some_and(|flag| flag.is_set()) { Link::Prunes } else { Link::Next };
            let log_id = LogExtensions::extract(&operation.header).unwrap_or_default();
            NewOperation { log_id, operation: encoded(operation), link }
        })
        .collect()
}
