//! Streams that end or fall silent, and messages in another order than the protocol's.

use super::{Ends, Row, all, handshake, initiated, ints, nothing_new, raw, received};
use crate::image::Topic;
use crate::peer::Event;
use crate::transcript::{data, done, have, have_nothing, operations, topic};
use crate::wire::Message;

/// Where the stream ends, or does not.
pub(super) fn ends_of_stream() -> Vec<Row> {
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

/// A topic that nobody has.
fn unknown() -> Topic {
    Topic("nope".into(), [0; 4])
}

fn have_of_unknown() -> Vec<u8> {
    Message::<u64>::Have(unknown(), Vec::new()).encode()
}

/// Messages in another order than an acceptor has to get them.
pub(super) fn acceptor_order() -> Vec<Row> {
    use Ends::{Unexpected, Well};
    let up_to_date = have(&[(0, 2)]);
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
            raw(&[&have_of_unknown(), &done()]),
            Unexpected,
            vec![Event::Handshake("nope".into())],
            vec![],
        )
        .our_events(vec![]),
    ]
}

/// Messages in another order than an initiator has to get them.
pub(super) fn initiator_order() -> Vec<Row> {
    use Ends::{Critical, Unexpected, Well};
    let up_to_date = have(&[(0, 2)]);
    let operations = operations(3).iter().map(data).collect::<Vec<_>>().concat();
    let sends_all = [up_to_date.clone(), operations, done()].concat();
    let initiator = |name, input, ends, events, sent| Row::both(name, input, ends, events, sent).initiating(topic());
    vec![
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
            raw(&[&done(), &have_of_unknown()]),
            Unexpected,
            vec![handshake()],
            up_to_date.clone(),
        ),
        initiator(
            "initiator, Done twice",
            raw(&[&done(), &done(), &have_nothing()]),
            Well,
            vec![handshake()],
            sends_all.clone(),
        )
        .ours(Unexpected)
        .our_sent(up_to_date.clone()),
        initiator(
            "initiator, Data after Done",
            raw(&[&done(), &ints(&[1], None), &have_nothing()]),
            Well,
            vec![handshake(), received(&[1], None)],
            sends_all.clone(),
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
        Row::both("initiator, topic unknown here", Vec::new(), Critical, vec![], vec![]).initiating(unknown()),
    ]
}
