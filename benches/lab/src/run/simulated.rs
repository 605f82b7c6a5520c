//! A session over a link in virtual time: the same on each run, and on each machine.

use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc;
use futures::{AsyncReadExt, AsyncWriteExt, SinkExt, StreamExt};
use syncline_core::clock::{Clock, ManualClock, Timer, Timestamp};
use syncline_testkit::net::{Conditions, Link as SimLink, Sim, SimReader, SimWriter, one_way};
use syncline_testkit::seed::Rng;

use super::meter::Meter;
use super::{Link, RunError};
use crate::contestant::{Contestant, Node, Receive, Received, Role, Setup, Side, Stream, Tally};
use crate::dataset::{Dataset, Holdings};

/// What went over the link, and how long it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Simulated {
    /// Until both sides returned.
    pub(crate) time: Duration,
    /// From the initiator.
    pub(crate) up: Traffic,
    /// To the initiator.
    pub(crate) down: Traffic,
    /// Operations that came and were not lacking, or came twice.
    pub(crate) redundant: u64,
}

/// What one side sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Traffic {
    /// Bytes.
    pub bytes: u64,
    /// Runs of writes, each up to a flush.
    pub messages: u64,
}

/// Both nodes' data.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) dataset: &'a Dataset,
    pub(crate) initiator: &'a Holdings,
    pub(crate) acceptor: &'a Holdings,
    pub(crate) receive: Receive,
}

impl Scene<'_> {
    pub(crate) fn nodes(&self, contestant: &dyn Contestant) -> [Arc<dyn Node>; 2] {
        let node = |role, holds| contestant.node(&Setup { dataset: self.dataset, holds, role, receive: self.receive });
        [node(Role::Initiate, self.initiator), node(Role::Accept, self.acceptor)]
    }

    /// How many operations came for nothing, if all that were lacking came.
    fn check(&self, nodes: &[Arc<dyn Node>; 2], received: &[Received; 2]) -> Result<u64, String> {
        let sides = [("initiator", self.initiator, self.acceptor), ("acceptor", self.acceptor, self.initiator)];
        let mut redundant = 0;
        for ((side, own, peers), (received, node)) in sides.into_iter().zip(received.iter().zip(nodes)) {
            let lacking = || own.lacking(peers, self.dataset);
            let missing = lacking().filter(|operation| !received.has(operation)).count();
            if missing > 0 {
                return Err(format!("the {side} did not get {missing} of {} operations", lacking().count()));
            }
            redundant += received.tally().operations.saturating_sub(lacking().count() as u64);
            let expected = Tally::of(own.with(peers).kept(self.dataset));
            if self.receive == Receive::Ingest && node.stored() != expected {
                return Err(format!("the {side} stored {:?} instead of {expected:?}", node.stored()));
            }
        }
        Ok(redundant)
    }
}

/// Bytes that arrive together. A simulated write arrives when its last byte does.
const PIECE: usize = 16 << 10;

/// Bytes of a segment, for loss.
const SEGMENT: usize = 1_400;

/// Runs one session. It is an error if anything that was lacking did not arrive.
pub(crate) fn simulate(contestant: &dyn Contestant, scene: &Scene<'_>, link: &Link) -> Result<Simulated, RunError> {
    let fail = |why: String| RunError::Session { contestant: contestant.name().to_owned(), why };
    let clock = ManualClock::new(Timestamp::ZERO);
    let mut sim = Sim::new(&clock).with_polls_max(1_000_000_000);
    let SimLink { a, b, .. } = SimLink::new(&clock, link.conditions(false), link.conditions(true));
    let (a_rx, b_rx) = if link.loss > 0.0 {
        (lossy(&mut sim, &clock, a.rx, link, 1), lossy(&mut sim, &clock, b.rx, link, 2))
    } else {
        (a.rx, b.rx)
    };
    let nodes = scene.nodes(contestant);
    let (meter_a, meter_b) = (Meter::new(), Meter::new());
    let mut spawn = |node: &Arc<dyn Node>, name, meter: &Arc<Meter>, rx, tx: SimWriter| {
        let stream = Stream::new(rx, meter.writer(tx, PIECE));
        let Side { session, application } = Arc::clone(node).start(stream, Received::recording());
        let clock = clock.clone();
        let session = sim.spawn(name, async move { session.await.map(|()| clock.now()) });
        let application = sim.spawn(format!("{name}'s application"), application);
        (name, session, application)
    };
    let sides =
        [spawn(&nodes[0], "initiator", &meter_a, a_rx, a.tx), spawn(&nodes[1], "acceptor", &meter_b, b_rx, b.tx)];
    sim.run().map_err(|err| fail(err.to_string()))?;
    let mut ended = Timestamp::ZERO;
    let mut received = Vec::new();
    for (name, session, application) in sides {
        let result = session.take().ok_or_else(|| fail(format!("the {name} did not end")))?;
        ended = ended.max(result.map_err(|err| fail(format!("the {name} failed: {err}")))?);
        received.push(application.take().unwrap_or_default());
    }
    let received: [Received; 2] = received.try_into().unwrap_or_default();
    let redundant = scene.check(&nodes, &received).map_err(fail)?;
    let traffic = |meter: &Meter| Traffic { bytes: meter.bytes(), messages: meter.messages() };
    let time = ended.since(Timestamp::ZERO);
    Ok(Simulated { time, up: traffic(&meter_a), down: traffic(&meter_b), redundant })
}

/// Lets some segments arrive a round trip late, and those behind them wait, as a transport does that repeats what was lost.
fn lossy(sim: &mut Sim<'_>, clock: &ManualClock, mut from: SimReader, link: &Link, seed: u64) -> SimReader {
    let (mut to, reader, _) = one_way(clock, Conditions::new().with_capacity(SEGMENT));
    let window = 1 << 10;
    let (mut arrived, mut arriving) = mpsc::channel::<(Timestamp, Vec<u8>)>(window);
    let (link, now) = (*link, clock.clone());
    sim.spawn("segments", async move {
        let mut rng = Rng::new(seed);
        let mut buffer = [0; SEGMENT];
        let mut free = Timestamp::ZERO;
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let is_lost = (rng.below(1 << 32) as f64) < link.loss * 2.0_f64.powi(32);
            free = free.max(now.now() + if is_lost { link.rtt } else { Duration::ZERO });
            if arrived.send((free, buffer[..count].to_vec())).await.is_err() {
                return;
            }
        }
    });
    let timer = clock.clone();
    sim.spawn("delivery", async move {
        while let Some((at, segment)) = arriving.next().await {
            timer.sleep_until(at).await;
            if to.write_all(&segment).await.is_err() {
                return;
            }
        }
    });
    reader
}
