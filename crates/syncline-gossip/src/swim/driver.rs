//! Connects the state machine to a socket and to the time.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use foca::{AccumulatingRuntime, Config, Foca, NoCustomBroadcast, OwnedNotification, PeriodicParams, Timer};
use rand_core::TryRng;
use syncline_core::clock::{Clock, SystemClock};
use syncline_crypto::Hash;
use syncline_net::{PeerAddr, PeerId};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::codec::{SwimCodec, sift};
use super::envelope::{OVERHEAD, Packet, Seen, seal};
use super::identity::{SelfSigner, SwimId};
use super::{Shared, SwimConfig, SwimMember, count};
use crate::links::Admits;
use crate::{AddressBook, random};

/// Records of members whose signatures were verified and are remembered, per member that there may be.
const VERIFIED_PER_MEMBER: usize = 4;
/// How often it is checked whether members may still read.
const RECHECK: Duration = Duration::from_millis(500);

/// Randomness for the choice of members. Without any, choices are poor and nothing else.
struct Choice;

impl TryRng for Choice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let [a, b, c, d, ..] = random::number().to_le_bytes();
        Ok(u32::from_le_bytes([a, b, c, d]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(random::number())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.chunks_mut(8).for_each(|chunk| {
            let number = random::number().to_le_bytes();
            chunk.iter_mut().zip(number).for_each(|(byte, random)| *byte = random);
        });
        Ok(())
    }
}

/// Who may be let in, and whose records are genuine.
struct Gate {
    signer: SelfSigner,
    admits: Admits,
    verified: BTreeSet<Hash>,
    verified_max: usize,
}

impl Gate {
    /// Whether a member may take part and has itself signed where it is. This node counts as one.
    fn counts(&mut self, id: &SwimId) -> bool {
        (id.peer == self.signer.key.public_key() || (self.admits)(&id.peer)) && self.is_genuine(id)
    }

    fn is_genuine(&mut self, id: &SwimId) -> bool {
        let mut record = Vec::with_capacity(id.encoded_len());
        id.encode(&mut record);
        let hash = Hash::digest(&record);
        if self.verified.contains(&hash) {
            return true;
        }
        let is_genuine = id.is_signed(&self.signer.namespace);
        if is_genuine {
            if self.verified.len() >= self.verified_max {
                // They are verified again when they come again.
                self.verified.clear();
            }
            self.verified.insert(hash);
        }
        is_genuine
    }
}

/// The task.
pub(super) struct Driver {
    socket: UdpSocket,
    me: SwimId,
    gate: Gate,
    config: SwimConfig,
    foca: Foca<SwimId, SwimCodec, Choice, NoCustomBroadcast>,
    runtime: AccumulatingRuntime<SwimId>,
    timers: BTreeMap<(Instant, u64), Timer<SwimId>>,
    next_number: u64,
    seen: Seen,
    /// Those that foca takes for there.
    alive: BTreeMap<PeerId, SwimId>,
    /// Those that were put into the book here.
    booked: BTreeMap<PeerId, PeerAddr>,
    book: AddressBook,
    shared: Arc<Shared>,
}

impl Driver {
    pub(super) fn new(
        socket: UdpSocket,
        signer: SelfSigner,
        config: SwimConfig,
        admits: Admits,
        book: AddressBook,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let me = signer.renewed(SystemClock.now().as_millis(), None);
        let foca = Foca::new(me, foca_config(&config)?, Choice, SwimCodec);
        let verified_max = config.members.saturating_mul(VERIFIED_PER_MEMBER).max(16);
        Ok(Self {
            socket,
            me,
            gate: Gate { signer, admits, verified: BTreeSet::new(), verified_max },
            seen: Seen::new(config.members, config.packets_seen, config.packet_age),
            foca,
            runtime: AccumulatingRuntime::new(),
            timers: BTreeMap::new(),
            // Not those of an earlier start, whatever the clock says.
            next_number: random::number(),
            alive: BTreeMap::new(),
            booked: BTreeMap::new(),
            book,
            shared,
            config,
        })
    }

