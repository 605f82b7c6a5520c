//! Who uses a connection, so that one that nobody uses can be closed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Counts users. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    /// Every change is seen by who waits, even one that was taken back at once.
    users: Arc<watch::Sender<usize>>,
}

impl Usage {
    pub(crate) fn new() -> Self {
        Self { users: Arc::new(watch::Sender::new(0)) }
    }

    /// Counts a user until the guard is dropped.
    pub(crate) fn begin(&self) -> InUse {
        self.users.send_modify(|users| *users += 1);
        InUse { usage: self.clone() }
    }

    pub(crate) fn is_unused(&self) -> bool {
        *self.users.borrow() == 0
    }

    /// Waits until nobody has used it for `idle` without a break.
    pub(crate) async fn unused_for(&self, idle: Duration) {
        let mut users = self.users.subscribe();
        loop {
            // The sender lives in `self`, so neither wait can fail.
            let _ = users.wait_for(|users| *users == 0).await;
            tokio::select! {
                biased;
                _ = users.changed() => {}
                () = tokio::time::sleep(idle) => return,
            }
        }
    }
}

/// A user.
#[derive(Debug)]
pub(crate) struct InUse {
    usage: Usage,
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.usage.users.send_modify(|users| *users = users.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance, sleep};

    use super::*;

    const IDLE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn the_time_counts_from_the_last_use() {
        let usage = Usage::new();
        let start = Instant::now();
        let waiting = tokio::spawn({
            let usage = usage.clone();
            async move { usage.unused_for(IDLE).await }
        });
        sleep(Duration::from_secs(9)).await;
        // A use that begins and ends before the waiter runs counts, too.
        drop(usage.begin());
        sleep(Duration::from_secs(9)).await;
        let long = usage.begin();
        sleep(Duration::from_secs(60)).await;
        assert!(!waiting.is_finished() && !usage.is_unused());
        drop(long);
        waiting.await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(9 + 9 + 60 + 10));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_never_used_is_unused_from_the_start() {
        let usage = Usage::new();
        advance(Duration::from_secs(1)).await;
        usage.unused_for(IDLE).await;
        assert!(usage.is_unused());
    }
}
