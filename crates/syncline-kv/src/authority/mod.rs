//! Who may do what: the grants, revocations and rotations that are known, and what follows from them.
//!
//! [`Authority`] holds the *system set* of a namespace in memory and answers from it. It does no I/O, checks no signature and
//! has no clock: objects come in verified, times come in as arguments, and replicas that admitted the same objects give
//! the same answers, in whatever order the objects came.
//!
//! Two questions are kept apart:
//!
//! - **Structure**: whether a chain of grants would allow an entry. Each link is issued by the audience of the one above it, the first
//!   by a root; each has less depth left than the one above; the last one's audience is the author; and *every* link's pattern
//!   has the key, every link allows the operation, every link's window holds the entry's stamp. So a chain gives
//!   what all of its links give, and a link that claims more than its parent has gains nothing. It never changes.
//! - **Liveness**: whether the chain still counts. No link of it is revoked by who may revoke it, and the root that issued the
//!   first link is trusted for the time of that grant. It changes by revocations and rotations.
//!
//! The rules of chains are those of capability systems: principal alignment and conjunction over links as in UCAN, attenuation by
//! added checks as in Biscuit; parent links by hash as in Meadowcap's delegations.
//!
//! The system set only grows: what is revoked stays known, so that sets merge by union.

mod admission;
mod admit;
mod authorize;
mod chain;
mod cover;
mod denied;
mod explain;
mod limits;
mod mint;
mod restore;
mod roots;
mod shards;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::iter;
use std::sync::Arc;

use syncline_core::clock::Hlc;
use syncline_crypto::PublicKey;

pub use admission::{Admission, Awaited, Effects, Refusal, SystemItem};
pub use authorize::{Authorization, Op};
pub use denied::Denied;
pub use explain::{Explanation, Miss, Outcome};
pub use limits::AuthorityLimits;
pub use mint::MintError;
pub use restore::RestoreError;
pub use roots::Roots;
pub use standing::Standing;

use crate::item::{Grant, GrantId, Namespace, Quota, Revocation, RevocationId, RootRotate, RotationId};
use chain::Held;
use roots::Lineage;
use shards::Shards;

/// The grants, revocations and rotations of one namespace, and who may do what by them. See the [module](self).
///
/// A clone is cheap and shares what neither side changes, so that readers can keep one while a writer admits more.
#[derive(Clone)]
pub struct Authority {
    namespace: Namespace,
    limits: AuthorityLimits,
    lineage: Arc<Lineage>,
    grants: Shards<GrantId, Held>,
    by_audience: Shards<PublicKey, BTreeSet<GrantId>>,
    revocations: Shards<RevocationId, Revocation>,
    /// Revocations by what they revoke, which need not be known yet.
    by_target: Shards<GrantId, BTreeSet<RevocationId>>,
}

