//! Small questions to the authority.

use std::collections::BTreeSet;

use syncline_core::clock::Hlc;
use syncline_crypto::PublicKey;

use crate::authority::Authority;
use crate::item::{GrantId, Item};

/// Whether an item of the system set is there.
pub(super) fn has(authority: &Authority, item: &Item) -> bool {
    match item {
        Item::Grant(grant) => authority.grant(&grant.id()).is_some(),
        Item::Revocation(revocation) => authority.revocation(&revocation.id()).is_some(),
        Item::RootRotate(rotation) => authority.rotation(&rotation.id()).is_some(),
        Item::Entry(_) => false,
    }
}

/// All that were roots and are not now.
pub(super) fn former_roots(authority: &Authority) -> BTreeSet<PublicKey> {
    let mut roots: BTreeSet<PublicKey> = authority.namespace().roots().iter().copied().collect();
    for rotation in authority.rotations() {
        roots.extend(&rotation.fields().roots);
        roots.extend(rotation.fields().retired.keys());
    }
    for root in authority.roots().keys() {
        roots.remove(root);
    }
    roots
}

/// Whether a revocation by this key would count.
pub(super) fn may_revoke(authority: &Authority, revoker: &PublicKey, grant: &GrantId, stamp: Hlc) -> bool {
    let issued = |links: &[std::sync::Arc<crate::item::Grant>]| links.iter().any(|link| link.issuer() == revoker);
    authority.is_root(revoker, stamp) || authority.chain(grant).is_some_and(|links| issued(links))
}
