//! The serving side of one session, without I/O.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use syncline_core::cbor::{FrameLimits, FrameScanner};
use syncline_core::clock::Timestamp;
use syncline_core::machine::{Input, Machine, Output};
use syncline_core::{FromSync, SyncError};

use super::super::wire::{self, Id, Message, Refusal, VERSION};
use super::super::{WatchLimits, WatchQuery};
use super::reads::{Request, Response, Standing, Values};
use super::work::{Next, Stage, Subs};
use crate::item::{Item, NamespaceId};
use crate::tree::Changed;

#[derive(Debug)]
enum Phase {
    Hello,
    Open,
    /// The client was told that it goes no further; it ends the session.
    Refused(SyncError),
    Finished,
}

/// The serving side of one session.
#[derive(Debug)]
pub(super) struct ServerMachine {
    limits: WatchLimits,
    namespace: NamespaceId,
    age: Option<u64>,
    phase: Phase,
    subs: Subs,
    /// Ids below this were given.
    next_id: Id,
    known: usize,
    asking: bool,
    watching: bool,
    /// Rights, quarantine and freshness are to be looked at.
    check: bool,
    /// Grants, revocations or rotations have come.
    authority_changed: bool,
    scanner: FrameScanner,
    buffer: BytesMut,
    encoded: BytesMut,
    items: u64,
    outputs: VecDeque<Output<WatchQuery, Request>>,
    started: Timestamp,
    moved_at: Timestamp,
    checked_at: Timestamp,
}

impl ServerMachine {
    pub(super) fn new(now: Timestamp, namespace: NamespaceId, age: Option<u64>, limits: WatchLimits) -> Self {
        Self {
            subs: Subs::new(limits.behind_keys, limits.page_keys),
            scanner: FrameScanner::new(FrameLimits::with_len_max(limits.request_len)),
            limits,
            namespace,
            age,
            phase: Phase::Hello,
            next_id: 0,
            known: 0,
            asking: false,
            watching: false,
            check: false,
            authority_changed: false,
            buffer: BytesMut::new(),
            encoded: BytesMut::new(),
            items: 0,
            outputs: VecDeque::new(),
            started: now,
            moved_at: now,
            checked_at: now,
        }
    }

    fn send(&mut self, message: &Message) {
        wire::encode(&mut self.encoded, message);
    }

    fn received(&mut self, now: Timestamp, bytes: &[u8]) -> Result<(), SyncError> {
        self.moved_at = now;
        if matches!(self.phase, Phase::Refused(_)) {
            return Ok(());
        }
        self.buffer.extend_from_slice(bytes);
        let mut buffer = std::mem::take(&mut self.buffer);
        while !buffer.is_empty() && matches!(self.phase, Phase::Hello | Phase::Open) {
            let Some(len) = self.scanner.scan(&buffer)? else {
                self.buffer = buffer;
                break;
            };
            let message = wire::decode(&buffer.split_to(len))?;
            self.message(message)?;
        }
        Ok(())
    }

    fn message(&mut self, message: Message) -> Result<(), SyncError> {
        match (&self.phase, message) {
            (Phase::Hello, Message::Hello { version_min, version_max, namespace }) => {
                self.hello(version_min..=version_max, namespace);
                Ok(())
            }
            (Phase::Open, Message::Subscribe { id, scope, deletions }) => {
                if id != self.next_id {
                    return Err(unexpected(format!("subscription {id} does not follow the one before it")));
                }
                if self.subs.len() >= self.limits.subscriptions {
                    let max = self.limits.subscriptions;
                    return Err(unexpected(format!("more than {max} subscriptions in one session")));
                }
                self.next_id += 1;
                self.subs.add(id, scope, deletions);
                Ok(())
            }
            (Phase::Open, Message::Unsubscribe(id)) if id < self.next_id => {
                self.subs.remove(id);
                Ok(())
            }
            (Phase::Open, Message::Know(grants)) => {
                self.known += grants.len();
                if self.known > self.limits.known_grants {
                    return Err(unexpected(format!("more than {} grants named", self.limits.known_grants)));
                }
                self.subs.know(grants);
                Ok(())
            }
            (Phase::Open, Message::Ping) => Ok(()),
            (Phase::Open, Message::Bye) => {
                self.phase = Phase::Finished;
                Ok(())
            }
            (_, message) => Err(unexpected(format!("unexpected \"{}\" message received", wire::name_of(&message)))),
        }
    }

