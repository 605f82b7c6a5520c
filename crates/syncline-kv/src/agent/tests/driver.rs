//! `run`, over channels and a clock that is moved by hand.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::channel::{mpsc, oneshot};
use futures::executor::LocalPool;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::StreamExt;
use futures::task::LocalSpawnExt;
use syncline_core::clock::{Clock, ManualClock};

use super::world::{ENTRY, GRANT, item, root_of};
use super::*;

type Tx<T> = mpsc::UnboundedSender<T>;
type Rx<T> = mpsc::UnboundedReceiver<T>;

/// The items of a node, and what is to happen when they are touched.
struct Store {
    items: Mutex<BTreeSet<Bytes>>,
    news_tx: Tx<News<u32>>,
    news: futures::lock::Mutex<Rx<News<u32>>>,
    /// Applying waits for it, if there is one.
    gate: Mutex<Option<oneshot::Receiver<()>>>,
    /// What sessions do instead of bringing things together.
    stuck: Mutex<Option<Arc<()>>>,
    sessions: Mutex<Vec<u32>>,
}

impl Store {
    fn new() -> Arc<Self> {
        let (news_tx, news) = mpsc::unbounded();
        Arc::new(Self {
            items: Mutex::default(),
            news_tx,
            news: futures::lock::Mutex::new(news),
            gate: Mutex::default(),
            stuck: Mutex::default(),
            sessions: Mutex::default(),
        })
    }

    fn items(&self) -> MutexGuard<'_, BTreeSet<Bytes>> {
        self.items.lock().unwrap()
    }

    fn put(&self, item: &Bytes) {
        self.items().insert(item.clone());
        let pushes = vec![Push::new(PushKind::Entry, item.clone())];
        self.news_tx.unbounded_send(News::Changed { source: Source::Local, pushes }).unwrap();
    }

    fn sessions(&self) -> Vec<u32> {
        self.sessions.lock().unwrap().clone()
    }
}

impl Gossiped<u32, Arc<Store>> for Store {
    fn root(&self) -> Root {
        root_of(&self.items())
    }

    fn apply(&self, _from: Option<u32>, items: Vec<Bytes>) -> BoxFuture<'_, Vec<Push>> {
        let gate = self.gate.lock().unwrap().take();
        async move {
            if let Some(gate) = gate {
                gate.await.unwrap();
            }
            let mut known = self.items();
            let new = items.into_iter().filter(|item| known.insert(item.clone()));
            new.map(|item| Push::new(PushKind::Entry, item)).collect()
        }
        .boxed()
    }

    fn news(&self) -> BoxFuture<'_, Option<News<u32>>> {
        async move { self.news.lock().await.next().await }.boxed()
    }

    fn sync(&self, peer: u32, other: Arc<Store>) -> BoxFuture<'_, Outcome> {
        async move {
            self.sessions.lock().unwrap().push(peer);
            let stuck = self.stuck.lock().unwrap().clone();
            if let Some(_held) = stuck {
                return futures::future::pending().await;
            }
            let both: BTreeSet<_> = self.items().union(&other.items()).cloned().collect();
            let moved = 2 * both.len() - self.items().len() - other.items().len();
            self.items().clone_from(&both);
            other.items().clone_from(&both);
            // The other one accepts sessions from nobody in particular.
            other.news_tx.unbounded_send(News::Changed { source: Source::Local, pushes: Vec::new() }).unwrap();
            Outcome::Completed { moved: u64::try_from(moved).unwrap() }
        }
        .boxed()
    }
}

struct Wire {
    me: u32,
    all: Vec<Tx<Heard<u32>>>,
    heard: Rx<Heard<u32>>,
    max_len: usize,
}

impl Broadcast<u32> for Wire {
    fn max_len(&self) -> usize {
        self.max_len
    }

    fn publish(&mut self, bytes: Bytes) {
        for to in (0..).take(self.all.len()) {
            self.send(&to, bytes.clone());
        }
    }

    fn send(&mut self, to: &u32, bytes: Bytes) {
        assert!(bytes.len() <= self.max_len);
        let heard = Heard::Message { from: Some(self.me), bytes };
        let _ = self.all[usize::try_from(*to).unwrap()].unbounded_send(heard);
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Heard<u32>>> {
        self.heard.poll_next_unpin(cx)
    }
}

struct Members(Rx<MemberEvent<u32>>);

impl Membership<u32> for Members {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<MemberEvent<u32>>> {
        self.0.poll_next_unpin(cx)
    }
}

struct Dialler(Vec<Arc<Store>>);

impl Connector<u32> for Dialler {
    type Stream = Arc<Store>;

    fn open(&self, peer: u32) -> BoxFuture<'_, Result<Arc<Store>, OpenError>> {
        let store = self.0.get(usize::try_from(peer).unwrap()).cloned();
        async move { store.ok_or(OpenError::Unreachable) }.boxed()
    }
}

/// Nodes that run in one thread.
struct Cluster {
    pool: LocalPool,
    clock: ManualClock,
    stores: Vec<Arc<Store>>,
    wires: Vec<Tx<Heard<u32>>>,
    members: Vec<Tx<MemberEvent<u32>>>,
    running: Vec<futures::future::RemoteHandle<AgentStats>>,
}

