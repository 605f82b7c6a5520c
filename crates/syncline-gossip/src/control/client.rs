//! The tool's side.

use std::sync::Arc;

use bytes::Bytes;
use syncline_core::clock::{Hlc, Timestamp};
use syncline_kv::tree::Listing;
use syncline_kv::{Entry, EntryId, GrantId, Item, Key, KvError, Namespace, Subtree, Tree};
use syncline_storage::MemoryDb;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::frame::Framed;
use super::message::{ItemVerdict, ReplicaReport, Request, Response, decode_items};
use super::{ControlError, ControlLimits};

/// A tool's connection to a replica.
///
/// An error of the stream, or an answer that is none, ends it: make another one. A [refusal](ControlError::Refused) does not.
///
/// # Cancel safety
///
/// A request whose future is dropped leaves the connection unusable: its answer would be taken for the next one's.
#[derive(Debug)]
pub struct Client<S> {
    stream: Framed<S>,
}

/// Who may do what, as a replica knows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct System {
    /// The replica's time.
    pub now: Timestamp,
    /// The namespace.
    pub namespace: Namespace,
    /// Rotations, grants and revocations, those first on which others rest.
    pub items: Vec<Item>,
}

impl System {
    /// A tree in memory that holds this and no values: it answers who may do what, explains why, and checks and signs grants and
    /// entries as the replica itself would. What was signed is then to be [applied](Client::apply).
    ///
    /// All signatures are verified.
    ///
    /// # Errors
    ///
    /// Those of a tree.
    pub fn tree(&self) -> Result<Tree, KvError> {
        let tree = Tree::open(Arc::new(MemoryDb::new()), &self.namespace)?;
        tree.apply(self.now, self.items.clone())?;
        Ok(tree)
    }
}

