//! What goes wrong, when.

use std::time::Duration;

use super::super::storage::DiskFault;
use super::super::{NodeId, Rate, Reason, Scenario};
use super::{Engine, Event};

/// How long a partition lasts at most.
const PARTITION_MAX_MILLIS: u64 = 120_000;

/// How long a session is held back at most.
const CLOG_MAX_MILLIS: u64 = 60_000;

/// How far a clock jumps at most.
const JUMP_MAX_MILLIS: u64 = 600_000;

impl<S: Scenario> Engine<'_, S> {
    pub(super) fn schedule_faults(&mut self) {
        if let Some(after) = self.options.step.draw(&mut self.rngs.work) {
            self.at(after, Event::Step);
        }
        self.schedule_session();
        let kinds = [
            Event::Crash,
            Event::Disk(DiskFault::CommitRefused),
            Event::Disk(DiskFault::CommitUnknown),
            Event::Disk(DiskFault::ReadFailed),
            Event::Partition,
            Event::Clog,
            Event::Cut,
            Event::Cancel,
            Event::ClockJump,
        ];
        for kind in kinds {
            self.schedule(kind);
        }
    }

    /// Schedules the next fault of a kind.
    fn schedule(&mut self, event: Event) {
        if let Some(after) = self.rate(event).draw(&mut self.rngs.faults) {
            self.at(after, event);
        }
    }

    fn rate(&self, event: Event) -> Rate {
        let faults = &self.options.faults;
        match event {
            Event::Crash => faults.crash,
            Event::Disk(DiskFault::CommitRefused) => faults.commit_refused,
            Event::Disk(DiskFault::CommitUnknown) => faults.commit_unknown,
            Event::Disk(DiskFault::ReadFailed) => faults.read_failed,
            Event::Partition => faults.partition,
            Event::Clog => faults.clog,
            Event::Cut => faults.cut,
            Event::Cancel => faults.cancel,
            Event::ClockJump => faults.clock_jump,
            _ => Rate::NEVER,
        }
    }

    pub(super) fn strike(&mut self, event: Event) -> Result<(), Reason> {
        self.schedule(event);
        let node = self.rngs.faults.index(self.machines.len());
        match event {
            Event::Crash if self.machines[node].node.is_some() => {
                self.counts.faults += 1;
                self.crash(node, "crashes");
            }
            Event::Disk(fault) if self.machines[node].node.is_some() => self.fail_disk(node, fault),
            Event::Partition => self.partition(node),
            Event::Heal(from, to) => {
                self.log(&format!("{} -> {} is healed", NodeId(from), NodeId(to)));
                self.lines.unblock(from, to);
                self.hold_sessions();
            }
            Event::Clog => self.clog(),
            Event::Unclog(id) => {
                if let Some(open) = self.sessions.get_mut(&id) {
                    open.clogged = [false; 2];
                    self.log(&format!("{id} flows again"));
                    self.hold_sessions();
                }
            }
            Event::Cut => {
                if let Some((id, _)) = self.some_direction() {
                    self.counts.faults += 1;
                    self.cut_session(id);
                }
            }
            Event::Cancel => {
                if let Some((id, side)) = self.some_direction() {
                    self.counts.faults += 1;
                    self.cancel_side(id, side);
                }
            }
            Event::ClockJump => self.jump(node),
            Event::Die(node, starts) => {
                let machine = &self.machines[node];
                if machine.node.is_some() && machine.starts == starts {
                    self.crash(node, "ends without its database");
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn fail_disk(&mut self, node: usize, fault: DiskFault) {
        if self.machines[node].disk.fail(fault, &mut self.rngs.faults) {
            self.counts.faults += 1;
            self.log(&format!("{} has a disk that will fail: {fault:?}", NodeId(node)));
        }
    }

    fn partition(&mut self, from: usize) {
        let rng = &mut self.rngs.faults;
        let (to, is_one_way) = (rng.index(self.machines.len()), rng.chance(1, 3));
        let lasts = Duration::from_millis(1 + rng.below(PARTITION_MAX_MILLIS));
        if from == to || self.lines.is_blocked(from, to) || self.lines.is_blocked(to, from) {
            return;
        }
        self.counts.faults += 1;
        let arrow = if is_one_way { "->" } else { "<->" };
        self.log(&format!("{} {arrow} {} is partitioned for {lasts:?}", NodeId(from), NodeId(to)));
        self.lines.block(from, to);
        self.at(lasts, Event::Heal(from, to));
        if !is_one_way {
            self.lines.block(to, from);
            self.at(lasts, Event::Heal(to, from));
        }
        self.hold_sessions();
    }

    fn clog(&mut self) {
        let Some((id, side)) = self.some_direction() else { return };
        let lasts = Duration::from_millis(1 + self.rngs.faults.below(CLOG_MAX_MILLIS));
        let Some(open) = self.sessions.get_mut(&id) else { return };
        open.clogged[side] = true;
        self.counts.faults += 1;
        self.log(&format!("{id} is clogged for {lasts:?}"));
        self.at(lasts, Event::Unclog(id));
        self.hold_sessions();
    }

    fn jump(&mut self, node: usize) {
        let by = Duration::from_millis(1 + self.rngs.faults.below(JUMP_MAX_MILLIS));
        if let Some(clock) = &self.machines[node].clock {
            clock.jump(by);
            self.counts.faults += 1;
            self.log(&format!("{} has a clock that jumps by {by:?}", NodeId(node)));
        }
    }
}
