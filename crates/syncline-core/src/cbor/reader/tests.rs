use bytes::BytesMut;
use proptest::prelude::*;

use super::super::Writer;
use super::super::samples::{head, item};
use super::*;

#[test]
fn reads_what_the_writer_wrote() {
    let mut out = BytesMut::new();
    let mut writer = Writer::new(&mut out);
    writer.array(9).unsigned(u64::MAX).bytes(&[1, 2]).text("ü").map(1).unsigned(0).null().bool(true).bool(false);
    writer.array(0).byte_integers(&[0, 23, 24, 255]).raw(&[0xc6, 0x07]).bytes(&[9; 3]);
    let mut reader = Reader::new(&out);
    assert_eq!(reader.array(), Ok(Some(9)));
    assert_eq!(reader.unsigned(), Ok(u64::MAX));
    assert_eq!(reader.bytes().as_deref(), Ok(&[1, 2][..]));
    assert_eq!(reader.text().as_deref(), Ok("ü".as_bytes()));
    assert_eq!(reader.map(), Ok(Some(1)));
    assert_eq!(reader.unsigned(), Ok(0));
    assert!(reader.null());
    assert_eq!((reader.bool(), reader.bool()), (Ok(true), Ok(false)));
    assert_eq!(reader.array(), Ok(Some(0)));
    assert_eq!(reader.skip(), Ok(&[0x84, 0, 23, 24, 24, 24, 255][..]));
    reader.skip_tags().unwrap();
    assert_eq!(reader.unsigned(), Ok(7));
    assert_eq!(reader.byte_array::<3>(), Ok(&[9; 3]));
    assert!(reader.is_at_end());
    assert_eq!(reader.position(), out.len());
    assert_eq!(reader.kind(), Err(ReadError::Truncated { at: out.len() }));
}

#[test]
fn the_kind_of_each_item_is_told() {
    for (first, kind) in [
        (0x17, Kind::Unsigned),
        (0x20, Kind::Negative),
        (0x5f, Kind::Bytes),
        (0x60, Kind::Text),
        (0x9f, Kind::Array),
        (0xa0, Kind::Map),
        (0xc0, Kind::Tag),
        (0xf4, Kind::Simple),
        (0xff, Kind::Break),
    ] {
        assert_eq!(Reader::new(&[first]).kind(), Ok(kind), "{first:x}");
    }
    for first in [0x1c, 0x3d, 0x5e, 0x1f, 0x3f, 0xdf, 0xfc] {
        assert_eq!(Reader::new(&[first]).kind(), Err(ReadError::Malformed { at: 0 }), "{first:x}");
    }
}

/// A method's name, and whether it worked.
type Method = (&'static str, fn(&mut Reader<'_>) -> bool);

/// Every method on every kind of item, whole and cut: none moves the reader when it fails.
#[test]
fn a_reader_stays_where_it_is_after_an_error() {
    let items: [&[u8]; 16] = [
        &[0x07],
        &[0x20],
        &[0x42, 1, 2],
        &[0x5f, 0x41, 1, 0x41, 2, 0xff],
        &[0x5f, 0x41, 1, 0x61, 2, 0xff],
        &[0x5f, 0x41, 1, 0x1c],
        &[0x61, 0x61],
        &[0x7f, 0x61, 0x61, 0xff],
        &[0x82, 1, 2],
        &[0x9f, 1, 0xff],
        &[0xa1, 1, 2],
        &[0xc6, 0x07],
        &[0xf5],
        &[0xf9, 0, 0],
        &[0x1c],
        &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ];
    let methods: [Method; 8] = [
        ("unsigned", |reader| reader.unsigned().is_ok()),
        ("bool", |reader| reader.bool().is_ok()),
        ("bytes", |reader| reader.bytes().is_ok()),
        ("text", |reader| reader.text().is_ok()),
        ("array", |reader| reader.array().is_ok()),
        ("map", |reader| reader.map().is_ok()),
        ("byte_array", |reader| reader.byte_array::<2>().is_ok()),
        ("skip", |reader| reader.skip().is_ok()),
    ];
    for item in items {
        for end in 0..=item.len() {
            for (name, method) in methods {
                let bytes = [&[0xf6], &item[..end]].concat();
                let mut reader = Reader::new(&bytes);
                assert!(reader.null());
                let worked = method(&mut reader);
                assert_eq!(reader.position() > 1, worked, "{name} on {:x?}", &item[..end]);
            }
        }
    }
}

#[test]
fn chunks_are_joined() {
    let mut reader = Reader::new(&[0x5f, 0x41, 1, 0x40, 0x42, 2, 3, 0xff, 0x7f, 0x61, 0x61, 0xff, 0x5f, 0xff]);
    assert_eq!(reader.bytes().as_deref(), Ok(&[1, 2, 3][..]));
    assert_eq!(reader.text().as_deref(), Ok(&b"a"[..]));
    assert_eq!(reader.bytes().as_deref(), Ok(&[][..]));
    assert!(reader.is_at_end());
}

#[test]
fn errors_say_what_was_expected_where() {
    let mut reader = Reader::new(&[0x01, 0x61, 0x61]);
    reader.unsigned().unwrap();
    let expected = ReadError::Unexpected { at: 1, expected: "an unsigned integer", found: Kind::Text };
    assert_eq!(reader.unsigned(), Err(expected));
    assert_eq!(expected.to_string(), "expected an unsigned integer at byte 1, found Text");
    assert_eq!(Reader::new(&[0x43, 1, 2, 3]).byte_array::<2>().map_err(|_| ()), Err(()));
    assert_eq!(Reader::new(&[0x5f, 0x42, 1, 2, 0xff]).byte_array::<2>().map_err(|_| ()), Err(()));
    assert_eq!(Reader::new(&[0x5f, 0x41, 1, 0x01]).bytes(), Err(ReadError::Malformed { at: 3 }));
}

