//! The seam through which async code reaches a database whose calls block.
//!
//! This crate starts no thread and knows no runtime. Who has one implements [`Blocking`] with its pool, so that a call
//! that waits for the disk never stalls an executor; who has none uses [`Inline`].

use std::fmt;

use futures::channel::oneshot;

/// A place where jobs that block may run.
///
/// ```
/// use syncline_storage::Blocking;
///
/// #[derive(Debug)]
/// struct Threads;
///
/// impl Blocking for Threads {
///     fn spawn(&self, job: Box<dyn FnOnce() + Send>) {
///         std::thread::spawn(job);
///     }
/// }
///
/// # futures::executor::block_on(async {
/// let answer = syncline_storage::blocking::run(&Threads, || 6 * 7).await;
/// assert_eq!(answer.unwrap(), 42);
/// # });
/// ```
pub trait Blocking: Send + Sync + fmt::Debug {
    /// Runs `job` once, here or elsewhere, now or soon. An implementation that cannot, because it is shutting down,
    /// drops it; [`run`] then gives [`JobLost`].
    fn spawn(&self, job: Box<dyn FnOnce() + Send>);
}

/// Runs each job at once on the thread of the caller, which is right for a [`MemoryDb`](crate::MemoryDb), for tests, and
/// for programs that have one task. A panic of the job is a panic of the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing to configure")]
pub struct Inline;

impl Blocking for Inline {
    fn spawn(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

/// The job gave no result: it panicked, or the pool dropped it before it ran. A commit in it has an unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a blocking job was dropped or panicked before it gave its result")]
#[non_exhaustive]
pub struct JobLost;

/// Runs `job` on `blocking` and waits for its result.
///
/// # Cancel safety
///
/// The job is handed over when the future is first polled. From then on it runs to its end even if the future is
/// dropped, and its result is thrown away: a commit whose future was dropped has happened or will happen. Before the
/// first poll nothing has happened.
///
/// # Errors
///
/// [`JobLost`] if the job panicked or was dropped.
pub async fn run<T, F>(blocking: &dyn Blocking, job: F) -> Result<T, JobLost>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let (tx, rx) = oneshot::channel();
    blocking.spawn(Box::new(move || {
        // Nobody waits any more if the future was dropped.
        let _ = tx.send(job());
    }));
    rx.await.map_err(|_| JobLost)
}
