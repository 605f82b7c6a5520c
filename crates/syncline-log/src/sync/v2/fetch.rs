use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{AsyncRead, AsyncWrite, Sink};
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicQuery};
use syncline_crypto::Hash;

use super::LogSyncV2;
use super::machine::Role;
use super::surroundings::Surroundings;
use crate::store::{LogId, LogStore};

/// Gets bodies that stayed behind, from any peer that has them: made by [`LogSyncV2::fetch_payloads`].
///
/// It speaks `syncline-log/2`; the peer needs nothing else than [`LogSyncV2`]. Each body is checked against the header that is
/// stored here, stored, and then handed to the application together with the header. What became of each the
/// [observer](LogSyncV2::with_observer) is told.
///
/// `Ok` means that the peer has answered for each, not that it had all of them. When accepting it does what the protocol does
/// that it was made from.
pub struct FetchPayloads<T, L, S> {
    sync: LogSyncV2<T, L, S>,
    operations: Vec<Hash>,
}

impl<T, L, S> LogSyncV2<T, L, S> {
    /// Asks a peer for the bodies of these operations, whose headers are stored here without. Give it to whatever runs a
    /// session, as the initiating side, with the topic that their logs belong to.
    #[must_use]
    pub fn fetch_payloads(&self, operations: impl IntoIterator<Item = Hash>) -> FetchPayloads<T, L, S> {
        FetchPayloads { sync: self.clone(), operations: operations.into_iter().collect() }
    }
}

#[async_trait]
impl<'a, T, L, S> SyncProtocol<'a, T> for FetchPayloads<T, L, S>
where
    T: TopicQuery + 'static,
    L: LogId,
    S: LogStore<L>,
{
    fn name(&self) -> &'static str {
        LogSyncV2::<T, L, S>::NAME
    }

    async fn initiate(
        self: Arc<Self>,
        topic_query: T,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        let surroundings = Surroundings::new(&self.sync);
        let resolved = self.sync.initiator(&surroundings, topic_query).await?;
        let role = Role::Fetcher(resolved, self.operations.clone());
        self.sync.run(&surroundings, role, *tx, *rx, *app_tx).await
    }

    async fn accept(
        self: Arc<Self>,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<T>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        Arc::new(self.sync.clone()).accept(tx, rx, app_tx).await
    }
}

impl<T, L, S: fmt::Debug> fmt::Debug for FetchPayloads<T, L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchPayloads")
            .field("sync", &self.sync)
            .field("operations", &self.operations.len())
            .finish_non_exhaustive()
    }
}