impl Cluster {
    fn new(count: u32, config: &AgentConfig, max_len: usize) -> Self {
        let clock = ManualClock::new(at(1));
        let stores: Vec<_> = (0..count).map(|_| Store::new()).collect();
        let (wires, heard): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::unbounded()).unzip();
        let mut cluster =
            Self { pool: LocalPool::new(), clock, stores, wires, members: Vec::new(), running: Vec::new() };
        for (me, heard) in (0..count).zip(heard) {
            cluster.start(me, heard, config.clone(), max_len);
        }
        cluster
    }

    fn start(&mut self, me: u32, heard: Rx<Heard<u32>>, config: AgentConfig, max_len: usize) {
        let (members_tx, members) = mpsc::unbounded();
        for peer in (0..).take(self.stores.len()) {
            members_tx.unbounded_send(MemberEvent::Up { peer, rtt: None }).unwrap();
        }
        self.members.push(members_tx);
        let store = Arc::clone(&self.stores[usize::try_from(me).unwrap()]);
        let (dialler, clock) = (Dialler(self.stores.clone()), self.clock.clone());
        let mut wire = Wire { me, all: self.wires.clone(), heard, max_len };
        let node = async move {
            let mut agent = Agent::new(me, namespace(), u64::from(me), config);
            run(&mut agent, &mut Members(members), &mut wire, &dialler, &*store, &clock).await;
            agent.stats()
        };
        self.running.push(self.pool.spawner().spawn_local_with_handle(node).unwrap());
    }

    fn pass(&mut self, time: Duration) {
        let end = self.clock.now() + time;
        loop {
            self.pool.run_until_stalled();
            match self.clock.next_wake().filter(|next| *next <= end) {
                Some(next) => self.clock.advance_to(next),
                None => break,
            }
        }
        self.clock.advance_to(end);
        self.pool.run_until_stalled();
    }

    fn agree(&self) -> bool {
        self.stores.windows(2).all(|pair| *pair[0].items() == *pair[1].items())
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_one_puts_all_get_at_once() {
    let mut cluster = Cluster::new(12, &AgentConfig::default(), 1_200);
    cluster.pass(SECOND);
    cluster.stores[3].put(&item(ENTRY, 1, 200));
    cluster.pass(Duration::from_millis(1));
    assert!(cluster.agree() && cluster.stores[0].items().len() == 1);
    assert!(cluster.stores.iter().all(|store| store.sessions().is_empty()));
}

#[test]
fn nodes_that_differ_at_the_start_become_equal_by_sessions() {
    let mut cluster = Cluster::new(6, &AgentConfig::default(), 1_200);
    for (n, store) in (0..).zip(&cluster.stores) {
        store.put(&item(ENTRY, n, 5_000));
    }
    cluster.pass(SECOND * 60);
    assert!(cluster.agree() && cluster.stores[0].items().len() == 6);
    assert!(cluster.stores.iter().any(|store| !store.sessions().is_empty()));
}

#[test]
fn messages_wait_while_pushes_are_applied() {
    let mut cluster = Cluster::new(2, &AgentConfig::default().with_sessions_max(0), 1_200);
    cluster.pass(SECOND);
    let (open, gate) = oneshot::channel();
    *cluster.stores[1].gate.lock().unwrap() = Some(gate);
    for n in 0..5 {
        cluster.stores[0].put(&item(ENTRY, n, 200));
        cluster.pass(SECOND);
    }
    assert_eq!(cluster.stores[1].items().len(), 0);
    open.send(()).unwrap();
    cluster.pass(SECOND);
    assert_eq!(cluster.stores[1].items().len(), 5);
}

#[test]
fn a_session_that_takes_too_long_is_dropped() {
    let config = AgentConfig::default().with_session_max(SECOND * 5).with_entropy_intervals(0);
    let mut cluster = Cluster::new(2, &config, 1_200);
    let (held, stuck) = (Arc::new(()), Arc::clone(&cluster.stores[0]));
    *stuck.stuck.lock().unwrap() = Some(Arc::clone(&held));
    *cluster.stores[1].stuck.lock().unwrap() = Some(Arc::clone(&held));
    cluster.stores[0].put(&item(ENTRY, 1, 5_000));
    cluster.pass(SECOND * 2);
    let during = Arc::strong_count(&held);
    assert!(during > 3, "{during}: a session goes on");
    cluster.pass(SECOND * 60);
    assert!(stuck.sessions().len() + cluster.stores[1].sessions().len() > 2, "it was tried again");
    assert!(Arc::strong_count(&held) <= 5);
    *stuck.stuck.lock().unwrap() = None;
    *cluster.stores[1].stuck.lock().unwrap() = None;
    cluster.pass(SECOND * 400);
    assert!(cluster.agree());
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn it_ends_with_the_node_the_members_or_the_broadcast_and_drops_what_it_had() {
    let mut cluster = Cluster::new(3, &AgentConfig::default(), 1_200);
    let held = Arc::new(());
    *cluster.stores[0].stuck.lock().unwrap() = Some(Arc::clone(&held));
    cluster.stores[0].put(&item(ENTRY, 1, 5_000));
    cluster.pass(SECOND);
    cluster.stores[0].news_tx.close_channel();
    cluster.wires[1].close_channel();
    cluster.members[2].close_channel();
    cluster.pass(Duration::ZERO);
    let running = std::mem::take(&mut cluster.running);
    let stats = futures::future::join_all(running).now_or_never();
    assert_eq!(stats.map(|stats| stats.len()), Some(3), "all have ended");
    *cluster.stores[0].stuck.lock().unwrap() = None;
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn messages_are_no_longer_than_what_the_broadcast_carries() {
    // In parts; and in none, since the shortest limit is longer than this.
    for (max_len, come) in [(300, 2), (100, 0)] {
        let config = AgentConfig::default().with_sessions_max(0);
        let mut cluster = Cluster::new(2, &config, max_len);
        cluster.pass(SECOND);
        cluster.stores[0].put(&item(GRANT, 1, 250));
        cluster.stores[0].put(&item(GRANT, 2, 1_000));
        cluster.pass(SECOND);
        assert_eq!(cluster.stores[1].items().len(), come);
    }
}