    fn hello(&mut self, versions: std::ops::RangeInclusive<u64>, namespace: NamespaceId) {
        let refusal = match () {
            () if !versions.contains(&VERSION) => Some((Refusal::Version, "a version that the client does not speak")),
            () if namespace != self.namespace => Some((Refusal::Namespace, "another namespace")),
            () => None,
        };
        if let Some((refusal, why)) = refusal {
            self.send(&Message::Refuse(refusal));
            self.phase = Phase::Refused(unexpected(format!("the client asked for {why}")));
            return;
        }
        self.send(&Message::Welcome { version: VERSION, age: self.age });
        self.phase = Phase::Open;
        let topic = WatchQuery { namespace: self.namespace };
        self.outputs.push_back(Output::Deliver(FromSync::HandshakeSuccess(topic)));
        self.outputs.push_back(Output::Live);
    }

    fn response(&mut self, response: Response) -> Result<(), SyncError> {
        match response {
            Response::Changed(changed) => {
                self.watching = false;
                self.changed(&changed);
                return Ok(());
            }
            Response::Failed(err) => return Err(err),
            Response::Read(id, values) => self.read(id, values),
            Response::Revocations(items, more) => {
                self.send_items(items);
                if more {
                    self.subs.queue_revocations();
                }
            }
            Response::Checked { age, scopes } => self.checked(age, scopes),
        }
        self.asking = false;
        Ok(())
    }

    fn changed(&mut self, changed: &Changed) {
        let told = self.subs.changed(changed);
        if changed.authority {
            // The right to hear of it may have ended. What is read next says so, or has the value.
            self.check = true;
            self.authority_changed = true;
            return;
        }
        for id in told {
            self.send(&Message::Changed(id));
        }
    }

    fn send_items(&mut self, items: Vec<Item>) {
        for item in items {
            self.send(&Message::Item(item));
        }
    }

    fn read(&mut self, id: Id, values: Option<Values>) {
        // It may have ended meanwhile.
        if !self.subs.contains(id) {
            if let Some(values) = values {
                self.send_items(values.items);
            }
            return;
        }
        let Some(values) = values else {
            if self.subs.stand(id, false) {
                self.send(&Message::Denied(id));
            }
            return;
        };
        let Values { items, found, next, held } = values;
        self.send_items(items);
        let Some(sub) = self.subs.get_mut(id) else { return };
        let mut messages = Vec::with_capacity(found.len() + 2);
        let was = sub.stage.clone();
        if matches!(was, Stage::Snapshot { begun: false, .. }) {
            messages.push(Message::Begin(id));
        }
        let is_key = matches!(sub.scope, wire::Scope::Key(_));
        for (key, entry) in found {
            let sent = entry.as_ref().map(|entry| entry.id());
            // A key that is read again without need is not sent again. That it was said to have changed has to be answered.
            let is_same = is_key && sub.sent == Some(sent) && was == Stage::Live && !sub.announced;
            sub.sent = Some(sent);
            if !is_same {
                self.items += u64::from(entry.is_some());
                messages.push(match entry {
                    Some(entry) => Message::Value { id, entry },
                    None => Message::Absent { id, key },
                });
            }
        }
        sub.announced = false;
        if held != sub.held {
            sub.held = held;
            messages.push(Message::Held { id, held });
        }
        sub.stage = match (was, next) {
            (Stage::Live, _) => Stage::Live,
            (Stage::Snapshot { .. }, Some(after)) => Stage::Snapshot { begun: true, after: Some(after) },
            (Stage::Snapshot { .. }, None) => {
                messages.push(Message::Live(id));
                sub.deletions = true;
                Stage::Live
            }
        };
        for message in messages {
            self.send(&message);
        }
        self.subs.done(id);
    }

