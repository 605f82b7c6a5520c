//! The state machine of one side of a session.
//!
//! A session goes through [`hello`], where the peers agree on a topic and see whether they differ; [`heights`], where they find
//! out in which logs; and then sends ([`outgoing`]) and takes in ([`incoming`]) at the same time, until both are done.

mod heights;
mod hello;
mod incoming;
mod outgoing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use syncline_core::cbor::{FrameLimits, FrameScanner};
use syncline_core::clock::Timestamp;
use syncline_core::machine::{Input, Machine, Output};
use syncline_core::{FromSync, SyncError, TopicQuery};
use syncline_crypto::{Hash, PublicKey};

use super::Limits;
use super::secrecy::{Nonce, SessionKey};
use super::wire::{self, Hello, Message, Purpose, TopicName};
use crate::SeqNum;
use crate::store::live::{Change, Summary};
use crate::store::{LogId, Page, ScopeIndex, SeqRange};

use heights::HeightExchange;
use incoming::Incoming;
use outgoing::Outgoing;

pub(in crate::sync::v2) use incoming::Received;

/// A batch that is not full is not kept waiting for longer than this.
const LINGER: Duration = Duration::from_millis(20);

/// What a stream takes after longer than this, it takes because the peer has read.
const BUFFERED: Duration = Duration::from_millis(100);

/// Author and id of a log.
pub(in crate::sync::v2) type LogName<L> = (PublicKey, L);

/// What is settled before a session.
#[derive(Clone, Debug)]
pub(in crate::sync::v2) struct Config {
    pub(in crate::sync::v2) limits: Limits,
    /// Whether this side would stay open.
    pub(in crate::sync::v2) live: bool,
    /// Whether operations go to the application as they came.
    pub(in crate::sync::v2) is_forwarding: bool,
    /// Whether one operation that an honest peer would not send ends the session.
    pub(in crate::sync::v2) fails_on_bad: bool,
}

/// What this side knows of a topic.
#[derive(Clone, Debug)]
pub(in crate::sync::v2) struct Resolved<T, L> {
    pub(in crate::sync::v2) topic: T,
    pub(in crate::sync::v2) name: Vec<u8>,
    pub(in crate::sync::v2) key: SessionKey,
    pub(in crate::sync::v2) scope: Arc<ScopeIndex<L>>,
    pub(in crate::sync::v2) summary: Arc<Summary<L>>,
}

/// What the machine asks of its surroundings.
#[derive(Debug)]
pub(in crate::sync::v2) enum Request<L> {
    /// Which topic does the peer mean, and may it have it?
    Resolve { name: TopicName, nonce: Nonce },
    /// Operations of one log, up to about so many bytes.
    Read { author: PublicKey, log_id: L, range: SeqRange, bytes_max: usize },
    /// The body of an operation, unless more was asked for than is answered.
    Payload { operation: Hash, is_too_much: bool },
    /// Verify and store.
    Apply(Vec<Received<L>>),
    /// Wait for logs to change.
    Watch,
}

/// The answers.
#[derive(Debug)]
pub(in crate::sync::v2) enum Response<T: TopicQuery, L> {
    /// `None`: the topic is not known, or not for this peer.
    Resolved(Option<Resolved<T, L>>),
    Page(Page),
    Payload(Hash, Option<Bytes>),
    Applied(Applied<T, L>),
    /// The logs that changed, and how; and whether the session is to be finished.
    Changed(Vec<(LogName<L>, Change)>, bool),
    Failed(SyncError),
}

/// What became of a batch.
#[derive(Debug)]
pub(in crate::sync::v2) struct Applied<T: TopicQuery, L> {
    /// For the application.
    pub(in crate::sync::v2) new: Vec<FromSync<T>>,
    /// What the peer has for certain.
    pub(in crate::sync::v2) peer_has: Vec<(LogName<L>, SeqNum)>,
    /// Logs that cannot go on in this session.
    pub(in crate::sync::v2) stopped: Vec<LogName<L>>,
    /// Whether operations were rejected because others before them are missing.
    pub(in crate::sync::v2) has_gaps: bool,
    /// Places where the author has signed two operations.
    pub(in crate::sync::v2) forked: Vec<(LogName<L>, SeqNum)>,
    /// Rejected operations that an honest peer would not have sent.
    pub(in crate::sync::v2) faults: u64,
}

