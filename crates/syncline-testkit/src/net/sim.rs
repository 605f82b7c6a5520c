use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use syncline_core::clock::{Clock, ManualClock, Timestamp};
use thiserror::Error;

use crate::seed::Rng;

/// Runs tasks on one thread under virtual time.
///
/// A task is polled when it was woken, first come, first served, or in an order that depends on a seed. When no task is
/// woken, the clock jumps to the next time that somebody waits for. When nobody does and tasks are left, they wait for each
/// other for ever, and the simulation says so. The same tasks run in the same way each time.
pub struct Sim<'s> {
    clock: ManualClock,
    tasks: Vec<Task<'s>>,
    /// Tasks that have not ended.
    running: usize,
    woken: Arc<Woken>,
    order: Option<Rng>,
    polls: u64,
    polls_max: u64,
    started: Timestamp,
    time_max: Duration,
}

/// A task of a simulation, in the order of [`Sim::spawn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(usize);

struct Task<'s> {
    name: String,
    future: Option<Pin<Box<dyn Future<Output = ()> + 's>>>,
    wake: Arc<TaskWake>,
    polls: u64,
}

/// The tasks that were woken, in order.
#[derive(Default)]
struct Woken(Mutex<VecDeque<usize>>);

struct TaskWake {
    index: usize,
    is_queued: AtomicBool,
    woken: Arc<Woken>,
}

impl Woken {
    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for TaskWake {
    fn wake(self: Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::SeqCst) {
            self.woken.queue().push_back(self.index);
        }
    }
}

/// What a task came to, once it has.
#[derive(Debug)]
pub struct Handle<T> {
    id: TaskId,
    output: Rc<RefCell<Option<T>>>,
}

impl<T> Handle<T> {
    /// The task.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The task's output. `None` if it has not completed, or if the output was taken before.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        self.output.borrow_mut().take()
    }
}

/// What [`Sim::step`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Polled a task.
    Polled(TaskId),
    /// Moved the time on.
    Advanced,
    /// Nothing is left to do: each task is finished, or waits for something that cannot happen.
    Idle,
}

/// Why a simulation did not run to its end.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SimError {
    /// These tasks wait, and nothing will ever wake them.
    #[error("these wait for ever: {}", .waiting.join(", "))]
    Deadlock {
        /// The names of the tasks.
        waiting: Vec<String>,
    },
    /// A task panicked. It is gone; the others can go on.
    #[error("{task} panicked: {message}")]
    Panicked {
        /// Its name.
        task: String,
        /// The message of the panic.
        message: String,
    },
    /// The tasks asked for more polls than allowed: somebody asks to be polled again and again.
    #[error("polled {polls} times, most of them {task}")]
    Busy {
        /// The name of the task that was polled most.
        task: String,
        /// The number of polls of all tasks.
        polls: u64,
    },
    /// More virtual time passed than allowed.
    #[error("still running after {elapsed:?} of virtual time")]
    Endless {
        /// The time that is allowed.
        elapsed: Duration,
    },
}

impl<'s> Sim<'s> {
    /// The default of [`with_polls_max`](Self::with_polls_max): 10 million.
    pub const POLLS_MAX_DEFAULT: u64 = 10_000_000;

    /// The default of [`with_time_max`](Self::with_time_max): 30 days.
    pub const TIME_MAX_DEFAULT: Duration = Duration::from_secs(30 * 24 * 3600);

    /// A simulation without tasks, at the time of `clock`.
    #[must_use]
    pub fn new(clock: &ManualClock) -> Self {
        Self {
            clock: clock.clone(),
            tasks: Vec::new(),
            running: 0,
            woken: Arc::default(),
            order: None,
            polls: 0,
            polls_max: Self::POLLS_MAX_DEFAULT,
            started: clock.now(),
            time_max: Self::TIME_MAX_DEFAULT,
        }
    }

    /// Polls woken tasks in an order that depends on `seed`.
    #[must_use]
    pub fn with_random_order(mut self, seed: u64) -> Self {
        self.order = Some(Rng::new(seed));
        self
    }

    /// The most polls of all tasks together.
    #[must_use]
    pub fn with_polls_max(mut self, polls: u64) -> Self {
        self.polls_max = polls;
        self
    }

    /// The most virtual time that may pass from now on.
    #[must_use]
    pub fn with_time_max(mut self, time: Duration) -> Self {
        self.started = self.clock.now();
        self.time_max = time;
        self
    }

