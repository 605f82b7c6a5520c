//! What a session asks the tree.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use syncline_core::SyncError;
use syncline_core::clock::Timestamp;
use syncline_core::machine::Perform;
use syncline_crypto::PublicKey;
use syncline_storage::blocking;

use super::super::wire::{Id, Scope};
use super::WatchServer;
use crate::authority::{Authority, Op};
use crate::item::{Entry, EntryId, GrantId, Item, Reads as ReadPolicy};
use crate::path::Key;
use crate::tree::Scope as TreeScope;
use crate::tree::{Changed, Changes, KvError, Listing, Tree};

/// Rotations and revocations that are sent before anything else gets its turn.
const ITEMS_AT_ONCE: usize = 1_024;

/// What a session's machine asks.
#[derive(Debug)]
pub(super) enum Request {
    /// Wait for something to change.
    Watch,
    /// Values, if the peer may read them.
    Read { id: Id, scope: Scope, what: What },
    /// Revocations that the peer should know and does not, now that it holds these grants as well.
    Revocations(Vec<GrantId>),
    /// What no change tells of: rights, quarantine, freshness.
    Check(Vec<(Id, Scope)>),
}

/// Which values.
#[derive(Debug)]
pub(super) enum What {
    /// That of the scope's one key.
    Key(Key),
    /// A page of what is below the scope's path.
    Page { after: Option<Key>, deletions: bool },
    /// Those of some keys.
    Keys(BTreeSet<Key>),
}

/// The answers.
#[derive(Debug)]
pub(super) enum Response {
    Changed(Changed),
    /// None: the peer may not read that.
    Read(Id, Option<Values>),
    /// Whether there are more of them.
    Revocations(Vec<Item>, bool),
    Checked {
        age: Option<u64>,
        scopes: Vec<(Id, Standing)>,
    },
    Failed(SyncError),
}

/// Values, and what they rest on.
#[derive(Debug)]
pub(super) struct Values {
    /// What the peer needs first.
    pub(super) items: Vec<Item>,
    pub(super) found: Found,
    /// There is more behind this key.
    pub(super) next: Option<Key>,
    /// Something waits in quarantine.
    pub(super) held: bool,
}

/// The entry that decides about each key; none if nothing does.
type Found = Vec<(Key, Option<Entry>)>;

/// How a subscription stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) allowed: bool,
    pub(super) held: bool,
}

/// The keys that have something in quarantine, as of some time, for all sessions of a server.
#[derive(Debug, Default)]
pub(super) struct QuarantinedKeys {
    at: Option<Timestamp>,
    /// In order.
    keys: Arc<[Key]>,
}

/// Answers a session's machine.
pub(super) struct Reads<'s> {
    server: &'s WatchServer,
    /// Watches from before anything is read, so that nothing falls in between.
    changes: Changes,
    session: Session,
}

/// What jobs that read need, wherever they run.
#[derive(Clone)]
struct Session {
    tree: Tree,
    remote: Option<PublicKey>,
    told: Arc<Mutex<Told>>,
    quarantined: Arc<Mutex<QuarantinedKeys>>,
    server: Arc<WatchServer>,
}

/// What the peer has been told.
#[derive(Debug, Default)]
struct Told {
    /// Ids of grants, revocations and rotations.
    items: BTreeSet<[u8; 32]>,
    /// Grants that the peer named, and those above them.
    known: BTreeSet<GrantId>,
}

impl<'s> Reads<'s> {
    pub(super) fn new(server: &'s Arc<WatchServer>) -> Self {
        let session = Session {
            tree: server.tree.clone(),
            remote: server.remote,
            told: Arc::default(),
            quarantined: Arc::clone(&server.quarantined),
            server: Arc::clone(server),
        };
        Self { server, changes: server.tree.watch(TreeScope::all()), session }
    }

    /// How long ago the last complete sync began, in milliseconds.
    pub(super) async fn age(&self) -> Result<Option<u64>, SyncError> {
        self.run(|session| session.age()).await
    }

    async fn run<T, F>(&self, job: F) -> Result<T, SyncError>
    where
        T: Send + 'static,
        F: FnOnce(&Session) -> Result<T, KvError> + Send + 'static,
    {
        let session = self.session.clone();
        let done = blocking::run(&*self.server.blocking, move || job(&session)).await;
        match done {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(err)) => Err(SyncError::Critical(format!("the tree failed: {err}"))),
            Err(lost) => Err(SyncError::Critical(lost.to_string())),
        }
    }
}

impl Perform<Request, Response> for Reads<'_> {
    fn perform(&self, request: Request) -> BoxFuture<'_, Response> {
        async move {
            let response = match request {
                Request::Watch => Ok(Response::Changed(self.changes.changed().await)),
                Request::Read { id, scope, what } => {
                    let values = self.run(move |session| session.read(&scope, what)).await;
                    values.map(|values| Response::Read(id, values))
                }
                Request::Revocations(known) => {
                    let told = self.run(move |session| Ok(session.revocations(known))).await;
                    told.map(|(items, more)| Response::Revocations(items, more))
                }
                Request::Check(scopes) => self.run(move |session| session.check(scopes)).await,
            };
            response.unwrap_or_else(Response::Failed)
        }
        .boxed()
    }
}

impl Session {
    fn now(&self) -> Timestamp {
        self.server.clock.now()
    }

