//! One session under given conditions, and what is seen of it.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use futures::{AsyncReadExt, AsyncWriteExt};
use syncline_core::clock::ManualClock;
use syncline_core::session::{FailureCause, Session, SessionLimits};
use syncline_core::{FromSync, SyncError, TopicQuery};

use super::app::{App, Events, Manner};
use super::rule::Side;
use super::{AnyProtocol, Pair};
use crate::net::{Conditions, Cut, End, Handle, Link, Sim, SimError, Step, Tap};

/// The conditions of a session, and how to say so.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) name: String,
    /// What each side sends goes through these.
    pub(super) from: [Conditions; 2],
    pub(super) manners: [Manner; 2],
    /// A side's streams stay as they are when it has returned, as they do when they are borrowed. Else they are dropped.
    pub(super) keeps_streams: bool,
    /// Drops a side before it is polled more than so many times.
    pub(super) drops: Option<(Side, u64)>,
    /// When both sides wait for ever, the streams end.
    pub(super) ends_at_rest: bool,
    /// Runs both sides in a `Session` with the default limits.
    pub(super) in_session: bool,
    /// The order in which tasks run.
    pub(super) order: Option<u64>,
}

impl Setup {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            from: [Conditions::new(), Conditions::new()],
            manners: [Manner::Eager; 2],
            keeps_streams: false,
            drops: None,
            ends_at_rest: false,
            in_session: false,
            order: None,
        }
    }

    pub(super) fn both_ways(mut self, conditions: &Conditions) -> Self {
        self.from = [conditions.clone(), conditions.clone()];
        self
    }

    pub(super) fn one_way(mut self, from: Side, conditions: Conditions) -> Self {
        self.from[from.index()] = conditions;
        self
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What became of a side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Ok,
    Err(SyncError),
    /// By a deadline of the session around it.
    Deadline,
    Panicked(String),
    /// It waits, and nothing will wake it.
    Waits,
    /// It asks for polls without end.
    Spins,
    /// It was dropped.
    Dropped,
}

/// How things stand when both sides wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    /// Bytes that the side wrote and did not flush.
    pub(super) unflushed: usize,
    /// Bytes that the side could read.
    pub(super) unread: u64,
    /// Whether the side sent anything.
    pub(super) spoke: bool,
}

impl Wait {
    /// The side of the two that is the likelier to blame comes first.
    pub(super) fn innocence(self) -> (bool, bool, bool) {
        (self.unflushed == 0, self.unread == 0, self.spoke)
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unflushed > 0 {
            write!(f, ", {} bytes written and not flushed", self.unflushed)?;
        }
        if self.unread > 0 {
            write!(f, ", while {} bytes can be read", self.unread)?;
        }
        Ok(())
    }
}

/// What was seen of a side.
#[derive(Debug)]
pub(super) struct Seen<T: TopicQuery> {
    pub(super) ended: Ended,
    /// How it waited for ever, until its streams were ended, if it did.
    pub(super) waited: Option<Wait>,
    pub(super) events: Vec<FromSync<T>>,
    pub(super) read: u64,
    pub(super) sent: Vec<u8>,
    pub(super) polls: u64,
    pub(super) closed_stream: bool,
    /// Its own surroundings failed it.
    pub(super) may_be_critical: bool,
}

/// More than any session of a fixture takes.
const POLLS_MAX: u64 = 1_000_000;

struct Running<T: TopicQuery> {
    side: Side,
    handle: Handle<Ended>,
    events: Events<T>,
    sends: Tap,
    reads: Tap,
    panicked: Option<String>,
    waited: Option<Wait>,
    spins: bool,
}

impl<T: TopicQuery> Running<T> {
    fn seen(self, sim: &Sim<'_>, manner: Manner) -> Seen<T> {
        let ended = match (self.handle.take(), self.panicked) {
            (_, Some(message)) => Ended::Panicked(message),
            (Some(ended), None) => ended,
            (None, None) if self.spins => Ended::Spins,
            (None, None) if sim.has_ended(self.handle.id()) => Ended::Dropped,
            (None, None) => Ended::Waits,
        };
        Seen {
            ended,
            waited: self.waited,
            events: self.events.take(),
            read: self.reads.delivered(),
            sent: self.sends.recorded(),
            polls: sim.polls(self.handle.id()),
            closed_stream: self.sends.was_closed(),
            may_be_critical: matches!(manner, Manner::GoneAfter(_)),
        }
    }
}

/// What runs one side.
struct Part<T> {
    side: Side,
    protocol: AnyProtocol<T>,
    topic: T,
    session: Option<Session>,
}

impl<T: TopicQuery + 'static> Part<T> {
    async fn run(self, streams: &mut End, mut app: App<T>) -> Ended {
        let Self { side, protocol, topic, session } = self;
        let End { tx, rx } = streams;
        let outcome = match (session, side) {
            (None, Side::Initiator) => {
                protocol.initiate(topic, Box::new(tx), Box::new(rx), Box::new(&mut app)).await.map_err(Ended::Err)
            }
            (None, Side::Acceptor) => {
                protocol.accept(Box::new(tx), Box::new(rx), Box::new(&mut app)).await.map_err(Ended::Err)
            }
            (Some(session), Side::Initiator) => {
                session.initiate(protocol, topic, tx, rx, &mut app).await.map(drop).map_err(|err| ended(err.cause))
            }
            (Some(session), Side::Acceptor) => {
                session.accept(protocol, tx, rx, &mut app).await.map(drop).map_err(|err| ended(err.cause))
            }
        };
        outcome.err().unwrap_or(Ended::Ok)
    }
}

