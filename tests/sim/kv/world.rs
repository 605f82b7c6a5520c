//! What the nodes of a run have in common: who there is, what was signed, what was acknowledged.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::{Ed25519, PublicKey, Signer, SigningKey, Verifier};
use syncline_kv::agent::AgentConfig;
use syncline_kv::item::{GrantDraft, OnRevoke, Ops, Quota, Reads};
use syncline_kv::sync::Eagerness;
use syncline_kv::{Entry, GrantId, Item, Key, Namespace, Pattern};
use syncline_testkit::cheap::{CheapSigner, CheapVerifier};
use syncline_testkit::cluster::{NodeId, SessionId};
use syncline_testkit::seed::Rng;

use super::clock::ClockError;
use super::node::Peer;
use super::oracle::{Ledger, Oracle, Recorded};

pub(crate) const SKEW: Duration = Duration::from_secs(60);

const KEYS: &[&str] = &["/a/x", "/a/y", "/a/b/x", "/a/b/y", "/b/x", "/b/y", "/b/c/x", "/c/x", "/c/y", "/c/d/e/x"];
pub(crate) const PATTERNS: &[&str] =
    &["/**", "/a/**", "/a/*", "/a/x", "/a/b/*", "/b/**", "/b/x", "/c/**", "/*/x", "/**/x", "/**/y*"];

pub(crate) type Person = Arc<dyn Signer>;

/// What somebody is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Does what it should.
    Honest,
    /// A member that does what it likes.
    Foul,
    /// The same, and it may not read.
    Stranger,
}

/// How a run is set up.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) has_real_keys: bool,
    pub(crate) on_revoke: OnRevoke,
    pub(crate) reads: Reads,
    pub(crate) eagerness: Eagerness,
    /// None: nobody gossips.
    pub(crate) agent: Option<AgentConfig>,
    pub(crate) roles: Vec<Role>,
    /// By how many milliseconds clocks may be wrong.
    pub(crate) clock_error_max: u64,
    pub(crate) pauses: bool,
    /// Whether those who play foul say nothing in sessions, and do nothing else.
    pub(crate) is_silent: bool,
}

impl Setting {
    /// Honest nodes with right clocks that do nothing of their own accord.
    pub(crate) fn calm(nodes: usize) -> Self {
        Self {
            has_real_keys: false,
            on_revoke: OnRevoke::Unset,
            reads: Reads::Public,
            eagerness: Eagerness::Full,
            agent: Some(AgentConfig::default()),
            roles: vec![Role::Honest; nodes],
            clock_error_max: 0,
            pauses: false,
            is_silent: false,
        }
    }

    pub(crate) fn draw(seed: u64, nodes: usize) -> Self {
        let mut rng = Rng::new(seed ^ 0x6b76);
        let mut roles = vec![Role::Honest; nodes];
        if nodes > 2 && rng.chance(2, 3) {
            for role in roles.iter_mut().skip(2).take(1 + rng.index(nodes.div_ceil(4))) {
                *role = if rng.chance(2, 3) { Role::Foul } else { Role::Stranger };
            }
        }
        let agent = AgentConfig::default()
            .with_interval(Duration::from_secs(5 + rng.below(25)))
            .with_retry_max(Duration::from_secs(30))
            .with_flood_max(if rng.chance(1, 2) { 8 } else { 1 })
            .with_fanout(1 + rng.index(4))
            .with_message_len_max(256 << rng.below(4))
            .with_eager(rng.chance(4, 5));
        Self {
            has_real_keys: rng.chance(1, 50),
            on_revoke: if rng.chance(1, 2) { OnRevoke::Unset } else { OnRevoke::Fallback },
            reads: if rng.chance(1, 2) { Reads::Granted } else { Reads::Public },
            eagerness: Eagerness::Full,
            agent: Some(agent),
            roles,
            clock_error_max: match rng.below(4) {
                0 => 0,
                1 | 2 => rng.below(60_000),
                _ => rng.below(240_000),
            },
            pauses: rng.chance(1, 2),
            is_silent: false,
        }
    }
}

/// What is to be remembered of a node through its lives.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) clock: Arc<ClockError>,
    /// The last write of each slot that the node has acknowledged.
    pub(crate) acknowledged: BTreeMap<Place, Entry>,
    /// Grants and revocations that it has acknowledged.
    pub(crate) system: Vec<Item>,
    /// Its present life.
    pub(crate) peer: Option<Rc<Peer>>,
}

/// A slot of a key: by which grants, or which root.
pub(crate) type Place = (Key, Vec<GrantId>, Option<PublicKey>);

pub(crate) fn place_of(entry: &Entry) -> Place {
    let leaves = entry.leaves();
    (entry.key().clone(), leaves.as_slice().to_vec(), leaves.is_root().then(|| *entry.author()))
}

