use std::collections::BTreeMap;

use ciborium::Value;
use proptest::prelude::*;
use serde_bytes::ByteBuf;

use super::super::samples::item;
use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value")]
enum Message {
    Have(u64, Vec<(ByteBuf, u64)>),
    Data(ByteBuf, Option<ByteBuf>),
    Done,
}

fn encoded<M: Serialize>(message: M) -> BytesMut {
    let mut out = BytesMut::new();
    CborCodec::with_limits(FrameLimits::with_len_max(usize::MAX)).encode(message, &mut out).unwrap();
    out
}

fn decode_one<M: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<Option<M>, SyncError> {
    CborCodec::new().decode(&mut BytesMut::from(bytes))
}

#[test]
fn messages_have_the_bytes_that_p2panda_sends() {
    assert_eq!(encoded(Message::Done)[..], *b"\xa1\x64type\x64Done");
    let data = encoded(Message::Data(ByteBuf::from([1, 23]), None));
    assert_eq!(data[..], *b"\xa2\x64type\x64Data\x65value\x82\x42\x01\x17\xf6");
}

#[test]
fn one_message_in_pieces_comes_out_when_it_is_whole() {
    let message = Message::Have(7, vec![(ByteBuf::from([1; 32]), 300)]);
    let bytes = encoded(message.clone());
    let (mut codec, mut buffer) = (CborCodec::<Message>::new(), BytesMut::new());
    for (at, byte) in bytes.iter().enumerate() {
        assert_eq!(codec.decode(&mut buffer), Ok(None), "after {at} bytes");
        buffer.extend_from_slice(&[*byte]);
    }
    assert_eq!(codec.decode(&mut buffer), Ok(Some(message)));
    assert_eq!(codec.decode(&mut buffer), Ok(None));
    assert_eq!(codec.decode_eof(&mut buffer), Ok(None), "the stream may end here");
}

#[test]
fn several_messages_in_one_buffer_come_out_one_by_one() {
    let messages = [Message::Done, Message::Data(ByteBuf::from([9; 100]), Some(ByteBuf::new())), Message::Done];
    let mut buffer: BytesMut = messages.iter().flat_map(encoded).collect();
    let mut codec = CborCodec::<Message>::new();
    for message in messages {
        assert_eq!(codec.decode(&mut buffer), Ok(Some(message)));
    }
    assert_eq!(codec.decode(&mut buffer), Ok(None));
}

#[test]
fn a_stream_that_ends_within_a_message_is_the_peers_behaviour() {
    let bytes = encoded(Message::Data(ByteBuf::from([9; 100]), None));
    for end in 1..bytes.len() {
        let outcome = CborCodec::<Message>::new().decode_eof(&mut BytesMut::from(&bytes[..end]));
        assert!(matches!(outcome, Err(SyncError::UnexpectedBehaviour(_))), "after {end} bytes: {outcome:?}");
    }
}

#[test]
fn bytes_that_are_not_the_message_are_invalid_encoding() {
    for bytes in [
        &[0xff][..],
        &[0x1c],
        &[0x07],
        b"\xa1\x64type\x65Other",
        b"\xa1\x64type\x64Data",
        b"\xa2\x64type\x64Data\x65value\x81\x41\x01",
        b"\x61\xff",
        &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        let outcome = decode_one::<Message>(bytes);
        assert!(matches!(outcome, Err(SyncError::InvalidEncoding(_))), "{bytes:x?}: {outcome:?}");
    }
}

#[test]
fn parts_that_nobody_reads_are_refused_and_not_skipped() {
    assert_eq!(decode_one::<(u8, u8)>(&[0x82, 1, 2]), Ok(Some((1, 2))));
    assert_eq!(decode_one::<Vec<u8>>(&[0x9f, 1, 2, 0xff]), Ok(Some(vec![1, 2])));
    for bytes in [&[0x83, 1, 2, 3][..], &[0x9f, 1, 2, 3, 0xff], &[0x9f, 1, 2, 0xff]] {
        let outcome = decode_one::<(u8, u8)>(bytes);
        assert!(matches!(outcome, Err(SyncError::InvalidEncoding(_))), "{bytes:x?}: {outcome:?}");
    }
    // What an inner array has too much must not become the next part of an outer one.
    for bytes in [&[0x82, 0x82, 1, 2, 3][..], &[0x9f, 0x82, 1, 2, 0xff]] {
        let outcome = decode_one::<((u8,), u8)>(bytes);
        assert!(matches!(outcome, Err(SyncError::InvalidEncoding(_))), "{bytes:x?}: {outcome:?}");
    }
    // Unknown fields are the sender's right.
    #[derive(Debug, PartialEq, Deserialize)]
    struct Known {
        a: u8,
    }
    assert_eq!(decode_one(&[0xa2, 0x61, 0x62, 0x80, 0x61, 0x61, 3]), Ok(Some(Known { a: 3 })));
}

#[test]
fn a_peer_cannot_fill_logs_with_its_own_text() {
    let name = "x\u{1b}[2J\n".repeat(500);
    let mut message = BTreeMap::new();
    message.insert("type", name);
    let Err(SyncError::InvalidEncoding(text)) = decode_one::<Message>(&encoded(message)) else {
        panic!("an unknown variant was accepted")
    };
    assert!(text.chars().count() <= DESCRIPTION_CHARS_MAX && !text.chars().any(char::is_control), "{text:?}");
}

