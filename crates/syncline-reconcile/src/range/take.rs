//! Reading a message.

use std::ops::ControlFlow;

use super::part::{Claim, Owed, Said, Sent, Waiting};
use super::view::{Mark, View};
use super::{LIST_LEN_MAX, ops};
use crate::limits::Budget;
use crate::wire::{ChildEnd, Reader, read_child};
use crate::{Bound, Item, Need, ReconcileError, Span};

/// What the peer said of a span that it cut out, before it is compared.
#[derive(Debug)]
struct Fresh {
    /// Which of the bounds it begins at.
    from: usize,
    /// Which it ends at. None is behind everything.
    to: Option<usize>,
    what: What,
}

#[derive(Debug)]
enum What {
    Fingerprint(u64),
    List(Vec<u64>),
}

/// A message being taken apart.
#[derive(Debug)]
pub(super) struct Taker<'a> {
    view: View<'a>,
    budget: &'a Budget,
    /// Behind the last item, so that this is asked for once.
    end: Mark,
    /// All bounds between which something is to be compared, in order.
    bounds: Vec<Bound>,
    fresh: Vec<Fresh>,
    parts: u64,
    pub(super) have: Vec<Item>,
    pub(super) need: Vec<Need>,
}

impl<'a> Taker<'a> {
    pub(super) const fn new(view: View<'a>, budget: &'a Budget, end: Mark) -> Self {
        Self { view, budget, end, bounds: Vec::new(), fresh: Vec::new(), parts: 0, have: Vec::new(), need: Vec::new() }
    }

    /// Takes the peer's answers to what was sent, and returns what is owed for them.
    pub(super) fn take(
        &mut self,
        mut reader: Reader<'_>,
        sent: &mut Waiting<Sent>,
    ) -> Result<Vec<Owed>, ReconcileError> {
        if reader.is_empty() && !sent.is_empty() {
            return Err(ReconcileError::Malformed("it answers nothing"));
        }
        while !reader.is_empty() {
            let head = reader.byte()?;
            let is_continued = match head & ops::MASK {
                ops::EQUAL => self.take_equal(&mut reader, head, sent)?,
                ops::SPLIT => self.take_split(&mut reader, head, sent)?,
                ops::LIST => self.take_list(&mut reader, head, sent)?,
                _ => self.take_answer(&mut reader, head, sent)?,
            };
            if is_continued && !reader.is_empty() {
                return Err(ReconcileError::Malformed("it goes on behind what is to be continued"));
            }
        }
        self.compare()
    }

    fn count_part(&mut self) -> Result<(), ReconcileError> {
        self.parts += 1;
        self.budget.parts(self.parts)
    }

    fn pop(&mut self, sent: &mut Waiting<Sent>) -> Result<(Span, Said), ReconcileError> {
        self.count_part()?;
        sent.pop_span().ok_or(ReconcileError::Malformed("it answers what was not said"))
    }

    fn pop_fingerprint(&mut self, sent: &mut Waiting<Sent>) -> Result<Span, ReconcileError> {
        match self.pop(sent)? {
            (span, Said::Fingerprint) => Ok(span),
            (_, Said::List(_)) => Err(ReconcileError::Malformed("it does not answer a list")),
        }
    }

    fn take_equal(
        &mut self,
        reader: &mut Reader<'_>,
        head: u8,
        sent: &mut Waiting<Sent>,
    ) -> Result<bool, ReconcileError> {
        let run = match head & ops::LOW {
            0 => reader.varint()?,
            low => low.into(),
        };
        if run == 0 {
            return Err(ReconcileError::Malformed("a run of none"));
        }
        for _ in 0..run {
            self.count_part()?;
            if !sent.skip_span() {
                return Err(ReconcileError::Malformed("it answers what was not said"));
            }
        }
        Ok(false)
    }

    fn take_split(
        &mut self,
        reader: &mut Reader<'_>,
        head: u8,
        sent: &mut Waiting<Sent>,
    ) -> Result<bool, ReconcileError> {
        if head != ops::SPLIT {
            return Err(ReconcileError::Malformed("an unknown answer"));
        }
        let span = self.pop_fingerprint(sent)?;
        let mut from = self.push_bound(span.from);
        let first = from;
        while let Some((end, is_list)) = read_child(reader, self.bound(from), span.to.as_ref())? {
            self.count_part()?;
            let what = self.take_what(reader, is_list)?;
            match end {
                ChildEnd::Bound(end) => {
                    let to = self.push_bound(end);
                    self.fresh.push(Fresh { from, to: Some(to), what });
                    from = to;
                }
                ChildEnd::Last if from == first => {
                    return Err(ReconcileError::Malformed("a cut into one"));
                }
                ChildEnd::Last => {
                    let to = span.to.map(|to| self.push_bound(to));
                    self.fresh.push(Fresh { from, to, what });
                    return Ok(false);
                }
            }
        }
        if from == first {
            return Err(ReconcileError::Malformed("a cut without a child"));
        }
        sent.push(vec![Sent::one(Span { from: self.bound(from).clone(), to: span.to }, Said::Fingerprint)]);
        Ok(true)
    }

    fn take_what(&self, reader: &mut Reader<'_>, is_list: bool) -> Result<What, ReconcileError> {
        let widths = self.view.salt.widths();
        if is_list {
            let len = reader.count(widths.short)?;
            read_shorts(reader, len, widths.short).map(What::List)
        } else {
            reader.low(widths.fingerprint).map(What::Fingerprint)
        }
    }

