//! Who has links, and what waits on them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use syncline_kv::agent::{Heard, MemberEvent, Side};
use syncline_net::PeerId;
use tokio_util::sync::CancellationToken;

use super::queue::Queue;
use super::{Admits, LinkLimits};
use crate::event::{EventSink, NodeEvent};

/// One link that is up.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) peer: PeerId,
    pub(super) side: Side,
    /// Tells apart the links of a peer.
    number: u64,
    pub(super) outbound: Queue,
    pub(super) inbound: Queue,
    /// Ends the link in order.
    pub(super) stop: CancellationToken,
}

/// What links have done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinkCounts {
    pub(crate) sent: u64,
    pub(crate) dropped: u64,
    pub(crate) received: u64,
    pub(crate) strangers: u64,
    pub(crate) faulty: u64,
}

/// How it stands with a peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkState {
    pub(crate) dialled: bool,
    pub(crate) accepted: bool,
    pub(crate) rtt: Option<Duration>,
}

/// All links of a namespace.
pub(crate) struct Table {
    limits: LinkLimits,
    admits: Admits,
    events: EventSink,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    peers: BTreeMap<PeerId, Peer>,
    /// Peers about which the membership may have something to tell.
    untold: BTreeSet<PeerId>,
    /// Whose message was taken last.
    last_heard: Option<PeerId>,
    next_number: u64,
    is_closed: bool,
    counts: LinkCounts,
    member_waker: Option<Waker>,
    message_waker: Option<Waker>,
}

#[derive(Default)]
struct Peer {
    dialled: Option<Arc<Link>>,
    accepted: Option<Arc<Link>>,
    rtt: Option<Duration>,
    /// As the membership was told.
    is_up: bool,
    told_rtt: Option<Duration>,
    /// Messages may have been lost.
    lost: bool,
}

impl Peer {
    fn slot(&mut self, side: Side) -> &mut Option<Arc<Link>> {
        if side == Side::Opened { &mut self.dialled } else { &mut self.accepted }
    }

    fn links(&self) -> impl Iterator<Item = &Arc<Link>> {
        self.dialled.iter().chain(&self.accepted)
    }

    /// Whether the time that a message takes is another than what was told.
    fn has_new_rtt(&self) -> bool {
        match (self.rtt, self.told_rtt) {
            (Some(now), Some(told)) => now > told * 2 || now * 2 < told,
            (now, told) => now.is_some() != told.is_some(),
        }
    }
}

impl Table {
    pub(super) fn new(limits: LinkLimits, admits: Admits, events: EventSink) -> Self {
        Self { limits, admits, events, state: Mutex::default() }
    }

    pub(super) fn limits(&self) -> &LinkLimits {
        &self.limits
    }

    pub(crate) fn admits(&self, peer: &PeerId) -> bool {
        (self.admits)(peer)
    }

    pub(crate) fn counts(&self) -> LinkCounts {
        self.lock().counts
    }

    pub(crate) fn peers(&self) -> BTreeMap<PeerId, LinkState> {
        let state = self.lock();
        let states = state.peers.iter().map(|(id, peer)| {
            let (dialled, accepted) = (peer.dialled.is_some(), peer.accepted.is_some());
            (*id, LinkState { dialled, accepted, rtt: peer.rtt })
        });
        states.filter(|(_, state)| state.dialled || state.accepted).collect()
    }

    /// Notes a link that is up. One that the peer has dialled takes the place of an earlier one: it may have restarted. `None` if
    /// there is no room, or the links are closed.
    pub(super) fn open(&self, peer: PeerId, side: Side) -> Option<Arc<Link>> {
        let mut state = self.lock();
        let is_known = state.peers.contains_key(&peer);
        if state.is_closed || (!is_known && state.peers.len() >= self.limits.members) {
            return None;
        }
        let number = state.next_number;
        state.next_number += 1;
        let link = Arc::new(Link {
            peer,
            side,
            number,
            outbound: Queue::new(self.limits.outbound_messages, self.limits.outbound_bytes),
            inbound: Queue::new(self.limits.inbound_messages, self.limits.inbound_bytes),
            stop: CancellationToken::new(),
        });
        let entry = state.peers.entry(peer).or_default();
        if let Some(before) = entry.slot(side).replace(Arc::clone(&link)) {
            before.stop.cancel();
            entry.lost = true;
        }
        state.tell(peer);
        Some(link)
    }

    /// Notes that a link has ended. What it carried last may not have come.
    pub(super) fn ended(&self, link: &Link, is_faulty: bool) {
        let mut state = self.lock();
        state.counts.faulty += u64::from(is_faulty);
        let Some(peer) = state.peers.get_mut(&link.peer) else { return };
        let slot = peer.slot(link.side);
        if slot.as_ref().is_some_and(|current| current.number == link.number) {
            *slot = None;
            peer.lost = true;
            state.tell(link.peer);
        }
    }

