use futures::executor::block_on;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::pipe::pipe;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    offers: Vec<OfferVector>,
    malformed_offers: Vec<MalformedVector>,
    answers: Vec<AnswerVector>,
}

#[derive(Deserialize)]
struct OfferVector {
    name: String,
    hex: String,
}

#[derive(Deserialize)]
struct MalformedVector {
    why: String,
    hex: String,
    error: String,
}

#[derive(Deserialize)]
struct AnswerVector {
    meaning: String,
    hex: String,
}

fn vectors() -> Vectors {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/spec/vectors/net.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex}");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Reads an offer from bytes, and says how many of them it left.
fn read(mut offer: &[u8]) -> (Result<ProtocolName, NegotiationError>, usize) {
    let name = block_on(read_offer(&mut offer));
    (name, offer.len())
}

/// Offers to a peer that answers with these bytes.
fn answered(answer: &[u8]) -> Result<(), NegotiationError> {
    let (mut here, there) = pipe(128);
    let mut answer = answer;
    let name = ProtocolName::new("a").unwrap();
    let outcome = block_on(super::offer(&mut here, &mut answer, &name));
    drop(there);
    outcome
}

#[test]
fn offers_are_as_specified() {
    let vectors = vectors();
    assert!(!vectors.offers.is_empty());
    for OfferVector { name, hex } in vectors.offers {
        let name = ProtocolName::new(&name).unwrap();
        assert_eq!(encode_offer(&name), bytes(&hex));
        let followed = [bytes(&hex), b"protocol".to_vec()].concat();
        let (read, left) = read(&followed);
        assert_eq!((read.unwrap(), left), (name, b"protocol".len()), "{hex}");
    }
}

#[test]
fn malformed_offers_fail_as_specified() {
    let vectors = vectors();
    assert!(!vectors.malformed_offers.is_empty());
    for MalformedVector { why, hex, error } in vectors.malformed_offers {
        let found = match read(&bytes(&hex)).0.unwrap_err() {
            NegotiationError::NotSpoken => "not_spoken",
            NegotiationError::Version { .. } => "version",
            NegotiationError::Name(_) => "name",
            NegotiationError::Stream { .. } => "stream",
            other => panic!("{why}: {other:?}"),
        };
        assert_eq!(found, error, "{why}");
    }
}

#[test]
fn answers_are_as_specified() {
    let vectors = vectors();
    assert!(vectors.answers.len() > 6);
    for (code, AnswerVector { meaning, hex }) in vectors.answers.into_iter().enumerate() {
        let frame = bytes(&hex);
        match answered(&frame) {
            Ok(()) => {
                assert_eq!((code, meaning.as_str()), (0, "accept"));
                assert_eq!(encode_answer(Ok(())).as_slice(), frame);
            }
            Err(NegotiationError::Refused(reason)) => {
                assert_eq!(reason.to_string(), meaning);
                assert_eq!(encode_answer(Err(reason)).as_slice(), frame);
            }
            Err(other) => panic!("{hex}: {other:?}"),
        }
    }
}

#[test]
fn an_answer_of_another_version_or_half_of_one_is_an_error() {
    assert!(matches!(answered(b"\x02\x00"), Err(NegotiationError::Version { version: 2 })));
    assert!(matches!(answered(b"\x01"), Err(NegotiationError::Stream { .. })));
    assert!(matches!(answered(b""), Err(NegotiationError::Stream { .. })));
}

#[test]
fn a_name_has_1_to_64_printable_bytes() {
    assert_eq!(ProtocolName::new(""), Err(NameError::Empty));
    assert_eq!(ProtocolName::new(&"a".repeat(64)).unwrap().as_str().len(), 64);
    assert_eq!(ProtocolName::new(&"a".repeat(65)), Err(NameError::TooLong { len: 65 }));
    assert_eq!(ProtocolName::new("a b"), Err(NameError::Byte));
    assert_eq!(ProtocolName::new("é"), Err(NameError::Byte));
    assert_eq!("x/1".parse::<ProtocolName>().unwrap().to_string(), "x/1");
}

proptest! {
    #[test]
    fn an_offer_is_read_in_chunks_of_any_size_and_not_beyond(
        name in "[!-~]{1,64}",
        rest in proptest::collection::vec(any::<u8>(), 0..20),
        chunk in 1usize..80,
    ) {
        let name = ProtocolName::new(&name).unwrap();
        let whole = [encode_offer(&name), rest.clone()].concat();
        let (mut here, mut there) = crate::pipe::PipeOptions::default().with_chunk_max(chunk).open();
        block_on(async {
            here.write_all(&whole).await.unwrap();
            drop(here);
            prop_assert_eq!(read_offer(&mut there).await.unwrap(), name);
            let mut left = Vec::new();
            there.read_to_end(&mut left).await.unwrap();
            prop_assert_eq!(left, rest);
            Ok(())
        })?;
    }

    #[test]
    fn no_bytes_panic(offer in proptest::collection::vec(any::<u8>(), 0..100), valid_head: bool) {
        let offer = if valid_head { [b"SYNL\x01", &offer[..]].concat() } else { offer };
        if let (Ok(name), left) = read(&offer) {
            prop_assert_eq!(encode_offer(&name), &offer[..offer.len() - left]);
        }
    }
}
