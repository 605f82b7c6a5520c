//! The seam to a runtime.

use std::{
    future::Future,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll, Waker},
    thread,
};

use futures::executor::block_on;
use syncline_storage::{Blocking, Database, Durability, Inline, JobLost, MemoryDb, blocking::run};

use crate::{get, put};

type Job = Box<dyn FnOnce() + Send>;

/// Keeps jobs until it is told to run them.
#[derive(Debug, Default)]
struct Later(Mutex<Vec<Boxed>>);

struct Boxed(Job);

impl std::fmt::Debug for Boxed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

impl Blocking for Later {
    fn spawn(&self, job: Job) {
        self.0.lock().unwrap().push(Boxed(job));
    }
}

impl Later {
    fn take(&self) -> Vec<Job> {
        let jobs = std::mem::take(&mut *self.0.lock().unwrap());
        jobs.into_iter().map(|Boxed(job)| job).collect()
    }
}

#[derive(Debug)]
struct Threads;

impl Blocking for Threads {
    #[expect(clippy::disallowed_methods, reason = "a pool outside the crate is what is tested")]
    fn spawn(&self, job: Job) {
        thread::spawn(job);
    }
}

#[test]
fn a_job_gives_its_result() {
    assert_eq!(block_on(run(&Inline, || 1)), Ok(1));
    let here = thread::current().id();
    assert_eq!(block_on(run(&Inline, move || thread::current().id() == here)), Ok(true));
    assert_eq!(block_on(run(&Threads, move || thread::current().id() == here)), Ok(false));
}

#[test]
fn a_job_runs_to_its_end_when_its_future_is_dropped() {
    let (pool, db) = (Later::default(), Arc::new(MemoryDb::new()));
    let writer = Arc::clone(&db);
    let commit = move || writer.commit(put("k", "v"), Durability::Immediate);

    let mut future = Box::pin(run(&pool, commit.clone()));
    drop(pool.take());
    assert!(pool.take().is_empty(), "nothing happens before the first poll");
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(future.as_mut().poll(&mut context).map(drop), Poll::Pending);
    drop(future);
    assert_eq!(get(&*db, "k"), None);
    for job in pool.take() {
        job();
    }
    assert_eq!(get(&*db, "k").as_deref(), Some("v"));
}

#[test]
fn a_job_that_is_dropped_is_lost() {
    let pool = Later::default();
    let mut future = Box::pin(run(&pool, || ()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
    drop(pool.take());
    let result = future.as_mut().poll(&mut context);
    assert!(matches!(result, Poll::Ready(Err(JobLost { .. }))));
}

#[test]
fn a_job_that_panics_is_lost() {
    let (done, wait) = mpsc::channel::<()>();
    let result = block_on(run(&Threads, move || {
        let _done = done;
        panic!("on purpose");
    }));
    assert!(matches!(result, Err::<(), _>(JobLost { .. })));
    assert_eq!(wait.recv(), Err(mpsc::RecvError));
}
