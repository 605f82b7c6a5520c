//! Whether grants together have all keys of a pattern.

use std::collections::BTreeSet;

use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::PublicKey;

use super::chain::{Chain, Held};
use super::{Authority, Op};
use crate::item::Reads;
use crate::path::{Budget, Inclusion, Pattern, union_includes};

/// The most patterns that are searched together, and the most chains that are looked at.
const PATTERNS_MAX: usize = 64;
/// The states of a search between the links of one chain. There are many such searches, and few need more than a hundred.
const LINK_STATES: usize = 500;

impl Authority {
    pub(super) fn cover(&self, who: &PublicKey, wanted: &Pattern, op: Op, at: Timestamp) -> Inclusion {
        let public = op == Op::Read && self.namespace.reads() == Reads::Public;
        if public || self.is_root(who, Hlc::new(at, 0)) {
            return Inclusion::Included;
        }
        let usable = |held: &&Held| held.is_live() && held.chain().holds(at) && held.chain().gives(op);
        let chains = self.held_by(who).filter(usable).map(Held::chain);
        let near = chains.filter(|chain| chain.links().iter().all(|link| may_share(link.pattern(), wanted)));
        let mut patterns = BTreeSet::new();
        for chain in near.take(PATTERNS_MAX) {
            match narrowest(chain) {
                Some(pattern) => {
                    patterns.insert(pattern.clone());
                }
                // What the links have in common may still have it all.
                None if chain.links().iter().all(|link| includes(link.pattern(), wanted)) => {
                    return Inclusion::Included;
                }
                None => {}
            }
        }
        let held: Vec<Pattern> = patterns.into_iter().collect();
        match union_includes(&held, wanted, Budget::default()) {
            // It may be among the chains that were left out.
            Inclusion::NotIncluded { witness } if self.authorize(who, &witness, op, at).is_ok() => {
                Inclusion::TooComplex
            }
            inclusion => inclusion,
        }
    }
}

/// The pattern of a link that all other links' patterns include: what the chain gives.
fn narrowest(chain: &Chain) -> Option<&Pattern> {
    let patterns: BTreeSet<&Pattern> = chain.links().iter().map(|link| link.pattern()).collect();
    let within = |inner: &Pattern| patterns.iter().all(|outer| *outer == inner || includes(outer, inner));
    patterns.iter().copied().find(|inner| within(inner))
}

fn includes(outer: &Pattern, inner: &Pattern) -> bool {
    union_includes(std::slice::from_ref(outer), inner, Budget::with_states(LINK_STATES)).is_included()
}

/// Whether two patterns may have a key in common, by what they begin with.
fn may_share(one: &Pattern, other: &Pattern) -> bool {
    let (one, other) = (one.literal_prefix(), other.literal_prefix());
    one.starts_with(other) || other.starts_with(one)
}
