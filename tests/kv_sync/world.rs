//! Trees of one namespace, and sessions between them.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Sink;
use futures::future::BoxFuture;
use syncline_core::clock::{Clock as _, Hlc, ManualClock, Timer as _, Timestamp};
use syncline_core::{FromSync, SyncError, SyncProtocol as _};
use syncline_crypto::{PublicKey, Signer};
use syncline_kv::item::{GrantDraft, Ops, Quota};
use syncline_kv::sync::{Event, KvQuery, KvSync};
use syncline_kv::tree::{Listing, TreeLimits};
use syncline_kv::{Entry, GrantId, Item, Key, Namespace, Pattern, Subtree, Tree, Verdict};
use syncline_storage::MemoryDb;
use syncline_testkit::cheap::{CheapSigner, CheapVerifier};
use syncline_testkit::net::{Conditions, End, Link, Sim, Step};

pub(crate) fn key(path: &str) -> Key {
    Key::new(path).expect("a test's key")
}

pub(crate) fn below(path: &str) -> Subtree {
    path.parse().expect("a test's path")
}

pub(crate) fn signer(seed: u8) -> CheapSigner {
    CheapSigner::from_seed(seed.into())
}

pub(crate) fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_millis(1_000_000))
}

/// The root of all namespaces in these tests.
pub(crate) fn root() -> CheapSigner {
    signer(1)
}

pub(crate) fn namespace() -> Namespace {
    Namespace::new("test", [root().public_key()]).expect("a test's namespace")
}

/// A grant by the root, to be changed.
pub(crate) fn draft(audience: PublicKey, pattern: &str, ops: Ops) -> GrantDraft {
    GrantDraft {
        namespace: namespace().id(),
        parent: None,
        issuer: root().public_key(),
        audience,
        pattern: Pattern::new(pattern).expect("a test's pattern"),
        ops,
        depth: 3,
        not_before: None,
        not_after: None,
        quota: Quota::NONE,
        stamp: Hlc::new(Timestamp::from_millis(1_000_000), 0),
    }
}

/// A tree in memory that takes the signatures of these tests.
pub(crate) fn open(namespace: &Namespace, limits: TreeLimits) -> Tree {
    let builder = Tree::builder().limits(limits).verifier(Arc::new(CheapVerifier));
    builder.open(Arc::new(MemoryDb::new()), namespace).expect("memory opens")
}

/// A replica, and what it was told. Clones are the same.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) tree: Tree,
    pub(crate) clock: ManualClock,
    pub(crate) sync: KvSync,
    pub(crate) events: Arc<Mutex<Vec<String>>>,
}

impl Node {
    pub(crate) fn new(clock: &ManualClock, seed: u8) -> Self {
        Self::of(clock, seed, &namespace())
    }

    pub(crate) fn of(clock: &ManualClock, seed: u8, namespace: &Namespace) -> Self {
        Self::with_tree(clock, seed, open(namespace, TreeLimits::default()))
    }

    /// The seed tells its nonces from others'. Its peers are roots, unless the test says otherwise.
    pub(crate) fn with_tree(clock: &ManualClock, seed: u8, tree: Tree) -> Self {
        let events: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&events);
        let sync = KvSync::new(tree.clone(), Arc::new(clock.clone()), [seed; 32])
            .with_timer(Arc::new(clock.clone()))
            .with_remote(root().public_key())
            .with_observer(move |event| {
                let text = match event {
                    Event::Verdict { verdict, .. } => name_of(&verdict),
                    Event::Outside { .. } => "Outside".to_owned(),
                    Event::RefusedBefore { .. } => "RefusedBefore".to_owned(),
                    _ => "Undecodable".to_owned(),
                };
                told.lock().unwrap().push(text);
            });
        Self { tree, clock: clock.clone(), sync, events }
    }

    pub(crate) fn put(&self, signer: &impl Signer, path: &str, value: &str) -> Entry {
        self.tree.put(self.clock.now(), signer, &key(path), value.as_bytes()).expect("allowed")
    }

    pub(crate) fn put_some(&self, signer: &impl Signer, beginning: &str, count: usize) {
        for number in 0..count {
            self.put(signer, &format!("{beginning}/{number}"), "value");
        }
    }

    pub(crate) fn grant(&self, draft: GrantDraft) -> GrantId {
        self.tree.grant(self.clock.now(), &root(), draft).expect("a root may").id()
    }

    pub(crate) fn get(&self, path: &str) -> Option<Entry> {
        self.tree.get(&key(path)).expect("memory")
    }

    /// Keys and the ids of their values.
    pub(crate) fn values(&self) -> Vec<(String, [u8; 32])> {
        let listing = Listing::of(Subtree::all()).limit(usize::MAX).with_tombstones();
        let page = self.tree.list(&listing).expect("memory");
        page.entries.iter().map(|entry| (entry.key().to_string(), *entry.id().as_bytes())).collect()
    }

    /// What was said of items that came, since this was last asked.
    pub(crate) fn events(&self) -> Vec<String> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }

    pub(crate) fn count_events(&self, name: &str) -> usize {
        self.events().iter().filter(|event| *event == name).count()
    }
}

