//! Our key-value store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use cpu_time::ProcessTime;
use futures::{AsyncReadExt as _, SinkExt as _, sink};
use syncline_core::clock::{Clock, Hlc, ManualClock, Timestamp};
use syncline_core::{FromSync, SyncError, SyncProtocol as _};
use syncline_crypto::{Hash, PublicKey, SigningKey};
use syncline_kv::item::{EntryDraft, GrantDraft, Leaves, Ops, Quota, Value};
use syncline_kv::sync::{Event, KvQuery, KvSync};
use syncline_kv::tree::Listing;
use syncline_kv::{Entry, Grant, Item, Key, Namespace, Pattern, Subtree, Tree, Verdict};
use syncline_storage::{Database, MemoryDb};

use super::data::{Held, KEYS_OF_A_SERVICE, Pair, TEAMS, Write};
use super::ours::{Alone, Ours};
use super::{BATCH, Contender, Run, Scale, Signed, alone};
use crate::compare::limit::SignedParts;

/// Trees in memory, synced by `syncline-kv/1`.
pub(crate) struct Syncline;

/// A namespace, its teams, and what they may write.
pub(super) struct World {
    pub(super) root: SigningKey,
    pub(super) namespace: Namespace,
    teams: Vec<SigningKey>,
    /// One for each service, to the team that writes it.
    pub(super) grants: Vec<Grant>,
}

/// Wall time of both sides: later than all that is written.
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

impl World {
    /// With grants for this many keys.
    pub(super) fn new(keys: usize) -> Self {
        let root = SigningKey::from_bytes(&[1; 32]);
        let teams: Vec<SigningKey> = (0..TEAMS).map(|team| SigningKey::from_bytes(&Write::secret(team))).collect();
        let namespace = Namespace::new("lab", [root.public_key()]).expect("a namespace");
        let grants = (0..keys.div_ceil(KEYS_OF_A_SERVICE)).map(|service| {
            let team = &teams[Write::new(service * KEYS_OF_A_SERVICE, 0).team];
            let draft = GrantDraft {
                namespace: namespace.id(),
                parent: None,
                issuer: root.public_key(),
                audience: team.public_key(),
                pattern: Pattern::new(&format!("/svc/{service:04}/limits/**")).expect("a pattern"),
                ops: Ops::Write,
                depth: 0,
                not_before: None,
                not_after: None,
                quota: Quota::NONE,
                stamp: Hlc::new(Timestamp::from_millis(1), 0),
            };
            draft.sign(&root).expect("a grant")
        });
        let grants = grants.collect();
        Self { root, namespace, teams, grants }
    }

    pub(super) fn sign(&self, write: &Write) -> Entry {
        let team = &self.teams[write.team];
        let key = Key::new(&write.path).expect("a key");
        let grant = self.grants.iter().find(|grant| grant.pattern().matches(&key)).expect("each service has one");
        self.sign_under(write, team, grant, key)
    }

    /// The same for a key whose service is known.
    pub(super) fn sign_nth(&self, nth: usize, version: u64) -> Entry {
        let write = Write::new(nth, version);
        let key = Key::new(&write.path).expect("a key");
        self.sign_under(&write, &self.teams[write.team], &self.grants[nth / KEYS_OF_A_SERVICE], key)
    }

    fn sign_under(&self, write: &Write, team: &SigningKey, grant: &Grant, key: Key) -> Entry {
        let draft = EntryDraft {
            namespace: self.namespace.id(),
            key,
            value: Value::from(&write.value[..]),
            stamp: Hlc::new(Timestamp::from_millis(write.at), 0),
            author: team.public_key(),
            leaves: Leaves::new([grant.id()]).expect("one"),
            previous: None,
        };
        draft.sign(team).expect("an entry")
    }

    pub(super) fn tree(&self, db: Arc<dyn Database>) -> Result<Tree, String> {
        let tree = Tree::open(db, &self.namespace).map_err(fail)?;
        let grants = self.grants.iter().cloned().map(Item::Grant).collect();
        tree.apply(NOW, grants).map_err(fail)?;
        Ok(tree)
    }

    pub(super) fn root_key(&self) -> PublicKey {
        self.root.public_key()
    }
}

/// Entries as a peer sends them.
struct Entries {
    world: World,
    common: Vec<Bytes>,
    here: Vec<Bytes>,
    there: Vec<Bytes>,
}

impl Contender for Syncline {
    fn name(&self) -> &'static str {
        "syncline-kv"
    }

    fn sign(&self, pair: &Pair) -> Box<dyn Signed> {
        let world = World::new(pair.common.len() + pair.differences());
        let sign = |writes: &[Write]| -> Vec<Bytes> {
            writes.iter().map(|write| Item::Entry(world.sign(write)).encoded()).collect()
        };
        let (common, here) = (sign(&pair.common), sign(&pair.only_here));
        let there = [sign(&pair.only_there), sign(&pair.newer_there)].concat();
        Box::new(Entries { world, common, here, there })
    }
}

