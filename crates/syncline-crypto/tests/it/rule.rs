//! One rule: single checks, batches of any size and order, and the rule's definition agree on every signature.

use proptest::prelude::*;
use syncline_crypto::{Ed25519, Hash, SignedMessage, Verifier, VerifyError, verify_batch};

use crate::craft::{self, Kind, Parsed, parsed};
use crate::seeded::Seeded;

/// Some of each kind, in order.
fn of_each_kind(count: usize, rng: &mut Seeded) -> Vec<Parsed> {
    (0..count * Kind::ALL.len()).map(|n| parsed(Kind::ALL[n % Kind::ALL.len()], rng)).collect()
}

fn assert_batch_agrees(batch: &[&Parsed]) {
    let items: Vec<SignedMessage<'_>> = batch.iter().map(|item| item.as_item()).collect();
    let verdict = verify_batch(&items);
    assert_eq!(verdict.len(), items.len());
    for (index, item) in batch.iter().enumerate() {
        assert_eq!(verdict.is_valid(index), item.kind.counts(), "item {index} of {}: {item:?}", batch.len());
    }
    let invalid: Vec<usize> = (0..batch.len()).filter(|index| !batch[*index].kind.counts()).collect();
    assert_eq!(verdict.invalid().collect::<Vec<_>>(), invalid);
    assert_eq!(verdict.is_all_valid(), invalid.is_empty());
    assert_eq!(Ed25519.verify_batch(&items), verdict);
}

#[test]
fn single_checks_follow_the_definition() {
    let mut rng = Seeded::new();
    for item in of_each_kind(24, &mut rng) {
        let expected = craft::reference(item.key.as_bytes(), &item.message, item.signature.as_bytes());
        assert_eq!(expected, item.kind.counts(), "{item:?}");
        assert_eq!(item.verify().is_ok(), expected, "{item:?}");
        assert_eq!(Ed25519.verify(item.as_item()), item.verify());
    }
}

#[test]
fn errors_name_what_is_wrong() {
    let mut rng = Seeded::new();
    for kind in Kind::ALL {
        let expected = match kind {
            Kind::KeyOffCurve => Err(VerifyError::KeyNotOnCurve),
            Kind::ScalarPlusOrder | Kind::ScalarOfOnes => Err(VerifyError::ScalarNotReduced),
            // A flip may also hit the top bits of s.
            Kind::FlippedSignature => continue,
            _ if kind.counts() => Ok(()),
            _ => Err(VerifyError::Mismatch),
        };
        assert_eq!(parsed(kind, &mut rng).verify(), expected, "{kind:?}");
    }
}

#[test]
fn the_least_scalar_that_is_not_reduced_is_refused() {
    let mut rng = Seeded::new();
    let mut item = parsed(Kind::Honest, &mut rng);
    let r: [u8; 32] = rng.bytes();
    let verify_with = |item: &mut Parsed, s| {
        item.signature = craft::join(r, s).into();
        item.verify()
    };
    assert_eq!(verify_with(&mut item, craft::ORDER), Err(VerifyError::ScalarNotReduced));
    let mut below = craft::ORDER;
    below[0] -= 1;
    assert_eq!(verify_with(&mut item, below), Err(VerifyError::Mismatch));
    let mut high = [0; 32];
    high[31] = 0x0f;
    assert_eq!(verify_with(&mut item, high), Err(VerifyError::Mismatch));
    high[31] = 0x11;
    assert_eq!(verify_with(&mut item, high), Err(VerifyError::ScalarNotReduced));
}

#[test]
fn batches_of_every_small_size_agree_with_single_checks() {
    let mut rng = Seeded::new();
    let pool = of_each_kind(16, &mut rng);
    let (good, bad): (Vec<&Parsed>, Vec<&Parsed>) = pool.iter().partition(|item| item.kind.counts());
    for size in 1..=70usize {
        // None bad, one bad at each end and somewhere, some, half of all, nearly all.
        for wanted in [0, 1, 1, 1, 2, 5, size / 2, size.saturating_sub(1), size] {
            let count = wanted.min(size);
            let mut batch: Vec<&Parsed> = (0..size - count).map(|_| good[rng.below(good.len())]).collect();
            batch.extend((0..count).map(|_| bad[rng.below(bad.len())]));
            rng.shuffle(&mut batch);
            assert_batch_agrees(&batch);
        }
    }
}

#[test]
fn large_batches_agree_with_single_checks() {
    let mut rng = Seeded::new();
    let pool = of_each_kind(8, &mut rng);
    let (good, bad): (Vec<&Parsed>, Vec<&Parsed>) = pool.iter().partition(|item| item.kind.counts());
    for (size, count) in [(127, 1), (128, 3), (129, 129), (1023, 2), (1024, 1), (1025, 40), (2049, 700)] {
        let mut batch: Vec<&Parsed> = (0..size - count).map(|_| good[rng.below(good.len())]).collect();
        batch.extend((0..count).map(|_| bad[rng.below(bad.len())]));
        // A bad last item sits alone in its chunk where the size is one above a multiple of 1024.
        assert_batch_agrees(&batch);
        rng.shuffle(&mut batch);
        assert_batch_agrees(&batch);
    }
}

