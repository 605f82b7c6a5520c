//! The messages of `syncline-log/2`, byte by byte as `docs/spec/log-v2.md` describes them.

use bytes::{BufMut, Bytes, BytesMut};
use syncline_core::cbor::{Kind, ReadError, Reader, Writer};
use syncline_crypto::{Hash, PublicKey};
use thiserror::Error;

use super::secrecy::{Mac, Nonce};
use crate::SeqNum;
use crate::store::{LogId, Tip};

/// The most bytes of an encoded log id: what stores take.
const LOG_ID_LEN_MAX: usize = 1_024;

/// CBOR's null. Undefined, which a reader takes for it, is another value.
const NULL: u8 = 0xf6;

/// A [`Message::Ping`].
pub(super) const PING: Bytes = Bytes::from_static(b"\x81\x0c");

/// The version of the protocol.
pub(super) const VERSION: u64 = 2;

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Sync = 0,
    FetchPayloads = 1,
}

/// How the topic is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TopicName {
    /// Its encoding.
    Clear(Vec<u8>),
    /// What only those can tell who know it.
    Secret(Mac),
}

/// The initiator's first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) version_min: u64,
    pub(super) version_max: u64,
    pub(super) purpose: u64,
    pub(super) live: bool,
    pub(super) body_len_max: u64,
    pub(super) nonce: Nonce,
    pub(super) topic: TopicName,
    pub(super) summary: Mac,
    /// Logs that have operations; not told of a secret topic.
    pub(super) count: Option<u64>,
}

/// The acceptor's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Welcome {
    pub(super) version: u64,
    pub(super) live: bool,
    pub(super) body_len_max: u64,
    pub(super) nonce: Nonce,
    pub(super) is_equal: bool,
    pub(super) proof: Mac,
    pub(super) count: Option<u64>,
}

/// Why the acceptor does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The topic is not known, or not for this peer.
    Topic = 0,
    Version = 1,
    Purpose = 2,
}

/// A message from the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message<L> {
    Operation { header: Bytes, body: Payload },
    Hello(Hello),
    Welcome(Welcome),
    Refuse(Refusal),
    Proof(Mac),
    Ranges(Vec<u8>),
    Height { author: PublicKey, log_id: L, tip: Tip },
    HeightsEnd,
    Log { author: PublicKey, log_id: L, from: SeqNum },
    CaughtUp,
    Done,
    Ack,
    Stop { author: PublicKey, log_id: L },
    Ping,
    Want(Vec<Hash>),
    Body { operation: Hash, body: Option<Bytes> },
}

/// What comes with a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    Here(Bytes),
    /// The operation has none, or the sender has it no more.
    None,
    /// The sender has it, and the receiver did not want it yet.
    Withheld,
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
    #[error("a public key is not one")]
    Key,
    #[error("a log id does not fit")]
    LogId(#[source] ciborium::de::Error<std::io::Error>),
    #[error("a message is not in its deterministic encoding")]
    NotDeterministic,
}

mod kind {
    pub(super) const HELLO: u64 = 0;
    pub(super) const WELCOME: u64 = 1;
    pub(super) const REFUSE: u64 = 2;
    pub(super) const PROOF: u64 = 3;
    pub(super) const RANGES: u64 = 4;
    pub(super) const HEIGHT: u64 = 5;
    pub(super) const HEIGHTS_END: u64 = 6;
    pub(super) const LOG: u64 = 7;
    pub(super) const CAUGHT_UP: u64 = 8;
    pub(super) const DONE: u64 = 9;
    pub(super) const ACK: u64 = 10;
    pub(super) const STOP: u64 = 11;
    pub(super) const PING: u64 = 12;
    pub(super) const WANT: u64 = 13;
    pub(super) const BODY: u64 = 14;
}

