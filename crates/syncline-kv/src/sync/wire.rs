//! The messages of `syncline-kv/1`, byte by byte as `docs/spec/kv-sync.md` describes them.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use syncline_core::cbor::{Kind, ReadError, Reader, Writer};
use thiserror::Error;

use crate::item::NamespaceId;
use crate::path::Subtree;
use crate::tree::SetName;

/// The version of the protocol.
pub(super) const VERSION: u64 = 1;

/// A [`Message::Ping`].
pub(super) const PING: Bytes = Bytes::from_static(b"\x81\x0a");

/// 16 random bytes that one side brings into a session.
pub(super) type Nonce = [u8; 16];

/// What a set holds, under a session's nonce.
pub(super) type Digest = [u8; 16];

/// What a side can and wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// It would stay open when both have caught up.
    pub(super) live: bool,
    /// Revocations are shown when an item is refused for them, and not reconciled.
    pub(super) on_rejection: bool,
}

impl Capabilities {
    const LIVE: u64 = 1;
    const ON_REJECTION: u64 = 2;

    fn bits(self) -> u64 {
        u64::from(self.live) * Self::LIVE + u64::from(self.on_rejection) * Self::ON_REJECTION
    }

    fn from_bits(bits: u64) -> Result<Self, WireError> {
        if bits > Self::LIVE + Self::ON_REJECTION {
            return Err(WireError::Value);
        }
        Ok(Self { live: bits & Self::LIVE != 0, on_rejection: bits & Self::ON_REJECTION != 0 })
    }
}

/// How many items a side holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Grants, revocations and rotations, all of them.
    pub(super) system: u64,
    /// Entries below the prefix.
    pub(super) entries: u64,
}

impl Counts {
    pub(super) fn of(self, set: SetName) -> u64 {
        match set {
            SetName::System => self.system,
            SetName::Entries => self.entries,
        }
    }
}

/// The initiator's first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) version_min: u64,
    pub(super) version_max: u64,
    pub(super) capabilities: Capabilities,
    pub(super) nonce: Nonce,
    pub(super) namespace: NamespaceId,
    pub(super) prefix: Subtree,
    pub(super) counts: Counts,
    pub(super) system: Digest,
    pub(super) entries: Digest,
}

/// The acceptor's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Welcome {
    pub(super) version: u64,
    pub(super) capabilities: Capabilities,
    pub(super) nonce: Nonce,
    pub(super) counts: Counts,
    pub(super) system_equal: bool,
    pub(super) entries_equal: bool,
}

/// An item that was not taken, and will not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) id: [u8; 32],
    pub(super) code: RefusedCode,
    /// The revocation for which it was refused, if it was not shown before.
    pub(super) revocation: Option<Bytes>,
}

/// Why an item was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RefusedCode {
    /// It rests on a grant that is revoked.
    Revoked = 0,
    /// Its author may not do that.
    Unauthorized = 1,
    /// The quota of a grant leaves no room.
    OverQuota = 2,
    /// Its key was deleted since.
    Collected = 3,
    /// It is not an item of this tree, or breaks a limit.
    Invalid = 4,
}

impl RefusedCode {
    fn from_number(number: u64) -> Result<Self, WireError> {
        Ok(match number {
            0 => Self::Revoked,
            1 => Self::Unauthorized,
            2 => Self::OverQuota,
            3 => Self::Collected,
            4 => Self::Invalid,
            _ => return Err(WireError::Value),
        })
    }
}

/// A message from the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Item(Bytes),
    Hello(Box<Hello>),
    Welcome(Welcome),
    Refuse,
    Reconcile { set: SetName, message: Bytes },
    SystemEnd,
    CaughtUp,
    Again,
    Refused(Refused),
    Done { items: u64 },
    Ack { items: u64, settled: bool },
    Ping,
}

impl Message {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Item(_) => "item",
            Self::Hello(_) => "hello",
            Self::Welcome(_) => "welcome",
            Self::Refuse => "refuse",
            Self::Reconcile { .. } => "reconcile",
            Self::SystemEnd => "system end",
            Self::CaughtUp => "caught up",
            Self::Again => "again",
            Self::Refused(_) => "refused",
            Self::Done { .. } => "done",
            Self::Ack { .. } => "ack",
            Self::Ping => "ping",
        }
    }
}

