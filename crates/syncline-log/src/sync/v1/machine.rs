//! The state machine of one side of a session.

use std::collections::VecDeque;

use bytes::BytesMut;
use syncline_core::cbor::{FrameLimits, FrameScanner};
use syncline_core::clock::Timestamp;
use syncline_core::machine::{Input, Machine, Output};
use syncline_core::{FromSync, SyncError, TopicQuery};
use syncline_crypto::PublicKey;

use super::outbox::{Outbox, missing};
use super::wire::{self, HaveLimits, Message};
use crate::store::{Heights, LogId, Logs, Page, SeqRange};
use crate::sync::{Encoding, Limits};

/// What a topic covers here: the logs, and the heights of those that have operations.
#[derive(Debug)]
pub(in crate::sync) struct Scope<L> {
    pub(in crate::sync) logs: Logs<L>,
    pub(in crate::sync) heights: Heights<L>,
}

/// What the machine asks of its surroundings.
#[derive(Debug)]
pub(in crate::sync) enum Request<T, L> {
    /// What does this topic, which the peer named, cover? May the peer have it?
    Resolve(T),
    /// Operations of one log, up to about so many bytes.
    Read { author: PublicKey, log_id: L, range: SeqRange, bytes_max: usize },
}

/// The answers.
#[derive(Debug)]
pub(in crate::sync) enum Response<L> {
    /// `None`: the topic is not known, or not for this peer.
    Resolved(Option<Scope<L>>),
    Page(Page),
    Failed(SyncError),
}

/// Who opens the session.
#[derive(Debug)]
pub(in crate::sync) enum Role<T, L> {
    Initiator { topic: T, scope: Scope<L> },
    Acceptor,
}

/// What is expected from the peer next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiving {
    /// The acceptor waits for the peer's heights and its topic.
    Topic,
    /// The acceptor waits for its own surroundings and takes nothing meanwhile.
    Resolving,
    Data,
    /// The initiator got `Done` and waits for the peer's heights.
    Heights,
    Finished,
}

/// How far this side is with what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    /// The peer's heights are not known yet.
    NotYet,
    /// A page is asked for.
    Reading,
    Finished,
}

/// One side of a session.
#[derive(Debug)]
pub(in crate::sync) struct LogMachine<T: TopicQuery, L> {
    limits: Limits,
    initiator: bool,
    topic: Option<T>,
    /// The topic's encoding as this side sends it: for the acceptor the very bytes that came.
    topic_bytes: Vec<u8>,
    scope: Option<Scope<L>>,
    /// The acceptor keeps the peer's `Have` until it knows what the topic covers.
    have: BytesMut,
    receiving: Receiving,
    sending: Sending,
    handshake_done: bool,
    scanner: FrameScanner,
    buffer: BytesMut,
    operations_received: u64,
    bytes_received: u64,
    outbox: Outbox<L>,
    outputs: VecDeque<Output<T, Request<T, L>>>,
    started: Timestamp,
    active: Timestamp,
}

impl<T: TopicQuery, L: LogId> LogMachine<T, L> {
    /// One side at the start of a session at the time `now`.
    ///
    /// Fails if the topic, which this side chose, cannot be encoded.
    pub(in crate::sync) fn new(
        now: Timestamp,
        role: Role<T, L>,
        encoding: Encoding,
        limits: Limits,
    ) -> Result<Self, SyncError> {
        let scanner = FrameScanner::new(FrameLimits::with_len_max(limits.frame_len_max()));
        let mut machine = Self {
            limits,
            initiator: false,
            topic: None,
            topic_bytes: Vec::new(),
            scope: None,
            have: BytesMut::new(),
            receiving: Receiving::Topic,
            sending: Sending::NotYet,
            handshake_done: false,
            scanner,
            buffer: BytesMut::new(),
            operations_received: 0,
            bytes_received: 0,
            outbox: Outbox::new(encoding),
            outputs: VecDeque::new(),
            started: now,
            active: now,
        };
        if let Role::Initiator { topic, scope } = role {
            machine.initiator = true;
            machine.topic_bytes = wire::encode_value(&topic).map_err(cannot_encode)?;
            machine.outbox.push_have(&machine.topic_bytes, &scope).map_err(cannot_encode)?;
            machine.topic = Some(topic);
            machine.scope = Some(scope);
            machine.receiving = Receiving::Data;
            machine.send_encoded();
        }
        Ok(machine)
    }

