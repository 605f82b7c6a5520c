//! Where other rules for Ed25519 differ from ours. The table in README.md is this test's.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::{Signature as DalekSignature, VerifyingKey};
use syncline_crypto::{KeyError, PublicKey};

use crate::craft::{Kind, challenge, craft, join, sign_with, small_order_encodings};
use crate::seeded::Seeded;

/// What accepts: ours, dalek's `verify`, dalek's `verify_strict`.
#[expect(clippy::disallowed_methods, reason = "to show how the other rules differ")]
fn accepted_by(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> [bool; 3] {
    let ours = PublicKey::from_bytes(key).is_ok_and(|key| key.verify(message, &(*signature).into()).is_ok());
    let Ok(dalek) = VerifyingKey::from_bytes(key) else { return [ours, false, false] };
    let signature = DalekSignature::from_bytes(signature);
    let plain = ed25519_dalek::Verifier::verify(&dalek, message, &signature).is_ok();
    [ours, plain, dalek.verify_strict(message, &signature).is_ok()]
}

fn accepted(kind: Kind, rng: &mut Seeded) -> [bool; 3] {
    let crafted = craft(kind, rng);
    accepted_by(&crafted.key, &crafted.message, &crafted.signature)
}

#[test]
fn honest_signatures_are_accepted_by_all_and_malleated_ones_by_none() {
    let mut rng = Seeded::new();
    assert_eq!(accepted(Kind::Honest, &mut rng), [true, true, true]);
    assert_eq!(accepted(Kind::ScalarPlusOrder, &mut rng), [false, false, false]);
    assert_eq!(accepted(Kind::OtherMessage, &mut rng), [false, false, false]);
}

#[test]
fn a_small_order_component_in_r_splits_the_rules() {
    assert_eq!(accepted(Kind::TorsionInR, &mut Seeded::new()), [true, false, false]);
}

#[test]
fn under_a_mixed_key_dalek_decides_by_the_message() {
    let mut rng = Seeded::new();
    let secret = (Scalar::from_bytes_mod_order_wide(&rng.bytes()), EIGHT_TORSION[1]);
    let mut seen = [false; 2];
    for n in 0u32..200 {
        let nonce = (Scalar::from_bytes_mod_order_wide(&rng.bytes()), EIGHT_TORSION[0]);
        let message = n.to_be_bytes();
        let (key, signature) = sign_with(secret, nonce, |point| point.compress().to_bytes(), &message);
        let r = signature[..32].try_into().expect("32 bytes");
        let lucky = challenge(&r, &key, &message).as_bytes()[0].is_multiple_of(8);
        assert_eq!(accepted_by(&key, &message, &signature), [true, lucky, lucky]);
        seen[usize::from(lucky)] = true;
    }
    assert_eq!(seen, [true, true]);
}

#[test]
fn an_r_of_small_order_splits_the_rules() {
    let mut rng = Seeded::new();
    let secret = (Scalar::from_bytes_mod_order_wide(&rng.bytes()), EIGHT_TORSION[0]);
    let canonical = |point: curve25519_dalek::EdwardsPoint| point.compress().to_bytes();
    let (key, signature) = sign_with(secret, (Scalar::ZERO, EIGHT_TORSION[0]), canonical, b"message");
    assert_eq!(accepted_by(&key, b"message", &signature), [true, true, false]);
    let (key, signature) = sign_with(secret, (Scalar::ZERO, EIGHT_TORSION[3]), canonical, b"message");
    assert_eq!(accepted_by(&key, b"message", &signature), [true, false, false]);
    assert_eq!(accepted(Kind::NonCanonicalSmallOrderR, &mut rng), [true, false, false]);
}

/// Under the identity as a key, R = sB is a signature of any message: dalek's `verify` is forged, ours has no such key.
#[test]
fn a_forgery_under_a_small_order_key_passes_dalek_only() {
    let identity = EIGHT_TORSION[0].compress().to_bytes();
    let r = curve25519_dalek::EdwardsPoint::mul_base(&Scalar::ONE).compress().to_bytes();
    let signature = join(r, Scalar::ONE.to_bytes());
    for message in [&b"pay"[..], b"do not pay"] {
        assert_eq!(accepted_by(&identity, message, &signature), [false, true, false]);
    }
}

/// The key's y is 2^255 - 19 + 3: dalek takes it as another name of the key with y = 3.
#[test]
fn dalek_parses_keys_with_two_spellings() {
    let mut key = [0xff; 32];
    key[0] = 0xed + 3;
    key[31] = 0x7f;
    assert!(VerifyingKey::from_bytes(&key).is_ok());
    assert_eq!(PublicKey::from_bytes(&key), Err(KeyError::NonCanonical));
}

/// The 196 pairs of small-order encodings for key and R with s = 0: valid by ZIP 215 for every message, so it is parsing
/// that must refuse them, and does.
#[test]
fn the_small_order_matrix_is_refused_at_parsing() {
    let encodings = small_order_encodings();
    let mut cases = 0;
    for key in &encodings {
        assert_eq!(PublicKey::from_bytes(key), Err(KeyError::SmallOrder));
        for r in &encodings {
            let signature = join(*r, [0; 32]);
            let zebra = ed25519_zebra::VerificationKey::try_from(*key).expect("a point");
            let bytes = ed25519_zebra::Signature::from_bytes(&signature);
            assert_eq!(zebra.verify(&bytes, b"Zcash"), Ok(()));
            cases += 1;
        }
    }
    assert_eq!(cases, 196);
}