/// Appends an operation: the message that most bytes are spent on.
pub(super) fn encode_operation(out: &mut BytesMut, header: &[u8], body: &Payload) {
    let body_len = if let Payload::Here(body) = body { body.len() } else { 0 };
    out.reserve(11 + header.len() + body_len);
    let mut writer = Writer::new(out);
    writer.array(2).bytes(header);
    match body {
        Payload::Here(body) => writer.bytes(body),
        Payload::None => writer.null(),
        Payload::Withheld => writer.bool(false),
    };
}

/// Appends any message.
pub(super) fn encode<L: LogId>(out: &mut BytesMut, message: &Message<L>) {
    let mut writer = Writer::new(out);
    match message {
        Message::Operation { header, body } => encode_operation(out, header, body),
        Message::Hello(hello) => encode_hello(&mut writer, hello),
        Message::Welcome(welcome) => encode_welcome(&mut writer, welcome),
        Message::Refuse(why) => {
            writer.array(2).unsigned(kind::REFUSE).unsigned(*why as u64);
        }
        Message::Proof(mac) => {
            writer.array(2).unsigned(kind::PROOF).bytes(mac);
        }
        Message::Ranges(ranges) => {
            writer.array(2).unsigned(kind::RANGES).bytes(ranges);
        }
        Message::Height { author, log_id, tip } => {
            writer.array(5).unsigned(kind::HEIGHT);
            encode_log(out, author, log_id);
            Writer::new(out).unsigned(tip.seq_num.get()).bytes(tip.hash.as_bytes());
        }
        Message::HeightsEnd => alone(&mut writer, kind::HEIGHTS_END),
        Message::Log { author, log_id, from } => {
            writer.array(4).unsigned(kind::LOG);
            encode_log(out, author, log_id);
            Writer::new(out).unsigned(from.get());
        }
        Message::CaughtUp => alone(&mut writer, kind::CAUGHT_UP),
        Message::Done => alone(&mut writer, kind::DONE),
        Message::Ack => alone(&mut writer, kind::ACK),
        Message::Stop { author, log_id } => {
            writer.array(3).unsigned(kind::STOP);
            encode_log(out, author, log_id);
        }
        Message::Ping => alone(&mut writer, kind::PING),
        Message::Want(hashes) => {
            writer.array(2).unsigned(kind::WANT).array(hashes.len() as u64);
            for hash in hashes {
                writer.bytes(hash.as_bytes());
            }
        }
        Message::Body { operation, body } => {
            writer.array(3).unsigned(kind::BODY).bytes(operation.as_bytes());
            match body {
                Some(body) => writer.bytes(body),
                None => writer.null(),
            };
        }
    }
}

fn alone(writer: &mut Writer<'_>, kind: u64) {
    writer.array(1).unsigned(kind);
}

fn encode_hello(writer: &mut Writer<'_>, hello: &Hello) {
    writer.array(10).unsigned(kind::HELLO).unsigned(hello.version_min).unsigned(hello.version_max);
    writer.unsigned(hello.purpose).bool(hello.live);
    optional(writer, limited(hello.body_len_max));
    writer.bytes(&hello.nonce);
    match &hello.topic {
        TopicName::Clear(topic) => writer.bytes(topic),
        TopicName::Secret(mac) => writer.array(1).bytes(mac),
    };
    writer.bytes(&hello.summary);
    optional(writer, hello.count);
}

fn encode_welcome(writer: &mut Writer<'_>, welcome: &Welcome) {
    writer.array(8).unsigned(kind::WELCOME).unsigned(welcome.version).bool(welcome.live);
    optional(writer, limited(welcome.body_len_max));
    writer.bytes(&welcome.nonce).bool(welcome.is_equal).bytes(&welcome.proof);
    optional(writer, welcome.count);
}

/// No limit is written as null.
fn limited(len: u64) -> Option<u64> {
    (len < u64::MAX).then_some(len)
}

fn optional(writer: &mut Writer<'_>, value: Option<u64>) {
    match value {
        Some(value) => writer.unsigned(value),
        None => writer.null(),
    };
}

