//! What this side takes in.

use std::collections::BTreeSet;

use bytes::Bytes;
use syncline_core::clock::Timestamp;
use syncline_core::{FromSync, SyncError, TopicQuery};
use syncline_crypto::{Hash, PublicKey};

use super::super::Limits;
use super::super::wire::{Message, Payload, Purpose};
use super::outgoing::Run;
use super::{Applied, LINGER, LogMachine, LogName, Output, Request, out_of_turn, unexpected};
use crate::SeqNum;
use crate::store::LogId;

/// Bodies are asked for in messages of so many.
const WANT_MAX: usize = 1_024;

/// So many logs outside of the topic are answered for.
const FOREIGN_MAX: usize = 1_024;

/// Something to verify and store.
#[derive(Clone, Debug)]
pub(in crate::sync::v2) enum Received<L> {
    /// An operation that the peer says belongs to this log.
    Operation { log: LogName<L>, header: Bytes, body: Option<Bytes> },
    /// A body that was asked for.
    Body { operation: Hash, body: Option<Bytes> },
}

#[derive(Debug)]
pub(super) struct Incoming<L> {
    /// The log that the peer's operations belong to, the place of the next, and whether it is wanted.
    context: Option<(LogName<L>, Option<SeqNum>, bool)>,
    waiting: Vec<Received<L>>,
    waiting_bytes: usize,
    waiting_since: Option<Timestamp>,
    /// Whether what waits is due although it is not much.
    is_due: bool,
    is_applying: bool,
    stopped: BTreeSet<LogName<L>>,
    /// Bodies that are asked for, and those that will be.
    wanted: BTreeSet<Hash>,
    to_ask: BTreeSet<Hash>,
    bytes: u64,
    operations: u64,
    faults: u64,
    /// Logs that the peer named and that are not in the topic.
    foreign: usize,
    caught_up: bool,
    /// Whether all that the peer sent until it had caught up was given to be applied.
    is_past_catch_up: bool,
    /// Whether what is being applied came before that.
    is_catching_up: bool,
    done: bool,
    ack_sent: bool,
}

impl<L: LogId> Incoming<L> {
    pub(super) fn new() -> Self {
        Self {
            context: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
            waiting_since: None,
            is_due: false,
            is_applying: false,
            stopped: BTreeSet::new(),
            wanted: BTreeSet::new(),
            to_ask: BTreeSet::new(),
            bytes: 0,
            operations: 0,
            faults: 0,
            foreign: 0,
            caught_up: false,
            is_past_catch_up: false,
            is_catching_up: true,
            done: false,
            ack_sent: false,
        }
    }

    pub(super) fn want(&mut self, hashes: Vec<Hash>) {
        self.to_ask.extend(hashes);
    }

    pub(super) fn has_more_to_ask(&self) -> bool {
        !self.to_ask.is_empty()
    }

    pub(super) fn count_bytes(&mut self, bytes: usize, limits: &Limits) -> Result<(), SyncError> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes > limits.bytes_received_max() {
            return Err(unexpected(format!("more than {} bytes in a session", limits.bytes_received_max())));
        }
        Ok(())
    }

    fn count_operation(&mut self, limits: &Limits) -> Result<(), SyncError> {
        self.operations += 1;
        if self.operations > limits.operations_received_max() {
            let max = limits.operations_received_max();
            return Err(unexpected(format!("more than {max} operations in a session")));
        }
        Ok(())
    }

    fn has_batch(&self, limits: &Limits) -> bool {
        self.waiting.len() >= limits.batch_operations_max() || self.waiting_bytes >= limits.batch_bytes_max()
    }

    /// Whether no more can be taken before what is being applied is done.
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.is_applying && self.has_batch(limits)
    }

    fn push(&mut self, now: Timestamp, received: Received<L>) {
        self.waiting_bytes += match &received {
            Received::Operation { header, body, .. } => header.len() + body.as_ref().map_or(0, Bytes::len),
            Received::Body { body, .. } => body.as_ref().map_or(0, Bytes::len),
        };
        self.waiting_since.get_or_insert(now);
        self.waiting.push(received);
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

    /// All that the peer had to send is stored, and the peer is told.
    pub(super) fn is_done(&self) -> bool {
        self.ack_sent && !self.is_applying()
    }
}

