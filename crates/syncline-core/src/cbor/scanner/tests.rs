use proptest::prelude::*;

use super::super::samples::{head, item};
use super::super::{BREAK, CborCodec};
use super::*;

const NO_LIMITS: FrameLimits = FrameLimits::with_len_max(usize::MAX);

/// What a naive reader, which starts again from the front each time, makes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naive {
    Whole(usize),
    NeedsMore,
    Malformed,
    TooDeep,
    /// Only for the scanner: more is claimed than memory can ever hold. The naive reader waits for it to come.
    TooLong,
}

use Naive::{Malformed, NeedsMore, TooDeep, TooLong, Whole};

/// The recursive well-formedness check of RFC 8949, appendix C, with a limit on depth.
fn naive(bytes: &[u8], depth: usize) -> Naive {
    let Some((&first, rest)) = bytes.split_first() else { return NeedsMore };
    let (major, info) = (first >> 5, first & 0x1f);
    let width = match info {
        0..=23 => 0,
        24..=27 => 1 << (info - 24),
        31 => return naive_indefinite(bytes, major, depth),
        _ => return Malformed,
    };
    if rest.len() < width {
        return NeedsMore;
    }
    let argument =
        if width == 0 { u64::from(info) } else { rest[..width].iter().fold(0, |sum, b| (sum << 8) | u64::from(*b)) };
    let start = 1 + width;
    match major {
        0 | 1 => Whole(start),
        2 | 3 if argument > (bytes.len() - start) as u64 => NeedsMore,
        2 | 3 => Whole(start + argument as usize),
        4 => naive_items(bytes, start, u128::from(argument), depth),
        5 => naive_items(bytes, start, 2 * u128::from(argument), depth),
        6 => naive_items(bytes, start, 1, depth),
        _ if info == 24 && argument < 32 => Malformed,
        _ => Whole(start),
    }
}

fn naive_items(bytes: &[u8], mut at: usize, count: u128, depth: usize) -> Naive {
    if count > 0 && depth == 0 {
        return TooDeep;
    }
    for _ in 0..count {
        match naive(&bytes[at..], depth - 1) {
            Whole(len) => at += len,
            other => return other,
        }
    }
    Whole(at)
}

fn naive_indefinite(bytes: &[u8], major: u8, depth: usize) -> Naive {
    if !matches!(major, 2..=5) {
        return Malformed;
    }
    if depth == 0 {
        return TooDeep;
    }
    let mut at = 1;
    for index in 0.. {
        match bytes.get(at) {
            None => return NeedsMore,
            Some(&BREAK) if major == 5 && index % 2 == 1 => return Malformed,
            Some(&BREAK) => return Whole(at + 1),
            // The scanner judges a head when it is whole.
            Some(first) if major <= 3 && (first >> 5 != major || first & 0x1f == 31) => {
                let width = if matches!(first & 0x1f, 24..=27) { 1 << ((first & 0x1f) - 24) } else { 0 };
                return if bytes.len() - at > width { Malformed } else { NeedsMore };
            }
            Some(_) => {}
        }
        match naive(&bytes[at..], depth - 1) {
            Whole(len) => at += len,
            other => return other,
        }
    }
    unreachable!("the loop has no end")
}

fn scan_in_chunks(bytes: &[u8], limits: FrameLimits, cuts: impl Iterator<Item = usize>) -> Naive {
    let mut scanner = FrameScanner::new(limits);
    let mut end = 0;
    let mut calls = 0;
    for cut in cuts {
        end = bytes.len().min(end + cut);
        let before = scanner.offset;
        calls += 1;
        match scanner.scan(&bytes[..end]) {
            Ok(Some(len)) => {
                assert!(len <= end);
                assert!(scanner.looked_at <= (len + 8 * calls) as u64, "bytes are looked at again");
                return Whole(len);
            }
            Ok(None) => assert!(before <= scanner.offset && scanner.offset <= end, "goes on where it stopped"),
            Err(FrameError::Malformed { .. }) => return Malformed,
            Err(FrameError::TooDeep { .. }) => return TooDeep,
            Err(FrameError::TooLong { .. }) => return TooLong,
        }
        if end == bytes.len() {
            break;
        }
    }
    NeedsMore
}