impl Authority {
    /// Nothing but the namespace's roots.
    #[must_use]
    pub fn new(namespace: Namespace, limits: AuthorityLimits) -> Self {
        Self {
            lineage: Arc::new(Lineage::new(&namespace)),
            namespace,
            limits,
            grants: Shards::new(),
            by_audience: Shards::new(),
            revocations: Shards::new(),
            by_target: Shards::new(),
        }
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The limits that were given.
    #[must_use]
    pub fn limits(&self) -> AuthorityLimits {
        self.limits
    }

    /// The roots as the admitted rotations make them.
    #[must_use]
    pub fn roots(&self) -> &Roots {
        self.lineage.current()
    }

    /// Whether what `key` stamped so is a root's word: it is a root now, or a retired one up to its cut.
    #[must_use]
    pub fn is_root(&self, key: &PublicKey, stamp: Hlc) -> bool {
        self.roots().trusts(key, stamp)
    }

    /// Whether `key` is a root or a retired one in any admitted rotation, those that lost included.
    #[must_use]
    pub fn was_root(&self, key: &PublicKey) -> bool {
        self.lineage.was_root(key)
    }

    /// An admitted grant, alive or dead.
    #[must_use]
    pub fn grant(&self, id: &GrantId) -> Option<&Arc<Grant>> {
        self.grants.get(id).map(Held::grant)
    }

    /// All admitted grants by id, dead ones too.
    pub fn grants(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.grants.values().map(Held::grant)
    }

    /// The grants whose audience is `who`, by id, dead ones too.
    pub fn grants_to(&self, who: &PublicKey) -> impl Iterator<Item = &Arc<Grant>> {
        self.held_by(who).map(Held::grant)
    }

    /// The links of a grant's chain: the grant first, the one by a root last. At most [`Grant::CHAIN_LEN_MAX`].
    #[must_use]
    pub fn chain(&self, leaf: &GrantId) -> Option<&Arc<[Arc<Grant>]>> {
        self.grants.get(leaf).map(|held| held.chain().links())
    }

    /// An admitted revocation.
    #[must_use]
    pub fn revocation(&self, id: &RevocationId) -> Option<&Revocation> {
        self.revocations.get(id)
    }

    /// All admitted revocations by id, those that do not count too.
    pub fn revocations(&self) -> impl Iterator<Item = &Revocation> {
        self.revocations.values()
    }

    /// The admitted revocations of just this grant by id, those that do not count too.
    pub fn revocations_of(&self, grant: &GrantId) -> impl Iterator<Item = &Revocation> {
        self.by_target.get(grant).into_iter().flatten().filter_map(|id| self.revocations.get(id))
    }

    /// A revocation that counts, of the grant or of a link above it: of those nearest to the root the one with the least id.
    #[must_use]
    pub fn revocation_of_chain(&self, leaf: &GrantId) -> Option<&Revocation> {
        let chain = self.grants.get(leaf)?.chain();
        chain.links().iter().rev().find_map(|link| self.revocation_of_link(&link.id()))
    }

    /// A revocation of just this grant that counts.
    fn revocation_of_link(&self, grant: &GrantId) -> Option<&Revocation> {
        let held = self.grants.get(grant)?;
        self.revocations_of(grant).find(|revocation| self.counts(revocation, held.chain()))
    }

    /// An admitted rotation.
    #[must_use]
    pub fn rotation(&self, id: &RotationId) -> Option<&RootRotate> {
        self.lineage.rotation(id)
    }

    /// All admitted rotations, those that lost too: by index, then by id.
    pub fn rotations(&self) -> impl Iterator<Item = &RootRotate> {
        self.lineage.rotations()
    }

    /// The grant and all that was delegated from it, nearest first, siblings by id. Empty if it is not known.
    #[must_use]
    pub fn family(&self, grant: GrantId) -> Vec<GrantId> {
        let mut family = Vec::new();
        if self.grants.contains_key(&grant) {
            family.push(grant);
        }
        let mut next = 0;
        while let Some(id) = family.get(next) {
            next += 1;
            let mut children: Vec<GrantId> = self.children(id).collect();
            // They are in the order in which they came.
            children.sort_unstable();
            family.extend(children);
        }
        family
    }

    /// The links of a grant's chain that limit how much may be written, the grant first.
    pub fn quotas(&self, leaf: &GrantId) -> impl Iterator<Item = (GrantId, Quota)> {
        let links = self.grants.get(leaf).into_iter().flat_map(|held| held.chain().links().iter());
        links.map(|link| (link.id(), link.fields().quota)).filter(|(_, quota)| !quota.is_none())
    }

    fn children(&self, parent: &GrantId) -> impl Iterator<Item = GrantId> {
        let first = self.grants.get(parent).and_then(|held| held.first_child);
        iter::successors(first, |child| self.grants.get(child)?.next_sibling)
    }

    fn held_by(&self, who: &PublicKey) -> impl Iterator<Item = &Held> {
        self.by_audience.get(who).into_iter().flatten().filter_map(|id| self.grants.get(id))
    }
}

/// Numbers only: the set may be large.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("namespace", &self.namespace)
            .field("roots", self.roots())
            .field("grants", &self.grants.len())
            .field("revocations", &self.revocations.len())
            .finish_non_exhaustive()
    }
}
