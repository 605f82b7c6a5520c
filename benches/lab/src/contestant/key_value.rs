//! The key-value store, in memory.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::channel::oneshot;
use futures::{SinkExt as _, sink};
use syncline_core::clock::{Clock, ManualClock, Timestamp};
use syncline_core::{FromSync, SyncError, SyncProtocol as _};
use syncline_kv::sync::{Event, KvQuery, KvSync};
use syncline_kv::tree::Listing;
use syncline_kv::{Grant, Item, Key, Subtree, Tree, Verdict};
use syncline_storage::MemoryDb;

use super::{Contestant, Failure, Node, Received, Role, Setup, Side, Stream, Tally};
use crate::dataset::{Kind, Operation, kv};

/// Wall time of all nodes: later than all that is written.
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Items that are given to a tree at once before it is measured.
const BATCH: usize = 512;

/// Our key-value store, synced by `syncline-kv/1`. It verifies and stores by itself, whatever the nodes are to do with what
/// they receive.
#[derive(Clone, Debug)]
pub struct KeyValue {
    name: &'static str,
    prefix: Subtree,
}

impl KeyValue {
    /// Syncs the whole tree: `kv`.
    #[must_use]
    pub fn whole() -> Self {
        Self { name: "kv", prefix: Subtree::all() }
    }

    /// Syncs the keys below a path, which here are the same, as who wants a part of a tree does: `kv-prefix`.
    #[must_use]
    pub fn below_a_prefix() -> Self {
        Self { name: "kv-prefix", prefix: Subtree::below(&Key::new("/svc").expect("a path")) }
    }
}

impl Contestant for KeyValue {
    fn name(&self) -> &str {
        self.name
    }

    fn kind(&self) -> Kind {
        Kind::Kv
    }

    fn node(&self, setup: &Setup<'_>) -> Arc<dyn Node> {
        let namespace = kv::namespace();
        let tree = Tree::open(Arc::new(MemoryDb::new()), &namespace).expect("memory does not fail");
        let held: Vec<&Operation> = setup.holds.kept(setup.dataset).collect();
        for operations in held.chunks(BATCH) {
            let items = operations.iter().map(|operation| decode(operation)).collect();
            let verdicts = tree.apply(NOW, items).expect("memory does not fail");
            assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Applied), "the dataset's items are valid");
        }
        let query = KvQuery::below(namespace.id(), self.prefix.clone());
        Arc::new(KeyValueNode { tree, query, role: setup.role })
    }
}

fn decode(operation: &Operation) -> Item {
    Item::decode(&Bytes::copy_from_slice(&operation.header)).expect("an item from the dataset")
}

struct KeyValueNode {
    tree: Tree,
    query: KvQuery,
    role: Role,
}

impl KeyValueNode {
    /// The protocol of one session, which tells `received` of all that comes, taken or not.
    fn protocol(&self, received: &Arc<Mutex<Received>>) -> Arc<KvSync> {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
        // The same on each run, so that each run sends the same bytes.
        let seed = [if self.role == Role::Initiate { 1 } else { 2 }; 32];
        let received = Arc::clone(received);
        let root = self.tree.namespace().roots().first().copied();
        let sync = KvSync::new(self.tree.clone(), clock, seed).with_remote(root);
        Arc::new(sync.with_observer(move |event| {
            if let Event::Verdict { item, .. } | Event::Outside { item } | Event::RefusedBefore { item } = event {
                let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
                received.take(&item.encoded(), Some(&[]));
            }
        }))
    }
}

impl Node for KeyValueNode {
    fn start(self: Arc<Self>, mut stream: Stream, received: Received) -> Side {
        let received = Arc::new(Mutex::new(received));
        let protocol = self.protocol(&received);
        let (done, finished) = oneshot::channel::<()>();
        let session = async move {
            let mut app = sink::drain::<FromSync<KvQuery>>().sink_map_err(|never| -> SyncError { match never {} });
            let (tx, rx) = (Box::new(&mut *stream.writer as _), Box::new(&mut *stream.reader as _));
            match self.role {
                Role::Initiate => protocol.initiate(self.query.clone(), tx, rx, Box::new(&mut app as _)).await,
                Role::Accept => protocol.accept(tx, rx, Box::new(&mut app as _)).await,
            }
            .map_err(Failure::from)?;
            done.send(()).map_err(|()| "the application is gone".into())
        };
        let application = async move {
            // A session that fails says so itself.
            let _ = finished.await;
            std::mem::take(&mut *received.lock().unwrap_or_else(PoisonError::into_inner))
        };
        Side { session: Box::pin(session), application: Box::pin(application) }
    }

    fn stored(&self) -> Tally {
        let mut tally = Tally::default();
        for grant in self.tree.authority().grants() {
            tally.add(&Item::Grant(Grant::clone(grant)).encoded(), None);
        }
        let mut listing = Listing::of(Subtree::all()).limit(1_000).with_tombstones();
        loop {
            let page = self.tree.list(&listing).expect("memory does not fail");
            page.entries.into_iter().for_each(|entry| tally.add(&Item::Entry(entry).encoded(), None));
            match page.next {
                Some(next) => listing = listing.after(next),
                None => break,
            }
        }
        // Also what is neither a grant nor the value of a key.
        let root = self.tree.root().expect("memory does not fail");
        Tally { operations: root.system + root.entries, ..tally }
    }
}
