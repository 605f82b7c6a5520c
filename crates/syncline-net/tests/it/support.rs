//! A small protocol that moves data both ways, and nodes to run it on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::try_join;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Sink, SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use syncline_core::session::SessionReport;
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicQuery};
use syncline_crypto::{PublicKey, SigningKey};
use syncline_net::memory::{MemoryEndpoint, MemoryNetwork};
use syncline_net::{AcceptedSession, AppSink, Node, NodeBuilder, NodeLimits, SessionHandler, SyncFailure, app_channel};
use tokio::sync::Notify;

/// A time that no machine needs, so that a test that hangs fails instead.
pub(crate) const FOREVER: Duration = Duration::from_secs(300);

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn id(seed: u8) -> PublicKey {
    key(seed).public_key()
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Room(pub(crate) u64);

impl TopicQuery for Room {}

type Tx<'a> = Box<&'a mut (dyn AsyncWrite + Send + Unpin)>;
type Rx<'a> = Box<&'a mut (dyn AsyncRead + Send + Unpin)>;
type App<'a> = Box<&'a mut (dyn Sink<FromSync<Room>, Error = SyncError> + Send + Unpin)>;

/// What an [`Exchange`] does between the handshake and the items.
#[derive(Clone, Debug, Default)]
pub(crate) enum Mood {
    #[default]
    Well,
    /// Panics.
    Panics,
    /// Waits until it is told to go on.
    Waits(Arc<Notify>),
}

/// Both sides send all their items to each other, and a byte that says that they have got all.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) name: &'static str,
    pub(crate) items: Vec<Vec<u8>>,
    pub(crate) mood: Mood,
}

pub(crate) const NAME: &str = "test-exchange/1";

/// The only room that acceptors know.
pub(crate) const ROOM: Room = Room(7);

const END: u32 = u32::MAX;

impl Exchange {
    pub(crate) fn new(items: Vec<Vec<u8>>) -> Arc<Self> {
        Arc::new(Self { name: NAME, items, mood: Mood::Well })
    }

    pub(crate) fn of(mood: Mood) -> Arc<Self> {
        Arc::new(Self { name: NAME, items: items(1, 3), mood })
    }

    async fn act(&self) -> Result<(), SyncError> {
        match &self.mood {
            Mood::Well => Ok(()),
            Mood::Panics => panic!("on purpose"),
            Mood::Waits(notify) => {
                notify.notified().await;
                Ok(())
            }
        }
    }

