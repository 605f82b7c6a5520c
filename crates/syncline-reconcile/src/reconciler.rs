//! One side of a reconciliation, whatever the algorithm.

use std::fmt::Debug;

use bytes::Bytes;

use crate::{IdPart, Item, ItemId, ReconcileError, ReconcileSet};

/// An item that this side lacks and the peer has, as far as it is known by now.
///
/// It is for counting and for showing progress. The peer finds the same items as its [`have`](Step::have), by their full ids,
/// and sends them without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Need {
    /// Its id.
    Id(ItemId),
    /// The beginning of its id.
    Part(IdPart),
    /// The hash of its id under this session's salt. The peer, which has the item, knows what is meant. Two items of one
    /// session may have the same, with a probability of one in 2^48 for each pair.
    Short(u64),
}

impl Need {
    /// Bits of a short id. Above them stands which run's salt it was hashed with.
    const SHORT_BITS: u32 = 48;

    pub(crate) const fn short(run: u8, short: u64) -> Self {
        Self::Short((run as u64) << Self::SHORT_BITS | short)
    }

    pub(crate) const fn run_of(short: u64) -> u8 {
        (short >> Self::SHORT_BITS) as u8
    }
}

/// What one message led to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Step {
    /// What to send, if anything.
    pub reply: Option<Bytes>,
    /// Items that were found to be here and not at the peer. Each is named once per session.
    pub have: Vec<Item>,
    /// Items that were found to be at the peer and not here. The peer finds the same items as its [`have`](Self::have).
    pub need: Vec<Need>,
}

impl Step {
    pub(crate) fn reply(message: Vec<u8>) -> Self {
        Self { reply: Some(message.into()), ..Self::default() }
    }
}

/// One side of a reconciliation, as a state machine without I/O.
///
/// One side [opens](Self::open), then each message leads to at most one in return, until both are
/// [done](Self::is_done). Both learn exactly what they have and what they need. Each call gets the same state of the set.
///
/// # Contract
///
/// - A side that is done has found all differences, and the accumulators of what both sides have in common agree. Nothing
///   less ends a session without an error.
/// - Whatever the peer sends, a call takes memory, time and messages within the reconciler's limits, or fails.
/// - After an error the reconciler is of no further use.
/// - Its messages are a function of its construction, the set, and what it received: no clock and no randomness of its own.
pub trait Reconciler: Debug + Send {
    /// The first message. Called by one of the two sides, before anything else.
    ///
    /// # Errors
    ///
    /// [`ReconcileError`].
    fn open(&mut self, set: &dyn ReconcileSet) -> Result<Step, ReconcileError>;

    /// Takes in a message of the peer.
    ///
    /// # Errors
    ///
    /// [`ReconcileError`].
    fn receive(&mut self, set: &dyn ReconcileSet, message: &[u8]) -> Result<Step, ReconcileError>;

    /// Whether this side has nothing more to learn and to say, once what it returned is sent.
    fn is_done(&self) -> bool;
}
