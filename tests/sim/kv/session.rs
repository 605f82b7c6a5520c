//! Sessions of a node: how one runs, and what a complete one has brought.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures::future::{AbortHandle, Abortable, BoxFuture, LocalBoxFuture};
use futures::{FutureExt, Sink};
use syncline_core::clock::{Clock, Timer, Timestamp};
use syncline_core::{FromSync, SyncError, SyncProtocol};
use syncline_kv::agent::{AgentInput, Outcome, Side};
use syncline_kv::sync::KvQuery;
use syncline_kv::{Entry, Item};
use syncline_testkit::cluster::{NodeClock, NodeId, Session};

use super::node::{Peer, RELEASE};
use super::oracle::is_due;
use super::world::{Role, SKEW};

/// An application that stops now and then, and counts.
pub(crate) struct App {
    pub(crate) clock: NodeClock,
    pub(crate) came: Arc<AtomicU64>,
    pub(crate) paused_until: Arc<AtomicU64>,
    pub(crate) nap: Option<BoxFuture<'static, ()>>,
}

impl Sink<FromSync<KvQuery>> for App {
    type Error = SyncError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        let until = Timestamp::from_millis(self.paused_until.load(Ordering::SeqCst));
        if self.nap.is_none() && until > self.clock.now() {
            self.nap = Some(self.clock.sleep_until(until));
        }
        if let Some(nap) = &mut self.nap {
            std::task::ready!(nap.as_mut().poll(cx));
            self.nap = None;
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, item: FromSync<KvQuery>) -> Result<(), SyncError> {
        if matches!(item, FromSync::Data { .. }) {
            self.came.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        self.poll_ready(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        self.poll_ready(cx)
    }
}

/// Tells the agent how a session ended, also when it is dropped half way.
struct Ending {
    node: Rc<Peer>,
    with: NodeId,
    side: Side,
    /// Whether the agent is waiting for it.
    is_awaited: bool,
    outcome: Outcome,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.side == Side::Opened {
            self.is_awaited &= self.node.open.borrow_mut().remove(&self.with).is_some();
        }
        if self.is_awaited {
            self.node.tell(AgentInput::SessionEnded { peer: self.with, side: self.side, outcome: self.outcome });
        }
    }
}

/// Runs one side of a session.
pub(crate) fn run(node: &Rc<Peer>, session: Session, side: Side) -> LocalBoxFuture<'static, Result<String, String>> {
    let (node, with) = (Rc::clone(node), session.peer);
    let is_asked = side == Side::Opened && node.dials.borrow_mut().remove(&with).is_some();
    let (abort, registration) = AbortHandle::new_pair();
    if is_asked {
        node.open.borrow_mut().insert(with, abort);
    }
    if side == Side::Accepted {
        node.tell(AgentInput::SessionAccepted { peer: with });
    }
    let is_awaited = is_asked || side == Side::Accepted;
    let ending = Ending { node: Rc::clone(&node), with, side, is_awaited, outcome: Outcome::Failed };
    let moved = Arc::clone(node.world.moved.borrow_mut().entry(session.id).or_default());
    // What the peer has now is what a complete session brings, at the least.
    let promised = if session.is_faithful { promised_by(&node, with) } else { Promise::default() };
    let protocol = Arc::new(node.sync.clone().with_remote(node.world.key_of(with)));
    let mut app = App {
        clock: node.context.clock().clone(),
        came: Arc::clone(&moved),
        paused_until: Arc::clone(&node.paused_until),
        nap: None,
    };
    let query = KvQuery::all(node.tree.id());
    let mut end = session.end;
    let talk = async move {
        let (tx, rx) = (Box::new(&mut end.tx as _), Box::new(&mut end.rx as _));
        match side {
            Side::Opened => protocol.initiate(query, tx, rx, Box::new(&mut app as _)).await,
            _ => protocol.accept(tx, rx, Box::new(&mut app as _)).await,
        }
    };
    async move {
        let mut ending = ending;
        let result = Abortable::new(talk, registration).await;
        let (ended, complete) = node.sessions.get();
        node.sessions.set((ended + 1, complete + u64::from(matches!(result, Ok(Ok(()))))));
        match result {
            Ok(Ok(())) => {
                ending.outcome = Outcome::Completed { moved: moved.load(Ordering::SeqCst) };
                if let Some(what) = lacks(&node, &promised) {
                    node.context
                        .journal()
                        .breach(format!("{} is complete without {what}, which {with} had", session.id));
                }
                Ok(format!("{} came", moved.load(Ordering::SeqCst)))
            }
            Ok(Err(err)) => Err(format!("{err:?}")),
            Err(_) => Err("given up".into()),
        }
    }
    .boxed_local()
}

/// What a peer had when a session began.
#[derive(Default)]
struct Promise {
    /// What this node's clock showed then.
    at: Timestamp,
    entries: Vec<Entry>,
    system: Vec<Item>,
}

fn promised_by(node: &Rc<Peer>, with: NodeId) -> Promise {
    let Some(peer) = node.world.peer(with).filter(|_| node.world.role(with) == Role::Honest) else {
        return Promise::default();
    };
    let authority = peer.tree.authority();
    let revocations = authority.revocations().cloned().map(Item::Revocation);
    let grants = authority.grants().map(|grant| Item::Grant((**grant).clone()));
    Promise {
        at: node.wall.now(),
        entries: peer.latest().unwrap_or_default(),
        system: grants.chain(revocations).collect(),
    }
}

/// Something that was promised and is not here, without a reason.
fn lacks(node: &Rc<Peer>, promised: &Promise) -> Option<String> {
    let authority = node.tree.authority();
    let is_eager = node.world.setting.eagerness == syncline_kv::sync::Eagerness::Full;
    for item in &promised.system {
        let is_here = match item {
            Item::Grant(grant) => authority.grant(&grant.id()).is_some(),
            Item::Revocation(revocation) => !is_eager || authority.revocation(&revocation.id()).is_some(),
            _ => true,
        };
        if !is_here {
            return Some(format!("{item:?}"));
        }
    }
    let revocations = node.revocations();
    // What was too far ahead waits until somebody looks again.
    let at = promised.at.min(node.wall.now()).as_millis();
    let at = Timestamp::from_millis(at.saturating_sub(2 * u64::try_from(RELEASE.as_millis()).unwrap_or_default()));
    for entry in &promised.entries {
        let oracle = node.world.oracle.borrow();
        let is_excused = !oracle.is_live(entry, &revocations)
            || !oracle.quotas(entry).is_empty()
            || !is_due(entry, at, u64::try_from(SKEW.as_millis()).unwrap_or(u64::MAX));
        drop(oracle);
        let Ok(latest) = node.tree.latest(entry.key()) else { return None };
        if !is_excused && latest.is_none_or(|latest| latest.order() < entry.order()) {
            return Some(format!("{entry:?}"));
        }
    }
    None
}
