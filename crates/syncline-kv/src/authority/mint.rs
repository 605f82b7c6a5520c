//! Whether a grant should be made.

use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::PublicKey;
use thiserror::Error;

use super::chain::{Chain, Held};
use super::{Authority, Denied, Op, Refusal};
use crate::item::{Grant, GrantDraft, GrantId, ItemError, Ops, Quota};
use crate::path::{Inclusion, Key, Pattern};

/// Why a grant should not be made. Made all the same, it would give less than it says, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MintError {
    /// The fields do not go together.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// It would not be admitted.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The issuer was a root once, but is not trusted for the grant's stamp.
    #[error("{issuer} is no longer trusted as a root at {stamp:?}; have a present root issue the grant")]
    RootDistrusted {
        /// Who would issue it.
        issuer: PublicKey,
        /// The grant's stamp.
        stamp: Hlc,
    },
    /// The parent is not known.
    #[error("the grant {parent} is not known here; sync first, or name another as the parent")]
    UnknownParent {
        /// The parent.
        parent: GrantId,
    },
    /// The parent is dead.
    #[error("the grant {parent} does not count any more: {reason}")]
    DeadParent {
        /// The parent.
        parent: GrantId,
        /// Why.
        reason: Box<Denied>,
    },
    /// The parent may not be passed on.
    #[error("the grant {parent} may not be passed on: its depth is 0; ask its issuer for one with more")]
    DepthExhausted {
        /// The parent.
        parent: GrantId,
    },
    /// A link above does not allow the operations.
    #[error("the grant {grant} allows to {held}, not to {wanted}; ask for less")]
    OpsNotHeld {
        /// The link.
        grant: GrantId,
        /// What it allows.
        held: Ops,
        /// What was asked for.
        wanted: Ops,
    },
    /// The chain above has passed.
    #[error("the grant {parent} held until {} ms, which has passed; ask its issuer for a new one", until.as_millis())]
    Expired {
        /// The parent.
        parent: GrantId,
        /// Until when it or a link above it held.
        until: Timestamp,
    },
    /// A link above has a narrower window.
    #[error("the grant {grant} holds from {from:?} until {until:?}; set a window within that")]
    WindowNotHeld {
        /// The link.
        grant: GrantId,
        /// From when on it holds.
        from: Option<Timestamp>,
        /// Until when it holds.
        until: Option<Timestamp>,
    },
    /// A link above has a lower quota.
    #[error("the grant {grant} has the quota {held:?}; set one that is no higher")]
    QuotaNotHeld {
        /// The link.
        grant: GrantId,
        /// Its quota.
        held: Quota,
    },
    /// A link above is for other keys.
    #[error("the grant {grant} is for {held}, which {witness} is not in; ask for keys within it")]
    NotSubset {
        /// The link.
        grant: GrantId,
        /// The keys that it is for.
        held: Pattern,
        /// A key that was asked for and is not among them.
        witness: Key,
    },
    /// It would take too long to tell whether a link above has the keys.
    #[error(
        "it would take too long to tell whether the grant {grant}, for {held}, has these keys; use simpler patterns"
    )]
    TooComplex {
        /// The link.
        grant: GrantId,
        /// The keys that it is for.
        held: Pattern,
    },
    /// Only subtrees can be read.
    #[error(
        "{pattern} is no subtree such as /a/**, so it cannot be read; grant to read a subtree, and to write by another grant"
    )]
    ReadNotSubtree {
        /// The keys that were asked for.
        pattern: Pattern,
    },
}

