//! The two sets of a tree, as a session compares them.

use syncline_crypto::{Domain, Hash};
use syncline_reconcile::{
    Bound, Nonce as RoundNonce, RangeConfig, RangeReconciler, ReconcileSet as _, Reconciler, SketchConfig,
    SketchReconciler, Span, SummaryIndex as _,
};

use super::limits::Limits;
use super::query::KvQuery;
use super::wire::{Counts, Digest, Nonce};
use crate::tree::{KvError, SetName, TreeView};

const DIGEST: Domain = Domain::new("syncline/kv/sync-digest/v1");
const NONCE: Domain = Domain::new("syncline/kv/sync-nonce/v1");

/// The sort key of revocations in the system set. Grants and rotations come before.
const REVOCATIONS: u8 = 2;

/// What the two sides agreed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) ours: Nonce,
    pub(super) theirs: Nonce,
    pub(super) live: bool,
    pub(super) on_rejection: bool,
    /// What this side held at the beginning.
    pub(super) our_counts: Counts,
    /// What the peer held at the beginning.
    pub(super) their_counts: Counts,
}

/// So many items of both sides together are listed with fewer bytes than a sketch has.
const LISTED_MAX: u64 = 128;

/// The part of a set that a session is about.
pub(super) fn span(query: &KvQuery, set: SetName, on_rejection: bool) -> Span {
    match set {
        SetName::System if on_rejection => Span { from: Bound::MIN, to: Some(bound(vec![REVOCATIONS])) },
        SetName::Entries if !query.is_whole() => {
            Span { from: bound(query.prefix.start()), to: query.prefix.end().map(bound) }
        }
        SetName::System | SetName::Entries => Span::ALL,
    }
}

fn bound(key: Vec<u8>) -> Bound {
    Bound { key, id_prefix: Vec::new() }
}

/// How many items there are.
pub(super) fn counts(view: &TreeView, query: &KvQuery) -> Result<Counts, KvError> {
    let entries = view.entries.fingerprint(&span(query, SetName::Entries, false))?.count;
    Ok(Counts { system: view.system.len()?, entries })
}

/// What there is, under a nonce. Of a whole set nobody can make two with the same; of a part it is as strong as its sum.
pub(super) fn digest(
    view: &TreeView,
    query: &KvQuery,
    set: SetName,
    on_rejection: bool,
    nonce: &Nonce,
) -> Result<Digest, KvError> {
    let (span, index) = (span(query, set, on_rejection), view.set(set));
    let mut hasher = DIGEST.hasher();
    hasher.update(nonce).update(&[number(set)]);
    if span == Span::ALL {
        hasher.update(&[0]).update(&index.accumulator()?.to_bytes());
    } else {
        let print = index.fingerprint(&span)?;
        hasher.update(&[1]).update(&print.count.to_le_bytes());
        print.sum.iter().for_each(|word| {
            hasher.update(&word.to_le_bytes());
        });
    }
    Ok(half(hasher.finalize()))
}

fn number(set: SetName) -> u8 {
    match set {
        SetName::System => 0,
        SetName::Entries => 1,
    }
}

fn half(hash: Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(hash.as_bytes().split_at(16).0);
    half
}

/// One side of a reconciliation of a set: the first of a session has round 0.
pub(super) fn reconciler(
    query: &KvQuery,
    set: SetName,
    terms: &Terms,
    round: u64,
    limits: &Limits,
) -> Box<dyn Reconciler> {
    let nonce = |of: &Nonce| {
        let hash = NONCE.hasher().update(of).update(&[number(set)]).update(&round.to_le_bytes()).finalize();
        RoundNonce::from_bytes(half(hash))
    };
    let (ours, theirs) = (nonce(&terms.ours), nonce(&terms.theirs));
    let mut ranges = RangeConfig::DEFAULT;
    ranges.message_len_max = Limits::RECONCILE_LEN_MAX;
    ranges.limits.message_len = Limits::FRAME_LEN_MIN;
    ranges.limits.ids = limits.differences_max();
    let span = span(query, set, terms.on_rejection);
    let items = terms.our_counts.of(set).saturating_add(terms.their_counts.of(set));
    if span != Span::ALL || items <= LISTED_MAX {
        return Box::new(RangeReconciler::with_nonces(ranges, ours, theirs).over(span));
    }
    let mut config = SketchConfig::DEFAULT;
    config.ranges = ranges;
    Box::new(SketchReconciler::with_nonces(config, ours, theirs))
}
