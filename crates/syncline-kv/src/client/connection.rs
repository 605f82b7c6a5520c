//! A client's side of a session with one server.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite, FutureExt, Sink};
use syncline_core::cbor::{FrameLimits, FrameScanner};
use syncline_core::clock::Timestamp;
use syncline_core::machine::{Drive, Input, Machine, Output, Perform, drive};
use syncline_core::{FromSync, SyncError, SyncProtocol};
use syncline_storage::blocking;

use super::core::{ConnectionId, check};
use super::shared::Shared;
use super::wire::{self, Message, VERSION};
use super::{WatchLimits, WatchQuery, WatchServer};
use crate::item::{Item, NamespaceId};

/// Connects a [`Client`](super::Client) to one server: the initiating side of `syncline-kv-watch/1`.
///
/// Run it over a stream to a server as often as streams come and go, over several at the same time if there are several
/// servers. The first that welcomes the client serves what is subscribed; when it is lost, the next one does.
///
/// A session ends in order when the client is closed.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[async_trait]
impl<'a> SyncProtocol<'a, WatchQuery> for Connection {
    fn name(&self) -> &'static str {
        WatchServer::NAME
    }

    /// Serves the client's subscriptions until the stream or the client ends. The application gets
    /// [`FromSync::HandshakeSuccess`] and no data; that is with the subscriptions.
    async fn initiate(
        self: Arc<Self>,
        topic_query: WatchQuery,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<WatchQuery>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        let (namespace, is_closed) = self.shared.read(|core| (core.namespace().id(), core.is_closed()));
        if topic_query.namespace != namespace {
            return Err(SyncError::Critical("the client is for another namespace".into()));
        }
        if is_closed {
            return Err(SyncError::Critical("the client is closed".into()));
        }
        let link = Link::open(&self.shared, namespace);
        let limits = self.shared.limits.clone();
        let how = Drive::new().with_window(limits.window).with_timer(Arc::clone(&self.shared.timer));
        let mut machine = LinkMachine::new(self.shared.timer.now(), namespace, limits);
        drive(&mut machine, &link, &how, *tx, *rx, *app_tx).await
    }

    /// Fails with [`SyncError::Critical`]: a client only initiates.
    async fn accept(
        self: Arc<Self>,
        _tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        _rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        _app_tx: Box<&'a mut (dyn Sink<FromSync<WatchQuery>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        Err(SyncError::Critical("a client initiates sessions only; accept them by a watch server".into()))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// What a session's machine asks.
#[derive(Debug)]
enum Request {
    /// Check these and take them in.
    Take(Vec<Message>),
    /// Wait for something to send.
    Outgoing,
}

#[derive(Debug)]
enum Response {
    Taken(Result<(), SyncError>),
    Outgoing(Vec<Message>),
}

/// A connection that the client knows of for as long as this lives.
struct Link {
    shared: Arc<Shared>,
    id: ConnectionId,
    namespace: NamespaceId,
}

impl Link {
    fn open(shared: &Arc<Shared>, namespace: NamespaceId) -> Self {
        let id = shared.with(|core, now| core.connected(now));
        Self { shared: Arc::clone(shared), id, namespace }
    }

    async fn take(&self, messages: Vec<Message>) -> Result<(), SyncError> {
        let (verifier, namespace) = (Arc::clone(&self.shared.verifier), self.namespace);
        let checked = blocking::run(&*self.shared.blocking, move || check(&*verifier, namespace, messages)).await;
        let checked = checked.map_err(|lost| SyncError::Critical(lost.to_string()))??;
        Ok(self.shared.take(self.id, checked)?)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.disconnected(self.id);
    }
}

impl Perform<Request, Response> for Link {
    fn perform(&self, request: Request) -> BoxFuture<'_, Response> {
        async move {
            match request {
                Request::Take(messages) => Response::Taken(self.take(messages).await),
                Request::Outgoing => Response::Outgoing(poll_fn(|cx| self.shared.poll_outgoing(self.id, cx)).await),
            }
        }
        .boxed()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The welcome is awaited.
    Greeting,
    Open,
    Finished,
}

/// The client's side of one session.
#[derive(Debug)]
struct LinkMachine {
    limits: WatchLimits,
    namespace: NamespaceId,
    phase: Phase,
    inbox: Vec<Message>,
    taking: bool,
    watching: bool,
    closed: bool,
    scanner: FrameScanner,
    buffer: BytesMut,
    encoded: BytesMut,
    outputs: VecDeque<Output<WatchQuery, Request>>,
    started: Timestamp,
    moved_at: Timestamp,
}

impl LinkMachine {
    /// Room for what is around an item in a message.
    const OVERHEAD: usize = 32;

    fn new(now: Timestamp, namespace: NamespaceId, limits: WatchLimits) -> Self {
        let mut machine = Self {
            limits,
            namespace,
            phase: Phase::Greeting,
            inbox: Vec::new(),
            taking: false,
            watching: false,
            closed: false,
            scanner: FrameScanner::new(FrameLimits::with_len_max(Item::LEN_MAX + Self::OVERHEAD)),
            buffer: BytesMut::new(),
            encoded: BytesMut::new(),
            outputs: VecDeque::new(),
            started: now,
            moved_at: now,
        };
        machine.send(&[Message::Hello { version_min: VERSION, version_max: VERSION, namespace }]);
        machine
    }

    fn send(&mut self, messages: &[Message]) {
        for message in messages {
            wire::encode(&mut self.encoded, message);
        }
        let bytes = self.encoded.split().freeze();
        self.outputs.push_back(Output::Send { bytes, items: 0 });
    }

    fn received(&mut self, now: Timestamp, bytes: &[u8]) -> Result<(), SyncError> {
        self.moved_at = now;
        self.buffer.extend_from_slice(bytes);
        while !self.buffer.is_empty() {
            let Some(len) = self.scanner.scan(&self.buffer)? else { break };
            let frame = self.buffer.split_to(len);
            let message = wire::decode(&frame)?;
            if message != Message::Ping {
                self.inbox.push(message);
            }
        }
        Ok(())
    }

    fn response(&mut self, response: Response) -> Result<(), SyncError> {
        match response {
            Response::Taken(result) => {
                self.taking = false;
                result?;
                // The first message that is taken is the welcome.
                if self.phase == Phase::Greeting {
                    self.phase = Phase::Open;
                    let topic = WatchQuery { namespace: self.namespace };
                    self.outputs.push_back(Output::Deliver(FromSync::HandshakeSuccess(topic)));
                    self.outputs.push_back(Output::Live);
                }
            }
            Response::Outgoing(messages) => {
                self.watching = false;
                self.send(&messages);
                if messages.contains(&Message::Bye) {
                    self.phase = Phase::Finished;
                }
            }
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<(), SyncError> {
        if self.phase == Phase::Finished {
            return Ok(());
        }
        if !self.inbox.is_empty() && !self.taking {
            self.taking = true;
            self.outputs.push_back(Output::Apply(Request::Take(mem::take(&mut self.inbox))));
        }
        if self.phase == Phase::Open && !mem::replace(&mut self.watching, true) {
            self.outputs.push_back(Output::Watch(Request::Outgoing));
        }
        if self.closed && !self.taking {
            return Err(SyncError::UnexpectedBehaviour("the server's stream ended".into()));
        }
        Ok(())
    }

    fn deadline(&self) -> (Timestamp, &'static str) {
        match self.phase {
            Phase::Greeting => (self.started + self.limits.handshake, "handshake"),
            Phase::Open | Phase::Finished => (self.moved_at + self.limits.idle, "idle"),
        }
    }
}

impl Machine for LinkMachine {
    type Topic = WatchQuery;
    type Request = Request;
    type Response = Response;

    fn handle(&mut self, now: Timestamp, input: Input<'_, Response>) -> Result<(), SyncError> {
        match input {
            Input::Received(bytes) => self.received(now, bytes)?,
            Input::Closed => self.closed = true,
            Input::Response(response) => self.response(response)?,
            Input::Timeout => {
                let (at, what) = self.deadline();
                if now >= at {
                    return Err(SyncError::UnexpectedBehaviour(format!("the peer exceeded the {what} deadline")));
                }
            }
            _ => {}
        }
        self.advance()
    }

    fn poll(&mut self) -> Option<Output<WatchQuery, Request>> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<Timestamp> {
        Some(self.deadline().0)
    }

    fn heartbeat(&self) -> Option<(Duration, Bytes)> {
        (self.phase == Phase::Open).then_some((self.limits.keep_alive, wire::PING))
    }

    fn wants_input(&self) -> bool {
        self.phase != Phase::Finished && !self.taking
    }

    fn is_done(&self) -> bool {
        self.phase == Phase::Finished
    }
}