fn ended(cause: FailureCause) -> Ended {
    match cause {
        FailureCause::Protocol(err) => Ended::Err(err),
        _ => Ended::Deadline,
    }
}

/// Runs one session of a pair.
pub(super) fn run<T>(clock: &ManualClock, pair: &Pair<T>, setup: &Setup) -> [Seen<T>; 2]
where
    T: TopicQuery + 'static,
{
    let mut sim = Sim::new(clock).with_polls_max(POLLS_MAX);
    if let Some(seed) = setup.order {
        sim = sim.with_random_order(seed);
    }
    let [there, back] = setup.from.clone();
    let Link { a, b, a_to_b, b_to_a } = Link::new(clock, there, back);
    let kept = Rc::new(RefCell::new(Vec::new()));
    let mut start = |side: Side, mut streams: End, sends: &Tap, reads: &Tap| {
        let (app, events) = App::new(clock, setup.manners[side.index()]);
        let protocol = match side {
            Side::Initiator => Arc::clone(&pair.initiator),
            Side::Acceptor => Arc::clone(&pair.acceptor),
        };
        let session = setup.in_session.then(|| Session::new(Arc::new(clock.clone()), SessionLimits::default()));
        let part = Part { side, protocol, topic: pair.topic.clone(), session };
        let kept = setup.keeps_streams.then(|| Rc::clone(&kept));
        let handle = sim.spawn(side.to_string(), async move {
            let ended = part.run(&mut streams, app).await;
            if let Some(kept) = kept {
                kept.borrow_mut().push(streams);
            }
            ended
        });
        let (sends, reads) = (sends.clone(), reads.clone());
        Running { side, handle, events, sends, reads, panicked: None, waited: None, spins: false }
    };
    let mut sides = [start(Side::Initiator, a, &a_to_b, &b_to_a), start(Side::Acceptor, b, &b_to_a, &a_to_b)];
    settle(&mut sim, &mut sides, setup.drops);
    for side in &mut sides {
        let unflushed = side.sends.unflushed();
        let unread = (side.reads.written() - side.reads.delivered()).saturating_sub(side.reads.unflushed() as u64);
        let wait = Wait { unflushed, unread, spoke: side.sends.written() > 0 };
        side.waited = (!sim.has_ended(side.handle.id())).then_some(wait);
    }
    if setup.ends_at_rest {
        a_to_b.cut(Cut::Close);
        b_to_a.cut(Cut::Close);
        settle(&mut sim, &mut sides, None);
    }
    let mut manners = setup.manners.into_iter();
    sides.map(|side| side.seen(&sim, manners.next().unwrap_or(Manner::Eager)))
}

/// Runs until nothing is left to do, or too much was done.
fn settle<T: TopicQuery>(sim: &mut Sim<'_>, sides: &mut [Running<T>], drops: Option<(Side, u64)>) {
    loop {
        let drop_now = drops.and_then(|(side, polls)| {
            let task = sides.iter().find(|running| running.side == side)?.handle.id();
            (sim.polls(task) >= polls && !sim.has_ended(task)).then_some(task)
        });
        let outcome = match drop_now {
            Some(task) => sim.abort(task).map(|()| Step::Polled(task)),
            None => sim.step(),
        };
        match outcome {
            Ok(Step::Idle) | Err(SimError::Endless { .. }) => return,
            Ok(_) => {}
            Err(SimError::Panicked { task, message }) => {
                for running in sides.iter_mut().filter(|running| running.side.to_string() == task) {
                    running.panicked = Some(message.clone());
                }
            }
            Err(SimError::Busy { task, .. }) => {
                for running in sides.iter_mut().filter(|running| running.side.to_string() == task) {
                    running.spins = true;
                }
                return;
            }
            Err(SimError::Deadlock { .. }) => return,
        }
    }
}

/// Runs one side of a pair against a peer that sends `input`, then ends its stream, and reads whatever comes.
pub(super) fn run_alone<T>(clock: &ManualClock, pair: &Pair<T>, side: Side, input: Vec<u8>) -> Seen<T>
where
    T: TopicQuery + 'static,
{
    let mut sim = Sim::new(clock).with_polls_max(POLLS_MAX);
    let Link { a: mut streams, b: mut peer, a_to_b: sends, b_to_a: reads } =
        Link::new(clock, Conditions::new(), Conditions::new());
    let (app, events) = App::new(clock, Manner::Eager);
    let protocol = match side {
        Side::Initiator => Arc::clone(&pair.initiator),
        Side::Acceptor => Arc::clone(&pair.acceptor),
    };
    let part = Part { side, protocol, topic: pair.topic.clone(), session: None };
    let handle = sim.spawn(side.to_string(), async move { part.run(&mut streams, app).await });
    sim.spawn("peer", async move {
        let write = async {
            // The side may have seen enough and be gone.
            let _gone = peer.tx.write_all(&input).await;
            let _gone = peer.tx.close().await;
        };
        let mut sink = Vec::new();
        futures::join!(write, peer.rx.read_to_end(&mut sink)).1
    });
    let mut sides = [Running { side, handle, events, sends, reads, panicked: None, waited: None, spins: false }];
    settle(&mut sim, &mut sides, None);
    let [running] = sides;
    running.seen(&sim, Manner::Eager)
}
