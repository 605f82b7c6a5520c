//! The steps of a session.

use bytes::Bytes;

use super::compose::Composer;
use super::part::{Claim, Owed, Said, Sent, Waiting};
use super::salt::{DIGEST_LEN, Role, Salt};
use super::session::{Greeting, Head, Offer, Session, root};
use super::take::Taker;
use super::view::{Mark, View};
use super::{Nonce, RangeReconciler, State};
use crate::wire::{Reader, kind, put_low, put_varint};
use crate::{ReconcileError, ReconcileSet, Step};

impl RangeReconciler {
    /// Fails for good if a step did.
    pub(super) fn keep(&mut self, outcome: Result<(Step, State), ReconcileError>) -> Result<Step, ReconcileError> {
        match outcome {
            Ok((step, state)) => {
                self.state = state;
                Ok(step)
            }
            Err(error) => {
                self.state = State::Failed;
                Err(error)
            }
        }
    }

    /// The opener's nonce and the responder's. The peer's is not known before its first message.
    pub(super) fn nonces(&self) -> Result<(Nonce, Nonce), ReconcileError> {
        let theirs = self.theirs.ok_or(ReconcileError::OutOfTurn)?;
        Ok(match self.role {
            Role::Opener => (self.ours, theirs),
            Role::Responder => (theirs, self.ours),
        })
    }

    pub(super) fn salt(&self, set: &dyn ReconcileSet, run: u8) -> Result<Salt, ReconcileError> {
        let (opener, responder) = self.nonces()?;
        Ok(Salt::run(set.set_key(), &self.span, &opener, &responder, run, self.widths))
    }

    /// What the digest in the first message is keyed with.
    pub(super) fn opening_salt(&self, set: &dyn ReconcileSet) -> Result<Salt, ReconcileError> {
        if self.is_exchanged {
            return self.salt(set, 0);
        }
        let opener = match self.role {
            Role::Opener => self.ours,
            Role::Responder => self.nonces()?.0,
        };
        Ok(Salt::opening(set.set_key(), &self.span, &opener, self.widths))
    }

    /// The first message, which may offer so many symbols of the set's sketch.
    pub(super) fn open_session(
        &mut self,
        set: &dyn ReconcileSet,
        offer: Option<Offer>,
    ) -> Result<(Step, State), ReconcileError> {
        self.role = Role::Opener;
        let salt = self.opening_salt(set)?;
        let mut session = Session::new(self.span.clone());
        let digest = session.common.digests(set, &salt, &[])?.of(Role::Opener);
        let (from, to) = root(&View { set, salt: &salt, found: &[] }, &self.span, &mut session.end)?;
        let count = from.until(&to).count;
        let said = if count == 0 { Said::List(0) } else { Said::Fingerprint };
        session.sent.push(vec![Sent::one(self.span.clone(), said)]);
        session.is_shown = true;

        let mut message = Vec::with_capacity(64);
        if self.is_exchanged {
            message.push(kind::OPEN);
            session.salt = Some(salt);
        } else {
            message.push(kind::OPEN | kind::NONCE);
            message.extend_from_slice(self.ours.as_bytes());
        }
        put_varint(&mut message, count);
        message.extend_from_slice(&digest);
        if let (Some(offer), Some(first)) = (offer, message.first_mut()) {
            *first |= kind::OFFER | if offer.is_streamed { kind::STREAMED } else { 0 };
            put_varint(&mut message, offer.symbols);
        }
        Ok((Step::reply(message), State::Running(Box::new(session))))
    }