impl Ours for Syncline {
    fn signatures(&self, pair: &Pair) -> Vec<SignedParts> {
        let world = World::new(pair.common.len());
        let parts =
            |entry: Entry| SignedParts { key: *entry.author(), message: entry.message(), signature: entry.signature() };
        pair.common.iter().map(|write| parts(world.sign(write))).collect()
    }

    fn alone(&self, scale: Scale) -> Result<Alone, String> {
        alone::measure(scale)
    }
}

impl Signed for Entries {
    fn run(&self) -> Result<Run, String> {
        let replica = || self.world.tree(Arc::new(MemoryDb::new()));
        let (here, there) = (replica()?, replica()?);
        let before = ProcessTime::now();
        take(&here, &self.common)?;
        let mut run = Run { apply: before.elapsed().as_secs_f64(), ..Run::default() };
        take(&there, &self.common)?;
        take(&here, &self.here)?;
        take(&there, &self.there)?;
        sync(&self.world, &here, &there, &mut run)?;
        run.here = held(&here)?;
        run.there = held(&there)?;
        Ok(run)
    }
}

/// Decodes, verifies, stores.
fn take(tree: &Tree, encoded: &[Bytes]) -> Result<(), String> {
    for batch in encoded.chunks(BATCH) {
        let items = batch.iter().map(Item::decode).collect::<Result<Vec<Item>, _>>().map_err(fail)?;
        let verdicts = tree.apply(NOW, items).map_err(fail)?;
        if let Some(verdict) = verdicts.into_iter().find(|verdict| *verdict != Verdict::Applied) {
            return Err(format!("an entry was not applied: {verdict}"));
        }
    }
    Ok(())
}

/// A whole session, begun by `here`: over a pipe in memory, with a channel to an application that drops what it gets.
pub(super) fn sync(world: &World, here: &Tree, there: &Tree, run: &mut Run) -> Result<(), String> {
    let entries = Arc::new(AtomicU64::new(0));
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
    let protocol = |tree: &Tree, seed: u8| {
        let entries = Arc::clone(&entries);
        let sync = KvSync::new(tree.clone(), Arc::clone(&clock), [seed; 32]).with_remote(world.root_key());
        Arc::new(sync.with_observer(move |event| {
            if matches!(event, Event::Verdict { item: Item::Entry(_), .. } | Event::RefusedBefore { .. }) {
                entries.fetch_add(1, Ordering::Relaxed);
            }
        }))
    };
    let (near, far) = (protocol(here, 1), protocol(there, 2));
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(fail)?;
    let (pipe, wire) = crate::compare::session::counted_pipe();
    let ((mut near_rx, mut near_tx), (mut far_rx, mut far_tx)) = (pipe.0.split(), pipe.1.split());
    let query = KvQuery::all(world.namespace.id());
    let before = ProcessTime::now();
    let ended = runtime.block_on(async {
        let app = || sink::drain::<FromSync<KvQuery>>().sink_map_err(|err| match err {});
        let (mut near_app, mut far_app) = (app(), app());
        let began = near.initiate(query, Box::new(&mut near_tx), Box::new(&mut near_rx), Box::new(&mut near_app));
        let answered = far.accept(Box::new(&mut far_tx), Box::new(&mut far_rx), Box::new(&mut far_app));
        let (began, answered): (Result<(), SyncError>, Result<(), SyncError>) = futures::join!(began, answered);
        began.and(answered)
    });
    run.sync = before.elapsed().as_secs_f64();
    ended.map_err(fail)?;
    run.bytes = wire.bytes();
    run.messages = wire.turns();
    run.entries = entries.load(Ordering::Relaxed);
    Ok(())
}

fn held(tree: &Tree) -> Result<Vec<Held>, String> {
    let mut held = Vec::new();
    let mut listing = Listing::of(Subtree::all()).limit(10_000);
    loop {
        let page = tree.list(&listing).map_err(fail)?;
        for entry in &page.entries {
            let Value::Inline(value) = entry.value() else { return Err("a value is not inline".into()) };
            held.push(Held { path: entry.key().as_str().to_owned(), value: Hash::digest(value) });
        }
        match page.next {
            Some(next) => listing = listing.after(next),
            None => return Ok(held),
        }
    }
}

pub(super) fn fail(err: impl std::fmt::Display) -> String {
    err.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides end with the same keys and the newest values, and the entries that differ went over the wire.
    #[test]
    fn a_sync_merges_both_replicas() {
        let pair = Pair::new(300, 30);
        let run = Syncline.sign(&pair).run().expect("the session succeeds");
        assert_eq!((pair.check(run.here), pair.check(run.there)), (Ok(()), Ok(())));
        assert!(run.entries >= 30 && run.bytes > 30 * 200 && run.messages >= 2);
        assert_eq!(Syncline.signatures(&pair).len(), pair.common.len());
    }
}
