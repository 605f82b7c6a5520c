//! Nodes: how they start, work, are checked, and crash.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::super::scenario::Wish;
use super::super::storage::NodeDisk;
use super::super::{Check, Context, Journal, Node, NodeClock, NodeId, Reason, Scenario};
use super::{Engine, Event, Owner};
use crate::net::TaskId;

/// A place where a node runs or has run.
pub(super) struct Machine<N> {
    pub(super) disk: NodeDisk,
    pub(super) node: Option<N>,
    pub(super) clock: Option<NodeClock>,
    pub(super) starts: u64,
    /// What [`NodeDisk::changes`] was at the last check.
    changes: u64,
    /// Whether its end is scheduled already.
    is_dying: bool,
}

impl<N> Machine<N> {
    pub(super) fn new(redb: bool, seed: u64) -> Self {
        Self { disk: NodeDisk::new(redb, seed), node: None, clock: None, starts: 0, changes: 0, is_dying: false }
    }
}

impl<S: Scenario> Engine<'_, S> {
    /// Starts a node on what its disk has.
    pub(super) fn start(&mut self, index: usize) -> Result<(), Reason> {
        let skew = self.options.faults.skew_max.as_millis();
        let skew = Duration::from_millis(self.rngs.life.below(u64::try_from(skew).unwrap_or_default() + 1));
        let seed = self.rngs.life.next_u64();
        match self.try_start(index, skew, seed) {
            Ok(()) => {
                self.log(&format!("{} starts", NodeId(index)));
                self.check(index, Check::All)
            }
            Err(what) if self.calm_since.is_some() => Err(Reason::NotStarted { node: NodeId(index), what }),
            Err(what) => {
                self.crash(index, &format!("does not start: {what}"));
                Ok(())
            }
        }
    }

    fn try_start(&mut self, index: usize, skew: Duration, seed: u64) -> Result<(), String> {
        let journal = self.journal(index);
        let machine = &mut self.machines[index];
        let opened = machine.disk.open().map_err(|err| err.to_string())?;
        let clock = NodeClock::new(&self.clock, skew);
        let context = Context {
            id: NodeId(index),
            nodes: self.options.nodes,
            starts: machine.starts,
            seed,
            clock: clock.clone(),
            database: opened.database,
            durable: opened.durable,
            tasks: Rc::clone(&self.new_tasks),
            journal,
        };
        machine.clock = Some(clock);
        machine.changes = 0;
        machine.is_dying = false;
        machine.node = Some(self.scenario.start(context)?);
        self.counts.restarts += u64::from(machine.starts > 0);
        machine.starts += 1;
        Ok(())
    }

    /// Everything that is not durable is gone. The node starts again later.
    pub(super) fn crash(&mut self, index: usize, how: &str) {
        self.log(&format!("{} {how}", NodeId(index)));
        self.machines[index].disk.crash(&mut self.rngs.life);
        let tasks: Vec<(TaskId, Owner)> = self
            .owners
            .iter()
            .filter(|(_, owner)| owner.node() == index)
            .map(|(task, owner)| (*task, *owner))
            .collect();
        for (task, owner) in tasks {
            self.drop_task(task);
            if let Owner::Side(_, session, side) = owner {
                self.break_off(session, side);
            }
        }
        let machine = &mut self.machines[index];
        machine.node = None;
        machine.clock = None;
        self.forget_wishes(index);
        if self.calm_since.is_none() {
            let pause = Duration::from_millis(self.rngs.life.below(60_000));
            self.at(pause, Event::Restart(index));
        }
    }

    pub(super) fn drop_task(&mut self, task: TaskId) {
        self.owners.remove(&task);
        self.steps.remove(&task);
        // A future that panics when dropped: the panic of a task that is gone.
        let _ = self.sim.abort(task);
    }

    fn forget_wishes(&mut self, index: usize) {
        self.new_tasks.borrow_mut().retain(|(node, ..)| node.0 != index);
        self.journal(index).lock().retain(|(node, wish)| node.0 != index || matches!(wish, Wish::Breach(_)));
    }

    fn journal(&self, index: usize) -> Journal {
        Journal { node: NodeId(index), wishes: Arc::clone(&self.wishes) }
    }

    /// Looks at what a task did: what it asked for, what it committed, whether it or its disk came to an end.
    pub(super) fn after_poll(&mut self, task: TaskId) -> Result<(), Reason> {
        let Some(owner) = self.owners.get(&task).copied() else { return Ok(()) };
        if self.sim.has_ended(task) {
            self.owners.remove(&task);
            match owner {
                Owner::Step(node) => {
                    let text = self.steps.remove(&task).and_then(|handle| handle.take());
                    self.log(&format!("{} {}", NodeId(node), text.unwrap_or_default()));
                }
                Owner::Side(_, session, side) => self.side_ended(session, side),
                Owner::Task(_) => {}
            }
        }
        self.after_work(owner.node())
    }

    pub(super) fn after_work(&mut self, index: usize) -> Result<(), Reason> {
        self.grant_wishes()?;
        let changes = self.machines[index].disk.changes();
        if self.machines[index].changes != changes {
            self.check(index, Check::Changed)?;
        }
        let machine = &mut self.machines[index];
        if machine.node.is_some() && machine.disk.has_crashed() && !machine.is_dying {
            machine.is_dying = true;
            // Some notice at once, some go on for a while with a database that answers nothing.
            let after = if self.rngs.life.chance(1, 2) { 0 } else { self.rngs.life.below(5_000) };
            let starts = self.machines[index].starts;
            self.at(Duration::from_millis(after), Event::Die(index, starts));
        }
        Ok(())
    }

    pub(super) fn check(&mut self, index: usize, check: Check) -> Result<(), Reason> {
        let machine = &mut self.machines[index];
        machine.changes = machine.disk.changes();
        let Some(node) = &mut machine.node else { return Ok(()) };
        node.check(check).map_err(|what| Reason::Breach { node: NodeId(index), what })?;
        self.grant_wishes()
    }

    /// Some node does a step.
    pub(super) fn step(&mut self) {
        if let Some(after) = self.options.step.draw(&mut self.rngs.work) {
            self.at(after, Event::Step);
        }
        let index = self.rngs.work.index(self.machines.len());
        let mut rng = self.rngs.work.fork();
        let Some(node) = &mut self.machines[index].node else { return };
        let step = node.step(&mut rng);
        self.counts.steps += 1;
        let handle = self.sim.spawn(format!("step of {}", NodeId(index)), step);
        self.owners.insert(handle.id(), Owner::Step(index));
        self.steps.insert(handle.id(), handle);
    }

    /// Does what nodes asked for.
    pub(super) fn grant_wishes(&mut self) -> Result<(), Reason> {
        let wishes = std::mem::take(&mut *self.journal(0).lock());
        for (node, wish) in wishes {
            match wish {
                Wish::Note(text) => self.log(&format!("{node} {text}")),
                Wish::Breach(what) => return Err(Reason::Breach { node, what }),
                Wish::Dial(peer) => self.open(node.0, peer.0),
                Wish::Send(peer, bytes) => self.send(node.0, peer.0, &bytes),
            }
        }
        let tasks = std::mem::take(&mut *self.new_tasks.borrow_mut());
        for (node, name, task) in tasks {
            let handle = self.sim.spawn(format!("{name} of {node}"), task);
            self.owners.insert(handle.id(), Owner::Task(node.0));
        }
        Ok(())
    }
}
