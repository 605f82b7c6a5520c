use std::collections::BTreeMap;

use proptest::prelude::*;
use syncline_crypto::SigningKey;

use super::*;

fn key(seed: u8) -> PublicKey {
    SigningKey::from_bytes(&[seed; 32]).public_key()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

const LIMITS: HaveLimits = HaveLimits { authors: 10, logs: 10 };

/// The topic of the golden bytes, encoded: `["messages", [0, 1, 23, 255]]`.
const TOPIC: &str = "82686d657373616765738400011718ff";

/// A node that has one operation of each log.
fn one_operation_each(scope: &Logs<u64>) -> Heights<u64> {
    let heights = |logs: &Vec<u64>| logs.iter().map(|log_id| (*log_id, SeqNum::ZERO)).collect();
    scope.iter().map(|(author, logs)| (*author, heights(logs))).collect()
}

fn have_heights(frame: &[u8], scope: &Logs<u64>) -> Result<Heights<u64>, WireError> {
    match decode(frame)? {
        Message::Have(have) => have.heights(&one_operation_each(scope), LIMITS),
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_are_the_originals_byte_for_byte() {
    let mut out = BytesMut::new();
    encode_done(&mut out);
    assert_eq!(&out[..], hex("a1647479706564446f6e65"));

    let (author, topic) = (key(7), hex(TOPIC));
    let mut scope = Logs::<u64>::new();
    let have = |scope: &Logs<u64>, heights: &Heights<u64>| {
        let mut out = BytesMut::new();
        encode_have(&mut out, &topic, scope, heights).unwrap();
        out.to_vec()
    };
    let empty = Heights::<u64>::default();
    assert_eq!(have(&scope, &empty), hex("a2647479706564486176656576616c75658282686d657373616765738400011718ff80"));
    scope.insert(author, vec![0, 1]);
    let with_author = "a2647479706564486176656576616c75658282686d657373616765738400011718ff81825820\
                       ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";
    assert_eq!(have(&scope, &empty), hex(&format!("{with_author}80")));
    let heights = Heights::from([(author, BTreeMap::from([(0, SeqNum::new(2)), (1, SeqNum::new(300))]))]);
    assert_eq!(have(&scope, &heights), hex(&format!("{with_author}82820002820119012c")));

    for (encoding, body, bytes) in [
        (Encoding::Integers, None, "a2647479706564446174616576616c756582840117181818fff6"),
        (Encoding::Integers, Some(&b"hi"[..]), "a2647479706564446174616576616c756582840117181818ff8218681869"),
        (Encoding::Bytes, None, "a2647479706564446174616576616c75658244011718fff6"),
        (Encoding::Bytes, Some(&b"hi"[..]), "a2647479706564446174616576616c75658244011718ff426869"),
    ] {
        let mut out = BytesMut::new();
        encode_data(&mut out, encoding, &[1, 23, 24, 255], body);
        assert_eq!(&out[..], hex(bytes));
        let expected = Message::Data { header: vec![1, 23, 24, 255], payload: body.map(<[u8]>::to_vec) };
        assert_eq!(decode(&out).unwrap(), expected);
    }
}

#[test]
fn what_the_original_accepts_is_accepted() {
    let data = || Message::Data { header: vec![1, 0x17, 0xff], payload: Some(b"hi".to_vec()) };
    for (what, frame, expected) in [
        ("indefinite byte string", "a2647479706564446174616576616c7565825f41014217ffff426869", data()),
        ("value before type, integers", "a26576616c75658283011718ff8218681869647479706564 44617461", data()),
        ("value before type, strings", "a26576616c7565824301 17ff426869 6474797065 6444617461", data()),
        ("an unknown key", "a3 61780 1 6474797065 6444617461 6576616c7565 82 430117ff 426869", data()),
        ("indefinite map and array", "bf 6474797065 6444617461 6576616c7565 9f 430117ff 426869 ff ff", data()),
        ("longer heads", "b90002 6474797065 6444617461 6576616c7565 980 2 58030117ff 5900026869", data()),
        ("tags", "d9d9f7 a2 6474797065 c1 6444617461 6576616c7565 c2 82 c3 430117ff c4 426869", data()),
        ("Done with null", "a2 6474797065 64446f6e65 6576616c7565 f6", Message::Done),
        ("Done with a key before", "a2 6178 01 6474797065 64446f6e65", Message::Done),
        ("Done in an indefinite map", "bf 6474797065 64446f6e65 ff", Message::Done),
        ("Done, tagged", "d9d9f7 a1 6474797065 64446f6e65", Message::Done),
        ("Done, longer head", "b801 6474797065 64446f6e65", Message::Done),
    ] {
        let frame = hex(&frame.replace(' ', ""));
        assert_eq!(decode(&frame).unwrap_or_else(|err| panic!("{what}: {err}")), expected, "{what}");
    }
    let undefined = hex("a2647479706564446174616576616c75658244011718fff7");
    assert_eq!(decode(&undefined).unwrap(), Message::Data { header: vec![1, 23, 24, 255], payload: None });
}

#[test]
fn what_the_original_refuses_is_refused() {
    for (what, frame) in [
        ("an array for a map", "8164446f6e65"),
        ("a number for a type", "a1647479706502"),
        ("bytes for a type", "a1647479706544446f6e65"),
        ("an unknown type", "a1647479706564507573 68"),
        ("Done with an empty array", "a2647479706564446f6e656576616c756580"),
        ("Data of one part", "a2647479706564446174616576616c75658140"),
        ("Data of three parts", "a2647479706564446174616576616c756583404001"),
        ("Data of three parts, indefinite", "a2647479706564446174616576616c75659f404001ff"),
        ("a type twice", "a2647479706564446f6e65647479706564446f6e65"),
        ("a value twice", "a36576616c7565f66576616c7565f6647479706564446f6e65"),
        ("no type", "a16576616c7565f6"),
        ("Data without a value", "a164747970656444617461"),
        ("a byte of 256", "a2647479706564446174616576616c75658281190100f6"),
        ("a negative byte", "a2647479706564446174616576616c7565828120f6"),
        ("a number", "01"),
    ] {
        let frame = hex(&frame.replace(' ', ""));
        assert!(decode(&frame).is_err(), "{what}");
    }
}

/// `Have` with a list of authors, already encoded.
fn have_of(authors: &str) -> Vec<u8> {
    hex(&format!("a2647479706564486176656576616c756582{TOPIC}{authors}"))
}

const PK7: &str = "5820ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";

#[test]
fn the_greatest_height_counts() {
    let scope = Logs::from([(key(7), vec![0_u64])]);
    let expected = Heights::from([(key(7), BTreeMap::from([(0, SeqNum::new(9))]))]);
    for authors in [
        format!("81 82{PK7} 82 820009 820002"),
        format!("81 82{PK7} 82 820002 820009"),
        format!("82 82{PK7} 81 820009 82{PK7} 81 820002"),
        format!("82 82{PK7} 81 820002 82{PK7} 81 820009"),
    ] {
        assert_eq!(have_heights(&have_of(&authors.replace(' ', "")), &scope).unwrap(), expected, "{authors}");
    }
}

#[test]
fn unknown_authors_do_not_matter_even_with_impossible_keys() {
    let scope = Logs::from([(key(7), vec![0_u64])]);
    let small_order = format!("5820{}", "00".repeat(32));
    let integers = format!("9820{}", "01".repeat(32));
    let authors = format!("83 82{small_order} 81820005 82{integers}80 82{PK7}80").replace(' ', "");
    let heights = have_heights(&have_of(&authors), &scope).unwrap();
    assert!(heights.values().all(BTreeMap::is_empty));
}

#[test]
fn what_a_peer_lists_beyond_what_is_here_is_not_kept() {
    let scope = Logs::from([(key(7), vec![1_u64])]);
    let logs: String = (0..10).map(|log| format!("82{log:02x}05")).collect();
    let heights = have_heights(&have_of(&format!("8182{PK7}8a{logs}")), &scope).unwrap();
    assert_eq!(heights, Heights::from([(key(7), BTreeMap::from([(1, SeqNum::new(5))]))]));
}

#[test]
fn the_greatest_number_is_a_height_like_any_other() {
    let scope = Logs::from([(key(7), vec![0_u64])]);
    let heights = have_heights(&have_of(&format!("8182{PK7}8182001bffffffffffffffff")), &scope).unwrap();
    assert_eq!(heights[&key(7)][&0], SeqNum::new(u64::MAX));
}

#[test]
fn a_have_is_limited_in_authors_and_logs() {
    let scope = Logs::<u64>::new();
    let authors = |count: usize| have_of(&format!("{:02x}{}", 0x80 + count, format!("82{PK7}80").repeat(count)));
    have_heights(&authors(LIMITS.authors), &scope).unwrap();
    assert!(matches!(have_heights(&authors(LIMITS.authors + 1), &scope), Err(WireError::TooMany { .. })));
    let logs = |count: usize| have_of(&format!("8182{PK7}{:02x}{}", 0x80 + count, "820001".repeat(count)));
    have_heights(&logs(LIMITS.logs), &scope).unwrap();
    assert!(matches!(have_heights(&logs(LIMITS.logs + 1), &scope), Err(WireError::TooMany { .. })));
}

#[test]
fn have_of_another_shape_is_refused() {
    let scope = Logs::<u64>::new();
    for authors in [
        "01",
        "8101",
        "818101",
        "8182430102 0380",
        &format!("8182{PK7}01"),
        &format!("8183{PK7}8001"),
        &format!("8182{PK7}818100"),
        &format!("8182{PK7}81820020"),
        &format!("8182{PK7}8183000000"),
    ] {
        assert!(have_heights(&have_of(&authors.replace(' ', "")), &scope).is_err(), "{authors}");
    }
}

#[test]
fn a_log_id_of_another_type_is_refused_only_where_it_matters() {
    let frame = have_of(&format!("8182{PK7}8182616101"));
    assert!(have_heights(&frame, &Logs::from([(key(7), vec![0])])).is_err());
    assert!(have_heights(&frame, &Logs::new()).is_ok(), "the author is not known, so its logs are of no interest");
}

proptest! {
    #[test]
    fn data_comes_back_as_it_went(
        header in prop::collection::vec(any::<u8>(), 0..300),
        payload in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
        integers: bool,
    ) {
        let encoding = if integers { Encoding::Integers } else { Encoding::Bytes };
        let mut out = BytesMut::new();
        encode_data(&mut out, encoding, &header, payload.as_deref());
        prop_assert_eq!(decode(&out).unwrap(), Message::Data { header, payload });
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Message::Have(have)) = decode(&bytes) {
            let _ = have.heights(&one_operation_each(&Logs::from([(key(7), vec![0])])), LIMITS);
        }
    }

    #[test]
    fn no_change_to_a_have_makes_it_panic(at in 0_usize..90, byte: u8) {
        let mut frame = have_of(&format!("8182{PK7}82820002820119012c"));
        if let Some(target) = frame.get_mut(at) {
            *target = byte;
        }
        if let Ok(Message::Have(have)) = decode(&frame) {
            let _ = have.heights(&one_operation_each(&Logs::from([(key(7), vec![0])])), LIMITS);
        }
    }
}
