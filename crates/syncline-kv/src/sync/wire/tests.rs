use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;

fn samples() -> Vec<Message> {
    let hello = Hello {
        version_min: 0,
        version_max: 300,
        capabilities: Capabilities { live: true, on_rejection: true },
        nonce: [1; 16],
        namespace: NamespaceId::from_bytes([2; 32]),
        prefix: "/a/b".parse().unwrap(),
        counts: Counts { system: 3, entries: 70_000 },
        system: [4; 16],
        entries: [5; 16],
    };
    let welcome = Welcome {
        version: 1,
        capabilities: Capabilities::default(),
        nonce: [6; 16],
        counts: Counts { system: u64::MAX, entries: 0 },
        system_equal: true,
        entries_equal: false,
    };
    let refused = |code, revocation| Message::Refused(Refused { id: [7; 32], code, revocation });
    vec![
        Message::Item(Bytes::new()),
        Message::Item(Bytes::from(vec![8; 70_000])),
        Message::Hello(Box::new(hello)),
        Message::Welcome(welcome),
        Message::Refuse,
        Message::Reconcile { set: SetName::System, message: Bytes::from_static(b"message") },
        Message::Reconcile { set: SetName::Entries, message: Bytes::from(vec![9; 300]) },
        Message::SystemEnd,
        Message::CaughtUp,
        Message::Again,
        refused(RefusedCode::Revoked, Some(Bytes::from_static(b"revocation"))),
        refused(RefusedCode::Unauthorized, None),
        refused(RefusedCode::OverQuota, None),
        refused(RefusedCode::Collected, None),
        refused(RefusedCode::Invalid, None),
        Message::Done { items: 24 },
        Message::Ack { items: 0, settled: true },
        Message::Ping,
    ]
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode(&mut out, message);
    out.to_vec()
}

#[test]
fn messages_come_back_as_they_were() {
    for message in samples() {
        let bytes = encoded(&message);
        assert_eq!(decode(&bytes).unwrap(), message);
        for len in 0..bytes.len().min(400) {
            assert!(decode(&bytes[..len]).is_err(), "{} cut at {len}", message.name());
        }
        assert!(decode(&[&bytes[..], &[0]].concat()).is_err(), "{} with something behind it", message.name());
    }
    assert_eq!(encoded(&Message::Ping), PING);
}

#[test]
fn each_message_has_one_encoding() {
    let refuses = |bytes: &[u8]| assert!(decode(bytes).is_err(), "{bytes:02x?}");
    refuses(&[0x58, 0x01, 0x00]); // An item with a longer head than it takes.
    refuses(&[0x5f, 0x41, 0x00, 0xff]); // In pieces.
    refuses(&[0x98, 0x01, 0x02]);
    refuses(&[0x9f, 0x02, 0xff]);
    refuses(&[0x81, 0x18, 0x02]);
    refuses(&[0x82, 0x02, 0x00]); // A refusal with a reason.
    refuses(&[0x81, 0x0b]); // No such kind.
    refuses(&[0x83, 0x03, 0x02, 0x40]); // No such set.
    refuses(&[0x83, 0x03, 0x18, 0x01, 0x40]);
    refuses(&[0x83, 0x03, 0x00, 0x58, 0x01, 0x00]);
    refuses(&[0x82, 0x08, 0x18, 0x17]);
    refuses(&[0x83, 0x09, 0x00, 0xf6]);
    let with = |message: &Message, at: usize, byte: u8| {
        let mut bytes = encoded(message);
        bytes[at] = byte;
        bytes
    };
    let samples = samples();
    refuses(&with(&samples[3], 3, 4)); // A capability that there is not.
    let last_but_one = encoded(&samples[14]).len() - 2;
    refuses(&with(&samples[14], last_but_one, 5)); // A code that there is not.
    refuses(&with(&samples[11], last_but_one + 1, 0xf7)); // Undefined is not null.
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_what_is_read_is_written_so(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(message) = decode(&bytes) {
            prop_assert_eq!(encoded(&message), bytes);
        }
    }

    #[test]
    fn a_changed_byte_is_refused_or_is_another_message(which in 0..18_usize, at in any::<u16>(), with in 1..=255_u8) {
        let message = &samples()[which];
        let mut bytes = encoded(message);
        let at = usize::from(at) % bytes.len();
        bytes[at] ^= with;
        if let Ok(read) = decode(&bytes) {
            prop_assert_ne!(&read, message);
            prop_assert_eq!(encoded(&read), bytes);
        }
    }
}