/// Why a message cannot be understood.
#[derive(Debug, Error)]
pub(super) enum WireError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("unknown kind of message: {0}")]
    UnknownKind(u64),
    #[error("a message has {found} parts")]
    Arity { found: u64 },
    #[error("a value is out of its range")]
    Value,
    #[error("the prefix is not a path")]
    Prefix,
    #[error("a message is not in its deterministic encoding")]
    NotDeterministic,
}

mod kind {
    pub(super) const HELLO: u64 = 0;
    pub(super) const WELCOME: u64 = 1;
    pub(super) const REFUSE: u64 = 2;
    pub(super) const RECONCILE: u64 = 3;
    pub(super) const SYSTEM_END: u64 = 4;
    pub(super) const CAUGHT_UP: u64 = 5;
    pub(super) const AGAIN: u64 = 6;
    pub(super) const REFUSED: u64 = 7;
    pub(super) const DONE: u64 = 8;
    pub(super) const ACK: u64 = 9;
    pub(super) const PING: u64 = 10;
}

/// Appends a message.
pub(super) fn encode(out: &mut BytesMut, message: &Message) {
    let mut writer = Writer::new(out);
    match message {
        Message::Item(item) => {
            writer.bytes(item);
        }
        Message::Hello(hello) => encode_hello(&mut writer, hello),
        Message::Welcome(welcome) => {
            writer.array(8).unsigned(kind::WELCOME).unsigned(welcome.version);
            writer.unsigned(welcome.capabilities.bits()).bytes(&welcome.nonce);
            writer.unsigned(welcome.counts.system).unsigned(welcome.counts.entries);
            writer.bool(welcome.system_equal).bool(welcome.entries_equal);
        }
        Message::Refuse => alone(&mut writer, kind::REFUSE),
        Message::Reconcile { set, message } => {
            writer.array(3).unsigned(kind::RECONCILE).unsigned(set_number(*set)).bytes(message);
        }
        Message::SystemEnd => alone(&mut writer, kind::SYSTEM_END),
        Message::CaughtUp => alone(&mut writer, kind::CAUGHT_UP),
        Message::Again => alone(&mut writer, kind::AGAIN),
        Message::Refused(refused) => {
            writer.array(4).unsigned(kind::REFUSED).bytes(&refused.id).unsigned(refused.code as u64);
            match &refused.revocation {
                Some(revocation) => writer.bytes(revocation),
                None => writer.null(),
            };
        }
        Message::Done { items } => {
            writer.array(2).unsigned(kind::DONE).unsigned(*items);
        }
        Message::Ack { items, settled } => {
            writer.array(3).unsigned(kind::ACK).unsigned(*items).bool(*settled);
        }
        Message::Ping => alone(&mut writer, kind::PING),
    }
}

fn alone(writer: &mut Writer<'_>, kind: u64) {
    writer.array(1).unsigned(kind);
}

fn set_number(set: SetName) -> u64 {
    match set {
        SetName::System => 0,
        SetName::Entries => 1,
    }
}

fn encode_hello(writer: &mut Writer<'_>, hello: &Hello) {
    writer.array(11).unsigned(kind::HELLO).unsigned(hello.version_min).unsigned(hello.version_max);
    writer.unsigned(hello.capabilities.bits()).bytes(&hello.nonce);
    writer.bytes(hello.namespace.as_bytes()).text(hello.prefix.as_str());
    writer.unsigned(hello.counts.system).unsigned(hello.counts.entries);
    writer.bytes(&hello.system).bytes(&hello.entries);
}

/// Decodes one whole frame.
pub(super) fn decode(frame: &[u8]) -> Result<Message, WireError> {
    let mut reader = Reader::new(frame);
    if reader.kind()? == Kind::Bytes {
        let item = byte_string(&mut reader)?;
        exactly(frame, encoded_len(item.len()))?;
        return Ok(Message::Item(Bytes::copy_from_slice(item)));
    }
    let parts = reader.array()?.ok_or(WireError::NotDeterministic)?;
    let kind = reader.unsigned()?;
    let message = decode_parts(&mut reader, kind, parts)?;
    if !reader.is_at_end() {
        return Err(WireError::Arity { found: parts });
    }
    if let Message::Reconcile { message, .. } = &message {
        exactly(frame, 3 + encoded_len(message.len()))?;
        return Ok(Message::Reconcile { set: set_of(frame)?, message: message.clone() });
    }
    let mut again = BytesMut::with_capacity(frame.len());
    encode(&mut again, &message);
    if again != frame {
        return Err(WireError::NotDeterministic);
    }
    Ok(message)
}

