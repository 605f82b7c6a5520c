//! The replica's side.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use syncline_core::clock::{Clock, SystemClock};
use syncline_kv::tree::{BundleError, Listing};
use syncline_kv::{Entry, Item, KvError, Tree};
use syncline_net::TokioBlocking;
use syncline_storage::{StorageError, StorageErrorKind, blocking};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::frame::Framed;
use super::message::{DryRunReport, Fault, FaultKind, ItemVerdict, ReplicaReport, Request, Response};
use super::watching::watch;
use super::{ControlError, ControlLimits};
use crate::KvNode;

/// Answers tools for one replica. Clones answer for the same.
#[derive(Clone)]
pub struct ControlServer {
    tree: Tree,
    node: Option<KvNode>,
    clock: Arc<dyn Clock>,
    limits: ControlLimits,
}

impl ControlServer {
    /// For a replica on the network.
    #[must_use]
    pub fn new(node: KvNode) -> Self {
        let tree = node.tree().clone();
        Self { node: Some(node), ..Self::of_tree(tree) }
    }

    /// For a tree on no network.
    #[must_use]
    pub fn of_tree(tree: Tree) -> Self {
        Self { tree, node: None, clock: Arc::new(SystemClock), limits: ControlLimits::default() }
    }

    /// Sets the limits.
    #[must_use]
    pub fn with_limits(mut self, limits: ControlLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the clock, which shows wall time. The system's by default.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    pub(super) fn limits(&self) -> &ControlLimits {
        &self.limits
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Answers the requests that come by a stream, one after the other, until it ends.
    ///
    /// # Errors
    ///
    /// [`ControlError`]: the stream failed, or what came is not this protocol.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future breaks the connection off. What was applied stays.
    pub async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(&self, stream: S) -> Result<(), ControlError> {
        let mut stream = Framed::open(stream, self.limits).await?;
        while let Some(frame) = stream.read().await? {
            match Request::decode(&frame, &self.limits) {
                Ok(Request::Watch(subtree)) => return watch(self, &mut stream, subtree).await,
                Ok(Request::Export) => self.export(&mut stream).await?,
                Ok(Request::System) => self.system(&mut stream).await?,
                Ok(request) => {
                    let response = self.answer(request).await.unwrap_or_else(|err| Response::Fault(fault(&err)));
                    send(&mut stream, response).await?;
                }
                Err(err) => {
                    let fault = Fault { kind: FaultKind::Request, text: err.to_string() };
                    send(&mut stream, Response::Fault(fault)).await?;
                }
            }
        }
        Ok(())
    }

    async fn answer(&self, request: Request) -> Result<Response, KvError> {
        if let (Request::Status, Some(node)) = (&request, &self.node) {
            return Ok(Response::Status(Box::new(ReplicaReport::of(&node.status().await?))));
        }
        let (now, limits) = (self.clock.now(), self.limits);
        self.on_tree(move |tree| match request {
            Request::Apply(items) => apply(tree, now, &items).map(Response::Verdicts),
            Request::Latest(key) => Ok(Response::Entries(tree.latest(&key)?.into_iter().map(encoded).collect())),
            Request::History(key) => Ok(Response::Entries(tree.history(&key)?.into_iter().map(encoded).collect())),
            Request::List { subtree, after, limit, tombstones } => {
                let mut listing = Listing::of(subtree);
                listing.after = after;
                listing.limit = usize::try_from(limit).unwrap_or(usize::MAX).min(limits.page_entries).max(1);
                listing.tombstones = tombstones;
                page(tree, &listing, limits.page_bytes)
            }
            Request::Stamp => tree.stamp(now).map(Response::Stamp),
            Request::DryRun { grant, limit } => {
                let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(limits.page_entries);
                Ok(Response::DryRun(Box::new(DryRunReport::of(&tree.dry_run(grant, limit)?))))
            }
            Request::Status => Ok(Response::Status(Box::new(ReplicaReport::of_tree(tree.id(), &tree.root()?)))),
            // Answered before, in parts.
            Request::System | Request::Watch(_) | Request::Export => Ok(Response::End),
        })
        .await
    }

    /// Runs something on the tree where it may block.
    pub(super) async fn on_tree<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Tree) -> Result<T, KvError> + Send + 'static,
    ) -> Result<T, KvError> {
        let tree = self.tree.clone();
        let done = blocking::run(&TokioBlocking::current(), move || job(&tree)).await;
        done.unwrap_or_else(|lost| Err(StorageError::with_source(StorageErrorKind::Closed, lost).into()))
    }

    async fn system<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut Framed<S>) -> Result<(), ControlError> {
        let head = Response::System { now: self.clock.now(), namespace: self.tree.namespace() };
        send(stream, head).await?;
        let authority = self.tree.authority();
        let rotations = authority.rotations().cloned().map(Item::RootRotate);
        let grants = authority.grants().map(|grant| Item::Grant((**grant).clone()));
        let revocations = authority.revocations().cloned().map(Item::Revocation);
        let mut part = Part::new(self.limits.page_bytes);
        // Collected, since iterators over the authority do not go from thread to thread.
        let items: Vec<Item> = rotations.chain(grants).chain(revocations).collect();
        for item in items {
            if let Some(full) = part.add(item.encoded()) {
                send(stream, Response::Items(full)).await?;
            }
        }
        send(stream, Response::Items(part.items)).await?;
        send(stream, Response::End).await
    }

    async fn export<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut Framed<S>) -> Result<(), ControlError> {
        let (chunks, mut ready) = mpsc::channel(2);
        let (tree, len) = (self.tree.clone(), self.limits.page_bytes.min(self.limits.frame_len / 2));
        let writing = tokio::task::spawn_blocking(move || {
            let mut to = Chunks { len: len.max(1), buffer: Vec::new(), chunks };
            tree.export(&mut to)
        });
        // Should the tool be gone, the receiver is dropped, and the writer fails.
        while let Some(chunk) = ready.recv().await {
            send(stream, Response::Chunk(chunk)).await?;
        }
        match writing.await {
            Ok(Ok(_)) => send(stream, Response::End).await,
            Ok(Err(err)) => {
                let text = match err {
                    BundleError::Tree(err) => err.to_string(),
                    err => err.to_string(),
                };
                send(stream, Response::Fault(Fault { kind: FaultKind::Tree, text })).await
            }
            Err(err) => Err(io::Error::other(err).into()),
        }
    }
}

