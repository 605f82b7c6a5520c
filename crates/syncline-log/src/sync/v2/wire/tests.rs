use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use syncline_crypto::SigningKey;

use super::*;

type M = Message<String>;

fn hex(text: &str) -> Vec<u8> {
    let text = text.replace(' ', "");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn encoded(message: &M) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode(&mut out, message);
    out.to_vec()
}

fn decoded(frame: &[u8]) -> Result<M, WireError> {
    decode(frame)
}

/// That what was read is written in this way only.
#[track_caller]
fn assert_only_encoding(read: &M, frame: &[u8]) {
    assert_eq!(encoded(read), frame, "{read:?}");
}

fn author() -> impl Strategy<Value = PublicKey> {
    any::<[u8; 32]>().prop_map(|seed| SigningKey::from_bytes(&seed).public_key())
}

/// Lengths whose heads are of one byte, of two, and of three.
fn some_bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![vec(any::<u8>(), 0..40), vec(any::<u8>(), 250..260)].prop_map(Bytes::from)
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..30, Just(255), Just(256), Just(65_536), Just(1 << 32), any::<u64>()]
}

fn log() -> impl Strategy<Value = (PublicKey, String)> {
    (author(), "[a-zé]{0,30}")
}

fn hello() -> impl Strategy<Value = M> {
    let topic = prop_oneof![
        some_bytes().prop_map(|topic| TopicName::Clear(topic.to_vec())),
        any::<Mac>().prop_map(TopicName::Secret),
    ];
    let limit = option::of(number()).prop_map(|limit| limit.unwrap_or(u64::MAX));
    let numbers = (number(), number(), number(), any::<bool>(), limit);
    (numbers, any::<Nonce>(), topic, any::<Mac>(), option::of(number())).prop_map(
        |((version_min, version_max, purpose, live, body_len_max), nonce, topic, summary, count)| {
            Message::Hello(Hello {
                version_min,
                version_max,
                purpose,
                live,
                body_len_max,
                nonce,
                topic,
                summary,
                count,
            })
        },
    )
}

fn welcome() -> impl Strategy<Value = M> {
    let limit = option::of(number()).prop_map(|limit| limit.unwrap_or(u64::MAX));
    let parts = (number(), any::<bool>(), limit, any::<Nonce>(), any::<bool>(), any::<Mac>(), option::of(number()));
    parts.prop_map(|(version, live, body_len_max, nonce, is_equal, proof, count)| {
        Message::Welcome(Welcome { version, live, body_len_max, nonce, is_equal, proof, count })
    })
}

fn message() -> impl Strategy<Value = M> {
    let hash = || any::<[u8; 32]>().prop_map(Hash::from_bytes);
    let payload = prop_oneof![some_bytes().prop_map(Payload::Here), Just(Payload::None), Just(Payload::Withheld)];
    let refusal = prop_oneof![Just(Refusal::Topic), Just(Refusal::Version), Just(Refusal::Purpose)];
    let alone = prop_oneof![Just(M::HeightsEnd), Just(M::CaughtUp), Just(M::Done), Just(M::Ack), Just(M::Ping)];
    prop_oneof![
        (some_bytes(), payload).prop_map(|(header, body)| M::Operation { header, body }),
        hello(),
        welcome(),
        refusal.prop_map(M::Refuse),
        any::<Mac>().prop_map(M::Proof),
        some_bytes().prop_map(|ranges| M::Ranges(ranges.to_vec())),
        (log(), number(), hash()).prop_map(|((author, log_id), seq_num, hash)| M::Height {
            author,
            log_id,
            tip: Tip { seq_num: SeqNum::new(seq_num), hash },
        }),
        (log(), number()).prop_map(|((author, log_id), from)| M::Log { author, log_id, from: SeqNum::new(from) }),
        log().prop_map(|(author, log_id)| M::Stop { author, log_id }),
        vec(hash(), 0..30).prop_map(M::Want),
        (hash(), option::of(some_bytes())).prop_map(|(operation, body)| M::Body { operation, body }),
        alone,
    ]
}

