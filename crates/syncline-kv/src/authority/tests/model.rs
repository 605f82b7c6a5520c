//! The written definition, worked out anew for each question, with nothing kept.

use std::collections::BTreeMap;

use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::{Hash, PublicKey};

use crate::authority::{Op, SystemItem};
use crate::item::{Entry, Grant, GrantId, Namespace, Ops, Revocation, RevocationId, RootRotate, RotationId};
use crate::path::{Key, Subtree};

/// What is admitted.
pub(super) struct Model {
    pub(super) namespace: Namespace,
    pub(super) grants: BTreeMap<GrantId, Grant>,
    pub(super) revocations: BTreeMap<RevocationId, Revocation>,
    pub(super) rotations: BTreeMap<RotationId, RootRotate>,
}

/// Where an entry stands, without reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    Live,
    Dead,
    Distrusted,
    Unauthorized,
    Waiting,
}

impl Model {
    /// Admits of `offered` all that can be: whatever the rules let in, until they let nothing more in.
    pub(super) fn new(namespace: Namespace, offered: &[SystemItem]) -> Self {
        let (grants, revocations, rotations) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut model = Self { namespace, grants, revocations, rotations };
        loop {
            let before = (model.grants.len(), model.revocations.len(), model.rotations.len());
            for item in offered {
                match item {
                    SystemItem::Grant(grant) if model.admits_grant(grant) => {
                        model.grants.insert(grant.id(), grant.clone());
                    }
                    SystemItem::Revocation(revocation) if model.admits_revocation(revocation) => {
                        model.revocations.insert(revocation.id(), revocation.clone());
                    }
                    SystemItem::RootRotate(rotation) if model.admits_rotation(rotation) => {
                        model.rotations.insert(rotation.id(), rotation.clone());
                    }
                    _ => {}
                }
            }
            if before == (model.grants.len(), model.revocations.len(), model.rotations.len()) {
                return model;
            }
        }
    }

    fn admits_grant(&self, grant: &Grant) -> bool {
        match grant.parent() {
            None => self.ever(grant.issuer()),
            Some(parent) => self.grants.get(&parent).is_some_and(|parent| {
                parent.audience() == grant.issuer() && parent.fields().depth > grant.fields().depth
            }),
        }
    }

    fn admits_revocation(&self, revocation: &Revocation) -> bool {
        let issuers = self.chain(revocation.grant()).into_iter().map(|link| *link.issuer());
        self.ever(revocation.revoker()) || issuers.collect::<Vec<_>>().contains(revocation.revoker())
    }

    fn admits_rotation(&self, rotation: &RootRotate) -> bool {
        let fields = rotation.fields();
        let (index, roots) = if fields.previous == Hash::from(self.namespace.id()) {
            (0, self.namespace.roots().to_vec())
        } else {
            match self.rotations.get(&RotationId::from(fields.previous)) {
                Some(before) => (before.fields().index, before.fields().roots.clone()),
                None => return false,
            }
        };
        let signed = roots.iter().filter(|root| rotation.signatures().iter().any(|(signer, _)| signer == *root));
        fields.index == index + 1 && signed.count() >= roots.len().min(self.namespace.rotation_threshold().into())
    }

    fn ever(&self, key: &PublicKey) -> bool {
        self.namespace.roots().contains(key)
            || self
                .rotations
                .values()
                .map(RootRotate::fields)
                .any(|state| state.roots.contains(key) || state.retired.contains_key(key))
    }

    /// The last rotation that won.
    fn last(&self) -> Option<&RootRotate> {
        let mut last = None;
        let mut previous = Hash::from(self.namespace.id());
        loop {
            let next = self.rotations.values().filter(|rotation| rotation.fields().previous == previous);
            let Some(next) = next.min_by_key(|rotation| rotation.id()) else { return last };
            previous = next.id().into();
            last = Some(next);
        }
    }

    pub(super) fn trusted(&self, key: &PublicKey, stamp: Hlc) -> bool {
        match self.last() {
            None => self.namespace.roots().contains(key),
            Some(last) => {
                let fields = last.fields();
                fields.roots.contains(key) || fields.retired.get(key).is_some_and(|cut| stamp <= *cut)
            }
        }
    }

