//! Domain separation.

use proptest::prelude::*;
use syncline_crypto::{
    Domain, DomainError, Ed25519, Hash, SignError, Signature, Signer, SigningKey, VerifyError, verify_batch,
};

const ENTRY: Domain = Domain::new("syncline/kv/entry/v1");
const GRANT: Domain = Domain::new("syncline/kv/grant/v1");
const ENTRY_2: Domain = Domain::new("syncline/kv/entry/v2");

#[test]
fn a_signature_is_worth_nothing_in_another_domain() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = key.public_key();
    let signature = ENTRY.sign(&key, b"bytes").expect("signs");
    assert_eq!(ENTRY.verify(&Ed25519, &public, b"bytes", &signature), Ok(()));
    for domain in [GRANT, ENTRY_2] {
        assert_eq!(domain.verify(&Ed25519, &public, b"bytes", &signature), Err(VerifyError::Mismatch));
    }
    assert_eq!(ENTRY.verify(&Ed25519, &public, b"byte", &signature), Err(VerifyError::Mismatch));
    assert_eq!(public.verify(b"bytes", &signature), Err(VerifyError::Mismatch));
    assert_eq!(public.verify(&ENTRY.message(b"bytes"), &signature), Ok(()));
    let message = ENTRY.message(b"bytes");
    assert!(verify_batch(&[syncline_crypto::SignedMessage::new(&public, &message, &signature)]).is_all_valid());
}

/// The bytes of the format, for good.
#[test]
fn the_message_is_length_tag_bytes() {
    let expected = [&[20][..], b"syncline/kv/entry/v1", b"bytes"].concat();
    assert_eq!(ENTRY.message(b"bytes"), expected);
    let mut buffer = b"before".to_vec();
    ENTRY.start(&mut buffer);
    buffer.extend_from_slice(b"bytes");
    assert_eq!(buffer, [&b"before"[..], &expected].concat());
    assert_eq!(ENTRY.hasher().update(b"bytes").finalize(), Hash::digest(&expected));
    assert_eq!(ENTRY.to_string(), ENTRY.tag());
    assert_eq!(format!("{ENTRY:?}"), "Domain(syncline/kv/entry/v1)");
}

#[test]
fn tags_have_one_form() {
    for good in ["a/b/c/v1", "syncline/log/v2-hello/v10", "my-app/0/-/v9"] {
        assert_eq!(Domain::try_new(good).map(|domain| domain.tag()), Ok(good));
    }
    let bad = [
        "",
        "/",
        "///",
        "///v1",
        "a/b/v1",
        "a/b/c/d/v1",
        "a/b/c",
        "a/b/c/",
        "a/b/c/v",
        "a/b/c/v0",
        "a/b/c/v01",
        "a/b/c/1",
        "a/b/c/w1",
        "a/b/c/v1x",
        "a/b/c/v1/",
        "/a/b/c/v1",
        "a//c/v1",
        "A/b/c/v1",
        "a/b_/c/v1",
        "a/b/c /v1",
        "a/ü/c/v1",
        "a/b/c/v-1",
        "a/b/c/vv1",
    ];
    for tag in bad {
        assert_eq!(Domain::try_new(tag), Err(DomainError::Form), "{tag}");
    }
}

#[test]
fn tags_have_at_most_64_bytes() {
    const LONGEST: &str = "syncline/0123456789012345678901234567890123456789012345/entry/v1";
    const LONGER: &str = "syncline/01234567890123456789012345678901234567890123456/entry/v1";
    assert_eq!((LONGEST.len(), LONGER.len()), (Domain::MAX_TAG_LEN, Domain::MAX_TAG_LEN + 1));
    let domain = Domain::try_new(LONGEST).expect("fits");
    assert_eq!(domain.message(b"").first(), Some(&64));
    assert_eq!(Domain::try_new(LONGER), Err(DomainError::Length));
}

#[test]
#[should_panic(expected = "project/crate/type/v1")]
fn a_bad_tag_panics_outside_of_constants() {
    let _ = Domain::new("no domain");
}

/// No message looks like bare CBOR containers, nor like what TLS 1.3 signs.
#[test]
fn messages_start_like_nothing_else_that_is_signed() {
    for tag in ["a/b/c/v1", ENTRY.tag(), "syncline/0123456789012345678901234567890123456789012345/entry/v1"] {
        let message = Domain::new(tag).message(b"");
        assert!((8..=64).contains(&message[0]));
        assert_ne!(message[..message.len().min(64)], [b' '; 64][..message.len().min(64)]);
    }
}

#[derive(Debug)]
struct Broken(SigningKey);

impl Signer for Broken {
    fn public_key(&self) -> syncline_crypto::PublicKey {
        self.0.public_key()
    }

    fn sign(&self, _: &[u8]) -> Result<Signature, SignError> {
        Err(SignError::Unavailable { source: "unplugged".into() })
    }
}

#[test]
fn the_signers_errors_come_through() {
    let signer: Box<dyn Signer> = Box::new(Broken(SigningKey::from_bytes(&[1; 32])));
    let error = ENTRY.sign(&signer, b"").expect_err("broken");
    assert!(error.is_transient());
}

/// Tag and bytes written one after the other would be the same here.
#[test]
fn what_ends_the_tag_is_not_left_to_the_bytes() {
    let (one, ten) = (Domain::new("a/b/c/v1"), Domain::new("a/b/c/v10"));
    assert_ne!(one.message(b"0x"), ten.message(b"x"));
    assert_ne!(one.hasher().update(b"0x").finalize(), ten.hasher().update(b"x").finalize());
}

proptest! {
    /// Two pairs of tag and bytes have one message only if they are the same pair. The pairs are often near each other.
    #[test]
    fn messages_do_not_collide(pairs in prop::collection::vec(("[ab]/[ab]/c/v[12]0{0,2}", "[0c]{0,3}"), 2)) {
        let [one, other]: [(Domain, &[u8]); 2] = [0, 1].map(|n| {
            let (tag, bytes): &(String, String) = &pairs[n];
            (Domain::new(Box::leak(tag.clone().into_boxed_str())), bytes.as_bytes())
        });
        prop_assert_eq!(one.0.message(one.1) == other.0.message(other.1), one == other);
    }
}