    fn send_encoded(&mut self) {
        if let Some((bytes, items)) = self.outbox.take() {
            self.outputs.push_back(Output::Send { bytes, items });
        }
    }

    fn received(&mut self, bytes: &[u8]) -> Result<(), SyncError> {
        self.bytes_received = self.bytes_received.saturating_add(bytes.len() as u64);
        if self.bytes_received > self.limits.bytes_received_max() {
            return Err(unexpected(format!("more than {} bytes in a session", self.limits.bytes_received_max())));
        }
        if self.receiving == Receiving::Finished {
            // Whatever follows the last message belongs to somebody else.
            return Ok(());
        }
        self.buffer.extend_from_slice(bytes);
        self.decode_buffered()
    }

    /// Takes in all whole messages, as long as any are wanted.
    fn decode_buffered(&mut self) -> Result<(), SyncError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        while !buffer.is_empty() && self.wants_input() {
            let Some(len) = self.scanner.scan(&buffer)? else { break };
            let frame = buffer.split_to(len);
            self.message(&frame)?;
        }
        if self.receiving == Receiving::Finished {
            buffer.clear();
        }
        self.buffer = buffer;
        Ok(())
    }

    fn message(&mut self, frame: &[u8]) -> Result<(), SyncError> {
        let message = wire::decode(frame).map_err(|err| SyncError::InvalidEncoding(err.to_string()))?;
        match (message, self.receiving) {
            (Message::Data { header, payload }, Receiving::Data) => {
                self.agree();
                self.operations_received += 1;
                if self.operations_received > self.limits.operations_received_max() {
                    let max = self.limits.operations_received_max();
                    return Err(unexpected(format!("more than {max} operations in a session")));
                }
                self.outputs.push_back(Output::Deliver(FromSync::Data { header, payload }));
            }
            (Message::Done, Receiving::Data) => {
                self.agree();
                self.receiving = if self.initiator { Receiving::Heights } else { Receiving::Finished };
            }
            (Message::Have(have), Receiving::Topic) => {
                let topic: T = ciborium::from_reader(have.topic)
                    .map_err(|err| SyncError::InvalidEncoding(format!("the topic cannot be decoded: {err}")))?;
                self.topic_bytes = have.topic.to_vec();
                self.topic = Some(topic.clone());
                self.have = BytesMut::from(frame);
                self.receiving = Receiving::Resolving;
                self.outputs.push_back(Output::Request(Request::Resolve(topic)));
            }
            (Message::Have(have), Receiving::Heights) => {
                let topic: T = ciborium::from_reader(have.topic)
                    .map_err(|err| SyncError::InvalidEncoding(format!("the topic cannot be decoded: {err}")))?;
                if self.topic.as_ref() != Some(&topic) {
                    return Err(unexpected("the peer answered with another topic"));
                }
                self.receiving = Receiving::Finished;
                self.start_sending(&have)?;
            }
            (message, _) => return Err(unexpected(format!("unexpected \"{}\" message received", name_of(&message)))),
        }
        Ok(())
    }

    /// The peer has shown that it supports the topic.
    fn agree(&mut self) {
        if let Some(topic) = self.topic.clone().filter(|_| !self.handshake_done) {
            self.handshake_done = true;
            self.outputs.push_back(Output::Deliver(FromSync::HandshakeSuccess(topic)));
        }
    }

    fn resolved(&mut self, scope: Option<Scope<L>>) -> Result<(), SyncError> {
        if self.receiving != Receiving::Resolving {
            return Err(out_of_turn());
        }
        let Some(scope) = scope else {
            return Err(unexpected("the peer asked for an unsupported topic"));
        };
        self.scope = Some(scope);
        self.receiving = Receiving::Data;
        self.agree();
        let frame = std::mem::take(&mut self.have);
        let Ok(Message::Have(have)) = wire::decode(&frame) else { return Err(out_of_turn()) };
        self.start_sending(&have)?;
        self.decode_buffered()
    }

    /// Works out what the peer lacks, and asks for the first of it.
    fn start_sending(&mut self, have: &wire::Have<'_>) -> Result<(), SyncError> {
        let scope = self.scope.as_ref().ok_or_else(out_of_turn)?;
        let limits = HaveLimits { authors: self.limits.authors_max(), logs: self.limits.logs_max() };
        let theirs = have.heights(&scope.heights, limits).map_err(|err| SyncError::InvalidEncoding(err.to_string()))?;
        let missing = missing(scope, &theirs);
        self.outbox.set_missing(missing);
        self.send_next()
    }

    /// Sends what is encoded and asks for more, or says that there is no more.
    fn send_next(&mut self) -> Result<(), SyncError> {
        if let Some(run) = self.outbox.next_missing() {
            let request = Request::Read {
                author: run.author,
                log_id: run.log_id.clone(),
                range: run.range,
                bytes_max: self.limits.page_bytes(),
            };
            self.sending = Sending::Reading;
            self.send_encoded();
            self.outputs.push_back(Output::Request(request));
            return Ok(());
        }
        self.outbox.push_done();
        let scope = self.scope.as_ref().ok_or_else(out_of_turn)?;
        if !self.initiator {
            self.outbox.push_have(&self.topic_bytes, scope).map_err(cannot_encode)?;
        }
        self.sending = Sending::Finished;
        self.send_encoded();
        Ok(())
    }

    fn page(&mut self, page: &Page) -> Result<(), SyncError> {
        if self.sending != Sending::Reading {
            return Err(out_of_turn());
        }
        self.outbox.push_page(page);
        self.send_next()
    }

    fn closed(&self) -> Result<(), SyncError> {
        if self.receiving == Receiving::Finished {
            return Ok(());
        }
        let place = if self.buffer.is_empty() { "before both sides were done" } else { "within a message" };
        Err(unexpected(format!("the stream ended {place}")))
    }

    fn timeout(&self, now: Timestamp) -> Result<(), SyncError> {
        let (at, what) = self.deadline();
        if now < at {
            return Ok(());
        }
        Err(unexpected(format!("the peer exceeded the {what} deadline")))
    }

    fn deadline(&self) -> (Timestamp, &'static str) {
        // Also when all is said: a peer that does not take the last messages, or a stream that never gets them flushed,
        // must not hold the session open for ever.
        let idle = (self.active + self.limits.idle(), "idle");
        let handshake = (self.started + self.limits.handshake(), "handshake");
        if self.handshake_done || idle.0 <= handshake.0 { idle } else { handshake }
    }
}