#[test]
fn errors_that_cancel_in_a_plain_sum_are_found() {
    use curve25519_dalek::constants::EIGHT_TORSION;
    use curve25519_dalek::scalar::Scalar;
    let mut rng = Seeded::new();
    let none = EIGHT_TORSION[0];
    let secret = Scalar::from_bytes_mod_order_wide(&rng.bytes());
    // Two signatures of one key, one with s too great by one, the other with s too small by one.
    let [more, less] = [Scalar::ONE, -Scalar::ONE].map(|error| {
        let nonce = Scalar::from_bytes_mod_order_wide(&rng.bytes());
        let (key, mut signature) =
            craft::sign_with((secret, none), (nonce, none), |point| point.compress().to_bytes(), b"message");
        let s: [u8; 32] = signature[32..].try_into().expect("32 bytes");
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)).expect("reduced");
        signature[32..].copy_from_slice((s + error).as_bytes());
        Parsed {
            kind: Kind::FlippedSignature,
            key: syncline_crypto::PublicKey::from_bytes(&key).expect("a key"),
            message: b"message".to_vec(),
            signature: signature.into(),
        }
    });
    assert_batch_agrees(&[&more, &less]);
    let good = parsed(Kind::Honest, &mut rng);
    let mut batch = vec![&good; 60];
    batch.extend([&more, &less]);
    assert_batch_agrees(&batch);
}

#[test]
fn an_empty_batch_is_valid() {
    let verdict = verify_batch(&[]);
    assert!(verdict.is_all_valid() && verdict.is_empty());
    assert!(!verdict.is_valid(0));
    assert_eq!(verdict.into_result(), Ok(()));
}

/// Checks one byte of a keyed hash: what a simulation may use. Has no batch of its own.
#[derive(Debug)]
struct KeyedHash;

impl Verifier for KeyedHash {
    fn verify(&self, item: SignedMessage<'_>) -> Result<(), VerifyError> {
        let mut input = item.key.as_bytes().to_vec();
        input.extend_from_slice(item.message);
        let expected = Hash::digest(&input);
        if item.signature.as_bytes().starts_with(expected.as_bytes()) { Ok(()) } else { Err(VerifyError::Mismatch) }
    }
}

#[test]
fn another_verifier_can_stand_in() {
    let mut rng = Seeded::new();
    let mut items: Vec<Parsed> = (0..5).map(|_| parsed(Kind::Honest, &mut rng)).collect();
    for item in &mut items[1..4] {
        let mut input = item.key.as_bytes().to_vec();
        input.extend_from_slice(&item.message);
        item.signature = craft::join(Hash::digest(&input).to_bytes(), [0; 32]).into();
    }
    let refs: Vec<SignedMessage<'_>> = items.iter().map(Parsed::as_item).collect();
    let verifiers: [Box<dyn Verifier>; 3] =
        [Box::new(KeyedHash), Box::new(std::sync::Arc::new(KeyedHash)), Box::new(&KeyedHash)];
    for verifier in verifiers {
        let verdict = verifier.verify_batch(&refs);
        assert_eq!(verdict.invalid().collect::<Vec<_>>(), [0, 4]);
        assert!(verdict.is_valid(1) && !verdict.is_valid(4) && !verdict.is_valid(5));
        let error = verdict.into_result().expect_err("two are invalid");
        assert_eq!(error.to_string(), "2 of 5 signatures are invalid");
        assert_eq!(error.invalid().collect::<Vec<_>>(), [0, 4]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any selection, in any order, with repetitions.
    #[test]
    fn any_batch_agrees_with_single_checks(picks in prop::collection::vec((0..Kind::ALL.len(), 0usize..4), 0..140)) {
        let mut rng = Seeded::new();
        let pool = of_each_kind(4, &mut rng);
        let batch: Vec<&Parsed> = picks.iter().map(|(kind, nth)| &pool[nth * Kind::ALL.len() + kind]).collect();
        assert_batch_agrees(&batch);
    }

    /// Any bytes at all: nothing panics, and batch, single check and definition agree.
    #[test]
    fn any_bytes_agree(keys in prop::collection::vec(any::<[u8; 32]>(), 1..12), r in any::<[u8; 32]>(), s in any::<[u8; 32]>()) {
        let signature = craft::join(r, s).into();
        let keys: Vec<_> = keys.iter().filter_map(|key| syncline_crypto::PublicKey::from_bytes(key).ok()).collect();
        let items: Vec<_> = keys.iter().map(|key| SignedMessage::new(key, b"", &signature)).collect();
        let verdict = verify_batch(&items);
        for (index, item) in items.iter().enumerate() {
            let expected = craft::reference(item.key.as_bytes(), item.message, item.signature.as_bytes());
            prop_assert_eq!(Ed25519.verify(*item).is_ok(), expected);
            prop_assert_eq!(verdict.is_valid(index), expected);
        }
    }
}