/// What revoking a grant would do; see [`Tree::dry_run`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DryRunResult {
    /// The grant and all that was delegated from it.
    pub grants: Vec<GrantId>,
    /// The keys whose value is lost or falls back: the entry that decides now, and the one that would take its place.
    pub keys: Vec<(Key, EntryId, Option<EntryId>)>,
    /// Entries that were looked at.
    pub visited: u64,
    /// There are more keys than were asked for.
    pub is_truncated: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Greets the replica on a new stream.
    ///
    /// # Errors
    ///
    /// [`ControlError`], as all calls.
    pub async fn open(stream: S) -> Result<Self, ControlError> {
        // Answers are as long as the replica's limits allow; a tool trusts its own replica that far.
        let limits = ControlLimits { frame_len: 64 << 20, ..ControlLimits::default() };
        Ok(Self { stream: Framed::open(stream, limits).await? })
    }

    /// Hands in signed items. Gives one verdict for each, in their order.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    pub async fn apply(&mut self, items: &[Item]) -> Result<Vec<ItemVerdict>, ControlError> {
        let items = items.iter().map(Item::encoded).collect();
        match self.ask(&Request::Apply(items)).await? {
            Response::Verdicts(verdicts) => Ok(verdicts),
            other => Err(ControlError::Unexpected(other.kind())),
        }
    }

    /// The entry that decides about a key, a deletion as well.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    pub async fn latest(&mut self, key: &Key) -> Result<Option<Entry>, ControlError> {
        Ok(self.entries(&Request::Latest(key.clone())).await?.into_iter().next())
    }

    /// All live entries that are kept of a key, the greatest first.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    pub async fn history(&mut self, key: &Key) -> Result<Vec<Entry>, ControlError> {
        self.entries(&Request::History(key.clone())).await
    }

    /// A page of values, and behind which key the next one begins. It may have fewer entries than were asked for.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    pub async fn list(&mut self, listing: &Listing) -> Result<(Vec<Entry>, Option<Key>), ControlError> {
        let request = Request::List {
            subtree: listing.subtree.clone(),
            after: listing.after.clone(),
            limit: u64::try_from(listing.limit).unwrap_or(u64::MAX),
            tombstones: listing.tombstones,
        };
        match self.ask(&request).await? {
            Response::Page { entries, next } => Ok((to_entries(entries)?, next)),
            other => Err(ControlError::Unexpected(other.kind())),
        }
    }

    /// Who may do what.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    pub async fn system(&mut self) -> Result<System, ControlError> {
        let (now, namespace) = match self.ask(&Request::System).await? {
            Response::System { now, namespace } => (now, namespace),
            other => return Err(ControlError::Unexpected(other.kind())),
        };
        let mut items = Vec::new();
        loop {
            match self.receive().await? {
                Response::Items(some) => items.extend(decode_items(some)?),
                Response::End => return Ok(System { now, namespace, items }),
                other => return Err(ControlError::Unexpected(other.kind())),
            }
        }
    }

    /// A stamp that is greater than all that the replica has seen, for an item to be signed.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    pub async fn stamp(&mut self) -> Result<Hlc, ControlError> {
        match self.ask(&Request::Stamp).await? {
            Response::Stamp(stamp) => Ok(stamp),
            other => Err(ControlError::Unexpected(other.kind())),
        }
    }

    /// What revoking a grant would do, at most `limit` keys of it, and at most as many as a page has.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    pub async fn dry_run(&mut self, grant: GrantId, limit: u64) -> Result<DryRunResult, ControlError> {
        match self.ask(&Request::DryRun { grant, limit }).await? {
            Response::DryRun(run) => Ok(DryRunResult {
                grants: run.grants,
                keys: run.keys,
                visited: run.visited,
                is_truncated: run.is_truncated,
            }),
            other => Err(ControlError::Unexpected(other.kind())),
        }
    }

    /// How the replica is.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    pub async fn status(&mut self) -> Result<ReplicaReport, ControlError> {
        match self.ask(&Request::Status).await? {
            Response::Status(report) => Ok(*report),
            other => Err(ControlError::Unexpected(other.kind())),
        }
    }

    /// Writes all that the replica holds as a bundle, which [`Import`](syncline_kv::tree::Import) reads. Returns its bytes.
    ///
    /// # Errors
    ///
    /// [`ControlError`]; what was written by then is not a whole bundle.
    pub async fn export(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> Result<u64, ControlError> {
        self.stream.write(&Request::Export.encode()).await?;
        let mut bytes = 0;
        loop {
            match self.receive().await? {
                Response::Chunk(chunk) => {
                    to.write_all(&chunk).await?;
                    bytes += chunk.len() as u64;
                }
                Response::End => {
                    to.flush().await?;
                    return Ok(bytes);
                }
                other => return Err(ControlError::Unexpected(other.kind())),
            }
        }
    }

    /// Watches the keys below a path: first what there is, then what changes, until the watcher is dropped.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    pub async fn watch(mut self, subtree: &Subtree) -> Result<WatchEvents<S>, ControlError> {
        self.stream.write(&Request::Watch(subtree.clone()).encode()).await?;
        Ok(WatchEvents { client: self })
    }

    async fn entries(&mut self, request: &Request) -> Result<Vec<Entry>, ControlError> {
        match self.ask(request).await? {
            Response::Entries(entries) => to_entries(entries),
            other => Err(ControlError::Unexpected(other.kind())),
        }
    }

    async fn ask(&mut self, request: &Request) -> Result<Response, ControlError> {
        self.stream.write(&request.encode()).await?;
        self.receive().await
    }

    async fn receive(&mut self) -> Result<Response, ControlError> {
        let frame = self.stream.read().await?;
        let frame = frame.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::UnexpectedEof))?;
        match Response::decode(&frame)? {
            Response::Fault(fault) => Err(ControlError::Refused(fault)),
            response => Ok(response),
        }
    }
}

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these")]
pub enum Change {
    /// A key has this value.
    Value(Box<Entry>),
    /// A key has no value any more.
    Unset(Key),
    /// All that was there has been told; what follows are changes.
    Live,
    /// Grants, revocations or roots changed.
    Authority,
    /// Too much has changed: all that is there follows again, up to the next [`Live`](Self::Live), and what does not follow is
    /// gone.
    Reset,
}

/// The changes below a path, as a replica tells them. A slow reader gets the latest of each key, and slows down nobody.
#[derive(Debug)]
pub struct WatchEvents<S> {
    client: Client<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WatchEvents<S> {
    /// The next change; none once the replica has ended.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped future may have taken a part of a change.
    pub async fn next(&mut self) -> Result<Option<Change>, ControlError> {
        let Some(frame) = self.client.stream.read().await? else { return Ok(None) };
        Ok(Some(match Response::decode(&frame)? {
            Response::Change { entry: Some(entry), .. } => Change::Value(Box::new(to_entry(&entry)?)),
            Response::Change { key, entry: None } => Change::Unset(key),
            Response::Live => Change::Live,
            Response::Authority => Change::Authority,
            Response::Reset => Change::Reset,
            Response::Fault(fault) => return Err(ControlError::Refused(fault)),
            other => return Err(ControlError::Unexpected(other.kind())),
        }))
    }
}

fn to_entries(entries: Vec<Bytes>) -> Result<Vec<Entry>, ControlError> {
    entries.iter().map(to_entry).collect()
}

fn to_entry(bytes: &Bytes) -> Result<Entry, ControlError> {
    match Item::decode(bytes)? {
        Item::Entry(entry) => Ok(entry),
        _ => Err(ControlError::Malformed("an item that is no entry".into())),
    }
}
