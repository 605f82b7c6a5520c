//! Sessions in which nothing goes wrong.

use std::time::Duration;

use syncline_core::{FromSync, TopicQuery};

use super::app::Manner;
use super::rule::{Evidence, Rule, Side, Violation, evidence};
use super::session::{Ended, Seen, Setup, Wait};
use super::{Baseline, SyncProtocolSuite};
use crate::net::Conditions;
use crate::seed::Rng;

impl<T: TopicQuery + 'static> SyncProtocolSuite<'_, T> {
    /// Sessions of two peers that agree, over streams of many kinds.
    pub(super) fn check_transfer(&mut self) -> Result<Baseline<T>, Violation> {
        let baseline = self.record()?;
        for chunk in [7, 1_400, 65_536] {
            let conditions = Conditions::new().with_chunk(chunk);
            let setup = Setup::new(format!("in chunks of {chunk} bytes")).both_ways(&conditions);
            self.expect_same(&baseline, setup, Rule::Completes)?;
        }
        for capacity in [256, 1_024] {
            let conditions = Conditions::new().with_capacity(capacity);
            let setup = Setup::new(format!("over streams that buffer {capacity} bytes")).both_ways(&conditions);
            self.expect_same(&baseline, setup, Rule::NeedsNoBuffer)?;
        }
        let mut rng = Rng::new(self.seed);
        for _ in 0..16 {
            let conditions = Conditions::new()
                .with_chunk(1 + rng.index(100))
                .with_random_chunks(rng.next_u64())
                .with_latency(Duration::from_millis(rng.below(300)))
                .with_capacity(100 + rng.index(1_000))
                .with_bandwidth(100 + rng.below(10_000));
            let mut setup = Setup::new("over a slow line, in random chunks").both_ways(&conditions);
            setup.order = Some(rng.next_u64());
            self.expect_same(&baseline, setup, Rule::Completes)?;
        }
        let flushed = Setup::new("over streams that send only what is flushed")
            .both_ways(&Conditions::new().with_flush_required());
        self.expect_same(&baseline, flushed, Rule::Flushes)?;
        for side in Side::BOTH {
            let mut slow = Setup::new(format!("with a slow application at the {side}"));
            slow.manners[side.index()] = Manner::Slow;
            self.expect_same(&baseline, slow, Rule::Completes)?;
        }
        Ok(baseline)
    }

    /// What a session is like when all is well, and what each side needs to read for that.
    fn record(&mut self) -> Result<Baseline<T>, Violation> {
        let mut setup = Setup::new("with nothing in the way");
        setup.ends_at_rest = true;
        setup.keeps_streams = true;
        let sides = self.run(&setup)?;
        self.expect_completed(&sides, &setup, Rule::Completes)?;
        let mut setup = Setup::new("one byte at a time").both_ways(&Conditions::new().with_chunk(1));
        setup.keeps_streams = true;
        setup.ends_at_rest = true;
        let mut recorded = Vec::new();
        for _ in 0..2 {
            let sides = self.run(&setup)?;
            self.expect_completed(&sides, &setup, Rule::Completes)?;
            let [initiator, acceptor] = sides;
            recorded.push(Baseline {
                needs: [initiator.read, acceptor.read],
                sent: [initiator.sent, acceptor.sent],
                events: [initiator.events, acceptor.events],
            });
        }
        let (Some(again), Some(baseline)) = (recorded.pop(), recorded.pop()) else {
            // Two runs were recorded just now.
            return Err(self.violation(Side::Initiator, &setup, evidence(Rule::FixtureRepeats, "did not run")));
        };
        for side in Side::BOTH {
            let lens = |baseline: &Baseline<T>| (baseline.needs[side.index()], baseline.sent[side.index()].len());
            if lens(&baseline) != lens(&again) {
                let saw = format!("(read, sent) {:?} bytes, and next time {:?}", lens(&baseline), lens(&again));
                return Err(self.violation(side, &setup, evidence(Rule::FixtureRepeats, saw)));
            }
        }
        self.expect_topic(&baseline, &setup)?;
        for side in Side::BOTH {
            let same = same_events(&baseline.events[side.index()], &sides[side.index()].events);
            same.map_err(|evidence| self.violation(side, &setup, evidence))?;
        }
        Ok(baseline)
    }

    fn expect_topic(&self, baseline: &Baseline<T>, setup: &Setup) -> Result<(), Violation> {
        let topic = self.fresh().1.topic;
        for side in Side::BOTH {
            let saw = match baseline.events[side.index()].first() {
                Some(FromSync::HandshakeSuccess(named)) if *named == topic => continue,
                Some(FromSync::HandshakeSuccess(named)) => {
                    format!("sent HandshakeSuccess for {named:?}, not {topic:?}")
                }
                _ => "completed without HandshakeSuccess".to_owned(),
            };
            return Err(self.violation(side, setup, evidence(Rule::HandshakeOnce, saw)));
        }
        Ok(())
    }

    /// Fails if a side did not complete: by `rule` if it has nothing better to say.
    pub(super) fn expect_completed(&self, sides: &[Seen<T>; 2], setup: &Setup, rule: Rule) -> Result<(), Violation> {
        // Who failed by itself is to blame, rather than who waited for it.
        let mut by_blame = Side::BOTH;
        by_blame.sort_by_key(|side| sides[side.index()].waited.map(Wait::innocence));
        for side in by_blame {
            completed(&sides[side.index()], &sides[side.other().index()], rule)
                .map_err(|evidence| self.violation(side, setup, evidence))?;
        }
        Ok(())
    }

    /// Runs a session that must complete with the same events as others.
    fn expect_same(&mut self, baseline: &Baseline<T>, mut setup: Setup, rule: Rule) -> Result<(), Violation> {
        setup.keeps_streams = true;
        setup.ends_at_rest = true;
        let sides = self.run(&setup)?;
        self.expect_completed(&sides, &setup, rule)?;
        for side in Side::BOTH {
            same_events(&baseline.events[side.index()], &sides[side.index()].events)
                .map_err(|evidence| self.violation(side, &setup, evidence))?;
        }
        Ok(())
    }
}

fn completed<T: TopicQuery>(seen: &Seen<T>, other: &Seen<T>, rule: Rule) -> Result<(), Evidence> {
    match (&seen.ended, seen.waited) {
        (Ended::Ok, None) => Ok(()),
        (Ended::Ok, Some(_)) if other.waited.is_none() => {
            Err(evidence(Rule::LeavesStreamsOpen, "returned only when its stream was ended, though the peer was done"))
        }
        (_, Some(wait)) => Err(evidence(rule, format!("waited for ever, having read {} bytes{wait}", seen.read))),
        (ended, None) => Err(evidence(rule, format!("ended with {ended:?}"))),
    }
}

fn same_events<T: TopicQuery>(expected: &[FromSync<T>], events: &[FromSync<T>]) -> Result<(), Evidence> {
    let items = |events: &[FromSync<T>]| {
        let mut items: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                FromSync::Data { header, payload } => Some((header.clone(), payload.clone())),
                FromSync::HandshakeSuccess(_) => None,
            })
            .collect();
        items.sort();
        items
    };
    let (expected, items) = (items(expected), items(events));
    if expected == items {
        return Ok(());
    }
    let saw = match (expected.len(), items.len()) {
        (expected, items) if expected == items => format!("delivered other items than before, {items} as well"),
        (expected, items) => format!("delivered {items} items, and {expected} before"),
    };
    Err(evidence(Rule::SameItems, saw))
}
