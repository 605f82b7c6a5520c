//! From what was stored back to what was known.

use std::cmp::Reverse;

use thiserror::Error;

use super::{Admission, Authority, AuthorityLimits, SystemItem};
use crate::item::{Item, Namespace};

/// A stored object is not one that was ever admitted: it is damaged, or of another namespace, or what it rests on is missing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a stored object is not admitted again: {admission:?}")]
#[non_exhaustive]
pub struct RestoreError {
    /// The object.
    pub item: Box<Item>,
    /// What became of it.
    pub admission: Box<Admission>,
}

impl Authority {
    /// What was known when all of `items` had been admitted, in any order, each once or more.
    ///
    /// The limits hold for what is admitted later, not for these: they were let in once, maybe under other limits, and in an
    /// order that left more room for roots.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] for the first object that cannot have been admitted.
    pub fn restore(
        namespace: Namespace,
        limits: AuthorityLimits,
        items: impl IntoIterator<Item = SystemItem>,
    ) -> Result<Self, RestoreError> {
        let unlimited =
            AuthorityLimits { grants_max: usize::MAX, revocations_max: usize::MAX, rotations_max: usize::MAX };
        let mut authority = Self::new(namespace, unlimited);
        let mut items: Vec<SystemItem> = items.into_iter().collect();
        items.sort_by_key(precedence);
        for item in items {
            match authority.admit(item.clone()) {
                Admission::Added(_) | Admission::Known => {}
                admission => {
                    let (item, admission) = (Box::new(item.into()), Box::new(admission));
                    return Err(RestoreError { item, admission });
                }
            }
        }
        authority.limits = limits;
        Ok(authority)
    }
}

/// What others rest on comes first: rotations by number, then grants by depth, which falls along a chain, then revocations.
fn precedence(item: &SystemItem) -> (u8, u64, Reverse<u8>) {
    match item {
        SystemItem::RootRotate(rotation) => (0, rotation.fields().index, Reverse(0)),
        SystemItem::Grant(grant) => (1, 0, Reverse(grant.fields().depth)),
        SystemItem::Revocation(_) => (2, 0, Reverse(0)),
    }
}
