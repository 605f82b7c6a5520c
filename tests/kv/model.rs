//! The rules as they are written, from the set of all items, without any index or order.

use std::collections::{BTreeMap, BTreeSet};

use syncline_core::clock::Hlc;
use syncline_crypto::{Hash, PublicKey};
use syncline_kv::item::{Ops, RootRotate};
use syncline_kv::{Entry, EntryId, Grant, GrantId, Item, Key, Namespace, Revocation};

/// Everything that was ever signed, in no order.
pub(crate) struct Model<'a> {
    namespace: &'a Namespace,
    grants: BTreeMap<GrantId, &'a Grant>,
    revocations: Vec<&'a Revocation>,
    entries: Vec<&'a Entry>,
    rotations: Vec<&'a RootRotate>,
    roots: BTreeSet<PublicKey>,
    retired: BTreeMap<PublicKey, Hlc>,
    ever: BTreeSet<PublicKey>,
}

impl<'a> Model<'a> {
    pub(crate) fn new(namespace: &'a Namespace, items: &'a [Item]) -> Self {
        let mut model = Self {
            namespace,
            grants: BTreeMap::new(),
            revocations: vec![],
            entries: vec![],
            rotations: vec![],
            roots: namespace.roots().iter().copied().collect(),
            retired: BTreeMap::new(),
            ever: namespace.roots().iter().copied().collect(),
        };
        let mut grants = BTreeMap::new();
        for item in items {
            match item {
                Item::Entry(entry) => model.entries.push(entry),
                Item::Grant(grant) => drop(grants.insert(grant.id(), grant)),
                Item::Revocation(revocation) => model.revocations.push(revocation),
                Item::RootRotate(rotation) => model.rotations.push(rotation),
            }
        }
        model.rotate();
        let admitted: Vec<GrantId> = grants.keys().copied().filter(|id| model.is_admitted(&grants, id)).collect();
        model.grants = admitted.into_iter().filter_map(|id| grants.get(&id).map(|grant| (id, *grant))).collect();
        model
    }

    /// Who signs a rotation must be a root of the state before it; each state that can be reached adds to who ever was a root;
    /// the least id wins at each step.
    fn rotate(&mut self) {
        type State = (BTreeSet<PublicKey>, BTreeMap<PublicKey, Hlc>);
        let origin = Hash::from(self.namespace.id());
        let mut states: BTreeMap<Hash, (u64, State)> = BTreeMap::new();
        states.insert(origin, (0, (self.roots.clone(), BTreeMap::new())));
        loop {
            let mut more = BTreeMap::new();
            for rotation in &self.rotations {
                let fields = rotation.fields();
                let Some((index, (roots, _))) = states.get(&fields.previous) else { continue };
                let needed = usize::from(self.namespace.rotation_threshold()).min(roots.len());
                let signed = rotation.signatures().iter().filter(|(key, _)| roots.contains(key)).count();
                let id = Hash::from(rotation.id());
                if fields.index == index + 1 && signed >= needed && !states.contains_key(&id) {
                    let state = (fields.roots.iter().copied().collect(), fields.retired.clone());
                    more.insert(id, (fields.index, state));
                }
            }
            if more.is_empty() {
                break;
            }
            states.append(&mut more);
        }
        for (_, (roots, retired)) in states.values() {
            self.ever.extend(roots);
            self.ever.extend(retired.keys());
        }
        let mut at = origin;
        while let Some(next) = self
            .rotations
            .iter()
            .filter(|rotation| rotation.fields().previous == at && states.contains_key(&Hash::from(rotation.id())))
            .map(|rotation| Hash::from(rotation.id()))
            .min()
        {
            at = next;
        }
        if let Some((_, (roots, retired))) = states.remove(&at) {
            (self.roots, self.retired) = (roots, retired);
        }
    }

    fn trusts(&self, key: &PublicKey, stamp: Hlc) -> bool {
        self.roots.contains(key) || self.retired.get(key).is_some_and(|cut| stamp <= *cut)
    }

    fn is_admitted(&self, grants: &BTreeMap<GrantId, &Grant>, id: &GrantId) -> bool {
        let Some(grant) = grants.get(id) else { return false };
        match grant.parent() {
            None => self.ever.contains(grant.issuer()),
            Some(parent) => {
                self.is_admitted(grants, &parent)
                    && grants.get(&parent).is_some_and(|parent| {
                        parent.audience() == grant.issuer() && parent.fields().depth > grant.fields().depth
                    })
            }
        }
    }

    fn chain(&self, id: &GrantId) -> Vec<&'a Grant> {
        std::iter::successors(self.grants.get(id).copied(), |grant| {
            grant.parent().and_then(|parent| self.grants.get(&parent).copied())
        })
        .collect()
    }

    pub(crate) fn is_live(&self, id: &GrantId) -> bool {
        let chain = self.chain(id);
        let Some(first) = chain.last() else { return false };
        let revoked = chain.iter().enumerate().any(|(nth, link)| {
            self.revocations.iter().filter(|revocation| revocation.grant() == link.id()).any(|revocation| {
                let upstream = chain.iter().skip(nth).any(|above| above.issuer() == revocation.revoker());
                upstream || self.trusts(revocation.revoker(), revocation.stamp())
            })
        });
        !revoked && self.trusts(first.issuer(), first.fields().stamp)
    }

    fn counts(&self, entry: &Entry) -> bool {
        if entry.leaves().is_root() {
            return self.trusts(entry.author(), entry.stamp());
        }
        let leaves = entry.leaves().as_slice();
        let holds = leaves.iter().all(|leaf| {
            let chain = self.chain(leaf);
            let wall = entry.stamp().wall();
            chain.first().is_some_and(|leaf| leaf.audience() == entry.author())
                && chain.iter().all(|link| {
                    let fields = link.fields();
                    link.pattern().matches(entry.key())
                        && link.ops().contains(Ops::Write)
                        && fields.not_before.is_none_or(|from| from <= wall)
                        && fields.not_after.is_none_or(|until| wall <= until)
                })
        });
        holds && leaves.iter().any(|leaf| self.is_live(leaf))
    }

    /// The entry that decides about each key.
    pub(crate) fn values(&self) -> BTreeMap<Key, EntryId> {
        let mut values: BTreeMap<Key, &Entry> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| self.counts(entry)) {
            let kept = values.entry(entry.key().clone()).or_insert(entry);
            if kept.order() < entry.order() {
                *kept = entry;
            }
        }
        values.into_iter().map(|(key, entry)| (key, entry.id())).collect()
    }
}
