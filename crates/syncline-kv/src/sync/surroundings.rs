//! Answers a session's machine, on threads that may block.

use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use syncline_core::machine::Perform;
use syncline_core::session::report_items_refused;
use syncline_core::{SyncError, clock::Timestamp};
use syncline_storage::blocking;

use super::KvSync;
use super::intake::Applied;
use super::machine::{Agreed, Request, Response};
use super::query::{KvQuery, OpenError};
use super::session::{Failure, Opening, Session, Setting};
use super::wire::{Hello, Nonce};

/// What one session needs besides the protocol itself.
pub(super) struct Surroundings<'s> {
    sync: &'s KvSync,
    setting: Setting,
    session: OnceLock<Arc<Session>>,
}

impl<'s> Surroundings<'s> {
    pub(super) fn new(sync: &'s KvSync) -> Self {
        Self { sync, setting: sync.setting(), session: OnceLock::new() }
    }

    fn now(&self) -> Timestamp {
        self.sync.clock.now()
    }

    async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, SyncError> {
        let done = blocking::run(&*self.sync.blocking, job).await;
        done.map_err(|err| SyncError::Critical(format!("the tree did not answer: {err}")))
    }

    /// Opens a session as the side that names the query.
    pub(super) async fn initiate(&self, query: KvQuery, nonce: Nonce) -> Result<Opening, SyncError> {
        let tree = self.sync.trees.tree(&query.namespace).ok_or(OpenError::UnknownNamespace(query.namespace))?;
        let (setting, now) = (self.setting.clone(), self.now());
        let (session, opening) = self.run(move || setting.initiate(&tree, query, now, &nonce)).await??;
        let _ = self.session.set(session);
        Ok(opening)
    }

    async fn accept(&self, hello: Box<Hello>) -> Result<Option<Agreed>, SyncError> {
        let tree = self.sync.trees.tree(&hello.namespace);
        let (setting, now) = (self.setting.clone(), self.now());
        let opened = self.run(move || setting.accept(tree, &hello, now).map(|opened| (opened, hello))).await?;
        let (opened, hello) = opened.map_err(|err| SyncError::Critical(format!("the tree failed: {err}")))?;
        let Some((session, opening)) = opened else { return Ok(None) };
        let _ = self.session.set(session);
        Ok(Some(Agreed { hello, opening }))
    }

    /// Runs something on the session's tree.
    async fn on_session<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Session, Timestamp) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let session = self.session.get().cloned();
        let session = session.ok_or_else(|| SyncError::Critical("the session has no query yet".into()));
        let (session, now) = (session.map_err(Failure::Sync)?, self.now());
        self.run(move || job(&session, now)).await.map_err(Failure::Sync)?
    }

    /// Tells whom it concerns.
    fn report(&self, applied: &mut Applied) {
        report_items_refused(applied.duplicates, applied.rejected);
        let events = std::mem::take(&mut applied.events);
        if let Some(observer) = &self.sync.observer {
            events.into_iter().for_each(|event| observer.tell(event));
        }
    }

    /// Waits for changes. Says whether the session is to be finished.
    async fn woken(&self) -> Result<bool, Failure> {
        let session = self.session.get().cloned();
        let session =
            session.ok_or_else(|| Failure::Sync(SyncError::Critical("the session has no query yet".into())))?;
        let changed = Box::pin(session.changes.changed());
        let (changed, finish) = match select(self.sync.finished.clone(), changed).await {
            // What was changed before the end was asked for is still sent.
            Either::Left((true, changed)) => (changed.now_or_never(), true),
            // Nobody is left to end the session in order.
            Either::Left((false, changed)) => (Some(changed.await), false),
            Either::Right((changed, _)) => (Some(changed), false),
        };
        if let Some(changed) = changed {
            session.note(changed, None);
        }
        if !finish {
            self.on_session(|session, now| session.check_right(now)).await?;
        }
        Ok(finish)
    }

    async fn answer(&self, request: Request) -> Result<Response, Failure> {
        Ok(match request {
            Request::Open(hello) => Response::Opened(self.accept(hello).await.map_err(Failure::Sync)?.map(Box::new)),
            Request::Step { terms, set, round, message } => {
                let step = move |session: &Session, now| session.step(now, &terms, set, round, message.as_deref());
                let stepped = self.on_session(step).await?;
                Response::Stepped(set, stepped)
            }
            Request::Stream { terms, set } => {
                self.on_session(move |session, _| session.stream(&terms, set)).await?;
                Response::Queued
            }
            Request::Changes { terms } => {
                let lagged = self.on_session(move |session, _| Ok(session.push_changes(&terms))).await?;
                Response::Changed { lagged }
            }
            Request::Page { terms } => {
                Response::Page(self.on_session(move |session, now| session.page(now, &terms)).await?)
            }
            Request::Apply { terms, batch } => {
                let mut applied = self.on_session(move |session, now| session.apply(now, &terms, batch)).await?;
                self.report(&mut applied);
                Response::Applied(applied)
            }
            Request::Watch => Response::Woken { finish: self.woken().await? },
            Request::Close { terms, is_settled } => {
                self.on_session(move |session, _| session.close(&terms, is_settled)).await?;
                Response::Closed
            }
        })
    }
}

impl Perform<Request, Response> for Surroundings<'_> {
    fn perform(&self, request: Request) -> BoxFuture<'_, Response> {
        async move {
            match self.answer(request).await {
                Ok(response) => response,
                Err(Failure::Barred) => Response::Barred,
                Err(Failure::Sync(err)) => Response::Failed(err),
            }
        }
        .boxed()
    }
}
