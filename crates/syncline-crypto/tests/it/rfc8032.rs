//! The Ed25519 test vectors of RFC 8032, section 7.1.

use sha2::{Digest as _, Sha512};
use syncline_crypto::{
    Ed25519, PublicKey, Signature, SignedMessage, SigningKey, Verifier as _, VerifyError, verify_batch,
};

struct Vector {
    secret: &'static str,
    public: &'static str,
    message: Vec<u8>,
    signature: &'static str,
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("digits");
    digits.chunks(2).map(pair).collect()
}

fn vectors() -> Vec<Vector> {
    vec![
        Vector {
            secret: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            public: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            message: Vec::new(),
            signature: "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        },
        Vector {
            secret: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            public: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            message: vec![0x72],
            signature: "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        },
        Vector {
            secret: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            public: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            message: vec![0xaf, 0x82],
            signature: "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        },
        Vector {
            secret: "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
            public: "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
            message: unhex(include_str!("rfc8032/message_1024.hex")),
            signature: "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350aa5371b1508f9f4528ecea23c436d94b5e8fcd4f681e30a6ac00a9704a188a03",
        },
        Vector {
            secret: "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            public: "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            message: Sha512::digest(b"abc").to_vec(),
            signature: "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        },
    ]
}

#[test]
fn the_vectors_sign_and_verify() {
    for vector in vectors() {
        let secret: [u8; 32] = unhex(vector.secret).try_into().expect("32 bytes");
        let key = SigningKey::from_bytes(&secret);
        assert_eq!(key.public_key().to_string(), vector.public);
        assert_eq!(key.sign(&vector.message).to_string(), vector.signature);

        let public: PublicKey = vector.public.parse().expect("a key");
        let signature: Signature = vector.signature.parse().expect("a signature");
        assert_eq!(Ed25519.verify(SignedMessage::new(&public, &vector.message, &signature)), Ok(()));
        let mut other = vector.message;
        other.push(0);
        assert_eq!(public.verify(&other, &signature), Err(VerifyError::Mismatch));
    }
}

#[test]
fn the_vectors_verify_as_a_batch() {
    let vectors = vectors();
    let keys: Vec<PublicKey> = vectors.iter().map(|vector| vector.public.parse().expect("a key")).collect();
    let signatures: Vec<Signature> =
        vectors.iter().map(|vector| vector.signature.parse().expect("a signature")).collect();
    let items: Vec<_> =
        (0..vectors.len()).map(|n| SignedMessage::new(&keys[n], &vectors[n].message, &signatures[n])).collect();
    assert!(verify_batch(&items).is_all_valid());
}
