//! Many seeds.

use std::env;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Failure, Reason, Report};
use crate::seed;

/// Runs a scenario with many seeds, on as many threads as the machine has cores, the first of them twice.
#[derive(Clone, Debug)]
pub struct Campaign {
    seeds: Range<u64>,
    twice: u64,
    threads: usize,
    budget: Option<Duration>,
}

/// What many runs came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Totals {
    /// Runs, each seed once.
    pub seeds: u64,
    /// Virtual time of all of them, second runs too.
    pub simulated: Duration,
    /// Processor time that this took, or real time of all threads where the system does not tell.
    pub cpu: Duration,
    /// Sessions that were opened.
    pub sessions: u64,
    /// Sessions that both sides call complete.
    pub completed: u64,
    /// Steps of nodes.
    pub steps: u64,
    /// Starts of nodes after a crash.
    pub restarts: u64,
    /// Faults of all kinds.
    pub faults: u64,
    /// The longest time that a cluster took to converge.
    pub convergence_max: Duration,
}

impl Totals {
    /// Simulated hours of a cluster per minute of processor time.
    #[must_use]
    pub fn cluster_hours_per_cpu_minute(&self) -> f64 {
        (self.simulated.as_secs_f64() / 3600.0) / (self.cpu.as_secs_f64() / 60.0).max(f64::MIN_POSITIVE)
    }

    fn add(&mut self, report: &Report) {
        self.simulated += report.time;
        self.sessions += report.sessions;
        self.completed += report.completed;
        self.steps += report.steps;
        self.restarts += report.restarts;
        self.faults += report.faults;
        self.convergence_max = self.convergence_max.max(report.convergence);
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} seeds, {:.1} cluster-hours in {:.1} CPU seconds ({:.0} cluster-hours per CPU minute); {} sessions, {} \
             complete; {} steps, {} faults, {} restarts; converged within {:.0} s",
            self.seeds,
            self.simulated.as_secs_f64() / 3600.0,
            self.cpu.as_secs_f64(),
            self.cluster_hours_per_cpu_minute(),
            self.sessions,
            self.completed,
            self.steps,
            self.faults,
            self.restarts,
            self.convergence_max.as_secs_f64(),
        )
    }
}

impl Campaign {
    /// Runs these seeds.
    #[must_use]
    pub fn new(seeds: Range<u64>) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Self { seeds, twice: 100, threads, budget: None }
    }

    /// Runs these seeds, or, if the environment variable `SEEDS` holds a number, so many from the first on, or, if `SEED`
    /// does, that one alone.
    ///
    /// # Panics
    ///
    /// If one of them is set and is no number.
    #[must_use]
    pub fn from_env(seeds: Range<u64>) -> Self {
        if let Some(seed) = seed::from_env() {
            return Self::new(seed..seed.saturating_add(1));
        }
        let count = env::var("SEEDS").ok().map(|text| match text.trim().parse::<u64>() {
            Ok(count) => count,
            Err(error) => panic!("SEEDS={text}: {error}"),
        });
        Self::new(seeds.start..count.map_or(seeds.end, |count| seeds.start.saturating_add(count)))
    }

    /// Sets how many seeds, from the first on, are run twice to compare the traces. 100 by default.
    #[must_use]
    pub fn with_twice(mut self, seeds: u64) -> Self {
        self.twice = seeds;
        self
    }

    /// Sets the number of threads; at least one. With one, all runs are on the caller's own.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Begins no more runs after so much real time, even if seeds are left. For soaks.
    #[must_use]
    pub fn with_budget(mut self, time: Duration) -> Self {
        self.budget = Some(time);
        self
    }

    /// Runs them all.
    ///
    /// # Panics
    ///
    /// With the text of the [`Failure`] of the least seed that failed before the others stopped, or if the two runs of one
    /// seed differ.
    pub fn run(&self, test: impl Fn(u64) -> Result<Report, Box<Failure>> + Sync) -> Totals {
        match self.search(test) {
            Ok(totals) => totals,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// As [`run`](Self::run), but gives the failure instead of panicking: to show that a scenario notices what it should.
    ///
    /// # Errors
    ///
    /// The failure.
    pub fn search(&self, test: impl Fn(u64) -> Result<Report, Box<Failure>> + Sync) -> Result<Totals, Box<Failure>> {
        let work = Work {
            campaign: self,
            next: AtomicU64::new(self.seeds.start),
            stopped: AtomicBool::new(false),
            found: Mutex::new((Totals::default(), None)),
            began: Instant::now(),
        };
        if self.threads == 1 {
            work.run(&test);
        } else {
            thread::scope(|scope| {
                for _ in 0..self.threads {
                    scope.spawn(|| work.run(&test));
                }
            });
        }
        let (totals, failure) = work.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        failure.map_or(Ok(totals), Err)
    }
}

/// What the threads share.
struct Work<'c> {
    campaign: &'c Campaign,
    next: AtomicU64,
    stopped: AtomicBool,
    found: Mutex<(Totals, Option<Box<Failure>>)>,
    began: Instant,
}

impl Work<'_> {
    fn run(&self, test: &(impl Fn(u64) -> Result<Report, Box<Failure>> + Sync)) {
        let (cpu_before, mut totals) = (cpu_time(), Totals::default());
        let began = Instant::now();
        let mut failed = None;
        while !self.is_over() {
            let seed = self.next.fetch_add(1, Ordering::SeqCst);
            if seed >= self.campaign.seeds.end {
                break;
            }
            if let Err(failure) = self.one(seed, test, &mut totals) {
                self.stopped.store(true, Ordering::SeqCst);
                failed = Some(failure);
            }
        }
        totals.cpu = cpu_time().zip(cpu_before).map_or(began.elapsed(), |(after, before)| after.saturating_sub(before));
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.0.merge(&totals);
        if let Some(failure) = failed
            && found.1.as_ref().is_none_or(|known| failure.seed < known.seed)
        {
            found.1 = Some(failure);
        }
    }

    fn is_over(&self) -> bool {
        let is_late = self.campaign.budget.is_some_and(|budget| self.began.elapsed() >= budget);
        is_late || self.stopped.load(Ordering::SeqCst)
    }

    fn one(
        &self,
        seed: u64,
        test: &(impl Fn(u64) -> Result<Report, Box<Failure>> + Sync),
        totals: &mut Totals,
    ) -> Result<(), Box<Failure>> {
        let first = test(seed)?;
        totals.seeds += 1;
        totals.add(&first);
        if seed - self.campaign.seeds.start >= self.campaign.twice {
            return Ok(());
        }
        let second = test(seed)?;
        totals.simulated += second.time;
        if first == second {
            return Ok(());
        }
        Err(Box::new(Failure {
            seed,
            reason: Reason::NotRepeatable { first: first.trace, second: second.trace },
            at: first.time,
            nodes: 0,
            faults: "unknown".into(),
            history: vec![format!("first:  {first:?}"), format!("second: {second:?}")],
            events: 2,
        }))
    }
}

impl Totals {
    fn merge(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.simulated += other.simulated;
        self.cpu += other.cpu;
        self.sessions += other.sessions;
        self.completed += other.completed;
        self.steps += other.steps;
        self.restarts += other.restarts;
        self.faults += other.faults;
        self.convergence_max = self.convergence_max.max(other.convergence_max);
    }
}

/// Processor time of this thread, where Linux tells.
fn cpu_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