/// Asserts that the scanner and the naive reader agree on all of `bytes`, however they are cut.
fn assert_agrees(bytes: &[u8]) -> Result<(), TestCaseError> {
    let expected = naive(bytes, 8);
    for chunk in [1, 2, 3, 7, bytes.len().max(1)] {
        let found = scan_in_chunks(bytes, NO_LIMITS.and_depth_max(8), std::iter::repeat(chunk));
        if found == TooLong && !matches!(expected, Whole(_)) {
            continue;
        }
        prop_assert_eq!(found, expected, "in chunks of {}", chunk);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn agrees_with_the_naive_reader_on_items(item in item()) {
        prop_assert_eq!(naive(&item, 64), Whole(item.len()));
        assert_agrees(&item)?;
    }

    #[test]
    fn agrees_with_the_naive_reader_on_noise(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        assert_agrees(&bytes)?;
    }

    #[test]
    fn agrees_with_the_naive_reader_on_damaged_items(
        item in item(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut damaged = item;
        let at = at.index(damaged.len());
        damaged[at] = byte;
        if cut {
            damaged.truncate(at);
        }
        assert_agrees(&damaged)?;
    }

    #[test]
    fn any_way_to_cut_a_stream_gives_the_same_items(
        items in prop::collection::vec(item(), 1..6), cuts in prop::collection::vec(1..40_usize, 1..200),
    ) {
        let stream = items.concat();
        let mut scanner = FrameScanner::new(FrameLimits::default());
        let (mut start, mut end) = (0, 0);
        let mut found = Vec::new();
        for cut in cuts.into_iter().chain([stream.len()]) {
            end = stream.len().min(end + cut);
            while start < end && let Some(len) = scanner.scan(&stream[start..end]).unwrap() {
                found.push(stream[start..start + len].to_vec());
                start += len;
            }
        }
        prop_assert_eq!(found, items);
    }

    /// ciborium, which decodes what was scanned, stops at the same byte.
    #[test]
    fn agrees_with_ciborium_on_where_an_item_ends(item in item(), next in any::<u8>()) {
        let bytes = [&item[..], &[next]].concat();
        let mut rest = &bytes[..];
        let decoded: Result<ciborium::Value, _> = ciborium::de::from_reader(&mut rest);
        prop_assert!(decoded.is_ok(), "{:?}", decoded);
        prop_assert_eq!(rest.len(), 1);
        prop_assert_eq!(FrameScanner::new(FrameLimits::default()).scan(&bytes).unwrap(), Some(item.len()));
    }

    #[test]
    fn an_item_at_the_limit_passes_and_one_over_it_never_fills_the_limit(item in item(), chunk in 1..20_usize) {
        let scan = |limit: usize| {
            let mut scanner = FrameScanner::new(FrameLimits::with_len_max(limit));
            for end in (chunk..item.len()).step_by(chunk).chain([item.len()]) {
                match scanner.scan(&item[..end]) {
                    Ok(None) => {}
                    other => return (end, other),
                }
            }
            (item.len(), Ok(None))
        };
        prop_assert_eq!(scan(item.len()), (item.len(), Ok(Some(item.len()))));
        let (end, outcome) = scan(item.len() - 1);
        // A buffer that is as long as the limit, and the item is not whole: nothing that follows can help.
        prop_assert!(end < item.len() - 1 + chunk || end == item.len());
        let is_too_long = matches!(outcome, Err(FrameError::TooLong { limit, claimed }) if claimed as usize > limit);
        prop_assert!(is_too_long, "{:?}", outcome);
    }
}

#[test]
fn an_item_that_cannot_end_within_the_limit_is_refused_when_the_limit_is_full() {
    for bytes in [&[0x9f, 1, 1, 1][..], &[0x5f, 0x40, 0x40, 0x40], &[0x84, 0x81, 1, 1], &[0xc6, 0xc6, 0xc6, 0xc6]] {
        let mut scanner = FrameScanner::new(FrameLimits::with_len_max(4));
        let outcome = (1..=4).find_map(|end| scanner.scan(&bytes[..end]).err());
        assert!(matches!(outcome, Some(FrameError::TooLong { limit: 4, claimed: 5.. })), "{bytes:x?}: {outcome:?}");
    }
}

#[test]
fn what_is_only_claimed_is_refused_at_once() {
    for major in [major::BYTES, major::TEXT, major::ARRAY, major::MAP] {
        for argument in [1 << 20, 1 << 32, 1 << 62, 1 << 63, u64::MAX] {
            for limits in [FrameLimits::default(), FrameLimits::with_len_max(1 << 20)] {
                let bytes = head(major, argument, 0);
                let outcome = FrameScanner::new(limits).scan(&bytes);
                assert!(matches!(outcome, Err(FrameError::TooLong { .. })), "{major} {argument}: {outcome:?}");
            }
        }
    }
    // Without a limit worth the name, the claim of 2^64-1 is still more than memory can hold.
    for major in [major::BYTES, major::TEXT, major::ARRAY, major::MAP] {
        let outcome = FrameScanner::new(NO_LIMITS).scan(&head(major, u64::MAX, 0));
        assert!(matches!(outcome, Err(FrameError::TooLong { .. })), "{outcome:?}");
    }
}

#[test]
fn claims_of_nested_items_add_up() {
    let limits = FrameLimits::with_len_max(1_000);
    // Each claims less than the limit, together they exceed it.
    let nested = [head(major::ARRAY, 600, 0), head(major::ARRAY, 300, 0), head(major::BYTES, 200, 0)].concat();
    assert!(matches!(FrameScanner::new(limits).scan(&nested), Err(FrameError::TooLong { claimed: 1_106, .. })));
    let fits = [head(major::ARRAY, 500, 0), head(major::ARRAY, 300, 0), head(major::BYTES, 190, 0)].concat();
    assert_eq!(FrameScanner::new(limits).scan(&fits), Ok(None));
    // Integers of two bytes take more than they claimed.
    let numbers = [head(major::ARRAY, 990, 0), [0x18, 0x18].repeat(8)].concat();
    assert!(matches!(FrameScanner::new(limits).scan(&numbers), Err(FrameError::TooLong { claimed: 1_001, .. })));
}

#[test]
fn claims_without_end_do_not_overflow() {
    let bytes: Vec<u8> = std::iter::repeat_n(head(major::MAP, (1 << 62) - 100, 0), 10).flatten().collect();
    let outcome = FrameScanner::new(NO_LIMITS).scan(&bytes);
    assert!(matches!(outcome, Err(FrameError::TooLong { .. })), "{outcome:?}");
}

#[test]
fn nesting_at_the_limit_passes_and_one_more_is_refused() {
    for opener in [&[0x81][..], &[0x9f], &[0xa1, 0x00], &[0xbf, 0x00], &[0xc6], &[0xd8, 0x2a]] {
        let breaks = usize::from(opener[0] & 0x1f == 0x1f);
        let nest = |depth: usize| [opener.repeat(depth), vec![0x00], vec![BREAK; depth * breaks]].concat();
        let deepest = nest(64);
        assert_eq!(FrameScanner::new(FrameLimits::default()).scan(&deepest), Ok(Some(deepest.len())), "{opener:x?}");
        let outcome = FrameScanner::new(FrameLimits::default()).scan(&nest(65));
        assert_eq!(outcome, Err(FrameError::TooDeep { limit: 64 }), "{opener:x?}");
        // What passes the scanner does not fail in the decoder for its depth.
        let mut codec = CborCodec::<ciborium::Value>::new();
        let decoded = tokio_util::codec::Decoder::decode(&mut codec, &mut bytes::BytesMut::from(&deepest[..]));
        assert!(matches!(decoded, Ok(Some(_))), "{opener:x?}: {decoded:?}");
    }
    // Chunks of an indefinite string count as content, empty containers as leaves.
    let flat = FrameLimits::default().and_depth_max(1);
    assert_eq!(FrameScanner::new(flat).scan(&[0x5f, 0x41, 1, BREAK]), Ok(Some(4)));
    assert_eq!(FrameScanner::new(flat).scan(&[0x82, 0x80, 0xa0]), Ok(Some(3)));
    assert!(FrameScanner::new(flat.and_depth_max(0)).scan(&[0x81, 0]).is_err());
}

#[test]
fn malformed_bytes_are_named_with_their_place() {
    for (bytes, place) in [
        (&[0x1c][..], 0),         // reserved
        (&[0x1f], 0),             // no indefinite integers,
        (&[0x3f], 0),             // negative ones,
        (&[0xdf, 0x00], 0),       // or tags
        (&[0xff], 0),             // nothing is open
        (&[0x82, 0x01, 0xff], 2), // an array of definite length has no break
        (&[0xa1, 0x01, 0xff], 2), // nor has a map,
        (&[0xc6, 0xff], 1),       // or a tag
        (&[0x9f, 0xc6, 0xff], 2), // wherever it stands
        (&[0xbf, 0x01, 0xff], 2), // a key without a value
        (&[0xbf, 0x01, 0x02, 0x03, 0xff], 4),
        (&[0x5f, 0x01], 1),             // a number is no chunk of bytes
        (&[0x5f, 0x61, 0x61], 1),       // nor is text,
        (&[0x7f, 0x41, 0x61], 1),       // or bytes of text,
        (&[0x5f, 0x5f, 0xff, 0xff], 1), // or a string in chunks
        (&[0x5f, 0xc6, 0x40, 0xff], 1), // or something tagged
        (&[0xf8, 0x14], 0),             // `false` in two bytes
        (&[0xf8, 0x1f], 0),             // reserved
        (&[0x81, 0xfc], 1),             // reserved
    ] {
        let outcome = FrameScanner::new(FrameLimits::default()).scan(bytes);
        assert_eq!(outcome, Err(FrameError::Malformed { at: place }), "{bytes:x?}");
    }
    assert_eq!(FrameScanner::new(FrameLimits::default()).scan(&[0xf8, 0x20]), Ok(Some(2)));
}

#[test]
fn an_item_cut_at_any_byte_is_incomplete() {
    let item = [
        &[0xbf, 0x61, 0x61, 0x9f, 0x18, 0x64, 0x5f, 0x42, 1, 2, 0xff, 0xff, 0x1b, 0, 0, 0, 1, 0, 0, 0, 0, 0x82][..],
        &[0xd9, 0x01, 0x02, 0xf6, 0xfb, 0, 0, 0, 0, 0, 0, 0, 0, 0xff],
    ]
    .concat();
    for end in 0..item.len() {
        assert_eq!(FrameScanner::new(FrameLimits::default()).scan(&item[..end]), Ok(None), "at byte {end}");
    }
    assert_eq!(FrameScanner::new(FrameLimits::default()).scan(&item), Ok(Some(item.len())));
}

/// What it costs to find the end of a frame that comes in chunks.
fn work(frame: &[u8], chunk: usize) -> u64 {
    let mut scanner = FrameScanner::new(FrameLimits::with_len_max(FrameLimits::LEN_MAX_BODIES));
    for end in (chunk..frame.len()).step_by(chunk) {
        assert_eq!(scanner.scan(&frame[..end]), Ok(None));
    }
    assert_eq!(scanner.scan(frame), Ok(Some(frame.len())));
    scanner.looked_at
}

#[test]
fn the_work_is_linear_in_the_bytes_however_they_are_cut() {
    let integers = |count: usize| [head(major::ARRAY, count as u64, 0), [0x18, 0xff].repeat(count)].concat();
    let strings = |count: usize| [head(major::ARRAY, count as u64, 0), [0x41, 0xff].repeat(count)].concat();
    let bytes = |count: usize| [head(major::BYTES, 2 * count as u64, 0), vec![0; 2 * count]].concat();
    for (name, make) in [("integers", &integers as &dyn Fn(usize) -> Vec<u8>), ("strings", &strings), ("bytes", &bytes)]
    {
        for chunk in [1_400, 65_536] {
            for mebibytes in [2, 4, 8] {
                let frame = make(mebibytes << 19);
                let calls = frame.len().div_ceil(chunk) as u64;
                let looked_at = work(&frame, chunk);
                assert!(looked_at <= frame.len() as u64 + 8 * calls, "{name}: {looked_at} for {mebibytes} MiB");
            }
        }
    }
    // The content of a string is not looked at at all.
    assert!(work(&bytes(1 << 20), 1) <= 9 * 9);
}
