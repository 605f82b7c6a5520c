//! What this side sends, straight from the tree.

use syncline_core::SyncError;

use super::super::session::Page;
use super::super::wire::Message;
use super::rounds::Stage;
use super::{KvMachine, unexpected, unexpected_message};

#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Whether there may be something to send.
    pub(super) has_more: bool,
    /// Whether to look at what has changed.
    changes_due: bool,
    /// Something was sent that no mark follows yet.
    unmarked: bool,
    caught_up: bool,
    /// Items sent.
    items: u64,
    /// How many of them were refused, as the peer says.
    refused: u64,
    done_sent: bool,
    acknowledged: bool,
    peer_is_settled: bool,
}

impl Outgoing {
    pub(super) fn look_for_changes(&mut self) {
        self.changes_due = true;
    }

    pub(super) fn takes_look_for_changes(&mut self) -> bool {
        !self.done_sent && std::mem::take(&mut self.changes_due)
    }

    pub(super) fn has_caught_up(&self) -> bool {
        self.caught_up
    }

    pub(super) fn done_is_sent(&self) -> bool {
        self.done_sent
    }

    /// The peer has sent its last message: all that was sent is durable there.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// Whether the peer has taken all, or never will take the rest.
    pub(super) fn is_settled(&self) -> bool {
        self.peer_is_settled || !self.done_sent
    }

    /// The peer says that it did not take an item.
    pub(super) fn count_refused(&mut self) -> Result<(), SyncError> {
        self.refused += 1;
        if self.refused > self.items {
            return Err(unexpected("the peer refused more items than it was sent"));
        }
        Ok(())
    }
}

impl KvMachine {
    pub(super) fn page(&mut self, page: Page) -> Result<(), SyncError> {
        self.answered()?;
        self.outgoing.has_more |= page.has_more;
        for message in &page.messages {
            if self.outgoing.done_sent && matches!(message, Message::Item(_)) {
                continue;
            }
            self.send(message);
        }
        if !self.outgoing.done_sent {
            self.outgoing.items += page.items;
            self.items += page.items;
            self.outgoing.unmarked |= page.items > 0;
        }
        Ok(())
    }

    /// Says that there is no more for now, or at all.
    pub(super) fn finish_sending(&mut self) {
        let is_idle = self.is_idle() && !self.outgoing.changes_due && !self.is_awaiting_round();
        if self.stage != Stage::After || !is_idle || self.outgoing.done_sent {
            return;
        }
        let is_live = self.terms.is_some_and(|terms| terms.live);
        if !is_live || self.finishing {
            self.outgoing.done_sent = true;
            self.send(&Message::Done { items: self.outgoing.items });
        } else if self.outgoing.unmarked || !self.outgoing.caught_up {
            self.send(&Message::CaughtUp);
        } else {
            return;
        }
        self.outgoing.unmarked = false;
        self.outgoing.caught_up = true;
    }

    pub(super) fn peer_acknowledged(&mut self, items: u64, settled: bool) -> Result<(), SyncError> {
        if !self.outgoing.done_sent {
            return Err(unexpected_message("ack"));
        }
        if items != self.outgoing.items {
            let sent = self.outgoing.items;
            return Err(unexpected(format!("the peer acknowledged {items} items where {sent} were sent")));
        }
        self.outgoing.acknowledged = true;
        self.outgoing.peer_is_settled = settled;
        self.incoming.flush();
        Ok(())
    }
}
