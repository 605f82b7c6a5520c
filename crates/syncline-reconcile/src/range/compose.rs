//! Writing a message.

use std::ops::{ControlFlow, RangeInclusive};

use super::LIST_LEN_MAX;
use super::config::RangeConfig;
use super::ops;
use super::part::{Claim, Owed, Said, Sent, Waiting};
use super::view::{Mark, View};
use crate::wire::{bound_len, put_low, put_varint, write_bound, write_continued, write_last};
use crate::{Bound, Item, Need, ReconcileError, Span};

/// Bytes kept free for what may have to follow: a run of equal spans, and that there is more to come.
const RESERVE: usize = 16;
/// Items of one list where a span is listed rather than cut.
const STREAMED_LIST_LEN: u64 = 512;
/// So many places are asked for together. A message has room for few more.
const CUTS: usize = 256;
/// A span is listed rather than cut if the peer has so many times as many items there.
const MANY_TIMES: u64 = 4;

/// What lies at one end of a child: known, or to be asked for with all others at the end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge {
    Known(Mark),
    Asked(usize),
}

impl Edge {
    /// `marks` are those that were asked for.
    fn mark(self, marks: &[Mark]) -> Mark {
        match self {
            Self::Known(mark) => mark,
            Self::Asked(at) => marks.get(at).copied().unwrap_or_default(),
        }
    }
}

/// A fingerprint to be filled in.
#[derive(Debug)]
struct Gap {
    at: usize,
    from: Edge,
    to: Edge,
}

/// A message in the making.
#[derive(Debug)]
pub(super) struct Composer<'a> {
    pub(super) view: View<'a>,
    config: &'a RangeConfig,
    /// The answers, without what comes before them.
    pub(super) out: Vec<u8>,
    room: usize,
    pub(super) equal: u64,
    bounds: Vec<Bound>,
    gaps: Vec<Gap>,
    sent: Vec<Sent>,
    /// Used again and again.
    pub(super) shorts: Vec<u64>,
    pub(super) listed: Vec<(u64, usize)>,
    pub(super) have: Vec<Item>,
    pub(super) need: Vec<Need>,
}

/// By how many items the end of a child may be off: as many as a node holds where a child has many more than that, and so few
/// that it does not take one more cut to get down to lists.
fn slack(per_child: u64) -> u64 {
    (per_child / 7).min((per_child / 64).max(8))
}

/// How a span is cut.
#[derive(Clone, Copy, Debug)]
struct Cut {
    from: Mark,
    to: Mark,
    /// Items of each child.
    per_child: u64,
    /// Whether children are listed.
    is_streamed: bool,
}

impl Cut {
    /// Where children may end, but the last. The set chooses, for what is cheap for it; children stay small enough to be
    /// listed next.
    fn ranks(self) -> impl Iterator<Item = RangeInclusive<u64>> {
        let next = move |rank: &u64| rank.checked_add(self.per_child);
        let ranks = std::iter::successors(next(&self.from.rank), next).take_while(move |rank| *rank < self.to.rank);
        ranks.map(move |rank| {
            let slack = slack(self.per_child).min(self.to.rank - rank - 1);
            rank - slack..=rank + slack
        })
    }
}

/// What became of an answer.
pub(super) enum Answered {
    /// It was written.
    Whole,
    /// A part of it was, and this remains, which begins here if that is not where it began.
    Part(Owed, Option<Edge>),
    /// Nothing was: there is no room.
    Not(Owed),
}

impl<'a> Composer<'a> {
    pub(super) fn new(view: View<'a>, config: &'a RangeConfig, room: usize) -> Self {
        Self {
            view,
            config,
            out: Vec::with_capacity(room.min(4 << 10)),
            room,
            equal: 0,
            bounds: Vec::new(),
            gaps: Vec::new(),
            sent: Vec::new(),
            shorts: Vec::new(),
            listed: Vec::new(),
            have: Vec::new(),
            need: Vec::new(),
        }
    }