fn name_of(verdict: &Verdict) -> String {
    let name = format!("{verdict:?}");
    name.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

/// An application that takes a while for each item, and keeps all. Clones are the same.
#[derive(Clone)]
pub(crate) struct App {
    clock: ManualClock,
    delay: Duration,
    nap: Arc<Mutex<Option<BoxFuture<'static, ()>>>>,
    pub(crate) items: Arc<Mutex<Vec<FromSync<KvQuery>>>>,
}

impl App {
    pub(crate) fn new(clock: &ManualClock) -> Self {
        Self { clock: clock.clone(), delay: Duration::ZERO, nap: Arc::default(), items: Arc::default() }
    }

    pub(crate) fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// What came, decoded.
    pub(crate) fn decoded(&self) -> Vec<Item> {
        let items = self.items.lock().unwrap();
        let items = items.iter().filter_map(|item| match item {
            FromSync::Data { header, .. } => Some(Item::decode(&header.clone().into()).expect("verified")),
            FromSync::HandshakeSuccess(_) => None,
        });
        items.collect()
    }
}

impl Sink<FromSync<KvQuery>> for App {
    type Error = SyncError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        let mut nap = self.nap.lock().unwrap();
        if let Some(napping) = nap.as_mut() {
            std::task::ready!(napping.as_mut().poll(cx));
            *nap = None;
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, item: FromSync<KvQuery>) -> Result<(), SyncError> {
        self.items.lock().unwrap().push(item);
        if !self.delay.is_zero() {
            *self.nap.lock().unwrap() = Some(self.clock.sleep_until(self.clock.now() + self.delay));
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        self.poll_ready(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        self.poll_ready(cx)
    }
}

/// How a session went.
pub(crate) struct Outcome {
    pub(crate) initiator: Result<(), SyncError>,
    pub(crate) acceptor: Result<(), SyncError>,
    pub(crate) apps: (App, App),
    /// Bytes that each side sent.
    pub(crate) sent: (u64, u64),
}

impl Outcome {
    #[track_caller]
    pub(crate) fn assert_ok(&self) {
        assert_eq!((&self.initiator, &self.acceptor), (&Ok(()), &Ok(())));
    }
}

pub(crate) async fn initiate(sync: KvSync, query: KvQuery, mut end: End, mut app: App) -> Result<(), SyncError> {
    let sync = Arc::new(sync);
    sync.initiate(query, Box::new(&mut end.tx as _), Box::new(&mut end.rx as _), Box::new(&mut app as _)).await
}

pub(crate) async fn accept(sync: KvSync, mut end: End, mut app: App) -> Result<(), SyncError> {
    let sync = Arc::new(sync);
    sync.accept(Box::new(&mut end.tx as _), Box::new(&mut end.rx as _), Box::new(&mut app as _)).await
}

/// One session about the whole tree, with applications that are quick.
pub(crate) fn session(initiator: &Node, acceptor: &Node) -> Outcome {
    let conditions = (Conditions::new(), Conditions::new());
    session_with(&initiator.clock, conditions, KvQuery::all(initiator.tree.id()), &initiator.sync, &acceptor.sync)
}

/// One session about the keys below a path.
pub(crate) fn session_below(path: &str, initiator: &Node, acceptor: &Node) -> Outcome {
    let conditions = (Conditions::new(), Conditions::new());
    let query = KvQuery::below(initiator.tree.id(), below(path));
    session_with(&initiator.clock, conditions, query, &initiator.sync, &acceptor.sync)
}

pub(crate) fn session_with(
    clock: &ManualClock,
    conditions: (Conditions, Conditions),
    query: KvQuery,
    initiator: &KvSync,
    acceptor: &KvSync,
) -> Outcome {
    let apps = (App::new(clock), App::new(clock));
    session_between(clock, conditions, query, (initiator.clone(), acceptor.clone()), apps)
}

pub(crate) fn session_between(
    clock: &ManualClock,
    conditions: (Conditions, Conditions),
    query: KvQuery,
    (initiator, acceptor): (KvSync, KvSync),
    apps: (App, App),
) -> Outcome {
    let Link { a, b, a_to_b, b_to_a } = Link::new(clock, conditions.0, conditions.1);
    let mut sim = Sim::new(clock);
    let one = sim.spawn("initiator", initiate(initiator, query, a, apps.0.clone()));
    let two = sim.spawn("acceptor", accept(acceptor, b, apps.1.clone()));
    sim.run().expect("both sides end");
    let (one, two) = (one.take().expect("ended"), two.take().expect("ended"));
    drop(sim);
    Outcome { initiator: one, acceptor: two, apps, sent: (a_to_b.written(), b_to_a.written()) }
}

/// Lets everything go on for so long.
pub(crate) fn run_for(sim: &mut Sim<'_>, time: Duration) {
    let until = sim.clock().now() + time;
    while sim.clock().now() < until {
        if sim.step_until(until).expect("nothing panics") == Step::Idle {
            break;
        }
    }
}

#[track_caller]
pub(crate) fn assert_same(one: &Node, other: &Node) {
    assert_eq!(one.values(), other.values());
    assert_eq!(one.tree.root().expect("memory").hash, other.tree.root().expect("memory").hash);
}
