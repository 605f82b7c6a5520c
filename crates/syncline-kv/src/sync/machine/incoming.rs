//! What this side takes in.

use bytes::Bytes;
use syncline_core::SyncError;
use syncline_core::clock::Timestamp;
use syncline_core::machine::Output;

use super::super::intake::{Applied, Arrival};
use super::super::limits::Limits;
use super::super::wire::{Message, Refused};
use super::{KvMachine, LINGER, Request, out_of_turn, unexpected, unexpected_message};

#[derive(Debug, Default)]
pub(super) struct Incoming {
    waiting: Vec<Arrival>,
    waiting_bytes: usize,
    waiting_since: Option<Timestamp>,
    /// Whether what waits is due although it is not much.
    is_due: bool,
    is_applying: bool,
    bytes: u64,
    items: u64,
    /// Something was taken that would be lost with this process.
    is_unsettled: bool,
    caught_up: bool,
    done: bool,
    ack_sent: bool,
}

impl Incoming {
    pub(super) fn count_bytes(&mut self, bytes: usize, limits: &Limits) -> Result<(), SyncError> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes > limits.bytes_received_max() {
            return Err(unexpected(format!("more than {} bytes in a session", limits.bytes_received_max())));
        }
        Ok(())
    }

    fn has_batch(&self, limits: &Limits) -> bool {
        self.waiting.len() >= limits.batch_items_max() || self.waiting_bytes >= limits.batch_bytes_max()
    }

    /// Whether no more can be taken before what is being applied is done.
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.is_applying && self.has_batch(limits)
    }

    fn push(&mut self, now: Timestamp, arrival: Arrival) {
        self.waiting_bytes += arrival.len();
        self.waiting_since.get_or_insert(now);
        self.waiting.push(arrival);
    }

    /// What waits, waits no longer.
    pub(super) fn flush(&mut self) {
        self.is_due = !self.waiting.is_empty();
    }

    pub(super) fn linger_until(&self) -> Option<Timestamp> {
        let since = self.waiting_since.filter(|_| !self.is_due && !self.is_applying);
        since.map(|since| since + LINGER)
    }

    pub(super) fn lingered(&mut self, now: Timestamp) {
        self.is_due |= self.linger_until().is_some_and(|until| now >= until);
    }

    pub(super) fn is_applying(&self) -> bool {
        self.is_applying || !self.waiting.is_empty()
    }

    pub(super) fn has_caught_up(&self) -> bool {
        self.caught_up
    }

    pub(super) fn peer_is_done(&self) -> bool {
        self.done
    }

    pub(super) fn ack_is_sent(&self) -> bool {
        self.ack_sent
    }

    /// Whether all that came was taken, or never will be.
    pub(super) fn is_settled(&self) -> bool {
        !self.is_unsettled
    }
}

impl KvMachine {
    pub(super) fn item(&mut self, now: Timestamp, item: Bytes) -> Result<(), SyncError> {
        if self.incoming.done {
            return Err(unexpected_message("item"));
        }
        self.incoming.items += 1;
        let max = self.config.limits.items_received_max();
        if self.incoming.items > max {
            return Err(unexpected(format!("more than {max} items in a session")));
        }
        self.incoming.push(now, Arrival::Item(item));
        self.apply_waiting()
    }

    /// The peer did not take an item, perhaps for a revocation that is not known here.
    pub(super) fn refused(&mut self, now: Timestamp, refused: Refused) -> Result<(), SyncError> {
        self.outgoing.count_refused()?;
        self.incoming.push(now, Arrival::Refused(refused));
        self.apply_waiting()
    }

    /// Has what waits verified and stored, if it is enough or due.
    pub(super) fn apply_waiting(&mut self) -> Result<(), SyncError> {
        // A stream that has ended, or soon will, brings no better occasion.
        let is_ending = self.closed || self.incoming.done;
        let is_time = is_ending || self.incoming.is_due || self.incoming.has_batch(&self.config.limits);
        if self.incoming.is_applying || self.incoming.waiting.is_empty() || !is_time {
            return Ok(());
        }
        let terms = self.terms()?;
        let batch = std::mem::take(&mut self.incoming.waiting);
        self.incoming.waiting_bytes = 0;
        self.incoming.waiting_since = None;
        self.incoming.is_due = false;
        self.incoming.is_applying = true;
        self.outputs.push_back(Output::Apply(Request::Apply { terms, batch }));
        Ok(())
    }

    pub(super) fn applied(&mut self, applied: Applied) -> Result<(), SyncError> {
        if !std::mem::take(&mut self.incoming.is_applying) {
            return Err(out_of_turn());
        }
        applied.new.into_iter().for_each(|item| self.deliver(item));
        self.incoming.is_unsettled |= !applied.is_settled;
        self.outgoing.has_more |= applied.has_refusals;
        // The tree was asked what has changed meanwhile.
        self.outgoing.look_for_changes();
        Ok(())
    }

    pub(super) fn peer_caught_up(&mut self) -> Result<(), SyncError> {
        if !self.terms()?.live || self.incoming.done {
            return Err(unexpected_message("caught up"));
        }
        self.incoming.caught_up = true;
        self.incoming.flush();
        Ok(())
    }

    pub(super) fn peer_done(&mut self, items: u64) -> Result<(), SyncError> {
        if std::mem::replace(&mut self.incoming.done, true) {
            return Err(unexpected_message("done"));
        }
        if items != self.incoming.items {
            let came = self.incoming.items;
            return Err(unexpected(format!("the peer says that it sent {items} items where {came} came")));
        }
        self.finishing = true;
        self.incoming.flush();
        Ok(())
    }

    /// Tells the peer that all that it sent is stored.
    pub(super) fn acknowledge(&mut self) {
        let is_settled = self.outgoing.done_is_sent() && self.is_idle();
        if self.incoming.done && !self.incoming.is_applying() && is_settled && !self.incoming.ack_sent {
            self.incoming.ack_sent = true;
            self.send(&Message::Ack { items: self.incoming.items, settled: !self.incoming.is_unsettled });
        }
    }
}
