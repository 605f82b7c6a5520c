//! Signed packets, and which of them count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use syncline_core::clock::Timestamp;
use syncline_crypto::{Domain, Ed25519, PublicKey, Signature, SigningKey};
use syncline_kv::NamespaceId;
use syncline_net::PeerId;

use super::identity::take;

const PACKET: Domain = Domain::new("syncline/kv/swim-packet/v1");
const VERSION: u8 = 1;

/// Version, sender, time, number.
const HEAD_LEN: usize = 1 + PublicKey::LEN + 8 + 8;
/// What a packet takes beside its inside.
pub(super) const OVERHEAD: usize = HEAD_LEN + Signature::LEN;

/// Signs a packet for one receiver.
pub(super) fn seal(
    key: &SigningKey,
    namespace: &NamespaceId,
    to: &PeerId,
    now: Timestamp,
    number: u64,
    inside: &[u8],
) -> Vec<u8> {
    let mut packet = vec![VERSION];
    packet.extend_from_slice(key.public_key().as_bytes());
    packet.extend_from_slice(&now.as_millis().to_be_bytes());
    packet.extend_from_slice(&number.to_be_bytes());
    packet.extend_from_slice(inside);
    let signature = key.sign(&PACKET.message(&signed(namespace, to, &packet)));
    packet.extend_from_slice(signature.as_bytes());
    packet
}

/// What is signed: the namespace and the receiver, which do not travel, and all but the signature.
fn signed(namespace: &NamespaceId, to: &PeerId, packet: &[u8]) -> Vec<u8> {
    [namespace.as_bytes().as_slice(), to.as_bytes(), packet].concat()
}

/// A packet whose signature is still to be checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) sender: PeerId,
    pub(super) time: Timestamp,
    pub(super) number: u64,
    pub(super) inside: &'a [u8],
    unsigned: &'a [u8],
    signature: Signature,
}

impl<'a> Packet<'a> {
    /// Takes a packet apart.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (unsigned, signature) = bytes.split_last_chunk::<{ Signature::LEN }>()?;
        let mut rest = unsigned;
        if take(&mut rest)? != [VERSION] {
            return None;
        }
        Some(Self {
            sender: PublicKey::from_bytes(&take(&mut rest)?).ok()?,
            time: Timestamp::from_millis(u64::from_be_bytes(take(&mut rest)?)),
            number: u64::from_be_bytes(take(&mut rest)?),
            inside: rest,
            unsigned,
            signature: Signature::from_bytes(*signature),
        })
    }

    /// Whether its sender has made it for this receiver.
    pub(super) fn is_signed(&self, namespace: &NamespaceId, to: &PeerId) -> bool {
        PACKET.verify(&Ed25519, &self.sender, &signed(namespace, to, self.unsigned), &self.signature).is_ok()
    }
}

/// Which packets have counted. A sender cannot use up what is remembered of another.
#[derive(Debug)]
pub(super) struct Seen {
    by_sender: BTreeMap<PeerId, Window>,
    senders_max: usize,
    packets_max: usize,
    age: Duration,
}

#[derive(Debug, Default)]
struct Window {
    /// What was made then or before does not count any more.
    floor: u64,
    packets: BTreeSet<(u64, u64)>,
}

impl Seen {
    pub(super) fn new(senders_max: usize, packets_max: usize, age: Duration) -> Self {
        Self { by_sender: BTreeMap::new(), senders_max, packets_max: packets_max.max(1), age }
    }

    /// Whether a packet of this time may count at all.
    pub(super) fn is_timely(&self, now: Timestamp, time: Timestamp) -> bool {
        now.since(time) <= self.age && time.since(now) <= self.age
    }

    /// Notes a packet that is signed. Says whether it counts: it is timely and did not come before.
    pub(super) fn note(&mut self, now: Timestamp, packet: &Packet<'_>) -> bool {
        if !self.is_timely(now, packet.time) {
            return false;
        }
        let oldest = now.as_millis().saturating_sub(u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX));
        if !self.by_sender.contains_key(&packet.sender) && self.by_sender.len() >= self.senders_max {
            // Those of whom nothing is left that could come again.
            self.by_sender.retain(|_, window| window.packets.last().is_some_and(|(time, _)| *time >= oldest));
            if self.by_sender.len() >= self.senders_max {
                return false;
            }
        }
        let window = self.by_sender.entry(packet.sender).or_default();
        while window.packets.first().is_some_and(|(time, _)| *time < oldest) {
            window.packets.pop_first();
        }
        let time = packet.time.as_millis();
        if time <= window.floor && window.floor != 0 {
            return false;
        }
        let is_new = window.packets.insert((time, packet.number));
        while window.packets.len() > self.packets_max {
            if let Some((time, _)) = window.packets.pop_first() {
                window.floor = time;
                window.packets.retain(|(kept, _)| *kept > time);
            }
        }
        is_new
    }
}