/// One of every kind, with every form of its parts.
fn samples() -> Vec<M> {
    let author = SigningKey::from_bytes(&[7; 32]).public_key();
    let hash = Hash::from_bytes([9; 32]);
    let log_id = || "chat".to_owned();
    let hello = |topic, limit, count| {
        M::Hello(Hello {
            version_min: 2,
            version_max: 2,
            purpose: 0,
            live: true,
            body_len_max: limit,
            nonce: [1; 16],
            topic,
            summary: [2; 16],
            count,
        })
    };
    let welcome = |limit, count| {
        M::Welcome(Welcome {
            version: 2,
            live: false,
            body_len_max: limit,
            nonce: [3; 16],
            is_equal: true,
            proof: [4; 16],
            count,
        })
    };
    let mut samples = vec![
        hello(TopicName::Clear(vec![1, 2, 3]), 1_000, Some(300)),
        hello(TopicName::Secret([5; 16]), u64::MAX, None),
        welcome(1_000, Some(300)),
        welcome(u64::MAX, None),
        M::Proof([6; 16]),
        M::Ranges(vec![8; 30]),
        M::Height { author, log_id: log_id(), tip: Tip { seq_num: SeqNum::new(24), hash } },
        M::Log { author, log_id: log_id(), from: SeqNum::MAX },
        M::Stop { author, log_id: log_id() },
        M::Want(vec![hash; 3]),
        M::Body { operation: hash, body: Some(Bytes::from(vec![1; 30])) },
        M::Body { operation: hash, body: None },
        M::HeightsEnd,
        M::CaughtUp,
        M::Done,
        M::Ack,
        M::Ping,
    ];
    samples.extend([Refusal::Topic, Refusal::Version, Refusal::Purpose].map(M::Refuse));
    for body in [Payload::Here(Bytes::from(vec![1; 30])), Payload::Here(Bytes::new()), Payload::None, Payload::Withheld]
    {
        samples.push(M::Operation { header: Bytes::from(vec![2; 40]), body });
    }
    samples
}

