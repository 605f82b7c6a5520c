//! Reconciliation by rateless sketches, with ranges behind it.

mod config;
mod opener;
mod responder;

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::range::Offer;
use crate::wire::{Reader, kind};
use crate::{
    Decoder, IdPart, IndexError, Item, Need, Nonce, RangeReconciler, ReconcileError, ReconcileSet, Reconciler, Step,
};

pub use self::config::SketchConfig;
use self::opener::Found;

/// Finds a small difference between large sets in one to three round trips, from symbols of the sketches that both sets
/// keep (Yang, Gilad, Alizadeh: "Practical rateless set reconciliation", SIGCOMM 2024).
///
/// The responder answers an opening that shows another set with its first symbols. From these the opener finds some
/// thirty differences at once, or estimates how many there are and asks for as many symbols as that takes. It goes on by
/// [ranges](RangeReconciler), within the same session, if there are more differences than the sketches bear, if ranges
/// would take fewer bytes, if the symbols cannot be decoded, or if the result is not confirmed: the accumulators of what
/// both have in common decide, and nothing is reported before they agree.
///
/// A peer that has only [`RangeReconciler`] can be talked to: it answers by ranges.
///
/// `docs/spec/reconcile.md` describes the messages.
#[derive(Debug)]
pub struct SketchReconciler {
    config: SketchConfig,
    ranges: RangeReconciler,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Fresh,
    /// The opener waits for symbols.
    Decoding(Box<Decoding>),
    /// The opener found everything, it thinks, and waits for the peer to confirm.
    Found(Box<Found>),
    /// The responder has sent so many symbols.
    Sending(Sending),
    /// Ranges do the rest.
    Ranges,
    Done,
    Failed,
}

/// The opener's state while symbols come.
#[derive(Debug, Default)]
struct Decoding {
    decoder: Option<Decoder>,
    /// Symbols of the difference, for the estimate.
    first: Vec<crate::Symbol>,
    /// How many items the peer has.
    count: u64,
    /// How many symbols both keep.
    limit: usize,
    /// Whether they come without being asked for.
    is_streamed: bool,
}

/// The responder's state while symbols go.
#[derive(Clone, Copy, Debug)]
struct Sending {
    /// How many items the opener has.
    count: u64,
    sent: usize,
    limit: usize,
    is_streamed: bool,
}

impl SketchReconciler {
    /// One side of a session over a whole set. `nonce` is 16 random bytes, for this session only.
    #[must_use]
    pub fn new(config: SketchConfig, nonce: Nonce) -> Self {
        Self { config, ranges: RangeReconciler::new(config.ranges, nonce), phase: Phase::Fresh }
    }

    /// The same for two sides that know both nonces already, from the protocol around. Both must be made in this way.
    #[must_use]
    pub fn with_nonces(config: SketchConfig, ours: Nonce, theirs: Nonce) -> Self {
        Self { config, ranges: RangeReconciler::with_nonces(config.ranges, ours, theirs), phase: Phase::Fresh }
    }

    /// Whether an item is what the peer means by this [need](Step::need).
    /// See [`RangeReconciler::is_meant`].
    #[must_use]
    pub fn is_meant(&self, set: &dyn ReconcileSet, need: &Need, id: &crate::ItemId) -> bool {
        self.ranges.is_meant(set, need, id)
    }

    fn step(&mut self, set: &dyn ReconcileSet, message: &[u8]) -> Result<Step, ReconcileError> {
        let Some(&head) = message.first() else {
            return Err(ReconcileError::Malformed("it ends too early"));
        };
        match std::mem::replace(&mut self.phase, Phase::Failed) {
            Phase::Fresh => self.on_open(set, head, message),
            Phase::Decoding(decoding) if head & !(kind::NONCE | kind::STREAMED) == kind::SYMBOLS => {
                self.on_symbols(set, head, message, decoding)
            }
            Phase::Found(found) if head == kind::SYMBOLS && self.config.streamed => {
                // On their way while the last symbols were decoded.
                self.ranges.budget().message(message.len())?;
                self.phase = Phase::Found(found);
                Ok(Step::default())
            }
            Phase::Ranges if head == kind::SYMBOLS && self.config.streamed && self.ranges.is_opener() => {
                self.ranges.budget().message(message.len())?;
                self.phase = Phase::Ranges;
                Ok(Step::default())
            }
            Phase::Found(found) if head == kind::NEXT | kind::DIGEST => self.on_confirmed(message, *found),
            Phase::Sending(sending) if head == kind::REQUEST => self.on_request(set, message, sending),
            Phase::Sending(sending) if head == kind::FOUND => self.on_found(set, message, sending),
            Phase::Decoding(_) | Phase::Found(_) | Phase::Sending(_) | Phase::Ranges => {
                let step = self.ranges.receive(set, message)?;
                self.phase = Phase::Ranges;
                Ok(step)
            }
            Phase::Done | Phase::Failed => Err(ReconcileError::OutOfTurn),
        }
    }

    /// The message without its first byte, once it is counted.
    fn body<'a>(&mut self, message: &'a [u8]) -> Result<Reader<'a>, ReconcileError> {
        self.ranges.budget().message(message.len())?;
        let mut reader = Reader::new(message);
        reader.byte()?;
        Ok(reader)
    }

    /// Goes on by ranges.
    fn take_over(&mut self, set: &dyn ReconcileSet, count: u64) -> Result<Step, ReconcileError> {
        let step = self.ranges.take_over(set, count, false, false)?;
        self.phase = Phase::Ranges;
        Ok(step)
    }
}

impl Reconciler for SketchReconciler {
    fn open(&mut self, set: &dyn ReconcileSet) -> Result<Step, ReconcileError> {
        if !matches!(self.phase, Phase::Fresh) {
            return Err(ReconcileError::OutOfTurn);
        }
        let offer = Offer { symbols: set.symbol_count() as u64, is_streamed: self.config.streamed };
        self.phase = Phase::Failed;
        let step = self.ranges.open_offering(set, offer)?;
        self.phase = Phase::Decoding(Box::default());
        Ok(step)
    }

    fn receive(&mut self, set: &dyn ReconcileSet, message: &[u8]) -> Result<Step, ReconcileError> {
        let step = self.step(set, message);
        if step.is_err() {
            self.phase = Phase::Failed;
            self.ranges.fail();
        }
        step
    }

    fn is_done(&self) -> bool {
        match self.phase {
            Phase::Done => true,
            Phase::Ranges => self.ranges.is_done(),
            _ => false,
        }
    }
}

fn message(kind: u8, body: &[u8]) -> Bytes {
    [&[kind], body].concat().into()
}

/// The items of these parts, which are in ascending order. Nothing if there is not one for each.
fn find_all(set: &dyn ReconcileSet, parts: &[IdPart]) -> Result<Option<Vec<Item>>, IndexError> {
    let found: Option<Vec<Item>> = set.find_all(parts)?.into_iter().collect();
    Ok(found.filter(|found| found.len() == parts.len()))
}
