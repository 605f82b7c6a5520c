//! Which bytes are a public key, and what a secret key keeps to itself.

use curve25519_dalek::edwards::CompressedEdwardsY;
use syncline_crypto::{KeyError, ParseError, PublicKey, SigningKey};

use crate::craft::{small_order_encodings, spelled_twice};
use crate::seeded::Seeded;

#[test]
fn all_encodings_of_small_order_are_refused() {
    let encodings = small_order_encodings();
    assert_eq!(encodings.len(), 14);
    for encoding in encodings {
        let point = CompressedEdwardsY(encoding).decompress().expect("a point");
        assert!(point.is_small_order());
        assert_eq!(PublicKey::from_bytes(&encoding), Err(KeyError::SmallOrder), "{encoding:02x?}");
    }
}

#[test]
fn all_encodings_that_are_not_canonical_are_refused() {
    let mut refused = 0;
    for least in 0xed..=0xff {
        for sign in [0, 0x80] {
            let mut encoding = [0xff; 32];
            encoding[0] = least;
            encoding[31] = 0x7f | sign;
            assert!(spelled_twice(&encoding));
            let small = small_order_encodings().contains(&encoding);
            let expected = if small { KeyError::SmallOrder } else { KeyError::NonCanonical };
            assert_eq!(PublicKey::from_bytes(&encoding), Err(expected));
            refused += 1;
        }
    }
    assert_eq!(refused, 38);
}

#[test]
fn the_greatest_canonical_encodings_are_taken() {
    // y = 2^255 - 21 is the greatest but for -1, which is of small order.
    for sign in [0, 0x80] {
        let mut encoding = [0xff; 32];
        encoding[0] = 0xeb;
        encoding[31] = 0x7f | sign;
        assert_eq!(PublicKey::from_bytes(&encoding).map(PublicKey::to_bytes), Ok(encoding));
    }
    // Each of the bytes that the comparison looks at makes a difference.
    for position in 1..31 {
        let mut encoding = [0xff; 32];
        encoding[31] = 0x7f;
        encoding[position] = 0xfe;
        assert!(PublicKey::from_bytes(&encoding).is_ok(), "{position}");
    }
}

/// What parsing refuses without decoding is what decoding would refuse: near the edges and anywhere.
#[test]
fn refusals_agree_with_the_curve() {
    let mut rng = Seeded::new();
    let mut candidates: Vec<[u8; 32]> = (0..2000).map(|_| rng.bytes()).collect();
    for encoding in small_order_encodings() {
        for _ in 0..200 {
            let mut near = encoding;
            near[rng.below(32)] ^= 1 << rng.below(8);
            candidates.push(near);
        }
    }
    for bytes in candidates {
        let small = CompressedEdwardsY(bytes).decompress().is_some_and(|point| point.is_small_order());
        let expected = match (small, spelled_twice(&bytes)) {
            (true, _) => Err(KeyError::SmallOrder),
            (false, true) => Err(KeyError::NonCanonical),
            (false, false) => Ok(bytes),
        };
        assert_eq!(PublicKey::from_bytes(&bytes).map(PublicKey::to_bytes), expected, "{bytes:02x?}");
    }
}

#[test]
fn every_way_in_refuses_the_same() {
    let identity = small_order_encodings()[0];
    let text: String = identity.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(PublicKey::try_from(identity), Err(KeyError::SmallOrder));
    assert_eq!(PublicKey::try_from(&identity[..]), Err(KeyError::SmallOrder));
    assert_eq!(text.parse::<PublicKey>(), Err(KeyError::SmallOrder));
    assert!(serde_json::from_str::<PublicKey>(&format!("\"{text}\"")).is_err());
    let mut cbor = vec![0x58, 32];
    cbor.extend_from_slice(&identity);
    assert!(ciborium::from_reader::<PublicKey, _>(&cbor[..]).is_err());
    let mut array = vec![0x98, 32];
    for byte in identity {
        ciborium::into_writer(&byte, &mut array).expect("writing to a vector");
    }
    assert!(ciborium::from_reader::<PublicKey, _>(&array[..]).is_err());
    assert_eq!(
        PublicKey::try_from(&identity[1..]),
        Err(KeyError::Parse(ParseError::Length { expected: 32, found: 31 }))
    );
}

#[test]
fn a_made_key_can_be_parsed_and_signs() {
    let mut rng = Seeded::new();
    for _ in 0..50 {
        let key = SigningKey::generate(&mut rng);
        let public = key.public_key();
        assert_eq!(PublicKey::from_bytes(public.as_bytes()), Ok(public));
        let again = SigningKey::from_bytes(&key.to_bytes());
        assert_eq!(again.public_key(), public);
        assert_eq!(again.clone().sign(b"m"), key.sign(b"m"));
        assert_eq!(public.verify(b"m", &key.sign(b"m")), Ok(()));
    }
}

#[test]
fn two_draws_are_two_keys() {
    let mut rng = Seeded::new();
    let keys = [SigningKey::generate(&mut rng), SigningKey::generate(&mut rng)];
    assert_ne!(keys[0].public_key(), keys[1].public_key());
    assert_ne!(*keys[0].to_bytes(), [0; 32]);
}

#[test]
fn debug_shows_the_public_half_only() {
    let secret: [u8; 32] = Seeded::new().bytes();
    let key = SigningKey::from_bytes(&secret);
    for shown in [format!("{key:?}"), format!("{key:#?}")] {
        assert!(shown.contains(&format!("{:?}", key.public_key())));
        // Neither as hex nor as a list of numbers: no three of the bytes one after the other.
        let digits: String = shown.chars().filter(char::is_ascii_hexdigit).collect();
        for three in secret.windows(3) {
            let hex: String = three.iter().map(|byte| format!("{byte:02x}")).collect();
            let list = format!("{}, {}, {}", three[0], three[1], three[2]);
            assert!(!digits.contains(&hex) && !shown.contains(&list), "{shown}");
        }
    }
}