    pub(super) fn note_rtt(&self, peer: &PeerId, rtt: Duration) {
        let mut state = self.lock();
        if let Some(known) = state.peers.get_mut(peer) {
            known.rtt = Some(rtt);
            if known.has_new_rtt() {
                state.tell(*peer);
            }
        }
    }

    /// Messages to the peer were dropped, and all that were not have gone.
    pub(super) fn note_loss(&self, peer: &PeerId) {
        let mut state = self.lock();
        if let Some(known) = state.peers.get_mut(peer) {
            known.lost = true;
            state.tell(*peer);
        }
    }

    pub(super) fn note_stranger(&self, peer: &PeerId) {
        self.lock().counts.strangers += 1;
        self.events.tell(NodeEvent::StrangerRefused(*peer));
    }

    /// Something waits to be heard.
    pub(super) fn note_message(&self) {
        let waker = self.lock().message_waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn publish(&self, bytes: &Bytes) {
        let peers: Vec<PeerId> = self.lock().peers.keys().copied().collect();
        for peer in peers {
            self.send(&peer, bytes.clone());
        }
    }

    pub(super) fn send(&self, to: &PeerId, bytes: Bytes) {
        if !self.may_talk(to) || bytes.len() > self.limits.message_len {
            return;
        }
        let mut state = self.lock();
        let Some(link) = state.peers.get(to).and_then(|peer| peer.links().next()).cloned() else { return };
        if link.outbound.offer(bytes) {
            state.counts.sent += 1;
        } else {
            state.counts.dropped += 1;
        }
    }

    pub(super) fn poll_receive(&self, cx: &Context<'_>) -> Poll<Option<Heard<PeerId>>> {
        loop {
            let mut state = self.lock();
            if state.is_closed {
                return Poll::Ready(None);
            }
            let Some((from, bytes)) = state.take_message() else {
                state.message_waker = Some(cx.waker().clone());
                return Poll::Pending;
            };
            drop(state);
            if self.may_talk(&from) {
                self.lock().counts.received += 1;
                return Poll::Ready(Some(Heard::Message { from: Some(from), bytes }));
            }
        }
    }

    pub(super) fn poll_event(&self, cx: &Context<'_>) -> Poll<Option<MemberEvent<PeerId>>> {
        let mut state = self.lock();
        if state.is_closed {
            return Poll::Ready(None);
        }
        while let Some(id) = state.untold.pop_first() {
            let Some(event) = state.next_event(id) else { continue };
            drop(state);
            match &event {
                MemberEvent::Up { peer, .. } => self.events.tell(NodeEvent::MemberUp(*peer)),
                MemberEvent::Down { peer } => self.events.tell(NodeEvent::MemberDown(*peer)),
                _ => {}
            }
            return Poll::Ready(Some(event));
        }
        state.member_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        for link in state.peers.values().flat_map(Peer::links) {
            link.stop.cancel();
        }
        let wakers = [state.member_waker.take(), state.message_waker.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Whether the peer still may hear and be heard. If not, its links end.
    fn may_talk(&self, peer: &PeerId) -> bool {
        let may = self.admits(peer);
        if !may && let Some(known) = self.lock().peers.get(peer) {
            known.links().for_each(|link| link.stop.cancel());
        }
        may
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Has the membership look at a peer.
    fn tell(&mut self, peer: PeerId) {
        self.untold.insert(peer);
        if let Some(waker) = self.member_waker.take() {
            waker.wake();
        }
    }

    /// What there is to tell of a peer, if anything.
    fn next_event(&mut self, id: PeerId) -> Option<MemberEvent<PeerId>> {
        let peer = self.peers.get_mut(&id)?;
        let has_links = peer.links().next().is_some();
        if !has_links {
            let was_up = peer.is_up;
            self.peers.remove(&id);
            return was_up.then_some(MemberEvent::Down { peer: id });
        }
        if !peer.is_up || peer.has_new_rtt() {
            // What was lost before it was up does not matter: it is greeted now.
            peer.lost &= peer.is_up;
            peer.is_up = true;
            peer.told_rtt = peer.rtt;
            let event = MemberEvent::Up { peer: id, rtt: peer.rtt };
            if peer.lost {
                self.untold.insert(id);
            }
            return Some(event);
        }
        std::mem::take(&mut peer.lost).then_some(MemberEvent::Reconnected { peer: id })
    }

    /// Takes a message from the next peer in turn that has one. Peers of whom the membership has not told yet wait: what comes
    /// from others than members is ignored.
    fn take_message(&mut self) -> Option<(PeerId, Bytes)> {
        let begin = self.last_heard.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.peers.range((begin, Bound::Unbounded));
        let found = behind.chain(self.peers.iter()).filter(|(_, peer)| peer.is_up).find_map(|(id, peer)| {
            let message = peer.links().find_map(|link| link.inbound.take())?;
            Some((*id, message))
        });
        if let Some((id, _)) = &found {
            self.last_heard = Some(*id);
        }
        found
    }
}
