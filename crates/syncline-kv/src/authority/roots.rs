//! The roots, and how they came to be.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use syncline_core::clock::Hlc;
use syncline_crypto::{Hash, PublicKey};

use super::{Awaited, Refusal};
use crate::item::{Namespace, NamespaceId, RootRotate, RotateDraft, RotationId};

/// The roots at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    keys: Vec<PublicKey>,
    retired: BTreeMap<PublicKey, Hlc>,
    index: u64,
    last: Hash,
}

impl Roots {
    /// The roots, in rising order.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Former roots whose word counts for what they stamped up to here.
    #[must_use]
    pub fn retired(&self) -> &BTreeMap<PublicKey, Hlc> {
        &self.retired
    }

    /// The number of the rotation that made them; 0 for the namespace's own.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The id of the rotation that made them, or the namespace's.
    #[must_use]
    pub fn last(&self) -> Hash {
        self.last
    }

    /// Whether what `key` stamped so is a root's word: it is a root, or a retired one and the stamp is not after its cut.
    #[must_use]
    pub fn trusts(&self, key: &PublicKey, stamp: Hlc) -> bool {
        self.keys.binary_search(key).is_ok() || self.retired.get(key).is_some_and(|cut| stamp <= *cut)
    }

    /// The rotation that would follow these, to be signed by enough of them.
    ///
    /// A root that is neither in `roots` nor in `retired` is distrusted altogether; so is a retired one that is not
    /// retired again.
    #[must_use]
    pub fn next(
        &self,
        namespace: NamespaceId,
        roots: impl IntoIterator<Item = PublicKey>,
        retired: BTreeMap<PublicKey, Hlc>,
        stamp: Hlc,
    ) -> RotateDraft {
        let roots: BTreeSet<PublicKey> = roots.into_iter().collect();
        RotateDraft {
            namespace,
            index: self.index.saturating_add(1),
            previous: self.last,
            roots: roots.into_iter().collect(),
            retired,
            stamp,
        }
    }
}

/// All rotations that were admitted: a tree of states, one path of which leads to the present roots.
#[derive(Clone)]
pub(super) struct Lineage {
    threshold: usize,
    origin: Hash,
    states: BTreeMap<Hash, Roots>,
    rotations: BTreeMap<(u64, RotationId), RootRotate>,
    successors: BTreeMap<Hash, BTreeSet<RotationId>>,
    ever: BTreeSet<PublicKey>,
    current: Roots,
}

impl Lineage {
    pub(super) fn new(namespace: &Namespace) -> Self {
        let origin = Hash::from(namespace.id());
        let first = Roots { keys: namespace.roots().to_vec(), retired: BTreeMap::new(), index: 0, last: origin };
        Self {
            threshold: namespace.rotation_threshold().into(),
            origin,
            states: iter::once((origin, first.clone())).collect(),
            rotations: BTreeMap::new(),
            successors: BTreeMap::new(),
            ever: namespace.roots().iter().copied().collect(),
            current: first,
        }
    }

    pub(super) fn current(&self) -> &Roots {
        &self.current
    }

    pub(super) fn was_root(&self, key: &PublicKey) -> bool {
        self.ever.contains(key)
    }

    pub(super) fn rotation(&self, id: &RotationId) -> Option<&RootRotate> {
        let state = self.states.get(&Hash::from(*id))?;
        self.rotations.get(&(state.index, *id))
    }

    pub(super) fn rotations(&self) -> impl Iterator<Item = &RootRotate> {
        self.rotations.values()
    }

    pub(super) fn len(&self) -> usize {
        self.rotations.len()
    }

    pub(super) fn contains(&self, rotation: &RootRotate) -> bool {
        self.states.contains_key(&Hash::from(rotation.id()))
    }

    /// Whether the rotation may be admitted.
    pub(super) fn judge(&self, rotation: &RootRotate) -> Result<(), Judgement> {
        let fields = rotation.fields();
        let Some(before) = self.states.get(&fields.previous) else {
            // Only the namespace is before the first, and it is always known.
            return Err(if fields.index == 1 {
                Judgement::Refused(Refusal::NotFirst)
            } else {
                Judgement::Waiting(Awaited::Rotation(fields.previous))
            });
        };
        let expected = before.index.saturating_add(1);
        if fields.index != expected {
            return Err(Judgement::Refused(Refusal::Index { expected, found: fields.index }));
        }
        // Each key is there at most once: the encoding wants them rising.
        let signers = rotation.signatures().iter().filter(|(key, _)| before.keys.binary_search(key).is_ok());
        let (needed, found) = (self.threshold.min(before.keys.len()), signers.count());
        if found < needed {
            return Err(Judgement::Refused(Refusal::Signatures { needed, found }));
        }
        Ok(())
    }

    /// Adds a rotation that was judged. Whether there are other roots now.
    pub(super) fn add(&mut self, rotation: RootRotate) -> bool {
        let fields = rotation.fields();
        let last = Hash::from(rotation.id());
        let state = Roots { keys: fields.roots.clone(), retired: fields.retired.clone(), index: fields.index, last };
        self.ever.extend(state.keys.iter().chain(state.retired.keys()));
        self.states.insert(last, state);
        self.successors.entry(fields.previous).or_default().insert(rotation.id());
        self.rotations.insert((fields.index, rotation.id()), rotation);
        let current = self.follow();
        let changed = (&current.keys, &current.retired) != (&self.current.keys, &self.current.retired);
        self.current = current;
        changed
    }

    /// Where the lineage leads: of several rotations that follow the same one, the one with the least id counts, so
    /// that all who know them agree.
    fn follow(&self) -> Roots {
        let mut at = self.origin;
        while let Some(winner) = self.successors.get(&at).and_then(BTreeSet::first) {
            at = Hash::from(*winner);
        }
        self.states.get(&at).unwrap_or(&self.current).clone()
    }
}

/// Why a rotation is not admitted.
pub(super) enum Judgement {
    Waiting(Awaited),
    Refused(Refusal),
}