/// Which set a reconcile message is about: its third byte, if its heads are the shortest.
fn set_of(frame: &[u8]) -> Result<SetName, WireError> {
    match frame.get(2) {
        Some(0) => Ok(SetName::System),
        Some(1) => Ok(SetName::Entries),
        _ => Err(WireError::NotDeterministic),
    }
}

fn decode_parts(reader: &mut Reader<'_>, kind: u64, parts: u64) -> Result<Message, WireError> {
    let expected = match kind {
        kind::HELLO => 11,
        kind::WELCOME => 8,
        kind::REFUSED => 4,
        kind::RECONCILE | kind::ACK => 3,
        kind::DONE => 2,
        kind::REFUSE | kind::SYSTEM_END | kind::CAUGHT_UP | kind::AGAIN | kind::PING => 1,
        other => return Err(WireError::UnknownKind(other)),
    };
    if parts != expected {
        return Err(WireError::Arity { found: parts });
    }
    Ok(match kind {
        kind::HELLO => Message::Hello(Box::new(decode_hello(reader)?)),
        kind::WELCOME => Message::Welcome(decode_welcome(reader)?),
        kind::REFUSE => Message::Refuse,
        kind::RECONCILE => {
            let set = if reader.unsigned()? == 0 { SetName::System } else { SetName::Entries };
            Message::Reconcile { set, message: Bytes::copy_from_slice(byte_string(reader)?) }
        }
        kind::SYSTEM_END => Message::SystemEnd,
        kind::CAUGHT_UP => Message::CaughtUp,
        kind::AGAIN => Message::Again,
        kind::REFUSED => {
            let (id, code) = (*reader.byte_array()?, RefusedCode::from_number(reader.unsigned()?)?);
            let revocation = match reader.null() {
                true => None,
                false => Some(Bytes::copy_from_slice(byte_string(reader)?)),
            };
            Message::Refused(Refused { id, code, revocation })
        }
        kind::DONE => Message::Done { items: reader.unsigned()? },
        kind::ACK => Message::Ack { items: reader.unsigned()?, settled: reader.bool()? },
        _ => Message::Ping,
    })
}

fn decode_hello(reader: &mut Reader<'_>) -> Result<Hello, WireError> {
    let (version_min, version_max) = (reader.unsigned()?, reader.unsigned()?);
    let (capabilities, nonce) = (Capabilities::from_bits(reader.unsigned()?)?, *reader.byte_array()?);
    let namespace = NamespaceId::from_bytes(*reader.byte_array()?);
    let prefix = reader.text()?;
    let prefix = std::str::from_utf8(&prefix).map_err(|_| WireError::Prefix)?;
    Ok(Hello {
        version_min,
        version_max,
        capabilities,
        nonce,
        namespace,
        prefix: prefix.parse().map_err(|_| WireError::Prefix)?,
        counts: Counts { system: reader.unsigned()?, entries: reader.unsigned()? },
        system: *reader.byte_array()?,
        entries: *reader.byte_array()?,
    })
}

fn decode_welcome(reader: &mut Reader<'_>) -> Result<Welcome, WireError> {
    Ok(Welcome {
        version: reader.unsigned()?,
        capabilities: Capabilities::from_bits(reader.unsigned()?)?,
        nonce: *reader.byte_array()?,
        counts: Counts { system: reader.unsigned()?, entries: reader.unsigned()? },
        system_equal: reader.bool()?,
        entries_equal: reader.bool()?,
    })
}

/// A definite byte string.
fn byte_string<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], WireError> {
    match reader.bytes()? {
        Cow::Borrowed(bytes) => Ok(bytes),
        Cow::Owned(_) => Err(WireError::NotDeterministic),
    }
}

/// The shortest heads are the only ones that make a frame this short.
fn exactly(frame: &[u8], len: usize) -> Result<(), WireError> {
    if frame.len() == len { Ok(()) } else { Err(WireError::NotDeterministic) }
}

fn encoded_len(len: usize) -> usize {
    len + match len {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

#[cfg(test)]
mod tests;
