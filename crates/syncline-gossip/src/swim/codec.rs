//! What members say to each other, within signed packets.

use bytes::{Buf, BufMut};
use foca::{Codec, Header, Member, Message, State};
use thiserror::Error;

use super::identity::{SwimId, take};

/// A packet's inside cannot be read, or there is no room for it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum CodecError {
    #[error("malformed")]
    Malformed,
    #[error("no room")]
    NoRoom,
}

/// Bytes of what comes with an identity in a member: incarnation and state.
const MEMBER_REST_LEN: usize = 2 + 1;

/// Writes and reads by hand. That identities are signed is checked before: see [`sift`].
#[derive(Clone, Copy, Debug)]
pub(super) struct SwimCodec;

impl Codec<SwimId> for SwimCodec {
    type Error = CodecError;

    fn encode_header(&mut self, header: &Header<SwimId>, mut out: impl BufMut) -> Result<(), CodecError> {
        let (kind, number, about) = match &header.message {
            Message::Ping(number) => (1, Some(*number), None),
            Message::Ack(number) => (2, Some(*number), None),
            Message::PingReq { target, probe_number } => (3, Some(*probe_number), Some(target)),
            Message::IndirectPing { origin, probe_number } => (4, Some(*probe_number), Some(origin)),
            Message::IndirectAck { target, probe_number } => (5, Some(*probe_number), Some(target)),
            Message::ForwardedAck { origin, probe_number } => (6, Some(*probe_number), Some(origin)),
            Message::Announce => (7, None, None),
            Message::Feed => (8, None, None),
            Message::Gossip => (9, None, None),
            Message::Broadcast => (10, None, None),
            Message::TurnUndead => (11, None, None),
        };
        let about_len = about.map_or(0, SwimId::encoded_len);
        let len =
            header.src.encoded_len() + 2 + header.dst.encoded_len() + 1 + usize::from(number.is_some()) + about_len;
        if out.remaining_mut() < len {
            return Err(CodecError::NoRoom);
        }
        header.src.encode(&mut out);
        out.put_u16(header.src_incarnation);
        header.dst.encode(&mut out);
        out.put_u8(kind);
        if let Some(number) = number {
            out.put_u8(number);
        }
        if let Some(about) = about {
            about.encode(&mut out);
        }
        Ok(())
    }

    fn decode_header(&mut self, mut from: impl Buf) -> Result<Header<SwimId>, CodecError> {
        read_header(&mut from).ok_or(CodecError::Malformed)
    }

    fn encode_member(&mut self, member: &Member<SwimId>, mut out: impl BufMut) -> Result<(), CodecError> {
        if out.remaining_mut() < member.id().encoded_len() + MEMBER_REST_LEN {
            return Err(CodecError::NoRoom);
        }
        member.id().encode(&mut out);
        out.put_u16(member.incarnation());
        out.put_u8(match member.state() {
            State::Alive => 0,
            State::Suspect => 1,
            State::Down => 2,
        });
        Ok(())
    }

    fn decode_member(&mut self, mut from: impl Buf) -> Result<Member<SwimId>, CodecError> {
        read_member(&mut from).ok_or(CodecError::Malformed)
    }
}

fn read_header(from: &mut impl Buf) -> Option<Header<SwimId>> {
    let src = SwimId::decode(from)?;
    let src_incarnation = u16::from_be_bytes(take(from)?);
    let dst = SwimId::decode(from)?;
    let [kind] = take(from)?;
    let mut number = || take::<1>(from).map(|[number]| number);
    let message = match kind {
        1 => Message::Ping(number()?),
        2 => Message::Ack(number()?),
        3..=6 => {
            let (probe_number, about) = (number()?, SwimId::decode(from)?);
            match kind {
                3 => Message::PingReq { target: about, probe_number },
                4 => Message::IndirectPing { origin: about, probe_number },
                5 => Message::IndirectAck { target: about, probe_number },
                _ => Message::ForwardedAck { origin: about, probe_number },
            }
        }
        7 => Message::Announce,
        8 => Message::Feed,
        9 => Message::Gossip,
        11 => Message::TurnUndead,
        // Nobody has anything to broadcast.
        _ => return None,
    };
    Some(Header { src, src_incarnation, dst, message })
}

fn read_member(from: &mut impl Buf) -> Option<Member<SwimId>> {
    let id = SwimId::decode(from)?;
    let incarnation = u16::from_be_bytes(take(from)?);
    let state = match take(from)? {
        [0] => State::Alive,
        [1] => State::Suspect,
        [2] => State::Down,
        _ => return None,
    };
    Some(Member::new(id, incarnation, state))
}

/// Reads a packet's inside, and writes it again with only those in it that `counts` accepts. `None` if it is malformed, or if
/// somebody in its head is not accepted. The receiver's own name counts as the packet's: it was signed for it.
pub(super) fn sift(mut packet: &[u8], mut counts: impl FnMut(&SwimId) -> bool) -> Option<(SwimId, Vec<u8>)> {
    let header = read_header(&mut packet)?;
    let about = match &header.message {
        Message::PingReq { target: about, .. }
        | Message::IndirectPing { origin: about, .. }
        | Message::IndirectAck { target: about, .. }
        | Message::ForwardedAck { origin: about, .. } => Some(about),
        _ => None,
    };
    if !counts(&header.src) || about.is_some_and(|about| !counts(about)) {
        return None;
    }
    let mut out = Vec::with_capacity(packet.len());
    SwimCodec.encode_header(&header, &mut out).ok()?;
    if packet.is_empty() {
        return Some((header.src, out));
    }
    let claimed = u16::from_be_bytes(take(&mut packet)?);
    let mut members = Vec::new();
    for _ in 0..claimed {
        let member = read_member(&mut packet)?;
        if counts(member.id()) {
            members.push(member);
        }
    }
    if !packet.is_empty() {
        return None;
    }
    // No more than were claimed.
    out.put_u16(u16::try_from(members.len()).ok()?);
    for member in &members {
        SwimCodec.encode_member(member, &mut out).ok()?;
    }
    Some((header.src, out))
}
