//! What the comparison of sketches needs of a session by ranges: the same first message, digests, and a way back.

use super::part::{Said, Sent};
use super::salt::{Digest, Role};
use super::verdict::{Common, Digests};
use super::{Offer, RangeReconciler, State};
use crate::limits::Budget;
use crate::wire::Reader;
use crate::{Item, Need, Nonce, ReconcileError, ReconcileSet, Span, Step};

/// What the first message said to a side that may answer it with symbols.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Greeted {
    pub(crate) count: u64,
    pub(crate) is_equal: bool,
    pub(crate) offer: Option<Offer>,
}

impl RangeReconciler {
    pub(crate) fn budget(&mut self) -> &mut Budget {
        &mut self.budget
    }

    pub(crate) const fn message_len_max(&self) -> usize {
        self.config.message_len_max
    }

    /// This side's nonce, if it has to be sent.
    pub(crate) fn nonce_to_send(&self) -> Option<Nonce> {
        Some(self.ours).filter(|_| !self.is_exchanged)
    }

    /// The first message, with an offer.
    pub(crate) fn open_offering(&mut self, set: &dyn ReconcileSet, offer: Offer) -> Result<Step, ReconcileError> {
        if !matches!(self.state, State::Fresh) {
            return Err(ReconcileError::OutOfTurn);
        }
        let opened = self.open_session(set, Some(offer));
        self.keep(opened)
    }

    /// Takes the first message, and waits for what the opener makes of an answer that is not by ranges.
    pub(crate) fn greet_only(
        &mut self,
        set: &dyn ReconcileSet,
        head: u8,
        reader: Reader<'_>,
    ) -> Result<Greeted, ReconcileError> {
        let mut greeting = self.greet(set, head, reader)?;
        greeting.session.sent.push(vec![Sent::one(self.span.clone(), Said::Fingerprint)]);
        self.state = State::Running(greeting.session);
        Ok(Greeted { count: greeting.count, is_equal: greeting.is_equal, offer: greeting.offer })
    }

    /// Takes the nonce in an answer that is not by ranges.
    pub(crate) fn take_first_answer(
        &mut self,
        set: &dyn ReconcileSet,
        reader: &mut Reader<'_>,
    ) -> Result<(), ReconcileError> {
        if !self.is_exchanged {
            self.take_nonce(reader)?;
        }
        let salt = self.salt(set, 0)?;
        if let State::Running(session) = &mut self.state {
            session.salt = Some(salt);
        }
        Ok(())
    }

    /// Goes on by ranges: answers as if the peer had just opened the session with so many items.
    pub(crate) fn take_over(
        &mut self,
        set: &dyn ReconcileSet,
        count: u64,
        is_equal: bool,
        is_first: bool,
    ) -> Result<Step, ReconcileError> {
        let State::Running(session) = std::mem::replace(&mut self.state, State::Failed) else {
            return Err(ReconcileError::OutOfTurn);
        };
        let answered = self.answer_root(set, session, count, is_equal, is_first && !self.is_exchanged);
        self.keep(answered)
    }

    /// The digests if these items and no others are only here: this side's, and the one that the peer should show.
    pub(crate) fn digests_without(
        &self,
        set: &dyn ReconcileSet,
        only_here: &[Item],
    ) -> Result<(Digest, Digest), ReconcileError> {
        let ids: Vec<_> = only_here.iter().map(|item| item.id).collect();
        let digests: Digests = Common::new(Span::ALL).digests(set, &self.salt(set, 0)?, &ids)?;
        Ok((digests.of(self.role), digests.of(self.role.other())))
    }

    /// What stands for an item on the wire.
    pub(crate) fn shorts(&self, set: &dyn ReconcileSet, items: &[Item]) -> Result<Vec<u64>, ReconcileError> {
        let salt = self.salt(set, 0)?;
        Ok(items.iter().map(|item| salt.short(&item.id)).collect())
    }

    pub(crate) const fn short_width(&self) -> usize {
        self.widths.short
    }

    pub(crate) const fn need(short: u64) -> Need {
        Need::short(0, short)
    }

    /// Ends the session: something else has found out everything.
    pub(crate) fn end(&mut self) {
        self.state = State::Done;
    }

    /// Ends the session with an error.
    pub(crate) fn fail(&mut self) {
        self.state = State::Failed;
    }

    pub(crate) const fn is_opener(&self) -> bool {
        matches!(self.role, Role::Opener)
    }
}
