//! Where an operation goes, decided from what its log has. Shared by all stores of this crate.

use super::{Appended, Link, Tip};
use crate::validate::{self, Invalid};
use crate::{EncodedOperation, SeqNum};

/// What a store knows of a log that has, or had, operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogState {
    /// Operations that were pruned from the beginning, or never taken: the least place that is there. One more than the
    /// greatest place does not fit into 64 bits, so a log that is pruned as a whole is marked instead.
    pub(super) horizon: Horizon,
    /// The newest operation, also if it is pruned.
    pub(super) tip: Tip,
}

/// Which operations of a log are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Horizon {
    /// Those from this place to the tip, at least one.
    At(SeqNum),
    /// None.
    BehindTip,
}

impl LogState {
    /// Of a log that this operation begins, or that keeps nothing but this operation.
    pub(super) fn only(operation: &EncodedOperation) -> Self {
        let tip = Tip { seq_num: operation.seq_num(), hash: operation.hash() };
        Self { horizon: Horizon::At(tip.seq_num), tip }
    }

    /// After this operation was appended to the tip.
    pub(super) fn extended(&self, operation: &EncodedOperation) -> Self {
        let next = Self::only(operation);
        match self.horizon {
            Horizon::At(_) => Self { horizon: self.horizon, ..next },
            Horizon::BehindTip => next,
        }
    }

    /// After everything before `before` was pruned.
    pub(super) fn pruned(&self, before: SeqNum) -> Self {
        let horizon = match self.horizon {
            _ if before > self.tip.seq_num => Horizon::BehindTip,
            Horizon::At(first) => Horizon::At(first.max(before)),
            Horizon::BehindTip => Horizon::BehindTip,
        };
        Self { horizon, tip: self.tip }
    }

    /// The least and the greatest place that are there.
    pub(super) fn present(&self) -> Option<(SeqNum, SeqNum)> {
        match self.horizon {
            Horizon::At(first) => Some((first, self.tip.seq_num)),
            Horizon::BehindTip => None,
        }
    }

    pub(super) fn has(&self, seq_num: SeqNum) -> bool {
        self.present().is_some_and(|(first, last)| first <= seq_num && seq_num <= last)
    }

    /// The least place that is there, or could be next.
    pub(super) fn first(&self) -> Option<SeqNum> {
        match self.horizon {
            Horizon::At(first) => Some(first),
            Horizon::BehindTip => self.tip.seq_num.checked_next(),
        }
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
