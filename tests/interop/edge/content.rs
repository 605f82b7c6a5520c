//! Strange heights, bytes that are no message, other encodings of messages, and data that is no operation.

use super::{Ends, Row, all, handshake, ints, nothing_new, raw, received};
use crate::author::Pen;
use crate::peer::Event;
use crate::transcript::{author, data, done, have, have_nothing, operations, topic};
use crate::wire::{Message, compact_data, heights};

const TYPE: &[u8] = b"\x64type";
const VALUE: &[u8] = b"\x65value";
const DATA: &[u8] = b"\x64Data";
const DONE: &[u8] = b"\x64Done";

fn three() -> Event {
    received(&[1, 23, 255], None)
}

/// Heights that are strange, though well-formed.
pub(super) fn strange_heights() -> Vec<Row> {
    use Ends::{Invalid, Well};
    let with = |authors| raw(&[&Message::<u64>::Have(topic(), authors).encode(), &done()]);
    let mine = |logs: &[(u64, u64)]| heights(author(), logs.to_vec());
    let row = |name, input, sent| Row::both(name, input, Well, vec![handshake()], sent);
    let from_1 = all()[data(&operations(1)[0]).len()..].to_vec();
    let mut off_curve = [0xff; 32];
    off_curve[0] = 2;
    vec![
        // In a release build the original counts on from 2^64 - 1 to 0 and sends everything.
        row("height 2^64 - 1", with(vec![mine(&[(0, u64::MAX)])]), nothing_new()).original_panics(),
        row("height above ours", with(vec![mine(&[(0, 7)])]), nothing_new()),
        row("author twice", with(vec![mine(&[(0, 2)]), mine(&[(0, 0)])]), from_1).our_sent(nothing_new()),
        row("author twice, greater last", with(vec![mine(&[(0, 0)]), mine(&[(0, 2)])]), nothing_new()),
        row("log twice", with(vec![mine(&[(0, 2), (0, 0)])]), nothing_new()),
        row(
            "log twice, greater last",
            with(vec![mine(&[(0, 0), (0, 2)])]),
            all()[data(&operations(1)[0]).len()..].to_vec(),
        )
        .our_sent(nothing_new()),
        row("author twice, one empty", with(vec![mine(&[(0, 2)]), mine(&[])]), all()).our_sent(nothing_new()),
        row(
            "unknown author and log",
            with(vec![heights(Pen::new([8; 32]).author(), vec![(0, 9)]), mine(&[(77, 1), (0, 2)])]),
            nothing_new(),
        ),
        Row::both(
            "a key that is no point",
            with(vec![heights(off_curve, vec![]), mine(&[(0, 2)])]),
            Invalid,
            vec![],
            vec![],
        )
        .ours(Well)
        .our_events(vec![handshake()])
        .our_sent(nothing_new()),
    ]
}

/// Bytes that are not a message.
pub(super) fn garbage() -> Vec<Row> {
    use Ends::{Invalid, Waits};
    let row = |name, input: &[u8]| Row::both(name, input.to_vec(), Invalid, vec![], vec![]);
    let claims = |name, input: Vec<u8>| Row::both(name, input, Waits, vec![], vec![]).ours(Invalid);
    let deep: Vec<u8> = raw(&[&[0xa2, 0x61, b'x'], &[0x81; 300], &[0x00], TYPE, DONE]);
    vec![
        row("a break", &[0xff]),
        row("a reserved head", &[0x1c]),
        row("a number", &[0x01]),
        row("an unknown variant", &raw(&[&[0xa1], TYPE, b"\x64Push"])),
        row("nesting", &deep),
        claims("a map of 2^64 - 1 entries", raw(&[&[0xbb], &[0xff; 8]])),
        claims("an array of 2^62 bytes as header", raw(&[&[0xa2], TYPE, DATA, VALUE, &[0x82, 0x9b, 0x40], &[0; 7]])),
        claims(
            "a byte string of 2^62 bytes as header",
            raw(&[&[0xa2], TYPE, DATA, VALUE, &[0x82, 0x5b, 0x40], &[0; 7]]),
        ),
        row("a text of 2^63 bytes as key", &raw(&[&[0xa1, 0x7b, 0x80], &[0; 7]])),
    ]
}

/// A session with a peer that has all: after its `Have` come these parts of messages.
fn after_have(name: &'static str, parts: &[&[u8]], ends: Ends, events: &[Event]) -> Row {
    let input = raw(&[&have(&[(0, 2)]), &raw(parts)]);
    Row::both(name, input, ends, [&[handshake()], events].concat(), nothing_new())
}

