//! Nodes that do what they are told, and what they are told with.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use syncline_core::clock::{Clock, Hlc, Timer};
use syncline_crypto::Signer;
use syncline_kv::item::{EntryDraft, GrantDraft, Leaves, Value};
use syncline_kv::{Entry, Grant, GrantId, Item, Key};
use syncline_testkit::cluster::{self, Context, Faults, NodeId, Options, Rate};
use syncline_testkit::seed::for_each_seed;

use super::node::{KvScenario, Peer};
use super::work;
use super::world::{Setting, World};

type Told = Box<dyn Fn(Stage) -> LocalBoxFuture<'static, ()>>;

/// What nodes are told to do. It begins with the first life of the first node.
pub(crate) struct Story {
    told: Told,
    is_over: Rc<RefCell<bool>>,
}

/// What a story has of the world.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) world: Rc<World>,
    pub(crate) context: Context,
}

/// Tells a story for some seeds: other lines, other numbers.
pub(crate) fn tell<F: Future<Output = ()> + 'static>(
    setting: &Setting,
    faults: &Faults,
    told: impl Fn(Stage) -> F + Copy + 'static,
) {
    for_each_seed(0..3, |seed| {
        let options = Options::new()
            .with_nodes(setting.roles.len())
            .with_step(Rate::NEVER)
            .with_session(Rate::NEVER)
            .with_safety(Duration::from_secs(3_600))
            .with_faults(faults.clone());
        let story = Story { told: Box::new(move |stage| told(stage).boxed_local()), is_over: Rc::default() };
        if let Err(failure) = cluster::run(&mut KvScenario::told(seed, setting.clone(), story), seed, &options) {
            panic!("{failure}");
        }
    });
}

impl Story {
    pub(crate) fn begin(&mut self, world: &Rc<World>, context: &Context) -> LocalBoxFuture<'static, ()> {
        let stage = Stage { world: Rc::clone(world), context: context.clone() };
        let telling = (self.told)(stage.clone());
        let is_over = Rc::clone(&self.is_over);
        async move {
            // The others start behind the first.
            stage.sleep(1).await;
            telling.await;
            *is_over.borrow_mut() = true;
        }
        .boxed_local()
    }

    pub(crate) fn is_over(&self) -> Result<(), String> {
        if *self.is_over.borrow() { Ok(()) } else { Err("the story is not over".into()) }
    }
}

impl Stage {
    pub(crate) async fn sleep(&self, seconds: u64) {
        let clock = self.context.clock();
        clock.sleep_until(clock.now() + Duration::from_secs(seconds)).await;
    }

    pub(crate) fn id(&self, node: usize) -> NodeId {
        self.context.all().nth(node).expect("the node is there")
    }

    pub(crate) fn peer(&self, node: usize) -> Rc<Peer> {
        self.world.peer(self.id(node)).expect("the node is up")
    }

    pub(crate) fn peers(&self) -> Vec<Rc<Peer>> {
        self.context.all().filter_map(|id| self.world.peer(id)).collect()
    }

    /// A session that both sides finish.
    pub(crate) async fn session(&self, from: usize, to: usize) {
        let (one, other) = (self.peer(from), self.peer(to));
        let before = (one.sessions.get(), other.sessions.get());
        one.context.journal().dial(self.id(to));
        while one.sessions.get() == before.0 || other.sessions.get() == before.1 {
            self.sleep(1).await;
        }
        assert_eq!((one.sessions.get().1, other.sessions.get().1), (before.0.1 + 1, before.1.1 + 1), "complete");
    }

    pub(crate) fn stamp(&self) -> Hlc {
        Hlc::new(self.context.clock().now(), 0)
    }

    /// A grant by the first root to who lives on a node.
    pub(crate) fn draft(&self, to: usize, pattern: &str) -> GrantDraft {
        let (issuer, audience) = (self.world.roots[0].public_key(), self.world.people[to].public_key());
        work::draft(self.world.namespace.id(), issuer, audience, pattern, self.stamp())
    }

    pub(crate) fn grant(&self, at: usize, draft: GrantDraft) -> GrantId {
        let (peer, world) = (self.peer(at), &self.world);
        let everybody = world.roots.iter().chain(&world.people);
        let issuer = everybody.clone().find(|person| person.public_key() == draft.issuer).expect("somebody").clone();
        let grant: Grant = peer.tree.grant(peer.wall.now(), &issuer, draft).expect("allowed");
        world.learn(grant.clone());
        grant.id()
    }

    pub(crate) fn put(&self, at: usize, who: usize, key: &str, value: &str) -> Result<Entry, String> {
        let peer = self.peer(at);
        let entry = peer.tree.put(peer.wall.now(), &self.world.people[who], &key_of(key), value.as_bytes());
        let entry = entry.map_err(|err| err.to_string())?;
        self.world.learn(entry.clone());
        Ok(entry)
    }

    pub(crate) fn put_by_root(&self, at: usize, key: &str, value: &str) -> Entry {
        let peer = self.peer(at);
        let entry = peer.tree.put(peer.wall.now(), &self.world.roots[0], &key_of(key), value.as_bytes());
        let entry = entry.expect("a root may");
        self.world.learn(entry.clone());
        entry
    }

    /// An entry that nobody has stored.
    pub(crate) fn entry(&self, who: usize, key: &str, stamp: Hlc, leaves: &[GrantId]) -> Item {
        let draft = EntryDraft {
            namespace: self.world.namespace.id(),
            key: key_of(key),
            value: Value::from(&b"by hand"[..]),
            stamp,
            author: self.world.people[who].public_key(),
            leaves: Leaves::new(leaves.iter().copied()).expect("few"),
            previous: None,
        };
        let entry = draft.sign(&*self.world.people[who]).expect("signs");
        self.world.learn(entry.clone());
        Item::Entry(entry)
    }

    pub(crate) fn get(&self, at: usize, key: &str) -> Option<Entry> {
        self.peer(at).tree.get(&key_of(key)).expect("memory")
    }

    /// Whether all nodes have this as a key's value.
    pub(crate) fn all_have(&self, entry: &Entry) -> bool {
        self.peers().iter().all(|peer| peer.tree.get(entry.key()).expect("memory").as_ref() == Some(entry))
    }

    /// Waits until it is so; panics if that takes longer.
    pub(crate) async fn until(&self, seconds: u64, what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..seconds {
            if is_so() {
                return;
            }
            self.sleep(1).await;
        }
        assert!(is_so(), "after {seconds} s: {what}");
    }

    pub(crate) fn agree(&self) -> bool {
        let peers = self.peers();
        super::check::agree(&self.world, &peers.iter().collect::<Vec<_>>()).is_ok()
    }
}

pub(crate) fn key_of(path: &str) -> Key {
    Key::new(path).expect("a story's key")
}