#[test]
fn tags_are_passed_over_and_half_a_tag_is_an_error() {
    let mut reader = Reader::new(&[0xc1, 0xd9, 0xd9, 0xf7, 0xd8, 0x2a, 0x07]);
    assert_eq!(reader.skip_tags(), Ok(()));
    assert_eq!(reader.position(), 6);
    assert_eq!(Reader::new(&[0x07]).skip_tags(), Ok(()));
    assert_eq!(Reader::new(&[]).skip_tags(), Ok(()));
    assert_eq!(Reader::new(&[0xc1, 0xd9, 0xd9]).skip_tags(), Err(ReadError::Truncated { at: 1 }));
    assert_eq!(Reader::new(&[0xdf, 0x07]).skip_tags(), Err(ReadError::Malformed { at: 0 }));
}

#[test]
fn a_break_and_a_null_are_consumed_only_if_they_are_there() {
    let mut reader = Reader::new(&[0xf7, 0xff, 0xf6]);
    assert!(!reader.at_break() && reader.null() && !reader.null() && reader.at_break() && reader.null());
    assert!(!reader.null() && !reader.at_break());
}

#[test]
fn skipping_stops_at_its_depth() {
    let nest = |depth: usize| [[0x81].repeat(depth), vec![0]].concat();
    assert_eq!(Reader::new(&nest(Reader::DEPTH_MAX)).skip().map(<[u8]>::len), Ok(Reader::DEPTH_MAX + 1));
    assert_eq!(Reader::new(&nest(Reader::DEPTH_MAX + 1)).skip(), Err(ReadError::TooDeep { at: 0 }));
}

#[test]
fn claims_beyond_the_slice_take_no_memory() {
    for major in 2..=5 {
        let bytes = head(major, u64::MAX, 0);
        assert_eq!(Reader::new(&bytes).skip(), Err(ReadError::Truncated { at: 0 }));
    }
    assert_eq!(Reader::new(&head(2, u64::MAX, 0)).bytes(), Err(ReadError::Truncated { at: 0 }));
    // The count of an array is a claim that only its reader can judge.
    assert_eq!(Reader::new(&head(4, u64::MAX, 0)).array(), Ok(Some(u64::MAX)));
}

proptest! {
    #[test]
    fn skipping_passes_over_whole_items(items in prop::collection::vec(item(), 1..5)) {
        let bytes = items.concat();
        let mut reader = Reader::new(&bytes);
        for item in &items {
            prop_assert_eq!(reader.skip(), Ok(&item[..]));
        }
        prop_assert!(reader.is_at_end());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..50), calls in prop::collection::vec(0..10_u8, 20)) {
        let mut reader = Reader::new(&bytes);
        for call in calls {
            match call {
                0 => drop(reader.unsigned()),
                1 => drop(reader.bytes()),
                2 => drop(reader.text()),
                3 => drop(reader.array()),
                4 => drop(reader.map()),
                5 => drop(reader.skip()),
                6 => drop(reader.skip_tags()),
                7 => drop(reader.byte_array::<4>()),
                8 => drop(reader.bool()),
                _ => drop((reader.at_break(), reader.null(), reader.kind())),
            }
            prop_assert!(reader.position() <= bytes.len());
        }
    }
}

#[test]
fn bytes_as_integers_come_back_whatever_their_width() {
    for len in [0_usize, 1, 23, 24, 255, 256, 257, 1_000] {
        let bytes: Vec<u8> = (0..len).map(|at| (at * 7) as u8).collect();
        let mut out = BytesMut::new();
        Writer::new(&mut out).byte_integers(&bytes).null();
        let mut reader = Reader::new(&out);
        assert_eq!(reader.byte_integers().unwrap(), bytes);
        assert!(reader.null(), "it stops where the array does");
        // What serde writes for a `Vec<u8>`.
        let mut expected = Vec::new();
        ciborium::into_writer(&bytes, &mut expected).unwrap();
        assert_eq!(&out[..out.len() - 1], expected);
        for cut in 0..expected.len() {
            assert!(Reader::new(&expected[..cut]).byte_integers().is_err(), "{len} cut at {cut}");
        }
    }
}

#[test]
fn bytes_as_integers_in_longer_heads_and_of_indefinite_length() {
    let bytes = [0x9f, 0x01, 0x18, 0x05, 0x19, 0x00, 0xff, 0x1b, 0, 0, 0, 0, 0, 0, 0, 7, 0xff];
    assert_eq!(Reader::new(&bytes).byte_integers().unwrap(), [1, 5, 255, 7]);
    let definite = [0x84, 0x01, 0x18, 0x05, 0x19, 0x00, 0xff, 0x00];
    assert_eq!(Reader::new(&definite).byte_integers().unwrap(), [1, 5, 255, 0]);
}

#[test]
fn what_is_no_byte_is_refused() {
    for bytes in [&[0x81, 0x19, 0x01, 0x00][..], &[0x81, 0x20], &[0x82, 0x01, 0xf6], &[0x9f, 0x01], &[0x41, 0x00]] {
        assert!(Reader::new(bytes).byte_integers().is_err(), "{bytes:x?}");
    }
    let claimed = [0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert!(Reader::new(&claimed).byte_integers().is_err(), "a claim reserves nothing");
}
