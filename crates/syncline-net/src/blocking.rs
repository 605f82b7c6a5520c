use syncline_storage::Blocking;
use tokio::runtime::Handle;

/// Runs jobs that block on the tokio runtime's pool for them, so that a call that waits for the disk stalls no task.
///
/// ```
/// use syncline_net::TokioBlocking;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let answer = syncline_storage::blocking::run(&TokioBlocking::current(), || 6 * 7).await;
/// assert_eq!(answer, Ok(42));
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct TokioBlocking {
    runtime: Handle,
}

impl TokioBlocking {
    /// The pool of `runtime`.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self { runtime }
    }

    /// The pool of the runtime that the caller runs in.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn current() -> Self {
        Self::new(Handle::current())
    }
}

impl Blocking for TokioBlocking {
    fn spawn(&self, job: Box<dyn FnOnce() + Send>) {
        // A runtime that shuts down drops the job, which `blocking::run` reports as lost.
        drop(self.runtime.spawn_blocking(job));
    }
}

#[cfg(test)]
mod tests {
    use syncline_storage::{JobLost, blocking};

    use super::*;

    #[tokio::test]
    async fn a_blocking_job_does_not_stall_the_only_executor_thread() {
        let pool = TokioBlocking::current();
        let (tx, rx) = std::sync::mpsc::channel();
        let job = tokio::spawn(async move { blocking::run(&pool, move || rx.recv()).await });
        tokio::task::yield_now().await;
        // On the executor's thread the job would wait for this send for ever.
        tx.send(5).unwrap();
        assert_eq!(job.await.unwrap(), Ok(Ok(5)));
    }

    #[tokio::test]
    async fn a_panic_and_a_runtime_that_is_gone_are_lost_jobs() {
        let pool = TokioBlocking::current();
        assert!(matches!(blocking::run(&pool, || -> () { panic!("on purpose") }).await, Err(JobLost { .. })));

        let other = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            TokioBlocking::new(runtime.handle().clone())
        });
        let gone = other.join().unwrap();
        assert!(matches!(blocking::run(&gone, || ()).await, Err(JobLost { .. })));
    }
}