fn encode_log<L: LogId>(out: &mut BytesMut, author: &PublicKey, log_id: &L) {
    Writer::new(out).bytes(author.as_bytes());
    let start = out.len();
    // A log id that cannot be encoded was refused before it could get into a store.
    if ciborium::into_writer(log_id, (&mut *out).writer()).is_err() {
        out.truncate(start);
        Writer::new(out).null();
    }
}

/// Decodes one whole frame.
pub(super) fn decode<L: LogId>(frame: &[u8]) -> Result<Message<L>, WireError> {
    let mut reader = Reader::new(frame);
    let parts = reader.array()?.ok_or(WireError::NotDeterministic)?;
    if reader.kind()? == Kind::Bytes {
        return decode_operation(frame, reader, parts);
    }
    let kind = reader.unsigned()?;
    let message = decode_control(frame, &mut reader, kind, parts)?;
    if !reader.is_at_end() {
        return Err(WireError::Arity { found: parts });
    }
    if !matches!(message, Message::Ranges(_) | Message::Body { .. }) {
        let mut again = BytesMut::with_capacity(frame.len());
        encode(&mut again, &message);
        if again != frame {
            return Err(WireError::NotDeterministic);
        }
    }
    Ok(message)
}

fn decode_operation<L>(frame: &[u8], mut reader: Reader<'_>, parts: u64) -> Result<Message<L>, WireError> {
    expect_parts(parts, 2)?;
    let header = byte_string(&mut reader)?;
    let (body, body_len) = match reader.kind()? {
        Kind::Bytes => {
            let body = byte_string(&mut reader)?;
            (Some(body), encoded_len(body.len()))
        }
        _ if frame.last() == Some(&NULL) && reader.null() => (None, 1),
        _ if !reader.bool()? => {
            let header = Bytes::copy_from_slice(header);
            exactly(frame, 1 + encoded_len(header.len()) + 1)?;
            return Ok(Message::Operation { header, body: Payload::Withheld });
        }
        _ => return Err(WireError::Value),
    };
    exactly(frame, 1 + encoded_len(header.len()) + body_len)?;
    let Some(body) = body else {
        return Ok(Message::Operation { header: Bytes::copy_from_slice(header), body: Payload::None });
    };
    // One buffer for both.
    let mut both = BytesMut::with_capacity(header.len() + body.len());
    both.put_slice(header);
    both.put_slice(body);
    let mut both = both.freeze();
    let header = both.split_to(header.len());
    Ok(Message::Operation { header, body: Payload::Here(both) })
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

/// A definite byte string.
fn byte_string<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], WireError> {
    match reader.bytes()? {
        std::borrow::Cow::Borrowed(bytes) => Ok(bytes),
        std::borrow::Cow::Owned(_) => Err(WireError::NotDeterministic),
    }
}

fn expect_parts(found: u64, expected: u64) -> Result<(), WireError> {
    if found == expected { Ok(()) } else { Err(WireError::Arity { found }) }
}

