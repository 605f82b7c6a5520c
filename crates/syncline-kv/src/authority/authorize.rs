//! Questions: may they?

use std::cmp::Reverse;
use std::fmt;

use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::PublicKey;

use super::chain::Held;
use super::{Authority, Denied};
use crate::item::{GrantId, Leaves, Ops, Reads};
use crate::path::{Key, Subtree};

/// What one wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire format has these two")]
pub enum Op {
    /// Sync a key.
    Read,
    /// Set or delete its value.
    Write,
}

impl From<Op> for Ops {
    fn from(op: Op) -> Self {
        match op {
            Op::Read => Self::Read,
            Op::Write => Self::Write,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ops::from(*self).fmt(f)
    }
}

/// By what something is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are roots and grants")]
pub enum Authorization {
    /// By being a root.
    Root,
    /// Because everybody may read.
    Public,
    /// By these grants, each alone: 1 to [`Leaves::MAX`]. Those that hold longest come first, then those with fewest links
    /// above, then by id.
    Grants(Vec<GrantId>),
}

impl Authority {
    /// Whether `who` may do `op` with `key` at wall time `at`, and by what.
    ///
    /// # Errors
    ///
    /// [`Denied`] with the reason of the grant that came nearest; [`explain`](Self::explain) has those of the others.
    pub fn authorize(&self, who: &PublicKey, key: &Key, op: Op, at: Timestamp) -> Result<Authorization, Denied> {
        if self.is_root(who, Hlc::new(at, 0)) {
            return Ok(Authorization::Root);
        }
        if op == Op::Read && self.namespace.reads() == Reads::Public {
            return Ok(Authorization::Public);
        }
        match self.best_grants(who, key, op, at) {
            best if best.is_empty() => Err(self.nearest_miss(who, key, op, at)),
            best => Ok(Authorization::Grants(best)),
        }
    }

    /// Those of the entity's grants that allow it, the best first.
    fn best_grants(&self, who: &PublicKey, key: &Key, op: Op, at: Timestamp) -> Vec<GrantId> {
        let allow = |held: &&Held| held.is_live() && held.chain().allows(key, op, at);
        let mut best: Vec<&Held> = self.held_by(who).filter(allow).collect();
        best.sort_by_key(|held| (Reverse(held.chain().until()), held.chain().links().len(), held.grant().id()));
        best.into_iter().take(Leaves::MAX).map(|held| held.grant().id()).collect()
    }

    fn nearest_miss(&self, who: &PublicKey, key: &Key, op: Op, at: Timestamp) -> Denied {
        let misses = self.held_by(who).filter_map(|held| self.miss(held, key, op, at));
        misses.min_by_key(Denied::distance).unwrap_or_else(|| self.empty_handed(who, at))
    }

    /// Why one without grants may not.
    pub(super) fn empty_handed(&self, who: &PublicKey, at: Timestamp) -> Denied {
        if self.was_root(who) {
            Denied::RootDistrusted { author: *who, stamp: Hlc::new(at, 0) }
        } else {
            Denied::NoGrant { who: *who }
        }
    }

    /// The first rule by which a grant does not allow this; none if it does.
    pub(super) fn miss(&self, held: &Held, key: &Key, op: Op, at: Timestamp) -> Option<Denied> {
        held.chain().objection(key, op, at).or_else(|| self.why_dead(held))
    }

    /// Why a grant is dead; none if it is alive.
    pub(super) fn why_dead(&self, held: &Held) -> Option<Denied> {
        if held.is_live() {
            return None;
        }
        let revocation = self.revocation_of_chain(&held.grant().id());
        let revoked = revocation.map(|found| Denied::Revoked { grant: found.grant(), revocation: found.id() });
        revoked.or_else(|| {
            let first = held.chain().anchor()?;
            Some(Denied::Unanchored { grant: first.id(), issuer: *first.issuer() })
        })
    }

    /// Whether an entity, none if it is not known who, may sync a whole subtree at wall time `at`.
    ///
    /// A root may. Another may if the namespace lets everybody, or by one grant that is alive, all links of which are for subtrees
    /// that this one is in, and allow to read. No inclusion search is made; it takes a look at each of the entity's grants.
    #[must_use]
    pub fn may_read(&self, who: Option<&PublicKey>, subtree: &Subtree, at: Timestamp) -> bool {
        #[cfg(syncline_planted)]
        if syncline_core::planted::is(syncline_core::planted::Bug::SkipReadCheck) {
            return true;
        }
        if self.namespace.reads() == Reads::Public {
            return true;
        }
        let Some(who) = who else { return false };
        let reads = |held: &Held| held.chain().reads().is_some_and(|allowed| allowed.includes(subtree));
        self.is_root(who, Hlc::new(at, 0))
            || self.held_by(who).any(|held| held.is_live() && held.chain().holds(at) && reads(held))
    }

    /// All who may do `op` with `key` at wall time `at`, and by what: roots first, then by key. If everybody may read, only
    /// roots and holders of grants are told.
    ///
    /// Looks at every grant there is.
    #[must_use]
    pub fn who_can(&self, key: &Key, op: Op, at: Timestamp) -> Vec<(PublicKey, Authorization)> {
        let former = self.roots().retired().keys().filter(|root| self.is_root(root, Hlc::new(at, 0)));
        let roots = self.roots().keys().iter().chain(former).map(|root| (*root, Authorization::Root));
        let others = self.by_audience.keys().filter(|who| !self.is_root(who, Hlc::new(at, 0)));
        let others = others.map(|who| (*who, self.best_grants(who, key, op, at))).filter(|(_, best)| !best.is_empty());
        roots.chain(others.map(|(who, best)| (who, Authorization::Grants(best)))).collect()
    }
}
