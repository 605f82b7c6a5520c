//! Links as a protocol: `syncline-kv-gossip/1`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Sink, SinkExt};
use serde::{Deserialize, Serialize};
use syncline_core::session::report_live;
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicQuery};
use syncline_kv::NamespaceId;
use syncline_kv::agent::Side;
use syncline_net::PeerId;

use super::Links;
use super::frame::WELCOME;
use super::serve::serve;
use super::table::{Link, Table};

/// What a link is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "the hello has nothing else")]
pub struct LinkHello {
    /// The namespace whose members hear each other on it.
    pub namespace: NamespaceId,
}

impl TopicQuery for LinkHello {}

/// Finds the links of a namespace.
type Find = Arc<dyn Fn(&NamespaceId) -> Option<Links> + Send + Sync>;

/// One link, as a protocol for a [`Node`](syncline_net::Node): `syncline-kv-gossip/1`.
///
/// The side that opens it names the namespace. If the other side has it, and the opener may read it, that side answers with one
/// byte, and the link is up; else it ends the stream without a word. Messages then go both ways until one side ends.
///
/// The session stays open: the node needs [limits](syncline_net::NodeLimits::with_live_sessions) that let it.
#[derive(Clone)]
pub struct LinkProtocol {
    find: Find,
    remote: Option<PeerId>,
    came_up: Arc<AtomicBool>,
}

impl LinkProtocol {
    /// The name under which peers know the protocol.
    pub const NAME: &'static str = "syncline-kv-gossip/1";

    /// For one session with this peer, whose key the transport has proven; without one there is no link. `find` is asked with
    /// ids that may come from a peer, and must make nothing for them.
    pub fn new(
        find: impl Fn(&NamespaceId) -> Option<Links> + Send + Sync + 'static,
        remote: impl Into<Option<PeerId>>,
    ) -> Self {
        Self { find: Arc::new(find), remote: remote.into(), came_up: Arc::default() }
    }

    /// Whether a link of this protocol came up.
    #[must_use]
    pub fn came_up(&self) -> bool {
        self.came_up.load(Ordering::Relaxed)
    }

    async fn run(
        &self,
        links: &Links,
        side: Side,
        hello: LinkHello,
        tx: &mut (dyn AsyncWrite + Send + Unpin),
        rx: &mut (dyn AsyncRead + Send + Unpin),
        app_tx: &mut (dyn Sink<FromSync<LinkHello>, Error = SyncError> + Send + Unpin),
    ) -> Result<(), SyncError> {
        let peer = self.remote.ok_or_else(unproven)?;
        app_tx.send(FromSync::HandshakeSuccess(hello)).await?;
        report_live();
        let table = links.table();
        let link = table.open(peer, side).ok_or_else(|| SyncError::Critical("there is no room for the link".into()))?;
        self.came_up.store(true, Ordering::Relaxed);
        let mut up = Up { table, link, is_faulty: false };
        let result = serve(table, &up.link, tx, rx).await;
        up.is_faulty = matches!(result, Err(SyncError::InvalidEncoding(_)));
        result
    }
}

#[async_trait]
impl<'a> SyncProtocol<'a, LinkHello> for LinkProtocol {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn initiate(
        self: Arc<Self>,
        hello: LinkHello,
        mut tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        mut rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<LinkHello>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        let links =
            (self.find)(&hello.namespace).ok_or_else(|| SyncError::Critical("no such namespace here".into()))?;
        let peer = self.remote.ok_or_else(unproven)?;
        if !links.table().admits(&peer) {
            return Err(SyncError::Critical("the peer may not read the namespace".into()));
        }
        tx.write_all(hello.namespace.as_bytes()).await?;
        tx.flush().await?;
        let mut answer = [0];
        if rx.read(&mut answer).await? == 0 {
            return Err(SyncError::UnexpectedBehaviour("the peer wants no link".into()));
        }
        if answer != [WELCOME] {
            return Err(SyncError::InvalidEncoding("an answer that is no welcome".into()));
        }
        self.run(&links, Side::Opened, hello, *tx, *rx, *app_tx).await
    }

    async fn accept(
        self: Arc<Self>,
        mut tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        mut rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<LinkHello>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        let mut namespace = [0; 32];
        rx.read_exact(&mut namespace).await?;
        let hello = LinkHello { namespace: NamespaceId::from_bytes(namespace) };
        let peer = self.remote.ok_or_else(unproven)?;
        // A namespace that is not here and one that the peer may not read must look the same.
        let refused = || SyncError::UnexpectedBehaviour("a link that the peer may not have".into());
        let links = (self.find)(&hello.namespace).ok_or_else(refused)?;
        if !links.table().admits(&peer) {
            links.table().note_stranger(&peer);
            return Err(refused());
        }
        tx.write_all(&[WELCOME]).await?;
        tx.flush().await?;
        self.run(&links, Side::Accepted, hello, *tx, *rx, *app_tx).await
    }
}

/// Tells of the end of a link, also when its session is dropped.
struct Up<'a> {
    table: &'a Table,
    link: Arc<Link>,
    is_faulty: bool,
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.table.ended(&self.link, self.is_faulty);
    }
}

fn unproven() -> SyncError {
    SyncError::Critical("the transport has not proven who the peer is".into())
}

impl fmt::Debug for LinkProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkProtocol").field("remote", &self.remote).finish_non_exhaustive()
    }
}
