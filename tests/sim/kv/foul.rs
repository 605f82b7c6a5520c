//! Nodes that do what they like: they know everything that was ever signed, and have their own keys and no others.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::{Either, LocalBoxFuture, select};
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
use syncline_core::SyncProtocol;
use syncline_core::cbor::Writer;
use syncline_core::clock::{Clock, Hlc, Timer, Timestamp};
use syncline_crypto::{Hash, SignedMessage, Signer, Verifier, VerifyError};
use syncline_kv::agent::{Message, Root};
use syncline_kv::item::{EntryDraft, GrantDraft, Leaves, Ops, Quota, Reads, RevocationDraft, Unsigned, Value};
use syncline_kv::sync::{KvQuery, KvSync};
use syncline_kv::{Entry, Grant, GrantId, Item, Key, Pattern, Revocation, Tree};
use syncline_storage::MemoryDb;
use syncline_testkit::cluster::{Context, NodeId, Session};
use syncline_testkit::net::End;
use syncline_testkit::seed::Rng;

use super::session::App;
use super::world::{PATTERNS, Person, Role, World};

/// How long a session is kept open that says nothing.
const SILENT: Duration = Duration::from_secs(150);

/// One life of such a node.
pub(crate) struct Fiend {
    world: Rc<World>,
    context: Context,
    rng: RefCell<Rng>,
}

/// Takes every signature for good, so that a tree offers what nobody signed.
#[derive(Debug)]
struct Credulous;

impl Verifier for Credulous {
    fn verify(&self, _: SignedMessage<'_>) -> Result<(), VerifyError> {
        Ok(())
    }
}

impl Fiend {
    pub(crate) fn start(world: &Rc<World>, context: Context) -> Self {
        let rng = RefCell::new(Rng::new(context.seed() ^ 0xf1e7));
        Self { world: Rc::clone(world), context, rng }
    }

    fn me(&self) -> Person {
        self.world.people[self.context.id().index()].clone()
    }

    fn somebody(&self, rng: &mut Rng) -> NodeId {
        let all: Vec<NodeId> = self.context.all().collect();
        *rng.pick(&all).expect("there are nodes")
    }

    /// Does something bad.
    pub(crate) fn step(&self, rng: &mut Rng) -> String {
        if self.world.is_calm.get() {
            return "is quiet".into();
        }
        let to = self.somebody(rng);
        let journal = self.context.journal();
        let namespace = Hash::from(self.world.namespace.id());
        match rng.below(10) {
            0 => {
                let len = rng.index(300);
                journal.send(to, rng.bytes(len).into());
                "sends garbage".into()
            }
            1 => {
                let root = Root::new(Hash::digest(&rng.bytes(8)), rng.below(100));
                let nonce = rng.next_u64();
                let message =
                    if rng.chance(1, 2) { Message::Digest { root, nonce } } else { Message::Reply { root, nonce } };
                self.context.all().for_each(|peer| journal.send(peer, message.encode(&namespace)));
                "claims to have something".into()
            }
            2 => {
                for _ in 0..50 {
                    let (item, bytes) = (Hash::digest(&rng.bytes(8)), rng.bytes(200).into());
                    let message = Message::Part { item, index: 0, count: 2 + rng.below(60) as u16, bytes };
                    journal.send(to, message.encode(&namespace));
                }
                "sends parts of nothing".into()
            }
            3 => {
                journal.dial(to);
                format!("dials {to}")
            }
            _ => {
                let items: Vec<Bytes> = self.forge_some(rng).iter().map(Item::encoded).collect();
                for item in items.iter().filter(|item| item.len() < 60_000) {
                    let message = Message::Push(vec![item.clone()]).encode(&namespace);
                    if rng.chance(1, 2) {
                        self.context.all().for_each(|peer| journal.send(peer, message.clone()));
                    } else {
                        journal.send(to, message);
                    }
                }
                format!("pushes {} items", items.len())
            }
        }
    }

    fn forge_some(&self, rng: &mut Rng) -> Vec<Item> {
        (0..1 + rng.below(4)).flat_map(|_| self.forge(rng)).collect()
    }