impl fmt::Debug for ControlServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlServer").field("tree", &self.tree).field("limits", &self.limits).finish_non_exhaustive()
    }
}

pub(super) async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut Framed<S>,
    response: Response,
) -> Result<(), ControlError> {
    stream.write(&response.encode()).await
}

pub(super) fn fault(err: &KvError) -> Fault {
    Fault { kind: FaultKind::Tree, text: err.to_string() }
}

pub(super) fn encoded(entry: Entry) -> Bytes {
    Item::Entry(entry).encoded()
}

/// Applies what can be read, in one batch, and gives a verdict for each.
fn apply(tree: &Tree, now: syncline_core::clock::Timestamp, items: &[Bytes]) -> Result<Vec<ItemVerdict>, KvError> {
    let decoded: Vec<_> = items.iter().map(Item::decode).collect();
    let readable = decoded.iter().flatten().cloned().collect();
    let mut verdicts = tree.apply(now, readable)?.into_iter();
    let of = |decoded: Result<Item, _>| match decoded {
        Ok(_) => verdicts.next().map(|verdict| ItemVerdict::of(&verdict)),
        Err(err) => Some(ItemVerdict::malformed(syncline_kv::Verdict::Malformed(err).to_string())),
    };
    Ok(decoded.into_iter().filter_map(of).collect())
}

fn page(tree: &Tree, listing: &Listing, bytes_max: usize) -> Result<Response, KvError> {
    let page = tree.list(listing)?;
    let (mut entries, mut next, mut bytes) = (Vec::new(), page.next, 0);
    let mut last = None;
    for entry in page.entries {
        let (key, item) = (entry.key().clone(), encoded(entry));
        bytes += item.len();
        if bytes > bytes_max && !entries.is_empty() {
            next = last;
            break;
        }
        last = Some(key);
        entries.push(item);
    }
    Ok(Response::Page { entries, next })
}

/// Items that are sent together.
struct Part {
    bytes_max: usize,
    bytes: usize,
    items: Vec<Bytes>,
}

impl Part {
    fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, items: Vec::new() }
    }

    /// Adds an item. Returns those before it if they are enough.
    fn add(&mut self, item: Bytes) -> Option<Vec<Bytes>> {
        let len = item.len();
        let full = (self.bytes + len > self.bytes_max && !self.items.is_empty()).then(|| {
            self.bytes = 0;
            std::mem::take(&mut self.items)
        });
        self.bytes += len;
        self.items.push(item);
        full
    }
}

/// Hands on in chunks what is written. Waits while the receiver does not take them.
struct Chunks {
    len: usize,
    buffer: Vec<u8>,
    chunks: mpsc::Sender<Bytes>,
}

impl io::Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        while self.buffer.len() >= self.len {
            let rest = self.buffer.split_off(self.len);
            let chunk = std::mem::replace(&mut self.buffer, rest);
            self.hand_on(chunk)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = std::mem::take(&mut self.buffer);
        if chunk.is_empty() { Ok(()) } else { self.hand_on(chunk) }
    }
}

impl Chunks {
    fn hand_on(&self, chunk: Vec<u8>) -> io::Result<()> {
        self.chunks.blocking_send(chunk.into()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
