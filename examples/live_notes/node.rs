//! A node: an identity, a database, a socket, and both versions of log sync.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use syncline_core::clock::{Clock, SystemClock};
use syncline_crypto::{Hash, SigningKey};
use syncline_log::ingest::ByExtension;
use syncline_log::store::{DatabaseStore, LiveStore, LogStore, SeqRange};
use syncline_log::sync::v2;
use syncline_log::{Body, Draft, LogSyncV2, LogWriter, StoredLogSync};
use syncline_net::quic::{QuicConfig, QuicEndpoint};
use syncline_net::{
    AcceptedSession, Access, DynProtocol, KeepInSync, Node, NodeLimits, PeerAddr, Schedule, TokioBlocking, TokioTimer,
};
use syncline_storage::RedbDb;

use crate::Result;
use crate::board::{Board, Entry};
use crate::notebook::{InNotebook, NOTEBOOK, Notebook, People};

type Store = LiveStore<Notebook, DatabaseStore<Notebook>>;
type New = LogSyncV2<Notebook, Notebook, DatabaseStore<Notebook>>;
type Old = StoredLogSync<Notebook, Notebook, DatabaseStore<Notebook>>;

/// The longest body that comes by itself.
pub const BODY_LEN_MAX: u64 = 64 << 10;

/// The name of the first version.
pub const FIRST_VERSION: &str = Old::NAME;

/// How often a peer is asked that cannot push.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Which versions a node speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    Both,
    OnlyTheFirst,
}

pub struct NotesNode {
    name: &'static str,
    people: People,
    store: Store,
    writer: LogWriter<Store>,
    endpoint: Arc<QuicEndpoint>,
    node: Node,
    new: New,
    old: Old,
    seed: u64,
    pub board: Board,
}

impl NotesNode {
    /// Starts the node of the person with this key, whose notes are in `home`.
    pub fn start(home: &Path, key: &SigningKey, people: &People, versions: Versions) -> Result<Self> {
        let name = people.name(&key.public_key());
        let db = Arc::new(RedbDb::create(home.join(format!("{name}.redb")))?);
        // An fsync and a batch of signatures must not stall the runtime.
        let blocking = Arc::new(TokioBlocking::current());
        let store = LiveStore::new(DatabaseStore::with_blocking(db, Arc::clone(&blocking) as _));
        let (topics, classify) = (Arc::new(people.clone()), Arc::new(ByExtension::<InNotebook>::new()));
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let new = LogSyncV2::new(Arc::clone(&topics) as _, store.clone(), Arc::clone(&classify) as _, seed)
            .with_live(true)
            .with_timer(Arc::new(TokioTimer::new()))
            .with_blocking(Arc::clone(&blocking) as _)
            .with_limits(v2::Limits::default().with_body_len_max(BODY_LEN_MAX));
        let old = StoredLogSync::new(topics, store.clone(), classify).with_blocking(blocking);

        let board = Board::new(people.clone());
        let accepted = board.clone();
        let handler = move |_: &AcceptedSession| accepted.sink();
        let members = people.clone();
        let config = QuicConfig::default().with_allow(move |peer| Access::allow_if(members.0.contains_key(peer)));
        let endpoint = QuicEndpoint::bind(key, ([127, 0, 0, 1], 0).into(), config)?;
        let finish = new.finish_handle();
        let mut builder = Node::builder()
            .endpoint(Arc::clone(&endpoint))
            .limits(NodeLimits::default().with_live_sessions())
            .register(Arc::new(old.clone()), handler.clone())
            // Open sessions say goodbye instead of being cut off.
            .on_shutdown(move || finish.finish());
        if versions == Versions::Both {
            builder = builder.register(Arc::new(new.clone()), handler);
        }
        let [a, b, c, d, e, f, g, h, ..] = seed;
        Ok(Self {
            name,
            people: people.clone(),
            writer: LogWriter::new(store.clone(), Arc::new(key.clone())),
            store,
            endpoint,
            node: builder.build()?,
            new,
            old,
            seed: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            board,
        })
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn address(&self) -> Result<PeerAddr> {
        Ok(self.endpoint.peer_addr()?)
    }

    pub async fn write(&self, text: &str) -> Result<()> {
        self.publish(text.as_bytes().to_vec(), None).await.map(drop)
    }

    /// Attaches a file, and gives the hash of the operation that it is the body of.
    pub async fn attach(&self, name: &str, bytes: Vec<u8>) -> Result<Hash> {
        self.publish(bytes, Some(name.to_owned())).await
    }

    /// Signs and stores. Sessions that are open learn of it from the store and push it.
    async fn publish(&self, bytes: Vec<u8>, file: Option<String>) -> Result<Hash> {
        let mut draft = Draft::new(Some(Body::new(bytes)), Some(InNotebook { notebook: NOTEBOOK, file }));
        draft.timestamp = SystemClock.now().as_millis() * 1000;
        let published = self.writer.publish(NOTEBOOK, [draft]).await?;
        Ok(published.first().ok_or("nothing was published")?.hash)
    }

    /// Keeps a live session with a peer, which is made anew when it breaks.
    pub fn stay_in_touch(&self, peer: &PeerAddr) -> KeepInSync {
        // A session that ended in order, as when the peer went offline, is not missed for a while: who returns calls.
        self.keep_in_sync(peer, Duration::from_secs(60))
    }

    /// The same with a peer that may be too old for live sessions: it is asked again and again then.
    pub fn stay_in_touch_with_old(&self, peer: &PeerAddr) -> KeepInSync {
        self.keep_in_sync(peer, ASK_EVERY)
    }

    fn keep_in_sync(&self, peer: &PeerAddr, interval: Duration) -> KeepInSync {
        let protocols: [Arc<DynProtocol<Notebook>>; 2] = [Arc::new(self.new.clone()), Arc::new(self.old.clone())];
        let schedule = Schedule::new(interval, self.seed);
        let schedule = schedule.with_retry(Duration::from_millis(100), Duration::from_secs(10));
        let board = self.board.clone();
        self.node.keep_in_sync_any(peer, protocols, NOTEBOOK, schedule, move || board.sink())
    }

    /// Fetches the body of an operation that is here without, from any peer.
    pub async fn fetch(&self, peer: &PeerAddr, operation: Hash) -> Result<()> {
        let fetch = Arc::new(self.new.fetch_payloads([operation]));
        self.node.sync(peer, fetch, NOTEBOOK, self.board.sink()).finished().await?;
        Ok(())
    }

    /// All that is stored here, author by author.
    pub async fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for author in self.people.0.keys() {
            let page = self.store.read(*author, NOTEBOOK, SeqRange::ALL, usize::MAX).await?;
            let rows = page.operations.into_iter();
            entries.extend(rows.filter_map(|row| Entry::read(&self.people, *author, row.header, row.body)));
        }
        Ok(entries)
    }

    /// Goes offline. Gives how many sessions did not end in order.
    pub async fn stop(self) -> usize {
        self.node.shutdown().await.sessions_cut_off()
    }
}
