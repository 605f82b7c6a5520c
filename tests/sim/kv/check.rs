//! What must hold at honest nodes, at any time and in the end.

use std::collections::BTreeMap;
use std::rc::Rc;

use syncline_crypto::PublicKey;
use syncline_kv::tree::KvError;
use syncline_kv::{Entry, GrantId, Item, Key};
use syncline_testkit::cluster::Check;

use super::node::Peer;
use super::oracle::is_due;
use super::world::{SKEW, World, place_of};

/// After how many checks of what has changed everything is looked at.
const THOROUGH: u64 = 64;

/// Whether all honest nodes have the same, and nothing that was acknowledged is missing.
pub(crate) fn agree(world: &World, peers: &[&Rc<Peer>]) -> Result<(), String> {
    let Some(first) = peers.first() else { return Ok(()) };
    let root = first.tree.root().map_err(|err| err.to_string())?;
    let latest = first.latest().map_err(|err| err.to_string())?;
    for peer in peers {
        let (id, other) = (peer.context.id(), peer.tree.root().map_err(|err| err.to_string())?);
        if (root.hash, root.entries, root.system) != (other.hash, other.entries, other.system) {
            return Err(format!(
                "n0 has {} + {} items, {id} {} + {} or others",
                root.system, root.entries, other.system, other.entries
            ));
        }
        if peer.latest().map_err(|err| err.to_string())? != latest {
            return Err(format!("{id} has the same root as n0, and other values"));
        }
    }
    let revocations = first.revocations();
    let authority = first.tree.authority();
    for (node, memory) in world.memory.borrow().iter().enumerate() {
        for item in &memory.system {
            let is_here = match item {
                Item::Grant(grant) => authority.grant(&grant.id()).is_some(),
                Item::Revocation(revocation) => authority.revocation(&revocation.id()).is_some(),
                _ => true,
            };
            if !is_here {
                return Err(format!("{item:?}, which n{node} acknowledged, is nowhere"));
            }
        }
        for entry in memory.acknowledged.values() {
            let oracle = world.oracle.borrow();
            let is_excused = !oracle.is_live(entry, &revocations) || !oracle.quotas(entry).is_empty();
            let found = latest.iter().find(|found| found.key() == entry.key());
            if !is_excused && found.is_none_or(|found| found.order() < entry.order()) {
                return Err(format!("{entry:?}, which n{node} acknowledged, is lost: {found:?}"));
            }
        }
    }
    Ok(())
}

impl Peer {
    /// Something that was acknowledged and is not here any more, without a reason.
    pub(crate) fn lost(&self) -> Option<String> {
        if let Err(what) = self.learn() {
            return Some(what);
        }
        let memory = self.world.memory.borrow();
        let memory = memory.get(self.context.id().index())?;
        let authority = self.tree.authority();
        for item in &memory.system {
            let is_here = match item {
                Item::Grant(grant) => authority.grant(&grant.id()).is_some(),
                Item::Revocation(revocation) => authority.revocation(&revocation.id()).is_some(),
                _ => true,
            };
            if !is_here {
                return Some(format!("{item:?} was acknowledged and is lost"));
            }
        }
        let revocations = self.revocations();
        let oracle = self.world.oracle.borrow();
        for (place, entry) in &memory.acknowledged {
            let kept = self.tree.history(entry.key()).ok()?;
            let is_kept = kept.iter().any(|kept| place_of(kept) == *place && kept.order() >= entry.order());
            if !is_kept && oracle.is_live(entry, &revocations) && oracle.quotas(entry).is_empty() {
                return Some(format!("{entry:?} was acknowledged and is lost"));
            }
        }
        None
    }

    /// Looks at what changed, and now and then at everything.
    pub(crate) fn check(&self, check: Check) -> Result<(), String> {
        let Some(changed) = self.changes.take() else {
            return if check == Check::All { self.check_all() } else { Ok(()) };
        };
        self.checks.set(self.checks.get() + 1);
        let is_thorough = check == Check::All || self.checks.get().is_multiple_of(THOROUGH);
        if is_thorough {
            return self.check_all();
        }
        if changed.authority || changed.lagged {
            return self.check_values();
        }
        let revocations = self.revocations();
        for key in &changed.keys {
            // A disk that cannot be read is no proof of anything.
            let Ok(history) = self.tree.history(key) else { return Ok(()) };
            self.judge_key(key, &history, &revocations)?;
        }
        Ok(())
    }

