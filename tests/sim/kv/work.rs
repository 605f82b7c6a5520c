//! What people do on honest nodes.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use syncline_core::clock::{Clock, Hlc, Timestamp};
use syncline_crypto::{PublicKey, Signer};
use syncline_kv::item::{EntryDraft, GrantDraft, Leaves, Ops, Quota, Value};
use syncline_kv::tree::KvError;
use syncline_kv::{Entry, Grant, GrantId, Item, Key, NamespaceId, Pattern, Verdict};
use syncline_testkit::cluster::NodeId;
use syncline_testkit::seed::Rng;

use super::node::Peer;
use super::world::{PATTERNS, Person, World};

/// Grants and revocations of a run.
const GRANTS_MAX: usize = 60;
const REVOCATIONS_MAX: usize = 24;

/// Does some things, and says what.
pub(crate) fn some(peer: &Rc<Peer>, rng: &mut Rng) -> String {
    let most = if rng.chance(1, 8) { 12 } else { 4 };
    let count = 1 + rng.below(most);
    let done: Vec<String> = (0..count).map(|_| step(peer, rng)).collect();
    done.join("; ")
}

fn step(peer: &Rc<Peer>, rng: &mut Rng) -> String {
    let world = &peer.world;
    match rng.below(100) {
        0..45 => {
            let person = somebody_here(peer, rng);
            let key = rng.pick(&world.keys).expect("keys").clone();
            if rng.chance(1, 6) { delete(peer, &person, &key) } else { put(peer, &person, &key, rng) }
        }
        45..60 => grant_by_root(peer, rng),
        60..70 => grant_on(peer, rng),
        70..76 => grant_too_much(peer, rng),
        76..84 => revoke(peer, rng),
        84..90 => write_ahead(peer, rng),
        90..94 => {
            mistake_the_time(world, peer.context.id(), rng);
            "looks at another clock".into()
        }
        _ if world.setting.pauses => {
            let until = peer.context.clock().now() + Duration::from_millis(rng.below(20_000));
            peer.paused_until.store(until.as_millis(), Ordering::SeqCst);
            format!("pauses until {until:?}")
        }
        _ => "does nothing".into(),
    }
}

/// Sets the clock of a node as wrong as may be.
pub(crate) fn mistake_the_time(world: &World, id: NodeId, rng: &mut Rng) {
    let max = world.setting.clock_error_max;
    let millis = i64::try_from(rng.below(2 * max + 1)).unwrap_or_default() - i64::try_from(max).unwrap_or_default();
    if !world.is_calm.get() {
        world.memory.borrow()[id.index()].clock.set(millis);
    }
}

/// Roots live on the first two nodes, and everybody else at home.
fn somebody_here(peer: &Peer, rng: &mut Rng) -> Person {
    let (world, index) = (&peer.world, peer.context.id().index());
    match world.roots.get(index) {
        Some(root) if rng.chance(1, 3) => root.clone(),
        _ => world.people[index].clone(),
    }
}

fn told<T>(result: Result<T, KvError>, what: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(done) => what(done),
        Err(err) => err.to_string(),
    }
}

fn short(id: impl AsRef<[u8]>) -> String {
    id.as_ref().iter().take(2).map(|byte| format!("{byte:02x}")).collect()
}

fn put(peer: &Peer, person: &Person, key: &Key, rng: &mut Rng) -> String {
    let len = if rng.chance(1, 10) { rng.index(3_000) } else { rng.index(40) };
    let value = rng.bytes(len);
    told(peer.tree.put(peer.wall.now(), person, key, &value[..]), |entry| acknowledged(peer, key, &entry))
}

fn delete(peer: &Peer, person: &Person, key: &Key) -> String {
    told(peer.tree.delete(peer.wall.now(), person, key), |entry| acknowledged(peer, key, &entry))
}

fn acknowledged(peer: &Peer, key: &Key, entry: &Entry) -> String {
    peer.world.acknowledge(peer.context.id(), entry);
    // What was written here cannot be overtaken before it was written.
    if let Ok(latest) = peer.tree.latest(key)
        && latest.as_ref().is_none_or(|latest| latest.order() < entry.order())
    {
        peer.context.journal().breach(format!("{entry:?} was put, and {key} is {latest:?}"));
    }
    format!("writes {key} {}", short(entry.id().as_bytes()))
}