    /// Items that should not be taken, most of them.
    fn forge(&self, rng: &mut Rng) -> Vec<Item> {
        let (me, roots) = (self.me(), &self.world.roots);
        let grants: Vec<Grant> = self.world.oracle.borrow().grants.values().cloned().collect();
        let entries = self.world.oracle.borrow().entries.clone();
        let own: Vec<Grant> = grants.iter().filter(|grant| *grant.audience() == me.public_key()).cloned().collect();
        let key = rng.pick(&self.world.keys).expect("keys").clone();
        let stamp = self.stamp(rng);
        let made = match rng.below(11) {
            // Another's grant, which is no secret.
            0 | 1 => rng.pick(&grants).and_then(|grant| self.entry(&key, stamp, [grant.id()])).map(|it| vec![it]),
            // In the name of a root.
            2 => {
                let author = rng.pick(roots).expect("roots").public_key();
                let unsigned = self.entry_draft(&key, stamp, []).map(|draft| EntryDraft { author, ..draft });
                unsigned
                    .and_then(|draft| draft.unsigned().ok())
                    .and_then(|unsigned| Some(vec![Item::Entry(Entry::decode(self.sign_wrongly(&unsigned)).ok()?)]))
            }
            // Moved to another key, with the signature that it had.
            3 => rng.pick(&entries).and_then(|entry| {
                let moved = EntryDraft {
                    namespace: entry.namespace(),
                    key,
                    value: entry.value().clone(),
                    stamp: entry.stamp(),
                    author: *entry.author(),
                    leaves: entry.leaves().clone(),
                    previous: entry.previous(),
                };
                let bytes = moved.unsigned().ok()?.complete(&entry.signature());
                Some(vec![Item::Entry(Entry::decode(bytes).ok()?)])
            }),
            // As it was.
            4 => rng.pick(&entries).map(|entry| vec![Item::Entry(entry.clone())]),
            // Passes on what is another's.
            5 => rng.pick(&grants).and_then(|parent| self.grant_and_use(parent, Pattern::all(), &key, stamp)),
            // Passes on more than there is, or to too many.
            6 => rng.pick(&own).and_then(|parent| {
                let pattern = Pattern::new(rng.pick(PATTERNS)?).ok()?;
                self.grant_and_use(parent, pattern, &key, stamp)
            }),
            // A root's grant that no root signed.
            7 => {
                let draft = self.grant_draft(None, Pattern::all(), stamp);
                let draft = GrantDraft { issuer: roots[0].public_key(), ..draft };
                draft.unsigned().ok().and_then(|unsigned| {
                    let grant = Grant::decode(self.sign_wrongly(&unsigned)).ok()?;
                    let entry = self.entry(&key, stamp, [grant.id()])?;
                    Some(vec![Item::Grant(grant), entry])
                })
            }
            // Revokes what it may not, in its own name or in a root's.
            8 => rng.pick(&grants).and_then(|grant| {
                let in_own_name = rng.chance(1, 2);
                let revoker = if in_own_name { me.public_key() } else { roots[0].public_key() };
                let draft = RevocationDraft { namespace: self.world.namespace.id(), grant: grant.id(), revoker, stamp };
                let revocation = Revocation::decode(self.sign_wrongly(&draft.unsigned())).ok()?;
                if in_own_name {
                    self.world.learn(revocation.clone());
                }
                Some(vec![Item::Revocation(revocation)])
            }),
            // Its own grants, live or revoked, for any key and at any time.
            _ => rng.pick(&own).and_then(|grant| self.entry(&key, stamp, [grant.id()])).map(|it| vec![it]),
        };
        made.unwrap_or_default()
    }

    /// Now, long ago, or in the future.
    fn stamp(&self, rng: &mut Rng) -> Hlc {
        let now = self.context.clock().now().as_millis();
        let millis = match rng.below(6) {
            0 => now.saturating_sub(rng.below(600_000)),
            1 => now + rng.below(600_000),
            2 => return Hlc::from_bits(u64::MAX),
            _ => now,
        };
        Hlc::new(Timestamp::from_millis(millis), rng.below(1_000) as u16)
    }

    fn sign_wrongly(&self, unsigned: &Unsigned) -> Bytes {
        unsigned.complete(&self.me().sign(&unsigned.message()).expect("these keys always sign"))
    }

    fn entry_draft(&self, key: &Key, stamp: Hlc, leaves: impl IntoIterator<Item = GrantId>) -> Option<EntryDraft> {
        Some(EntryDraft {
            namespace: self.world.namespace.id(),
            key: key.clone(),
            value: Value::from(&b"foul"[..]),
            stamp,
            author: self.me().public_key(),
            leaves: Leaves::new(leaves).ok()?,
            previous: None,
        })
    }

    fn entry(&self, key: &Key, stamp: Hlc, leaves: impl IntoIterator<Item = GrantId>) -> Option<Item> {
        let entry = self.entry_draft(key, stamp, leaves)?.sign(&*self.me()).ok()?;
        self.world.learn(entry.clone());
        Some(Item::Entry(entry))
    }

    fn grant_draft(&self, parent: Option<GrantId>, pattern: Pattern, stamp: Hlc) -> GrantDraft {
        GrantDraft {
            namespace: self.world.namespace.id(),
            parent,
            issuer: self.me().public_key(),
            audience: self.me().public_key(),
            pattern,
            ops: Ops::Write,
            depth: 1,
            not_before: None,
            not_after: None,
            quota: Quota::NONE,
            stamp,
        }
    }

    fn grant_and_use(&self, parent: &Grant, pattern: Pattern, key: &Key, stamp: Hlc) -> Option<Vec<Item>> {
        // The tree keeps only so many.
        if self.world.oracle.borrow().grants.len() > 100 {
            return None;
        }
        let grant = self.grant_draft(Some(parent.id()), pattern, stamp).sign(&*self.me()).ok()?;
        self.world.learn(grant.clone());
        let entry = self.entry(key, stamp, [grant.id()])?;
        Some(vec![entry, Item::Grant(grant)])
    }

