//! The scenario: nodes that write to logs and sync them.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use syncline_core::clock::Clock;
use syncline_crypto::{Hash, PublicKey};
use syncline_log::{Body, DatabaseStore, Draft, PruneFlag};
use syncline_testkit::cluster::{Check, Context, Node, Scenario, Session};
use syncline_testkit::generate::LogExtensions;
use syncline_testkit::seed::Rng;

use crate::app::{App, Pace};
use crate::forge::Forging;
use crate::protocol::{Protocol, Replica, Role, Setup};
use crate::world::{Shared, World, lock, name};

/// A cluster that keeps logs by the protocol `P`.
pub(crate) struct LogScenario<P> {
    world: Shared,
    protocol: PhantomData<P>,
}

impl<P: Protocol> LogScenario<P> {
    pub(crate) fn draw(seed: u64, nodes: usize) -> Self {
        Self { world: Arc::new(Mutex::new(World::draw(seed, nodes))), protocol: PhantomData }
    }

    /// There is never more than one way for an operation to a node.
    pub(crate) fn on_one_line(self) -> Self {
        lock(&self.world).is_one_line = true;
        self
    }
}

/// One life of a node.
pub(crate) struct LogNode<R> {
    world: Shared,
    context: Context,
    replica: R,
    /// The logs that are written here.
    own: Vec<(PublicKey, Vec<u64>)>,
    pace: Pace,
}

impl<P: Protocol> Scenario for LogScenario<P> {
    type Node = LogNode<P::Replica>;

    fn start(&mut self, context: Context) -> Result<Self::Node, String> {
        let mut rng = Rng::new(context.seed());
        let id = context.id();
        let mut world = lock(&self.world);
        // The application goes on from the last operation that it got.
        for (key, seq_num, hash) in world.started(id, DatabaseStore::new(Arc::clone(context.durable()))) {
            if let Err(what) = world.delivered(id, key, seq_num, hash) {
                context.journal().breach(what);
            }
        }
        let here = world.authors.iter().filter(|author| author.homes.contains(&id.index()));
        let signers: Vec<_> = here.map(|author| Arc::clone(&author.signer)).collect();
        let own = signers.iter().map(|signer| signer.public_key());
        let own = own.map(|author| (author, world.topics.0.get(&author).cloned().unwrap_or_default())).collect();
        let setup = Setup {
            context: context.clone(),
            topics: Arc::clone(&world.topics),
            verifier: Arc::clone(&world.verifier),
            signers,
            forging: Forging::new(&self.world, id, rng.next_u64()),
        };
        drop(world);
        let pace = Pace {
            clock: context.clock().clone(),
            seed: rng.next_u64(),
            slow_per_mille: if rng.chance(1, 2) { rng.below(300) } else { 0 },
            delay_max: Duration::from_millis(1 + rng.below(500)),
        };
        Ok(LogNode { world: Arc::clone(&self.world), context, replica: P::open(setup)?, own, pace })
    }

    fn calm(&mut self) {
        lock(&self.world).is_calm = true;
    }

    fn converged(&mut self, _: &mut [Self::Node]) -> Result<(), String> {
        lock(&self.world).converged(P::FORKS_ARE_NOTICED)
    }
}

impl<R: Replica> LogNode<R> {
    fn session(&mut self, role: Role, session: Session) -> LocalBoxFuture<'static, Result<String, String>> {
        let (world, id) = (Arc::clone(&self.world), self.context.id());
        let is_clean = session.is_faithful && !lock(&world).is_forger(session.peer);
        // What the peer has now is what a complete session brings, at the least.
        let promised = lock(&world).heights(session.peer);
        self.pace.seed = Rng::new(self.pace.seed).next_u64();
        let pace = self.pace.clone();
        let journal = self.context.journal().clone();
        let app = App::new(&world, &journal, id, session.id, is_clean, pace);
        let running = self.replica.session(role, session.end, app.clone());
        async move {
            running.await.map_err(|err| format!("{err:?}"))?;
            let lacks = lock(&world).lacks(id, session.peer, &promised);
            if let Some((key, height)) = lacks.filter(|_| is_clean) {
                let what = name(&key, height);
                journal.breach(format!("{} is complete without {what}, which {} had", session.id, session.peer));
            }
            Ok(format!("{} came", app.arrivals()))
        }
        .boxed_local()
    }

    fn drafts(&self, log_id: u64, rng: &mut Rng) -> Vec<Draft<LogExtensions>> {
        let prunes_per_mille = lock(&self.world).prunes_per_mille;
        let count = if rng.chance(1, 16) { 1 + rng.below(60) } else { 1 + rng.below(4) };
        let draft = |rng: &mut Rng| {
            let len = if rng.chance(1, 20) { rng.index(6_000) } else { rng.index(200) };
            let prunes = rng.chance(prunes_per_mille, 1000);
            let extensions = LogExtensions { log_id, prune: PruneFlag::new(prunes) };
            let body = (len > 0).then(|| Body::new(rng.bytes(len)));
            let timestamp = self.context.clock().now().as_millis();
            Draft { timestamp, prunes, ..Draft::new(body, Some(extensions)) }
        };
        (0..count).map(|_| draft(rng)).collect()
    }
}

impl<R: Replica> Node for LogNode<R> {
    fn step(&mut self, rng: &mut Rng) -> LocalBoxFuture<'static, String> {
        let Some((author, logs)) = rng.pick(&self.own).cloned() else {
            return async { "has nothing to write".to_owned() }.boxed_local();
        };
        let Some(log_id) = rng.pick(&logs).copied() else { return async { String::new() }.boxed_local() };
        let publishing = self.replica.publish(author, log_id, self.drafts(log_id, rng));
        let (world, journal, id) = (Arc::clone(&self.world), self.context.journal().clone(), self.context.id());
        async move {
            let published = match publishing.await {
                Ok(published) => published,
                Err(err) => return format!("does not write: {err:?}"),
            };
            let key = (author, log_id);
            for operation in &published {
                let (seq_num, hash) = (operation.header.seq_num.get(), operation.hash);
                if let Err(what) = lock(&world).delivered(id, key, seq_num, hash) {
                    journal.breach(what);
                }
            }
            let last = published.last().map_or(0, |operation| operation.header.seq_num.get());
            format!("writes {} up to {}", published.len(), name(&key, last))
        }
        .boxed_local()
    }

    fn initiate(&mut self, session: Session) -> LocalBoxFuture<'static, Result<String, String>> {
        self.session(Role::Initiator, session)
    }

    fn accept(&mut self, session: Session) -> LocalBoxFuture<'static, Result<String, String>> {
        self.session(Role::Acceptor, session)
    }

    fn check(&mut self, check: Check) -> Result<(), String> {
        lock(&self.world).check(self.context.id(), check)
    }

    fn digest(&mut self) -> Hash {
        lock(&self.world).digest(self.context.id())
    }
}