impl<T: TopicQuery, L: LogId> Machine for LogMachine<T, L> {
    type Topic = T;
    type Request = Request<T, L>;
    type Response = Response<L>;

    fn handle(&mut self, now: Timestamp, input: Input<'_, Response<L>>) -> Result<(), SyncError> {
        match input {
            Input::Received(bytes) => {
                self.active = now;
                self.received(bytes)
            }
            Input::Sent(_) => {
                self.active = now;
                Ok(())
            }
            #[cfg(syncline_planted)]
            Input::Closed if syncline_core::planted::is(syncline_core::planted::Bug::CutIsEnd) => {
                (self.receiving, self.sending) = (Receiving::Finished, Sending::Finished);
                Ok(())
            }
            Input::Closed => self.closed(),
            Input::Response(Response::Resolved(scope)) => self.resolved(scope),
            Input::Response(Response::Page(page)) => self.page(&page),
            Input::Response(Response::Failed(err)) => Err(err),
            Input::Timeout => self.timeout(now),
            _ => Ok(()),
        }
    }

    fn poll(&mut self) -> Option<Output<T, Request<T, L>>> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<Timestamp> {
        Some(self.deadline().0)
    }

    fn wants_input(&self) -> bool {
        !matches!(self.receiving, Receiving::Resolving | Receiving::Finished)
    }

    fn is_done(&self) -> bool {
        self.receiving == Receiving::Finished && self.sending == Sending::Finished
    }
}

fn name_of(message: &Message<'_>) -> &'static str {
    match message {
        Message::Have(_) => "have",
        Message::Data { .. } => "data",
        Message::Done => "done",
    }
}

fn unexpected(text: impl Into<String>) -> SyncError {
    SyncError::UnexpectedBehaviour(text.into())
}

fn cannot_encode(err: ciborium::ser::Error<std::io::Error>) -> SyncError {
    SyncError::Critical(format!("the topic or a log id cannot be encoded: {err}"))
}

/// The driver broke its contract: an answer came that nobody asked for.
fn out_of_turn() -> SyncError {
    SyncError::Critical("the session's driver answered out of turn".into())
}

#[cfg(test)]
mod tests;
