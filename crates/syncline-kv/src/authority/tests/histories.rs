//! Random histories, in any order and with repetitions, against the model.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use syncline_crypto::{Hash, PublicKey};

use super::model::{Model, Stands};
use super::world::{
    KEYS, Rng, at, entry_in, for_each_seed, key, made, made_revocation, made_rotation, pattern, public, stamp,
};
use crate::authority::{
    Admission, Authority, AuthorityLimits, Authorization, Awaited, Op, Outcome, Standing, SystemItem,
};
use crate::item::{Grant, GrantDraft, GrantId, Item, Namespace, Ops, Quota, RevocationDraft, RootRotate, RotateDraft};
use crate::path::Subtree;

const PATTERNS: [&str; 8] = ["/**", "/a/**", "/a/*", "/a/b/**", "/a/b/c", "/*/b/**", "/b/**", "/a/**/c"];
const PATHS: [&str; 6] = ["/a", "/a/b", "/a/b/c", "/b/b/c", "/a/x/c", "/c"];
const SUBTREES: [&str; 5] = ["", "/a", "/a/b", "/b", "/a/b/c"];

/// Makes objects that mostly fit together.
struct Historian<'a> {
    rng: &'a mut Rng,
    namespace: Namespace,
    grants: Vec<Grant>,
    rotations: Vec<RootRotate>,
}

impl Historian<'_> {
    fn history(mut self) -> Vec<SystemItem> {
        let mut items = Vec::new();
        for _ in 0..8 + self.rng.below(30) {
            let item = match self.rng.below(10) {
                0 => self.rotation().into(),
                1..=3 => self.revocation(),
                _ => self.grant().into(),
            };
            items.push(item);
        }
        items
    }

    /// Seldom a key that fits only by chance.
    fn mostly(&mut self, fitting: PublicKey) -> PublicKey {
        if self.rng.chance(92) { fitting } else { public(self.rng.key()) }
    }

    fn grant(&mut self) -> Grant {
        let above = self.rng.pick(&self.grants).cloned().filter(|_| self.rng.chance(70));
        let root = self.some_root();
        let issuer = self.mostly(above.as_ref().map_or(root, |above| *above.audience()));
        let depth = above.as_ref().map_or(7, |above| above.fields().depth.saturating_sub(1));
        let window = |rng: &mut Rng, from| rng.chance(20).then(|| at(from + rng.below(60)));
        let draft = GrantDraft {
            namespace: self.namespace.id(),
            parent: above.as_ref().map(Grant::id),
            issuer,
            audience: public(self.rng.key()),
            pattern: pattern(self.rng.pick(&PATTERNS).unwrap()),
            ops: *self.rng.pick(&[Ops::Write, Ops::ReadWrite, Ops::ReadWrite, Ops::Read]).unwrap(),
            depth: if self.rng.chance(90) { depth } else { self.rng.below(8) as u8 },
            not_before: window(self.rng, 0),
            not_after: window(self.rng, 60),
            quota: Quota::NONE,
            stamp: stamp(self.rng.below(100)),
        };
        let grant = made(&draft);
        self.grants.push(grant.clone());
        grant
    }

    fn some_root(&mut self) -> PublicKey {
        let rotated = self.rng.pick(&self.rotations).filter(|_| self.rng.chance(50));
        let roots = rotated.map_or(self.namespace.roots(), |rotation| &rotation.fields().roots);
        *self.rng.pick(roots).unwrap()
    }

    fn revocation(&mut self) -> SystemItem {
        let target = self.rng.pick(&self.grants).cloned();
        let root = self.some_root();
        let issuer = target.as_ref().map_or(root, |target| *target.issuer());
        let fitting = if self.rng.chance(40) { issuer } else { root };
        let revoker = if self.rng.chance(70) { fitting } else { public(self.rng.key()) };
        let grant = target.map_or(GrantId::from_bytes([9; 32]), |target| target.id());
        let stamp = stamp(self.rng.below(100));
        SystemItem::Revocation(made_revocation(&RevocationDraft {
            namespace: self.namespace.id(),
            grant,
            revoker,
            stamp,
        }))
    }

    fn rotation(&mut self) -> RootRotate {
        let before = self.rng.pick(&self.rotations).cloned().filter(|_| self.rng.chance(70));
        let previous = before.as_ref().map_or(Hash::from(self.namespace.id()), |before| before.id().into());
        let index = before.as_ref().map_or(0, |before| before.fields().index) + 1;
        let mut keys: Vec<u8> = (0..KEYS).collect();
        self.rng.shuffle(&mut keys);
        let (roots, others) = keys.split_at(1 + self.rng.below(2) as usize);
        let mut roots: Vec<PublicKey> = roots.iter().map(|n| public(*n)).collect();
        roots.sort_unstable();
        let retired = others.iter().take(self.rng.below(3) as usize);
        let retired: BTreeMap<_, _> = retired.map(|n| (public(*n), stamp(self.rng.below(100)))).collect();
        let draft = RotateDraft {
            namespace: self.namespace.id(),
            index: if self.rng.chance(95) { index } else { self.rng.below(4) + 1 },
            previous,
            roots,
            retired,
            stamp: stamp(self.rng.below(5)),
        };
        let signers: Vec<u8> = (0..KEYS).filter(|_| self.rng.chance(85)).collect();
        let rotation = made_rotation(&draft, if signers.is_empty() { &[0] } else { &signers });
        self.rotations.push(rotation.clone());
        rotation
    }
}