    /// Answers what is owed, as far as there is room.
    pub(super) fn answer(&mut self, owed: &mut Waiting<Owed>, sent: &mut Waiting<Sent>) -> Result<(), ReconcileError> {
        let mut rest = None;
        while let Some(next) = owed.pop() {
            match self.answer_one(next)? {
                Answered::Whole => {}
                Answered::Part(part, edge) => {
                    rest = Some((part, edge));
                    break;
                }
                Answered::Not(part) => {
                    rest = Some((part, None));
                    break;
                }
            }
        }
        self.flush();
        let marks = self.view.marks(&self.bounds)?;
        self.fill(&marks);
        sent.push(std::mem::take(&mut self.sent));
        if let Some((mut part, edge)) = rest {
            if let (Claim::Differs { from, .. }, Some(edge)) = (&mut part.claim, edge) {
                *from = edge.mark(&marks);
            }
            owed.push(vec![part]);
        }
        Ok(())
    }

    fn answer_one(&mut self, owed: Owed) -> Result<Answered, ReconcileError> {
        match owed.claim {
            Claim::Equal(parts) => {
                self.equal += parts;
                Ok(Answered::Whole)
            }
            Claim::Differs { from, to, theirs } => {
                let (here, items) = (from.until(&to).count, to.rank - from.rank);
                let is_streamed = theirs.is_some_and(|theirs| here.saturating_mul(MANY_TIMES) <= theirs);
                if here <= self.config.leaf as u64 || is_streamed && items <= STREAMED_LIST_LEN {
                    return self.list(owed);
                }
                // So that a child is listed next, even if the peer has a few items more there. Smaller ones would take as many
                // bytes, since a fingerprint and its bound take as many as two short ids, and more time.
                let children = here.div_ceil((self.config.leaf as u64 * 3).div_ceil(4));
                let per_child = if is_streamed {
                    STREAMED_LIST_LEN
                } else {
                    items.div_ceil(children.clamp(2, self.config.fan_out as u64))
                };
                self.split(owed, Cut { from, to, per_child, is_streamed })
            }
            Claim::List { .. } => self.answer_list(owed),
        }
    }

    pub(super) fn free(&self) -> usize {
        self.room.saturating_sub(self.out.len() + RESERVE)
    }

    /// Writes the run of equal spans that has come together.
    pub(super) fn flush(&mut self) {
        match u8::try_from(self.equal) {
            Ok(0) => {}
            Ok(run) if run <= ops::LOW => self.out.push(ops::EQUAL | run),
            _ => {
                self.out.push(ops::EQUAL);
                put_varint(&mut self.out, self.equal);
            }
        }
        self.equal = 0;
    }

    fn fill(&mut self, marks: &[Mark]) {
        let width = self.view.salt.widths().fingerprint;
        for gap in &self.gaps {
            let print = self.view.salt.fingerprint(&gap.from.mark(marks).until(&gap.to.mark(marks)));
            if let Some(to) = self.out.get_mut(gap.at..gap.at + width) {
                to.copy_from_slice(print.to_le_bytes().split_at(width).0);
            }
        }
    }

    /// Collects what stands for the items of a span.
    fn collect(&mut self, span: &Span) -> Result<(), ReconcileError> {
        self.shorts.clear();
        let (shorts, salt) = (&mut self.shorts, self.view.salt);
        self.view.items(span, |_, id| {
            shorts.push(salt.short(id));
            ControlFlow::Continue(())
        })?;
        // A set that says that it has fewer items than it shows would make a list that the peer refuses.
        if self.shorts.len() > LIST_LEN_MAX { Err(ReconcileError::SetChanged) } else { Ok(()) }
    }

    pub(super) fn put_shorts(&mut self) {
        let width = self.view.salt.widths().short;
        for short in &self.shorts {
            put_low(&mut self.out, *short, width);
        }
    }

    /// Says which items are here.
    fn list(&mut self, owed: Owed) -> Result<Answered, ReconcileError> {
        self.collect(&owed.span)?;
        let len = self.shorts.len();
        if 4 + len * self.view.salt.widths().short > self.free() {
            return Ok(Answered::Not(owed));
        }
        self.flush();
        match u8::try_from(len) {
            Ok(low) if low < ops::LOW => self.out.push(ops::LIST | low),
            _ => {
                self.out.push(ops::LIST | ops::LOW);
                put_varint(&mut self.out, len as u64);
            }
        }
        self.put_shorts();
        self.sent.push(Sent::one(owed.span, Said::List(len)));
        Ok(Answered::Whole)
    }

