//! Signatures that no honest signer makes, and the rule written down once more, without the library that is tested.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity as _;
use sha2::{Digest as _, Sha512};
use syncline_crypto::rand_core::Rng as _;
use syncline_crypto::{PublicKey, Signature, SignedMessage, SigningKey, VerifyError};

use crate::seeded::Seeded;

/// The order L of the group, least byte first.
pub(crate) const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// A key, a message and a signature, whatever they are worth.
#[derive(Clone, Debug)]
pub(crate) struct Crafted {
    pub(crate) key: [u8; 32],
    pub(crate) message: Vec<u8>,
    pub(crate) signature: [u8; 64],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Honest,
    TorsionInR,
    TorsionInKey,
    TorsionInBoth,
    SmallOrderR,
    NonCanonicalSmallOrderR,
    MixedKeySmallOrderR,
    NonCanonicalR,
    ROffCurve,
    KeyOffCurve,
    ScalarPlusOrder,
    ScalarOfOnes,
    OtherMessage,
    OtherKey,
    FlippedSignature,
    AllZero,
}

impl Kind {
    pub(crate) const ALL: [Kind; 16] = [
        Kind::Honest,
        Kind::TorsionInR,
        Kind::TorsionInKey,
        Kind::TorsionInBoth,
        Kind::SmallOrderR,
        Kind::NonCanonicalSmallOrderR,
        Kind::MixedKeySmallOrderR,
        Kind::NonCanonicalR,
        Kind::ROffCurve,
        Kind::KeyOffCurve,
        Kind::ScalarPlusOrder,
        Kind::ScalarOfOnes,
        Kind::OtherMessage,
        Kind::OtherKey,
        Kind::FlippedSignature,
        Kind::AllZero,
    ];

    /// What the rule says, known from how the signature is made.
    pub(crate) fn counts(self) -> bool {
        matches!(
            self,
            Kind::Honest
                | Kind::TorsionInR
                | Kind::TorsionInKey
                | Kind::TorsionInBoth
                | Kind::SmallOrderR
                | Kind::NonCanonicalSmallOrderR
                | Kind::MixedKeySmallOrderR
        )
    }
}

/// All encodings, canonical or not, that decode to a point of small order: found by trying, not listed.
pub(crate) fn small_order_encodings() -> Vec<[u8; 32]> {
    let mut encodings = Vec::new();
    for torsion in EIGHT_TORSION {
        let canonical = torsion.compress().to_bytes();
        for y in spellings(canonical) {
            for sign in [0, 0x80] {
                let mut encoding = y;
                encoding[31] = (encoding[31] & 0x7f) | sign;
                if CompressedEdwardsY(encoding).decompress() == Some(torsion) && !encodings.contains(&encoding) {
                    encodings.push(encoding);
                }
            }
        }
    }
    encodings
}

/// A y coordinate as it is, and with 2^255 - 19 added if that fits into 255 bits.
fn spellings(canonical: [u8; 32]) -> Vec<[u8; 32]> {
    let mut y = canonical;
    y[31] &= 0x7f;
    let mut spellings = vec![y];
    if y[0] < 19 && y[1..].iter().all(|byte| *byte == 0) {
        let mut other = [0xff; 32];
        other[0] = 0xed + y[0];
        other[31] = 0x7f;
        spellings.push(other);
    }
    spellings
}

fn scalar(rng: &mut Seeded) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&rng.bytes())
}

/// A point of small order other than the identity.
fn torsion(rng: &mut Seeded) -> EdwardsPoint {
    EIGHT_TORSION[1 + rng.below(7)]
}

pub(crate) fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r).chain_update(key).chain_update(message).finalize();
    Scalar::from_bytes_mod_order_wide(&hash.into())
}

pub(crate) fn join(r: [u8; 32], s: [u8; 32]) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&r);
    signature[32..].copy_from_slice(&s);
    signature
}

/// Bytes that are the encoding of no point.
fn off_curve(rng: &mut Seeded) -> [u8; 32] {
    loop {
        let bytes: [u8; 32] = rng.bytes();
        if CompressedEdwardsY(bytes).decompress().is_none() {
            return bytes;
        }
    }
}

/// s + L, without reducing.
fn plus_order(s: [u8; 32]) -> [u8; 32] {
    let mut sum = [0; 32];
    let mut carry = 0;
    for (to, (a, b)) in sum.iter_mut().zip(s.into_iter().zip(ORDER)) {
        let digit = u16::from(a) + u16::from(b) + carry;
        *to = digit.to_le_bytes()[0];
        carry = digit >> 8;
    }
    assert_eq!(carry, 0);
    sum
}

/// Signs with chosen components of small order: R = rB + `in_r`, A = aB + `in_key`, and `encode` says how R is written.
pub(crate) fn sign_with(
    (secret, in_key): (Scalar, EdwardsPoint),
    (nonce, in_r): (Scalar, EdwardsPoint),
    encode: impl Fn(EdwardsPoint) -> [u8; 32],
    message: &[u8],
) -> ([u8; 32], [u8; 64]) {
    let key = (EdwardsPoint::mul_base(&secret) + in_key).compress().to_bytes();
    let r = encode(EdwardsPoint::mul_base(&nonce) + in_r);
    let s = nonce + challenge(&r, &key, message) * secret;
    (key, join(r, s.to_bytes()))
}

