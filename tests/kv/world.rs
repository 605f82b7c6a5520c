//! Random namespaces, people, grants, entries and revocations, many of them with something wrong.

use std::collections::BTreeMap;

use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::Signer as _;
use syncline_kv::item::{
    Endorsements, EntryDraft, GrantDraft, Leaves, OnRevoke, Ops, Quota, RevocationDraft, RotateDraft, Value,
};
use syncline_kv::{Entry, Grant, GrantId, Item, Key, Namespace, Pattern};
use syncline_testkit::cheap::CheapSigner;
use syncline_testkit::seed::Rng;

/// A namespace and all that anybody ever signed in it.
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) namespace: Namespace,
    pub(crate) roots: Vec<CheapSigner>,
    pub(crate) people: Vec<CheapSigner>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) items: Vec<Item>,
    pub(crate) keys: Vec<Key>,
    /// Whether roots change. Then what was refused may be taken later, and has to be offered again.
    pub(crate) rotates: bool,
    rotations: u64,
    last_rotation: syncline_crypto::Hash,
}

pub(crate) const NOW: Timestamp = Timestamp::from_millis(10_000_000);

const PATTERNS: &[&str] = &["/**", "/a/**", "/a/*", "/a/x", "/*/x", "/**/x", "/b/**", "/b/y", "/**/y*"];
const KEYS: &[&str] = &["/a/x", "/a/y", "/a/b/x", "/b/y", "/b/yy", "/c"];

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let roots: Vec<CheapSigner> = (0..2).map(CheapSigner::from_seed).collect();
        let people = (10..15).map(CheapSigner::from_seed).collect();
        let on_revoke = if rng.chance(1, 2) { OnRevoke::Unset } else { OnRevoke::Fallback };
        let namespace = Namespace::new("world", roots.iter().map(|root| root.public_key()))
            .and_then(|namespace| namespace.with_rotation_threshold(1))
            .and_then(|namespace| namespace.with_on_revoke(on_revoke))
            .expect("a namespace");
        let last_rotation = namespace.id().into();
        let keys = KEYS.iter().map(|key| Key::new(key).expect("a key")).collect();
        Self {
            rng,
            namespace,
            roots,
            people,
            grants: vec![],
            items: vec![],
            keys,
            rotates: false,
            rotations: 0,
            last_rotation,
        }
    }

    /// Signs so many more things.
    pub(crate) fn grow(&mut self, things: usize) -> &mut Self {
        for _ in 0..things {
            match self.rng.below(20) {
                0..6 => self.grant(),
                6..8 => self.revoke(),
                8 if self.rotates && self.rng.chance(1, 4) => self.rotate(),
                _ => self.entry(),
            }
        }
        self
    }

    fn stamp(&mut self) -> Hlc {
        // Few of them, so that some are equal.
        Hlc::new(Timestamp::from_millis(1_000 + self.rng.below(60)), (self.rng.below(2)) as u16)
    }

    fn somebody(&mut self) -> CheapSigner {
        let everybody: Vec<CheapSigner> = self.people.iter().chain(&self.roots).cloned().collect();
        self.rng.pick(&everybody).expect("there are people").clone()
    }

    fn grant(&mut self) {
        let parent = if self.rng.chance(2, 3) { self.rng.pick(&self.grants).cloned() } else { None };
        let honest = self.rng.chance(9, 10);
        let issuer = match &parent {
            Some(parent) if honest => self.holder(parent),
            None if honest => self.rng.pick(&self.roots).expect("roots").clone(),
            _ => self.somebody(),
        };
        let window = self.rng.chance(1, 4);
        let from = 1_000 + self.rng.below(50);
        let draft = GrantDraft {
            namespace: self.namespace.id(),
            parent: parent.map(|parent| parent.id()),
            issuer: issuer.public_key(),
            audience: self.somebody().public_key(),
            pattern: Pattern::new(self.rng.pick(PATTERNS).expect("patterns")).expect("a pattern"),
            ops: *self.rng.pick(&[Ops::Write, Ops::Write, Ops::ReadWrite, Ops::Read]).expect("ops"),
            depth: self.rng.below(4) as u8,
            not_before: window.then(|| Timestamp::from_millis(from)),
            not_after: window.then(|| Timestamp::from_millis(from + 20)),
            quota: Quota::NONE,
            stamp: self.stamp(),
        };
        let grant = draft.sign(&issuer).expect("a grant");
        self.grants.push(grant.clone());
        self.items.push(Item::Grant(grant));
    }

    fn holder(&self, grant: &Grant) -> CheapSigner {
        let everybody = self.people.iter().chain(&self.roots);
        let mut found = everybody.filter(|person| &person.public_key() == grant.audience());
        found.next().expect("grants are to people").clone()
    }

    fn revoke(&mut self) {
        let Some(grant) = self.rng.pick(&self.grants).cloned() else { return };
        let above: Vec<GrantId> = std::iter::successors(Some(grant.id()), |id| self.find(id).parent()).collect();
        let revoker = match self.rng.below(4) {
            0 => self.somebody(),
            1 => self.rng.pick(&self.roots).expect("roots").clone(),
            _ => {
                let link = self.rng.pick(&above).copied().expect("itself at least");
                let issuer = *self.find(&link).issuer();
                let everybody = self.people.iter().chain(&self.roots);
                everybody.clone().find(|person| person.public_key() == issuer).expect("people issue").clone()
            }
        };
        let (namespace, stamp) = (self.namespace.id(), self.stamp());
        let draft = RevocationDraft { namespace, grant: grant.id(), revoker: revoker.public_key(), stamp };
        self.items.push(Item::Revocation(draft.sign(&revoker).expect("a revocation")));
    }

    fn find(&self, id: &GrantId) -> &Grant {
        self.grants.iter().find(|grant| grant.id() == *id).expect("every parent was made here")
    }

    fn rotate(&mut self) {
        let signer = self.rng.pick(&self.roots).expect("roots").clone();
        let mut roots = vec![self.rng.pick(&self.roots).expect("roots").public_key()];
        if self.rng.chance(1, 2) {
            roots.push(self.rng.pick(&self.people).expect("people").public_key());
        }
        roots.sort_unstable();
        roots.dedup();
        let mut retired = BTreeMap::new();
        for root in &self.roots {
            if !roots.contains(&root.public_key()) && self.rng.chance(1, 2) {
                retired.insert(root.public_key(), Hlc::new(Timestamp::from_millis(1_030), 0));
            }
        }
        let draft = RotateDraft {
            namespace: self.namespace.id(),
            index: self.rotations + 1,
            previous: self.last_rotation,
            roots,
            retired,
            stamp: self.stamp(),
        };
        let unsigned = draft.unsigned(signer.public_key()).expect("a rotation");
        let signature = signer.sign(&unsigned.message()).expect("signs");
        let mut endorsements = Endorsements::new(&draft).expect("a rotation");
        let rotation = endorsements.add(signer.public_key(), signature).finish().expect("signed");
        if self.rng.chance(3, 4) {
            self.rotations += 1;
            self.last_rotation = rotation.id().into();
        }
        self.items.push(Item::RootRotate(rotation));
    }

    fn entry(&mut self) {
        let entry = self.some_entry();
        self.items.push(Item::Entry(entry));
    }

    fn some_entry(&mut self) -> Entry {
        let author = self.somebody();
        let own: Vec<GrantId> =
            self.grants.iter().filter(|grant| *grant.audience() == author.public_key()).map(Grant::id).collect();
        let mut leaves = Vec::new();
        while leaves.len() < Leaves::MAX && self.rng.chance(if leaves.is_empty() { 9 } else { 3 }, 10) {
            let Some(leaf) = self.rng.pick(&own) else { break };
            leaves.push(*leaf);
        }
        let value = match self.rng.below(4) {
            0 => Value::Tombstone,
            _ => Value::from(&self.rng.next_u64().to_be_bytes()[..]),
        };
        let draft = EntryDraft {
            namespace: self.namespace.id(),
            key: self.rng.pick(&self.keys).expect("keys").clone(),
            value,
            stamp: self.stamp(),
            author: author.public_key(),
            leaves: Leaves::new(leaves).expect("few"),
            previous: None,
        };
        draft.sign(&author).expect("an entry")
    }
}
