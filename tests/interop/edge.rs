//! Sessions in which the peer does something unusual: what the original makes of it, as observed, and what we have to.
//!
//! Each row is played against both. So a row proves first that it describes what the original really does, and then
//! that ours does what it should: the same where the original is right, and better where it is not.

use std::fmt::{self, Debug};

use crate::author::Pen;
use crate::image::Topic;
use crate::io::End;
use crate::original::{V03, V04};
use crate::ours::{Ours, OursOnDatabase};
use crate::peer::{Contestant, Event, Failure, Role};
use crate::transcript::{Play, author, data, done, have, have_nothing, operations, store, topic};
use crate::wire::{Message, compact_data, heights};

/// How a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Well,
    Unexpected,
    Invalid,
    Critical,
    /// It does not: with the stream open and nothing more to come it waits.
    Waits,
}

/// What one side did, as seen from outside.
#[derive(Clone, PartialEq, Eq)]
struct Seen {
    ends: Ends,
    events: Vec<Event>,
    sent: Vec<u8>,
}

impl Seen {
    /// The same, but for what nobody can rely on: how much a session that fails had sent by then, and what one that waits
    /// has told the application so far.
    fn is_like(&self, expected: &Self) -> bool {
        let sent = match self.ends {
            Ends::Well | Ends::Waits => self.sent == expected.sent,
            Ends::Unexpected | Ends::Invalid | Ends::Critical => expected.sent.starts_with(&self.sent),
        };
        let events = self.ends == Ends::Waits || self.events == expected.events;
        self.ends == expected.ends && sent && events
    }
}

impl Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent: String = self.sent.iter().map(|byte| format!("{byte:02x}")).collect();
        write!(f, "{:?} {:?} sent {sent}", self.ends, self.events)
    }
}

/// One unusual session.
struct Row {
    name: &'static str,
    initiate: Option<Topic>,
    input: Vec<u8>,
    end: End,
    /// Absent where the original panics.
    theirs: Option<Seen>,
    ours: Seen,
}

impl Row {
    /// A row in which both do the same.
    fn both(name: &'static str, input: Vec<u8>, ends: Ends, events: Vec<Event>, sent: Vec<u8>) -> Self {
        let seen = Seen { ends, events, sent };
        Self { name, initiate: None, input, end: End::Silence, theirs: Some(seen.clone()), ours: seen }
    }

    /// Ours ends otherwise, after the same events and with no more sent.
    fn ours(mut self, ends: Ends) -> Self {
        self.ours.ends = ends;
        self
    }

    fn our_events(mut self, events: Vec<Event>) -> Self {
        self.ours.events = events;
        self
    }

    fn our_sent(mut self, sent: Vec<u8>) -> Self {
        self.ours.sent = sent;
        self
    }

    fn original_panics(mut self) -> Self {
        self.theirs = None;
        self
    }

    fn closed(mut self) -> Self {
        self.end = End::Closed;
        self
    }

    fn initiating(mut self, topic: Topic) -> Self {
        self.initiate = Some(topic);
        self
    }

    fn play<C: Contestant>(&self) -> Seen {
        let role = self.initiate.as_ref().map_or(Role::Accept, Role::Initiate);
        let mut play = Play::new(role, store(0, &operations(3)), self.input.clone());
        play.end = self.end;
        let (outcome, sent) = play.run::<C>();
        let Some(outcome) = outcome else { return Seen { ends: Ends::Waits, events: Vec::new(), sent } };
        let ends = match outcome.result {
            Ok(()) => Ends::Well,
            Err(Failure::Unexpected(_)) => Ends::Unexpected,
            Err(Failure::Invalid(_)) => Ends::Invalid,
            Err(Failure::Critical(_)) => Ends::Critical,
        };
        Seen { ends, events: outcome.events, sent }
    }
}

/// All that an acceptor with three operations sends to a peer that has none.
fn all() -> Vec<u8> {
    let data = operations(3).iter().map(data).collect::<Vec<_>>().concat();
    [data, done(), have(&[(0, 2)])].concat()
}

/// All that it sends to a peer that has them too.
fn nothing_new() -> Vec<u8> {
    [done(), have(&[(0, 2)])].concat()
}

/// What an initiator sends to a peer that has all.
fn initiated() -> Vec<u8> {
    [have(&[(0, 2)]), done()].concat()
}

fn handshake() -> Event {
    Event::Handshake(topic().0)
}

