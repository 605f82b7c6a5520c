//! What this side sends, straight from the store.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use syncline_core::{SyncError, TopicQuery};
use syncline_crypto::{Hash, PublicKey};

use super::super::wire::{self, Message, Payload, Purpose};
use super::{LogMachine, LogName, Output, Request, out_of_turn, unexpected};
use crate::SeqNum;
use crate::store::live::Change;
use crate::store::{LogId, Page, SeqRange, StoredOperation, Tip};

/// While so many bodies are asked for, no more is read from the peer.
const PAYLOADS_ASKED_MAX: usize = 4_096;

/// Operations of one log that the peer lacks.
#[derive(Clone, Debug)]
pub(super) struct Run<L> {
    log: LogName<L>,
    from: SeqNum,
    /// The last to send.
    to: SeqNum,
    /// The hash that the operation at `from` has if both sides have the same log. It is not sent then.
    known: Option<Hash>,
    /// One operation, to show that there are two.
    is_evidence: bool,
}

impl<L> Run<L> {
    pub(super) fn new(log: LogName<L>, from: SeqNum, to: SeqNum) -> Self {
        Self { log, from, to, known: None, is_evidence: false }
    }

    /// All behind the peer's tip.
    pub(super) fn behind(log: LogName<L>, tip: Tip, to: SeqNum) -> Self {
        Self { known: Some(tip.hash), ..Self::new(log, tip.seq_num, to) }
    }

    pub(super) fn evidence(log: LogName<L>, seq_num: SeqNum) -> Self {
        Self { is_evidence: true, ..Self::new(log, seq_num, seq_num) }
    }
}

#[derive(Debug)]
pub(super) struct Outgoing<L> {
    /// Whether it is known what the peer lacks.
    pub(super) is_ready: bool,
    pub(super) peer_body_len_max: u64,
    /// Operations that prove forks.
    evidence: VecDeque<Run<L>>,
    /// What there is to send of each log: one run, however often it changes.
    runs: BTreeMap<LogName<L>, Run<L>>,
    /// Whose turn it is. Each gets a page at a time, so that none holds up the others. Some may be gone from `runs`.
    turns: VecDeque<LogName<L>>,
    reading: Option<Run<L>>,
    /// Where the peer thinks that we are.
    context: Option<(LogName<L>, SeqNum)>,
    /// How far the peer is in logs where it was not as far as our summary said.
    peer_heights: BTreeMap<LogName<L>, Option<SeqNum>>,
    /// Logs of which the peer takes no more.
    stopped: BTreeSet<LogName<L>>,
    /// Logs of which the peer was shown an operation to prove a fork.
    shown: BTreeSet<LogName<L>>,
    payloads: VecDeque<Hash>,
    payloads_given: usize,
    reading_payload: bool,
    /// Something was sent that no mark follows yet.
    unmarked: bool,
    caught_up: bool,
    done_sent: bool,
    acknowledged: bool,
}

impl<L: LogId> Outgoing<L> {
    pub(super) fn new() -> Self {
        Self {
            is_ready: false,
            peer_body_len_max: u64::MAX,
            evidence: VecDeque::new(),
            runs: BTreeMap::new(),
            turns: VecDeque::new(),
            reading: None,
            context: None,
            peer_heights: BTreeMap::new(),
            stopped: BTreeSet::new(),
            shown: BTreeSet::new(),
            payloads: VecDeque::new(),
            payloads_given: 0,
            reading_payload: false,
            unmarked: false,
            caught_up: false,
            done_sent: false,
            acknowledged: false,
        }
    }

    pub(super) fn add(&mut self, run: Run<L>) {
        if run.is_evidence {
            if self.shown.insert(run.log.clone()) {
                self.evidence.push_back(run);
            }
            return;
        }
        match self.runs.get_mut(&run.log) {
            Some(queued) => {
                queued.from = queued.from.min(run.from);
                queued.to = queued.to.max(run.to);
            }
            None => {
                self.turns.push_back(run.log.clone());
                self.runs.insert(run.log.clone(), run);
            }
        }
    }

    /// The next run to read, from behind what the peer has by now.
    fn next_run(&mut self) -> Option<Run<L>> {
        if let Some(run) = self.evidence.pop_front() {
            return Some(run);
        }
        while let Some(log) = self.turns.pop_front() {
            let Some(mut run) = self.runs.remove(&log) else { continue };
            let height = self.peer_heights.get(&run.log).copied().flatten();
            if let (None, Some(height)) = (run.known, height) {
                let Some(next) = height.checked_next() else { continue };
                run.from = run.from.max(next);
            }
            if run.from <= run.to {
                return Some(run);
            }
        }
        None
    }