pub(crate) fn draft(
    namespace: NamespaceId,
    issuer: PublicKey,
    audience: PublicKey,
    pattern: &str,
    at: Hlc,
) -> GrantDraft {
    GrantDraft {
        namespace,
        parent: None,
        issuer,
        audience,
        pattern: Pattern::new(pattern).expect("a pattern"),
        ops: Ops::Write,
        depth: 3,
        not_before: None,
        not_after: None,
        quota: Quota::NONE,
        stamp: at,
    }
}

fn random_draft(peer: &Peer, issuer: PublicKey, rng: &mut Rng) -> Option<GrantDraft> {
    let world = &peer.world;
    if world.oracle.borrow().grants.len() >= GRANTS_MAX {
        return None;
    }
    let audience = world.people[rng.index(world.people.len())].public_key();
    let now = peer.wall.now();
    let stamp = peer.tree.stamp(now).ok()?;
    let mut draft = draft(world.namespace.id(), issuer, audience, rng.pick(PATTERNS)?, stamp);
    draft.depth = u8::try_from(rng.below(4)).unwrap_or_default();
    if rng.chance(1, 8) && draft.pattern.as_subtree().is_some() {
        draft.ops = *rng.pick(&[Ops::ReadWrite, Ops::Read])?;
    }
    if rng.chance(1, 4) {
        draft.not_after = Some(now + Duration::from_secs(30 + rng.below(600)));
    }
    if rng.chance(1, 8) {
        draft.not_before = Some(now + Duration::from_secs(rng.below(120)));
        draft.not_after = draft.not_after.max(draft.not_before);
    }
    if rng.chance(1, 4) {
        draft.quota.entries = Some(1 + rng.below(4));
    }
    if rng.chance(1, 10) {
        draft.quota.bytes = Some(500 + rng.below(3_000));
    }
    Some(draft)
}

fn granted(peer: &Peer, result: Result<Grant, KvError>) -> String {
    told(result, |grant| {
        peer.world.acknowledge_system(peer.context.id(), grant.clone());
        format!("grants {}: {}", short(grant.id().as_bytes()), grant.pattern())
    })
}

fn grant_by_root(peer: &Peer, rng: &mut Rng) -> String {
    let Some(root) = peer.world.roots.get(peer.context.id().index()).cloned() else { return "is no root".into() };
    let Some(draft) = random_draft(peer, root.public_key(), rng) else { return "has granted enough".into() };
    granted(peer, peer.tree.grant(peer.wall.now(), &root, draft))
}

/// Passes a grant on, through the checks.
fn grant_on(peer: &Peer, rng: &mut Rng) -> String {
    let Some((person, parent)) = own_grant(peer, rng) else { return "has no grant".into() };
    let Some(mut draft) = random_draft(peer, person.public_key(), rng) else { return "has granted enough".into() };
    draft.parent = Some(parent.id());
    draft.depth = parent.fields().depth.saturating_sub(1);
    if rng.chance(2, 3) {
        draft.pattern = parent.pattern().clone();
    }
    granted(peer, peer.tree.grant(peer.wall.now(), &person, draft))
}

fn own_grant(peer: &Peer, rng: &mut Rng) -> Option<(Person, Grant)> {
    let person = peer.world.people[peer.context.id().index()].clone();
    let authority = peer.tree.authority();
    let own: Vec<Grant> = authority.grants_to(&person.public_key()).map(|grant| (**grant).clone()).collect();
    Some((person, rng.pick(&own)?.clone()))
}

/// Passes on more than there is, by hand, and writes what that does not allow.
fn grant_too_much(peer: &Peer, rng: &mut Rng) -> String {
    let Some((person, parent)) = own_grant(peer, rng) else { return "has no grant".into() };
    let Some(mut draft) = random_draft(peer, person.public_key(), rng) else { return "has granted enough".into() };
    let Some(depth) = parent.fields().depth.checked_sub(1) else { return "may not pass it on".into() };
    (draft.parent, draft.depth, draft.pattern, draft.ops) = (Some(parent.id()), depth, Pattern::all(), Ops::Write);
    draft.audience = person.public_key();
    let Ok(grant) = draft.sign(&*person) else { return "cannot sign".into() };
    peer.world.learn(grant.clone());
    let Ok(stamp) = peer.tree.stamp(peer.wall.now()) else { return "has no time".into() };
    let key = rng.pick(&peer.world.keys).expect("keys").clone();
    let Some(entry) = entry(peer, &person, &key, stamp, [grant.id()]) else { return "cannot sign".into() };
    told(peer.tree.apply(peer.wall.now(), vec![Item::Entry(entry), Item::Grant(grant)]), |verdicts| {
        format!("grants too much, and writes {key}: {verdicts:?}")
    })
}

