//! Sessions in which the peer does something unusual: what the original makes of it, as observed, and what we have to.
//!
//! Each row is played against both. So a row proves first that it describes what the original really does, and then
//! that ours does what it should: the same where the original is right, and better where it is not.

mod content;
mod flow;

use std::fmt::{self, Debug};

use crate::image::Topic;
use crate::io::End;
use crate::original::{V03, V04};
use crate::ours::{Ours, OursOnDatabase};
use crate::peer::{Contestant, Event, Failure, Role};
use crate::transcript::{Play, data, done, have, operations, store, topic};
use crate::wire::Message;

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

fn rows() -> Vec<Row> {
    let rows = [
        flow::ends_of_stream(),
        flow::acceptor_order(),
        flow::initiator_order(),
        content::strange_heights(),
        content::garbage(),
        content::other_encodings(),
        content::almost_messages(),
        content::forged(),
    ];
    rows.into_iter().flatten().collect()
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
