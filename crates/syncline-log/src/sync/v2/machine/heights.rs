//! In which logs do the peers differ, and how far do those go?

use std::collections::BTreeMap;

use syncline_core::{SyncError, TopicQuery};
use syncline_crypto::PublicKey;
use syncline_reconcile::{Nonce, RangeConfig, RangeReconciler, ReconcileError, Reconciler as _, Step};

use super::super::wire::Message;
use super::outgoing::Run;
use super::{LogMachine, LogName, out_of_turn, unexpected};
use crate::SeqNum;
use crate::store::live::Height;
use crate::store::{LogId, Tip};

/// Up to so many logs on either side are told outright.
const LIST_MAX: u64 = 128;

#[derive(Debug)]
pub(super) struct HeightExchange<L> {
    pub(super) peer_count: Option<u64>,
    pub(super) are_equal: bool,
    reconciler: Option<RangeReconciler>,
    /// Both sides tell all heights.
    are_listed: bool,
    /// Our heights that the peer was told because it has others, or none.
    ours: BTreeMap<LogName<L>, Tip>,
    /// The peer's that it told us.
    theirs: BTreeMap<LogName<L>, Tip>,
    heights_received: usize,
    end_sent: bool,
    end_received: bool,
}

impl<L: LogId> HeightExchange<L> {
    pub(super) fn new() -> Self {
        Self {
            peer_count: None,
            are_equal: false,
            reconciler: None,
            are_listed: false,
            ours: BTreeMap::new(),
            theirs: BTreeMap::new(),
            heights_received: 0,
            end_sent: false,
            end_received: false,
        }
    }

    /// Whether heights are exchanged at all.
    fn are_told(&self) -> bool {
        self.reconciler.is_some() || self.are_listed
    }
}

impl<T: TopicQuery, L: LogId> LogMachine<T, L> {
    /// Begins to compare, unless there is nothing to compare.
    pub(super) fn start_heights(&mut self, opens: bool) -> Result<(), SyncError> {
        let resolved = self.resolved.as_ref().ok_or_else(out_of_turn)?;
        let ours = resolved.summary.len();
        if self.heights.are_equal {
            return self.heights_complete();
        }
        if self.heights.peer_count == Some(0) || (ours == 0 && self.heights.peer_count.is_some()) {
            // Whoever has nothing lacks everything, and the other knows it.
            self.heights.ours =
                resolved.summary.heights().map(|height| ((height.author, height.log_id.clone()), height.tip)).collect();
            return self.heights_complete();
        }
        if ours <= LIST_MAX && self.heights.peer_count.is_some_and(|count| count <= LIST_MAX) {
            return self.list_heights();
        }
        let (initiator, acceptor) =
            if self.is_initiator { (&self.nonce, &self.peer_nonce) } else { (&self.peer_nonce, &self.nonce) };
        let (of_initiator, of_acceptor) = resolved.key.ranges(initiator, acceptor);
        let (of_us, of_peer) =
            if self.is_initiator { (of_initiator, of_acceptor) } else { (of_acceptor, of_initiator) };
        let mut reconciler =
            RangeReconciler::with_nonces(RangeConfig::default(), Nonce::from_bytes(of_us), Nonce::from_bytes(of_peer));
        if opens {
            let step = reconciler.open(resolved.summary.set()).map_err(reconcile_failed)?;
            self.heights.reconciler = Some(reconciler);
            return self.reconciled(step);
        }
        self.heights.reconciler = Some(reconciler);
        Ok(())
    }

    /// Tells all heights at once, as the peer does, since there are few: that saves the round trips of comparing.
    fn list_heights(&mut self) -> Result<(), SyncError> {
        let resolved = self.resolved.as_ref().ok_or_else(out_of_turn)?;
        let heights: Vec<_> = resolved.summary.heights().cloned().collect();
        self.heights.are_listed = true;
        self.heights.end_sent = true;
        for Height { author, log_id, tip } in heights {
            self.heights.ours.insert((author, log_id.clone()), tip);
            self.send(&Message::Height { author, log_id, tip });
        }
        self.send(&Message::HeightsEnd);
        Ok(())
    }

