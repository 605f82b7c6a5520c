//! Range-based set reconciliation.

mod compose;
mod config;
mod ops;
mod part;
mod salt;
mod take;
mod verdict;
mod view;

#[cfg(test)]
mod tests;

use bytes::Bytes;

use self::compose::Composer;
use self::part::{Claim, Owed, Said, Sent, Waiting};
use self::salt::{DIGEST_LEN, Digest, Role, Salt, Widths};
use self::take::Taker;
use self::verdict::Common;
use self::view::{Mark, View};
use crate::limits::Budget;
use crate::wire::{Reader, kind, put_low, put_varint};
use crate::{Bound, ItemId, Need, ReconcileError, ReconcileSet, Reconciler, Span, Step};

pub use self::config::RangeConfig;
pub use self::salt::Nonce;

/// The most items of one list. A peer that sends a longer one is refused.
pub(crate) const LIST_LEN_MAX: usize = 1_024;

/// Finds differences by comparing the fingerprints of ranges, and cutting those that differ into smaller ones, down to a few
/// items that are listed (Meyer: "Range-based set reconciliation", SRDS 2023; negentropy and iroh-docs are of this kind).
///
/// Half a round trip for each factor of [`fan_out`](RangeConfig::fan_out), and bytes in proportion to the differences,
/// fewer where they lie close together in the order of keys. The only one of the reconcilers that does a
/// [part](Self::over) of a set.
///
/// Fingerprints on the wire are keyed by both sides' nonces, and items are named by 6 bytes salted with them. Both are
/// hints. What ends the session is the accumulator of what both sides have in common; if these differ while nothing else
/// does, ranges are compared again with hashes that nobody could know when the items were made.
///
/// `docs/spec/reconcile.md` describes the messages.
#[derive(Debug)]
pub struct RangeReconciler {
    config: RangeConfig,
    widths: Widths,
    span: Span,
    ours: Nonce,
    theirs: Option<Nonce>,
    role: Role,
    /// Whether the nonces were exchanged before the session, and so are not part of it.
    is_exchanged: bool,
    budget: Budget,
    state: State,
}

#[derive(Debug)]
enum State {
    Fresh,
    Running(Box<Session>),
    Done,
    Failed,
}

/// What a running session keeps.
#[derive(Debug)]
struct Session {
    /// Nothing yet at the opener before the first answer.
    salt: Option<Salt>,
    /// Behind the last item.
    end: Mark,
    owed: Waiting<Owed>,
    sent: Waiting<Sent>,
    /// Whether the last message sent showed the digest of what both have in common.
    is_shown: bool,
    common: Common,
    /// What was found to be only here.
    found: Vec<ItemId>,
    /// That of it which was found in earlier runs, in order.
    excluded: Vec<ItemId>,
}

/// What stands before the answers of a message.
#[derive(Debug, Default)]
struct Head {
    digest: Option<Digest>,
    /// A new run, with how many items the sender compares in it and their fingerprint.
    again: Option<(u64, u64)>,
}

impl RangeReconciler {
    /// One side of a session over a whole set. `nonce` is 16 random bytes, for this session only.
    #[must_use]
    pub fn new(config: RangeConfig, nonce: Nonce) -> Self {
        Self {
            config: config.clamped(),
            widths: Widths::WIRE,
            span: Span::ALL,
            ours: nonce,
            theirs: None,
            role: Role::Responder,
            is_exchanged: false,
            budget: Budget::new(config.limits),
            state: State::Fresh,
        }
    }

    /// The same for two sides that know both nonces already, from the protocol around. Both must be made in this way.
    #[must_use]
    pub fn with_nonces(config: RangeConfig, ours: Nonce, theirs: Nonce) -> Self {
        Self { theirs: Some(theirs), is_exchanged: true, ..Self::new(config, ours) }
    }

    /// Limits the session to the items of a span. Both sides must name the same.
    ///
    /// A part of a set has no accumulator. Its verdict is a hash over all items of the span, salted with both nonces: 84 ns
    /// for each, once or twice a session.
    #[must_use]
    pub fn over(mut self, span: Span) -> Self {
        self.span = span;
        self
    }

    /// Whether an item is what the peer means by this [need](Step::need), which it named to this side in some other way.
    /// Of use only to a side that does not simply send all that it was told to [have](Step::have).
    #[must_use]
    pub fn is_meant(&self, set: &dyn ReconcileSet, need: &Need, id: &ItemId) -> bool {
        match need {
            Need::Id(needed) => needed == id,
            Need::Part(part) => *part == id.part(),
            Need::Short(short) => self
                .salt(set, Need::run_of(*short))
                .is_ok_and(|salt| Need::short(salt.number(), salt.short(id)) == *need),
        }
    }
}

impl Reconciler for RangeReconciler {
    fn open(&mut self, set: &dyn ReconcileSet) -> Result<Step, ReconcileError> {
        if !matches!(self.state, State::Fresh) {
            return Err(ReconcileError::OutOfTurn);
        }
        let opened = self.open_session(set);
        self.keep(opened)
    }

    fn receive(&mut self, set: &dyn ReconcileSet, message: &[u8]) -> Result<Step, ReconcileError> {
        let received = self.take_in(set, message);
        self.keep(received)
    }

    fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

impl RangeReconciler {
    /// Fails for good if a step did.
    fn keep(&mut self, outcome: Result<(Step, State), ReconcileError>) -> Result<Step, ReconcileError> {
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
    fn nonces(&self) -> Result<(Nonce, Nonce), ReconcileError> {
        let theirs = self.theirs.ok_or(ReconcileError::OutOfTurn)?;
        Ok(match self.role {
            Role::Opener => (self.ours, theirs),
            Role::Responder => (theirs, self.ours),
        })
    }

    fn salt(&self, set: &dyn ReconcileSet, run: u8) -> Result<Salt, ReconcileError> {
        let (opener, responder) = self.nonces()?;
        Ok(Salt::run(set.set_key(), &self.span, &opener, &responder, run, self.widths))
    }

    /// What the digest in the first message is keyed with.
    fn opening_salt(&self, set: &dyn ReconcileSet) -> Result<Salt, ReconcileError> {
        if self.is_exchanged {
            return self.salt(set, 0);
        }
        let opener = match self.role {
            Role::Opener => self.ours,
            Role::Responder => self.nonces()?.0,
        };
        Ok(Salt::opening(set.set_key(), &self.span, &opener, self.widths))
    }

    fn open_session(&mut self, set: &dyn ReconcileSet) -> Result<(Step, State), ReconcileError> {
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
        Ok((Step::reply(message), State::Running(Box::new(session))))
    }

    fn take_in(&mut self, set: &dyn ReconcileSet, message: &[u8]) -> Result<(Step, State), ReconcileError> {
        self.budget.message(message.len())?;
        let mut reader = Reader::new(message);
        let head = reader.byte()?;
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Fresh if head & !kind::NONCE == kind::OPEN => self.accept(set, head, reader),
            State::Running(session) if head & !kind::FLAGS == kind::NEXT => self.go_on(set, head, reader, session),
            State::Fresh | State::Running(_) => Err(ReconcileError::Malformed("an unknown kind of message")),
            State::Done | State::Failed => Err(ReconcileError::OutOfTurn),
        }
    }

    fn take_nonce(&mut self, reader: &mut Reader<'_>) -> Result<(), ReconcileError> {
        self.theirs = Some(Nonce::from_bytes(reader.array()?));
        Ok(())
    }

    /// Takes the first message.
    fn accept(
        &mut self,
        set: &dyn ReconcileSet,
        head: u8,
        mut reader: Reader<'_>,
    ) -> Result<(Step, State), ReconcileError> {
        if (head & kind::NONCE == 0) != self.is_exchanged {
            return Err(ReconcileError::Malformed("a nonce is missing, or one too many"));
        }
        if !self.is_exchanged {
            self.take_nonce(&mut reader)?;
        }
        let (theirs, shown) = (reader.varint()?, reader.array::<DIGEST_LEN>()?);
        reader.end()?;

        let mut session = Box::new(Session::new(self.span.clone()));
        let opening = self.opening_salt(set)?;
        let salt = self.salt(set, 0)?;
        let is_equal = session.common.digests(set, &opening, &[])?.of(Role::Opener) == shown;
        let claim = if is_equal {
            Claim::Equal(1)
        } else if theirs == 0 {
            Claim::List { shorts: Vec::new(), here: Vec::new(), next: None }
        } else {
            let (from, to) = root(&View { set, salt: &salt, found: &[] }, &self.span, &mut session.end)?;
            Claim::Differs { from, to, theirs: Some(theirs) }
        };
        session.salt = Some(salt);
        session.owed.push(vec![Owed { span: self.span.clone(), claim }]);
        let (step, session) = self.reply(set, session, !self.is_exchanged, Step::default())?;
        Ok((step, if is_equal { State::Done } else { State::Running(session) }))
    }

    /// Takes any later message.
    fn go_on(
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
    fn reply(
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
    fn ask_again(
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
    fn run_again(
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

    fn begin_run(&self, set: &dyn ReconcileSet, session: &mut Session) -> Result<(Mark, Mark), ReconcileError> {
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

impl Session {
    fn new(span: Span) -> Self {
        Self {
            salt: None,
            end: Mark::default(),
            owed: Waiting::default(),
            sent: Waiting::default(),
            is_shown: false,
            common: Common::new(span),
            found: Vec::new(),
            excluded: Vec::new(),
        }
    }

    /// Whether neither side has anything to answer.
    const fn is_settled(&self) -> bool {
        self.owed.is_empty() && self.sent.is_empty()
    }

    fn pending(&self) -> usize {
        self.owed.bytes() + self.sent.bytes()
    }
}

impl Head {
    fn read(flags: u8, reader: &mut Reader<'_>, widths: Widths) -> Result<Self, ReconcileError> {
        let mut head = Self::default();
        if flags & kind::DIGEST != 0 {
            head.digest = Some(reader.array()?);
        }
        if flags & kind::AGAIN != 0 {
            if head.digest.is_some() {
                return Err(ReconcileError::Malformed("a digest that is equal, and a new run"));
            }
            head.again = Some((reader.varint()?, reader.low(widths.fingerprint)?));
        }
        Ok(head)
    }
}

/// The marks of a session's span. `end` becomes that behind everything.
fn root(view: &View<'_>, span: &Span, end: &mut Mark) -> Result<(Mark, Mark), ReconcileError> {
    *end = view.last_mark()?;
    let mut bounds = Vec::new();
    if span.from != Bound::MIN {
        bounds.push(span.from.clone());
    }
    bounds.extend(span.to.clone());
    let mut marks = view.marks(&bounds)?.into_iter();
    let from = if span.from == Bound::MIN { Mark::default() } else { marks.next().unwrap_or(*end) };
    Ok((from, marks.next().unwrap_or(*end)))
}
