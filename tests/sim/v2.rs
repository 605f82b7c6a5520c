//! `syncline-log/2` on a [`LiveStore`].

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::future::LocalBoxFuture;
use futures::{FutureExt, Sink, SinkExt};
use syncline_core::{FromSync, SyncError, SyncProtocol};
use syncline_crypto::{Hash, PublicKey};
use syncline_log::ingest::{ByExtension, Outcome, Rejection, Verdict};
use syncline_log::store::LiveStore;
use syncline_log::sync::v2::{Event, Limits};
use syncline_log::{DatabaseStore, Draft, LogSyncV2, LogWriter, Operation, PublishError};
use syncline_testkit::generate::LogExtensions;
use syncline_testkit::net::End;
use syncline_testkit::seed::Rng;

use crate::app::{App, Paced};
use crate::forge::ForgingStore;
use crate::protocol::{Protocol, Replica, Role, Setup};
use crate::world::Topic;

pub(crate) struct V2;

type Live = LiveStore<u64, ForgingStore>;

pub(crate) struct V2Replica {
    protocol: LogSyncV2<Topic, u64, ForgingStore>,
    writers: Vec<LogWriter<Live>>,
}

impl Protocol for V2 {
    type Replica = V2Replica;
    const FORKS_ARE_NOTICED: bool = true;
    const IS_LIVE: bool = true;

    fn open(setup: Setup) -> Result<V2Replica, String> {
        let inner = DatabaseStore::new(Arc::clone(setup.context.database()));
        let store = LiveStore::new(ForgingStore { inner, forging: setup.forging });
        let classify = Arc::new(ByExtension::<LogExtensions>::new());
        let context = &setup.context;
        let mut rng = Rng::new(context.seed());
        let limits = Limits::default()
            .with_page_bytes(1 << (7 + rng.below(10)))
            .with_window_bytes(1 << (7 + rng.below(10)))
            .with_batch_operations_max(1 << rng.below(8));
        // Other numbers in each life of each node.
        let life = [context.seed(), context.id().index() as u64, context.starts()].map(u64::to_le_bytes).concat();
        let seed = Hash::digest(&life).to_bytes();
        let protocol = LogSyncV2::new(Arc::clone(&setup.topics) as _, store.clone(), classify, seed)
            .with_limits(limits)
            .with_verifier(setup.verifier)
            .with_live(true)
            .with_timer(Arc::new(setup.context.clock().clone()));
        let writers = setup.signers.into_iter().map(|signer| LogWriter::new(store.clone(), signer)).collect();
        Ok(V2Replica { protocol, writers })
    }
}

/// The application's end: everything that is handed over must have been stored before.
struct Stored {
    app: App,
    seen: Arc<Mutex<BTreeSet<Hash>>>,
}

impl Sink<FromSync<Topic>> for Stored {
    type Error = SyncError;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, item: FromSync<Topic>) -> Result<(), SyncError> {
        if let FromSync::Data { header, .. } = item
            && !self.seen.lock().expect("nobody panics with it").remove(&Hash::digest(&header))
        {
            self.app.journal.breach("an operation was handed over that was not stored, or twice");
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

fn judge(app: &App, verdict: Verdict<u64>) {
    let place = verdict.operation.map(|operation| (operation, operation.seq_num.get()));
    let key = place.and_then(|(operation, _)| Some((operation.author, verdict.log_id?)));
    match (verdict.outcome, place, key) {
        (Outcome::Stored, Some((operation, seq_num)), Some(key)) => app.stored(key, seq_num, operation.hash),
        (Outcome::Known, ..) => app.known(key, place.map_or(0, |(_, seq_num)| seq_num)),
        (Outcome::Rejected(why), place, _) => {
            let is_authors = matches!(why, Rejection::Gap { .. } | Rejection::Backlink);
            app.refused(key, place.map_or(0, |(_, seq_num)| seq_num), &why.to_string(), is_authors);
        }
        (Outcome::Forked(_), place, _) => app.refused(key, place.map_or(0, |(_, seq_num)| seq_num), "a fork", true),
        (outcome, ..) => app.refused(key, 0, &format!("{outcome:?}"), false),
    }
}

impl Replica for V2Replica {
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
        let seen: Arc<Mutex<BTreeSet<Hash>>> = Arc::default();
        let (observer, stored) = (app.clone(), Arc::clone(&seen));
        let (left, journal, id) = (Arc::clone(&seen), app.journal.clone(), app.session);
        let protocol = Arc::new(self.protocol.clone().with_observer(move |event| {
            if let Event::Verdict(verdict) = event {
                if let (Outcome::Stored, Some(operation)) = (&verdict.outcome, verdict.operation) {
                    stored.lock().expect("nobody panics with it").insert(operation.hash);
                }
                judge(&observer, verdict);
            }
        }));
        let mut sink = Paced::new(app.clone(), Stored { app, seen });
        async move {
            let (tx, rx) = (Box::new(&mut end.tx as _), Box::new(&mut end.rx as _));
            let result = match role {
                Role::Initiator => protocol.initiate(Topic(1), tx, rx, Box::new(&mut sink as _)).await,
                Role::Acceptor => protocol.accept(tx, rx, Box::new(&mut sink as _)).await,
            };
            let closed = sink.close().await;
            if result.is_ok() && !left.lock().expect("nobody panics with it").is_empty() {
                journal.breach(format!("{id} is complete, and something that was stored was not handed over"));
            }
            result.and(closed)
        }
        .boxed_local()
    }
}