impl<T: TopicQuery, L: LogId> LogMachine<T, L> {
    pub(super) fn log_begins(&mut self, author: PublicKey, log_id: L, from: SeqNum) -> Result<(), SyncError> {
        self.expect_data("log")?;
        let log = (author, log_id);
        let mut is_wanted = !self.incoming.stopped.contains(&log);
        if !self.is_in_scope(&log.0, &log.1) {
            is_wanted = false;
            // Not kept in `stopped`: what is outside of the topic could be anything. A peer whose topic covers more is told so,
            // up to a number: it need not read what it makes us say.
            self.incoming.foreign += 1;
            if self.incoming.foreign <= FOREIGN_MAX {
                self.send(&Message::Stop { author: log.0, log_id: log.1.clone() });
            }
        }
        self.incoming.context = Some((log, Some(from), is_wanted));
        Ok(())
    }

    fn expect_data(&self, what: &str) -> Result<(), SyncError> {
        // Behind `Done` a peer may still show what proves a fork that it has just seen; behind its `Ack`, nothing.
        let is_time = self.outgoing.is_ready && !self.outgoing.is_acknowledged();
        if self.purpose != Purpose::Sync || !is_time {
            return Err(unexpected(format!("unexpected \"{what}\" message received")));
        }
        Ok(())
    }

    fn faults(&mut self, faults: u64) -> Result<(), SyncError> {
        self.incoming.faults += faults;
        if faults > 0 && self.config.fails_on_bad {
            return Err(unexpected("the peer sent an operation that was rejected"));
        }
        let max = self.config.limits.rejected_max();
        if self.incoming.faults > max {
            return Err(unexpected(format!("the peer sent more than {max} operations that were rejected")));
        }
        Ok(())
    }

    pub(super) fn operation(&mut self, now: Timestamp, header: Bytes, body: Payload) -> Result<(), SyncError> {
        self.expect_data("operation")?;
        self.incoming.count_operation(&self.config.limits)?;
        let body_len_max = self.body_len_max();
        let Some((log, place, is_wanted)) = &mut self.incoming.context else {
            return Err(unexpected("an operation came before its log was named"));
        };
        let Some(seq_num) = *place else { return Err(unexpected("an operation came behind the last of a log")) };
        *place = seq_num.checked_next();
        if !*is_wanted {
            return Ok(());
        }
        // A body that was not to come is as if it had not.
        let body = if let Payload::Here(body) = body { Some(body) } else { None };
        let body = body.filter(|body| body.len() as u64 <= body_len_max);
        if self.config.is_forwarding {
            let log = log.clone();
            self.outgoing.peer_has(log, seq_num);
            self.deliver(FromSync::Data { header: header.to_vec(), payload: body.map(|body| body.to_vec()) });
            return Ok(());
        }
        let log = log.clone();
        self.incoming.push(now, Received::Operation { log, header, body });
        self.apply_waiting();
        Ok(())
    }

    /// Sends for some of the bodies that are wanted, once those asked for before are answered.
    pub(super) fn ask_for_payloads(&mut self) {
        if !self.incoming.wanted.is_empty() || self.incoming.to_ask.is_empty() {
            return;
        }
        let rest = self.incoming.to_ask.iter().nth(WANT_MAX).copied();
        let rest = rest.map(|first| self.incoming.to_ask.split_off(&first)).unwrap_or_default();
        self.incoming.wanted = std::mem::replace(&mut self.incoming.to_ask, rest);
        let hashes = self.incoming.wanted.iter().copied().collect();
        self.send(&Message::Want(hashes));
    }