    /// Cuts a span into children.
    fn split(&mut self, owed: Owed, cut: Cut) -> Result<Answered, ReconcileError> {
        if self.free() == 0 {
            return Ok(Answered::Not(owed));
        }
        self.flush();
        let begin = self.out.len();
        self.out.push(ops::SPLIT);
        let (mut rank, mut edge) = (cut.from.rank, Edge::Known(cut.from));
        let mut ranks = cut.ranks().peekable();
        let mut places = self.view.cuts(&ranks.by_ref().take(CUTS).collect::<Vec<_>>())?.into_iter();
        let (mut bounds, mut said) = (Vec::with_capacity(places.len() + 1), Vec::with_capacity(places.len() + 1));
        bounds.push(owed.span.from.clone());
        while rank < cut.to.rank {
            if places.len() == 0 && ranks.peek().is_some() {
                places = self.view.cuts(&ranks.by_ref().take(CUTS).collect::<Vec<_>>())?.into_iter();
            }
            let place = places.next();
            let next = place.as_ref().map_or(cut.to.rank, |place| place.rank);
            let mark = place.as_ref().and_then(|place| place.mark);
            let end = place.map(|place| place.bound);
            let is_list = cut.is_streamed || next - rank <= 1;
            let from = bounds.last().unwrap_or(&owed.span.from);
            if !self.begin_child(from, end.as_ref(), &owed.span, is_list)? {
                return Ok(self.cut_short(owed, begin, bounds, said, edge));
            }
            let to = match (&end, mark) {
                (Some(end), None) => {
                    self.bounds.push(end.clone());
                    Edge::Asked(self.bounds.len() - 1)
                }
                (Some(_), Some(mark)) => Edge::Known(mark),
                (None, _) => Edge::Known(cut.to),
            };
            bounds.extend(end);
            said.push(if is_list { self.put_list() } else { self.put_gap(edge, to) });
            (rank, edge) = (next, to);
        }
        self.sent.push(Sent::new(bounds, owed.span.to, said));
        Ok(Answered::Whole)
    }

    /// Writes where a child ends, if there is room for all of it. Its items are collected if it is to be listed.
    fn begin_child(
        &mut self,
        from: &Bound,
        end: Option<&Bound>,
        parent: &Span,
        is_list: bool,
    ) -> Result<bool, ReconcileError> {
        let widths = self.view.salt.widths();
        let mut len = end.map_or(1, |end| bound_len(from, parent.to.as_ref(), end)) + widths.fingerprint;
        if is_list {
            self.collect(&Span { from: from.clone(), to: end.or(parent.to.as_ref()).cloned() })?;
            len += 2 + self.shorts.len() * widths.short;
        }
        if len > self.free() {
            return Ok(false);
        }
        match end {
            Some(end) => write_bound(&mut self.out, from, parent.to.as_ref(), end, is_list),
            None => write_last(&mut self.out, is_list),
        }
        Ok(true)
    }

    fn put_list(&mut self) -> Said {
        put_varint(&mut self.out, self.shorts.len() as u64);
        self.put_shorts();
        Said::List(self.shorts.len())
    }

    fn put_gap(&mut self, from: Edge, to: Edge) -> Said {
        self.gaps.push(Gap { at: self.out.len(), from, to });
        self.out.resize(self.out.len() + self.view.salt.widths().fingerprint, 0);
        Said::Fingerprint
    }

    /// Leaves the rest of a span, of which these children were written, to a later message.
    fn cut_short(
        &mut self,
        mut owed: Owed,
        begin: usize,
        mut bounds: Vec<Bound>,
        said: Vec<Said>,
        edge: Edge,
    ) -> Answered {
        if said.is_empty() {
            self.out.truncate(begin);
            return Answered::Not(owed);
        }
        write_continued(&mut self.out);
        let end = bounds.pop().unwrap_or_default();
        self.sent.push(Sent::new(bounds, Some(end.clone()), said));
        owed.span.from = end;
        Answered::Part(owed, Some(edge))
    }
}