impl Authority {
    /// Whether a grant of these fields, made at wall time `at`, would give all that it says.
    ///
    /// The [depth](GrantDraft::depth), operations, window, quota and keys must be within those of *every* link above; no limit is
    /// within no limit only. A grant to oneself is allowed, and useless.
    ///
    /// Replicas do not check this: over-broad grants are admitted, and what they say too much counts for nothing.
    ///
    /// # Errors
    ///
    /// [`MintError`] with the first thing that is too much.
    pub fn check_mint(&self, draft: &GrantDraft, at: Timestamp) -> Result<(), MintError> {
        draft.unsigned()?;
        if draft.namespace != self.namespace.id() {
            return Err(Refusal::OtherNamespace { found: draft.namespace }.into());
        }
        if draft.ops.contains(Ops::Read) && draft.pattern.as_subtree().is_none() {
            return Err(MintError::ReadNotSubtree { pattern: draft.pattern.clone() });
        }
        let Some(parent) = draft.parent else { return self.check_root_mint(draft) };
        let above = self.grants.get(&parent).ok_or(MintError::UnknownParent { parent })?;
        self.check_parent(above, draft, at)?;
        for link in above.chain().links().iter() {
            check_link(link, draft)?;
        }
        Ok(())
    }

    fn check_root_mint(&self, draft: &GrantDraft) -> Result<(), MintError> {
        let (issuer, stamp) = (draft.issuer, draft.stamp);
        if self.is_root(&issuer, stamp) {
            Ok(())
        } else if self.was_root(&issuer) {
            Err(MintError::RootDistrusted { issuer, stamp })
        } else {
            Err(Refusal::NotRoot { issuer }.into())
        }
    }

    fn check_parent(&self, above: &Held, draft: &GrantDraft, at: Timestamp) -> Result<(), MintError> {
        let (grant, parent) = (above.grant(), above.grant().id());
        if *grant.audience() != draft.issuer {
            return Err(Refusal::NotAudience { parent, audience: *grant.audience(), issuer: draft.issuer }.into());
        }
        if let Some(reason) = self.why_dead(above) {
            return Err(MintError::DeadParent { parent, reason: Box::new(reason) });
        }
        match grant.fields().depth {
            0 => return Err(MintError::DepthExhausted { parent }),
            held if draft.depth >= held => return Err(Refusal::Depth { parent, held, found: draft.depth }.into()),
            _ => {}
        }
        let until = Chain::until(above.chain());
        if until < at { Err(MintError::Expired { parent, until }) } else { Ok(()) }
    }

    /// Whether `who` may do `op` with all keys of `pattern` at wall time `at`, by its live grants taken together.
    ///
    /// Together, since some patterns are covered by several grants but by none of them alone. A
    /// [witness](Inclusion::NotIncluded) is a key for which [`authorize`](Self::authorize) says no.
    /// [`TooComplex`](Inclusion::TooComplex) if the search is not finished within its budget, or there are more than 64 patterns
    /// to search in, or a chain gives only what several of its links have in common.
    #[must_use]
    pub fn would_cover(&self, who: &PublicKey, pattern: &Pattern, op: Op, at: Timestamp) -> Inclusion {
        self.cover(who, pattern, op, at)
    }
}

/// Whether one link above gives all that is asked for.
fn check_link(link: &Grant, draft: &GrantDraft) -> Result<(), MintError> {
    let (grant, held) = (link.id(), link.fields());
    if !held.ops.contains(draft.ops) {
        return Err(MintError::OpsNotHeld { grant, held: held.ops, wanted: draft.ops });
    }
    let begins = held.not_before.is_none_or(|from| draft.not_before.is_some_and(|wanted| wanted >= from));
    if !begins || !is_within(draft.not_after, held.not_after) {
        return Err(MintError::WindowNotHeld { grant, from: held.not_before, until: held.not_after });
    }
    if !is_within(draft.quota.entries, held.quota.entries) || !is_within(draft.quota.bytes, held.quota.bytes) {
        return Err(MintError::QuotaNotHeld { grant, held: held.quota });
    }
    match held.pattern.includes(&draft.pattern) {
        Inclusion::Included => Ok(()),
        Inclusion::NotIncluded { witness } => Err(MintError::NotSubset { grant, held: held.pattern.clone(), witness }),
        Inclusion::TooComplex => Err(MintError::TooComplex { grant, held: held.pattern.clone() }),
    }
}

/// Whether an upper limit, none of which is no limit, is within another.
fn is_within<T: PartialOrd>(wanted: Option<T>, held: Option<T>) -> bool {
    held.is_none_or(|held| wanted.is_some_and(|wanted| wanted <= held))
}
