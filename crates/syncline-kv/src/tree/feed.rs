//! What was stored, item by item, for those who pass it on.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use syncline_crypto::PublicKey;

use super::Tree;
use crate::item::Item;

/// An item that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// The item.
    pub item: Item,
    /// Who brought it; none if it was made here, imported, or had waited here.
    pub from: Option<PublicKey>,
    /// It is a deletion that came together with a revocation, and should travel with it.
    pub urgent: bool,
}

/// What was stored since somebody last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fed {
    /// The items, in the order in which they were stored.
    pub items: Vec<Stored>,
    /// More was stored than is kept, or it is not known what was; some of it is not among the items.
    pub lagged: bool,
    /// Entries went without being replaced: their grants ended, or their deletion was collected.
    pub removed: bool,
}

/// Gets each item that is stored from when it was made, as far as it is fetched in time.
///
/// What it keeps is bounded: then the oldest items are left out, and [`Fed::lagged`] says so. No writer ever waits.
pub struct Feed {
    feeds: Arc<Mutex<Feeds>>,
    id: u64,
}

/// All feeds of a tree.
#[derive(Default)]
pub(super) struct Feeds {
    next_id: u64,
    queues: Vec<Queue>,
}

struct Queue {
    id: u64,
    bytes_max: usize,
    bytes: usize,
    items: VecDeque<Stored>,
    lagged: bool,
    removed: bool,
    waker: Option<Waker>,
}

impl Tree {
    /// Begins to collect what is stored, at most so many bytes of it until it is fetched.
    #[must_use]
    pub fn feed(&self, bytes_max: usize) -> Feed {
        let mut feeds = lock(&self.inner.feeds);
        let id = feeds.next_id;
        feeds.next_id += 1;
        feeds.queues.push(Queue {
            id,
            bytes_max,
            bytes: 0,
            items: VecDeque::new(),
            lagged: false,
            removed: false,
            waker: None,
        });
        Feed { feeds: Arc::clone(&self.inner.feeds), id }
    }
}

impl Feed {
    /// Waits until something was stored, or went, since the last call.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was not returned is returned by the next call.
    pub async fn next(&self) -> Fed {
        poll_fn(|cx| lock(&self.feeds).poll_next(self.id, cx)).await
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        lock(&self.feeds).queues.retain(|queue| queue.id != self.id);
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Feeds {
    /// Whether anybody would hear of it.
    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Tells all. Gives who is to be woken, once nothing is locked.
    fn tell(&mut self, items: &[Item], from: Option<&PublicKey>, removed: bool) -> Vec<Waker> {
        let mut wakers = Vec::new();
        let revokes = items.iter().any(|item| matches!(item, Item::Revocation(_)));
        for queue in &mut self.queues {
            for item in items {
                let urgent = revokes && matches!(item, Item::Entry(entry) if entry.is_tombstone());
                queue.push(Stored { item: item.clone(), from: from.copied(), urgent });
            }
            queue.removed |= removed;
            if queue.has_news() {
                wakers.extend(queue.waker.take());
            }
        }
        wakers
    }

    /// Tells all that they may have missed something. Gives who is to be woken.
    fn lag(&mut self) -> Vec<Waker> {
        self.queues.iter_mut().for_each(|queue| (queue.lagged, queue.removed) = (true, true));
        self.queues.iter_mut().filter_map(|queue| queue.waker.take()).collect()
    }

    fn poll_next(&mut self, id: u64, cx: &Context<'_>) -> Poll<Fed> {
        let Some(queue) = self.queues.iter_mut().find(|queue| queue.id == id) else { return Poll::Pending };
        if !queue.has_news() {
            queue.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        queue.bytes = 0;
        Poll::Ready(Fed {
            items: mem::take(&mut queue.items).into(),
            lagged: mem::take(&mut queue.lagged),
            removed: mem::take(&mut queue.removed),
        })
    }
}

impl Queue {
    fn has_news(&self) -> bool {
        !self.items.is_empty() || self.lagged || self.removed
    }

    fn push(&mut self, stored: Stored) {
        self.bytes += stored.item.object_len();
        self.items.push_back(stored);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.items.pop_front() else { break };
            self.bytes -= oldest.item.object_len();
            self.lagged = true;
        }
    }
}

/// Tells all feeds.
pub(super) fn tell_feeds(feeds: &Mutex<Feeds>, items: &[Item], from: Option<&PublicKey>, removed: bool) {
    let wakers = lock(feeds).tell(items, from, removed);
    // Whoever is woken may look at once.
    wakers.into_iter().for_each(Waker::wake);
}

/// Tells all feeds that they may have missed something.
pub(super) fn lag_feeds(feeds: &Mutex<Feeds>) {
    let wakers = lock(feeds).lag();
    wakers.into_iter().for_each(Waker::wake);
}

pub(super) fn lock(feeds: &Mutex<Feeds>) -> MutexGuard<'_, Feeds> {
    // Nothing in here panics half way.
    feeds.lock().unwrap_or_else(PoisonError::into_inner)
}
