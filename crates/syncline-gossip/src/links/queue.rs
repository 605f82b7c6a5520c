//! A bounded queue of messages.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// Messages that wait, bounded in number and in bytes. One message always fits into an empty queue.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    messages_max: usize,
    bytes_max: usize,
    filled: Notify,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Bytes>,
    bytes: usize,
    /// Something was dropped since the queue was last empty.
    lost: bool,
}

impl Queue {
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self { state: Mutex::default(), messages_max, bytes_max, filled: Notify::new(), emptied: Notify::new() }
    }

    /// Puts a message in, or drops it if there is no room. Says whether it is in.
    pub(crate) fn offer(&self, message: Bytes) -> bool {
        let mut state = self.lock();
        let fits = self.has_room(&state, message.len());
        if fits {
            state.bytes += message.len();
            state.messages.push_back(message);
            drop(state);
            self.filled.notify_one();
        } else {
            state.lost = true;
        }
        fits
    }

    /// Puts a message in as soon as there is room.
    ///
    /// # Cancel safety
    ///
    /// The message is in, or is dropped with the future.
    pub(crate) async fn put(&self, message: Bytes) {
        loop {
            {
                let mut state = self.lock();
                if self.has_room(&state, message.len()) {
                    state.bytes += message.len();
                    state.messages.push_back(message);
                    break;
                }
            }
            self.emptied.notified().await;
        }
        self.filled.notify_one();
    }

    /// Takes the first message; none if there is none.
    pub(crate) fn take(&self) -> Option<Bytes> {
        let mut state = self.lock();
        let message = state.messages.pop_front()?;
        state.bytes -= message.len();
        drop(state);
        self.emptied.notify_one();
        Some(message)
    }

    /// Waits for a message.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn next(&self) -> Bytes {
        loop {
            if let Some(message) = self.take() {
                return message;
            }
            self.filled.notified().await;
        }
    }

    /// Whether something was dropped since this was last asked while the queue was empty: then all that is still there has
    /// been sent, and what was lost can be made up for.
    pub(crate) fn take_loss(&self) -> bool {
        let mut state = self.lock();
        state.messages.is_empty() && std::mem::take(&mut state.lost)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().messages.is_empty()
    }

    fn has_room(&self, state: &State, len: usize) -> bool {
        state.messages.is_empty() || (state.messages.len() < self.messages_max && state.bytes + len <= self.bytes_max)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn what_has_no_room_is_dropped_and_told_once() {
        let queue = Queue::new(2, 10);
        assert!(queue.offer(Bytes::from_static(b"longer than ten")), "one always fits");
        assert!(!queue.offer(Bytes::new()), "by bytes");
        assert!(!queue.take_loss(), "not before the rest is taken");
        assert_eq!(queue.take().unwrap(), "longer than ten");
        assert!(queue.take_loss() && !queue.take_loss());
        assert!(queue.offer(Bytes::new()) && queue.offer(Bytes::new()) && !queue.offer(Bytes::new()), "by number");
    }

    #[test]
    fn who_waits_for_room_gets_it() {
        let queue = Queue::new(1, 10);
        queue.put(Bytes::from_static(b"a")).now_or_never().unwrap();
        let mut second = Box::pin(queue.put(Bytes::from_static(b"b")));
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(queue.next().now_or_never().unwrap(), "a");
        assert!(second.now_or_never().is_some());
        assert_eq!(queue.next().now_or_never().unwrap(), "b");
        assert!(queue.next().now_or_never().is_none());
    }
}
