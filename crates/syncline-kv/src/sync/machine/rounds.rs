//! Reconciliations, one after the other: the system set, the entries, and the entries again when a side lags behind.

use std::collections::VecDeque;

use bytes::Bytes;
use syncline_core::SyncError;

use super::super::session::Stepped;
use super::super::wire::Message;
use super::{KvMachine, Request, out_of_turn, unexpected, unexpected_message};
use crate::tree::SetName;

/// Messages of a reconciliation that wait for this side's tree. The sides take turns; one may end a reconciliation and the next
/// begin before this side gets to either.
const PENDING_MAX: usize = 4;

/// How far the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    System,
    Entries,
    /// Both sets are reconciled.
    After,
}

impl Stage {
    fn set(self) -> Option<SetName> {
        match self {
            Self::System => Some(SetName::System),
            Self::Entries => Some(SetName::Entries),
            Self::After => None,
        }
    }
}

/// The reconciliation of the present stage.
#[derive(Debug, Default)]
pub(super) struct Round {
    has_begun: bool,
    is_done: bool,
    /// How often the set was reconciled before in this session.
    number: u64,
    pending: VecDeque<Bytes>,
    /// Whether this side asked for another round, and waits for it.
    is_awaited: bool,
    /// Whether the peer asked for another one.
    is_wanted: bool,
    system_end_sent: bool,
    system_end_came: bool,
}

impl KvMachine {
    /// A message of the peer about one of the sets.
    pub(super) fn reconcile(&mut self, set: SetName, message: Bytes) -> Result<(), SyncError> {
        if self.incoming.peer_is_done() {
            return Err(unexpected_message("reconcile"));
        }
        if self.outgoing.done_is_sent() {
            // The peer lagged behind when this side was done. It has learned that meanwhile.
            return Ok(());
        }
        let is_time = match (self.stage, set) {
            (Stage::System, SetName::System) => !self.round.is_done,
            (Stage::System, SetName::Entries) => self.is_initiator && self.round.is_done && self.round.system_end_came,
            (Stage::Entries, SetName::Entries) => self.is_initiator || !self.round.is_done,
            (Stage::After, SetName::Entries) => self.is_initiator,
            (Stage::Entries | Stage::After, SetName::System) => false,
        };
        if !is_time || self.round.pending.len() >= PENDING_MAX {
            return Err(unexpected_message("reconcile"));
        }
        self.round.pending.push_back(message);
        Ok(())
    }

    /// Reconciles the entries once more: the acceptor as soon as it can, the initiator when the acceptor does.
    fn reconcile_again(&mut self) {
        self.stage = Stage::Entries;
        self.round.number += 1;
        (self.round.has_begun, self.round.is_done) = (false, false);
        (self.round.is_awaited, self.round.is_wanted) = (false, false);
    }

    /// All that a turn of the machine may change.
    pub(super) fn progress(&self) -> (Stage, bool, bool, bool, bool) {
        let round = &self.round;
        (self.stage, round.has_begun, round.is_done, round.system_end_sent, self.is_asking)
    }

    /// Too much has changed here to tell it one by one.
    fn lag(&mut self) {
        if self.outgoing.done_is_sent() || self.incoming.peer_is_done() {
            return;
        }
        if self.is_initiator {
            self.round.is_awaited = true;
            self.send(&Message::Again);
        } else {
            self.reconcile_again();
        }
    }

    /// The initiator wants the entries to be reconciled again.
    pub(super) fn peer_lags(&mut self) -> Result<(), SyncError> {
        let is_live = self.terms()?.live;
        // The initiator may be past the entries while this side still stores what it got of the system set.
        let is_early = self.stage == Stage::System && !self.round.system_end_came;
        if self.is_initiator || !is_live || is_early || self.incoming.peer_is_done() {
            return Err(unexpected_message("again"));
        }
        // One that is about to begin will do, if there is one: nothing is compared where a side holds nothing.
        let has_begun = match self.stage {
            Stage::System => false,
            Stage::Entries => self.round.has_begun,
            Stage::After => true,
        };
        self.round.is_wanted |= has_begun || self.is_one_sided(SetName::Entries);
        Ok(())
    }

    pub(super) fn changed(&mut self, lagged: bool) -> Result<(), SyncError> {
        self.answered()?;
        self.outgoing.has_more = true;
        if lagged && self.terms()?.live {
            self.lag();
        }
        Ok(())
    }

    /// Whether one side has nothing, so that the other sends all it has.
    fn is_one_sided(&self, set: SetName) -> bool {
        self.round.number == 0 && (self.ours.of(set) == 0 || self.theirs.of(set) == 0)
    }

    /// Asks the tree for what is next.
    pub(super) fn ask_next(&mut self) -> Result<(), SyncError> {
        if self.is_asking {
            return Ok(());
        }
        let terms = self.terms()?;
        if let Some(set) = self.stage.set() {
            if self.begin_round(set)? {
                return Ok(());
            }
            let is_running = self.round.has_begun && !self.round.is_done;
            if let Some(message) = is_running.then(|| self.round.pending.pop_front()).flatten() {
                self.ask(Request::Step { terms, set, round: None, message: Some(message) });
                return Ok(());
            }
        }
        if self.stage == Stage::After && self.outgoing.takes_look_for_changes() {
            self.ask(Request::Changes { terms });
        } else if self.outgoing.has_more {
            self.outgoing.has_more = false;
            self.ask(Request::Page { terms });
        }
        Ok(())
    }