/// Other encodings of the same messages.
pub(super) fn other_encodings() -> Vec<Row> {
    let ok = |name, parts: &[&[u8]], events: &[Event]| after_have(name, parts, Ends::Well, events);
    let d = done();
    let key_as_ints = {
        let ints: Vec<u8> =
            author().iter().flat_map(|byte| if *byte < 24 { vec![*byte] } else { vec![24, *byte] }).collect();
        let head = have_nothing();
        raw(&[&head[..head.len() - 1], &[0x81, 0x82, 0x98, 0x20], &ints, &[0x81, 0x82, 0x00, 0x02], &d])
    };
    vec![
        ok(
            "Data in byte strings",
            &[&compact_data(&[1, 23, 255], Some(b"hi")), &d],
            &[received(&[1, 23, 255], Some(b"hi"))],
        ),
        ok("Data in a byte string and null", &[&compact_data(&[1, 23, 255], None), &d], &[three()]),
        ok(
            "header as indefinite byte string",
            &[&[0xa2], TYPE, DATA, VALUE, &[0x82, 0x5f, 0x42, 1, 23, 0x41, 255, 0xff, 0xf6], &d],
            &[three()],
        ),
        ok(
            "header as indefinite array",
            &[&[0xa2], TYPE, DATA, VALUE, &[0x82, 0x9f, 1, 23, 24, 255, 0xff, 0xf6], &d],
            &[three()],
        ),
        ok(
            "value before type, in integers",
            &[&[0xa2], VALUE, &[0x82, 0x83, 1, 23, 24, 255, 0xf6], TYPE, DATA, &d],
            &[three()],
        ),
        ok("payload undefined", &[&[0xa2], TYPE, DATA, VALUE, &[0x82, 0x81, 1, 0xf7], &d], &[received(&[1], None)]),
        ok("an empty header and payload", &[&ints(&[], Some(&[])), &d], &[received(&[], Some(&[]))]),
        ok("Done with value null", &[&[0xa2], TYPE, DONE, VALUE, &[0xf6]], &[]),
        ok("Done with an unknown key", &[&[0xa2], TYPE, DONE, &[0x61, b'x', 0x01]], &[]),
        ok("Done with an unknown key first", &[&[0xa2, 0x61, b'x', 0x01], TYPE, DONE], &[]),
        ok(
            "Done with an unknown key of any kind",
            &[&[0xa2, 0x61, b'x', 0x82, 0xa1, 0x20, 0xf9, 0x3c, 0x00, 0xc1, 0x1a, 0, 0, 0, 0], TYPE, DONE],
            &[],
        ),
        ok("Done as indefinite map", &[&[0xbf], TYPE, DONE, &[0xff]], &[]),
        ok("Done with a tag", &[&[0xd9, 0xd9, 0xf7], &d], &[]),
        ok("Done with a longer map head", &[&[0xb8, 0x01], TYPE, DONE], &[]),
        Row::both("public key as integers", key_as_ints, Ends::Well, vec![handshake()], nothing_new()),
    ]
}

/// What is no message any more, though it resembles one.
pub(super) fn almost_messages() -> Vec<Row> {
    let bad = |name, parts: &[&[u8]], events: &[Event]| after_have(name, parts, Ends::Invalid, events);
    let d = done();
    vec![
        bad(
            "value before type, in byte strings",
            &[&[0xa2], VALUE, &[0x82, 0x43, 1, 23, 255, 0xf6], TYPE, DATA, &d],
            &[],
        )
        .ours(Ends::Well)
        .our_events(vec![handshake(), three()]),
        bad("Done with value []", &[&[0xa2], TYPE, DONE, VALUE, &[0x80]], &[]),
        bad("Done as array", &[&[0x81], DONE], &[]),
        bad("type as number", &[&[0xa1], TYPE, &[0x02]], &[]),
        bad("type as byte string", &[&[0xa1], TYPE, b"\x44Done"], &[]),
        bad("Data of three", &[&[0xa2], TYPE, DATA, VALUE, &[0x83, 0x81, 1, 0xf6, 0x01], &d], &[received(&[1], None)])
            .our_events(vec![handshake()]),
        bad("Data of one", &[&[0xa2], TYPE, DATA, VALUE, &[0x81, 0x81, 1], &d], &[]),
        bad("type twice", &[&[0xa2], TYPE, DONE, TYPE, DONE], &[]),
        bad("a number over 255 in the header", &[&[0xa2], TYPE, DATA, VALUE, &[0x82, 0x81, 0x19, 1, 0, 0xf6], &d], &[]),
        bad("a negative number in the header", &[&[0xa2], TYPE, DATA, VALUE, &[0x82, 0x81, 0x20, 0xf6], &d], &[]),
        bad("a text as header", &[&[0xa2], TYPE, DATA, VALUE, &[0x82, 0x61, b'a', 0xf6], &d], &[]),
    ]
}

/// The session forwards what it gets; whether it is an operation is for the receiver to find out.
pub(super) fn forged() -> Vec<Row> {
    let mut forged = operations(2)[1].header.clone();
    forged[60] ^= 1;
    let body = b"Hello, Sloth";
    let input = raw(&[&have(&[(0, 2)]), &ints(&forged, Some(body)), &done()]);
    vec![Row::both(
        "a forged header",
        input,
        Ends::Well,
        vec![handshake(), received(&forged, Some(body))],
        nothing_new(),
    )]
}