fn decode_control<L: LogId>(
    frame: &[u8],
    reader: &mut Reader<'_>,
    kind: u64,
    parts: u64,
) -> Result<Message<L>, WireError> {
    let expected = match kind {
        kind::HELLO => 10,
        kind::WELCOME => 8,
        kind::HEIGHT => 5,
        kind::LOG => 4,
        kind::STOP | kind::BODY => 3,
        kind::REFUSE | kind::PROOF | kind::RANGES | kind::WANT => 2,
        kind::HEIGHTS_END | kind::CAUGHT_UP | kind::DONE | kind::ACK | kind::PING => 1,
        other => return Err(WireError::UnknownKind(other)),
    };
    expect_parts(parts, expected)?;
    Ok(match kind {
        kind::HELLO => Message::Hello(decode_hello(reader)?),
        kind::WELCOME => Message::Welcome(decode_welcome(reader)?),
        kind::REFUSE => Message::Refuse(match reader.unsigned()? {
            0 => Refusal::Topic,
            1 => Refusal::Version,
            2 => Refusal::Purpose,
            _ => return Err(WireError::Value),
        }),
        kind::PROOF => Message::Proof(*reader.byte_array()?),
        kind::RANGES => {
            let ranges = byte_string(reader)?;
            exactly(frame, 2 + encoded_len(ranges.len()))?;
            Message::Ranges(ranges.to_vec())
        }
        kind::HEIGHT => {
            let (author, log_id) = decode_log(reader)?;
            let seq_num = SeqNum::new(reader.unsigned()?);
            let hash = Hash::from_bytes(*reader.byte_array()?);
            Message::Height { author, log_id, tip: Tip { seq_num, hash } }
        }
        kind::HEIGHTS_END => Message::HeightsEnd,
        kind::LOG => {
            let (author, log_id) = decode_log(reader)?;
            Message::Log { author, log_id, from: SeqNum::new(reader.unsigned()?) }
        }
        kind::CAUGHT_UP => Message::CaughtUp,
        kind::DONE => Message::Done,
        kind::ACK => Message::Ack,
        kind::STOP => {
            let (author, log_id) = decode_log(reader)?;
            Message::Stop { author, log_id }
        }
        kind::WANT => Message::Want(decode_hashes(reader)?),
        kind::BODY => {
            let operation = Hash::from_bytes(*reader.byte_array()?);
            let is_null = frame.last() == Some(&NULL) && reader.kind()? != Kind::Bytes && reader.null();
            let body = if is_null { None } else { Some(Bytes::copy_from_slice(byte_string(reader)?)) };
            let body_len = body.as_ref().map_or(1, |body| encoded_len(body.len()));
            exactly(frame, 2 + encoded_len(Hash::LEN) + body_len)?;
            Message::Body { operation, body }
        }
        _ => Message::Ping,
    })
}

fn decode_hello(reader: &mut Reader<'_>) -> Result<Hello, WireError> {
    let (version_min, version_max) = (reader.unsigned()?, reader.unsigned()?);
    let (purpose, live) = (reader.unsigned()?, reader.bool()?);
    let body_len_max = decode_optional(reader)?.unwrap_or(u64::MAX);
    let nonce = *reader.byte_array()?;
    let topic = if reader.kind()? == Kind::Array {
        if reader.array()? != Some(1) {
            return Err(WireError::Value);
        }
        TopicName::Secret(*reader.byte_array()?)
    } else {
        TopicName::Clear(byte_string(reader)?.to_vec())
    };
    let summary = *reader.byte_array()?;
    let count = decode_optional(reader)?;
    Ok(Hello { version_min, version_max, purpose, live, body_len_max, nonce, topic, summary, count })
}

fn decode_welcome(reader: &mut Reader<'_>) -> Result<Welcome, WireError> {
    let (version, live) = (reader.unsigned()?, reader.bool()?);
    let body_len_max = decode_optional(reader)?.unwrap_or(u64::MAX);
    let (nonce, is_equal, proof) = (*reader.byte_array()?, reader.bool()?, *reader.byte_array()?);
    let count = decode_optional(reader)?;
    Ok(Welcome { version, live, body_len_max, nonce, is_equal, proof, count })
}

fn decode_optional(reader: &mut Reader<'_>) -> Result<Option<u64>, WireError> {
    if reader.null() { Ok(None) } else { Ok(Some(reader.unsigned()?)) }
}

fn decode_log<L: LogId>(reader: &mut Reader<'_>) -> Result<(PublicKey, L), WireError> {
    let author = PublicKey::from_bytes(reader.byte_array()?).map_err(|_| WireError::Key)?;
    let log_id = reader.skip()?;
    if log_id.len() > LOG_ID_LEN_MAX {
        return Err(WireError::Value);
    }
    let log_id = ciborium::from_reader(log_id).map_err(WireError::LogId)?;
    Ok((author, log_id))
}

fn decode_hashes(reader: &mut Reader<'_>) -> Result<Vec<Hash>, WireError> {
    let count = reader.array()?.ok_or(WireError::NotDeterministic)?;
    let mut hashes = Vec::new();
    for _ in 0..count {
        hashes.push(Hash::from_bytes(*reader.byte_array()?));
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests;
