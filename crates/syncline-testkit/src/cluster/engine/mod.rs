//! The loop that runs a cluster.

mod datagrams;
mod fate;
mod life;
mod talk;

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use syncline_core::clock::{Clock, ManualClock, Timestamp};

use self::life::Machine;
use self::talk::Open;
use super::lines::Lines;
use super::report::Trace;
use super::scenario::{NewTasks, Wish};
use super::{Check, Failure, Node, NodeId, Options, Reason, Report, Scenario, SessionId};
use crate::net::{Handle, Sim, Step, TaskId};
use crate::seed::Rng;

/// Far from zero, so that clocks that are set back still tell a time.
const START: Timestamp = Timestamp::from_millis(1_000_000_000_000);

/// How often the liveness phase looks whether the cluster has converged.
const LOOK: Duration = Duration::from_secs(1);

/// How long a converged cluster must stay so.
const QUIET: Duration = Duration::from_secs(60);

/// Runs one cluster as the seed says. See the [module](super).
///
/// # Errors
///
/// [`Failure`]: something that must hold did not, a task panicked or ran without end, or the cluster did not converge.
pub fn run<S: Scenario>(scenario: &mut S, seed: u64, options: &Options) -> Result<Report, Box<Failure>> {
    let mut engine = Engine::new(scenario, seed, options);
    let result = catch_unwind(AssertUnwindSafe(|| engine.run()));
    let result = result.unwrap_or_else(|panic| Err(Reason::Panicked { message: message(&*panic) }));
    match result {
        Ok(()) => Ok(engine.report(seed)),
        Err(reason) => {
            let now = engine.clock.now();
            Err(Box::new(engine.trace.failure(seed, reason, now, options)))
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "something that is no text".to_owned(),
    }
}

/// What happens at a time that was chosen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Step,
    Session,
    Crash,
    Disk(super::storage::DiskFault),
    Partition,
    Heal(usize, usize),
    Clog,
    Unclog(SessionId),
    Cut,
    Cancel,
    ClockJump,
    /// A process that lost its database ends.
    Die(usize, u64),
    Restart(usize),
    Look,
    /// A datagram arrives.
    Arrive(u64),
}

/// Whose task it is.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Step(usize),
    Task(usize),
    /// Side 0 or 1 of a session.
    Side(usize, SessionId, usize),
}

impl Owner {
    fn node(self) -> usize {
        match self {
            Self::Step(node) | Self::Task(node) | Self::Side(node, ..) => node,
        }
    }
}

/// Streams of random numbers, one for each part, so that one more draw in one does not shift the others.
struct Rngs {
    faults: Rng,
    work: Rng,
    meet: Rng,
    life: Rng,
    datagrams: Rng,
}

struct Engine<'e, S: Scenario> {
    scenario: &'e mut S,
    options: &'e Options,
    clock: ManualClock,
    sim: Sim<'static>,
    rngs: Rngs,
    events: BTreeMap<(Timestamp, u64), Event>,
    events_drawn: u64,
    machines: Vec<Machine<S::Node>>,
    lines: Lines,
    /// Those that are under way: from, to, what.
    datagrams: BTreeMap<u64, (usize, usize, Bytes)>,
    sessions: BTreeMap<SessionId, Open>,
    steps: BTreeMap<TaskId, Handle<String>>,
    owners: BTreeMap<TaskId, Owner>,
    new_tasks: NewTasks,
    wishes: Arc<Mutex<Vec<(NodeId, Wish)>>>,
    trace: Trace,
    counts: Counts,
    /// When faults stopped.
    calm_since: Option<Timestamp>,
    convergence: Option<Timestamp>,
}

#[derive(Default)]
struct Counts {
    sessions: u64,
    completed: u64,
    steps: u64,
    restarts: u64,
    faults: u64,
}

impl<'e, S: Scenario> Engine<'e, S> {
    fn new(scenario: &'e mut S, seed: u64, options: &'e Options) -> Self {
        let mut rng = Rng::new(seed);
        let clock = ManualClock::new(START);
        let (faults, work, meet, life) = (rng.fork(), rng.fork(), rng.fork(), rng.fork());
        let lines = Lines::new(rng.fork());
        let machines = (0..options.nodes).map(|_| Machine::new(options.redb, rng.next_u64())).collect();
        let sim = Sim::new(&clock).with_random_order(rng.next_u64()).with_polls_max(1 << 32);
        let rngs = Rngs { faults, work, meet, life, datagrams: rng.fork() };
        Self {
            scenario,
            options,
            sim: sim.with_time_max(Duration::from_secs(365 * 24 * 3600)),
            clock,
            rngs,
            events: BTreeMap::new(),
            events_drawn: 0,
            machines,
            lines,
            datagrams: BTreeMap::new(),
            sessions: BTreeMap::new(),
            steps: BTreeMap::new(),
            owners: BTreeMap::new(),
            new_tasks: NewTasks::default(),
            wishes: Arc::default(),
            trace: Trace::new(seed, START),
            counts: Counts::default(),
            calm_since: None,
            convergence: None,
        }
    }

    fn run(&mut self) -> Result<(), Reason> {
        for node in 0..self.machines.len() {
            self.start(node)?;
        }
        self.schedule_faults();
        self.run_until(START + self.options.safety)?;
        self.digest();
        self.calm()?;
        self.run_to_convergence()?;
        for node in 0..self.machines.len() {
            self.check(node, Check::All)?;
        }
        self.digest();
        Ok(())
    }