fn received(header: &[u8], body: Option<&[u8]>) -> Event {
    Event::Data(header.to_vec(), body.map(Into::into))
}

/// A `Data` message as the original writes it.
fn ints(header: &[u8], body: Option<&[u8]>) -> Vec<u8> {
    Message::<u64>::Data(header.to_vec(), body.map(Into::into)).encode()
}

/// Parts of messages, put together by hand.
fn raw(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

const TYPE: &[u8] = b"\x64type";
const VALUE: &[u8] = b"\x65value";
const DATA: &[u8] = b"\x64Data";
const DONE: &[u8] = b"\x64Done";

/// Where the stream ends, or does not.
fn ends_of_stream() -> Vec<Row> {
    use Ends::{Critical, Unexpected, Waits, Well};
    let up_to_date = have(&[(0, 2)]);
    let one = ints(&[1], None);
    let initiator = |name, input, ends, events, sent| Row::both(name, input, ends, events, sent).initiating(topic());
    vec![
        Row::both("immediate end", Vec::new(), Well, vec![], vec![]).closed().ours(Unexpected),
        Row::both("end after Have", have_nothing(), Well, vec![handshake()], all()).closed().ours(Unexpected),
        Row::both(
            "end after Have and Data",
            raw(&[&up_to_date, &one]),
            Well,
            vec![handshake(), received(&[1], None)],
            nothing_new(),
        )
        .closed()
        .ours(Unexpected),
        Row::both("end inside a frame", up_to_date[..20].to_vec(), Critical, vec![], vec![]).closed().ours(Unexpected),
        Row::both("silence", Vec::new(), Waits, vec![], vec![]),
        Row::both("silence after Have", up_to_date.clone(), Waits, vec![], nothing_new()),
        Row::both("silence inside a frame", up_to_date[..20].to_vec(), Waits, vec![], vec![]),
        initiator("initiator, immediate end", Vec::new(), Well, vec![handshake()], up_to_date.clone())
            .closed()
            .ours(Unexpected)
            .our_events(vec![]),
        initiator("initiator, end after Done", done(), Well, vec![handshake()], up_to_date.clone())
            .closed()
            .ours(Unexpected),
        initiator(
            "initiator, end after Data",
            one.clone(),
            Well,
            vec![handshake(), received(&[1], None)],
            up_to_date.clone(),
        )
        .closed()
        .ours(Unexpected),
    ]
}

/// Messages in another order than the protocol's.
fn order() -> Vec<Row> {
    use Ends::{Critical, Unexpected, Well};
    let up_to_date = have(&[(0, 2)]);
    let one = ints(&[1], None);
    let initiator = |name, input, ends, events, sent| Row::both(name, input, ends, events, sent).initiating(topic());
    let unknown = Topic("nope".into(), [0; 4]);
    let other_topic = Message::<u64>::Have(unknown.clone(), Vec::new()).encode();
    vec![
        Row::both(
            "Data before Have",
            raw(&[&ints(&[1, 2], None), &up_to_date, &done()]),
            Well,
            vec![received(&[1, 2], None), handshake()],
            nothing_new(),
        )
        .ours(Unexpected)
        .our_events(vec![])
        .our_sent(vec![]),
        Row::both("Done before Have", raw(&[&done(), &up_to_date]), Well, vec![handshake()], nothing_new())
            .ours(Unexpected)
            .our_events(vec![])
            .our_sent(vec![]),
        Row::both(
            "two Haves",
            raw(&[&have_nothing(), &have_nothing(), &done()]),
            Well,
            vec![handshake(), handshake()],
            raw(&[&all(), &all()]),
        )
        .ours(Unexpected)
        .our_events(vec![handshake()])
        .our_sent(all()),
        Row::both(
            "garbage after the end",
            raw(&[&up_to_date, &done(), &[0xff, 0xff]]),
            Well,
            vec![handshake()],
            nothing_new(),
        ),
        Row::both(
            "unknown topic",
            raw(&[&other_topic, &done()]),
            Unexpected,
            vec![Event::Handshake("nope".into())],
            vec![],
        )
        .our_events(vec![]),
        initiator(
            "initiator, Have before Done",
            raw(&[&up_to_date, &done()]),
            Unexpected,
            vec![handshake()],
            up_to_date.clone(),
        )
        .our_events(vec![]),
        initiator(
            "initiator, Have of another topic",
            raw(&[&done(), &other_topic]),
            Unexpected,
            vec![handshake()],
            up_to_date.clone(),
        ),
        initiator(
            "initiator, Done twice",
            raw(&[&done(), &done(), &have_nothing()]),
            Well,
            vec![handshake()],
            raw(&[&up_to_date, &all()[..all().len() - have(&[(0, 2)]).len()]]),
        )
        .ours(Unexpected)
        .our_sent(up_to_date.clone()),
        initiator(
            "initiator, Data after Done",
            raw(&[&done(), &one, &have_nothing()]),
            Well,
            vec![handshake(), received(&[1], None)],
            raw(&[&up_to_date, &all()[..all().len() - have(&[(0, 2)]).len()]]),
        )
        .ours(Unexpected)
        .our_events(vec![handshake()])
        .our_sent(up_to_date.clone()),
        initiator(
            "initiator, garbage after the end",
            raw(&[&done(), &up_to_date, &[0xff]]),
            Well,
            vec![handshake()],
            initiated(),
        ),
        Row::both("initiator, topic unknown here", Vec::new(), Critical, vec![], vec![]).initiating(unknown),
    ]
}

/// Heights that are strange, though well-formed.
fn strange_heights() -> Vec<Row> {
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
fn garbage() -> Vec<Row> {
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

/// Other encodings of the same messages, and what is no message any more. `Have` comes first.
fn leniency() -> Vec<Row> {
    use Ends::{Invalid, Well};
    let then = |parts: &[&[u8]]| raw(&[&have(&[(0, 2)]), &raw(parts)]);
    let ok = |name, parts: &[&[u8]], events: &[Event]| {
        Row::both(name, then(parts), Well, [&[handshake()], events].concat(), nothing_new())
    };
    let bad = |name, parts: &[&[u8]], events: &[Event]| {
        Row::both(name, then(parts), Invalid, [&[handshake()], events].concat(), nothing_new())
    };
    let d = done();
    let three = received(&[1, 23, 255], None);
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
        ok("Data in a byte string and null", &[&compact_data(&[1, 23, 255], None), &d], &[three.clone()]),
        ok(
            "header as indefinite byte string",
            &[&[0xa2], TYPE, DATA, VALUE, &[0x82, 0x5f, 0x42, 1, 23, 0x41, 255, 0xff, 0xf6], &d],
            &[three.clone()],
        ),
        ok(
            "header as indefinite array",
            &[&[0xa2], TYPE, DATA, VALUE, &[0x82, 0x9f, 1, 23, 24, 255, 0xff, 0xf6], &d],
            &[three.clone()],
        ),
        ok(
            "value before type, in integers",
            &[&[0xa2], VALUE, &[0x82, 0x83, 1, 23, 24, 255, 0xf6], TYPE, DATA, &d],
            &[three.clone()],
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
        Row::both("public key as integers", key_as_ints, Well, vec![handshake()], nothing_new()),
        bad(
            "value before type, in byte strings",
            &[&[0xa2], VALUE, &[0x82, 0x43, 1, 23, 255, 0xf6], TYPE, DATA, &d],
            &[],
        )
        .ours(Well)
        .our_events(vec![handshake(), three]),
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
fn forged() -> Vec<Row> {
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

fn rows() -> Vec<Row> {
    [ends_of_stream(), order(), strange_heights(), garbage(), leniency(), forged()].into_iter().flatten().collect()
}

/// Plays all rows and lists those that went otherwise.
fn differences<C: Contestant>(expected: impl Fn(&Row) -> Option<Seen>) -> Vec<String> {
    let mut differences = Vec::new();
    for row in rows() {
        let Some(expected) = expected(&row) else { continue };
        let seen = row.play::<C>();
        if !seen.is_like(&expected) {
            differences.push(format!("{}, {}:\n  is     {seen:?}\n  not as {expected:?}", C::NAME, row.name));
        }
    }
    differences
}

#[test]
fn the_original_does_what_was_observed() {
    let differences = [differences::<V03>(|row| row.theirs.clone()), differences::<V04>(|row| row.theirs.clone())];
    assert!(differences.concat().is_empty(), "{}", differences.concat().join("\n"));
}

#[test]
fn ours_does_what_is_right() {
    let ours = |row: &Row| Some(row.ours.clone());
    let differences = [differences::<Ours>(ours), differences::<OursOnDatabase>(ours)].concat();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