    /// The clock of this simulation.
    #[must_use]
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// Adds a task. It is polled for the first time when the simulation runs.
    pub fn spawn<T: 's>(&mut self, name: impl Into<String>, future: impl Future<Output = T> + 's) -> Handle<T> {
        let index = self.tasks.len();
        let output = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&output);
        let future: Pin<Box<dyn Future<Output = ()> + 's>> = Box::pin(async move {
            let output = future.await;
            slot.borrow_mut().replace(output);
        });
        let wake = Arc::new(TaskWake { index, is_queued: AtomicBool::new(false), woken: Arc::clone(&self.woken) });
        Arc::clone(&wake).wake();
        self.tasks.push(Task { name: name.into(), future: Some(future), wake, polls: 0 });
        self.running += 1;
        Handle { id: TaskId(index), output }
    }

    /// Whether the task has ended: completed, panicked or was aborted.
    #[must_use]
    pub fn has_ended(&self, task: TaskId) -> bool {
        self.tasks.get(task.0).is_none_or(|task| task.future.is_none())
    }

    /// How often tasks were polled, all together.
    #[must_use]
    pub fn polls_total(&self) -> u64 {
        self.polls
    }

    /// How often the task was polled.
    #[must_use]
    pub fn polls(&self, task: TaskId) -> u64 {
        self.tasks.get(task.0).map_or(0, |task| task.polls)
    }

    /// Drops a task where it stands.
    ///
    /// # Errors
    ///
    /// [`SimError::Panicked`] if dropping it panics.
    pub fn abort(&mut self, task: TaskId) -> Result<(), SimError> {
        let Some(task) = self.tasks.get_mut(task.0) else { return Ok(()) };
        let future = task.future.take();
        self.running -= usize::from(future.is_some());
        catch_unwind(AssertUnwindSafe(|| drop(future))).map_err(|panic| panicked(task, &*panic))
    }

    /// Polls one task, or moves the time on if none is woken.
    ///
    /// # Errors
    ///
    /// Any [`SimError`] but [`SimError::Deadlock`], which is [`Step::Idle`].
    pub fn step(&mut self) -> Result<Step, SimError> {
        match self.next_woken() {
            Some(index) => self.poll(index),
            None => self.advance(),
        }
    }

    /// As [`step`](Self::step), but moves the time no further than to `at`. [`Step::Idle`] means that it is `at` now, and
    /// that nothing is left to do until then.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub fn step_until(&mut self, at: Timestamp) -> Result<Step, SimError> {
        if let Some(index) = self.next_woken() {
            return self.poll(index);
        }
        if self.clock.next_wake().is_some_and(|wake| wake <= at) && self.advance()? == Step::Advanced {
            return Ok(Step::Advanced);
        }
        self.clock.advance_to(at);
        Ok(Step::Idle)
    }

    fn poll(&mut self, index: usize) -> Result<Step, SimError> {
        if self.polls >= self.polls_max {
            let busiest = self.tasks.iter().max_by_key(|task| task.polls);
            let task = busiest.map(|task| task.name.clone()).unwrap_or_default();
            return Err(SimError::Busy { task, polls: self.polls });
        }
        let Some(task) = self.tasks.get_mut(index) else { return Ok(Step::Polled(TaskId(index))) };
        task.wake.is_queued.store(false, Ordering::SeqCst);
        let Some(future) = task.future.as_mut() else { return Ok(Step::Polled(TaskId(index))) };
        self.polls += 1;
        task.polls += 1;
        let waker = Waker::from(Arc::clone(&task.wake));
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        match polled {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(())) => {
                let finished = task.future.take();
                self.running -= 1;
                catch_unwind(AssertUnwindSafe(|| drop(finished))).map_err(|panic| panicked(task, &*panic))?;
            }
            Err(panic) => {
                let broken = task.future.take();
                self.running -= 1;
                // What a future that panicked does when dropped is not worth a second report.
                let _panics_again = catch_unwind(AssertUnwindSafe(|| drop(broken)));
                return Err(panicked(task, &*panic));
            }
        }
        Ok(Step::Polled(TaskId(index)))
    }

    fn next_woken(&mut self) -> Option<usize> {
        let mut queue = self.woken.queue();
        let chosen = self.order.as_mut().map_or(0, |rng| rng.index(queue.len()));
        queue.remove(chosen)
    }

    fn advance(&mut self) -> Result<Step, SimError> {
        if self.running == 0 {
            return Ok(Step::Idle);
        }
        let Some(at) = self.clock.next_wake() else { return Ok(Step::Idle) };
        if at.since(self.started) > self.time_max {
            return Err(SimError::Endless { elapsed: self.time_max });
        }
        self.clock.advance_to(at);
        Ok(Step::Advanced)
    }

    /// Runs until nothing is left to do, and returns the tasks that still wait.
    ///
    /// # Errors
    ///
    /// Any [`SimError`] but [`SimError::Deadlock`].
    pub fn settle(&mut self) -> Result<Vec<TaskId>, SimError> {
        while self.step()? != Step::Idle {}
        Ok((0..self.tasks.len()).map(TaskId).filter(|task| !self.has_ended(*task)).collect())
    }

    /// Runs until all tasks have ended.
    ///
    /// # Errors
    ///
    /// [`SimError`] with the reason.
    pub fn run(&mut self) -> Result<(), SimError> {
        let waiting = self.settle()?;
        if waiting.is_empty() {
            return Ok(());
        }
        let waiting = self.tasks.iter().filter(|task| task.future.is_some()).map(|task| task.name.clone()).collect();
        Err(SimError::Deadlock { waiting })
    }
}

fn panicked(task: &Task<'_>, panic: &(dyn Any + Send)) -> SimError {
    let message = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "something that is no text".to_owned(),
    };
    SimError::Panicked { task: task.name.clone(), message }
}

impl fmt::Debug for Sim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting: Vec<&str> =
            self.tasks.iter().filter(|task| task.future.is_some()).map(|task| task.name.as_str()).collect();
        f.debug_struct("Sim").field("now", &self.clock.now()).field("running", &waiting).finish_non_exhaustive()
    }
}
