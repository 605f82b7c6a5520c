//! Answers a session's machine.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{BoxFuture, Either, select};
use futures::{FutureExt, pin_mut};
use syncline_core::machine::Perform;
use syncline_core::{SyncError, TopicQuery};
use syncline_crypto::Hash;

use super::machine::{LogName, Request, Resolved, Response};
use super::secrecy::{Nonce, SessionKey, TopicKey, is_same};
use super::wire::TopicName;
use super::{LogSyncV2, encode_topic, store_failed};
use crate::store::live::Change;
use crate::store::{Changes, LogId, LogStore, ScopeIndex, StoredOperation};

/// What one session needs besides the protocol itself.
pub(super) struct Surroundings<'s, T, L, S> {
    pub(super) sync: &'s LogSyncV2<T, L, S>,
    session: Mutex<Option<Opened<L>>>,
}

struct Opened<L> {
    scope: Arc<ScopeIndex<L>>,
    /// Watched from before the summary was read, so that nothing falls in between.
    changes: Option<Arc<Changes<L>>>,
}

impl<'s, T, L, S> Surroundings<'s, T, L, S>
where
    T: TopicQuery + 'static,
    L: LogId,
    S: LogStore<L>,
{
    pub(super) fn new(sync: &'s LogSyncV2<T, L, S>) -> Self {
        Self { sync, session: Mutex::new(None) }
    }

    /// What this side knows of a topic, if it may be told to the peer.
    pub(super) async fn resolve(
        &self,
        topic: T,
        name: Vec<u8>,
        secret: Option<TopicKey>,
    ) -> Result<Option<Resolved<T, L>>, SyncError> {
        let sync = self.sync;
        if !sync.access.is_allowed(sync.remote.as_ref(), &topic).await {
            return Ok(None);
        }
        let Some(logs) = sync.topic_map.get(&topic).await else { return Ok(None) };
        let scope = sync.store.scope(&logs);
        let changes = sync.live.then(|| Arc::new(scope.watch()));
        let summary = scope.summary().await.map_err(store_failed)?;
        let opened = Opened { scope: Arc::clone(scope.index()), changes };
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
        let key = SessionKey::new(&name, secret.as_ref());
        Ok(Some(Resolved { topic, name, key, scope: Arc::clone(scope.index()), summary }))
    }

    async fn resolve_named(&self, name: TopicName, nonce: Nonce) -> Result<Option<Resolved<T, L>>, SyncError> {
        match name {
            TopicName::Clear(name) => {
                let topic: T = ciborium::from_reader(name.as_slice())
                    .map_err(|err| SyncError::InvalidEncoding(format!("the topic cannot be decoded: {err}")))?;
                if self.sync.keys.key(&topic).await.is_some() {
                    // Who names a secret topic in clear does not have its key.
                    return Ok(None);
                }
                self.resolve(topic, name, None).await
            }
            TopicName::Secret(mac) => {
                for (topic, secret) in self.sync.keys.secret_topics().await {
                    let name = encode_topic(&topic)?;
                    if is_same(&SessionKey::new(&name, Some(&secret)).topic(&nonce), &mac) {
                        return self.resolve(topic, name, Some(secret)).await;
                    }
                }
                Ok(None)
            }
        }
    }

    fn scope(&self) -> Result<Arc<ScopeIndex<L>>, SyncError> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        session.as_ref().map(|opened| Arc::clone(&opened.scope)).ok_or_else(no_topic)
    }

    /// Waits for changes.
    async fn changed(&self) -> Result<(Vec<(LogName<L>, Change)>, bool), SyncError> {
        let changes = {
            let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
            session.as_ref().and_then(|opened| opened.changes.clone()).ok_or_else(no_topic)?
        };
        let changed = changes.changes();
        pin_mut!(changed);
        let finished = self.sync.finished.clone();
        let (logs, finish) = match select(finished, changed).await {
            // What was appended before the end was asked for is still sent.
            Either::Left((true, changed)) => (changed.now_or_never().unwrap_or_default(), true),
            // Nobody is left to end the session in order.
            Either::Left((false, changed)) => (changed.await, false),
            Either::Right((logs, _)) => (logs, false),
        };
        Ok((logs.into_iter().collect(), finish))
    }
}

fn no_topic() -> SyncError {
    SyncError::Critical("the session has no topic yet".into())
}

impl<T, L, S> LogSyncV2<T, L, S>
where
    L: LogId,
    S: LogStore<L>,
{
    /// An operation of a log that belongs to the topic.
    pub(super) async fn locate(&self, scope: &ScopeIndex<L>, hash: Hash) -> Result<Option<StoredOperation>, SyncError> {
        let located = self.store.get(hash).await.map_err(store_failed)?;
        let located = located.filter(|found| scope.get(&found.author).is_some_and(|logs| logs.contains(&found.log_id)));
        Ok(located.map(|found| found.operation))
    }
}

impl<T, L, S> Perform<Request<L>, Response<T, L>> for Surroundings<'_, T, L, S>
where
    T: TopicQuery + 'static,
    L: LogId,
    S: LogStore<L>,
{
    fn perform(&self, request: Request<L>) -> BoxFuture<'_, Response<T, L>> {
        async move {
            let response = match request {
                Request::Resolve { name, nonce } => self.resolve_named(name, nonce).await.map(Response::Resolved),
                Request::Read { author, log_id, range, bytes_max } => {
                    let page = self.sync.store.read(author, log_id, range, bytes_max).await;
                    page.map(Response::Page).map_err(store_failed)
                }
                Request::Payload { operation, is_too_much: true } => Ok(Response::Payload(operation, None)),
                Request::Payload { operation: hash, .. } => match self.scope() {
                    Ok(scope) => {
                        let found = self.sync.locate(&scope, hash).await;
                        found.map(|found| Response::Payload(hash, found.and_then(|operation| operation.body)))
                    }
                    Err(err) => Err(err),
                },
                Request::Apply(batch) => match self.scope() {
                    Ok(scope) => self.sync.apply(&scope, batch).await.map(Response::Applied),
                    Err(err) => Err(err),
                },
                Request::Watch => self.changed().await.map(|(changes, finish)| Response::Changed(changes, finish)),
            };
            response.unwrap_or_else(Response::Failed)
        }
        .boxed()
    }
}