fn history(rng: &mut Rng) -> (Namespace, Vec<SystemItem>) {
    let roots = 1 + rng.below(3) as u8;
    let namespace = Namespace::new("test", (0..roots).map(public)).unwrap();
    let items = Historian { rng, namespace: namespace.clone(), grants: Vec::new(), rotations: Vec::new() }.history();
    (namespace, items)
}

fn live(authority: &Authority) -> BTreeSet<GrantId> {
    authority.grants().map(|grant| grant.id()).filter(|id| authority.is_live_grant(*id)).collect()
}

/// Offers one item and holds what is said to have changed against what did.
fn offer(authority: &mut Authority, item: &SystemItem) -> Admission {
    let (live_before, known) = (live(authority), authority.grants().count());
    let (keys, retired) = (authority.roots().keys().to_vec(), authority.roots().retired().clone());
    let admission = authority.admit(item.clone());
    let live_after = live(authority);
    if let Admission::Added(effects) = &admission {
        let mut revived: Vec<_> = live_after.difference(&live_before).copied().collect();
        if let SystemItem::Grant(grant) = item {
            revived.retain(|id| *id != grant.id());
        }
        assert_eq!(effects.revived, revived);
        assert_eq!(effects.killed, live_before.difference(&live_after).copied().collect::<Vec<_>>());
        let roots = authority.roots();
        assert_eq!(effects.roots_changed, (roots.keys(), roots.retired()) != (&keys[..], &retired));
    } else {
        assert_eq!((live_before, known), (live_after, authority.grants().count()), "only what is added has effects");
    }
    admission
}

/// Offers everything in random order, much of it twice; what waits or may be admitted later is offered again.
fn admit_all(rng: &mut Rng, namespace: &Namespace, items: &[SystemItem]) -> Authority {
    let mut authority = Authority::new(namespace.clone(), AuthorityLimits::default());
    let mut offered: Vec<SystemItem> = items.to_vec();
    offered.extend(items.iter().filter(|_| rng.chance(30)).cloned());
    rng.shuffle(&mut offered);
    let mut queue: VecDeque<SystemItem> = offered.into();
    let mut idle = 0;
    while let Some(item) = queue.pop_front() {
        match offer(&mut authority, &item) {
            Admission::Added(_) => idle = 0,
            Admission::Known => {}
            Admission::Waiting(awaited) => {
                assert!(!is_known(&authority, awaited), "{item:?} waits for what is there");
                queue.push_back(item);
                idle += 1;
            }
            Admission::Refused(refusal) if !refusal.is_final() => {
                queue.push_back(item);
                idle += 1;
            }
            Admission::Refused(_) => {}
            Admission::Full => panic!("there is room"),
        }
        if idle > queue.len() {
            break;
        }
    }
    authority
}

/// What a store would give back: by id, whatever its kind.
fn restored(authority: &Authority) -> Authority {
    let mut items: Vec<SystemItem> = authority.grants().map(|grant| SystemItem::Grant(Grant::clone(grant))).collect();
    items.extend(authority.revocations().cloned().map(SystemItem::from));
    items.extend(authority.rotations().cloned().map(SystemItem::from));
    items.sort_by_key(|item| Item::from(item.clone()).id_bytes());
    Authority::restore(authority.namespace().clone(), authority.limits(), items).unwrap()
}

fn is_known(authority: &Authority, awaited: Awaited) -> bool {
    match awaited {
        Awaited::Grant(grant) => authority.grant(&grant).is_some(),
        Awaited::Rotation(rotation) => authority.rotations().any(|known| Hash::from(known.id()) == rotation),
    }
}

