use std::fmt;
use std::sync::Arc;

use syncline_crypto::Hash;

use crate::ingest::Verdict;

/// What a session tells its observer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<L> {
    /// What became of one operation that came. If it was rejected, its header is the evidence.
    Verdict(Verdict<L>),
    /// What became of one body that was asked for.
    Payload {
        /// The operation.
        operation: Hash,
        /// What became of its body.
        outcome: PayloadOutcome,
    },
}

/// What became of a body that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PayloadOutcome {
    /// It is durable now.
    Stored,
    /// It was here by the time it came.
    Known,
    /// The peer does not have it.
    Missing,
    /// It is not the body that the operation names.
    Invalid,
    /// The operation is not here, or not in a log of the topic.
    Unknown,
}

/// Whom to tell.
pub(super) struct Observer<L>(Arc<dyn Fn(Event<L>) + Send + Sync>);

impl<L> Observer<L> {
    pub(super) fn new(observe: impl Fn(Event<L>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    pub(super) fn tell(&self, event: Event<L>) {
        (self.0)(event);
    }
}

impl<L> Clone for Observer<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L> fmt::Debug for Observer<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