fn entry(
    peer: &Peer,
    person: &Person,
    key: &Key,
    stamp: Hlc,
    leaves: impl IntoIterator<Item = GrantId>,
) -> Option<Entry> {
    let draft = EntryDraft {
        namespace: peer.world.namespace.id(),
        key: key.clone(),
        value: Value::from(&b"by hand"[..]),
        stamp,
        author: person.public_key(),
        leaves: Leaves::new(leaves).ok()?,
        previous: None,
    };
    let entry = draft.sign(&**person).ok()?;
    peer.world.learn(entry.clone());
    Some(entry)
}

fn revoke(peer: &Peer, rng: &mut Rng) -> String {
    let person = somebody_here(peer, rng);
    let authority = peer.tree.authority();
    if authority.revocations().count() >= REVOCATIONS_MAX {
        return "has revoked enough".into();
    }
    // The founding grants stay, so that everybody may read.
    let grants: Vec<GrantId> = authority
        .grants()
        .filter(|grant| grant.fields().ops != Ops::Read && authority.is_live_grant(grant.id()))
        .map(|grant| grant.id())
        .collect();
    let Some(grant) = rng.pick(&grants).copied() else { return "knows no grant".into() };
    revoke_one(peer, &person, grant)
}

/// Revokes a grant, and looks whether what was there is gone.
pub(crate) fn revoke_one(peer: &Peer, person: &Person, grant: GrantId) -> String {
    let (before, id) = (peer.latest().unwrap_or_default(), peer.context.id());
    told(peer.tree.revoke(peer.wall.now(), person, grant), |revoked| {
        peer.world.acknowledge_system(id, revoked.revocation.clone());
        for tombstone in &revoked.tombstones {
            peer.world.acknowledge(id, tombstone);
        }
        let revocations = peer.revocations();
        let is_unset = peer.world.setting.on_revoke == syncline_kv::item::OnRevoke::Unset;
        for gone in before.iter().filter(|entry| !peer.world.oracle.borrow().is_live(entry, &revocations)) {
            let Ok(latest) = peer.tree.latest(gone.key()) else { continue };
            // What comes back was written before what has just been unset.
            let is_back = latest.is_some_and(|latest| latest.order() < gone.order());
            if is_unset && is_back && !revoked.not_unset.contains(gone.key()) {
                peer.context.journal().breach(format!("{} was unset, and an older value came back", gone.key()));
            }
        }
        format!("revokes {}, which unsets {}", short(grant.as_bytes()), revoked.tombstones.len())
    })
}

/// Writes something by hand that is stamped ahead of this node's clock.
fn write_ahead(peer: &Peer, rng: &mut Rng) -> String {
    let (now, key) = (peer.wall.now(), rng.pick(&peer.world.keys).expect("keys").clone());
    let person = somebody_here(peer, rng);
    let root = peer.world.namespace.roots().contains(&person.public_key());
    let leaf = if root { None } else { own_grant(peer, rng).map(|(_, grant)| grant.id()) };
    if !root && leaf.is_none() {
        return "has no grant".into();
    }
    let ahead = Duration::from_millis(rng.below(180_000));
    let stamp = Hlc::new(Timestamp::from_millis(now.as_millis()) + ahead, 0);
    let Some(entry) = entry(peer, &person, &key, stamp, leaf) else { return "cannot sign".into() };
    told(peer.tree.apply(now, vec![Item::Entry(entry.clone())]), |verdicts| {
        if verdicts.first().is_some_and(Verdict::is_stored) {
            peer.world.acknowledge(peer.context.id(), &entry);
        }
        format!("writes {key} {ahead:?} ahead: {:?}", verdicts.first())
    })
}