    pub(super) fn take_in(&mut self, set: &dyn ReconcileSet, message: &[u8]) -> Result<(Step, State), ReconcileError> {
        self.budget.message(message.len())?;
        let mut reader = Reader::new(message);
        let head = reader.byte()?;
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Fresh if head & !kind::OPEN_FLAGS == kind::OPEN => {
                let greeting = self.greet(set, head, reader)?;
                self.answer_root(set, greeting.session, greeting.count, greeting.is_equal, !self.is_exchanged)
            }
            State::Running(session) if head & !kind::FLAGS == kind::NEXT => self.go_on(set, head, reader, session),
            State::Fresh | State::Running(_) => Err(ReconcileError::Malformed("an unknown kind of message")),
            State::Done | State::Failed => Err(ReconcileError::OutOfTurn),
        }
    }

    pub(super) fn take_nonce(&mut self, reader: &mut Reader<'_>) -> Result<(), ReconcileError> {
        self.theirs = Some(Nonce::from_bytes(reader.array()?));
        Ok(())
    }

    /// Takes the first message.
    pub(super) fn greet(
        &mut self,
        set: &dyn ReconcileSet,
        head: u8,
        mut reader: Reader<'_>,
    ) -> Result<Greeting, ReconcileError> {
        if (head & kind::NONCE == 0) != self.is_exchanged {
            return Err(ReconcileError::Malformed("a nonce is missing, or one too many"));
        }
        if !self.is_exchanged {
            self.take_nonce(&mut reader)?;
        }
        let (count, shown) = (reader.varint()?, reader.array::<DIGEST_LEN>()?);
        let is_streamed = head & kind::STREAMED != 0;
        let offer = match head & kind::OFFER {
            0 if is_streamed => return Err(ReconcileError::Malformed("nothing is offered to be streamed")),
            0 => None,
            _ => Some(Offer { symbols: reader.varint()?, is_streamed }),
        };
        reader.end()?;
        let opening = self.opening_salt(set)?;
        let mut session = Box::new(Session::new(self.span.clone()));
        let is_equal = session.common.digests(set, &opening, &[])?.of(Role::Opener) == shown;
        let salt = self.salt(set, 0)?;
        session.end = View { set, salt: &salt, found: &[] }.last_mark()?;
        session.salt = Some(salt);
        Ok(Greeting { session, count, is_equal, offer })
    }

    /// Answers the first message.
    pub(super) fn answer_root(
        &mut self,
        set: &dyn ReconcileSet,
        mut session: Box<Session>,
        count: u64,
        is_equal: bool,
        with_nonce: bool,
    ) -> Result<(Step, State), ReconcileError> {
        let salt = session.salt.clone().ok_or(ReconcileError::OutOfTurn)?;
        let claim = if is_equal {
            Claim::Equal(1)
        } else if count == 0 {
            Claim::List { shorts: Vec::new(), here: Vec::new(), next: None }
        } else {
            let (from, to) = root(&View { set, salt: &salt, found: &[] }, &self.span, &mut session.end)?;
            Claim::Differs { from, to, theirs: Some(count) }
        };
        session.sent = Waiting::default();
        session.owed = Waiting::default();
        session.owed.push(vec![Owed { span: self.span.clone(), claim }]);
        let (step, session) = self.reply(set, session, with_nonce, Step::default())?;
        Ok((step, if is_equal { State::Done } else { State::Running(session) }))
    }

    /// Takes any later message.
    pub(super) fn go_on(
        &mut self,
        set: &dyn ReconcileSet,
        head: u8,
        mut reader: Reader<'_>,
        mut session: Box<Session>,
    ) -> Result<(Step, State), ReconcileError> {
        let is_first = session.salt.is_none();
        if (head & kind::NONCE != 0) != is_first {
            return Err(ReconcileError::Malformed("a nonce is missing, or one too many"));
        }
        if is_first {
            self.take_nonce(&mut reader)?;
            session.salt = Some(self.salt(set, 0)?);
        }
        let salt = session.salt.clone().ok_or(ReconcileError::OutOfTurn)?;
        let head = Head::read(head, &mut reader, salt.widths())?;
        if let Some((count, print)) = head.again {
            reader.end()?;
            return self.run_again(set, session, count, print);
        }
        let mut taker = Taker::new(View { set, salt: &salt, found: &session.excluded }, &self.budget, session.end);
        let owed = taker.take(reader, &mut session.sent)?;
        let mut step = Step { reply: None, have: taker.have, need: taker.need };
        self.budget.ids(step.have.len() + step.need.len())?;
        // The digest of the first message is of everything. An answer to it that finds something makes it void.
        session.is_shown &= step.have.is_empty() && step.need.is_empty();
        session.found.extend(step.have.iter().map(|item| item.id));
        session.owed.push(owed);
        self.budget.pending(session.pending())?;

        if session.is_settled() != head.digest.is_some() {
            return Err(ReconcileError::Malformed("the digest comes with the last answer and with no other"));
        }
        let Some(shown) = head.digest else {
            let (step, session) = self.reply(set, session, false, step)?;
            return Ok((step, State::Running(session)));
        };
        let digests = session.common.digests(set, &salt, &session.found)?;
        if digests.of(self.role.other()) == shown {
            if !session.is_shown {
                let mut message = vec![kind::NEXT | kind::DIGEST];
                message.extend_from_slice(&digests.of(self.role));
                step.reply = Some(Bytes::from(message));
            }
            return Ok((step, State::Done));
        }
        if session.is_shown {
            // The peer saw our digest and says that its own is equal.
            return Err(ReconcileError::Malformed("the digest is not that of what both have in common"));
        }
        self.ask_again(set, session, step)
    }

    /// Answers what is owed, as far as a message holds.
    pub(super) fn reply(
        &mut self,
        set: &dyn ReconcileSet,
        mut session: Box<Session>,
        with_nonce: bool,
        mut step: Step,
    ) -> Result<(Step, Box<Session>), ReconcileError> {
        let salt = session.salt.clone().ok_or(ReconcileError::OutOfTurn)?;
        let head_len = 1 + Nonce::LEN + DIGEST_LEN;
        let view = View { set, salt: &salt, found: &session.excluded };
        let mut composer = Composer::new(view, &self.config, self.config.message_len_max - head_len);
        composer.answer(&mut session.owed, &mut session.sent)?;
        let (answers, have, need) = (composer.out, composer.have, composer.need);
        self.budget.ids(have.len() + need.len())?;
        session.found.extend(have.iter().map(|item| item.id));
        step.have.extend(have);
        step.need.extend(need);
        self.budget.pending(session.pending())?;

        session.is_shown = session.is_settled();
        let mut message = Vec::with_capacity(head_len + answers.len());
        message.push(kind::NEXT);
        let mut flags = 0;
        if with_nonce {
            flags |= kind::NONCE;
            message.extend_from_slice(self.ours.as_bytes());
        }
        if session.is_shown {
            flags |= kind::DIGEST;
            let digests = session.common.digests(set, &salt, &session.found)?;
            message.extend_from_slice(&digests.of(self.role));
        }
        if let Some(first) = message.first_mut() {
            *first |= flags;
        }
        message.extend_from_slice(&answers);
        step.reply = Some(Bytes::from(message));
        Ok((step, session))
    }

    /// Begins a new run, since the digests differ although nothing else does.
    pub(super) fn ask_again(
        &mut self,
        set: &dyn ReconcileSet,
        mut session: Box<Session>,
        mut step: Step,
    ) -> Result<(Step, State), ReconcileError> {
        let (from, to) = self.begin_run(set, &mut session)?;
        let salt = session.salt.as_ref().ok_or(ReconcileError::OutOfTurn)?;
        let print = from.until(&to);
        let mut message = vec![kind::NEXT | kind::AGAIN];
        put_varint(&mut message, print.count);
        put_low(&mut message, salt.fingerprint(&print), salt.widths().fingerprint);
        session.sent.push(vec![Sent::one(self.span.clone(), Said::Fingerprint)]);
        session.is_shown = false;
        step.reply = Some(Bytes::from(message));
        Ok((step, State::Running(session)))
    }

    /// Takes part in a new run that the peer began.
    pub(super) fn run_again(
        &mut self,
        set: &dyn ReconcileSet,
        mut session: Box<Session>,
        count: u64,
        print: u64,
    ) -> Result<(Step, State), ReconcileError> {
        // Only what was shown can be found to be different.
        if !session.is_shown || !session.is_settled() {
            return Err(ReconcileError::Malformed("a new run comes too early"));
        }
        let (from, to) = self.begin_run(set, &mut session)?;
        let salt = session.salt.as_ref().ok_or(ReconcileError::OutOfTurn)?;
        let claim = if salt.fingerprint(&from.until(&to)) == print {
            Claim::Equal(1)
        } else {
            Claim::Differs { from, to, theirs: Some(count) }
        };
        session.owed.push(vec![Owed { span: self.span.clone(), claim }]);
        let (step, session) = self.reply(set, session, false, Step::default())?;
        Ok((step, State::Running(session)))
    }

    pub(super) fn begin_run(
        &self,
        set: &dyn ReconcileSet,
        session: &mut Session,
    ) -> Result<(Mark, Mark), ReconcileError> {
        let run = session.salt.as_ref().map_or(0, Salt::number).saturating_add(1);
        if run > self.budget.limits().salted_runs {
            return Err(ReconcileError::Inconsistent);
        }
        session.excluded.clone_from(&session.found);
        session.excluded.sort_unstable();
        let salt = self.salt(set, run)?;
        let view = View { set, salt: &salt, found: &session.excluded };
        let marks = root(&view, &self.span, &mut session.end)?;
        session.salt = Some(salt);
        Ok(marks)
    }
}