pub(crate) struct World {
    pub(crate) setting: Setting,
    pub(crate) namespace: Namespace,
    pub(crate) verifier: Arc<dyn Verifier>,
    pub(crate) roots: Vec<Person>,
    /// Who lives on each node, in the nodes' order.
    pub(crate) people: Vec<Person>,
    pub(crate) keys: Vec<Key>,
    /// What everybody knows from the start: who may read.
    pub(crate) founding: Vec<Item>,
    pub(crate) oracle: RefCell<Oracle>,
    pub(crate) memory: RefCell<Vec<Memory>>,
    pub(crate) is_calm: Cell<bool>,
    /// How many items came in a session, on both sides.
    pub(crate) moved: RefCell<BTreeMap<SessionId, Arc<AtomicU64>>>,
}

impl World {
    pub(crate) fn new(seed: u64, setting: Setting) -> Rc<Self> {
        let (mut rng, ledger) = (Rng::new(seed ^ 0x776f_726c), Ledger::default());
        let mut person = || -> Person {
            let ledger = ledger.clone();
            if setting.has_real_keys {
                let mut bytes = [0; 32];
                bytes.copy_from_slice(&rng.bytes(32));
                Arc::new(Recorded { signer: SigningKey::from_bytes(&bytes), ledger })
            } else {
                Arc::new(Recorded { signer: CheapSigner::from_seed(rng.next_u64()), ledger })
            }
        };
        let roots: Vec<Person> = (0..2).map(|_| person()).collect();
        let people: Vec<Person> = setting.roles.iter().map(|_| person()).collect();
        let namespace = Namespace::new("sim", roots.iter().map(|root| root.public_key()))
            .and_then(|namespace| namespace.with_on_revoke(setting.on_revoke))
            .and_then(|namespace| namespace.with_reads(setting.reads))
            .expect("a namespace");
        let verifier: Arc<dyn Verifier> =
            if setting.has_real_keys { Arc::new(Ed25519) } else { Arc::new(CheapVerifier) };
        let mut oracle = Oracle::new(namespace.roots().iter().copied(), &ledger);
        let mut founding = Vec::new();
        for (person, role) in people.iter().zip(&setting.roles) {
            if setting.reads == Reads::Granted && *role != Role::Stranger {
                let draft = GrantDraft {
                    namespace: namespace.id(),
                    parent: None,
                    issuer: roots[0].public_key(),
                    audience: person.public_key(),
                    pattern: Pattern::all(),
                    ops: Ops::Read,
                    depth: 0,
                    not_before: None,
                    not_after: None,
                    quota: Quota::NONE,
                    stamp: Hlc::new(Timestamp::from_millis(1), 0),
                };
                founding.push(Item::Grant(draft.sign(&*roots[0]).expect("a grant")));
            }
        }
        founding.iter().for_each(|item| oracle.learn(item).expect("signed"));
        let memory = setting.roles.iter().map(|_| Memory::default()).collect();
        Rc::new(Self {
            namespace,
            verifier,
            roots,
            people,
            keys: KEYS.iter().map(|key| Key::new(key).expect("a key")).collect(),
            founding,
            oracle: RefCell::new(oracle),
            memory: RefCell::new(memory),
            is_calm: Cell::new(false),
            moved: RefCell::default(),
            setting,
        })
    }

    pub(crate) fn role(&self, id: NodeId) -> Role {
        self.setting.roles.get(id.index()).copied().unwrap_or(Role::Honest)
    }

    pub(crate) fn key_of(&self, id: NodeId) -> PublicKey {
        self.people[id.index()].public_key()
    }

    /// The present life of a node, if it is honest and up.
    pub(crate) fn peer(&self, id: NodeId) -> Option<Rc<Peer>> {
        self.memory.borrow().get(id.index())?.peer.clone()
    }

    /// Somebody signed this with a key of their own, and everybody may get to know.
    pub(crate) fn learn(&self, item: impl Into<Item>) {
        self.oracle.borrow_mut().learn(&item.into()).expect("it was just signed");
    }

    /// A node has said that an entry is stored.
    pub(crate) fn acknowledge(&self, id: NodeId, entry: &Entry) {
        self.learn(entry.clone());
        let mut memory = self.memory.borrow_mut();
        let known = memory[id.index()].acknowledged.entry(place_of(entry)).or_insert_with(|| entry.clone());
        if known.order() < entry.order() {
            *known = entry.clone();
        }
    }

    /// A node has said that a grant or a revocation is stored.
    pub(crate) fn acknowledge_system(&self, id: NodeId, item: impl Into<Item>) {
        let item = item.into();
        self.learn(item.clone());
        self.memory.borrow_mut()[id.index()].system.push(item);
    }

    /// Clocks are set right, and who played foul stops.
    pub(crate) fn calm(&self) {
        self.is_calm.set(true);
        self.memory.borrow().iter().for_each(|memory| memory.clock.set(0));
    }
}
