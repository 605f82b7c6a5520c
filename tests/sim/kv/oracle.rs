//! Who may write what, by the rules as they are written, from everything that was ever signed. Nothing here is taken from
//! the crate under test but the objects' fields.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use syncline_core::clock::Timestamp;
use syncline_crypto::{Hash, PublicKey, SignError, Signature, Signer};
use syncline_kv::item::Ops;
use syncline_kv::{Entry, EntryId, Grant, GrantId, Item, Revocation};

/// Everything that was ever signed with some key. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<Signed>>);

/// By whom, and the id of what.
type Signed = BTreeSet<(PublicKey, [u8; 32])>;

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Signed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the object with this id, which is the hash of what is signed, was signed with this key.
    fn has(&self, key: &PublicKey, id: &[u8; 32]) -> bool {
        self.lock().contains(&(*key, *id))
    }
}

/// Signs, and has it written down.
#[derive(Debug)]
pub(crate) struct Recorded<S> {
    pub(crate) signer: S,
    pub(crate) ledger: Ledger,
}

impl<S: Signer> Signer for Recorded<S> {
    fn public_key(&self) -> PublicKey {
        self.signer.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        let signature = self.signer.sign(message)?;
        self.ledger.lock().insert((self.public_key(), Hash::digest(message).to_bytes()));
        Ok(signature)
    }
}

/// All that was ever signed by whose name it bears, by honest people or not.
#[derive(Default)]
pub(crate) struct Oracle {
    roots: BTreeSet<PublicKey>,
    ledger: Ledger,
    known: BTreeSet<EntryId>,
    pub(crate) grants: BTreeMap<GrantId, Grant>,
    pub(crate) entries: Vec<Entry>,
    sound: BTreeMap<EntryId, Result<(), String>>,
}

impl Oracle {
    pub(crate) fn new(roots: impl IntoIterator<Item = PublicKey>, ledger: &Ledger) -> Self {
        Self { roots: roots.into_iter().collect(), ledger: ledger.clone(), ..Self::default() }
    }

    /// Takes notice of a grant, a revocation or an entry, if the one whose name it bears has signed it.
    pub(crate) fn learn(&mut self, item: &Item) -> Result<(), String> {
        match item {
            Item::Grant(grant) if self.grants.contains_key(&grant.id()) => {}
            Item::Grant(grant) if self.ledger.has(grant.issuer(), grant.id().as_bytes()) => {
                self.grants.insert(grant.id(), grant.clone());
            }
            Item::Entry(entry) if self.ledger.has(entry.author(), entry.id().as_bytes()) => {
                if self.known.insert(entry.id()) {
                    self.entries.push(entry.clone());
                }
            }
            Item::Revocation(revocation) if self.ledger.has(revocation.revoker(), revocation.id().as_bytes()) => {}
            _ => return Err(format!("{item:?} was never signed")),
        }
        Ok(())
    }

    /// The grant, the one above it and so on, up to one that a root issued. Empty if it is none of that.
    pub(crate) fn chain(&self, leaf: &GrantId) -> Vec<&Grant> {
        let mut chain: Vec<&Grant> = Vec::new();
        let mut next = Some(*leaf);
        while let Some(grant) = next.and_then(|id| self.grants.get(&id)) {
            let holds = chain
                .last()
                .is_none_or(|below| below.issuer() == grant.audience() && below.fields().depth < grant.fields().depth);
            if !holds {
                return Vec::new();
            }
            chain.push(grant);
            next = grant.parent();
        }
        let is_whole = next.is_none() && chain.last().is_some_and(|first| self.roots.contains(first.issuer()));
        if is_whole { chain } else { Vec::new() }
    }

    /// Whether an entry is what its author may write, revocations aside.
    pub(crate) fn is_sound(&mut self, entry: &Entry) -> Result<(), String> {
        if let Some(known) = self.sound.get(&entry.id()) {
            return known.clone();
        }
        let found = self.judge(entry);
        self.sound.insert(entry.id(), found.clone());
        found
    }

