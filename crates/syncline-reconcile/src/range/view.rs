//! The set as one run sees it.

use std::{
    fmt,
    ops::{ControlFlow, RangeInclusive},
};

use super::salt::Salt;
use crate::{Bound, Fingerprint, IndexError, ItemId, ReconcileError, ReconcileSet, Span};

/// A place, and what lies before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// How many items of the set.
    pub(super) rank: u64,
    /// The fingerprint of those that the run compares.
    pub(super) print: Fingerprint,
}

impl From<Fingerprint> for Mark {
    fn from(print: Fingerprint) -> Self {
        Self { rank: print.count, print }
    }
}

impl Mark {
    /// The fingerprint of what lies between this place and one behind it.
    pub(super) fn until(&self, to: &Self) -> Fingerprint {
        to.print - self.print
    }
}

/// The items that one run compares, with their sums.
///
/// The first run takes the sums that the set keeps. A later one leaves out what was found to be only here, and sums up
/// hashes that nobody could know when the items were made, each time anew.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) set: &'a dyn ReconcileSet,
    pub(super) salt: &'a Salt,
    /// Items found before this run, in order. None in the first.
    pub(super) found: &'a [ItemId],
}

impl View<'_> {
    const fn is_salted(&self) -> bool {
        self.salt.number() > 0
    }

    /// What lies before each bound. They are in ascending order.
    pub(super) fn marks(&self, bounds: &[Bound]) -> Result<Vec<Mark>, ReconcileError> {
        if bounds.is_empty() {
            return Ok(Vec::new());
        }
        let prints = self.set.fingerprints_before(bounds)?;
        if prints.len() != bounds.len() {
            return Err(IndexError::Corrupt("not one fingerprint for each bound").into());
        }
        let mut marks: Vec<Mark> = prints.into_iter().map(Mark::from).collect();
        if self.is_salted() {
            self.sum_up(bounds, &mut marks)?;
        }
        Ok(marks)
    }

    /// What lies before the end of everything.
    pub(super) fn last_mark(&self) -> Result<Mark, ReconcileError> {
        let mut mark = Mark::from(self.set.fingerprint(&Span::ALL)?);
        if self.is_salted() {
            mark.print = self.sum(&Span::ALL)?;
        }
        Ok(mark)
    }

    /// The salted sum over a span.
    pub(super) fn sum(&self, span: &Span) -> Result<Fingerprint, ReconcileError> {
        let mut sum = Fingerprint::default();
        self.set.items(span, &mut |_, id| {
            if !self.is_found(id) {
                sum += self.salt.lift(id);
            }
            ControlFlow::Continue(())
        })?;
        Ok(sum)
    }

    fn sum_up(&self, bounds: &[Bound], marks: &mut [Mark]) -> Result<(), ReconcileError> {
        let mut waiting = bounds.iter().zip(marks).peekable();
        let mut sum = Fingerprint::default();
        self.set.items(&Span { from: Bound::MIN, to: bounds.last().cloned() }, &mut |key, id| {
            while let Some((_, mark)) = waiting.next_if(|(bound, _)| bound.is_at_or_before(key, id.as_bytes())) {
                mark.print = sum;
            }
            if !self.is_found(id) {
                sum += self.salt.lift(id);
            }
            ControlFlow::Continue(())
        })?;
        waiting.for_each(|(_, mark)| mark.print = sum);
        Ok(())
    }

    fn is_found(&self, id: &ItemId) -> bool {
        self.found.binary_search(id).is_ok()
    }

    /// Shows the items of a span that the run compares, in order, until told to stop.
    pub(super) fn items(
        &self,
        span: &Span,
        mut visit: impl FnMut(&[u8], &ItemId) -> ControlFlow<()>,
    ) -> Result<(), ReconcileError> {
        self.set
            .items(span, &mut |key, id| if self.is_found(id) { ControlFlow::Continue(()) } else { visit(key, id) })?;
        Ok(())
    }

    /// Places with so many items of the set before them as each range of ranks allows, in ascending order. With each comes
    /// its rank, and its mark if that is known without reading the items.
    pub(super) fn cuts(&self, ranks: &[RangeInclusive<u64>]) -> Result<Vec<Place>, ReconcileError> {
        let cuts = self.set.cuts(ranks)?;
        if cuts.len() != ranks.len() || cuts.iter().zip(ranks).any(|((_, print), range)| !range.contains(&print.count))
        {
            return Err(IndexError::Corrupt("a cut is not where it should be").into());
        }
        let place = |(bound, print): (Bound, Fingerprint)| Place {
            bound,
            rank: print.count,
            mark: (!self.is_salted()).then(|| print.into()),
        };
        Ok(cuts.into_iter().map(place).collect())
    }
}

/// A place to cut at.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) bound: Bound,
    pub(super) rank: u64,
    pub(super) mark: Option<Mark>,
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("salt", &self.salt).finish_non_exhaustive()
    }
}
