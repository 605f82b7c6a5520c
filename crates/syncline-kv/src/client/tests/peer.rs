//! One side of a session that says whatever a test wants.

use std::sync::Arc;

use bytes::BytesMut;
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, SinkExt};
use syncline_core::cbor::{FrameLimits, FrameScanner};
use syncline_core::clock::{ManualClock, Timestamp};
use syncline_core::{SyncError, SyncProtocol};
use syncline_crypto::SigningKey;
use syncline_storage::MemoryDb;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use crate::client::wire::{self, Message};
use crate::client::{Client, WatchLimits, WatchServer};
use crate::item::{Item, Namespace, NamespaceId, Reads};
use crate::path::Key;
use crate::tree::Tree;

pub(super) fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

pub(super) fn root() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

pub(super) fn namespace(reads: Reads) -> Namespace {
    Namespace::new("test", [root().public_key()]).unwrap().with_reads(reads).unwrap()
}

pub(super) fn tree(reads: Reads) -> Tree {
    Tree::open(Arc::new(MemoryDb::new()), &namespace(reads)).unwrap()
}

pub(super) fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_millis(1_000_000))
}

pub(super) fn server(tree: &Tree, clock: &ManualClock, limits: WatchLimits) -> WatchServer {
    let clock = Arc::new(clock.clone());
    WatchServer::new(tree.clone(), clock.clone()).with_timer(clock).with_limits(limits)
}

pub(super) fn hello(namespace: NamespaceId) -> Message {
    Message::Hello { version_min: 1, version_max: 1, namespace }
}

/// The other end of a session, and the session's outcome.
pub(super) struct Peer {
    pool: LocalPool,
    end: Compat<tokio::io::DuplexStream>,
    outcome: futures::channel::oneshot::Receiver<Result<(), SyncError>>,
    buffer: BytesMut,
}

impl Peer {
    /// A client of this server, by a stream that holds so many bytes.
    pub(super) fn of_server(server: WatchServer, capacity: usize) -> Self {
        Self::of(capacity, |end| async move {
            let (mut rx, mut tx) = end.split();
            let mut app = futures::sink::drain().sink_map_err(|never| match never {});
            Arc::new(server).accept(Box::new(&mut tx), Box::new(&mut rx), Box::new(&mut app)).await
        })
    }

    /// A server of this client.
    pub(super) fn of_client(client: &Client) -> Self {
        let (connection, query) = (client.connection(), client.query());
        Self::of(1 << 20, |end| async move {
            let (mut rx, mut tx) = end.split();
            let mut app = futures::sink::drain().sink_map_err(|never| match never {});
            connection.initiate(query, Box::new(&mut tx), Box::new(&mut rx), Box::new(&mut app)).await
        })
    }

    fn of<F>(capacity: usize, run: impl FnOnce(Compat<tokio::io::DuplexStream>) -> F) -> Self
    where
        F: Future<Output = Result<(), SyncError>> + 'static,
    {
        let (here, there) = tokio::io::duplex(capacity);
        let pool = LocalPool::new();
        let (done, outcome) = futures::channel::oneshot::channel();
        let run = run(there.compat());
        let run = async move {
            let _ = done.send(run.await);
        };
        pool.spawner().spawn_local(run).unwrap();
        Self { pool, end: here.compat(), outcome, buffer: BytesMut::new() }
    }

    pub(super) fn settle(&mut self) {
        self.pool.run_until_stalled();
    }

    /// Sends bytes, as far as they are taken.
    pub(super) fn send_bytes(&mut self, bytes: &[u8]) {
        let Self { pool, end, .. } = self;
        let mut rest = bytes;
        loop {
            pool.run_until_stalled();
            match end.write(rest).now_or_never() {
                Some(Ok(count)) if count < rest.len() => rest = &rest[count..],
                _ => break,
            }
        }
        pool.run_until_stalled();
    }

    pub(super) fn send(&mut self, messages: &[Message]) {
        let mut bytes = BytesMut::new();
        messages.iter().for_each(|message| wire::encode(&mut bytes, message));
        self.send_bytes(&bytes);
    }

    /// All that the other side sends until it stops.
    pub(super) fn receive(&mut self) -> Vec<Message> {
        let mut chunk = [0; 4_096];
        loop {
            self.pool.run_until_stalled();
            match self.end.read(&mut chunk).now_or_never() {
                Some(Ok(count)) if count > 0 => self.buffer.extend_from_slice(&chunk[..count]),
                _ => break,
            }
        }
        let mut scanner = FrameScanner::new(FrameLimits::with_len_max(Item::LEN_MAX + 32));
        let mut messages = Vec::new();
        while !self.buffer.is_empty()
            && let Some(len) = scanner.scan(&self.buffer).unwrap()
        {
            messages.push(wire::decode(&self.buffer.split_to(len)).unwrap());
        }
        messages
    }

    /// How the session ended; none if it goes on.
    pub(super) fn outcome(&mut self) -> Option<Result<(), SyncError>> {
        self.pool.run_until_stalled();
        self.outcome.try_recv().unwrap()
    }
}