impl<T: TopicQuery, L> Default for Applied<T, L> {
    fn default() -> Self {
        Self {
            new: Vec::new(),
            peer_has: Vec::new(),
            stopped: Vec::new(),
            has_gaps: false,
            forked: Vec::new(),
            faults: 0,
        }
    }
}

/// Who opens the session, and what for.
#[derive(Debug)]
pub(in crate::sync::v2) enum Role<T, L> {
    Initiator(Resolved<T, L>),
    /// Asks for the bodies of these operations, and nothing else.
    Fetcher(Resolved<T, L>, Vec<Hash>),
    Acceptor,
}

#[derive(Debug)]
enum Phase {
    /// The first message of the peer is awaited.
    Hello,
    /// The acceptor waits for its own surroundings and takes nothing meanwhile.
    Resolving(Box<Hello>),
    /// The acceptor of a secret topic has proven that it knows it, and waits for the initiator to do so.
    Proof,
    Open,
    /// The peer was told that it goes no further; it ends the session.
    Refused(SyncError),
    Finished,
}

/// One side of a session.
#[derive(Debug)]
pub(in crate::sync::v2) struct LogMachine<T: TopicQuery, L: LogId> {
    config: Config,
    is_initiator: bool,
    nonce: Nonce,
    peer_nonce: Nonce,
    purpose: Purpose,
    resolved: Option<Resolved<T, L>>,
    live: bool,
    phase: Phase,
    heights: HeightExchange<L>,
    outgoing: Outgoing<L>,
    incoming: Incoming<L>,
    watching: bool,
    is_live: bool,
    /// The session is to end: the peer said so, or this side.
    finishing: bool,
    closed: bool,
    scanner: FrameScanner,
    buffer: BytesMut,
    encoded: BytesMut,
    items: u64,
    outputs: VecDeque<Output<T, Request<L>>>,
    started: Timestamp,
    moved_at: Timestamp,
    sent_at: Timestamp,
}

impl<T: TopicQuery, L: LogId> LogMachine<T, L> {
    /// One side at the start of a session at the time `now`, with a nonce that no other session has.
    pub(in crate::sync::v2) fn new(now: Timestamp, role: Role<T, L>, nonce: Nonce, config: Config) -> Self {
        let scanner = FrameScanner::new(FrameLimits::with_len_max(config.limits.frame_len_max()));
        let mut machine = Self {
            config,
            is_initiator: false,
            nonce,
            peer_nonce: [0; 16],
            purpose: Purpose::Sync,
            resolved: None,
            live: false,
            phase: Phase::Hello,
            heights: HeightExchange::new(),
            outgoing: Outgoing::new(),
            incoming: Incoming::new(),
            watching: false,
            is_live: false,
            finishing: false,
            closed: false,
            scanner,
            buffer: BytesMut::new(),
            encoded: BytesMut::new(),
            items: 0,
            outputs: VecDeque::new(),
            started: now,
            moved_at: now,
            sent_at: now,
        };
        match role {
            Role::Initiator(resolved) => machine.say_hello(resolved, Purpose::Sync),
            Role::Fetcher(resolved, hashes) => {
                machine.incoming.want(hashes);
                machine.say_hello(resolved, Purpose::FetchPayloads);
            }
            Role::Acceptor => {}
        }
        machine.flush(now);
        machine
    }