    /// From the grant up to the root.
    fn chain(&self, leaf: GrantId) -> Vec<&Grant> {
        let mut chain = Vec::new();
        let mut next = Some(leaf);
        while let Some(link) = next.and_then(|id| self.grants.get(&id)) {
            chain.push(link);
            next = link.parent();
        }
        chain
    }

    pub(super) fn is_live(&self, leaf: GrantId) -> bool {
        let chain = self.chain(leaf);
        let Some(first) = chain.last() else { return false };
        let revoked = |(at, link): (usize, &&Grant)| {
            self.revocations.values().filter(|revocation| revocation.grant() == link.id()).any(|revocation| {
                let upstream = chain[at..].iter().any(|above| above.issuer() == revocation.revoker());
                upstream || self.trusted(revocation.revoker(), revocation.stamp())
            })
        };
        self.trusted(first.issuer(), first.fields().stamp) && !chain.iter().enumerate().any(revoked)
    }

    fn allows(&self, leaf: GrantId, who: &PublicKey, key: &Key, op: Op, at: Timestamp) -> bool {
        let allows = |link: &&Grant| {
            let fields = link.fields();
            let subtree = || fields.pattern.as_subtree().is_some();
            fields.pattern.matches(key)
                && (if op == Op::Write { fields.ops != Ops::Read } else { fields.ops != Ops::Write && subtree() })
                && fields.not_before.is_none_or(|from| from <= at)
                && fields.not_after.is_none_or(|until| at <= until)
        };
        self.grants.get(&leaf).is_some_and(|leaf| leaf.audience() == who) && self.chain(leaf).iter().all(allows)
    }

    pub(super) fn check(&self, entry: &Entry) -> Stands {
        let (author, leaves) = (entry.author(), entry.leaves().as_slice());
        if leaves.is_empty() {
            return match (self.trusted(author, entry.stamp()), self.ever(author)) {
                (true, _) => Stands::Live,
                (false, true) => Stands::Distrusted,
                (false, false) => Stands::Unauthorized,
            };
        }
        let mut known = leaves.iter().filter(|leaf| self.grants.contains_key(leaf));
        if !known.all(|leaf| self.allows(*leaf, author, entry.key(), Op::Write, entry.stamp().wall())) {
            Stands::Unauthorized
        } else if leaves.iter().any(|leaf| !self.grants.contains_key(leaf)) {
            Stands::Waiting
        } else if leaves.iter().any(|leaf| self.is_live(*leaf)) {
            Stands::Live
        } else {
            Stands::Dead
        }
    }

    /// The grants by which it is allowed; none for a root.
    pub(super) fn authorize(&self, who: &PublicKey, key: &Key, op: Op, at: Timestamp) -> Option<Vec<GrantId>> {
        if self.trusted(who, Hlc::new(at, 0)) {
            return Some(Vec::new());
        }
        let allow = |leaf: &&GrantId| self.is_live(**leaf) && self.allows(**leaf, who, key, op, at);
        let mut leaves: Vec<GrantId> = self.grants.keys().filter(allow).copied().collect();
        leaves.sort_by_key(|leaf| {
            let chain = self.chain(*leaf);
            let until = chain.iter().map(|link| link.fields().not_after.map_or(u64::MAX, Timestamp::as_millis)).min();
            (u64::MAX - until.unwrap(), chain.len(), *leaf)
        });
        leaves.truncate(4);
        if leaves.is_empty() { None } else { Some(leaves) }
    }

    pub(super) fn may_read(&self, who: &PublicKey, subtree: &Subtree, at: Timestamp) -> bool {
        let reads = |link: &Grant| {
            let fields = link.fields();
            fields.ops != Ops::Write
                && fields.pattern.as_subtree().is_some_and(|held| held.includes(subtree))
                && fields.not_before.is_none_or(|from| from <= at)
                && fields.not_after.is_none_or(|until| at <= until)
        };
        let mut leaves = self.grants.values().filter(|grant| grant.audience() == who).map(Grant::id);
        self.trusted(who, Hlc::new(at, 0))
            || leaves.any(|leaf| self.is_live(leaf) && self.chain(leaf).into_iter().all(reads))
    }
}
