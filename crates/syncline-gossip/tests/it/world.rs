//! Replicas for tests, and waiting for what is to become so.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use syncline_core::clock::{Clock, SystemClock, Timestamp};
use syncline_crypto::{PublicKey, SigningKey};
use syncline_gossip::{Chores, KvNode, KvNodeBuilder, LinkLimits};
use syncline_kv::agent::AgentConfig;
use syncline_kv::item::{GrantDraft, Ops, Quota};
use syncline_kv::tree::Scope;
use syncline_kv::{Grant, Key, Namespace, Pattern, Tree};
use syncline_net::PeerAddr;
use syncline_storage::{Database, MemoryDb, RedbDb};

/// How long a condition may take that will be met. Only a fault takes so long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

pub(crate) fn signer(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

pub(crate) fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

/// The root of all namespaces here.
pub(crate) fn root() -> SigningKey {
    signer(1)
}

pub(crate) fn namespace() -> Namespace {
    Namespace::new("test", [root().public_key()]).unwrap()
}

pub(crate) fn memory() -> Tree {
    Tree::open(Arc::new(MemoryDb::new()), &namespace()).unwrap()
}

pub(crate) fn on_disk(path: &Path) -> Tree {
    let db: Arc<dyn Database> = Arc::new(RedbDb::create(path).unwrap());
    Tree::open(db, &namespace()).unwrap()
}

/// What the root grants.
pub(crate) fn grant(tree: &Tree, to: &PublicKey, pattern: &str, ops: Ops) -> Grant {
    let draft = GrantDraft {
        namespace: tree.id(),
        parent: None,
        issuer: root().public_key(),
        audience: *to,
        pattern: Pattern::new(pattern).unwrap(),
        ops,
        depth: 0,
        not_before: None,
        not_after: None,
        quota: Quota::NONE,
        stamp: tree.stamp(now()).unwrap(),
    };
    tree.grant(now(), &root(), draft).unwrap()
}

/// Settings in which things happen soon. `interval` is what nothing here waits for.
pub(crate) fn quick() -> AgentConfig {
    AgentConfig::default()
        .with_interval(Duration::from_millis(500))
        .with_debounce(Duration::from_millis(20))
        .with_broadcast_gap(Duration::from_millis(20))
        .with_reply_delay_max(Duration::from_millis(20))
        .with_session_gap(Duration::from_millis(50))
        .with_retry_min(Duration::from_millis(50))
        .with_retry_max(Duration::from_millis(500))
}

pub(crate) fn builder(tree: Tree, key: SigningKey) -> KvNodeBuilder {
    let mut links = LinkLimits::default();
    (links.retry_min, links.retry_max) = (Duration::from_millis(20), Duration::from_millis(500));
    let mut chores = Chores::default();
    chores.check = Duration::from_millis(100);
    KvNode::builder(tree, key).listen("127.0.0.1:0".parse().unwrap()).config(quick()).link_limits(links).chores(chores)
}

pub(crate) async fn start(tree: Tree, key: SigningKey, peers: &[PeerAddr]) -> KvNode {
    let builder = peers.iter().cloned().fold(builder(tree, key), KvNodeBuilder::peer);
    builder.start().await.unwrap()
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(DEADLINE, waiting).await.is_err() {
        panic!("this never became so: {what}");
    }
}

/// Waits until a key has a value in a tree, or none.
pub(crate) async fn until_value(tree: &Tree, key: &Key, value: Option<&[u8]>) {
    let changes = tree.watch(Scope::Key(key.clone()));
    let waiting = async {
        while value_of(tree, key).as_deref() != value {
            changes.changed().await;
        }
    };
    within(&format!("{key} is {value:?}"), waiting).await;
}

pub(crate) fn value_of(tree: &Tree, key: &Key) -> Option<Vec<u8>> {
    use syncline_kv::Value;
    match tree.get(key).unwrap()?.value() {
        Value::Inline(bytes) => Some(bytes.to_vec()),
        other => panic!("no inline value: {other:?}"),
    }
}

/// Waits until all trees are the same.
pub(crate) async fn until_equal(trees: &[&Tree]) {
    until("all roots are equal", async || {
        let mut roots = trees.iter().map(|tree| tree.root().unwrap().hash);
        let first = roots.next().unwrap();
        roots.all(|root| root == first)
    })
    .await;
}

/// What comes before the deadline.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("this never came: {what}"))
}
