//! The state machine of one side of a session.
//!
//! The peers agree ([`agree`]), then reconcile the system set and then the entries ([`rounds`]); items go both ways meanwhile
//! ([`outgoing`], [`incoming`]). What needs the tree is done by the machine's surroundings.

mod agree;
mod incoming;
mod outgoing;
mod rounds;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use syncline_core::cbor::{FrameLimits, FrameScanner};
use syncline_core::clock::Timestamp;
use syncline_core::machine::{Input, Machine, Output};
use syncline_core::{FromSync, SyncError};

use super::intake::{Applied, Arrival};
use super::limits::Limits;
use super::query::KvQuery;
use super::session::{Opening, Page, Stepped};
use super::sets::Terms;
use super::wire::{self, Capabilities, Counts, Hello, Message, Nonce};
use crate::tree::SetName;

use incoming::Incoming;
use outgoing::Outgoing;
use rounds::{Round, Stage};

/// A batch that is not full is not kept waiting for longer than this.
const LINGER: Duration = Duration::from_millis(20);

/// What a stream takes after longer than this, it takes because the peer has read.
const BUFFERED: Duration = Duration::from_millis(100);

/// What is settled before a session.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) limits: Limits,
    pub(super) capabilities: Capabilities,
}

/// What the machine asks of its surroundings.
#[derive(Debug)]
pub(super) enum Request {
    /// May the peer have what it asks for?
    Open(Box<Hello>),
    /// Go on with a reconciliation, or begin the one with this number.
    Step { terms: Terms, set: SetName, round: Option<u64>, message: Option<Bytes> },
    /// Send all of a set.
    Stream { terms: Terms, set: SetName },
    /// Send what has changed.
    Changes { terms: Terms },
    /// The next things to send.
    Page { terms: Terms },
    /// Verify and store.
    Apply { terms: Terms, batch: Vec<Arrival> },
    /// Wait for changes.
    Watch,
    /// Both sides are done.
    Close { terms: Terms, is_settled: bool },
}

/// The answers.
#[derive(Debug)]
pub(super) enum Response {
    /// None: there is no such tree, or not for this peer.
    Opened(Option<Box<Agreed>>),
    Stepped(SetName, Stepped),
    Queued,
    Changed {
        lagged: bool,
    },
    Page(Page),
    Applied(Applied),
    Woken {
        finish: bool,
    },
    Closed,
    /// The peer may not, or not any more, be told anything.
    Barred,
    Failed(SyncError),
}

/// What an acceptor found out.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) hello: Box<Hello>,
    pub(super) opening: Opening,
}

/// Who opens the session.
#[derive(Debug)]
pub(super) enum Role {
    Initiator(KvQuery, Opening),
    Acceptor,
}

#[derive(Debug)]
enum Phase {
    /// The first message of the peer is awaited.
    Hello,
    /// The acceptor waits for its own surroundings and takes nothing meanwhile.
    Resolving,
    Open,
    /// The peer was told, at this time, that it goes no further; it ends the session.
    Refused(Timestamp, SyncError),
    /// All is said; what is left is to note it.
    Closing,
    Finished,
}

/// One side of a session.
#[derive(Debug)]
pub(super) struct KvMachine {
    config: Config,
    is_initiator: bool,
    nonce: Nonce,
    query: Option<KvQuery>,
    terms: Option<Terms>,
    ours: Counts,
    theirs: Counts,
    phase: Phase,
    stage: Stage,
    round: Round,
    outgoing: Outgoing,
    incoming: Incoming,
    /// Whether a request is outstanding that is not about what came.
    is_asking: bool,
    watching: bool,
    is_live: bool,
    /// The session is to end: the peer said so, or this side.
    finishing: bool,
    closed: bool,
    scanner: FrameScanner,
    buffer: BytesMut,
    encoded: BytesMut,
    items: u64,
    outputs: VecDeque<Output<KvQuery, Request>>,
    started: Timestamp,
    moved_at: Timestamp,
    sent_at: Timestamp,
}

impl KvMachine {
    /// One side at the start of a session at the time `now`, with a nonce that no other session has.
    pub(super) fn new(now: Timestamp, role: Role, nonce: Nonce, config: Config) -> Self {
        let frame_len_max = config.limits.frame_len_max().max(Limits::FRAME_LEN_MIN);
        let mut machine = Self {
            config,
            is_initiator: false,
            nonce,
            query: None,
            terms: None,
            ours: Counts::default(),
            theirs: Counts::default(),
            phase: Phase::Hello,
            stage: Stage::System,
            round: Round::default(),
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            is_asking: false,
            watching: false,
            is_live: false,
            finishing: false,
            closed: false,
            scanner: FrameScanner::new(FrameLimits::with_len_max(frame_len_max)),
            buffer: BytesMut::new(),
            encoded: BytesMut::new(),
            items: 0,
            outputs: VecDeque::new(),
            started: now,
            moved_at: now,
            sent_at: now,
        };
        if let Role::Initiator(query, opening) = role {
            machine.say_hello(query, &opening);
        }
        machine.flush(now);
        machine
    }