    fn age(&self) -> Result<Option<u64>, KvError> {
        let last = self.tree.freshness()?.latest();
        Ok(last.map(|last| self.now().as_millis().saturating_sub(last.as_millis())))
    }

    fn may_read(&self, authority: &Authority, scope: &Scope) -> bool {
        let (who, now) = (self.remote.as_ref(), self.now());
        match scope {
            Scope::Below(subtree) => authority.may_read(who, subtree, now),
            Scope::Key(key) => {
                let may = |who| authority.authorize(who, key, Op::Read, now).is_ok();
                authority.namespace().reads() == ReadPolicy::Public || who.is_some_and(may)
            }
        }
    }

    fn read(&self, scope: &Scope, what: What) -> Result<Option<Values>, KvError> {
        if !self.may_read(&self.tree.authority(), scope) {
            return Ok(None);
        }
        let latest = |key: Key| Ok::<_, KvError>((key.clone(), self.tree.latest(&key)?));
        let (found, next) = match what {
            What::Key(key) => (vec![latest(key)?], None),
            What::Keys(keys) => (keys.into_iter().map(latest).collect::<Result<_, _>>()?, None),
            What::Page { after, deletions } => self.page(scope, after, deletions)?,
        };
        // Taken after the values, it has all that they rest on.
        let authority = self.tree.authority();
        if !self.may_read(&authority, scope) {
            return Ok(None);
        }
        let items = self.told().grants_of(&authority, found.iter().filter_map(|(_, entry)| entry.as_ref()));
        Ok(Some(Values { items, found, next, held: self.is_held(scope)? }))
    }

    /// A page of values, and where it goes on.
    fn page(&self, scope: &Scope, after: Option<Key>, deletions: bool) -> Result<(Found, Option<Key>), KvError> {
        let Scope::Below(subtree) = scope else { return Ok((Vec::new(), None)) };
        let mut listing = Listing::of(subtree.clone()).limit(self.server.limits.page_keys.max(1));
        listing.after = after;
        listing.tombstones = deletions;
        let page = self.tree.list(&listing)?;
        let found = page.entries.into_iter().map(|entry| (entry.key().clone(), Some(entry))).collect();
        Ok((found, page.next))
    }

    fn revocations(&self, known: Vec<GrantId>) -> (Vec<Item>, bool) {
        let authority = self.tree.authority();
        self.told().revocations(&authority, known)
    }

    fn check(&self, scopes: Vec<(Id, Scope)>) -> Result<Response, KvError> {
        let authority = self.tree.authority();
        let mut standings = Vec::with_capacity(scopes.len());
        for (id, scope) in scopes {
            let allowed = self.may_read(&authority, &scope);
            standings.push((id, Standing { allowed, held: allowed && self.is_held(&scope)? }));
        }
        Ok(Response::Checked { age: self.age()?, scopes: standings })
    }

    fn is_held(&self, scope: &Scope) -> Result<bool, KvError> {
        let now = self.now();
        let mut cached = self.quarantined.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.at.is_none_or(|at| now.since(at) >= self.server.limits.refresh || now < at) {
            *cached = QuarantinedKeys { at: Some(now), keys: self.tree.quarantined_keys()?.into_iter().collect() };
        }
        let keys = Arc::clone(&cached.keys);
        drop(cached);
        Ok(match scope {
            Scope::Key(key) => keys.binary_search(key).is_ok(),
            Scope::Below(subtree) => {
                let start = subtree.start();
                let first = keys.partition_point(|key| key.as_str().as_bytes() < start.as_slice());
                keys.get(first).is_some_and(|key| subtree.contains(key))
            }
        })
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Nothing in here panics half way.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    /// Rotations and grants that the peer needs for these entries and was not told of, each behind what it rests on.
    fn grants_of<'e>(&mut self, authority: &Authority, entries: impl Iterator<Item = &'e Entry>) -> Vec<Item> {
        let mut items = self.rotations(authority);
        for leaf in entries.flat_map(|entry| entry.leaves().as_slice()) {
            for link in authority.chain(leaf).into_iter().flat_map(|links| links.iter().rev()) {
                if self.items.insert(*link.id().as_bytes()) {
                    items.push(Item::Grant((**link).clone()));
                }
            }
        }
        items
    }

    fn rotations(&mut self, authority: &Authority) -> Vec<Item> {
        let new = authority.rotations().filter(|rotation| self.items.insert(*rotation.id().as_bytes()));
        new.cloned().map(Item::RootRotate).collect()
    }

    /// Some revocations of grants that the peer has, and whether there are more.
    fn revocations(&mut self, authority: &Authority, known: Vec<GrantId>) -> (Vec<Item>, bool) {
        for leaf in known {
            self.known.insert(leaf);
            let links = authority.chain(&leaf).into_iter().flat_map(|links| links.iter());
            self.known.extend(links.map(|link| link.id()));
        }
        let mut items = self.rotations(authority);
        for revocation in authority.revocations() {
            let target = revocation.grant();
            let is_theirs = self.known.contains(&target) || self.items.contains(target.as_bytes());
            if !is_theirs || self.items.contains(revocation.id().as_bytes()) {
                continue;
            }
            if items.len() >= ITEMS_AT_ONCE {
                return (items, true);
            }
            self.items.insert(*revocation.id().as_bytes());
            items.push(Item::Revocation(revocation.clone()));
        }
        (items, false)
    }
}

/// What was sent of a key last; none if the word was that there is nothing.
pub(super) type Sent = Option<EntryId>;
