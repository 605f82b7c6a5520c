use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Sink;
use futures::future::BoxFuture;
use syncline_core::clock::{Clock, ManualClock, Timer};
use syncline_core::{FromSync, SyncError, TopicQuery};

/// How an application takes what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Eager,
    /// Takes one event, then nothing for a while.
    Slow,
    /// Is gone after so many events.
    GoneAfter(usize),
}

/// What an application got.
#[derive(Debug)]
pub(super) struct Events<T: TopicQuery>(Arc<Mutex<Vec<FromSync<T>>>>);

impl<T: TopicQuery> Events<T> {
    pub(super) fn take(&self) -> Vec<FromSync<T>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An application that notes what it gets.
pub(super) struct App<T: TopicQuery> {
    events: Arc<Mutex<Vec<FromSync<T>>>>,
    manner: Manner,
    clock: ManualClock,
    rest: Option<BoxFuture<'static, ()>>,
}

/// How long a slow application takes over one event: long beside everything else, and short beside the deadlines that a
/// protocol may have.
const SLOWNESS: Duration = Duration::from_millis(50);

impl<T: TopicQuery> App<T> {
    pub(super) fn new(clock: &ManualClock, manner: Manner) -> (Self, Events<T>) {
        let events = Arc::new(Mutex::new(Vec::new()));
        (Self { events: Arc::clone(&events), manner, clock: clock.clone(), rest: None }, Events(events))
    }

    fn count(&self) -> usize {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn check_present(&self) -> Result<(), SyncError> {
        match self.manner {
            Manner::GoneAfter(count) if self.count() >= count => {
                Err(SyncError::Critical("the application is gone".into()))
            }
            _ => Ok(()),
        }
    }
}

impl<T: TopicQuery> Sink<FromSync<T>> for App<T> {
    type Error = SyncError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        self.check_present()?;
        if let Some(rest) = self.rest.as_mut() {
            ready!(rest.as_mut().poll(cx));
            self.rest = None;
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, event: FromSync<T>) -> Result<(), SyncError> {
        self.check_present()?;
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        if self.manner == Manner::Slow {
            self.rest = Some(self.clock.sleep_until(self.clock.now() + SLOWNESS));
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        Poll::Ready(Ok(()))
    }
}