    pub(super) fn ranges(&mut self, message: &[u8]) -> Result<(), SyncError> {
        let resolved = self.resolved.as_ref().ok_or_else(out_of_turn)?;
        let reconciler = self.heights.reconciler.as_mut().filter(|reconciler| !reconciler.is_done());
        let reconciler = reconciler.ok_or_else(|| unexpected("unexpected \"ranges\" message received"))?;
        let step = reconciler.receive(resolved.summary.set(), message).map_err(reconcile_failed)?;
        self.reconciled(step)
    }

    /// Passes on what was found out.
    fn reconciled(&mut self, step: Step) -> Result<(), SyncError> {
        let resolved = self.resolved.as_ref().ok_or_else(out_of_turn)?;
        let mut messages = Vec::with_capacity(step.have.len() + 2);
        messages.extend(step.reply.map(|reply| Message::Ranges(reply.to_vec())));
        for item in &step.have {
            let height = resolved.summary.get(&item.key).ok_or_else(out_of_turn)?;
            let (author, log_id, tip) = (height.author, height.log_id.clone(), height.tip);
            self.heights.ours.insert((author, log_id.clone()), tip);
            messages.push(Message::Height { author, log_id, tip });
        }
        let is_done = self.heights.reconciler.as_ref().is_some_and(|reconciler| reconciler.is_done());
        if is_done && !self.heights.end_sent {
            self.heights.end_sent = true;
            messages.push(Message::HeightsEnd);
        }
        for message in &messages {
            self.send(message);
        }
        self.heights_complete_if_both_are()
    }

    pub(super) fn height(&mut self, author: PublicKey, log_id: L, tip: Tip) -> Result<(), SyncError> {
        if !self.heights.are_told() || self.heights.end_received {
            return Err(unexpected("unexpected \"height\" message received"));
        }
        self.heights.heights_received += 1;
        let max = self.config.limits.heights_max();
        if self.heights.heights_received > max {
            return Err(unexpected(format!("more than {max} heights in a session")));
        }
        // What this side does not keep is no concern of the session.
        if self.is_in_scope(&author, &log_id) {
            self.heights.theirs.insert((author, log_id), tip);
        }
        Ok(())
    }

    pub(super) fn heights_end(&mut self) -> Result<(), SyncError> {
        if !self.heights.are_told() || std::mem::replace(&mut self.heights.end_received, true) {
            return Err(unexpected("unexpected \"heights end\" message received"));
        }
        self.heights_complete_if_both_are()
    }

    fn heights_complete_if_both_are(&mut self) -> Result<(), SyncError> {
        if self.heights.end_sent && self.heights.end_received { self.heights_complete() } else { Ok(()) }
    }

    /// Works out what the peer lacks.
    fn heights_complete(&mut self) -> Result<(), SyncError> {
        if self.outgoing.is_ready {
            return Ok(());
        }
        let ours = std::mem::take(&mut self.heights.ours);
        let theirs = std::mem::take(&mut self.heights.theirs);
        for (log, tip) in &ours {
            let their_tip = theirs.get(log);
            self.outgoing.set_peer_height(log.clone(), their_tip.map(|tip| tip.seq_num));
            let run = match their_tip {
                None => Run::new(log.clone(), SeqNum::ZERO, tip.seq_num),
                Some(theirs) if theirs.seq_num < tip.seq_num => Run::behind(log.clone(), *theirs, tip.seq_num),
                Some(theirs) if theirs == tip => continue,
                // The author has signed two operations with one number. Each side shows the other its own.
                Some(theirs) if theirs.seq_num == tip.seq_num => Run::evidence(log.clone(), tip.seq_num),
                Some(_) => continue,
            };
            self.outgoing.add(run);
        }
        for (log, tip) in theirs {
            if !ours.contains_key(&log) {
                self.outgoing.set_peer_height(log, Some(tip.seq_num));
            }
        }
        self.heights.reconciler = None;
        self.outgoing.is_ready = true;
        Ok(())
    }

    pub(super) fn is_in_scope(&self, author: &PublicKey, log_id: &L) -> bool {
        let scope = self.resolved.as_ref().map(|resolved| &resolved.scope);
        scope.and_then(|scope| scope.get(author)).is_some_and(|logs| logs.contains(log_id))
    }
}

fn reconcile_failed(err: ReconcileError) -> SyncError {
    match err {
        ReconcileError::Malformed(_) => SyncError::InvalidEncoding(err.to_string()),
        ReconcileError::Index(_) => SyncError::Critical(err.to_string()),
        _ => unexpected(err.to_string()),
    }
}
