//! The side that sends symbols.

use super::config::is_worth_it;
use super::{Phase, Sending, SketchReconciler, find_all, message};
use crate::range::{Digest, Greeted};
use crate::wire::{Reader, SYMBOL_LEN_MAX, kind, put_varint, write_symbols};
use crate::{IdPart, Nonce, RangeReconciler, ReconcileError, ReconcileSet, Step};

impl SketchReconciler {
    pub(super) fn on_open(&mut self, set: &dyn ReconcileSet, head: u8, message: &[u8]) -> Result<Step, ReconcileError> {
        if head & !kind::OPEN_FLAGS != kind::OPEN {
            return Err(ReconcileError::Malformed("an unknown kind of message"));
        }
        let reader = self.body(message)?;
        let Greeted { count, is_equal, offer } = self.ranges.greet_only(set, head, reader)?;
        let (theirs, is_streamed) = offer.map_or((0, false), |offer| (offer.symbols, offer.is_streamed));
        let limit = usize::try_from(theirs).unwrap_or(usize::MAX).min(set.symbol_count());
        let ours = set.len()?;
        let is_hopeless =
            limit == 0 || count == 0 || ours == 0 || !is_worth_it(ours.abs_diff(count), limit, ours, count);
        if is_equal || is_hopeless {
            let step = self.ranges.take_over(set, count, is_equal, true)?;
            self.phase = Phase::Ranges;
            return Ok(step);
        }
        let is_streamed = is_streamed && self.config.streamed;
        let sending = Sending { count, sent: 0, limit, is_streamed };
        let mut body = Vec::new();
        let nonce = self.ranges.nonce_to_send();
        body.extend_from_slice(nonce.as_ref().map_or(&[], |nonce| nonce.as_bytes().as_slice()));
        put_varint(&mut body, ours);
        put_varint(&mut body, set.symbol_count() as u64);
        let mut head = kind::SYMBOLS;
        head |= if nonce.is_some() { kind::NONCE } else { 0 } | if is_streamed { kind::STREAMED } else { 0 };
        self.send_symbols(set, head, body, sending, self.config.first())
    }

    pub(super) fn on_request(
        &mut self,
        set: &dyn ReconcileSet,
        message: &[u8],
        sending: Sending,
    ) -> Result<Step, ReconcileError> {
        let mut reader = self.body(message)?;
        let wanted = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        reader.end()?;
        if wanted <= sending.sent || wanted > sending.limit {
            return Err(ReconcileError::Malformed("it asks for symbols that there are not"));
        }
        self.send_symbols(set, kind::SYMBOLS, Vec::new(), sending, wanted)
    }

    fn send_symbols(
        &mut self,
        set: &dyn ReconcileSet,
        kind: u8,
        mut body: Vec<u8>,
        mut sending: Sending,
        to: usize,
    ) -> Result<Step, ReconcileError> {
        let room = (self.ranges.message_len_max() - Nonce::LEN - 32) / SYMBOL_LEN_MAX;
        let to = to.min(sending.limit).min(sending.sent + room);
        let symbols = set.symbols(sending.sent, to)?;
        write_symbols(&mut body, &symbols, sending.sent, set.len()?);
        sending.sent = to;
        self.phase = Phase::Sending(sending);
        Ok(Step { reply: Some(message(kind, &body)), ..Step::default() })
    }

    /// Takes what the opener found.
    pub(super) fn on_found(
        &mut self,
        set: &dyn ReconcileSet,
        bytes: &[u8],
        sending: Sending,
    ) -> Result<Step, ReconcileError> {
        let mut reader = self.body(bytes)?;
        let shown: Digest = reader.array()?;
        let wanted = read_parts(&mut reader)?;
        let width = self.ranges.short_width();
        let len = reader.count(width)?;
        let mut need = Vec::with_capacity(len);
        for _ in 0..len {
            need.push(RangeReconciler::need(reader.low(width)?));
        }
        reader.end()?;
        if wanted.len() + need.len() > sending.sent {
            return Err(ReconcileError::Malformed("more differences than symbols"));
        }
        let Some(have) = find_all(set, &wanted)? else {
            return self.take_over(set, sending.count);
        };
        let (ours, expected) = self.ranges.digests_without(set, &have)?;
        if shown != expected {
            return self.take_over(set, sending.count);
        }
        self.ranges.budget().ids(have.len() + need.len())?;
        self.ranges.end();
        self.phase = Phase::Done;
        Ok(Step { reply: Some(message(kind::NEXT | kind::DIGEST, &ours)), have, need })
    }

    /// More symbols that nobody asked for, if the session is [streamed](crate::SketchConfig::streamed) and the peer has not
    /// said that it has enough. To be sent after all that was returned before. Nothing if there is nothing to push.
    ///
    /// # Errors
    ///
    /// [`ReconcileError`].
    pub fn push(&mut self, set: &dyn ReconcileSet) -> Result<Option<bytes::Bytes>, ReconcileError> {
        let Phase::Sending(sending) = self.phase else {
            return Ok(None);
        };
        if !sending.is_streamed || sending.sent >= sending.limit {
            return Ok(None);
        }
        let to = sending.sent + (sending.sent / 4).max(self.config.first());
        Ok(self.send_symbols(set, kind::SYMBOLS, Vec::new(), sending, to)?.reply)
    }
}

/// Parts of ids, each once.
fn read_parts(reader: &mut Reader<'_>) -> Result<Vec<IdPart>, ReconcileError> {
    let len = reader.count(IdPart::LEN)?;
    let mut parts = Vec::with_capacity(len);
    for _ in 0..len {
        parts.push(IdPart::from_bytes(reader.array()?));
    }
    if parts.is_sorted_by(|one, other| one < other) {
        Ok(parts)
    } else {
        Err(ReconcileError::Malformed("parts of ids are not in order"))
    }
}
