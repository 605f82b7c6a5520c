//! Where an entry stands.

use syncline_core::clock::Hlc;
use syncline_crypto::PublicKey;

use super::chain::Held;
use super::{Authority, Denied, Op};
use crate::item::{Entry, GrantId, Leaves, RevocationId};

/// Where an entry stands by what is known now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "each is treated in its own way by who keeps entries")]
pub enum Standing {
    /// It counts.
    Live,
    /// Its structure holds, but none of its grants is alive. A rotation may revive it, nothing else.
    Dead {
        /// Why its first grant is dead: the link of its chain, nearest to the root, that is revoked, or the first link.
        grant: GrantId,
        /// The revocation; none if the first link's issuer is not trusted as a root any more.
        revocation: Option<RevocationId>,
    },
    /// A former root wrote it as a root, and is not trusted for its stamp. A rotation may revive it.
    Distrusted {
        /// The former root.
        author: PublicKey,
    },
    /// Its structure does not hold.
    Unauthorized(Denied),
    /// It names a grant that is not known here.
    Waiting(GrantId),
}

impl Authority {
    /// Where an entry stands, whose signature the caller verified.
    ///
    /// Every grant that it names must allow it, known ones before unknown ones: an entry with one that does not is
    /// [unauthorized](Standing::Unauthorized), whatever the others say. One that is alive makes it [live](Standing::Live).
    /// Well below a microsecond for a chain of a few links.
    #[must_use]
    pub fn check(&self, entry: &Entry) -> Standing {
        let found = entry.namespace();
        if found != self.namespace.id() {
            return Standing::Unauthorized(Denied::OtherNamespace { found });
        }
        if entry.leaves().is_root() {
            return self.check_root(*entry.author(), entry.stamp());
        }
        let (mut unknown, mut dead, mut live) = (None, None, false);
        for leaf in entry.leaves().as_slice() {
            let Some(held) = self.grants.get(leaf) else {
                unknown = unknown.or(Some(*leaf));
                continue;
            };
            if let Err(denied) = check_leaf(held, entry) {
                return Standing::Unauthorized(denied);
            }
            if held.is_live() {
                live = true;
            } else {
                dead = dead.or(Some(held));
            }
        }
        match (unknown, dead) {
            (Some(leaf), _) => Standing::Waiting(leaf),
            (None, Some(held)) if !live => self.dead(held),
            _ => Standing::Live,
        }
    }

    fn check_root(&self, author: PublicKey, stamp: Hlc) -> Standing {
        if self.is_root(&author, stamp) {
            Standing::Live
        } else if self.was_root(&author) {
            Standing::Distrusted { author }
        } else {
            Standing::Unauthorized(Denied::NotRoot { author })
        }
    }

    fn dead(&self, held: &Held) -> Standing {
        let leaf = held.grant().id();
        match self.revocation_of_chain(&leaf) {
            Some(revocation) => Standing::Dead { grant: revocation.grant(), revocation: Some(revocation.id()) },
            None => Standing::Dead { grant: held.chain().anchor().map_or(leaf, |first| first.id()), revocation: None },
        }
    }

    /// Whether an entry is live whose structure is known to hold. Faster than [`check`](Self::check): no pattern is matched.
    #[must_use]
    pub fn is_live(&self, leaves: &Leaves, author: &PublicKey, stamp: Hlc) -> bool {
        if leaves.is_root() { self.is_root(author, stamp) } else { self.live_leaves(leaves).next().is_some() }
    }

    /// Those of the grants that are alive.
    pub fn live_leaves<'a>(&'a self, leaves: &'a Leaves) -> impl Iterator<Item = GrantId> + 'a {
        leaves.as_slice().iter().copied().filter(|leaf| self.is_live_grant(*leaf))
    }

    /// Whether a grant is known and alive: no link of its chain is revoked, and the first link's issuer is trusted as a root for it.
    ///
    /// That says nothing about its window.
    #[must_use]
    pub fn is_live_grant(&self, grant: GrantId) -> bool {
        self.grants.get(&grant).is_some_and(Held::is_live)
    }
}

fn check_leaf(held: &Held, entry: &Entry) -> Result<(), Denied> {
    let (grant, at) = (held.grant(), entry.stamp().wall());
    #[cfg(syncline_planted)]
    if syncline_core::planted::is(syncline_core::planted::Bug::SignerNotBound) {
        return held.chain().objection(entry.key(), Op::Write, at).map_or(Ok(()), Err);
    }
    if grant.audience() != entry.author() {
        return Err(Denied::NotAudience { grant: grant.id(), audience: *grant.audience() });
    }
    if held.chain().allows(entry.key(), Op::Write, at) {
        return Ok(());
    }
    held.chain().objection(entry.key(), Op::Write, at).map_or(Ok(()), Err)
}