/// One signature of the kind asked for, with random keys and messages.
pub(crate) fn craft(kind: Kind, rng: &mut Seeded) -> Crafted {
    let mut message = vec![0; rng.below(80)];
    rng.fill_bytes(&mut message);
    let honest = SigningKey::generate(rng);
    let mut key = honest.public_key().to_bytes();
    let mut signature = honest.sign(&message).to_bytes();
    let none = EIGHT_TORSION[0];
    let canonical = |point: EdwardsPoint| point.compress().to_bytes();
    let parts = |rng: &mut Seeded, in_key, in_r| ((scalar(rng), in_key), (scalar(rng), in_r));
    match kind {
        Kind::Honest => {}
        Kind::TorsionInR | Kind::TorsionInKey | Kind::TorsionInBoth => {
            let in_key = if kind == Kind::TorsionInR { none } else { torsion(rng) };
            let in_r = if kind == Kind::TorsionInKey { none } else { torsion(rng) };
            let (of_key, of_r) = parts(rng, in_key, in_r);
            (key, signature) = sign_with(of_key, of_r, canonical, &message);
        }
        Kind::SmallOrderR | Kind::MixedKeySmallOrderR => {
            let in_key = if kind == Kind::SmallOrderR { none } else { torsion(rng) };
            let in_r = EIGHT_TORSION[rng.below(8)];
            let of_key = (scalar(rng), in_key);
            (key, signature) = sign_with(of_key, (Scalar::ZERO, in_r), canonical, &message);
        }
        Kind::NonCanonicalSmallOrderR => {
            let odd: Vec<_> = small_order_encodings()
                .into_iter()
                .filter(|encoding| CompressedEdwardsY(*encoding).decompress().map(canonical) != Some(*encoding))
                .collect();
            let r = odd[rng.below(odd.len())];
            (key, signature) = sign_with((scalar(rng), none), (Scalar::ZERO, none), |_| r, &message);
        }
        Kind::NonCanonicalR => {
            // y = 2^255 - 19 + 3, whose point is on the curve and not of small order: nobody knows its logarithm.
            let mut r = [0xff; 32];
            r[0] = 0xed + 3;
            r[31] = 0x7f;
            signature[..32].copy_from_slice(&r);
        }
        Kind::ROffCurve => signature[..32].copy_from_slice(&off_curve(rng)),
        Kind::KeyOffCurve => key = off_curve(rng),
        Kind::ScalarPlusOrder => {
            let s = signature[32..].try_into().expect("32 bytes");
            signature[32..].copy_from_slice(&plus_order(s));
        }
        Kind::ScalarOfOnes => signature[32..].fill(0xff),
        Kind::OtherMessage => message.push(0),
        Kind::OtherKey => key = SigningKey::generate(rng).public_key().to_bytes(),
        Kind::FlippedSignature => signature[rng.below(64)] ^= 1 << rng.below(8),
        Kind::AllZero => signature = [0; 64],
    }
    Crafted { key, message, signature }
}

/// The rule, straight from its definition: a key that parses, s < L, and the cofactored equation.
pub(crate) fn reference(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let (r, s) = signature.split_at(32);
    let (r, s): ([u8; 32], [u8; 32]) = (r.try_into().expect("32 bytes"), s.try_into().expect("32 bytes"));
    if small_order_encodings().contains(key) || spelled_twice(key) {
        return false;
    }
    let Some(a_point) = CompressedEdwardsY(*key).decompress() else { return false };
    let Some(r_point) = CompressedEdwardsY(r).decompress() else { return false };
    let Some(s) = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)) else { return false };
    let k = challenge(&r, key, message);
    (EdwardsPoint::mul_base(&s) - r_point - a_point * k).mul_by_cofactor().is_identity()
}

/// Whether the y coordinate is not reduced.
pub(crate) fn spelled_twice(encoding: &[u8; 32]) -> bool {
    let mut y = *encoding;
    y[31] &= 0x7f;
    (0..19).any(|small| {
        let mut canonical = [0; 32];
        canonical[0] = small;
        spellings(canonical)[1] == y
    })
}

/// A crafted signature whose key parses.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    pub(crate) kind: Kind,
    pub(crate) key: PublicKey,
    pub(crate) message: Vec<u8>,
    pub(crate) signature: Signature,
}

impl Parsed {
    pub(crate) fn as_item(&self) -> SignedMessage<'_> {
        SignedMessage::new(&self.key, &self.message, &self.signature)
    }

    pub(crate) fn verify(&self) -> Result<(), VerifyError> {
        self.key.verify(&self.message, &self.signature)
    }
}

pub(crate) fn parsed(kind: Kind, rng: &mut Seeded) -> Parsed {
    let crafted = craft(kind, rng);
    Parsed {
        kind,
        key: PublicKey::from_bytes(&crafted.key).expect("every kind has a key that parses"),
        message: crafted.message,
        signature: Signature::from_bytes(crafted.signature),
    }
}
