//! Where an operation goes, decided from what its log has. Shared by all stores of this crate.

use super::{Appended, Link, SeqRange, Tip};
use crate::validate::{self, Invalid};
use crate::{EncodedOperation, SeqNum};

/// What a store knows of a log that has, or had, operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogState {
    /// The prune horizon: the least place that is there, or one more than the tip's if all are pruned. It always is a
    /// number, since nothing can be pruned before a place behind the last.
    pub(super) first: SeqNum,
    /// The newest operation, also if it is pruned.
    pub(super) tip: Tip,
}

impl LogState {
    /// Of a log that this operation begins, or that keeps nothing but this operation.
    pub(super) fn only(operation: &EncodedOperation) -> Self {
        let tip = Tip { seq_num: operation.seq_num(), hash: operation.hash() };
        Self { first: tip.seq_num, tip }
    }

    /// After this operation was appended to the tip.
    pub(super) fn extended(&self, operation: &EncodedOperation) -> Self {
        Self { first: self.first, ..Self::only(operation) }
    }

    /// After everything before `before` was pruned.
    pub(super) fn pruned(&self, before: SeqNum) -> Self {
        let behind_tip = self.tip.seq_num.checked_next().unwrap_or(SeqNum::MAX);
        Self { first: self.first.max(before.min(behind_tip)), tip: self.tip }
    }

    /// The places that are there.
    pub(super) fn present(&self) -> Option<SeqRange> {
        Some(SeqRange::new(self.first, self.tip.seq_num)).filter(|range| !range.is_empty())
    }

    pub(super) fn has(&self, seq_num: SeqNum) -> bool {
        SeqRange::new(self.first, self.tip.seq_num).contains(seq_num)
    }
}

/// What to do with an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Store it; the log then has this state.
    Store(LogState),
    /// Compare it with the stored operation at its place: the same is known, another is a fork.
    Compare,
    /// Nothing is to be done.
    Settled(Appended),
}

pub(super) fn decide(state: Option<&LogState>, operation: &EncodedOperation, link: Link) -> Decision {
    match validate::link(state.map(|state| state.tip), operation, link) {
        Ok(()) => Decision::Store(match state {
            Some(state) if link != Link::Prunes => state.extended(operation),
            _ => LogState::only(operation),
        }),
        Err(Invalid::SequenceGap { expected, .. }) => Decision::Settled(Appended::Gap { expected }),
        Err(Invalid::SequencePast { .. }) => match state {
            Some(state) if state.has(operation.seq_num()) => Decision::Compare,
            // The tip's hash is known even if its operation was pruned.
            Some(state) if state.tip == LogState::only(operation).tip => Decision::Settled(Appended::Known),
            _ => Decision::Settled(Appended::Pruned),
        },
        // `link` has no other reason to refuse an operation than the backlink.
        Err(_) => Decision::Settled(Appended::Backlink),
    }
}
