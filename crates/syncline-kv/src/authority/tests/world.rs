//! Keys, objects and seeds for the tests.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::{PublicKey, Signature, SigningKey};

use crate::authority::{Admission, Authority, AuthorityLimits, Effects, SystemItem};
use crate::item::{
    Endorsements, Entry, EntryDraft, Grant, GrantDraft, GrantId, Leaves, Namespace, NamespaceId, Ops, Quota,
    Revocation, RevocationDraft, RootRotate, RotateDraft, Value,
};
use crate::path::{Key, Pattern};

/// So many keys are there.
pub(super) const KEYS: u8 = 7;

pub(super) fn signing(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n + 1; 32])
}

pub(super) fn public(n: u8) -> PublicKey {
    static PUBLIC: OnceLock<Vec<PublicKey>> = OnceLock::new();
    PUBLIC.get_or_init(|| (0..KEYS).map(|n| signing(n).public_key()).collect())[usize::from(n)]
}

pub(super) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(super) fn stamp(millis: u64) -> Hlc {
    Hlc::new(at(millis), 0)
}

pub(super) fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

pub(super) fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap()
}

/// A namespace whose only root is key 0.
pub(super) fn namespace() -> Namespace {
    Namespace::new("test", [public(0)]).unwrap()
}

pub(super) fn authority() -> Authority {
    Authority::new(namespace(), AuthorityLimits::default())
}

/// A grant to write, of depth 3, at 100 ms.
pub(super) fn draft(parent: Option<&Grant>, issuer: u8, audience: u8, keys: &str) -> GrantDraft {
    GrantDraft {
        namespace: namespace().id(),
        parent: parent.map(Grant::id),
        issuer: public(issuer),
        audience: public(audience),
        pattern: pattern(keys),
        ops: Ops::Write,
        depth: parent.map_or(3, |parent| parent.fields().depth.saturating_sub(1)),
        not_before: None,
        not_after: None,
        quota: Quota::NONE,
        stamp: stamp(100),
    }
}

const NO_SIGNATURE: Signature = Signature::from_bytes([0; 64]);

/// A grant whose signature nobody looks at: the caller of `admit` verifies.
pub(super) fn made(draft: &GrantDraft) -> Grant {
    Grant::decode(draft.unsigned().unwrap().complete(&NO_SIGNATURE)).unwrap()
}

pub(super) fn grant(parent: Option<&Grant>, issuer: u8, audience: u8, keys: &str) -> Grant {
    made(&draft(parent, issuer, audience, keys))
}

pub(super) fn revocation(of: GrantId, revoker: u8, millis: u64) -> Revocation {
    let draft =
        RevocationDraft { namespace: namespace().id(), grant: of, revoker: public(revoker), stamp: stamp(millis) };
    made_revocation(&draft)
}

pub(super) fn made_revocation(draft: &RevocationDraft) -> Revocation {
    Revocation::decode(draft.unsigned().complete(&NO_SIGNATURE)).unwrap()
}

pub(super) fn made_rotation(draft: &RotateDraft, signers: &[u8]) -> RootRotate {
    let mut endorsements = Endorsements::new(draft).unwrap();
    for signer in signers {
        endorsements.add(public(*signer), NO_SIGNATURE);
    }
    endorsements.finish().unwrap()
}

/// A rotation that follows the roots which an authority has now.
pub(super) fn rotation(authority: &Authority, roots: &[u8], retired: &[(u8, u64)], signers: &[u8]) -> RootRotate {
    let retired: BTreeMap<_, _> = retired.iter().map(|(n, cut)| (public(*n), stamp(*cut))).collect();
    let roots = roots.iter().map(|n| public(*n));
    made_rotation(&authority.roots().next(authority.namespace().id(), roots, retired, stamp(1)), signers)
}

pub(super) fn entry(author: u8, path: &str, leaves: &[&Grant], millis: u64) -> Entry {
    entry_of(author, path, leaves.iter().map(|leaf| leaf.id()), millis)
}

pub(super) fn entry_of(author: u8, path: &str, leaves: impl IntoIterator<Item = GrantId>, millis: u64) -> Entry {
    entry_in(namespace().id(), author, path, leaves, millis)
}

pub(super) fn entry_in(
    namespace: NamespaceId,
    author: u8,
    path: &str,
    leaves: impl IntoIterator<Item = GrantId>,
    millis: u64,
) -> Entry {
    let draft = EntryDraft {
        namespace,
        key: key(path),
        value: Value::from(&b"value"[..]),
        stamp: stamp(millis),
        author: public(author),
        leaves: Leaves::new(leaves).unwrap(),
        previous: None,
    };
    made_entry(&draft)
}

pub(super) fn made_entry(draft: &EntryDraft) -> Entry {
    Entry::decode(draft.unsigned().unwrap().complete(&NO_SIGNATURE)).unwrap()
}

/// Admits what must be admitted.
pub(super) fn admit(authority: &mut Authority, item: impl Into<SystemItem>) -> Effects {
    match authority.admit(item.into()) {
        Admission::Added(effects) => effects,
        other => panic!("not added but {other:?}"),
    }
}

/// SplitMix64.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn key(&mut self) -> u8 {
        self.below(KEYS.into()) as u8
    }

    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        if choices.is_empty() { None } else { choices.get(self.below(choices.len() as u64) as usize) }
    }

    pub(super) fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// Seeds to run: `count` of them, as many as the environment variable `SEEDS` says, or the one that `SEED` names. The seed is
/// shown if the test fails.
pub(super) fn for_each_seed(count: u64, mut test: impl FnMut(&mut Rng)) {
    let variable = |name| std::env::var(name).ok().map(|number| number.parse::<u64>().unwrap());
    let count = variable("SEEDS").unwrap_or(count);
    for seed in variable("SEED").map_or(0..count, |seed| seed..seed + 1) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&mut Rng(seed))));
        if let Err(panic) = outcome {
            eprintln!("SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
