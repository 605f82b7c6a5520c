//! Trees, servers and clients in one thread, whose time stands still until it is moved.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::executor::LocalPool;
use futures::future::{AbortHandle, abortable};
use futures::task::LocalSpawnExt;
use futures::{AsyncReadExt, AsyncWrite, SinkExt, Stream, StreamExt};
use syncline_core::cbor::{FrameLimits, FrameScanner};
use syncline_core::clock::{Clock, ManualClock, Timestamp};
use syncline_core::{SyncError, SyncProtocol};
use syncline_crypto::{PublicKey, SigningKey};
use syncline_storage::MemoryDb;
use tokio_util::compat::TokioAsyncReadCompatExt;

use syncline_kv::client::{Client, ClientConfig, WatchQuery, WatchServer};
use syncline_kv::item::{Entry, Item, Namespace, Reads, Value};
use syncline_kv::path::Key;
use syncline_kv::tree::{Export, Import, Tree};

pub(crate) fn key(path: &str) -> Key {
    Key::new(path).expect("a test's key")
}

/// The text of an entry.
pub(crate) fn text(entry: &Entry) -> String {
    match entry.value() {
        Value::Inline(bytes) => String::from_utf8(bytes.to_vec()).expect("a test's text"),
        other => panic!("{other:?}"),
    }
}

pub(crate) struct World {
    pool: LocalPool,
    pub(crate) clock: ManualClock,
    pub(crate) root: SigningKey,
    pub(crate) namespace: Namespace,
}

/// How a session ended; none yet while it goes on.
pub(crate) type Outcome = Rc<RefCell<Option<Result<(), SyncError>>>>;

/// A client's connection to a server.
pub(crate) struct Link {
    tasks: [AbortHandle; 2],
    pub(crate) client: Outcome,
    pub(crate) server: Outcome,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl World {
    /// Everybody may read.
    pub(crate) fn new() -> Self {
        Self::with_reads(Reads::Public)
    }

    pub(crate) fn with_reads(reads: Reads) -> Self {
        let root = SigningKey::from_bytes(&[1; 32]);
        let namespace = Namespace::new("test", [root.public_key()]).and_then(|namespace| namespace.with_reads(reads));
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
        Self { pool: LocalPool::new(), clock, root, namespace: namespace.expect("a test's namespace") }
    }

    pub(crate) fn tree(&self) -> Tree {
        Tree::open(Arc::new(MemoryDb::new()), &self.namespace).expect("memory opens")
    }

    pub(crate) fn server(&self, tree: &Tree) -> WatchServer {
        let clock = Arc::new(self.clock.clone());
        WatchServer::new(tree.clone(), clock.clone()).with_timer(clock)
    }

    /// A client whose time is kept.
    pub(crate) fn client(&self) -> Client {
        self.client_with(ClientConfig::default())
    }

    pub(crate) fn client_with(&self, config: ClientConfig) -> Client {
        let client = Client::new(self.namespace.clone(), config, Arc::new(self.clock.clone()));
        let driven = client.clone();
        self.spawn(async move { driven.drive().await });
        client
    }

    fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.pool.spawner().spawn_local(future).expect("the pool is there");
    }

    pub(crate) fn connect(&self, client: &Client, server: &WatchServer) -> Link {
        self.connect_by(client, server, 64 << 10)
    }

    /// By a stream that holds so many bytes in each direction.
    pub(crate) fn connect_by(&self, client: &Client, server: &WatchServer, capacity: usize) -> Link {
        let (here, there) = tokio::io::duplex(capacity);
        let sent = Arc::new(Mutex::new(Vec::new()));
        let (client_end, server_end) = (Outcome::default(), Outcome::default());
        let (connection, query, tapped, ended) =
            (client.connection(), client.query(), Arc::clone(&sent), Rc::clone(&client_end));
        let initiate = async move {
            let (mut rx, tx) = here.compat().split();
            let mut tx = Tapped { inner: tx, sent: tapped };
            let mut app = futures::sink::drain().sink_map_err(|never| match never {});
            let done = connection.initiate(query, Box::new(&mut tx), Box::new(&mut rx), Box::new(&mut app)).await;
            *ended.borrow_mut() = Some(done);
        };
        let (server, ended) = (Arc::new(server.clone()), Rc::clone(&server_end));
        let accept = async move {
            let (mut rx, mut tx) = there.compat().split();
            let mut app =
                futures::sink::drain::<syncline_core::FromSync<WatchQuery>>().sink_map_err(|never| match never {});
            let done = server.accept(Box::new(&mut tx), Box::new(&mut rx), Box::new(&mut app)).await;
            *ended.borrow_mut() = Some(done);
        };
        let (initiate, first) = abortable(initiate);
        let (accept, second) = abortable(accept);
        self.spawn(async move {
            let _ = initiate.await;
        });
        self.spawn(async move {
            let _ = accept.await;
        });
        Link { tasks: [first, second], client: client_end, server: server_end, sent }
    }

