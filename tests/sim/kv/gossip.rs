//! The agent of a node, connected to the cluster's datagrams and sessions.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use syncline_core::clock::{Clock, Timer, Timestamp};
use syncline_crypto::PublicKey;
use syncline_kv::Item;
use syncline_kv::agent::{AgentInput, AgentOutput, Outcome, Push, PushKind, Root, Side, Source};
use syncline_kv::tree::Fed;
use syncline_testkit::cluster::NodeId;

use super::node::Peer;
use super::world::Role;

/// How long a dial may take.
const DIAL_MAX: Duration = Duration::from_secs(2);

/// Sent messages that are remembered.
const SENT_MAX: usize = 64;

/// Messages that wait for the agent.
const INBOX_MAX: usize = 512;

impl Peer {
    /// Tells the agent something, soon.
    pub(crate) fn tell(&self, input: AgentInput<NodeId>) {
        let mut inbox = self.inbox.borrow_mut();
        let is_message = matches!(input, AgentInput::Received { .. });
        if is_message && inbox.len() >= INBOX_MAX {
            if self.lagged.replace(true) {
                return;
            }
            inbox.push_back(AgentInput::Lagged);
        } else {
            inbox.push_back(input);
        }
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Runs the agent for as long as the node lives.
    pub(crate) async fn gossip(self: Rc<Self>) {
        for peer in self.context.all().filter(|peer| self.world.role(*peer) != Role::Stranger) {
            self.handle(AgentInput::PeerUp { peer, rtt: None });
        }
        self.handle(AgentInput::Started { root: self.current_root() });
        let mut sleep: Option<BoxFuture<'static, ()>> = None;
        poll_fn(|cx| self.poll_gossip(&mut sleep, cx)).await;
    }

    fn poll_gossip(&self, sleep: &mut Option<BoxFuture<'static, ()>>, cx: &mut Context<'_>) -> Poll<()> {
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        let clock = self.context.clock();
        loop {
            let paused_until = Timestamp::from_millis(self.paused_until.load(Ordering::SeqCst));
            if paused_until <= clock.now() {
                while self.work(cx) {}
            }
            let dial = self.dials.borrow().values().min().map(|since| *since + DIAL_MAX);
            let next = [self.agent.borrow().next_timeout(), dial].into_iter().flatten().min();
            let Some(at) = next.map(|at| at.max(paused_until)) else { return Poll::Pending };
            let mut sleeping = clock.sleep_until(at);
            if Pin::new(&mut sleeping).poll(cx).is_pending() {
                *sleep = Some(sleeping);
                return Poll::Pending;
            }
        }
    }

    /// Does what there is to do; false if there is nothing.
    fn work(&self, cx: &mut Context<'_>) -> bool {
        let now = self.context.clock().now();
        if let Poll::Ready(fed) = Pin::new(&mut Box::pin(self.feed.next())).poll(cx) {
            self.fed(fed, None);
            return true;
        }
        let input = self.inbox.borrow_mut().pop_front();
        if let Some(input) = input {
            if matches!(input, AgentInput::Lagged) {
                self.lagged.set(false);
            }
            if let AgentInput::SessionEnded { peer, .. } = &input {
                // What the session brought is told before its end.
                self.changed(Source::Session(*peer), Vec::new());
            }
            self.handle(input);
            return true;
        }
        let late = self.dials.borrow().iter().find(|(_, since)| **since + DIAL_MAX <= now).map(|(peer, _)| *peer);
        if let Some(peer) = late {
            self.dials.borrow_mut().remove(&peer);
            self.handle(AgentInput::SessionEnded { peer, side: Side::Opened, outcome: Outcome::Failed });
            return true;
        }
        if self.agent.borrow().next_timeout().is_some_and(|at| at <= now) {
            self.handle(AgentInput::Timeout);
            return true;
        }
        false
    }

    fn handle(&self, input: AgentInput<NodeId>) {
        self.agent.borrow_mut().handle(self.context.clock().now(), input);
        loop {
            let output = self.agent.borrow_mut().poll();
            let Some(output) = output else { return };
            self.carry_out(output);
        }
    }

    fn carry_out(&self, output: AgentOutput<NodeId>) {
        let journal = self.context.journal();
        match output {
            AgentOutput::Broadcast { bytes } => {
                self.record(None, &bytes);
                for peer in self.context.all().filter(|peer| self.world.role(*peer) != Role::Stranger) {
                    journal.send(peer, bytes.clone());
                }
            }
            AgentOutput::Send { to, bytes } => {
                self.record(Some(to), &bytes);
                journal.send(to, bytes);
            }
            AgentOutput::Sync { with } => {
                self.dials.borrow_mut().insert(with, self.context.clock().now());
                let going_on = self.dials.borrow().len() + self.open.borrow().len();
                if going_on > 3 {
                    journal.breach(format!("the agent has {going_on} sessions at once"));
                }
                journal.dial(with);
            }
            AgentOutput::CancelSync { with } => {
                self.dials.borrow_mut().remove(&with);
                if let Some(abort) = self.open.borrow_mut().remove(&with) {
                    abort.abort();
                }
            }
            AgentOutput::Apply { from, items } => self.apply_pushed(from, &items),
            _ => {}
        }
    }

    fn record(&self, to: Option<NodeId>, bytes: &Bytes) {
        let mut sent = self.sent.borrow_mut();
        sent.push_back((self.context.clock().now(), to, bytes.clone()));
        if sent.len() > SENT_MAX {
            sent.pop_front();
        }
    }

    fn apply_pushed(&self, from: Option<NodeId>, items: &[Bytes]) {
        let items = items.iter().filter_map(|bytes| Item::decode(bytes).ok()).collect();
        let key = from.map(|from| self.world.key_of(from));
        // Should it fail, the next session brings them.
        if self.tree.apply_from(self.wall.now(), items, key).is_ok() {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            if let Poll::Ready(fed) = Pin::new(&mut Box::pin(self.feed.next())).poll(&mut cx) {
                self.fed(fed, from);
            }
        }
        // The feed knows another waker now.
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// What the tree has stored: pushed by `pushed`, or by sessions and the application.
    fn fed(&self, fed: Fed, pushed: Option<NodeId>) {
        let peers: BTreeMap<PublicKey, NodeId> = self.context.all().map(|id| (self.world.key_of(id), id)).collect();
        let mut lots: Vec<(Source<NodeId>, Vec<Push>)> = Vec::new();
        for stored in fed.items {
            let kind = match &stored.item {
                Item::Entry(_) => PushKind::Entry,
                Item::Grant(_) => PushKind::Grant,
                Item::Revocation(_) | Item::RootRotate(_) => PushKind::Revocation,
            };
            let push = Push::new(kind, stored.item.encoded());
            let push = if stored.urgent { push.urgent() } else { push };
            let source = match stored.from.and_then(|from| peers.get(&from)) {
                None => Source::Local,
                Some(from) if pushed == Some(*from) => Source::Pushed(Some(*from)),
                Some(from) => Source::Session(*from),
            };
            match lots.last_mut() {
                Some((last, pushes)) if *last == source => pushes.push(push),
                _ => lots.push((source, vec![push])),
            }
        }
        if fed.lagged || fed.removed {
            lots.push((Source::Local, Vec::new()));
        }
        lots.into_iter().for_each(|(source, pushes)| self.changed(source, pushes));
    }

    fn changed(&self, source: Source<NodeId>, pushes: Vec<Push>) {
        let before = self.root.get();
        let root = self.current_root();
        if before != root || !pushes.is_empty() {
            self.handle(AgentInput::Changed { root, source, pushes });
        }
    }

    /// What the tree has now, or had when it could last be read.
    fn current_root(&self) -> Root {
        if let Ok(root) = self.tree.root() {
            self.root.set(Root::new(root.hash, root.entries + root.system));
        }
        self.root.get()
    }
}
