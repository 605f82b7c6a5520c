//! Datagrams: what nodes send each other beside sessions.

use bytes::Bytes;

use super::super::{Faults, Node, NodeId, Reason, Scenario};
use super::{Engine, Event};

impl<S: Scenario> Engine<'_, S> {
    /// Sends a datagram on its way, if the line takes it.
    pub(super) fn send(&mut self, from: usize, to: usize, bytes: &Bytes) {
        if from == to || to >= self.machines.len() || self.lines.is_blocked(from, to) {
            return;
        }
        let none = Faults::none();
        let faults = if self.calm_since.is_some() { &none } else { &self.options.faults };
        let rng = &mut self.rngs.datagrams;
        let copies = 1 + u64::from(rng.chance(faults.datagram_duplicate_per_mille, 1000));
        for _ in 0..copies {
            if !self.rngs.datagrams.chance(faults.datagram_loss_per_mille, 1000) {
                let delay = self.lines.delay(from, to, &mut self.rngs.datagrams);
                self.at(delay, Event::Arrive(self.events_drawn));
                // No number is drawn twice.
                self.datagrams.insert(self.events_drawn - 1, (from, to, bytes.clone()));
            }
        }
    }

    pub(super) fn arrive(&mut self, number: u64) -> Result<(), Reason> {
        let Some((from, to, bytes)) = self.datagrams.remove(&number) else { return Ok(()) };
        let Some(node) = &mut self.machines[to].node else { return Ok(()) };
        node.receive(NodeId(from), bytes);
        self.after_work(to)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;

    use futures::FutureExt;
    use futures::future::LocalBoxFuture;

    use super::super::super::{Check, Context, Options, Rate, Session, run};
    use super::*;
    use crate::seed::Rng;

    /// The first of two nodes counts, and the other hears what comes.
    #[derive(Clone, Default)]
    struct Counting {
        heard: Rc<RefCell<Vec<u8>>>,
        sent: Rc<RefCell<u8>>,
        context: Option<Context>,
    }

    impl Scenario for Counting {
        type Node = Self;

        fn start(&mut self, context: Context) -> Result<Self, String> {
            Ok(Self { context: Some(context), ..self.clone() })
        }

        fn converged(&mut self, _: &mut [Self]) -> Result<(), String> {
            Ok(())
        }
    }

    impl Node for Counting {
        fn step(&mut self, _: &mut Rng) -> LocalBoxFuture<'static, String> {
            if let Some(context) = &self.context
                && context.id().index() == 0
                && *self.sent.borrow() < 100
            {
                let to = context.all().last().unwrap_or(context.id());
                context.journal().send(to, vec![*self.sent.borrow()].into());
                // Nothing comes of these two.
                context.journal().send(context.id(), vec![200].into());
                context.journal().send(NodeId(7), vec![201].into());
                *self.sent.borrow_mut() += 1;
            }
            async { String::new() }.boxed_local()
        }

        fn receive(&mut self, from: NodeId, bytes: Bytes) {
            assert_eq!(from, NodeId(0));
            self.heard.borrow_mut().extend_from_slice(&bytes);
        }

        fn initiate(&mut self, _: Session) -> LocalBoxFuture<'static, Result<String, String>> {
            async { Err(String::new()) }.boxed_local()
        }

        fn accept(&mut self, session: Session) -> LocalBoxFuture<'static, Result<String, String>> {
            self.initiate(session)
        }

        fn check(&mut self, _: Check) -> Result<(), String> {
            Ok(())
        }
    }

    fn heard(seed: u64, faults: Faults) -> Vec<u8> {
        let options = Options::new().with_step(Rate::every(Duration::from_millis(10))).with_session(Rate::NEVER);
        let mut scenario = Counting::default();
        run(&mut scenario, seed, &options.with_faults(faults)).unwrap_or_else(|failure| panic!("{failure}"));
        scenario.heard.take()
    }

    #[test]
    fn they_come_whole_and_once_and_in_any_order() {
        let mut all = heard(1, Faults::none());
        assert!(!all.is_sorted());
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<u8>>());
        assert_eq!(heard(1, Faults::none()), heard(1, Faults::none()));
    }

    #[test]
    fn they_are_lost_and_doubled_as_often_as_the_faults_say() {
        let lossy = heard(1, Faults { datagram_loss_per_mille: 300, ..Faults::none() });
        assert!((50..90).contains(&lossy.len()), "{}", lossy.len());
        let doubled = heard(1, Faults { datagram_duplicate_per_mille: 500, ..Faults::none() });
        assert!((130..170).contains(&doubled.len()), "{}", doubled.len());
        assert_eq!(heard(1, Faults { datagram_loss_per_mille: 1000, ..Faults::none() }), vec![]);
    }

    #[test]
    fn a_partition_lets_none_through() {
        let often = Faults { partition: Rate::every(Duration::from_millis(1)), ..Faults::none() };
        let through = heard(1, often).len();
        assert!(through < 50, "{through}");
    }
}