    /// Runs a side of a session, badly.
    pub(crate) fn session(&self, session: Session, initiates: bool) -> LocalBoxFuture<'static, Result<String, String>> {
        let mut rng = self.rng.borrow_mut().fork();
        if self.world.is_calm.get() || self.world.role(session.peer) != Role::Honest {
            return async { Err("does not want to".into()) }.boxed_local();
        }
        match rng.below(4) {
            _ if self.world.setting.is_silent => self.silent(session.end),
            0 => self.silent(session.end),
            1 => self.raw(session.end, rng.bytes(200)),
            2 if initiates => {
                let said = self.offer(&mut rng);
                self.raw(session.end, said)
            }
            _ => self.by_the_book(session, initiates, &mut rng),
        }
    }

    fn silent(&self, end: End) -> LocalBoxFuture<'static, Result<String, String>> {
        let clock = self.context.clock().clone();
        async move {
            clock.sleep_until(clock.now() + SILENT).await;
            drop(end);
            Err("said nothing".into())
        }
        .boxed_local()
    }

    /// Says this, and hears whatever comes.
    fn raw(&self, mut end: End, said: Vec<u8>) -> LocalBoxFuture<'static, Result<String, String>> {
        let clock = self.context.clock().clone();
        let talk = async move {
            let _gone = end.tx.write_all(&said).await;
            let _gone = end.tx.flush().await;
            let mut buffer = [0; 512];
            while end.rx.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
        };
        async move {
            let nap = clock.sleep_until(clock.now() + SILENT);
            match select(Box::pin(talk), nap).await {
                Either::Left(_) => Err("said its own".into()),
                Either::Right(_) => Err("said its own, and waited".into()),
            }
        }
        .boxed_local()
    }

    /// A session of one who has nothing but forged items.
    fn offer(&self, rng: &mut Rng) -> Vec<u8> {
        let items = self.forge_some(rng);
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        writer.array(11).unsigned(0).unsigned(1).unsigned(1).unsigned(0).bytes(&rng.bytes(16));
        writer.bytes(self.world.namespace.id().as_bytes()).text("").unsigned(0).unsigned(0);
        writer.bytes(&[0; 16]).bytes(&[0; 16]);
        for item in &items {
            Writer::new(&mut out).bytes(&item.encoded());
        }
        Writer::new(&mut out).array(1).unsigned(4);
        Writer::new(&mut out).array(2).unsigned(8).unsigned(items.len() as u64);
        out.to_vec()
    }

    /// A session as it should be, of a tree that takes every signature for good.
    fn by_the_book(
        &self,
        session: Session,
        initiates: bool,
        rng: &mut Rng,
    ) -> LocalBoxFuture<'static, Result<String, String>> {
        let (world, context) = (&self.world, &self.context);
        let tree = Tree::builder().verifier(Arc::new(Credulous)).open(Arc::new(MemoryDb::new()), &world.namespace);
        let tree = tree.expect("memory opens");
        let items: Vec<Item> = (0..5).flat_map(|_| self.forge_some(rng)).collect();
        let mut all = world.founding.clone();
        all.extend(world.oracle.borrow().grants.values().cloned().map(Item::Grant).filter(|_| rng.chance(1, 2)));
        all.extend(items);
        tree.apply(context.clock().now(), all).expect("memory works");
        let mut seed = [0; 32];
        seed.copy_from_slice(&rng.bytes(32));
        // To its own tree everybody is a root, and may read.
        let sync = KvSync::new(tree, Arc::new(context.clock().clone()), seed)
            .with_timer(Arc::new(context.clock().clone()))
            .with_remote(world.roots[0].public_key());
        let came = Arc::new(AtomicU64::new(0));
        let mut app =
            App { clock: context.clock().clone(), came: Arc::clone(&came), paused_until: Arc::default(), nap: None };
        let (query, mut end) = (KvQuery::all(world.namespace.id()), session.end);
        let (journal, world, id) = (context.journal().clone(), Rc::clone(world), context.id());
        async move {
            let (tx, rx) = (Box::new(&mut end.tx as _), Box::new(&mut end.rx as _));
            let sync = Arc::new(sync);
            let result = if initiates {
                sync.initiate(query, tx, rx, Box::new(&mut app as _)).await
            } else {
                sync.accept(tx, rx, Box::new(&mut app as _)).await
            };
            let me = world.key_of(id);
            let was_let_in = world
                .oracle
                .borrow()
                .grants
                .values()
                .any(|grant| *grant.audience() == me && grant.fields().ops.contains(Ops::Read));
            let is_barred = world.role(id) == Role::Stranger && world.setting.reads == Reads::Granted && !was_let_in;
            if is_barred && came.load(Ordering::SeqCst) > 0 {
                journal.breach(format!("{} tells a stranger what it may not read", session.id));
            }
            result.map(|()| "complete, foul".into()).map_err(|err| format!("{err:?}"))
        }
        .boxed_local()
    }
}
