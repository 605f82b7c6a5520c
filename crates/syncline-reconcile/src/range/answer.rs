//! Writing the answer to a list.

use std::ops::ControlFlow;

use super::compose::{Answered, Composer};
use super::ops;
use super::part::{Claim, Owed};
use crate::wire::put_varint;
use crate::{Bound, Item, Need, ReconcileError, Span};

impl Composer<'_> {
    /// Says which items of the peer's list are missing here, and which are missing from it.
    pub(super) fn answer_list(&mut self, owed: Owed) -> Result<Answered, ReconcileError> {
        let Claim::List { shorts, mut here, next } = owed.claim else {
            return Ok(Answered::Not(owed));
        };
        let width = self.view.salt.widths().short;
        let overhead = 8 + shorts.len().div_ceil(8);
        let Some(room) = self.free().checked_sub(overhead + width).map(|room| room / width + 1) else {
            return Ok(Answered::Not(Owed { span: owed.span, claim: Claim::List { shorts, here, next } }));
        };
        self.listed.clear();
        self.listed.extend(shorts.iter().copied().zip(0..));
        self.listed.sort_unstable();
        let (mut stopped_at, before) = (None, self.have.len());
        let rest = Span { from: next.unwrap_or_else(|| owed.span.from.clone()), to: owed.span.to.clone() };
        self.shorts.clear();
        let (listed, missing, have, salt) = (&self.listed, &mut self.shorts, &mut self.have, self.view.salt);
        self.view.items(&rest, |key, id| {
            let short = salt.short(id);
            let first = listed.partition_point(|(other, _)| *other < short);
            let mut same = listed.iter().skip(first).take_while(|(other, _)| *other == short).peekable();
            if same.peek().is_none() {
                if missing.len() == room {
                    stopped_at = Some(Bound { key: key.to_vec(), id_prefix: id.as_bytes().to_vec() });
                    return ControlFlow::Break(());
                }
                missing.push(short);
                have.push(Item::new(key, *id));
            }
            for (_, at) in same {
                here.iter_mut().skip(*at).take(1).for_each(|here| *here = true);
            }
            ControlFlow::Continue(())
        })?;
        debug_assert_eq!(self.have.len() - before, self.shorts.len(), "each is reported and sent");
        if stopped_at.is_none() && self.shorts.is_empty() && !here.contains(&false) {
            self.equal += 1;
            return Ok(Answered::Whole);
        }
        self.flush();
        self.put_answer(stopped_at.is_some(), &here);
        if let Some(next) = stopped_at {
            let claim = Claim::List { shorts, here, next: Some(next) };
            return Ok(Answered::Part(Owed { span: owed.span, claim }, None));
        }
        let run = self.view.salt.number();
        self.need
            .extend(shorts.iter().zip(&here).filter(|(_, here)| !**here).map(|(short, _)| Need::short(run, *short)));
        Ok(Answered::Whole)
    }

    fn put_answer(&mut self, is_continued: bool, here: &[bool]) {
        let is_missing = !is_continued && here.contains(&false);
        let len = self.shorts.len();
        let low = u8::try_from(len).ok().filter(|len| *len < ops::ANSWER_LOW);
        self.out.push(
            ops::ANSWER
                | if is_missing { ops::MISSING } else { 0 }
                | if is_continued { ops::MORE } else { 0 }
                | low.unwrap_or(ops::ANSWER_LOW),
        );
        if low.is_none() {
            put_varint(&mut self.out, len as u64);
        }
        if is_missing {
            for chunk in here.chunks(8) {
                self.out.push(chunk.iter().zip(0..).fold(0, |bits, (here, at)| bits | u8::from(!here) << at));
            }
        }
        self.put_shorts();
    }
}