    fn checked(&mut self, age: Option<u64>, scopes: Vec<(Id, Standing)>) {
        for (id, standing) in scopes {
            if self.subs.stand(id, standing.allowed) {
                self.send(&Message::Denied(id));
            }
            let held = self.subs.get_mut(id).filter(|sub| sub.stage == Stage::Live && sub.held != standing.held);
            if let Some(sub) = held {
                sub.held = standing.held;
                self.send(&Message::Held { id, held: standing.held });
            }
        }
        if std::mem::take(&mut self.authority_changed) {
            self.subs.authority_changed();
        }
        self.send(&Message::Fresh(age));
    }

    /// Does what has become possible.
    fn advance(&mut self) {
        if matches!(self.phase, Phase::Open) {
            if !std::mem::replace(&mut self.watching, true) {
                self.outputs.push_back(Output::Watch(Request::Watch));
            }
            if !self.asking
                && let Some(request) = self.next_request()
            {
                self.asking = true;
                self.outputs.push_back(Output::Request(request));
            }
        }
        if !self.encoded.is_empty() {
            let bytes = self.encoded.split().freeze();
            // Before the request, whose answer comes behind it.
            self.outputs.push_front(Output::Send { bytes, items: std::mem::take(&mut self.items) });
        }
    }

    fn next_request(&mut self) -> Option<Request> {
        if std::mem::take(&mut self.check) {
            return Some(Request::Check(self.subs.scopes()));
        }
        Some(match self.subs.next()? {
            Next::Values(id, scope, what) => Request::Read { id, scope, what },
            Next::Revocations(known) => Request::Revocations(known),
        })
    }

    fn deadline(&self) -> Option<(Timestamp, &'static str)> {
        match self.phase {
            Phase::Hello | Phase::Refused(_) => Some((self.started + self.limits.handshake, "handshake")),
            Phase::Open | Phase::Finished => Some((self.moved_at + self.limits.idle, "idle")),
        }
    }

    fn timeout(&mut self, now: Timestamp) -> Result<(), SyncError> {
        if let Some((at, what)) = self.deadline()
            && now >= at
        {
            return Err(self.cut(format!("the peer exceeded the {what} deadline")));
        }
        if matches!(self.phase, Phase::Open) && now >= self.checked_at + self.limits.refresh {
            self.checked_at = now;
            self.check = true;
        }
        Ok(())
    }

    fn cut(&self, why: String) -> SyncError {
        if let Phase::Refused(why) = &self.phase { why.clone() } else { unexpected(why) }
    }
}

impl Machine for ServerMachine {
    type Topic = WatchQuery;
    type Request = Request;
    type Response = Response;

    fn handle(&mut self, now: Timestamp, input: Input<'_, Response>) -> Result<(), SyncError> {
        match input {
            Input::Received(bytes) => self.received(now, bytes)?,
            Input::Closed if !matches!(self.phase, Phase::Finished) => {
                return Err(self.cut("the client's stream ended without a farewell".into()));
            }
            Input::Response(response) => self.response(response)?,
            Input::Timeout => self.timeout(now)?,
            _ => {}
        }
        self.advance();
        Ok(())
    }

    fn poll(&mut self) -> Option<Output<WatchQuery, Request>> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<Timestamp> {
        let deadline = self.deadline().map(|(at, _)| at);
        let check = matches!(self.phase, Phase::Open).then(|| self.checked_at + self.limits.refresh);
        [deadline, check].into_iter().flatten().min()
    }

    fn heartbeat(&self) -> Option<(Duration, Bytes)> {
        matches!(self.phase, Phase::Open).then_some((self.limits.keep_alive, wire::PING))
    }

    fn wants_input(&self) -> bool {
        !matches!(self.phase, Phase::Finished)
    }

    fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Finished)
    }
}

fn unexpected(why: String) -> SyncError {
    SyncError::UnexpectedBehaviour(why)
}