#[test]
fn control_messages_are_what_the_specification_shows() {
    let author = SigningKey::from_bytes(&[7; 32]).public_key();
    let key = "5820ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";
    for (message, bytes) in [
        (M::Refuse(Refusal::Topic), "82 02 00"),
        (M::Refuse(Refusal::Version), "82 02 01"),
        (M::Refuse(Refusal::Purpose), "82 02 02"),
        (M::Ranges(vec![1, 2]), "82 04 42 0102"),
        (M::HeightsEnd, "81 06"),
        (M::Log { author, log_id: "a".to_owned(), from: SeqNum::new(24) }, &format!("84 07 {key} 6161 1818")),
        (M::CaughtUp, "81 08"),
        (M::Done, "81 09"),
        (M::Ack, "81 0a"),
        (M::Stop { author, log_id: String::new() }, &format!("83 0b {key} 60")),
        (M::Ping, "81 0c"),
        (M::Want(Vec::new()), "82 0d 80"),
        (M::Operation { header: Bytes::from_static(b"hi"), body: Payload::None }, "82 42 6869 f6"),
        (M::Operation { header: Bytes::from_static(b"hi"), body: Payload::Withheld }, "82 42 6869 f4"),
        (
            M::Operation { header: Bytes::from_static(b"hi"), body: Payload::Here(Bytes::from_static(b"o")) },
            "82 42 6869 41 6f",
        ),
    ] {
        assert_eq!(encoded(&message), hex(bytes), "{message:?}");
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_to_the_same(message in message()) {
        let frame = encoded(&message);
        prop_assert_eq!(decoded(&frame).unwrap(), message);
    }

    #[test]
    fn whatever_is_accepted_is_the_only_encoding_of_what_it_means(frame in vec(any::<u8>(), 0..80)) {
        if let Ok(message) = decoded(&frame) {
            assert_only_encoding(&message, &frame);
        }
    }

    #[test]
    fn a_few_changed_bytes_are_refused_or_mean_exactly_what_they_say(
        message in message(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut frame = encoded(&message);
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        if let Ok(message) = decoded(&frame) {
            assert_only_encoding(&message, &frame);
        }
    }
}

#[test]
fn every_change_of_one_byte_is_refused_or_means_exactly_what_it_says() {
    for message in samples() {
        let frame = encoded(&message);
        assert_eq!(decoded(&frame).unwrap(), message);
        for at in 0..frame.len() {
            let mut changed = frame.clone();
            for byte in 0..=255 {
                changed[at] = byte;
                if let Ok(read) = decoded(&changed) {
                    assert_only_encoding(&read, &changed);
                }
            }
        }
    }
}

#[test]
fn nothing_short_or_long_is_accepted() {
    for message in samples() {
        let frame = encoded(&message);
        for len in 0..frame.len() {
            assert!(decoded(&frame[..len]).is_err(), "{len} bytes of {message:?}");
        }
        for more in [0x00, 0x40, 0x80, 0xf6, 0xff] {
            let longer = [&frame[..], &[more]].concat();
            assert!(decoded(&longer).is_err(), "{more:x} behind {message:?}");
        }
    }
}

#[test]
fn other_numbers_of_parts_are_refused() {
    for message in samples() {
        let frame = encoded(&message);
        let parts = frame[0] & 0x1f;
        // One part more, and one less than the head says.
        let one_more = [&[0x80 | (parts + 1)], &frame[1..], &[0x00]].concat();
        assert!(decoded(&one_more).is_err(), "{message:?}");
        let one_less = [&[0x80 | (parts - 1)], &frame[1..]].concat();
        assert!(decoded(&one_less).is_err(), "{message:?}");
    }
    assert!(matches!(decoded(&hex("83 40 40 40")), Err(WireError::Arity { found: 3 })));
    assert!(matches!(decoded(&hex("82 09 00")), Err(WireError::Arity { found: 2 })));
}

/// The same item with its first array or string claimed in another way.
#[test]
fn longer_heads_and_indefinite_lengths_are_refused() {
    for message in samples() {
        let frame = encoded(&message);
        let parts = frame[0] & 0x1f;
        let longer = [&[0x98, parts], &frame[1..]].concat();
        assert!(decoded(&longer).is_err(), "{message:?}");
        let indefinite = [&[0x9f], &frame[1..], &[0xff]].concat();
        assert!(decoded(&indefinite).is_err(), "{message:?}");
    }
    let hash = "5820".to_owned() + &"09".repeat(32);
    for (what, frame) in [
        ("a longer head of a kind", "81 1809".to_owned()),
        ("a longer head of a header", "82 5802 6869 f6".to_owned()),
        ("a longer head of a body", "82 42 6869 5801 6f".to_owned()),
        ("a header in pieces", "82 5f 41 68 41 69 ff f6".to_owned()),
        ("a body in pieces", "82 42 6869 5f 41 6f ff".to_owned()),
        ("ranges in pieces", "82 04 5f 41 01 ff".to_owned()),
        ("a longer head of ranges", "82 04 5801 01".to_owned()),
        ("an indefinite list of hashes", format!("82 0d 9f {hash} ff")),
        ("a longer list of hashes", format!("82 0d 9801 {hash}")),
        ("a longer head of a hash", format!("82 0d 81 5900 20 {}", "09".repeat(32))),
        ("a longer head of a fetched body", format!("83 0e {hash} 5801 6f")),
        ("a fetched body in pieces", format!("83 0e {hash} 5f 41 6f ff")),
        ("a tag before a header", "82 c1 42 6869 f6".to_owned()),
        ("a tag before a kind", "81 c1 09".to_owned()),
        ("a tag before all", "c1 81 09".to_owned()),
        ("false in two bytes", "82 42 6869 f814".to_owned()),
    ] {
        assert!(decoded(&hex(&frame)).is_err(), "{what}");
    }
}

#[test]
fn what_no_peer_of_ours_would_say_is_refused() {
    let key = "5820ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";
    let hash = "5820".to_owned() + &"09".repeat(32);
    let hello = |limit: &str, topic: &str| {
        let sixteen = "50".to_owned() + &"01".repeat(16);
        format!("8a 00 02 02 00 f4 {limit} {sixteen} {topic} {sixteen} 00")
    };
    assert!(decoded(&hex(&hello("f6", "40"))).is_ok());
    for (what, frame) in [
        ("nothing", String::new()),
        ("a number", "09".to_owned()),
        ("a map", "a1 09 00".to_owned()),
        ("an empty array", "80".to_owned()),
        ("an unknown kind", "81 0f".to_owned()),
        ("a large kind", "81 1b ffffffffffffffff".to_owned()),
        ("a negative kind", "81 20".to_owned()),
        ("a text for a kind", "81 61 61".to_owned()),
        ("true for withheld", "82 42 6869 f5".to_owned()),
        ("a text for a header", "82 62 6869 f6".to_owned()),
        ("a text for a body", "82 42 6869 61 6f".to_owned()),
        ("a number for a body", "82 42 6869 00".to_owned()),
        ("an unknown reason", "82 02 03".to_owned()),
        ("a MAC of 15 bytes", "82 03 4f 000000000000000000000000000000".to_owned()),
        ("a hash of 31 bytes", format!("82 0d 81 581f {}", "09".repeat(31))),
        ("a false for a fetched body", format!("83 0e {hash} f4")),
        ("a claim of many hashes", "82 0d 9b ffffffffffffffff".to_owned()),
        ("a key that is none", format!("83 0b 5820 {} 60", "00".repeat(32))),
        ("a log id of another type", format!("83 0b {key} 01")),
        ("a log id in pieces", format!("83 0b {key} 7f 61 61 ff")),
        ("a log id with a longer head", format!("83 0b {key} 7801 61")),
        ("no limit, written as a number", hello("1b ffffffffffffffff", "40")),
        ("a limit that is undefined", hello("f7", "40")),
        ("a secret topic of two parts", hello("f6", &format!("82 50 {} 00", "01".repeat(16)))),
        ("a secret topic of 17 bytes", hello("f6", &format!("81 51 {}", "01".repeat(17)))),
        ("a topic that is a text", hello("f6", "60")),
    ] {
        assert!(decoded(&hex(&frame)).is_err(), "{what}");
    }
}

#[test]
fn undefined_is_not_null() {
    let hash = "5820".to_owned() + &"09".repeat(32);
    assert!(decoded(&hex("82 42 6869 f7")).is_err(), "an operation");
    assert!(decoded(&hex(&format!("83 0e {hash} f7"))).is_err(), "a body that was asked for");
}