    fn take_list(
        &mut self,
        reader: &mut Reader<'_>,
        head: u8,
        sent: &mut Waiting<Sent>,
    ) -> Result<bool, ReconcileError> {
        let span = self.pop_fingerprint(sent)?;
        let width = self.view.salt.widths().short;
        let len = match head & ops::LOW {
            ops::LOW => reader.count(width)?,
            low => reader.bear_out(low.into(), width)?,
        };
        let shorts = read_shorts(reader, len, width)?;
        let from = self.push_bound(span.from);
        let to = span.to.map(|to| self.push_bound(to));
        self.fresh.push(Fresh { from, to, what: What::List(shorts) });
        Ok(false)
    }

    fn take_answer(
        &mut self,
        reader: &mut Reader<'_>,
        head: u8,
        sent: &mut Waiting<Sent>,
    ) -> Result<bool, ReconcileError> {
        let (span, Said::List(listed)) = self.pop(sent)? else {
            return Err(ReconcileError::Malformed("it answers a list that was not sent"));
        };
        let width = self.view.salt.widths().short;
        let len = match head & ops::ANSWER_LOW {
            ops::ANSWER_LOW => reader.varint()?,
            low => low.into(),
        };
        let (is_missing, is_continued) = (head & ops::MISSING != 0, head & ops::MORE != 0);
        if is_continued && (is_missing || len == 0) {
            return Err(ReconcileError::Malformed("an answer to be continued says nothing, or all"));
        }
        let missing = if is_missing { reader.take(listed.div_ceil(8))? } else { &[] };
        let run = self.view.salt.number();
        for _ in 0..reader.bear_out(len, width)? {
            self.need.push(Need::short(run, reader.low(width)?));
        }
        if is_missing {
            self.report_missing(&span, missing, listed)?;
        }
        if is_continued {
            sent.push(vec![Sent::one(span, Said::List(listed))]);
        }
        Ok(is_continued)
    }

    /// Finds the items of a list of this side that the peer says it lacks.
    fn report_missing(&mut self, span: &Span, missing: &[u8], listed: usize) -> Result<(), ReconcileError> {
        let is_missing = |at: usize| missing.get(at / 8).is_some_and(|bits| bits >> (at % 8) & 1 == 1);
        if !(0..listed).any(is_missing) || (listed..missing.len() * 8).any(is_missing) {
            return Err(ReconcileError::Malformed("what is missing is not of the list"));
        }
        let (mut at, have) = (0, &mut self.have);
        have.reserve(missing.iter().map(|bits| bits.count_ones() as usize).sum());
        self.view.items(span, |key, id| {
            if is_missing(at) {
                have.push(Item::new(key, *id));
            }
            at += 1;
            ControlFlow::Continue(())
        })?;
        if at == listed { Ok(()) } else { Err(ReconcileError::SetChanged) }
    }

    /// The number of a bound, which is not before those that are there.
    fn push_bound(&mut self, bound: Bound) -> usize {
        if self.bounds.last() != Some(&bound) {
            self.bounds.push(bound);
        }
        self.bounds.len() - 1
    }

    /// The bound of a number.
    fn bound(&self, at: usize) -> &Bound {
        static MIN: Bound = Bound::MIN;
        self.bounds.get(at).unwrap_or(&MIN)
    }

    /// Compares all fingerprints of the message.
    fn compare(&mut self) -> Result<Vec<Owed>, ReconcileError> {
        let marks = self.view.marks(&self.bounds)?;
        let mark = |at: Option<usize>| at.map_or(self.end, |at| marks.get(at).copied().unwrap_or(self.end));
        let mut owed: Vec<Owed> = Vec::new();
        // Where the run of equal spans ends that was added last.
        let mut equal_to = None;
        for fresh in self.fresh.drain(..) {
            let bound = |at: usize| self.bounds.get(at).cloned().unwrap_or_default();
            let claim = match fresh.what {
                What::List(shorts) => Claim::List { here: vec![false; shorts.len()], shorts, next: None },
                What::Fingerprint(theirs) => {
                    let (from, to) = (mark(Some(fresh.from)), mark(fresh.to));
                    if self.view.salt.fingerprint(&from.until(&to)) == theirs {
                        match owed.last_mut().map(|owed| &mut owed.claim) {
                            Some(Claim::Equal(parts)) if equal_to == Some(fresh.from) => *parts += 1,
                            _ => {
                                let span = Span { from: bound(fresh.from), to: None };
                                owed.push(Owed { span, claim: Claim::Equal(1) });
                            }
                        }
                        equal_to = fresh.to;
                        continue;
                    }
                    Claim::Differs { from, to, theirs: None }
                }
            };
            owed.push(Owed { span: Span { from: bound(fresh.from), to: fresh.to.map(bound) }, claim });
        }
        Ok(owed)
    }
}

fn read_shorts(reader: &mut Reader<'_>, len: usize, width: usize) -> Result<Vec<u64>, ReconcileError> {
    if len > LIST_LEN_MAX {
        return Err(ReconcileError::Malformed("a list is too long"));
    }
    let mut shorts = Vec::with_capacity(len);
    for _ in 0..len {
        shorts.push(reader.low(width)?);
    }
    Ok(shorts)
}
