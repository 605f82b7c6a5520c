//! Who a member is and where, signed by itself.

use std::net::{IpAddr, SocketAddr};

use bytes::{Buf, BufMut};
use syncline_crypto::{Domain, Ed25519, PublicKey, Signature, SigningKey};
use syncline_kv::NamespaceId;
use syncline_net::PeerId;

const MEMBER: Domain = Domain::new("syncline/kv/swim-member/v1");

/// A member in one life: after it was thought to be gone, it has a greater generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SwimId {
    pub(super) peer: PeerId,
    pub(super) udp: SocketAddr,
    pub(super) quic: SocketAddr,
    pub(super) generation: u64,
    signature: Signature,
}

impl SwimId {
    /// Somebody of whom only this is known: good for an announcement and nothing else.
    pub(super) fn unsigned(peer: PeerId, udp: SocketAddr) -> Self {
        Self { peer, udp, quic: udp, generation: 0, signature: Signature::from_bytes([0; Signature::LEN]) }
    }

    fn signed_bytes(&self, namespace: &NamespaceId) -> Vec<u8> {
        let mut bytes = namespace.as_bytes().to_vec();
        self.put_fields(&mut bytes);
        bytes
    }

    fn put_fields(&self, out: &mut impl BufMut) {
        out.put_slice(self.peer.as_bytes());
        put_addr(out, self.udp);
        put_addr(out, self.quic);
        out.put_u64(self.generation);
    }

    /// Whether the member itself has said so.
    pub(super) fn is_signed(&self, namespace: &NamespaceId) -> bool {
        MEMBER.verify(&Ed25519, &self.peer, &self.signed_bytes(namespace), &self.signature).is_ok()
    }

    pub(super) fn encoded_len(&self) -> usize {
        PublicKey::LEN + addr_len(self.udp) + addr_len(self.quic) + 8 + Signature::LEN
    }

    pub(super) fn encode(&self, out: &mut impl BufMut) {
        self.put_fields(out);
        out.put_slice(self.signature.as_bytes());
    }

    pub(super) fn decode(from: &mut impl Buf) -> Option<Self> {
        Some(Self {
            peer: PublicKey::from_bytes(&take(from)?).ok()?,
            udp: take_addr(from)?,
            quic: take_addr(from)?,
            generation: u64::from_be_bytes(take(from)?),
            signature: Signature::from_bytes(take(from)?),
        })
    }
}

impl foca::Identity for SwimId {
    type Addr = PeerId;

    /// It takes the key to sign a new one; see [`SelfSigner::renewed`].
    fn renew(&self) -> Option<Self> {
        None
    }

    fn addr(&self) -> PeerId {
        self.peer
    }

    fn win_addr_conflict(&self, other: &Self) -> bool {
        (self.generation, self.signature.as_bytes()) > (other.generation, other.signature.as_bytes())
    }
}

/// Signs who this node is.
pub(super) struct SelfSigner {
    pub(super) key: SigningKey,
    pub(super) namespace: NamespaceId,
    udp: SocketAddr,
    quic: SocketAddr,
}

impl SelfSigner {
    pub(super) fn new(key: SigningKey, namespace: NamespaceId, udp: SocketAddr, quic: SocketAddr) -> Self {
        Self { key, namespace, udp, quic }
    }

    /// This node in a life whose number is at least `generation`, and greater than that of another one.
    pub(super) fn renewed(&self, generation: u64, before: Option<&SwimId>) -> SwimId {
        let generation = before.map_or(generation, |before| generation.max(before.generation.saturating_add(1)));
        let mut id = SwimId { quic: self.quic, generation, ..SwimId::unsigned(self.key.public_key(), self.udp) };
        id.signature = self.key.sign(&MEMBER.message(&id.signed_bytes(&self.namespace)));
        id
    }
}

fn addr_len(addr: SocketAddr) -> usize {
    if addr.is_ipv4() { 1 + 4 + 2 } else { 1 + 16 + 2 }
}

fn put_addr(out: &mut impl BufMut, addr: SocketAddr) {
    match addr.ip() {
        IpAddr::V4(ip) => {
            out.put_u8(4);
            out.put_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.put_u8(6);
            out.put_slice(&ip.octets());
        }
    }
    out.put_u16(addr.port());
}

fn take_addr(from: &mut impl Buf) -> Option<SocketAddr> {
    let [family] = take(from)?;
    let ip: IpAddr = match family {
        4 => take::<4>(from)?.into(),
        6 => take::<16>(from)?.into(),
        _ => return None,
    };
    let port = u16::from_be_bytes(take(from)?);
    (port != 0).then_some(SocketAddr::new(ip, port))
}

pub(super) fn take<const N: usize>(from: &mut impl Buf) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    from.try_copy_to_slice(&mut bytes).ok()?;
    Some(bytes)
}
