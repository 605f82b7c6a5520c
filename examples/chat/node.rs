//! A node of the chat: an identity, a database, a socket.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use syncline_core::clock::{Clock, SystemClock};
use syncline_core::session::SessionReport;
use syncline_crypto::{PublicKey, SigningKey};
use syncline_log::ingest::{ByExtension, IngestEvent, Outcome};
use syncline_log::store::{DatabaseStore, LogStore};
use syncline_log::{Draft, Ingest, LogSync, LogWriter};
use syncline_net::quic::{QuicConfig, QuicEndpoint};
use syncline_net::{
    AcceptedSession, AppSink, DynProtocol, KeepInSync, Node, PeerAddr, PeerContext, PeerId, Schedule, SyncFailure,
    TokioBlocking,
};
use syncline_storage::RedbDb;
use tokio::sync::watch;

use crate::Result;
use crate::groups::{Group, Groups, InGroup};
use crate::inbox::{Inbox, Said};

/// Where messages are kept. A log's id is the group that it was written for.
pub type Store = DatabaseStore<Group>;

type Protocol = LogSync<Group, Group, Store>;

pub struct ChatNode {
    name: String,
    groups: Arc<Groups>,
    store: Store,
    writer: LogWriter<Store>,
    endpoint: Arc<QuicEndpoint>,
    node: Node,
    receiver: Receiver,
    protocol: Protocol,
}

impl ChatNode {
    /// Starts the node of the person with this key, whose messages are in the folder `home`.
    pub fn start(home: &Path, name: &str, key: SigningKey, groups: Groups, address: SocketAddr) -> Result<Self> {
        let path = home.join("messages.redb");
        let db = RedbDb::create(&path).map_err(|err| format!("{} cannot be opened: {err}", path.display()))?;
        // An fsync must not stall the runtime.
        let store = Store::with_blocking(Arc::new(db), Arc::new(TokioBlocking::current()));
        let groups = Arc::new(groups);
        let receiver = Receiver { groups: Arc::clone(&groups), store: store.clone(), news: watch::Sender::new(()) };

        // The same rule in both directions: what peers may ask for, and what we tell a peer when we ask.
        let protocol = LogSync::new(Arc::clone(&groups) as _, store.clone()).with_access(Arc::clone(&groups) as _);
        let endpoint = QuicEndpoint::bind(&key, address, QuicConfig::default())
            .map_err(|err| format!("{address} cannot be used: {err}"))?;
        let accepting = protocol.clone();
        let factory = move |peer: &PeerContext| for_peer(&accepting, peer.peer_id()) as Arc<DynProtocol<Group>>;
        let accepted = receiver.clone();
        let node = Node::builder()
            .endpoint(Arc::clone(&endpoint))
            .register_factory(Protocol::NAME, factory, move |_: &AcceptedSession| accepted.sink())
            .build()?;
        let writer = LogWriter::new(store.clone(), Arc::new(key));
        Ok(Self { name: name.to_owned(), groups, store, writer, endpoint, node, receiver, protocol })
    }

    pub fn id(&self) -> PublicKey {
        self.writer.author()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What others need to connect.
    pub fn address(&self) -> Result<PeerAddr> {
        Ok(self.endpoint.peer_addr()?)
    }

    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Signs a message and stores it. Peers get it when they sync.
    pub async fn say(&self, group: Group, text: &str) -> Result<()> {
        let said = Said { name: self.name.clone(), text: text.to_owned() };
        let mut draft = Draft::new(Some(said.to_body()?), Some(InGroup { group }));
        draft.timestamp = SystemClock.now().as_millis() * 1000;
        self.writer.publish(group, [draft]).await?;
        self.receiver.news.send_replace(());
        Ok(())
    }

    /// Gives a peer what it lacks of a group, and gets from it what is lacking here. When it returns, what came is stored.
    pub async fn sync(&self, peer: &PeerAddr, group: Group) -> std::result::Result<SessionReport, SyncFailure> {
        let protocol = for_peer(&self.protocol, peer.peer_id());
        self.node.sync(peer, protocol, group, self.receiver.sink()).finished().await
    }

    /// Syncs now, and again this long after each time.
    pub fn keep_in_sync(&self, peer: &PeerAddr, group: Group, interval: Duration) -> KeepInSync {
        let protocol = for_peer(&self.protocol, peer.peer_id());
        // Peers that were started together should not all ask at the same moment: each has its own seed.
        let [a, b, c, d, e, f, g, h, ..] = self.id().to_bytes();
        let schedule = Schedule::new(interval, u64::from_le_bytes([a, b, c, d, e, f, g, h]));
        let schedule = schedule.with_retry(interval, 10 * interval);
        let receiver = self.receiver.clone();
        self.node.keep_in_sync(peer, protocol, group, schedule, move || receiver.sink())
    }

    /// A reader of all messages in a group, from the first on.
    pub fn inbox(&self, group: Group) -> Inbox {
        Inbox::new(self.store.clone(), Arc::clone(&self.groups), group, self.receiver.news.subscribe())
    }

    /// Those whose messages in a group are stored here.
    pub async fn authors(&self, group: Group) -> Result<Vec<PublicKey>> {
        let logs = self.store.logs(None, usize::MAX).await?;
        Ok(logs.into_iter().filter(|log| log.log_id == group).map(|log| log.author).collect())
    }

    pub async fn stop(&self) {
        self.node.shutdown().await;
    }
}

/// The protocol for sessions with this peer. The access rule gets to see the key, which the transport has proven.
fn for_peer(protocol: &Protocol, peer: Option<&PeerId>) -> Arc<Protocol> {
    Arc::new(match peer {
        Some(peer) => protocol.clone().with_remote(*peer),
        None => protocol.clone(),
    })
}

/// Takes what sessions bring, whichever side began them.
#[derive(Clone)]
struct Receiver {
    groups: Arc<Groups>,
    store: Store,
    news: watch::Sender<()>,
}

impl Receiver {
    /// Where one session's operations go: they are verified, placed by the group in their header, and stored.
    fn sink(&self) -> AppSink<Group> {
        let news = self.news.clone();
        let classify = Arc::new(ByExtension::<InGroup>::new());
        let ingest = Ingest::new(Arc::clone(&self.groups) as _, self.store.clone(), classify)
            .with_blocking(Arc::new(TokioBlocking::current()))
            .with_observer(move |event| {
                let IngestEvent::Verdict(verdict) = event else { return };
                match verdict.outcome {
                    Outcome::Stored => {
                        news.send_replace(());
                    }
                    Outcome::Forked(fork) => eprintln!("! {} has signed two different histories", fork.author()),
                    Outcome::Rejected(why) => eprintln!("! an operation was not taken: {why}"),
                    _ => {}
                }
            });
        Box::new(ingest)
    }
}