    async fn exchange(&self, tx: Tx<'_>, rx: Rx<'_>, mut app_tx: App<'_>) -> Result<(), SyncError> {
        let (tx, rx) = (&mut **tx, &mut **rx);
        let send = async {
            for item in &self.items {
                tx.write_all(&(item.len() as u32).to_be_bytes()).await?;
                tx.write_all(item).await?;
            }
            tx.write_all(&END.to_be_bytes()).await?;
            tx.flush().await?;
            Ok::<_, SyncError>(())
        };
        let receive = async {
            loop {
                let mut len = [0; 4];
                rx.read_exact(&mut len).await?;
                let len = u32::from_be_bytes(len);
                if len == END {
                    return Ok(());
                }
                if len > 16 << 20 {
                    return Err(SyncError::InvalidEncoding("item too long".into()));
                }
                let mut header = vec![0; len as usize];
                rx.read_exact(&mut header).await?;
                app_tx.send(FromSync::Data { header, payload: None }).await?;
            }
        };
        try_join(send, receive).await?;
        tx.write_all(b"D").await?;
        tx.flush().await?;
        let mut done = [0];
        rx.read_exact(&mut done).await?;
        if done != *b"D" { Err(SyncError::InvalidEncoding("no done".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl<'a> SyncProtocol<'a, Room> for Exchange {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn initiate(
        self: Arc<Self>,
        room: Room,
        mut tx: Tx<'a>,
        mut rx: Rx<'a>,
        mut app_tx: App<'a>,
    ) -> Result<(), SyncError> {
        tx.write_all(&room.0.to_be_bytes()).await?;
        tx.flush().await?;
        let mut known = [0];
        rx.read_exact(&mut known).await?;
        if known != [1] {
            return Err(SyncError::UnexpectedBehaviour("the peer does not know the room".into()));
        }
        app_tx.send(FromSync::HandshakeSuccess(room)).await?;
        self.act().await?;
        self.exchange(tx, rx, app_tx).await
    }

    async fn accept(self: Arc<Self>, mut tx: Tx<'a>, mut rx: Rx<'a>, mut app_tx: App<'a>) -> Result<(), SyncError> {
        let mut room = [0; 8];
        rx.read_exact(&mut room).await?;
        let room = Room(u64::from_be_bytes(room));
        tx.write_all(&[u8::from(room == ROOM)]).await?;
        tx.flush().await?;
        if room != ROOM {
            return Err(SyncError::UnexpectedBehaviour("unknown room".into()));
        }
        app_tx.send(FromSync::HandshakeSuccess(room)).await?;
        self.act().await?;
        self.exchange(tx, rx, app_tx).await
    }
}

/// Items that differ from seed to seed, of growing length.
pub(crate) fn items(seed: u8, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|at| vec![seed ^ at as u8; at * 37 % 2_000 + 1]).collect()
}

/// Takes what a session delivers, and keeps it.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) sessions: Mutex<Vec<Ended>>,
    started: AtomicUsize,
    changed: Notify,
}

#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) session: AcceptedSession,
    /// The failure as text, since failures cannot be cloned.
    pub(crate) outcome: Result<SessionReport, String>,
}

impl Inbox {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn handler(self: &Arc<Self>) -> InboxHandler {
        InboxHandler { inbox: Arc::clone(self), received: Arc::default() }
    }

    pub(crate) fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    pub(crate) fn ended(&self) -> Vec<Ended> {
        self.sessions.lock().unwrap().clone()
    }

    /// Waits until the condition holds; checked whenever a session starts or ends.
    pub(crate) async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if condition(self) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(FOREVER, wait).await.expect("the sessions never came to this");
    }

    pub(crate) async fn until_ended(&self, count: usize) -> Vec<Ended> {
        self.until(|inbox| inbox.ended().len() >= count).await;
        self.ended()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct InboxHandler {
    inbox: Arc<Inbox>,
    pub(crate) received: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl SessionHandler<Room> for InboxHandler {
    fn start(&self, _: &AcceptedSession) -> AppSink<Room> {
        self.inbox.started.fetch_add(1, Ordering::SeqCst);
        self.inbox.changed.notify_waiters();
        let received = Arc::clone(&self.received);
        Box::new(Box::pin(futures::sink::unfold((), move |(), item| {
            if let FromSync::Data { header, .. } = item {
                received.lock().unwrap().push(header);
            }
            std::future::ready(Ok(()))
        })))
    }

    fn ended(&self, session: &AcceptedSession, outcome: &Result<SessionReport, SyncFailure>) {
        let outcome = match outcome {
            Ok(report) => Ok(report.clone()),
            Err(failure) => Err(format!("{failure:?}")),
        };
        self.inbox.sessions.lock().unwrap().push(Ended { session: session.clone(), outcome });
        self.inbox.changed.notify_waiters();
    }
}

/// A sink that keeps nothing.
pub(crate) fn discard() -> AppSink<Room> {
    Box::new(futures::sink::drain().sink_map_err(|never| match never {}))
}

/// Syncs once and gives the items that came.
pub(crate) async fn sync_items(
    node: &Node,
    peer: &syncline_net::PeerAddr,
    protocol: Arc<Exchange>,
) -> Result<(SessionReport, Vec<Vec<u8>>), SyncFailure> {
    let (app_tx, app_rx) = app_channel(4);
    let handle = node.sync(peer, protocol, ROOM, app_tx);
    let collect = app_rx.filter_map(|item| async move {
        match item {
            FromSync::Data { header, .. } => Some(header),
            FromSync::HandshakeSuccess(_) => None,
        }
    });
    let both = futures::future::join(handle.finished(), collect.collect::<Vec<_>>());
    let (outcome, items) = tokio::time::timeout(FOREVER, both).await.expect("the sync never ended");
    outcome.map(|report| (report, items))
}

/// Two nodes on a network in memory, of which the second offers a protocol.
pub(crate) struct Pair {
    pub(crate) network: MemoryNetwork,
    pub(crate) a: Node,
    pub(crate) b: Node,
    pub(crate) to_b: syncline_net::PeerAddr,
    pub(crate) inbox: Arc<Inbox>,
}

pub(crate) fn memory_node(endpoint: Arc<MemoryEndpoint>, limits: NodeLimits) -> NodeBuilder {
    Node::builder().endpoint(endpoint).limits(limits)
}

impl Pair {
    pub(crate) fn new(offered: Arc<Exchange>) -> Self {
        Self::with(offered, NodeLimits::default(), |builder| builder)
    }

    /// With limits for `b`, and more to set up there.
    pub(crate) fn with(
        offered: Arc<Exchange>,
        limits: NodeLimits,
        more: impl FnOnce(NodeBuilder) -> NodeBuilder,
    ) -> Self {
        let network = MemoryNetwork::default();
        let (end_a, end_b) = (network.endpoint(id(1)).unwrap(), network.endpoint(id(2)).unwrap());
        let to_b = end_b.addr().clone();
        let inbox = Inbox::new();
        let a = memory_node(end_a, NodeLimits::default()).build().unwrap();
        let b = more(memory_node(end_b, limits).register(offered, inbox.handler())).build().unwrap();
        Self { network, a, b, to_b, inbox }
    }
}
