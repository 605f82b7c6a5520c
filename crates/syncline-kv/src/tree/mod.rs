//! The tree: entries, grants and revocations on a [`Database`], and the rule by which they become values.
//!
//! # How values come about
//!
//! For each key, and each set of grants by which somebody writes it (a *slot*), the greatest entry by (stamp, author, id) is
//! kept. The value of the key is the greatest entry among its slots that is live: at least one of the grants that it names
//! is not revoked, and neither is one above it. So the state is a function of what is known, not of the order in which it
//! came: taking the greatest and taking unions are commutative, associative and idempotent. An entry that another grant's
//! has overtaken is kept for that reason, and comes back if the other grant is revoked, unless who revoked it deleted the
//! key as well, which is what [`OnRevoke::Unset`](crate::item::OnRevoke) does.
//!
//! There are two exceptions to "only what is known counts". What exceeds a quota is not kept: the entries with the greatest
//! keys by hash go. And of one key only so many entries are kept, the greatest. Both choose the same on all replicas that were
//! offered the same, if need be again: what was refused while there was no room is taken when it is offered later.

mod apply;
mod blob;
mod bundle;
mod check;
mod collect;
mod error;
mod feed;
mod finish;
mod limits;
mod lookup;
mod open;
mod quarantine;
mod quota;
mod read;
mod revoke;
mod root;
mod rows;
mod sweep;
mod verdict;
mod waiting;
mod watch;
mod work;
mod write;
mod writer;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use syncline_crypto::Verifier;
use syncline_reconcile::StoredSet;
use syncline_storage::Database;

use crate::authority::Authority;
use crate::item::{Namespace, NamespaceId};

pub use blob::{BlobError, FetchBlob};
pub use bundle::{BundleError, Export, Import, ImportReport};
pub use collect::{Collection, Freshness, Stale};
pub use error::{Corruption, KvError};
pub use feed::{Fed, Feed, Stored};
pub use limits::TreeLimits;
pub use open::TreeBuilder;
pub use read::{Listing, Page};
pub use revoke::{Affected, DryRun, Revoked};
pub use root::{Root, SetName, TreeView};
pub use verdict::Verdict;
pub use watch::{Changed, Changes, Scope};
pub use write::{GrantRequest, PutOptions};

use feed::Feeds;
use watch::Watchers;
use writer::Writer;

/// A signed key/value tree on a database. Clones share it.
///
/// The calls block, those that change something until the disk has answered; async callers go through
/// [`Blocking`](syncline_storage::Blocking). Reads do not wait for writes. Time comes in as `now`; a tree has no clock.
///
/// One tree at a time may be open for a namespace of a database. Opening another one shuts the first out: its writes fail with
/// a broken precondition from then on, and its reads may be of old grants.
///
/// ```
/// use std::sync::Arc;
/// use syncline_core::clock::Timestamp;
/// use syncline_crypto::SigningKey;
/// use syncline_kv::{Key, Namespace, Tree};
/// use syncline_storage::MemoryDb;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let root = SigningKey::from_bytes(&[7; 32]);
/// let namespace = Namespace::new("config", [root.public_key()])?;
/// let tree = Tree::open(Arc::new(MemoryDb::new()), &namespace)?;
///
/// let key = Key::new("/my/key/state")?;
/// let now = Timestamp::from_millis(1_000);
/// tree.put(now, &root, &key, &b"on"[..])?;
/// let entry = tree.get(&key)?.ok_or("it was just put there")?;
/// assert_eq!(entry.author(), &root.public_key());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Tree {
    inner: Arc<Inner>,
}

struct Inner {
    db: Arc<dyn Database>,
    /// The namespace's number in this database.
    number: u32,
    /// Which opening of the namespace this is: another one shuts it out.
    opening: u64,
    limits: TreeLimits,
    verifier: Arc<dyn Verifier>,
    system: StoredSet,
    entries: StoredSet,
    writer: Mutex<Writer>,
    /// As of the last commit.
    authority: RwLock<Arc<Authority>>,
    watchers: Arc<Mutex<Watchers>>,
    feeds: Arc<Mutex<Feeds>>,
}

impl Tree {
    /// Opens a namespace of a database with the default limits, and creates it if it is not there.
    ///
    /// # Errors
    ///
    /// As [`TreeBuilder::open`].
    pub fn open(db: Arc<dyn Database>, namespace: &Namespace) -> Result<Self, KvError> {
        TreeBuilder::new().open(db, namespace)
    }

    /// Limits and verifier of one's own.
    #[must_use]
    pub fn builder() -> TreeBuilder {
        TreeBuilder::new()
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> Namespace {
        self.inner.authority().namespace().clone()
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> NamespaceId {
        self.inner.authority().namespace().id()
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &TreeLimits {
        &self.inner.limits
    }

    /// Grants, revocations and roots as they are now; a value of its own that later changes do not touch. Questions about who
    /// may do what go to it.
    #[must_use]
    pub fn authority(&self) -> Arc<Authority> {
        self.inner.authority()
    }
}

impl Inner {
    fn authority(&self) -> Arc<Authority> {
        Arc::clone(&self.authority.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn publish(&self, authority: Arc<Authority>) {
        *self.authority.write().unwrap_or_else(PoisonError::into_inner) = authority;
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("namespace", &self.inner.authority().namespace()).finish_non_exhaustive()
    }
}