    fn send(&mut self, message: &Message) {
        wire::encode(&mut self.encoded, message);
    }

    /// Hands over what is encoded.
    fn flush(&mut self, now: Timestamp) {
        if !self.encoded.is_empty() {
            let bytes = self.encoded.split().freeze();
            self.sent_at = now;
            self.outputs.push_back(Output::Send { bytes, items: std::mem::take(&mut self.items) });
        }
    }

    fn deliver(&mut self, item: FromSync<KvQuery>) {
        self.outputs.push_back(Output::Deliver(item));
    }

    /// Asks for something that is not about what came. One thing at a time.
    fn ask(&mut self, request: Request) {
        self.is_asking = true;
        self.outputs.push_back(Output::Request(request));
    }

    fn terms(&self) -> Result<Terms, SyncError> {
        self.terms.ok_or_else(out_of_turn)
    }

    fn received(&mut self, now: Timestamp, bytes: &[u8]) -> Result<(), SyncError> {
        self.moved_at = now;
        self.incoming.count_bytes(bytes.len(), &self.config.limits)?;
        if matches!(self.phase, Phase::Refused(..)) {
            return Ok(());
        }
        self.buffer.extend_from_slice(bytes);
        self.decode_buffered(now)
    }

    /// Takes in all whole messages, as long as any are wanted.
    fn decode_buffered(&mut self, now: Timestamp) -> Result<(), SyncError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        while !buffer.is_empty() && self.wants_input() {
            let Some(len) = self.scanner.scan(&buffer)? else { break };
            let frame = buffer.split_to(len);
            let message = wire::decode(&frame).map_err(|err| SyncError::InvalidEncoding(err.to_string()))?;
            self.message(now, message)?;
        }
        if matches!(self.phase, Phase::Closing | Phase::Finished | Phase::Refused(..)) {
            // Whatever follows the last message belongs to somebody else.
            buffer.clear();
        }
        self.buffer = buffer;
        Ok(())
    }

    fn message(&mut self, now: Timestamp, message: Message) -> Result<(), SyncError> {
        match (&self.phase, message) {
            (Phase::Hello, Message::Hello(hello)) if !self.is_initiator => {
                self.hello(now, hello);
                Ok(())
            }
            (Phase::Hello, Message::Welcome(welcome)) if self.is_initiator => self.welcome(&welcome),
            (Phase::Hello, Message::Refuse) if self.is_initiator => {
                Err(unexpected("the peer does not have the namespace, or not for us"))
            }
            (Phase::Open, message) => self.open_message(now, message),
            (_, message) => Err(unexpected_message(message.name())),
        }
    }

    fn open_message(&mut self, now: Timestamp, message: Message) -> Result<(), SyncError> {
        if self.outgoing.is_acknowledged() && !matches!(message, Message::Ping) {
            return Err(unexpected_message(message.name()));
        }
        match message {
            Message::Item(item) => self.item(now, item),
            Message::Reconcile { set, message } => self.reconcile(set, message),
            Message::SystemEnd => self.peer_ended_system(),
            Message::CaughtUp => self.peer_caught_up(),
            Message::Again => self.peer_lags(),
            Message::Refused(refused) => self.refused(now, refused),
            Message::Done { items } => self.peer_done(items),
            Message::Ack { items, settled } => self.peer_acknowledged(items, settled),
            Message::Refuse => Err(unexpected("the peer ended the session: we may not read, as far as it knows")),
            Message::Ping => Ok(()),
            Message::Hello(_) | Message::Welcome(_) => Err(unexpected_message(message.name())),
        }
    }

    fn response(&mut self, now: Timestamp, response: Response) -> Result<(), SyncError> {
        if matches!(self.phase, Phase::Refused(..)) {
            // What was being read is not for the peer any more.
            return match response {
                Response::Applied(applied) => self.applied(applied),
                Response::Failed(err) => Err(err),
                _ => Ok(()),
            };
        }
        match response {
            Response::Opened(agreed) => self.opened(now, agreed)?,
            Response::Stepped(set, stepped) => self.stepped(set, stepped)?,
            Response::Queued => self.queued()?,
            Response::Changed { lagged } => self.changed(lagged)?,
            Response::Page(page) => self.page(page)?,
            Response::Applied(applied) => self.applied(applied)?,
            Response::Woken { finish } => self.woken(finish)?,
            Response::Closed => self.phase = Phase::Finished,
            Response::Barred => self.bar(now),
            Response::Failed(err) => return Err(err),
        }
        self.decode_buffered(now)
    }

    /// The peer may not read any more what it is sent.
    fn bar(&mut self, now: Timestamp) {
        if matches!(self.phase, Phase::Open) {
            self.refuse(now, "the peer may not read any more what the session is about");
        }
    }

    fn refuse(&mut self, now: Timestamp, text: &str) {
        self.send(&Message::Refuse);
        self.phase = Phase::Refused(now, unexpected(text));
    }

    /// Does what has become possible.
    fn advance(&mut self, now: Timestamp) -> Result<(), SyncError> {
        if matches!(self.phase, Phase::Open) {
            self.go_on()?;
        }
        self.flush(now);
        let is_over = matches!(self.phase, Phase::Closing | Phase::Finished);
        if self.closed && !self.incoming.is_applying() && !is_over {
            return Err(self.cut());
        }
        Ok(())
    }

    fn go_on(&mut self) -> Result<(), SyncError> {
        self.apply_waiting()?;
        // A stage in which this side has nothing to do ends as soon as it begins.
        loop {
            let before = self.progress();
            self.change_stage()?;
            self.ask_next()?;
            if self.progress() == before {
                break;
            }
        }
        self.finish_sending();
        self.acknowledge();
        self.watch();
        if self.outgoing.is_acknowledged() && self.incoming.ack_is_sent() && !self.incoming.is_applying() {
            self.close()?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), SyncError> {
        let terms = self.terms()?;
        let is_settled = self.incoming.is_settled() && self.outgoing.is_settled();
        self.phase = Phase::Closing;
        self.outputs.push_back(Output::Apply(Request::Close { terms, is_settled }));
        Ok(())
    }

    /// What it means that the peer's stream has ended.
    fn cut(&mut self) -> SyncError {
        if let Phase::Refused(_, why) = &self.phase {
            return why.clone();
        }
        let place = if self.buffer.is_empty() { "before both sides were done" } else { "within a message" };
        unexpected(format!("the stream ended {place}"))
    }

    /// Goes live once both sides have sent what was missing; waits for changes once this side has.
    fn watch(&mut self) {
        if !self.terms.is_some_and(|terms| terms.live) || !self.outgoing.has_caught_up() {
            return;
        }
        if self.incoming.has_caught_up() && !self.incoming.is_applying() && !self.is_live {
            self.is_live = true;
            self.outputs.push_back(Output::Live);
        }
        if !self.watching && !self.finishing {
            self.watching = true;
            self.outputs.push_back(Output::Watch(Request::Watch));
        }
    }

    fn woken(&mut self, finish: bool) -> Result<(), SyncError> {
        if !std::mem::take(&mut self.watching) {
            return Err(out_of_turn());
        }
        self.finishing |= finish;
        self.outgoing.look_for_changes();
        Ok(())
    }

    fn deadline(&self) -> Option<(Timestamp, &'static str)> {
        let limits = &self.config.limits;
        match self.phase {
            Phase::Hello => Some((self.started + limits.handshake(), "handshake")),
            Phase::Refused(at, _) => Some((at + limits.handshake(), "handshake")),
            Phase::Resolving => None,
            // Also when all is said: a peer that does not take the last messages must not hold the session open for ever.
            Phase::Open | Phase::Closing | Phase::Finished => Some((self.moved_at + limits.idle(), "idle")),
        }
    }

    fn timeout(&mut self, now: Timestamp) -> Result<(), SyncError> {
        if let Some((at, what)) = self.deadline()
            && now >= at
        {
            if let Phase::Refused(_, why) = &self.phase {
                return Err(why.clone());
            }
            return Err(unexpected(format!("the peer exceeded the {what} deadline")));
        }
        self.incoming.lingered(now);
        Ok(())
    }
}