    /// Begins a reconciliation if it is time. Says whether the tree was asked for something.
    fn begin_round(&mut self, set: SetName) -> Result<bool, SyncError> {
        // What both know of grants decides about which entries there are.
        let is_system_applied = set == SetName::System || !self.incoming.is_applying();
        if self.round.has_begun || !is_system_applied {
            return Ok(false);
        }
        let (terms, number) = (self.terms()?, self.round.number);
        if self.is_one_sided(set) {
            (self.round.has_begun, self.round.is_done) = (true, true);
            if self.ours.of(set) > 0 {
                self.ask(Request::Stream { terms, set });
            }
            return Ok(self.ours.of(set) > 0);
        }
        let message = match self.is_initiator {
            false => None,
            true => match self.round.pending.pop_front() {
                Some(message) => Some(message),
                None => return Ok(false),
            },
        };
        self.round.has_begun = true;
        self.ask(Request::Step { terms, set, round: Some(number), message });
        Ok(true)
    }

    pub(super) fn stepped(&mut self, set: SetName, stepped: Stepped) -> Result<(), SyncError> {
        self.answered()?;
        self.outgoing.has_more = true;
        self.round.is_done |= stepped.is_done;
        if let Some(message) = stepped.reply.filter(|_| !self.outgoing.done_is_sent()) {
            self.send(&Message::Reconcile { set, message });
        }
        Ok(())
    }

    pub(super) fn queued(&mut self) -> Result<(), SyncError> {
        self.answered()?;
        self.outgoing.has_more = true;
        Ok(())
    }

    pub(super) fn answered(&mut self) -> Result<(), SyncError> {
        if std::mem::take(&mut self.is_asking) { Ok(()) } else { Err(out_of_turn()) }
    }

    /// Whether nothing is outstanding and nothing waits to be sent.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_asking && !self.outgoing.has_more && self.round.pending.is_empty()
    }

    pub(super) fn is_awaiting_round(&self) -> bool {
        self.round.is_awaited
    }

    /// Goes on to the next stage if all of the present one is done.
    pub(super) fn change_stage(&mut self) -> Result<(), SyncError> {
        if self.stage == Stage::System {
            if self.round.is_done && self.is_idle() && !self.round.system_end_sent {
                self.round.system_end_sent = true;
                self.send(&Message::SystemEnd);
            }
            if self.round.system_end_sent && self.round.system_end_came {
                self.incoming.flush();
                self.apply_waiting()?;
                if !self.incoming.is_applying() {
                    self.stage = Stage::Entries;
                    (self.round.has_begun, self.round.is_done) = (false, false);
                }
            }
        }
        if self.stage == Stage::Entries && self.round.has_begun && self.round.is_done && !self.is_asking {
            self.stage = Stage::After;
            self.outgoing.look_for_changes();
        }
        if self.stage == Stage::After && !self.outgoing.done_is_sent() {
            // The acceptor begins again when it wants to, or when it was asked to. The initiator sees that by its message.
            let is_begun_by_peer = !self.round.pending.is_empty();
            if is_begun_by_peer && !self.is_initiator {
                return Err(unexpected_message("reconcile"));
            }
            if is_begun_by_peer || (self.round.is_wanted && !self.incoming.peer_is_done()) {
                self.reconcile_again();
            }
        }
        self.check_not_abandoned()
    }

    /// A peer that is done says nothing more about sets.
    fn check_not_abandoned(&mut self) -> Result<(), SyncError> {
        let is_waiting = !self.is_asking && self.round.pending.is_empty() && !self.incoming.is_applying();
        if !self.incoming.peer_is_done() || !is_waiting {
            return Ok(());
        }
        self.round.is_awaited = false;
        let is_missing = match self.stage {
            Stage::System => (self.round.has_begun && !self.round.is_done) || !self.round.system_end_came,
            Stage::Entries => self.round.has_begun && !self.round.is_done || self.is_initiator && !self.round.has_begun,
            Stage::After => false,
        };
        let is_missing =
            is_missing && !self.stage.set().is_some_and(|set| self.is_one_sided(set) && set == SetName::Entries);
        if is_missing && self.round.number == 0 {
            return Err(unexpected("the peer was done before the sets were reconciled"));
        }
        if is_missing {
            // It lagged behind, or this side did, when the peer was done. The next session makes it up.
            self.stage = Stage::After;
        }
        Ok(())
    }

    pub(super) fn peer_ended_system(&mut self) -> Result<(), SyncError> {
        if self.stage != Stage::System || std::mem::replace(&mut self.round.system_end_came, true) {
            return Err(unexpected_message("system end"));
        }
        self.incoming.flush();
        Ok(())
    }
}
