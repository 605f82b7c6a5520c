//! The side that decodes.

use super::config::is_worth_it;
use super::{Decoding, Phase, SketchReconciler, find_all, message};
use crate::range::{DIGEST_LEN, Digest};
use crate::wire::{kind, put_low, put_varint, read_symbols};
use crate::{Decoder, IdPart, Item, Need, ReconcileError, ReconcileSet, Side, Step, Symbol, estimate_difference};

/// What the opener found, until the peer confirms it.
#[derive(Debug)]
pub(super) struct Found {
    have: Vec<Item>,
    need: Vec<IdPart>,
    /// What the peer shows if it has the same in common.
    expected: Digest,
}

impl SketchReconciler {
    pub(super) fn on_symbols(
        &mut self,
        set: &dyn ReconcileSet,
        head: u8,
        message: &[u8],
        mut decoding: Box<Decoding>,
    ) -> Result<Step, ReconcileError> {
        let mut reader = self.body(message)?;
        let is_first = decoding.decoder.is_none();
        if (head & kind::NONCE != 0) != (is_first && self.ranges.nonce_to_send().is_some()) {
            return Err(ReconcileError::Malformed("a nonce is missing, or one too many"));
        }
        if head & kind::STREAMED != 0 && !(is_first && self.config.streamed) {
            return Err(ReconcileError::Malformed("symbols are streamed and shall not be"));
        }
        if is_first {
            decoding.is_streamed = head & kind::STREAMED != 0;
            self.ranges.take_first_answer(set, &mut reader)?;
            decoding.count = reader.varint()?;
            if decoding.count == 0 {
                return Err(ReconcileError::Malformed("symbols of a set without items"));
            }
            decoding.limit = usize::try_from(reader.varint()?).unwrap_or(usize::MAX).min(set.symbol_count());
        }
        let limit = decoding.limit;
        let decoder = decoding.decoder.get_or_insert_with(|| Decoder::new(set.set_key(), limit));
        let from = decoder.symbol_count();
        let theirs = read_symbols(&mut reader, from, decoding.count, limit - from)?;
        if theirs.is_empty() {
            return Err(ReconcileError::Malformed("no symbols"));
        }
        let ours = set.symbols(from, from + theirs.len())?;
        let differences: Vec<Symbol> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours.minus(theirs)).collect();
        if is_first {
            decoding.first.clone_from(&differences);
        }
        match decoder.extend(&differences) {
            Ok(true) => self.found(set, &decoding),
            Ok(false) => self.not_yet(set, decoding),
            Err(_) => self.take_over(set, decoding.count),
        }
    }

    /// Asks for more symbols, or goes on by ranges.
    fn not_yet(&mut self, set: &dyn ReconcileSet, decoding: Box<Decoding>) -> Result<Step, ReconcileError> {
        let got = decoding.decoder.as_ref().map_or(0, Decoder::symbol_count);
        let estimate = estimate_difference(&decoding.first);
        // Half as many again for an estimate from few symbols.
        let is_hopeless = !is_worth_it(estimate.saturating_mul(2) / 3, decoding.limit, set.len()?, decoding.count);
        if got >= decoding.limit || is_hopeless {
            return self.take_over(set, decoding.count);
        }
        let mut step = Step::default();
        if !decoding.is_streamed {
            // 1.4 symbols for each difference do, and the estimate is a fifth off on average.
            let wanted = if got == decoding.first.len() { estimate.saturating_mul(2) } else { 0 };
            let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).max(got + got.div_ceil(4)).min(decoding.limit);
            let mut body = Vec::new();
            put_varint(&mut body, wanted as u64);
            step.reply = Some(message(kind::REQUEST, &body));
        }
        self.phase = Phase::Decoding(decoding);
        Ok(step)
    }

    /// Tells the peer what was found.
    fn found(&mut self, set: &dyn ReconcileSet, decoding: &Decoding) -> Result<Step, ReconcileError> {
        let (mut ours, mut need) = (Vec::new(), Vec::new());
        for difference in decoding.decoder.iter().flat_map(Decoder::differences) {
            match difference.side {
                Side::Theirs => need.push(difference.part),
                Side::Ours => ours.push(difference.part),
            }
        }
        ours.sort_unstable();
        need.sort_unstable();
        let Some(mut have) = find_all(set, &ours)? else {
            // Somebody made symbols look like an item that there is not.
            return self.take_over(set, decoding.count);
        };
        have.sort_unstable();
        let (ours, expected) = self.ranges.digests_without(set, &have)?;
        let width = self.ranges.short_width();
        let mut body = Vec::with_capacity(DIGEST_LEN + 10 + need.len() * IdPart::LEN + have.len() * width);
        body.extend_from_slice(&ours);
        put_varint(&mut body, need.len() as u64);
        need.iter().for_each(|part| body.extend_from_slice(part.as_bytes()));
        put_varint(&mut body, have.len() as u64);
        self.ranges.shorts(set, &have)?.into_iter().for_each(|short| put_low(&mut body, short, width));
        if body.len() >= self.ranges.message_len_max() {
            return self.take_over(set, decoding.count);
        }
        self.ranges.budget().ids(have.len() + need.len())?;
        self.phase = Phase::Found(Box::new(Found { have, need, expected }));
        Ok(Step { reply: Some(message(kind::FOUND, &body)), ..Step::default() })
    }

    /// Takes the peer's digest. If it has answers too, it goes on by ranges.
    pub(super) fn on_confirmed(&mut self, message: &[u8], found: Found) -> Result<Step, ReconcileError> {
        let mut reader = self.body(message)?;
        let shown: Digest = reader.array()?;
        reader.end()?;
        if shown != found.expected {
            return Err(ReconcileError::Malformed("the digest is not that of what both have in common"));
        }
        self.ranges.end();
        self.phase = Phase::Done;
        Ok(Step { reply: None, have: found.have, need: found.need.into_iter().map(Need::Part).collect() })
    }
}