impl Machine for KvMachine {
    type Topic = KvQuery;
    type Request = Request;
    type Response = Response;

    fn handle(&mut self, now: Timestamp, input: Input<'_, Response>) -> Result<(), SyncError> {
        match input {
            Input::Received(bytes) => self.received(now, bytes)?,
            // What a stream takes at once may only have gone into a buffer of its own. While there is much to send that comes to
            // an end soon; with a push now and then it does not.
            Input::Sent(_) if !self.is_live || now > self.sent_at + BUFFERED => self.moved_at = now,
            Input::Closed => {
                self.closed = true;
                // What has come is kept.
                self.incoming.flush();
            }
            Input::Response(response) => self.response(now, response)?,
            Input::Timeout => self.timeout(now)?,
            _ => {}
        }
        self.advance(now)
    }

    fn poll(&mut self) -> Option<Output<KvQuery, Request>> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<Timestamp> {
        let deadline = self.deadline().map(|(at, _)| at);
        [deadline, self.incoming.linger_until()].into_iter().flatten().min()
    }

    fn heartbeat(&self) -> Option<(Duration, Bytes)> {
        // Behind our `Ack` the peer need not be there.
        let is_open = matches!(self.phase, Phase::Open) && !self.incoming.ack_is_sent();
        is_open.then(|| (self.config.limits.keep_alive(), wire::PING))
    }

    fn wants_input(&self) -> bool {
        match self.phase {
            Phase::Hello | Phase::Refused(..) => true,
            Phase::Open => !self.incoming.is_full(&self.config.limits),
            Phase::Resolving | Phase::Closing | Phase::Finished => false,
        }
    }

    fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Finished)
    }
}

fn unexpected(text: impl Into<String>) -> SyncError {
    SyncError::UnexpectedBehaviour(text.into())
}

fn unexpected_message(name: &str) -> SyncError {
    unexpected(format!("unexpected \"{name}\" message received"))
}

/// The driver broke its contract: an answer came that nobody asked for.
fn out_of_turn() -> SyncError {
    SyncError::Critical("the session's driver answered out of turn".into())
}