    /// Lets everything happen that is due until then.
    fn run_until(&mut self, until: Timestamp) -> Result<(), Reason> {
        loop {
            let next = self.events.first_key_value().map(|((at, _), _)| *at).filter(|at| *at <= until);
            self.settle_until(next.unwrap_or(until))?;
            // What was settled may have scheduled something earlier.
            match self.events.first_entry().filter(|entry| entry.key().0 <= self.clock.now()) {
                Some(entry) => {
                    let event = entry.remove();
                    self.happen(event)?;
                }
                None if next.is_none() => return Ok(()),
                None => {}
            }
        }
    }

    /// Runs the tasks until then, or until an event is due before.
    fn settle_until(&mut self, at: Timestamp) -> Result<(), Reason> {
        loop {
            let due = self.events.first_key_value().map_or(at, |((due, _), _)| at.min(*due));
            match self.sim.step_until(due)? {
                Step::Idle => return Ok(()),
                Step::Polled(task) => self.after_poll(task)?,
                Step::Advanced => {}
            }
        }
    }

    fn happen(&mut self, event: Event) -> Result<(), Reason> {
        match event {
            Event::Step => self.step(),
            Event::Session => self.meet(),
            Event::Restart(node) => self.start(node)?,
            Event::Look => {}
            Event::Arrive(number) => return self.arrive(number),
            fault => self.strike(fault)?,
        }
        self.grant_wishes()
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.events_drawn += 1;
        self.events.insert((self.clock.now() + after, self.events_drawn), event);
    }

    fn log(&mut self, text: &str) {
        self.trace.event(self.clock.now(), self.sim.polls_total(), text);
    }

    /// Nothing fails any more; whoever is down comes up.
    fn calm(&mut self) -> Result<(), Reason> {
        self.log("faults stop");
        self.calm_since = Some(self.clock.now());
        self.events.clear();
        self.datagrams.clear();
        self.scenario.calm();
        self.lines.unblock_all();
        for session in self.sessions.values_mut() {
            session.clogged = [false; 2];
        }
        self.hold_sessions();
        // A line that has lied may have left a session with wrong beliefs, and such a session may stay open for ever.
        let lied: Vec<SessionId> =
            self.sessions.iter().filter(|(_, open)| !open.is_faithful).map(|(id, _)| *id).collect();
        lied.into_iter().for_each(|id| self.cut_session(id));
        for node in 0..self.machines.len() {
            self.machines[node].disk.calm();
            if self.machines[node].node.is_some() && self.machines[node].disk.has_crashed() {
                self.crash(node, "ends without its database");
            }
            if self.machines[node].node.is_none() {
                self.start(node)?;
            }
        }
        self.schedule_session();
        Ok(())
    }

    fn run_to_convergence(&mut self) -> Result<(), Reason> {
        let calm_since = self.clock.now();
        let deadline = calm_since + self.options.liveness_max;
        loop {
            self.at(LOOK, Event::Look);
            self.run_until(self.clock.now() + LOOK)?;
            let now = self.clock.now();
            self.look_for_stuck_sessions(now, calm_since)?;
            let state = if self.steps.is_empty() { self.converged() } else { Err("a step is under way".into()) };
            match (state, self.convergence) {
                // Sessions that end by themselves are waited for; those that stay open get a quiet time.
                (Ok(()), Some(since)) => {
                    let is_quiet = match self.options.session_time_max {
                        Some(_) => self.sessions.is_empty(),
                        None => now.since(since) >= QUIET,
                    };
                    if is_quiet {
                        return Ok(());
                    }
                }
                (Ok(()), None) => {
                    self.log("converged");
                    self.convergence = Some(now);
                }
                (Err(what), _) if now >= deadline => {
                    return Err(Reason::NotConverged { within: self.options.liveness_max, what });
                }
                (Err(_), None) => {}
                (Err(what), Some(_)) => {
                    self.log(&format!("not converged any more: {what}"));
                    self.convergence = None;
                    self.schedule_session();
                }
            }
        }
    }

    fn converged(&mut self) -> Result<(), String> {
        let mut nodes = Vec::with_capacity(self.machines.len());
        for machine in &mut self.machines {
            nodes.push(machine.node.take().ok_or("a node is down")?);
        }
        let result = self.scenario.converged(&mut nodes);
        for (machine, node) in self.machines.iter_mut().zip(nodes) {
            machine.node = Some(node);
        }
        result
    }

    fn digest(&mut self) {
        for (index, machine) in self.machines.iter_mut().enumerate() {
            if let Some(node) = &mut machine.node {
                self.trace.state(NodeId(index), node.digest());
            }
        }
    }

    fn report(&self, seed: u64) -> Report {
        Report {
            seed,
            trace: self.trace.hash(),
            time: self.clock.now().since(START),
            convergence: self.convergence.zip(self.calm_since).map_or(Duration::ZERO, |(end, begin)| end.since(begin)),
            sessions: self.counts.sessions,
            completed: self.counts.completed,
            steps: self.counts.steps,
            restarts: self.counts.restarts,
            faults: self.counts.faults,
        }
    }
}