fn assert_same_set(authority: &Authority, model: &Model) {
    assert!(authority.grants().map(|grant| grant.id()).eq(model.grants.keys().copied()));
    assert!(authority.revocations().map(|revocation| revocation.id()).eq(model.revocations.keys().copied()));
    let rotations: BTreeSet<_> = authority.rotations().map(RootRotate::id).collect();
    assert!(rotations.iter().eq(model.rotations.keys()));
    for n in 0..KEYS {
        for cut in [0, 50, 100] {
            assert_eq!(authority.is_root(&public(n), stamp(cut)), model.trusted(&public(n), stamp(cut)));
        }
    }
    for grant in model.grants.keys() {
        assert_eq!(authority.is_live_grant(*grant), model.is_live(*grant));
        let dead_by_revocation = authority.revocation_of_chain(grant);
        assert!(!(authority.is_live_grant(*grant) && dead_by_revocation.is_some()));
    }
}

fn assert_same_check(rng: &mut Rng, authority: &Authority, model: &Model, made: &[GrantId]) {
    let author = rng.key();
    let own: Vec<GrantId> = authority.grants_to(&public(author)).map(|grant| grant.id()).collect();
    let mut leaves = BTreeSet::new();
    for _ in 0..rng.below(4) {
        let from = if rng.chance(90) { &own } else { made };
        leaves.extend(rng.pick(from));
    }
    let namespace = authority.namespace().id();
    let written = entry_in(namespace, author, rng.pick(&PATHS).unwrap(), leaves, rng.below(120));
    let standing = authority.check(&written);
    let stands = match &standing {
        Standing::Live => Stands::Live,
        Standing::Dead { .. } => Stands::Dead,
        Standing::Distrusted { .. } => Stands::Distrusted,
        Standing::Unauthorized(_) => Stands::Unauthorized,
        Standing::Waiting(_) => Stands::Waiting,
    };
    assert_eq!(stands, model.check(&written), "{written:?} is {standing:?}");
    if matches!(standing, Standing::Live | Standing::Dead { .. }) {
        let fast = authority.is_live(written.leaves(), written.author(), written.stamp());
        assert_eq!(fast, standing == Standing::Live);
    }
}

fn assert_same_answers(rng: &mut Rng, authority: &Authority, model: &Model) {
    let (path, time) = (key(rng.pick(&PATHS).unwrap()), at(rng.below(130)));
    let subtree: Subtree = rng.pick(&SUBTREES).unwrap().parse().unwrap();
    let op = if rng.chance(50) { Op::Read } else { Op::Write };
    let mut able = BTreeSet::new();
    for who in (0..KEYS).map(public) {
        let expected = model.authorize(&who, &path, op, time);
        let found = authority.authorize(&who, &path, op, time);
        let leaves = match found.clone() {
            Ok(Authorization::Root) => Some(Vec::new()),
            Ok(Authorization::Grants(leaves)) => Some(leaves),
            Ok(Authorization::Public) => panic!("nothing is public"),
            Err(_) => None,
        };
        assert_eq!(leaves, expected, "{op} {path} {time:?}");
        if leaves.is_some() {
            able.insert(who);
        }
        let may_read = authority.may_read(Some(&who), &subtree, time);
        assert_eq!(may_read, model.may_read(&who, &subtree, time), "{subtree:?} {time:?}");
        let explanation = authority.explain(&who, &path, op, time);
        assert_eq!(explanation.is_allowed(), found.is_ok());
        if let Outcome::Denied { reason, misses, omitted } = explanation.outcome {
            assert_eq!(misses.len() + omitted, authority.grants_to(&who).count());
            assert_eq!(Err(reason.clone()), found);
            assert!(misses.first().is_none_or(|miss| miss.reason == reason), "the reason is the nearest miss");
        }
    }
    let listed: Vec<PublicKey> = authority.who_can(&path, op, time).into_iter().map(|(who, _)| who).collect();
    assert_eq!(listed.len(), able.len(), "each once");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), able);
}

#[test]
fn any_order_of_any_history_gives_what_the_definition_says() {
    let (mut dead, mut total) = (0, 0);
    for_each_seed(3_000, |rng| {
        let (namespace, items) = history(rng);
        let authority = admit_all(rng, &namespace, &items);
        let model = Model::new(namespace, &items);
        assert_same_set(&authority, &model);
        assert_same_set(&restored(&authority), &model);
        let made = items.iter().filter_map(|item| match item {
            SystemItem::Grant(grant) => Some(grant.id()),
            _ => None,
        });
        let made: Vec<GrantId> = made.collect();
        for _ in 0..20 {
            assert_same_check(rng, &authority, &model, &made);
        }
        for _ in 0..2 {
            assert_same_answers(rng, &authority, &model);
        }
        total += model.grants.len();
        dead += model.grants.len() - live(&authority).len();
    });
    if std::env::var("SEED").is_err() {
        assert!(
            dead > total / 10 && dead < total * 9 / 10,
            "{dead} of {total} grants are dead: the histories say little"
        );
    }
}