    fn send(&mut self, message: &Message<L>) {
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

    fn deliver(&mut self, item: FromSync<T>) {
        self.outputs.push_back(Output::Deliver(item));
    }

    fn received(&mut self, now: Timestamp, bytes: &[u8]) -> Result<(), SyncError> {
        self.moved_at = now;
        self.incoming.count_bytes(bytes.len(), &self.config.limits)?;
        if matches!(self.phase, Phase::Refused(_)) {
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
        if matches!(self.phase, Phase::Finished | Phase::Refused(_)) {
            // Whatever follows the last message belongs to somebody else.
            buffer.clear();
        }
        self.buffer = buffer;
        Ok(())
    }

    fn message(&mut self, now: Timestamp, message: Message<L>) -> Result<(), SyncError> {
        match (&self.phase, message) {
            (Phase::Hello, Message::Hello(hello)) if !self.is_initiator => self.hello(hello),
            (Phase::Hello, Message::Welcome(welcome)) if self.is_initiator => self.welcome(&welcome),
            (Phase::Hello, Message::Refuse(why)) if self.is_initiator => Err(hello::refused_by_peer(why)),
            (Phase::Proof, Message::Proof(mac)) => self.proof(&mac),
            (Phase::Open, message) => self.open_message(now, message),
            (_, message) => Err(unexpected(format!("unexpected \"{}\" message received", name_of(&message)))),
        }
    }

    fn open_message(&mut self, now: Timestamp, message: Message<L>) -> Result<(), SyncError> {
        match message {
            Message::Operation { header, body } => self.operation(now, header, body),
            Message::Log { author, log_id, from } => self.log_begins(author, log_id, from),
            Message::Ranges(ranges) => self.ranges(&ranges),
            Message::Height { author, log_id, tip } => self.height(author, log_id, tip),
            Message::HeightsEnd => self.heights_end(),
            Message::CaughtUp => self.peer_caught_up(),
            Message::Done => self.peer_done(),
            Message::Ack => self.peer_acknowledged(),
            Message::Stop { author, log_id } => {
                self.stop_sending(author, log_id);
                Ok(())
            }
            Message::Ping => Ok(()),
            Message::Want(hashes) => self.peer_wants(hashes),
            Message::Body { operation, body } => self.body(now, operation, body),
            other => Err(unexpected(format!("unexpected \"{}\" message received", name_of(&other)))),
        }
    }

    fn response(&mut self, now: Timestamp, response: Response<T, L>) -> Result<(), SyncError> {
        match response {
            Response::Resolved(resolved) => self.resolved(resolved)?,
            Response::Page(page) => self.page(&page)?,
            Response::Payload(hash, body) => self.payload(hash, body)?,
            Response::Applied(applied) => self.applied(applied)?,
            Response::Changed(changes, finish) => self.changed(changes, finish)?,
            Response::Failed(err) => return Err(err),
        }
        self.decode_buffered(now)
    }

    /// Does what has become possible.
    fn advance(&mut self, now: Timestamp) -> Result<(), SyncError> {
        if matches!(self.phase, Phase::Open) {
            self.apply_waiting();
            self.read_next();
            self.finish_sending();
            self.acknowledge();
            self.watch();
            if self.outgoing.is_done() && self.incoming.is_done() {
                self.phase = Phase::Finished;
            }
        }
        self.flush(now);
        if self.closed && !self.incoming.is_applying() && !matches!(self.phase, Phase::Finished) {
            return Err(self.cut());
        }
        Ok(())
    }

    /// What it means that the peer's stream has ended.
    fn cut(&mut self) -> SyncError {
        if let Phase::Refused(why) = &self.phase {
            return why.clone();
        }
        let place = if self.buffer.is_empty() { "before both sides were done" } else { "within a message" };
        unexpected(format!("the stream ended {place}"))
    }

    /// Goes live once both sides have sent what was missing; waits for changes once this side has.
    fn watch(&mut self) {
        let Some(caught_up) = self.live.then_some(self.outgoing.has_caught_up()) else { return };
        if caught_up && self.incoming.has_caught_up() && !self.incoming.is_applying() && !self.is_live {
            self.is_live = true;
            self.outputs.push_back(Output::Live);
        }
        if caught_up && !self.watching && !self.finishing {
            self.watching = true;
            self.outputs.push_back(Output::Watch(Request::Watch));
        }
    }

    fn changed(&mut self, changes: Vec<(LogName<L>, Change)>, finish: bool) -> Result<(), SyncError> {
        if !std::mem::take(&mut self.watching) {
            return Err(out_of_turn());
        }
        self.finishing |= finish;
        for (log, change) in changes {
            self.push_changes(log, change);
        }
        Ok(())
    }

    fn deadline(&self) -> Option<(Timestamp, &'static str)> {
        let limits = &self.config.limits;
        match self.phase {
            Phase::Hello | Phase::Proof | Phase::Refused(_) => Some((self.started + limits.handshake(), "handshake")),
            Phase::Resolving(_) => None,
            // Also when all is said: a peer that does not take the last messages must not hold the session open for ever.
            Phase::Open | Phase::Finished => Some((self.moved_at + limits.idle(), "idle")),
        }
    }

    fn timeout(&mut self, now: Timestamp) -> Result<(), SyncError> {
        if let Some((at, what)) = self.deadline()
            && now >= at
        {
            if let Phase::Refused(why) = &self.phase {
                return Err(why.clone());
            }
            return Err(unexpected(format!("the peer exceeded the {what} deadline")));
        }
        self.incoming.lingered(now);
        Ok(())
    }
}

impl<T: TopicQuery, L: LogId> Machine for LogMachine<T, L> {
    type Topic = T;
    type Request = Request<L>;
    type Response = Response<T, L>;

    fn handle(&mut self, now: Timestamp, input: Input<'_, Response<T, L>>) -> Result<(), SyncError> {
        match input {
            Input::Received(bytes) => self.received(now, bytes)?,
            // What a stream takes at once may only have gone into a buffer of its own. While there is much to send that comes to
            // an end soon; with a push now and then it does not.
            Input::Sent(_) if !self.is_live || now > self.sent_at + BUFFERED => self.moved_at = now,
            Input::Closed => {
                self.closed = true;
                // What has come is kept.
                self.incoming.flush();
                #[cfg(syncline_planted)]
                if syncline_core::planted::is(syncline_core::planted::Bug::CutIsEnd) {
                    self.phase = Phase::Finished;
                }
            }
            Input::Response(response) => self.response(now, response)?,
            Input::Timeout => self.timeout(now)?,
            _ => {}
        }
        self.advance(now)
    }

    fn poll(&mut self) -> Option<Output<T, Request<L>>> {
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
            Phase::Hello | Phase::Proof | Phase::Refused(_) => true,
            Phase::Open => !self.incoming.is_full(&self.config.limits) && !self.outgoing.is_asked_too_much(),
            Phase::Resolving(_) | Phase::Finished => false,
        }
    }

    fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Finished)
    }
}

fn name_of<L>(message: &Message<L>) -> &'static str {
    match message {
        Message::Operation { .. } => "operation",
        Message::Hello(_) => "hello",
        Message::Welcome(_) => "welcome",
        Message::Refuse(_) => "refuse",
        Message::Proof(_) => "proof",
        Message::Ranges(_) => "ranges",
        Message::Height { .. } => "height",
        Message::HeightsEnd => "heights end",
        Message::Log { .. } => "log",
        Message::CaughtUp => "caught up",
        Message::Done => "done",
        Message::Ack => "ack",
        Message::Stop { .. } => "stop",
        Message::Ping => "ping",
        Message::Want(_) => "want",
        Message::Body { .. } => "body",
    }
}

fn unexpected(text: impl Into<String>) -> SyncError {
    SyncError::UnexpectedBehaviour(text.into())
}

/// The driver broke its contract: an answer came that nobody asked for.
fn out_of_turn() -> SyncError {
    SyncError::Critical("the session's driver answered out of turn".into())
}
