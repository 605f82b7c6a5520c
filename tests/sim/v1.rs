//! `p2panda-log-sync-v1` with an [`Ingest`] behind it.

use std::sync::Arc;

use futures::future::LocalBoxFuture;
use futures::{FutureExt, SinkExt};
use syncline_core::{SyncError, SyncProtocol};
use syncline_crypto::{PublicKey, Verifier};
use syncline_log::ingest::{ByExtension, IngestEvent, IngestLimits, Outcome, Rejection, Verdict};
use syncline_log::sync::Limits;
use syncline_log::{DatabaseStore, Draft, Ingest, LogSync, LogWriter, Operation, PublishError};
use syncline_testkit::generate::LogExtensions;
use syncline_testkit::net::End;
use syncline_testkit::seed::Rng;

use crate::app::{App, Paced};
use crate::forge::ForgingStore;
use crate::protocol::{Protocol, Replica, Role, Setup};
use crate::world::{Store, Topic, Topics};

pub(crate) struct V1;

pub(crate) struct V1Replica {
    protocol: LogSync<Topic, u64, ForgingStore>,
    store: Store,
    topics: Arc<Topics>,
    verifier: Arc<dyn Verifier>,
    limits: IngestLimits,
    writers: Vec<LogWriter<Store>>,
}

impl Protocol for V1 {
    type Replica = V1Replica;

    // It tells heights only: two branches of one height look the same.
    const FORKS_ARE_NOTICED: bool = false;
    const IS_LIVE: bool = false;

    fn open(setup: Setup) -> Result<V1Replica, String> {
        let store: Store = DatabaseStore::new(Arc::clone(setup.context.database()));
        let mut rng = Rng::new(setup.context.seed());
        let limits =
            Limits::default().with_page_bytes(1 << (7 + rng.below(10))).with_window_bytes(1 << (7 + rng.below(10)));
        let sent_from = ForgingStore { inner: store.clone(), forging: setup.forging };
        let protocol = LogSync::new(Arc::clone(&setup.topics) as _, sent_from)
            .with_limits(limits)
            .with_timer(Arc::new(setup.context.clock().clone()));
        let writers = setup.signers.into_iter().map(|signer| LogWriter::new(store.clone(), signer)).collect();
        let limits = IngestLimits::default().with_batch_operations_max(1 << rng.below(8));
        Ok(V1Replica { protocol, store, topics: setup.topics, verifier: setup.verifier, limits, writers })
    }
}

impl V1Replica {
    fn ingest(&self, app: &App) -> Ingest<Topic, u64, Store> {
        let app = app.clone();
        let classify = Arc::new(ByExtension::<LogExtensions>::new());
        Ingest::new(Arc::clone(&self.topics) as _, self.store.clone(), classify)
            .with_limits(self.limits.clone())
            .with_verifier(Arc::clone(&self.verifier))
            .with_observer(move |event| {
                if let IngestEvent::Verdict(verdict) = event {
                    judge(&app, verdict);
                }
            })
    }
}

fn judge(app: &App, verdict: Verdict<u64>) {
    let place = verdict.operation.map(|operation| (operation, operation.seq_num.get()));
    let key = place.and_then(|(operation, _)| Some((operation.author, verdict.log_id?)));
    match (verdict.outcome, place, key) {
        (Outcome::Stored, Some((operation, seq_num)), Some(key)) => app.stored(key, seq_num, operation.hash),
        (Outcome::Known, ..) => {}
        (Outcome::Rejected(why), place, _) => {
            let is_authors = matches!(why, Rejection::Gap { .. } | Rejection::Backlink);
            app.refused(key, place.map_or(0, |(_, seq_num)| seq_num), &why.to_string(), is_authors);
        }
        (Outcome::Forked(_), place, _) => app.refused(key, place.map_or(0, |(_, seq_num)| seq_num), "a fork", true),
        (outcome, ..) => app.refused(key, 0, &format!("{outcome:?}"), false),
    }
}

impl Replica for V1Replica {
    fn publish(
        &self,
        author: PublicKey,
        log_id: u64,
        drafts: Vec<Draft<LogExtensions>>,
    ) -> LocalBoxFuture<'static, Result<Vec<Operation<LogExtensions>>, PublishError>> {
        let writer = self.writers.iter().find(|writer| writer.author() == author).cloned();
        async move { writer.expect("an author who writes here").publish(log_id, drafts).await }.boxed_local()
    }

    fn session(&self, role: Role, mut end: End, app: App) -> LocalBoxFuture<'static, Result<(), SyncError>> {
        let protocol = Arc::new(self.protocol.clone());
        let mut sink = Paced::new(app.clone(), self.ingest(&app));
        async move {
            let (tx, rx) = (Box::new(&mut end.tx as _), Box::new(&mut end.rx as _));
            let result = match role {
                Role::Initiator => protocol.initiate(Topic(1), tx, rx, Box::new(&mut sink as _)).await,
                Role::Acceptor => protocol.accept(tx, rx, Box::new(&mut sink as _)).await,
            };
            // What came before the session broke is kept.
            let closed = sink.close().await;
            result.and(closed)
        }
        .boxed_local()
    }
}
