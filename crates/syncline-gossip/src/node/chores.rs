//! What a replica does now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use syncline_core::clock::{Clock, Timestamp};
use syncline_kv::{KvError, Tree};
use syncline_net::TokioBlocking;
use syncline_storage::blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Running;
use crate::Hub;
use crate::event::{EventSink, NodeEvent};

/// How often a replica looks after its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chores {
    /// After how long it looks for entries whose time in quarantine is over, and whether it was
    /// [away](syncline_kv::KvError::AwayTooLong) for too long. 2 s by default.
    pub check: Duration,
    /// After how long it forgets deletions that all know; see [`Tree::collect`]. An hour by default.
    pub collect: Duration,
}

impl Default for Chores {
    fn default() -> Self {
        Self { check: Duration::from_secs(2), collect: Duration::from_secs(3_600) }
    }
}

/// The task that does them.
pub(super) struct ChoreTask {
    tree: Tree,
    clock: Arc<dyn Clock>,
    hub: Hub,
    events: EventSink,
    is_away: Arc<AtomicBool>,
    every: Chores,
    session_max: Duration,
    stop: CancellationToken,
}

/// What one look has led to.
#[derive(Default)]
struct Done {
    events: Vec<NodeEvent>,
    is_away: bool,
}

impl Running {
    pub(super) fn chores(&self, every: Chores, session_max: Duration) -> ChoreTask {
        ChoreTask {
            tree: self.tree.clone(),
            clock: Arc::clone(&self.clock),
            hub: self.hub.clone(),
            events: self.events.clone(),
            is_away: Arc::clone(&self.is_away),
            every,
            session_max,
            stop: self.stop.clone(),
        }
    }
}

impl ChoreTask {
    pub(super) async fn run(self) {
        let mut collected = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(self.every.check) => {}
            }
            let collect = collected.elapsed() >= self.every.collect;
            if collect {
                collected = Instant::now();
            }
            self.hub.end_late_sessions(self.session_max);
            let (tree, now) = (self.tree.clone(), self.clock.now());
            let done = blocking::run(&TokioBlocking::current(), move || look(&tree, now, collect)).await;
            match done {
                Ok(Ok(done)) => self.tell(done),
                Ok(Err(err)) => self.events.tell(NodeEvent::ChoreFailed(err.to_string())),
                // The runtime shuts down.
                Err(_) => return,
            }
        }
    }

    fn tell(&self, done: Done) {
        let was_away = self.is_away.swap(done.is_away, Ordering::Relaxed);
        if done.is_away && !was_away {
            self.events.tell(NodeEvent::AwayTooLong);
        }
        done.events.into_iter().for_each(|event| self.events.tell(event));
    }
}

fn look(tree: &Tree, now: Timestamp, collect: bool) -> Result<Done, KvError> {
    let mut done = Done::default();
    if tree.next_release()?.is_some_and(|at| at <= now) {
        let entries = tree.release(now)?.len();
        done.events.push(NodeEvent::Released { entries });
    }
    match tree.check_not_away(now) {
        Err(KvError::AwayTooLong { .. }) => done.is_away = true,
        other => other?,
    }
    if collect {
        let collection = tree.collect(now)?;
        if collection != Default::default() {
            done.events.push(NodeEvent::Collected(collection));
        }
    }
    Ok(done)
}