    /// The peer takes no more of a log.
    fn stop(&mut self, log: LogName<L>) {
        self.runs.remove(&log);
        self.stopped.insert(log);
    }

    pub(super) fn set_peer_height(&mut self, log: LogName<L>, height: Option<SeqNum>) {
        self.peer_heights.insert(log, height);
    }

    /// The peer has the log at least up to here.
    pub(super) fn peer_has(&mut self, log: LogName<L>, seq_num: SeqNum) {
        let height = self.peer_heights.entry(log).or_default();
        *height = (*height).max(Some(seq_num));
    }

    pub(super) fn is_idle(&self) -> bool {
        self.is_ready
            && self.evidence.is_empty()
            && self.runs.is_empty()
            && self.reading.is_none()
            && self.payloads.is_empty()
            && !self.reading_payload
    }

    pub(super) fn has_caught_up(&self) -> bool {
        self.caught_up
    }

    pub(super) fn is_asked_too_much(&self) -> bool {
        self.payloads.len() >= PAYLOADS_ASKED_MAX
    }

    pub(super) fn done_is_sent(&self) -> bool {
        self.done_sent
    }

    /// The peer has sent its last message.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// The peer has, and has stored, all that was sent.
    pub(super) fn is_done(&self) -> bool {
        self.done_sent && self.acknowledged
    }
}

impl<T: TopicQuery, L: LogId> LogMachine<T, L> {
    /// Asks the store for what is to be sent next.
    pub(super) fn read_next(&mut self) {
        if !self.outgoing.is_ready || self.outgoing.reading.is_some() || self.outgoing.reading_payload {
            return;
        }
        if let Some(hash) = self.outgoing.payloads.pop_front() {
            self.outgoing.reading_payload = true;
            let is_too_much = self.outgoing.payloads_given >= self.config.limits.payloads_wanted_max();
            self.outputs.push_back(Output::Request(Request::Payload { operation: hash, is_too_much }));
            return;
        }
        let Some(run) = self.outgoing.next_run() else { return };
        let (author, log_id) = run.log.clone();
        let range = SeqRange::new(run.from, run.to);
        let bytes_max = self.config.limits.page_bytes();
        self.outgoing.reading = Some(run);
        self.outputs.push_back(Output::Request(Request::Read { author, log_id, range, bytes_max }));
    }

    pub(super) fn page(&mut self, page: &Page) -> Result<(), SyncError> {
        let mut run = self.outgoing.reading.take().ok_or_else(out_of_turn)?;
        if self.outgoing.stopped.contains(&run.log) {
            return Ok(());
        }
        let mut operations = page.operations.as_slice();
        if let (Some(known), Some((first, rest))) = (run.known.take(), operations.split_first())
            && first.seq_num == run.from
        {
            if Hash::digest(&first.header) != known {
                // The peer has another branch. It cannot take what follows on ours, but it can know.
                if self.outgoing.shown.insert(run.log.clone()) {
                    self.send_operations(&run.log, std::slice::from_ref(first));
                }
                self.outgoing.stop(run.log);
                return Ok(());
            }
            operations = rest;
            #[cfg(syncline_planted)]
            if syncline_core::planted::is(syncline_core::planted::Bug::ResumeOneTooFar) {
                operations = rest.get(1..).unwrap_or_default();
            }
        }
        if !run.is_evidence {
            // Since it was asked for, the peer may have sent some of it itself.
            let height = self.outgoing.peer_heights.get(&run.log).copied().flatten();
            let known = operations.iter().take_while(|operation| Some(operation.seq_num) <= height).count();
            operations = operations.get(known..).unwrap_or_default();
        }
        self.send_operations(&run.log, operations);
        if let Some(last) = operations.last().filter(|_| !run.is_evidence) {
            self.outgoing.peer_has(run.log.clone(), last.seq_num);
        }
        if let Some(next) = page.next.filter(|next| *next <= run.to) {
            run.from = next;
            self.outgoing.add(run);
        }
        Ok(())
    }