    /// Runs until nothing moves.
    pub(crate) fn settle(&mut self) {
        self.pool.run_until_stalled();
    }

    /// Lets one task take one turn.
    pub(crate) fn step(&mut self) {
        self.pool.try_run_one();
    }

    /// Lets time pass, and everything happen that it brings.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.clock.now() + time;
        self.settle();
        while let Some(next) = self.clock.next_wake().filter(|next| *next <= end) {
            self.clock.advance_to(next);
            self.settle();
        }
        self.clock.advance_to(end);
        self.settle();
    }

    pub(crate) fn put(&self, tree: &Tree, path: &str, text: &str) -> Entry {
        tree.put(self.clock.now(), &self.root, &key(path), text.as_bytes()).expect("puts")
    }

    pub(crate) fn delete(&self, tree: &Tree, path: &str) {
        tree.delete(self.clock.now(), &self.root, &key(path)).expect("deletes");
    }

    /// Gives `to` all that `from` has.
    pub(crate) fn copy(&self, from: &Tree, to: &Tree) {
        let mut bytes = Vec::new();
        let _: Export = from.export(&mut bytes).expect("exports");
        Import::open(&bytes[..]).expect("opens").apply_to(to, self.clock.now()).expect("applies");
    }

    pub(crate) fn apply(&self, tree: &Tree, item: impl Into<Item>) {
        tree.apply(self.clock.now(), vec![item.into()]).expect("applies");
    }

    pub(crate) fn who(seed: u8) -> (SigningKey, PublicKey) {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let public = key.public_key();
        (key, public)
    }
}

impl Link {
    /// Both sides are gone, without a farewell.
    pub(crate) fn cut(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }

    /// How many subscriptions the client has asked the server for, and how many it has ended.
    pub(crate) fn upstream(&self) -> (usize, usize) {
        let sent = self.sent.lock().expect("not poisoned").clone();
        let (mut rest, mut scanner) = (&sent[..], FrameScanner::new(FrameLimits::default()));
        let (mut begun, mut ended) = (0, 0);
        while let Some(len) = scanner.scan(rest).expect("frames") {
            begun += usize::from(rest[1] == 3);
            ended += usize::from(rest[1] == 4);
            rest = &rest[len..];
            if rest.is_empty() {
                break;
            }
        }
        (begun, ended)
    }
}

/// Remembers what was written.
struct Tapped<W> {
    inner: W,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Tapped<W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = written {
            this.sent.lock().expect("not poisoned").extend_from_slice(&bytes[..count]);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_close(cx)
    }
}

/// What a stream has told, read whenever there is something.
pub(crate) struct Recorded<T> {
    pub(crate) items: Rc<RefCell<Vec<T>>>,
    pub(crate) ended: Rc<RefCell<bool>>,
}

impl World {
    pub(crate) fn record<T: 'static>(&self, mut stream: impl Stream<Item = T> + Unpin + 'static) -> Recorded<T> {
        let recorded = Recorded { items: Rc::default(), ended: Rc::default() };
        let (items, ended) = (Rc::clone(&recorded.items), Rc::clone(&recorded.ended));
        self.spawn(async move {
            while let Some(item) = stream.next().await {
                items.borrow_mut().push(item);
            }
            *ended.borrow_mut() = true;
        });
        recorded
    }
}

impl<T> Recorded<T> {
    pub(crate) fn take(&self) -> Vec<T> {
        self.items.take()
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }
}