#[test]
fn a_message_at_the_limit_passes_both_ways_and_one_byte_more_does_not() {
    let message = |len: usize| ByteBuf::from(vec![7; len]);
    let limits = FrameLimits::with_len_max(1_003);
    let mut out = BytesMut::from(&b"before"[..]);
    let mut codec = CborCodec::with_limits(limits);
    codec.encode(message(1_000), &mut out).unwrap();
    assert_eq!(out.len(), 6 + 1_003);
    let outcome = codec.encode(message(1_001), &mut out);
    assert!(matches!(outcome, Err(SyncError::Critical(_))), "{outcome:?}");
    assert_eq!(out.len(), 6 + 1_003, "nothing of it is left behind");

    let mut codec = CborCodec::<ByteBuf>::with_limits(limits);
    assert_eq!(codec.decode(&mut encoded(message(1_000))), Ok(Some(message(1_000))));
    let outcome = CborCodec::<ByteBuf>::with_limits(limits).decode(&mut encoded(message(1_001)));
    assert!(matches!(outcome, Err(SyncError::InvalidEncoding(_))), "{outcome:?}");
    let whole = FrameLimits::LEN_MAX_DEFAULT;
    assert!(CborCodec::<ByteBuf>::new().decode(&mut encoded(message(whole - 5))).is_ok());
    assert!(CborCodec::<ByteBuf>::new().decode(&mut encoded(message(whole - 4))).is_err());
}

#[test]
fn memory_is_taken_for_what_came_and_not_for_what_was_claimed() {
    for claim in [&[0x5a, 0x00, 0x0f, 0xff, 0x00][..], &[0x9a, 0x00, 0x0f, 0xff, 0x00]] {
        let mut buffer = BytesMut::from(claim);
        let mut codec = CborCodec::<Value>::new();
        assert_eq!(codec.decode(&mut buffer).map(|item| item.is_some()), Ok(false));
        assert!(buffer.capacity() < 200, "{} bytes for 5", buffer.capacity());
        buffer.extend_from_slice(&[1; 1_000]);
        assert_eq!(codec.decode(&mut buffer).map(|item| item.is_some()), Ok(false));
        assert!((5_000..20_000).contains(&buffer.capacity()), "{} bytes for 1005", buffer.capacity());
    }
}

#[test]
fn half_of_a_message_that_cannot_be_encoded_does_not_stay_in_the_buffer() {
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    let mut out = BytesMut::from(&[1, 2, 3][..]);
    let mut codec = CborCodec::<(u64, Fails)>::new();
    assert!(matches!(codec.encode((1_000, Fails), &mut out), Err(SyncError::Critical(_))));
    assert_eq!(out[..], [1, 2, 3]);
}

#[test]
fn a_clone_starts_at_the_front_of_a_stream() {
    let mut codec = CborCodec::<Message>::with_limits(FrameLimits::with_len_max(19));
    assert_eq!(codec.decode(&mut BytesMut::from(&b"\xa1\x64ty"[..])), Ok(None));
    let mut clone = codec.clone();
    assert_eq!(clone.decode(&mut encoded(Message::Done)), Ok(Some(Message::Done)));
    assert!(clone.decode(&mut encoded(Message::Data(ByteBuf::new(), None))).is_err(), "with the same limits");
}

proptest! {
    #[test]
    fn any_messages_cut_anywhere_come_out_as_they_went_in(
        messages in prop::collection::vec(message(), 0..8), cuts in prop::collection::vec(1..50_usize, 1..300),
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(encoded).collect();
        let mut codec = CborCodec::<Message>::new();
        let (mut buffer, mut decoded, mut rest) = (BytesMut::new(), Vec::new(), &bytes[..]);
        for cut in cuts.into_iter().chain([bytes.len()]) {
            let (chunk, after) = rest.split_at(cut.min(rest.len()));
            rest = after;
            buffer.extend_from_slice(chunk);
            while let Some(message) = codec.decode(&mut buffer).unwrap() {
                decoded.push(message);
            }
        }
        prop_assert_eq!(codec.decode_eof(&mut buffer), Ok(None));
        prop_assert_eq!(decoded, messages);
    }

    /// The codec decodes what ciborium alone would, and nothing else.
    #[test]
    fn decodes_what_ciborium_decodes(item in item()) {
        let expected: Value = ciborium::from_reader(&item[..]).unwrap();
        let decoded = decode_one::<Value>(&item).unwrap().unwrap();
        prop_assert_eq!(format!("{:?}", decoded), format!("{:?}", expected));
    }

    #[test]
    fn noise_is_refused_or_waits_for_more_and_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let outcome = CborCodec::<Message>::new().decode_eof(&mut BytesMut::from(&bytes[..]));
        prop_assert!(!matches!(outcome, Err(SyncError::Critical(_))), "{:?}", outcome);
    }
}

fn message() -> impl Strategy<Value = Message> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..100).prop_map(ByteBuf::from);
    prop_oneof![
        (any::<u64>(), prop::collection::vec((bytes(), any::<u64>()), 0..5))
            .prop_map(|(n, logs)| Message::Have(n, logs)),
        (bytes(), prop::option::of(bytes())).prop_map(|(header, payload)| Message::Data(header, payload)),
        Just(Message::Done),
    ]
}
