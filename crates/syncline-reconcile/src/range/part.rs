//! What waits for an answer.
//!
//! Both sides keep the same list: what one has said of a span and the other has not answered yet. Answers come in the
//! order of the spans, leftmost first, so that neither has to say which span it means. Spans of one list are disjoint.

use super::view::Mark;
use crate::{Bound, Span};

/// What the peer said, and this side has to answer.
#[derive(Clone, Debug)]
pub(super) struct Owed {
    pub(super) span: Span,
    pub(super) claim: Claim,
}

/// What the peer said of a span, and what is known of it here.
#[derive(Clone, Debug)]
pub(super) enum Claim {
    /// This many neighbouring parts have the same fingerprints here. Only where the first begins is kept.
    Equal(u64),
    /// The fingerprint is another.
    Differs {
        from: Mark,
        to: Mark,
        /// How many items the peer has, if it said so.
        theirs: Option<u64>,
    },
    /// These are all its items.
    List {
        shorts: Vec<u64>,
        /// Which of them are here as well, as far as it was looked.
        here: Vec<bool>,
        /// Where to go on looking.
        next: Option<Bound>,
    },
}

impl Placed for Owed {
    fn from(&self) -> Option<&Bound> {
        Some(&self.span.from)
    }

    fn weight(&self) -> usize {
        let claim = match &self.claim {
            Claim::List { shorts, .. } => shorts.len() * 9,
            Claim::Equal(_) | Claim::Differs { .. } => 0,
        };
        size_of::<Self>() + span_weight(&self.span) + claim
    }
}

/// What this side said, and the peer has to answer: a run of neighbouring spans.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// Where each begins.
    pub(super) bounds: Vec<Bound>,
    /// Where the last ends.
    pub(super) to: Option<Bound>,
    /// What was said of each.
    pub(super) said: Vec<Said>,
    /// The first that is not answered.
    next: usize,
}

/// What was said of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Fingerprint,
    /// So many items.
    List(usize),
}

impl Sent {
    pub(super) const fn new(bounds: Vec<Bound>, to: Option<Bound>, said: Vec<Said>) -> Self {
        Self { bounds, to, said, next: 0 }
    }

    pub(super) fn one(span: Span, said: Said) -> Self {
        Self::new(vec![span.from], span.to, vec![said])
    }
}

impl Placed for Sent {
    fn from(&self) -> Option<&Bound> {
        self.bounds.get(self.next)
    }

    fn weight(&self) -> usize {
        size_of::<Self>()
            + self.to.as_ref().map_or(0, bound_weight)
            + self.bounds.iter().map(|bound| size_of::<(Bound, Said)>() + bound_weight(bound)).sum::<usize>()
    }
}

fn bound_weight(bound: &Bound) -> usize {
    bound.key.len() + bound.id_prefix.len()
}

fn span_weight(span: &Span) -> usize {
    bound_weight(&span.from) + span.to.as_ref().map_or(0, bound_weight)
}

/// Something with a place.
pub(super) trait Placed {
    /// Where it begins.
    fn from(&self) -> Option<&Bound>;

    /// Bytes that it takes, about.
    fn weight(&self) -> usize;
}

/// Parts in order, of which the leftmost is taken first.
#[derive(Clone, Debug)]
pub(super) struct Waiting<P> {
    /// Each with its weight, the leftmost last.
    parts: Vec<(P, usize)>,
    bytes: usize,
}

impl<P> Default for Waiting<P> {
    fn default() -> Self {
        Self { parts: Vec::new(), bytes: 0 }
    }
}

impl<P: Placed> Waiting<P> {
    pub(super) const fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Bytes of all of them, about.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn pop(&mut self) -> Option<P> {
        let (part, bytes) = self.parts.pop()?;
        self.bytes = self.bytes.saturating_sub(bytes);
        Some(part)
    }

    /// Adds parts that are in order among themselves.
    pub(super) fn push(&mut self, parts: Vec<P>) {
        let before = self.parts.len();
        for part in parts.into_iter().rev() {
            let bytes = part.weight();
            self.bytes = self.bytes.saturating_add(bytes);
            self.parts.push((part, bytes));
        }
        let is_in_order = match (before.checked_sub(1).and_then(|at| self.parts.get(at)), self.parts.get(before)) {
            (Some((old, _)), Some((new, _))) => new.from() < old.from(),
            _ => true,
        };
        if !is_in_order {
            self.parts.sort_by(|(one, _), (other, _)| other.from().cmp(&one.from()));
        }
    }
}

impl Waiting<Sent> {
    /// The leftmost span, which is now answered.
    pub(super) fn pop_span(&mut self) -> Option<(Span, Said)> {
        let (group, _) = self.parts.last_mut()?;
        let said = *group.said.get(group.next)?;
        let from = std::mem::take(group.bounds.get_mut(group.next)?);
        group.next += 1;
        let to = group.bounds.get(group.next).or(group.to.as_ref()).cloned();
        if group.next == group.said.len() {
            self.pop();
        }
        Some((Span { from, to }, said))
    }

    /// Takes the leftmost span as answered, without looking at it. False if there is none.
    pub(super) fn skip_span(&mut self) -> bool {
        let Some((group, _)) = self.parts.last_mut() else {
            return false;
        };
        group.next += 1;
        if group.next >= group.said.len() {
            self.pop();
        }
        true
    }
}