    pub(super) fn body(&mut self, now: Timestamp, operation: Hash, body: Option<Bytes>) -> Result<(), SyncError> {
        if !self.incoming.wanted.remove(&operation) || self.incoming.done {
            return Err(unexpected("a body came that was not asked for"));
        }
        self.incoming.push(now, Received::Body { operation, body });
        self.ask_for_payloads();
        self.apply_waiting();
        Ok(())
    }

    /// Has what waits verified and stored, if it is enough or due.
    pub(super) fn apply_waiting(&mut self) {
        // A stream that has ended, or soon will, brings no better occasion.
        let is_ending = self.closed || self.incoming.done;
        let is_time = is_ending || self.incoming.is_due || self.incoming.has_batch(&self.config.limits);
        if self.incoming.is_applying || self.incoming.waiting.is_empty() || !is_time {
            return;
        }
        let batch = std::mem::take(&mut self.incoming.waiting);
        self.incoming.is_catching_up = !std::mem::replace(&mut self.incoming.is_past_catch_up, self.incoming.caught_up);
        self.incoming.waiting_bytes = 0;
        self.incoming.waiting_since = None;
        self.incoming.is_due = false;
        self.incoming.is_applying = true;
        self.outputs.push_back(Output::Apply(Request::Apply(batch)));
    }

    pub(super) fn applied(&mut self, applied: Applied<T, L>) -> Result<(), SyncError> {
        if !std::mem::take(&mut self.incoming.is_applying) {
            return Err(out_of_turn());
        }
        for item in applied.new {
            self.deliver(item);
        }
        for (log, seq_num) in applied.peer_has {
            #[cfg(syncline_planted)]
            if syncline_core::planted::is(syncline_core::planted::Bug::Echo) {
                continue;
            }
            self.outgoing.peer_has(log, seq_num);
        }
        for (log, seq_num) in applied.forked {
            // Behind our `Ack` the peer need not be there; and it has noticed the fork, or we would not have seen it so late.
            if !self.incoming.ack_sent {
                self.outgoing.add(Run::evidence(log, seq_num));
            }
        }
        for log in applied.stopped {
            self.stop_receiving(log);
        }
        // A live session would keep the log back for ever. What was missing before the peer had caught up, it does not have.
        let is_worth_another = applied.faults > 0 || (applied.has_gaps && !self.incoming.is_catching_up);
        self.finishing |= self.live && is_worth_another;
        self.faults(applied.faults)
    }

    /// Nothing of this log is taken any more, and the peer is told, once.
    fn stop_receiving(&mut self, log: LogName<L>) {
        if let Some((current, _, is_wanted)) = &mut self.incoming.context
            && *current == log
        {
            *is_wanted = false;
        }
        if self.is_in_scope(&log.0, &log.1) && self.incoming.stopped.insert(log.clone()) {
            self.send(&Message::Stop { author: log.0, log_id: log.1 });
        }
    }

    pub(super) fn peer_caught_up(&mut self) -> Result<(), SyncError> {
        self.expect_data("caught up")?;
        if !self.live || self.incoming.done {
            return Err(unexpected("unexpected \"caught up\" message received"));
        }
        self.incoming.caught_up = true;
        self.incoming.flush();
        Ok(())
    }

    pub(super) fn peer_done(&mut self) -> Result<(), SyncError> {
        if !self.outgoing.is_ready || std::mem::replace(&mut self.incoming.done, true) {
            return Err(unexpected("unexpected \"done\" message received"));
        }
        if !self.incoming.wanted.is_empty() {
            return Err(unexpected("the peer did not answer for every body that it was asked for"));
        }
        self.finishing = true;
        self.incoming.flush();
        Ok(())
    }

    /// Tells the peer that all that it sent is stored.
    pub(super) fn acknowledge(&mut self) {
        let is_settled = self.outgoing.done_is_sent() && self.outgoing.is_idle();
        if self.incoming.done && !self.incoming.is_applying() && is_settled && !self.incoming.ack_sent {
            self.incoming.ack_sent = true;
            self.send(&Message::Ack);
        }
    }
}
