//! Admission: what may join the system set, and what that changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::chain::{Chain, Held, Revoked};
use super::roots::Judgement;
use super::{Admission, Authority, AuthorityLimits, Awaited, Effects, Refusal, SystemItem};
use crate::item::{Grant, GrantId, Revocation, RootRotate};

impl Authority {
    /// Offers an object whose signatures the caller verified: of a rotation, all of them.
    ///
    /// Which objects are admitted in the end does not depend on the order in which they come, provided that those that
    /// [wait](Admission::Waiting), and those that are [not refused for good](Refusal::is_final), are offered again. Rotations are
    /// best offered first. The cost is that of the chain, and, for a revocation, of the grants under what it revokes; a rotation
    /// that changes the roots looks at all grants.
    pub fn admit(&mut self, item: SystemItem) -> Admission {
        let found = item.namespace();
        if found != self.namespace.id() {
            return Admission::Refused(Refusal::OtherNamespace { found });
        }
        match item {
            SystemItem::Grant(grant) => self.admit_grant(grant),
            SystemItem::Revocation(revocation) => self.admit_revocation(revocation),
            SystemItem::RootRotate(rotation) => self.admit_rotation(rotation),
        }
    }

    fn admit_grant(&mut self, grant: Grant) -> Admission {
        let id = grant.id();
        if self.grants.contains_key(&id) {
            return Admission::Known;
        }
        let above = match grant.parent() {
            Some(parent) => match self.grants.get(&parent) {
                Some(above) => Some(above),
                None => return Admission::Waiting(Awaited::Grant(parent)),
            },
            None => None,
        };
        if let Err(refusal) = self.judge_grant(&grant, above) {
            return Admission::Refused(refusal);
        }
        let by_root = above.is_none() && self.is_root(grant.issuer(), grant.fields().stamp);
        if !AuthorityLimits::admits(self.grants.len(), self.limits.grants_max, by_root) {
            return Admission::Full;
        }
        let grant = Arc::new(grant);
        let chain = Chain::new(Arc::clone(&grant), above.map(Held::chain));
        let revoked = Revoked {
            itself: self.revocations_of(&id).any(|revocation| self.counts(revocation, &chain)),
            above: above.map_or(0, |above| above.revoked.above + usize::from(above.revoked.itself)),
        };
        let anchored = self.is_anchored(&chain);
        self.by_audience.get_or_default(*grant.audience()).insert(id);
        let parent = grant.parent();
        let mut held = Held::new(grant, chain, revoked, anchored);
        if let Some(above) = parent.and_then(|parent| self.grants.get_mut(&parent)) {
            held.next_sibling = above.first_child.replace(id);
        }
        self.grants.insert(id, held);
        Admission::Added(Effects::default())
    }

    fn judge_grant(&self, grant: &Grant, above: Option<&Held>) -> Result<(), Refusal> {
        let Some(above) = above.map(Held::grant) else {
            let issuer = *grant.issuer();
            return if self.was_root(&issuer) { Ok(()) } else { Err(Refusal::NotRoot { issuer }) };
        };
        let (parent, audience, issuer) = (above.id(), *above.audience(), *grant.issuer());
        if audience != issuer {
            return Err(Refusal::NotAudience { parent, audience, issuer });
        }
        let (held, found) = (above.fields().depth, grant.fields().depth);
        // Depths fall strictly from less than `CHAIN_LEN_MAX`, so no chain is longer than that.
        if found >= held {
            return Err(Refusal::Depth { parent, held, found });
        }
        Ok(())
    }

    fn admit_revocation(&mut self, revocation: Revocation) -> Admission {
        let (id, grant, revoker) = (revocation.id(), revocation.grant(), *revocation.revoker());
        if self.revocations.contains_key(&id) {
            return Admission::Known;
        }
        let held = self.grants.get(&grant);
        if !self.was_root(&revoker) {
            match held {
                None => return Admission::Waiting(Awaited::Grant(grant)),
                Some(held) if held.chain().has_issuer(&revoker) => {}
                Some(_) => return Admission::Refused(Refusal::NotRevoker { grant, revoker }),
            }
        }
        let by_root = self.is_root(&revoker, revocation.stamp());
        if !AuthorityLimits::admits(self.revocations.len(), self.limits.revocations_max, by_root) {
            return Admission::Full;
        }
        let ends = held.is_some_and(|held| !held.revoked.itself && self.counts(&revocation, held.chain()));
        self.revocations.insert(id, revocation);
        self.by_target.get_or_default(grant).insert(id);
        let killed = if ends { self.end(grant) } else { Vec::new() };
        Admission::Added(Effects { killed, ..Effects::default() })
    }

    /// Whether a revocation of the last link of `chain` has an effect.
    pub(super) fn counts(&self, revocation: &Revocation, chain: &Chain) -> bool {
        chain.has_issuer(revocation.revoker()) || self.is_root(revocation.revoker(), revocation.stamp())
    }

    fn is_anchored(&self, chain: &Chain) -> bool {
        chain.anchor().is_some_and(|first| self.is_root(first.issuer(), first.fields().stamp))
    }

    /// Marks a grant as revoked; gives all that died of it, ascending.
    fn end(&mut self, grant: GrantId) -> Vec<GrantId> {
        let mut killed = Vec::new();
        for id in self.family(grant) {
            let Some(held) = self.grants.get_mut(&id) else { continue };
            if held.is_live() {
                killed.push(id);
            }
            if id == grant {
                held.revoked.itself = true;
            } else {
                held.revoked.above += 1;
            }
        }
        killed.sort_unstable();
        killed
    }

    fn admit_rotation(&mut self, rotation: RootRotate) -> Admission {
        if self.lineage.contains(&rotation) {
            return Admission::Known;
        }
        match self.lineage.judge(&rotation) {
            Err(Judgement::Waiting(awaited)) => return Admission::Waiting(awaited),
            Err(Judgement::Refused(refusal)) => return Admission::Refused(refusal),
            Ok(()) => {}
        }
        if self.lineage.len() >= self.limits.rotations_max {
            return Admission::Full;
        }
        let roots_changed = Arc::make_mut(&mut self.lineage).add(rotation);
        let effects = if roots_changed { self.reassess() } else { Effects::default() };
        Admission::Added(Effects { roots_changed, ..effects })
    }

    /// Works out anew which grants are alive.
    fn reassess(&mut self) -> Effects {
        let targets = self.by_target.keys().copied();
        let revoked: BTreeSet<GrantId> = targets.filter(|grant| self.revocation_of_link(grant).is_some()).collect();
        let mut effects = Effects::default();
        for (id, held) in self.grants.iter_mut() {
            let was_live = held.is_live();
            held.revoked.itself = revoked.contains(id);
            let above = held.chain().links().iter().skip(1);
            held.revoked.above = above.filter(|link| revoked.contains(&link.id())).count();
            let first = held.chain().anchor();
            let roots = self.lineage.current();
            held.anchored = first.is_some_and(|first| roots.trusts(first.issuer(), first.fields().stamp));
            match (was_live, held.is_live()) {
                (true, false) => effects.killed.push(*id),
                (false, true) => effects.revived.push(*id),
                _ => {}
            }
        }
        effects
    }
}
