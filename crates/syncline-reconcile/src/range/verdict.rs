//! What decides that two sides have the same in common.

use super::salt::{Digest, Role, Salt};
use super::view::View;
use crate::{Fingerprint, ItemId, LtHash, ReconcileError, ReconcileSet, Span};

/// Keeps track of what this side has in common with the peer: everything, less what was found to be only here.
///
/// For a whole set that is its [`LtHash`], for a part of one a sum of hashes that are keyed with what both sides brought
/// into the session, so that nobody could make items for it beforehand.
#[derive(Clone, Debug)]
pub(super) struct Common {
    span: Span,
    /// The accumulator over what was found so far.
    removed: LtHash,
    removed_count: usize,
}

impl Common {
    pub(super) fn new(span: Span) -> Self {
        Self { span, removed: LtHash::new(), removed_count: 0 }
    }

    /// The digest of what both have in common, as the side in this role would make it.
    pub(super) fn digests(
        &mut self,
        set: &dyn ReconcileSet,
        salt: &Salt,
        found: &[ItemId],
    ) -> Result<Digests, ReconcileError> {
        let digests = |common: &[u8]| Digests {
            opener: salt.digest(Role::Opener, common),
            responder: salt.digest(Role::Responder, common),
        };
        if self.span == Span::ALL {
            self.removed.add_all(set.set_key(), found.get(self.removed_count..).unwrap_or_default());
            self.removed_count = found.len();
            let mut common = set.accumulator()?;
            common.subtract(&self.removed);
            return Ok(digests(&common.to_bytes()));
        }
        let all = View { set, salt, found: &[] }.sum(&self.span)?;
        let mut removed = Fingerprint::default();
        found.iter().for_each(|id| removed += salt.lift(id));
        let common = all - removed;
        let words = common.sum.iter().chain([&common.count]).flat_map(|word| word.to_le_bytes());
        Ok(digests(&words.collect::<Vec<_>>()))
    }
}

/// The digests with which each side would show the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digests {
    opener: Digest,
    responder: Digest,
}

impl Digests {
    pub(super) const fn of(&self, role: Role) -> Digest {
        match role {
            Role::Opener => self.opener,
            Role::Responder => self.responder,
        }
    }
}
