//! A replica, however it is reached: its database, or the agent that has it open.

mod direct;
mod handing_in;
mod remote;
mod watching;

use std::io::{Read, Write};
use std::sync::Arc;

use async_trait::async_trait;
use syncline_core::clock::Hlc;
use syncline_crypto::SigningKey;
use syncline_kv::authority::Authority;
use syncline_kv::item::{OnRevoke, RevocationId};
use syncline_kv::tree::{Listing, PutOptions};
use syncline_kv::{Entry, Grant, GrantId, Key, Subtree, Value};

use crate::failure::{Code, Failure, Result};
use crate::home::Home;
use crate::out::record::{ExportRecord, ImportRecord, StatusRecord};

pub use direct::open_tree;
pub use remote::Remote;

use direct::Direct;

/// What commands need of a replica. Whoever is behind it never sees a secret key that is not its own: items are signed on this
/// side.
#[async_trait]
pub trait Access: Send + Sync {
    /// All that is granted and revoked now.
    async fn authority(&self) -> Result<Arc<Authority>>;

    /// The entry that decides about a key, which may be its deletion.
    async fn latest(&self, key: &Key) -> Result<Option<Entry>>;

    /// A page of a listing, and the key to go on behind.
    async fn list(&self, listing: Listing) -> Result<(Vec<Entry>, Option<Key>)>;

    /// A stamp that is greater than all that the replica has seen.
    async fn stamp(&self) -> Result<Hlc>;

    /// Signs and stores an entry.
    async fn put(&self, signer: &SigningKey, key: &Key, value: Value, options: &PutOptions) -> Result<Entry>;

    /// Stores a signed grant.
    async fn issue(&self, grant: Grant) -> Result<()>;

    /// What a revocation would do.
    async fn dry_run(&self, grant: GrantId) -> Result<Preview>;

    /// Signs and stores a revocation, and the deletions that go with it.
    async fn revoke(&self, signer: &SigningKey, grant: GrantId) -> Result<Ended>;

    async fn export(&self, to: &mut (dyn Write + Send)) -> Result<ExportRecord>;

    async fn import(&self, from: Box<dyn Read + Send>) -> Result<ImportRecord>;

    async fn status(&self) -> Result<StatusRecord>;

    /// What is there, and then what changes.
    async fn watch(&self, subtree: &Subtree) -> Result<Box<dyn Watch>>;
}

/// What a revocation would do.
#[derive(Debug)]
pub struct Preview {
    pub grants: Vec<GrantId>,
    /// Keys that would lose their value, or get the older one that is still valid.
    pub keys: Vec<(Key, Becomes)>,
    pub is_truncated: bool,
}

impl Preview {
    /// Of each key it is told whether an older value is still valid.
    fn new(
        grants: Vec<GrantId>,
        keys: impl Iterator<Item = (Key, bool)>,
        is_truncated: bool,
        on_revoke: OnRevoke,
    ) -> Self {
        let falls_back = on_revoke == OnRevoke::Fallback;
        let becomes = |has_older| if has_older && falls_back { Becomes::Older } else { Becomes::Unset };
        let mut keys: Vec<(Key, Becomes)> = keys.map(|(key, has_older)| (key, becomes(has_older))).collect();
        keys.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self { grants, keys, is_truncated }
    }
}

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Becomes {
    Unset,
    Older,
}

/// What a revocation did.
#[derive(Debug)]
pub struct Ended {
    pub revocation: RevocationId,
    pub unset: Vec<Key>,
    pub not_unset: Vec<Key>,
}

/// Follows keys.
#[async_trait]
pub trait Watch: Send {
    /// Waits for what comes next; none at the end, if the replica goes away.
    async fn next(&mut self) -> Result<Option<Seen>>;
}

/// What a watch sees.
#[derive(Debug)]
pub enum Seen {
    /// A key has this value.
    Set(Box<Entry>),
    /// A key has none any more.
    Removed(Key),
    /// All that was there has been told; what follows is news.
    Live,
}

/// Reaches the replica of a directory: by its agent if one runs.
pub async fn open(home: &Home) -> Result<Box<dyn Access>> {
    let namespace = home.namespace()?;
    if let Some(remote) = Remote::connect(home, &namespace).await? {
        return Ok(Box::new(remote));
    }
    Ok(Box::new(Direct::open(home, &namespace)?))
}

/// The failure of what only an agent can do.
fn needs_agent(what: &str) -> Failure {
    Failure::new(Code::Failure, format!("{what} needs an agent, and none runs in this directory"))
        .hint("start one by `syncline kv agent`")
}