    pub(super) async fn run(mut self) {
        // One byte more than fits, so that what is too long is seen to be.
        let mut buffer = vec![0; self.config.packet_len.max(1_200) + 1];
        let mut announce = tokio::time::interval(self.config.announce.max(Duration::from_millis(10)));
        let mut recheck = tokio::time::interval(RECHECK);
        let (leave, stop) = (self.shared.leave.clone(), self.shared.stop.clone());
        loop {
            let due = self.timers.first_key_value().map(|((at, _), _)| *at);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = leave.cancelled() => {
                    let _ = self.foca.leave_cluster(&mut self.runtime);
                    self.settle().await;
                    break;
                }
                () = sleep_until(due) => self.fire(),
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((len, _)) => self.received(buffer.get(..len).unwrap_or_default()),
                    // An answer to what was sent, such as that nobody is there. Others still may be.
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                },
                _ = announce.tick() => self.announce(),
                _ = recheck.tick() => self.publish(),
            }
            self.settle().await;
        }
        for (peer, addr) in std::mem::take(&mut self.booked) {
            self.unbook(&peer, &addr);
        }
    }

    /// Hands on the timers that are due.
    fn fire(&mut self) {
        let now = Instant::now();
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                return;
            }
            // What foca does not expect any more is no fault.
            let _ = self.foca.handle_timer(entry.remove(), &mut self.runtime);
        }
    }

    /// Asks the seeds to be let in while nobody else is known.
    fn announce(&mut self) {
        if self.foca.iter_members().next().is_some() {
            return;
        }
        for seed in self.config.seeds.clone() {
            if seed.peer != self.me.peer {
                let _ = self.foca.announce(SwimId::unsigned(seed.peer, seed.addr), &mut self.runtime);
            }
        }
    }

    fn received(&mut self, bytes: &[u8]) {
        let shared = Arc::clone(&self.shared);
        let counters = &shared.counters;
        let now = SystemClock.now();
        let Some(packet) = Packet::parse(bytes).filter(|_| bytes.len() <= self.config.packet_len.max(1_200)) else {
            return count(&counters.forged);
        };
        // What is cheap to ask first.
        if !(self.gate.admits)(&packet.sender) {
            return count(&counters.strangers);
        }
        if !self.seen.is_timely(now, packet.time) {
            return count(&counters.replayed);
        }
        if !packet.is_signed(&self.gate.signer.namespace, &self.me.peer) {
            return count(&counters.forged);
        }
        if !self.seen.note(now, &packet) {
            return count(&counters.replayed);
        }
        let gate = &mut self.gate;
        let known = &self.alive;
        let members_max = self.config.members;
        let sifted = sift(packet.inside, |id| {
            let has_room = known.len() < members_max || known.contains_key(&id.peer) || id.peer == packet.sender;
            let may = has_room && gate.counts(id);
            if !may {
                count(&counters.members_refused);
            }
            may
        });
        match sifted {
            Some((src, inside)) if src.peer == packet.sender => {
                count(&counters.received);
                // A packet that comes too late for its purpose is no fault.
                let _ = self.foca.handle_data(&inside, &mut self.runtime);
            }
            _ => count(&counters.forged),
        }
    }

    /// Does what foca wants done.
    async fn settle(&mut self) {
        loop {
            while let Some((after, timer)) = self.runtime.to_schedule() {
                self.next_number = self.next_number.wrapping_add(1);
                self.timers.insert((Instant::now() + after, self.next_number), timer);
            }
            let mut is_changed = false;
            while let Some(notification) = self.runtime.to_notify() {
                is_changed |= self.note(notification);
            }
            if is_changed {
                self.publish();
            }
            let Some((to, inside)) = self.runtime.to_send() else {
                if self.runtime.backlog() == 0 {
                    return;
                }
                continue;
            };
            self.send(&to, &inside).await;
        }
    }

    async fn send(&mut self, to: &SwimId, inside: &[u8]) {
        self.next_number = self.next_number.wrapping_add(1);
        let signer = &self.gate.signer;
        let packet = seal(&signer.key, &signer.namespace, &to.peer, SystemClock.now(), self.next_number, inside);
        // As good as lost on the way.
        let _ = self.socket.send_to(&packet, to.udp).await;
        count(&self.shared.counters.sent);
    }

    /// Says whether the members may have changed.
    fn note(&mut self, notification: OwnedNotification<SwimId>) -> bool {
        match notification {
            OwnedNotification::MemberUp(id) => drop(self.alive.insert(id.peer, id)),
            OwnedNotification::MemberDown(id) => drop(self.alive.remove(&id.peer)),
            OwnedNotification::Rename(_, id) => {
                if let Some(known) = self.alive.get_mut(&id.peer) {
                    *known = id;
                }
            }
            // Others take this node for gone: it comes back in another life.
            OwnedNotification::Defunct => {
                if !self.shared.leave.is_cancelled() {
                    self.me = self.gate.signer.renewed(SystemClock.now().as_millis(), Some(&self.me));
                    let _ = self.foca.change_identity(self.me, &mut self.runtime);
                }
                return false;
            }
            OwnedNotification::Active | OwnedNotification::Idle | OwnedNotification::Rejoin(_) => return false,
        }
        true
    }

    /// Tells who is there and may be.
    fn publish(&mut self) {
        let mut members = BTreeMap::new();
        for (peer, id) in &self.alive {
            if (self.gate.admits)(peer) {
                members.insert(*peer, SwimMember { udp: id.udp, quic: id.quic });
            }
        }
        if *self.shared.members() == members {
            return;
        }
        let gone: Vec<_> = self.booked.extract_if(.., |peer, _| !members.contains_key(peer)).collect();
        for (peer, addr) in gone {
            self.unbook(&peer, &addr);
        }
        for (peer, member) in &members {
            self.register(*peer, member.quic);
        }
        *self.shared.members() = members;
        self.shared.changed.send_modify(|version| *version += 1);
    }

    /// Puts a member into the book, unless it is there by other means.
    fn register(&mut self, peer: PeerId, quic: SocketAddr) {
        let Ok(addr) = PeerAddr::at(peer, quic) else { return };
        let known = self.book.get(&peer);
        if known.is_none() || known.as_ref() == self.booked.get(&peer) {
            self.book.insert(addr.clone());
            self.booked.insert(peer, addr);
        }
    }

    /// Takes a member out of the book, unless somebody has put another address there.
    fn unbook(&self, peer: &PeerId, addr: &PeerAddr) {
        if self.book.get(peer).as_ref() == Some(addr) {
            self.book.remove(peer);
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn foca_config(config: &SwimConfig) -> io::Result<Config> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let packet_len = config.packet_len.clamp(1_200, 1_400);
    let three = NonZeroUsize::new(3).ok_or_else(invalid)?;
    let probe = config.probe.max(Duration::from_millis(10));
    Ok(Config {
        probe_period: probe,
        probe_rtt: config.answer.min(probe.mul_f32(0.9)),
        num_indirect_probes: three,
        max_transmissions: NonZeroU8::new(12).ok_or_else(invalid)?,
        suspect_to_down_after: config.suspect,
        remove_down_after: Some(config.suspect.saturating_mul(4).max(Duration::from_secs(60))),
        max_packet_size: NonZeroUsize::new(packet_len - OVERHEAD).ok_or_else(invalid)?,
        notify_down_members: true,
        periodic_announce: Some(PeriodicParams { frequency: probe.saturating_mul(20), num_members: NonZeroUsize::MIN }),
        periodic_announce_to_down_members: Some(PeriodicParams {
            frequency: probe.saturating_mul(20),
            num_members: NonZeroUsize::MIN,
        }),
        periodic_gossip: Some(PeriodicParams { frequency: probe / 4, num_members: three }),
    })
}