    fn send_operations(&mut self, log: &LogName<L>, operations: &[StoredOperation]) {
        let Some(first) = operations.first() else { return };
        let expected = self.outgoing.context.as_ref().filter(|(current, _)| current == log).map(|(_, next)| *next);
        if expected != Some(first.seq_num) {
            let (author, log_id) = log.clone();
            self.send(&Message::Log { author, log_id, from: first.seq_num });
        }
        let body_len_max = self.outgoing.peer_body_len_max;
        let bytes: usize = operations.iter().map(|operation| operation.byte_len() + 11).sum();
        self.encoded.reserve(bytes);
        for operation in operations {
            let body = match &operation.body {
                Some(body) if body.len() as u64 > body_len_max => Payload::Withheld,
                Some(body) => Payload::Here(body.clone()),
                None => Payload::None,
            };
            wire::encode_operation(&mut self.encoded, &operation.header, &body);
            #[cfg(syncline_planted)]
            if syncline_core::planted::is(syncline_core::planted::Bug::SendTwice) {
                wire::encode_operation(&mut self.encoded, &operation.header, &body);
            }
        }
        self.items += operations.len() as u64;
        self.outgoing.unmarked = true;
        self.outgoing.context = operations.last().and_then(|last| Some((log.clone(), last.seq_num.checked_next()?)));
    }

    /// The peer takes no more of a log.
    pub(super) fn stop_sending(&mut self, author: PublicKey, log_id: L) {
        if self.is_in_scope(&author, &log_id) {
            self.outgoing.stop((author, log_id));
        }
    }

    /// Sends what was appended behind what the peer has.
    pub(super) fn push_changes(&mut self, log: LogName<L>, change: Change) {
        if self.outgoing.done_sent || self.outgoing.stopped.contains(&log) {
            return;
        }
        if change.is_deleted {
            // Should it begin again, then from its beginning. A run that waits keeps its turn, and what it knew of the peer's
            // tip is about the log that is gone.
            if let Some(run) = self.outgoing.runs.get_mut(&log) {
                run.known = None;
            }
            self.outgoing.set_peer_height(log.clone(), None);
        }
        let Some(to) = change.appended_to else { return };
        let height = match self.outgoing.peer_heights.get(&log) {
            Some(height) => *height,
            None => {
                let summary = self.resolved.as_ref().map(|resolved| &resolved.summary);
                let height = summary.and_then(|summary| summary.tip(&log.0, &log.1)).map(|tip| tip.seq_num);
                self.outgoing.set_peer_height(log.clone(), height);
                height
            }
        };
        let from = height.map_or(Some(SeqNum::ZERO), SeqNum::checked_next);
        if let Some(from) = from.filter(|from| *from <= to) {
            self.outgoing.add(Run::new(log, from, to));
        }
    }

    /// Says that there is no more for now, or at all.
    pub(super) fn finish_sending(&mut self) {
        if !self.outgoing.is_idle() || self.outgoing.done_sent {
            return;
        }
        let is_last = match self.purpose {
            Purpose::Sync => !self.live || self.finishing,
            // Who answers is done when nothing more can be asked.
            Purpose::FetchPayloads if self.is_initiator => !self.incoming.has_more_to_ask(),
            Purpose::FetchPayloads => self.incoming.peer_is_done(),
        };
        if is_last {
            self.outgoing.done_sent = true;
            self.send(&Message::Done);
        } else if self.purpose == Purpose::Sync && (self.outgoing.unmarked || !self.outgoing.caught_up) {
            self.send(&Message::CaughtUp);
        } else {
            return;
        }
        self.outgoing.unmarked = false;
        self.outgoing.caught_up = true;
    }

    pub(super) fn peer_acknowledged(&mut self) -> Result<(), SyncError> {
        if !self.outgoing.done_sent || std::mem::replace(&mut self.outgoing.acknowledged, true) {
            return Err(unexpected("unexpected \"ack\" message received"));
        }
        self.incoming.flush();
        Ok(())
    }

    pub(super) fn peer_wants(&mut self, hashes: Vec<Hash>) -> Result<(), SyncError> {
        if self.purpose != Purpose::FetchPayloads || self.is_initiator || self.incoming.peer_is_done() {
            return Err(unexpected("unexpected \"want\" message received"));
        }
        self.outgoing.payloads.extend(hashes);
        Ok(())
    }

    pub(super) fn payload(&mut self, operation: Hash, body: Option<Bytes>) -> Result<(), SyncError> {
        if !std::mem::take(&mut self.outgoing.reading_payload) {
            return Err(out_of_turn());
        }
        // One that does not fit into the peer's messages is not there for it.
        let body = body.filter(|body| body.len() as u64 <= self.outgoing.peer_body_len_max);
        self.outgoing.payloads_given += usize::from(body.is_some());
        self.items += u64::from(body.is_some());
        self.send(&Message::Body { operation, body });
        Ok(())
    }
}
