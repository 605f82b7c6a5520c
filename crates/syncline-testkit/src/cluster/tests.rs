use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{BoxFuture, Either, LocalBoxFuture, select};
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
use syncline_core::clock::{Clock, Timer};
use syncline_crypto::Hash;
use syncline_storage::{Batch, Durability};

use super::*;
use crate::net::End;
use crate::seed::Rng;

/// How the protocol behaves; mostly badly, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Sound,
    /// Sound, and sessions stay open.
    Live,
    /// Both sides wait for the other's number first.
    WaitsForEver,
    /// The acceptor does not keep what it hears.
    Forgets,
    /// What is kept is not durable, and is said to be.
    Eventual,
    /// A number that no seed decides goes out.
    Unseeded,
    /// One session in some panics.
    Panics,
}

/// Each node keeps the greatest number that it has heard of. What it has said once, it never goes below.
struct Greatest {
    manner: Manner,
    /// What each node has said last.
    said: Said,
}

type Said = Rc<RefCell<BTreeMap<NodeId, u8>>>;

#[derive(Clone)]
struct Keeper {
    context: Context,
    manner: Manner,
    said: Said,
}

thread_local! {
    /// Grows from run to run.
    static UNSEEDED: Cell<u64> = const { Cell::new(0) };
}

fn greatest(manner: Manner) -> Greatest {
    Greatest { manner, said: Said::default() }
}

impl Keeper {
    fn read(&self, database: &dyn syncline_storage::Database) -> Result<u8, String> {
        let snapshot = database.snapshot().map_err(|err| err.to_string())?;
        let value = snapshot.get(b"k").map_err(|err| err.to_string())?;
        Ok(value.map_or(0, |value| value[0]))
    }

    fn get(&self) -> Result<u8, String> {
        self.read(&**self.context.database())
    }

    fn raise(&self, value: u8) -> Result<(), String> {
        if value > self.get()? {
            let mut batch = Batch::new();
            batch.put("k", vec![value]);
            let durability = if self.manner == Manner::Eventual { Durability::Eventual } else { Durability::Immediate };
            self.context.database().commit(batch, durability).map_err(|err| err.to_string())?;
        }
        Ok(())
    }

    /// Each tells the other its number.
    async fn exchange(&self, end: &mut End, is_initiator: bool) -> Result<(u8, u8), String> {
        let mine = self.get()?;
        self.said.borrow_mut().insert(self.context.id(), mine);
        end.tx.write_all(&[mine]).await.map_err(|err| err.to_string())?;
        end.tx.flush().await.map_err(|err| err.to_string())?;
        let mut theirs = [0];
        match select(end.rx.read_exact(&mut theirs), self.sleep(Duration::from_secs(30))).await {
            Either::Left((read, _)) => read.map_err(|err| err.to_string())?,
            Either::Right(_) => return Err("the peer is silent".into()),
        }
        if is_initiator || self.manner != Manner::Forgets {
            self.raise(theirs[0])?;
        }
        Ok((mine, theirs[0]))
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let clock = self.context.clock();
        clock.sleep_until(clock.now() + time)
    }

    async fn talk(self, mut session: Session, is_initiator: bool) -> Result<String, String> {
        if self.manner == Manner::Panics && self.get()? > 128 {
            panic!("number {}", 7);
        }
        if self.manner == Manner::WaitsForEver {
            let mut theirs = [0];
            session.end.rx.read_exact(&mut theirs).await.map_err(|err| err.to_string())?;
        }
        let (mine, theirs) = self.exchange(&mut session.end, is_initiator).await?;
        if self.manner == Manner::Live {
            loop {
                self.sleep(Duration::from_secs(5)).await;
                self.exchange(&mut session.end, is_initiator).await?;
            }
        }
        if self.manner == Manner::Unseeded {
            UNSEEDED.set(UNSEEDED.get() + 1);
            return Ok(format!("{}", UNSEEDED.get()));
        }
        Ok(format!("{mine} for {theirs}"))
    }
}

impl Node for Keeper {
    fn step(&mut self, rng: &mut Rng) -> LocalBoxFuture<'static, String> {
        let most = self.get().unwrap_or(255).saturating_add(20);
        let done = self.raise(u8::try_from(rng.below(u64::from(most))).unwrap_or(0));
        async move { format!("{done:?}") }.boxed_local()
    }

    fn initiate(&mut self, session: Session) -> LocalBoxFuture<'static, Result<String, String>> {
        self.clone().talk(session, true).boxed_local()
    }

    fn accept(&mut self, session: Session) -> LocalBoxFuture<'static, Result<String, String>> {
        self.clone().talk(session, false).boxed_local()
    }

    fn check(&mut self, _: Check) -> Result<(), String> {
        let said = self.said.borrow().get(&self.context.id()).copied().unwrap_or(0);
        let has = self.read(&**self.context.durable());
        match has {
            Ok(has) if has < said => Err(format!("{said} was said and {has} is kept")),
            _ => Ok(()),
        }
    }

    fn digest(&mut self) -> Hash {
        Hash::digest(&[self.get().unwrap_or(0)])
    }
}

impl Scenario for Greatest {
    type Node = Keeper;

    fn start(&mut self, context: Context) -> Result<Keeper, String> {
        Ok(Keeper { context, manner: self.manner, said: Rc::clone(&self.said) })
    }

