//! Verification of many signatures by one equation, and the search for the bad ones when it does not hold.

mod search;
mod transcript;

use std::ops::Range;

use ed25519_zebra::VerificationKeyBytes;
use ed25519_zebra::batch::{Item, Verifier as Equation};

use crate::{BatchVerdict, Signature, SignedMessage};

use search::Oracle;
use transcript::Seed;

/// Items that go into one equation at most. Past this the price per item hardly falls any more, and it bounds both the
/// memory that a batch takes and how far one bad signature reaches.
const CHUNK: usize = 1024;

/// Verifies many signatures by the rule of [`Ed25519`](crate::Ed25519), with a verdict for each.
///
/// The verdict on an item is that of [`Ed25519::verify`](crate::Verifier::verify), whatever else is in the batch and in
/// whichever order. An empty batch is valid. Items may repeat.
///
/// # Cost
///
/// Up to 1024 items are checked by one equation, which from eight items on is two to five times cheaper than one by one:
/// all signatures of one key share its term, so a batch of one author costs about half of a batch in which each author
/// signed once. Memory beside the items is bounded (about 2 MiB), however long the batch is.
///
/// When an equation does not hold, blocks of 64 are tried, the bad ones are halved down to a few items, and those are
/// checked one by one. One bad item among 1024 doubles the cost of the batch or a little more; eight of them cost about
/// as much as checking each item alone. Where most are bad the search gives up and checks one by one; at worst a batch
/// costs about two and a half times as much as checking each alone.
///
/// # Where the randomness comes from
///
/// The equation is a sum over the items, each weighed with a 128-bit coefficient that whoever made the signatures must
/// not be able to choose; otherwise errors in two of them could be made to cancel. This crate has no source of
/// randomness, so the coefficients are the output of BLAKE3 over a transcript of every key, signature and message of the
/// chunk (the Fiat-Shamir transform). To change anything, an attacker must change the transcript, and thereby draws all
/// coefficients afresh. At most one value in 2^128 of a coefficient fits a given error in the others, so each try succeeds
/// with a probability of about 2^-128, and there is nothing to gain by preparing tries: to pass one invalid signature
/// takes as much work as to break the curve. An *invalid* verdict never rests on chance: it comes from the item's own
/// equation.
#[must_use = "a verdict that nobody reads accepts everything"]
pub fn verify_batch(items: &[SignedMessage<'_>]) -> BatchVerdict {
    let mut invalid = Vec::new();
    for (number, chunk) in items.chunks(CHUNK).enumerate() {
        invalid.extend(invalid_of_chunk(chunk).into_iter().map(|index| number * CHUNK + index));
    }
    BatchVerdict::from_sorted(items.len(), invalid)
}

/// Whether s is less than the group order, by comparing bytes.
pub(crate) fn has_reduced_scalar(signature: &Signature) -> bool {
    let [.., s] = signature.as_bytes().as_chunks::<32>().0 else { return false };
    s.iter().rev().lt(ORDER.iter().rev())
}

/// The order L = 2^252 + 27742317777372353535851937790883648493 of the group, least byte first.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The places of the invalid items, rising.
fn invalid_of_chunk(chunk: &[SignedMessage<'_>]) -> Vec<usize> {
    let mut places = Vec::with_capacity(chunk.len());
    let mut items = Vec::with_capacity(chunk.len());
    let mut invalid = Vec::new();
    for (place, item) in chunk.iter().enumerate() {
        // One such item would spoil the equation for all, and it is known without one.
        if has_reduced_scalar(item.signature) {
            places.push(place);
            items.push(prepare(*item));
        } else {
            invalid.push(place);
        }
    }
    let bad = search::bad_items(&Equations { seed: Seed::of(chunk), items: &items }, items.len());
    invalid.extend(bad.into_iter().filter_map(|index| places.get(index)));
    invalid.sort_unstable();
    invalid
}

/// Hashes the message; what is left to do does not depend on its length.
pub(crate) fn prepare(item: SignedMessage<'_>) -> Item {
    let key = VerificationKeyBytes::from(item.key.to_bytes());
    let signature = ed25519_zebra::Signature::from_bytes(item.signature.as_bytes());
    Item::from((key, signature, item.message))
}

struct Equations<'a> {
    seed: Seed,
    items: &'a [Item],
}

impl Oracle for Equations<'_> {
    fn is_good(&self, range: &Range<usize>) -> bool {
        let Some(items) = self.items.get(range.clone()) else { return false };
        let mut equation = Equation::new();
        for item in items {
            equation.queue(item.clone());
        }
        equation.verify(self.seed.coefficients(range)).is_ok()
    }

    fn is_good_alone(&self, index: usize) -> bool {
        self.items.get(index).is_some_and(|item| item.clone().verify_single().is_ok())
    }
}