    /// Tells the oracle what was granted and revoked as far as this node knows, whether that was acknowledged or not.
    fn learn(&self) -> Result<(), String> {
        let (authority, mut oracle) = (self.tree.authority(), self.world.oracle.borrow_mut());
        authority.grants().try_for_each(|grant| oracle.learn(&Item::Grant((**grant).clone())))?;
        authority.revocations().try_for_each(|revocation| oracle.learn(&Item::Revocation(revocation.clone())))
    }

    fn check_values(&self) -> Result<(), String> {
        self.learn()?;
        let Ok(latest) = self.latest() else { return Ok(()) };
        let revocations = self.revocations();
        latest.iter().try_for_each(|entry| self.judge(entry, &revocations))
    }

    fn check_all(&self) -> Result<(), String> {
        match self.tree.check() {
            Err(KvError::Corrupt(what)) => return Err(format!("the tree does not hold together: {what}")),
            Err(KvError::Index(what)) if !what.to_string().contains("database") => {
                return Err(format!("the tree does not hold together: {what}"));
            }
            Err(_) => return Ok(()),
            Ok(()) => {}
        }
        self.learn()?;
        let revocations = self.revocations();
        let Ok(latest) = self.latest() else { return Ok(()) };
        let mut used: BTreeMap<GrantId, (u64, u64)> = BTreeMap::new();
        for entry in &latest {
            let Ok(history) = self.tree.history(entry.key()) else { return Ok(()) };
            self.judge_key(entry.key(), &history, &revocations)?;
            for kept in &history {
                for grant in self.world.oracle.borrow().quotas(kept) {
                    let used = used.entry(grant).or_default();
                    *used = (used.0 + 1, used.1 + kept.encoded().len() as u64);
                }
            }
        }
        for (grant, (entries, bytes)) in used {
            let oracle = self.world.oracle.borrow();
            let Some(quota) = oracle.grants.get(&grant).map(|grant| grant.fields().quota) else { continue };
            if quota.entries.is_some_and(|max| entries > max) || quota.bytes.is_some_and(|max| bytes > max) {
                return Err(format!(
                    "there are {entries} entries of {bytes} bytes under {grant}, which allows {quota:?}"
                ));
            }
        }
        Ok(())
    }

    fn judge_key(
        &self,
        key: &Key,
        history: &[Entry],
        revocations: &BTreeMap<GrantId, Vec<PublicKey>>,
    ) -> Result<(), String> {
        history.iter().try_for_each(|entry| self.judge(entry, revocations))?;
        let Ok(visible) = self.tree.get(key) else { return Ok(()) };
        let expected = history.iter().max_by_key(|entry| entry.order()).filter(|entry| !entry.is_tombstone());
        if visible.as_ref() == expected {
            Ok(())
        } else {
            Err(format!("{key} is {visible:?}, and should be {expected:?}"))
        }
    }

    /// Whether an entry that counts here may.
    fn judge(&self, entry: &Entry, revocations: &BTreeMap<GrantId, Vec<PublicKey>>) -> Result<(), String> {
        let mut oracle = self.world.oracle.borrow_mut();
        oracle.is_sound(entry).map_err(|why| format!("{entry:?} counts, and {why}"))?;
        if !oracle.is_live(entry, revocations) {
            return Err(format!("{entry:?} counts, and its grants are revoked"));
        }
        let latest = self.world.memory.borrow()[self.context.id().index()].clock.latest();
        if !is_due(entry, latest, u64::try_from(SKEW.as_millis()).unwrap_or(u64::MAX)) {
            return Err(format!("{entry:?} counts, and the clock never showed more than {latest:?}"));
        }
        Ok(())
    }
}