    fn converged(&mut self, nodes: &mut [Keeper]) -> Result<(), String> {
        let all: Result<Vec<u8>, String> = nodes.iter().map(Keeper::get).collect();
        let all = all?;
        if all.windows(2).all(|two| two[0] == two[1]) { Ok(()) } else { Err(format!("{all:?}")) }
    }
}

fn options(seed: u64) -> Options {
    // A damaged byte is a greater number here.
    Options::draw(seed, 2..=5).without_corruption().with_safety(Duration::from_secs(300))
}

fn run_one(manner: Manner, seed: u64) -> Result<Report, Box<Failure>> {
    run(&mut greatest(manner), seed, &options(seed))
}

fn first_failure(manner: Manner) -> Box<Failure> {
    Campaign::new(0..100).with_twice(0).search(|seed| run_one(manner, seed)).expect_err("a defect is noticed")
}

#[test]
fn a_sound_protocol_passes_under_all_faults() {
    let totals = Campaign::from_env(0..100).run(|seed| run_one(Manner::Sound, seed));
    assert!(totals.faults > 0 && totals.completed > 0, "{totals}");
}

#[test]
fn sessions_may_stay_open() {
    let totals = Campaign::from_env(0..50)
        .with_twice(5)
        .run(|seed| run(&mut greatest(Manner::Live), seed, &options(seed).with_session_time_max(None)));
    assert!(totals.completed == 0 && totals.faults > 0, "{totals}");
}

#[test]
fn one_seed_gives_one_trace_and_seeds_differ() {
    let trace = |seed| run_one(Manner::Sound, seed).unwrap();
    for seed in 0..10 {
        assert_eq!(trace(seed), trace(seed));
    }
    assert_ne!(trace(1).trace, trace(2).trace);
}

#[test]
fn what_depends_on_more_than_the_seed_is_noticed() {
    let campaign = Campaign::new(0..1).with_threads(1);
    let failure = campaign.search(|seed| run_one(Manner::Unseeded, seed)).unwrap_err();
    assert!(matches!(failure.reason, Reason::NotRepeatable { .. }), "{failure}");
}

#[test]
fn sides_that_wait_for_each_other_are_told_with_their_history() {
    let options = Options::new().with_safety(Duration::from_secs(60)).with_session_time_max(Duration::from_secs(20));
    let failure = run(&mut greatest(Manner::WaitsForEver), 3, &options).unwrap_err();
    assert!(matches!(failure.reason, Reason::SessionStuck { .. }), "{failure}");
    let text = failure.to_string();
    for part in ["seed 3 fails", "SEED=3", "faults: none", "s0 n", "opens", "faults stop", "still open"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert!(failure.history.len() <= 40 && failure.events >= failure.history.len() as u64, "{text}");
}

#[test]
fn nodes_that_never_agree_are_told() {
    // Nobody opens sessions, so nobody hears of anything.
    let options = Options::new().with_session(Rate::NEVER).with_liveness_max(Duration::from_secs(30));
    let failure = run(&mut greatest(Manner::Sound), 1, &options).unwrap_err();
    assert!(matches!(failure.reason, Reason::NotConverged { .. }), "{failure}");
    // Those who forget what they hear while accepting agree in the end, since everybody initiates now and then.
    run(&mut greatest(Manner::Forgets), 1, &Options::new()).unwrap();
}

#[test]
fn what_is_said_and_not_durable_is_noticed() {
    let failure = first_failure(Manner::Eventual);
    assert!(matches!(&failure.reason, Reason::Breach { what, .. } if what.contains("was said")), "{failure}");
}

#[test]
fn a_panic_in_a_session_is_told() {
    let failure = first_failure(Manner::Panics);
    assert!(failure.reason.to_string().contains("number 7"), "{failure}");
}

#[test]
fn there_may_be_fifty_nodes() {
    let options = options(4).with_nodes(50).with_session(Rate::every(Duration::from_secs(1)));
    let report = run(&mut greatest(Manner::Sound), 4, &options.with_liveness_max(Duration::from_secs(3600))).unwrap();
    assert!(report.completed > 100, "{report:?}");
}

#[test]
fn every_kind_of_fault_happens_in_some_seed() {
    let mut all = String::new();
    for seed in 0..40 {
        all += &Faults::swarm(&mut Rng::new(seed)).to_string();
    }
    for kind in [
        "crash",
        "refused",
        "unknown",
        "read failed",
        "partition",
        "clog",
        "cut every",
        "cancel",
        "clock jump",
        "byte",
        "corrupt",
        "duplicate",
        "off by",
    ] {
        assert!(all.contains(kind), "{kind} in none of 40 seeds");
    }
    assert_eq!(Faults::none().to_string(), "none");
}

#[test]
fn a_fault_to_come_hides_no_commit() {
    use super::storage::{DiskFault, NodeDisk};

    let mut disk = NodeDisk::new(false, 0);
    let database = disk.open().unwrap().database;
    let commit = || {
        let mut batch = Batch::new();
        batch.put("k", "v");
        database.commit(batch, Durability::Immediate).unwrap();
    };
    commit();
    let before = disk.changes();
    assert!(disk.fail(DiskFault::ReadFailed, &mut Rng::new(1)));
    assert_eq!(disk.changes(), before);
    commit();
    assert_eq!(disk.changes(), before + 1);
}
