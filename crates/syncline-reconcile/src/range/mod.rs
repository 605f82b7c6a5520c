//! Range-based set reconciliation.

mod answer;
mod compose;
mod config;
mod handover;
mod ops;
mod part;
mod salt;
mod session;
mod steps;
mod take;
mod verdict;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use self::handover::Greeted;
pub(crate) use self::salt::{DIGEST_LEN, Digest};
use self::salt::{Role, Widths};
pub(crate) use self::session::Offer;
use self::session::Session;
use crate::limits::Budget;
use crate::{ItemId, Need, ReconcileError, ReconcileSet, Reconciler, Span, Step};

pub use self::config::RangeConfig;
pub use self::salt::Nonce;

/// The most items of one list. A peer that sends a longer one is refused.
pub(crate) const LIST_LEN_MAX: usize = 1_024;

/// Finds differences by comparing the fingerprints of ranges, and cutting those that differ into smaller ones, down to a few
/// items that are listed (Meyer: "Range-based set reconciliation", SRDS 2023; negentropy and iroh-docs are of this kind).
///
/// Half a round trip for each factor of [`fan_out`](RangeConfig::fan_out), and bytes in proportion to the differences,
/// fewer where they lie close together in the order of keys. The only one of the reconcilers that does a
/// [part](Self::over) of a set.
///
/// Fingerprints on the wire are keyed by both sides' nonces, and items are named by 6 bytes salted with them. Both are
/// hints. What ends the session is the accumulator of what both sides have in common; if these differ while nothing else
/// does, ranges are compared again with hashes that nobody could know when the items were made.
///
/// `docs/spec/reconcile.md` describes the messages.
#[derive(Debug)]
pub struct RangeReconciler {
    config: RangeConfig,
    widths: Widths,
    span: Span,
    ours: Nonce,
    theirs: Option<Nonce>,
    role: Role,
    /// Whether the nonces were exchanged before the session, and so are not part of it.
    is_exchanged: bool,
    budget: Budget,
    state: State,
}

#[derive(Debug)]
enum State {
    Fresh,
    Running(Box<Session>),
    Done,
    Failed,
}

impl RangeReconciler {
    /// One side of a session over a whole set. `nonce` is 16 random bytes, for this session only.
    #[must_use]
    pub fn new(config: RangeConfig, nonce: Nonce) -> Self {
        Self {
            config: config.clamped(),
            widths: Widths::WIRE,
            span: Span::ALL,
            ours: nonce,
            theirs: None,
            role: Role::Responder,
            is_exchanged: false,
            budget: Budget::new(config.limits),
            state: State::Fresh,
        }
    }

    /// The same for two sides that know both nonces already, from the protocol around. Both must be made in this way.
    #[must_use]
    pub fn with_nonces(config: RangeConfig, ours: Nonce, theirs: Nonce) -> Self {
        Self { theirs: Some(theirs), is_exchanged: true, ..Self::new(config, ours) }
    }

    /// Limits the session to the items of a span. Both sides must name the same.
    ///
    /// A part of a set has no accumulator. Its verdict is a hash over all items of the span, salted with both nonces: 84 ns
    /// for each, once or twice a session.
    #[must_use]
    pub fn over(mut self, span: Span) -> Self {
        self.span = span;
        self
    }

    /// Whether an item is what the peer means by this [need](Step::need), which it named to this side in some other way.
    /// Of use only to a side that does not simply send all that it was told to [have](Step::have).
    #[must_use]
    pub fn is_meant(&self, set: &dyn ReconcileSet, need: &Need, id: &ItemId) -> bool {
        match need {
            Need::Id(needed) => needed == id,
            Need::Part(part) => *part == id.part(),
            Need::Short(short) => self
                .salt(set, Need::run_of(*short))
                .is_ok_and(|salt| Need::short(salt.number(), salt.short(id)) == *need),
        }
    }
}

impl Reconciler for RangeReconciler {
    fn open(&mut self, set: &dyn ReconcileSet) -> Result<Step, ReconcileError> {
        if !matches!(self.state, State::Fresh) {
            return Err(ReconcileError::OutOfTurn);
        }
        let opened = self.open_session(set, None);
        self.keep(opened)
    }

    fn receive(&mut self, set: &dyn ReconcileSet, message: &[u8]) -> Result<Step, ReconcileError> {
        let received = self.take_in(set, message);
        self.keep(received)
    }

    fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

#[cfg(test)]
impl RangeReconciler {
    /// With so few bytes of hashes on the wire that they collide.
    pub(crate) fn with_widths(mut self, fingerprint: usize, short: usize) -> Self {
        self.widths = Widths { fingerprint, short };
        self
    }
}
