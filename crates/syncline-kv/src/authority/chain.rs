//! Chains of grants, and what is known about each.

use std::sync::Arc;

use syncline_core::clock::Timestamp;
use syncline_crypto::PublicKey;

use super::{Denied, Op};
use crate::item::{Grant, GrantId, Ops};
use crate::path::{Key, Subtree};

/// A grant with all above it, the grant first. It never changes, and neither does what is worked out about it.
#[derive(Clone)]
pub(super) struct Chain {
    links: Arc<[Arc<Grant>]>,
    /// The time that all links allow. May be empty: from after until.
    from: Timestamp,
    until: Timestamp,
    writes: bool,
    /// What all links allow to read.
    reads: Option<Subtree>,
}

impl Chain {
    /// The chain of a grant below another chain, or of one by a root.
    pub(super) fn new(grant: Arc<Grant>, above: Option<&Self>) -> Self {
        let links: Arc<[Arc<Grant>]> =
            std::iter::once(grant).chain(above.into_iter().flat_map(|above| above.links.iter().cloned())).collect();
        let fields = || links.iter().map(|link| link.fields());
        Self {
            from: fields().filter_map(|link| link.not_before).max().unwrap_or(Timestamp::ZERO),
            until: fields().filter_map(|link| link.not_after).min().unwrap_or(Timestamp::MAX),
            writes: fields().all(|link| link.ops.contains(Ops::Write)),
            reads: common_subtree(&links),
            links,
        }
    }

    pub(super) fn links(&self) -> &Arc<[Arc<Grant>]> {
        &self.links
    }

    /// The link that a root issued.
    pub(super) fn anchor(&self) -> Option<&Arc<Grant>> {
        self.links.last()
    }

    pub(super) fn until(&self) -> Timestamp {
        self.until
    }

    pub(super) fn reads(&self) -> Option<&Subtree> {
        self.reads.as_ref()
    }

    /// Whether all links hold `at` in their windows.
    pub(super) fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.until
    }

    /// Whether `key` issued any of the links.
    pub(super) fn has_issuer(&self, key: &PublicKey) -> bool {
        self.links.iter().any(|link| link.issuer() == key)
    }

    /// Whether every link allows the operation, whatever the key.
    pub(super) fn gives(&self, op: Op) -> bool {
        match op {
            Op::Write => self.writes,
            Op::Read => self.reads.is_some(),
        }
    }

    /// Whether every link allows this.
    pub(super) fn allows(&self, key: &Key, op: Op, at: Timestamp) -> bool {
        #[cfg(syncline_planted)]
        if op == Op::Write && syncline_core::planted::is(syncline_core::planted::Bug::SkipLinkPattern) {
            return self.holds(at) && self.writes && self.links.iter().take(1).all(|link| link.pattern().matches(key));
        }
        self.holds(at)
            && match op {
                Op::Write => self.writes && self.links.iter().all(|link| link.pattern().matches(key)),
                Op::Read => self.reads.as_ref().is_some_and(|subtree| subtree.contains(key)),
            }
    }

    /// The first rule that some link breaks, beginning with the links' patterns: they are what one looks for first.
    pub(super) fn objection(&self, key: &Key, op: Op, at: Timestamp) -> Option<Denied> {
        let links = || self.links.iter();
        let pattern = links().find(|link| !link.pattern().matches(key)).map(|link| Denied::Pattern {
            grant: link.id(),
            pattern: link.pattern().clone(),
            key: key.clone(),
        });
        let ops =
            || links().find(|link| !link.ops().contains(op.into())).map(|link| Denied::Op { grant: link.id(), op });
        let subtree = || {
            let broken = links().find(|link| op == Op::Read && link.pattern().as_subtree().is_none());
            broken.map(|link| Denied::NotSubtree { grant: link.id(), pattern: link.pattern().clone() })
        };
        pattern.or_else(ops).or_else(subtree).or_else(|| self.outside(at))
    }

    /// The first link whose window does not hold `at`.
    fn outside(&self, at: Timestamp) -> Option<Denied> {
        self.links.iter().find_map(|link| {
            let (grant, fields) = (link.id(), link.fields());
            match (fields.not_before, fields.not_after) {
                (Some(from), _) if at < from => Some(Denied::NotYet { grant, from }),
                (_, Some(until)) if at > until => Some(Denied::Expired { grant, until }),
                _ => None,
            }
        })
    }
}

/// What all links let read: subtrees contain each other or have nothing in common.
fn common_subtree(links: &[Arc<Grant>]) -> Option<Subtree> {
    let mut common = Subtree::all();
    for link in links {
        let subtree = link.pattern().as_subtree().filter(|_| link.ops().contains(Ops::Read))?;
        if common.includes(&subtree) {
            common = subtree;
        } else if !subtree.includes(&common) {
            return None;
        }
    }
    Some(common)
}

/// An admitted grant.
#[derive(Clone)]
pub(super) struct Held {
    chain: Chain,
    grant: Arc<Grant>,
    /// The grants that were delegated from it, in a list through them, so that a copy of this is small however many they are.
    pub(super) first_child: Option<GrantId>,
    pub(super) next_sibling: Option<GrantId>,
    /// Links of the chain, this grant included, that are revoked by a revocation that counts.
    pub(super) revoked: Revoked,
    /// Whether the first link's issuer is trusted as a root for it.
    pub(super) anchored: bool,
}

/// Which links of a chain are revoked.
#[derive(Clone, Copy, Default)]
pub(super) struct Revoked {
    pub(super) itself: bool,
    pub(super) above: usize,
}

impl Held {
    pub(super) fn new(grant: Arc<Grant>, chain: Chain, revoked: Revoked, anchored: bool) -> Self {
        Self { chain, grant, first_child: None, next_sibling: None, revoked, anchored }
    }

    pub(super) fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    pub(super) fn chain(&self) -> &Chain {
        &self.chain
    }

    pub(super) fn is_live(&self) -> bool {
        self.anchored && !self.revoked.itself && self.revoked.above == 0
    }
}
