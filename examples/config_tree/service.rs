//! A service: a key, a database, a socket, and a replica of the configuration.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline::core::clock::{Clock, SystemClock, Timestamp};
use syncline::crypto::{PublicKey, SigningKey};
use syncline::gossip::KvNode;
use syncline::kv::item::{GrantDraft, Ops, Quota};
use syncline::kv::tree::{Changes, Import, Listing, Scope};
use syncline::kv::{Entry, Grant, Key, KvError, Namespace, Pattern, Subtree, Tree, Value};
use syncline::storage::RedbDb;

use crate::Result;

/// How long something may take that will happen. Only a fault takes so long.
const DEADLINE: Duration = Duration::from_secs(60);

pub struct Service {
    pub name: &'static str,
    node: KvNode,
    changes: Changes,
}

impl Service {
    /// Starts the replica of a service whose database is in `home`. It begins with what another one has exported, so that it
    /// knows who its peers are and what they may, and joins those.
    pub async fn start(
        home: &Path,
        name: &'static str,
        key: SigningKey,
        namespace: &Namespace,
        joins: &[&Self],
    ) -> Result<Self> {
        let db = RedbDb::create(home.join(format!("{name}.redb")))?;
        let tree = Tree::open(Arc::new(db), namespace)?;
        // Before anything can come, so that nothing is missed.
        let changes = tree.watch(Scope::Below(own_prefix(name)?));
        let mut builder = KvNode::builder(tree.clone(), key).listen(([127, 0, 0, 1], 0).into());
        if let Some(first) = joins.first() {
            let mut bundle = Vec::new();
            first.tree().export(&mut bundle)?;
            Import::open(&bundle[..])?.apply_to(&tree, now())?;
        }
        for service in joins {
            builder = builder.peer(service.node.peer_addr()?);
        }
        Ok(Self { name, node: builder.start().await?, changes })
    }

    pub fn tree(&self) -> &Tree {
        self.node.tree()
    }

    /// What this service is configured to, by the names below its own prefix.
    pub fn settings(&self) -> Result<Vec<(String, String)>> {
        let prefix = own_prefix(self.name)?;
        let page = self.tree().list(&Listing::of(prefix.clone()))?;
        let name = |entry: &Entry| entry.key().as_str()[prefix.as_str().len() + 1..].to_owned();
        Ok(page.entries.iter().map(|entry| (name(entry), text(entry))).collect())
    }

    /// Waits until the service has these settings and no others, as it learns them by its subscription.
    pub async fn wait_for(&self, expected: &[(&str, &str)]) -> Result<()> {
        let began = Instant::now();
        loop {
            let found = self.settings()?;
            let found: Vec<(&str, &str)> = found.iter().map(|(key, value)| (&**key, &**value)).collect();
            if found == expected {
                let text: Vec<String> = found.iter().map(|(key, value)| format!("{key} = {value}")).collect();
                let text = if text.is_empty() { "nothing is set".into() } else { text.join(", ") };
                println!("  {:<8} {text}", self.name);
                return Ok(());
            }
            if tokio::time::timeout(DEADLINE.saturating_sub(began.elapsed()), self.changes.changed()).await.is_err() {
                return Err(format!("{} has {found:?} and not {expected:?}", self.name).into());
            }
        }
    }

    pub async fn stop(self) -> Result<()> {
        let report = self.node.shutdown().await;
        if report.tasks_left > 0 { Err(format!("{} left tasks behind", self.name).into()) } else { Ok(()) }
    }
}

fn own_prefix(name: &str) -> Result<Subtree> {
    Ok(format!("/svc/{name}").parse()?)
}

fn text(entry: &Entry) -> String {
    match entry.value() {
        Value::Inline(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => "?".into(),
    }
}

pub fn now() -> Timestamp {
    SystemClock.now()
}

/// Lets somebody do something, by a grant that is signed here.
pub fn grant(
    tree: &Tree,
    issuer: &SigningKey,
    parent: Option<&Grant>,
    audience: PublicKey,
    (ops, pattern, depth): (Ops, &str, u8),
) -> std::result::Result<Grant, KvError> {
    let draft = GrantDraft {
        namespace: tree.id(),
        parent: parent.map(Grant::id),
        issuer: issuer.public_key(),
        audience,
        pattern: Pattern::new(pattern).map_err(syncline::kv::item::ItemError::from)?,
        ops,
        depth,
        not_before: None,
        not_after: None,
        quota: Quota::NONE,
        stamp: tree.stamp(now())?,
    };
    tree.grant(now(), issuer, draft)
}

/// Sets a key at some service, in one's own name.
pub fn put(at: &Service, signer: &SigningKey, key: &str, value: &str) -> Result<Entry> {
    Ok(at.tree().put(now(), signer, &Key::new(key)?, value.as_bytes())?)
}

/// Waits until all have the same.
pub async fn wait_until_equal(services: [&Service; 3]) -> Result<()> {
    let began = Instant::now();
    loop {
        let mut roots = Vec::new();
        for service in services {
            roots.push(service.tree().root()?.hash);
        }
        if roots.iter().all(|root| *root == roots[0]) {
            println!("  all three have the root {}", &roots[0].to_string()[..16]);
            return Ok(());
        }
        if began.elapsed() > DEADLINE {
            return Err("the replicas did not become equal".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