    fn judge(&self, entry: &Entry) -> Result<(), String> {
        if !self.ledger.has(entry.author(), entry.id().as_bytes()) {
            return Err("its author never signed it".into());
        }
        if entry.leaves().is_root() {
            let is_root = self.roots.contains(entry.author());
            return if is_root { Ok(()) } else { Err("it names no grant, and is by no root".into()) };
        }
        for leaf in entry.leaves().as_slice() {
            let chain = self.chain(leaf);
            let Some(grant) = chain.first() else { return Err(format!("grant {leaf} has no chain")) };
            if grant.audience() != entry.author() {
                return Err(format!("grant {leaf} is another's"));
            }
            for link in chain {
                let (fields, wall) = (link.fields(), entry.stamp().wall());
                let is_timely = fields.not_before.is_none_or(|from| from <= wall)
                    && fields.not_after.is_none_or(|until| wall <= until);
                let may_write = matches!(fields.ops, Ops::Write | Ops::ReadWrite);
                if !is_timely || !may_write || !matches(link.pattern().as_str(), entry.key().as_str()) {
                    return Err(format!("link {} of grant {leaf} does not allow it", link.id()));
                }
            }
        }
        Ok(())
    }

    /// Whether none of a chain's links is revoked by these.
    fn is_live_leaf(&self, leaf: &GrantId, revocations: &BTreeMap<GrantId, Vec<PublicKey>>) -> bool {
        let chain = self.chain(leaf);
        let is_revoked = chain.iter().enumerate().any(|(nth, link)| {
            revocations.get(&link.id()).into_iter().flatten().any(|revoker| {
                self.roots.contains(revoker) || chain.iter().skip(nth).any(|above| above.issuer() == revoker)
            })
        });
        !chain.is_empty() && !is_revoked
    }

    /// Whether some grant that it names is not revoked.
    pub(crate) fn is_live(&self, entry: &Entry, revocations: &BTreeMap<GrantId, Vec<PublicKey>>) -> bool {
        let leaves = entry.leaves();
        leaves.is_root() || leaves.as_slice().iter().any(|leaf| self.is_live_leaf(leaf, revocations))
    }

    /// The links with a quota that an entry counts for.
    pub(crate) fn quotas(&self, entry: &Entry) -> BTreeSet<GrantId> {
        let links = entry.leaves().as_slice().iter().flat_map(|leaf| self.chain(leaf));
        links.filter(|link| !link.fields().quota.is_none()).map(Grant::id).collect()
    }
}

/// Who revoked which grant.
pub(crate) fn by_grant<'a>(revocations: impl IntoIterator<Item = &'a Revocation>) -> BTreeMap<GrantId, Vec<PublicKey>> {
    let mut by_grant: BTreeMap<GrantId, Vec<PublicKey>> = BTreeMap::new();
    for revocation in revocations {
        by_grant.entry(revocation.grant()).or_default().push(*revocation.revoker());
    }
    by_grant
}

/// Whether a stamp is no further ahead than it may be.
pub(crate) fn is_due(entry: &Entry, latest: Timestamp, skew_millis: u64) -> bool {
    entry.stamp().wall().as_millis() <= latest.as_millis().saturating_add(skew_millis)
}

/// Whether a key is one of a pattern's: segment by segment, trying everything.
pub(crate) fn matches(pattern: &str, key: &str) -> bool {
    let split = |path: &str| path.split('/').skip(1).map(str::to_owned).collect::<Vec<_>>();
    segments_match(&split(pattern), &split(key))
}

fn segments_match(pattern: &[String], key: &[String]) -> bool {
    match pattern.split_first() {
        None => key.is_empty(),
        Some((first, rest)) if first == "**" => (0..=key.len()).any(|skipped| segments_match(rest, &key[skipped..])),
        Some((first, rest)) => key
            .split_first()
            .is_some_and(|(head, tail)| text_matches(first.as_bytes(), head.as_bytes()) && segments_match(rest, tail)),
    }
}

fn text_matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skipped| text_matches(rest, &text[skipped..])),
        Some((first, rest)) => text.split_first().is_some_and(|(head, tail)| head == first && text_matches(rest, tail)),
    }
}
