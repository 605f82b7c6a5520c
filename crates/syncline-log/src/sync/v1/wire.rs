//! The messages of `p2panda-log-sync-v1`, byte by byte as `docs/spec/log-v1.md` describes them.
//!
//! They are coded by hand: serde would make one item of every byte of a body, and would decompress every author's key.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use serde::de::DeserializeOwned;
use syncline_core::cbor::{Kind, ReadError, Reader, Writer};
use syncline_crypto::PublicKey;
use thiserror::Error;

use crate::SeqNum;
use crate::store::{Heights, LogId, Logs};
use crate::sync::Encoding;

/// `{"type": "Have", "value": ` and the head of the pair.
const HAVE: &[u8] = b"\xa2\x64type\x64Have\x65value\x82";
/// `{"type": "Data", "value": ` and the head of the pair.
const DATA: &[u8] = b"\xa2\x64type\x64Data\x65value\x82";
/// `{"type": "Done"}`.
const DONE: &[u8] = b"\xa1\x64type\x64Done";

/// A message as it came, as far as it can be told without the types of the session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    Have(Have<'a>),
    Data { header: Vec<u8>, payload: Option<Vec<u8>> },
    Done,
}

/// What a peer says it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Have<'a> {
    /// The topic's encoding.
    pub(super) topic: &'a [u8],
    /// The encoding of the authors with their logs and heights.
    authors: &'a [u8],
}

/// Why a message cannot be understood.
#[derive(Debug, Error)]
pub(super) enum WireError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("a message has no {0}")]
    Missing(&'static str),
    #[error("a message has two fields \"{0}\"")]
    Duplicate(&'static str),
    #[error("unknown kind of message")]
    UnknownKind,
    #[error("a message's value has {found} parts instead of {expected}")]
    Arity { expected: u64, found: u64 },
    #[error("a public key has {0} bytes")]
    KeyLength(usize),
    #[error("{what} exceed the limit of {limit}")]
    TooMany { what: &'static str, limit: usize },
    #[error("a log id does not fit")]
    LogId(#[source] ciborium::de::Error<std::io::Error>),
}

/// What a topic costs to encode is the application's affair; that it cannot be encoded is its error.
pub(super) fn encode_value<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, ciborium::ser::Error<std::io::Error>> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes)?;
    Ok(bytes)
}

/// Appends a `Have` with every author of the scope, and of each the logs that have operations.
pub(super) fn encode_have<L: LogId>(
    out: &mut BytesMut,
    topic: &[u8],
    scope: &Logs<L>,
    heights: &Heights<L>,
) -> Result<(), ciborium::ser::Error<std::io::Error>> {
    out.put_slice(HAVE);
    out.put_slice(topic);
    Writer::new(out).array(scope.len() as u64);
    for author in scope.keys() {
        let logs = heights.get(author);
        Writer::new(out).array(2).bytes(author.as_bytes()).array(logs.map_or(0, |logs| logs.len()) as u64);
        for (log_id, height) in logs.into_iter().flatten() {
            Writer::new(out).array(2);
            ciborium::into_writer(log_id, out.writer())?;
            Writer::new(out).unsigned(height.get());
        }
    }
    Ok(())
}

pub(super) fn encode_data(out: &mut BytesMut, encoding: Encoding, header: &[u8], body: Option<&[u8]>) {
    out.reserve(DATA.len() + 2 * (header.len() + body.map_or(0, <[u8]>::len)).max(16));
    out.put_slice(DATA);
    for part in [Some(header), body] {
        match (part, encoding) {
            (None, _) => Writer::new(out).null(),
            (Some(bytes), Encoding::Bytes) => Writer::new(out).bytes(bytes),
            (Some(bytes), Encoding::Integers) => Writer::new(out).byte_integers(bytes),
        };
    }
}

pub(super) fn encode_done(out: &mut BytesMut) {
    out.put_slice(DONE);
}

/// Decodes one whole frame. Everything that p2panda-sync accepts is accepted: fields in any order and unknown ones,
/// indefinite lengths, longer heads than needed, tags, bytes as strings or as arrays of integers.
pub(super) fn decode(frame: &[u8]) -> Result<Message<'_>, WireError> {
    if let Some(value) = frame.strip_prefix(DATA) {
        let mut reader = Reader::new(value);
        let header = read_bytes(&mut reader)?.into_owned();
        let payload = read_optional_bytes(&mut reader)?;
        return Ok(Message::Data { header, payload });
    }
    let mut fields = Fields::default();
    let mut reader = Reader::new(frame);
    reader.skip_tags()?;
    let mut left = reader.map()?;
    while more_items(&mut reader, &mut left) {
        reader.skip_tags()?;
        let key = if reader.kind()? == Kind::Text { reader.text()? } else { Cow::Borrowed(reader.skip()?) };
        match &*key {
            b"type" => fields.set_kind(read_kind(&mut reader)?)?,
            b"value" => fields.set_value(reader.skip()?)?,
            _ => {
                reader.skip()?;
            }
        }
    }
    fields.into_message()
}

#[derive(Clone, Copy)]
enum MessageKind {
    Have,
    Data,
    Done,
}

#[derive(Default)]
struct Fields<'a> {
    kind: Option<MessageKind>,
    value: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn set_kind(&mut self, kind: MessageKind) -> Result<(), WireError> {
        if self.kind.replace(kind).is_some() { Err(WireError::Duplicate("type")) } else { Ok(()) }
    }

    fn set_value(&mut self, value: &'a [u8]) -> Result<(), WireError> {
        if self.value.replace(value).is_some() { Err(WireError::Duplicate("value")) } else { Ok(()) }
    }

    fn into_message(self) -> Result<Message<'a>, WireError> {
        let kind = self.kind.ok_or(WireError::Missing("type"))?;
        if let MessageKind::Done = kind {
            // Without a value, or with an empty one.
            return match self.value {
                Some(value) if !Reader::new(value).null() => Err(WireError::Arity { expected: 0, found: 1 }),
                _ => Ok(Message::Done),
            };
        }
        let mut reader = Reader::new(self.value.ok_or(WireError::Missing("value"))?);
        reader.skip_tags()?;
        let mut pair = Pair::open(&mut reader)?;
        let message = match kind {
            MessageKind::Have => {
                let topic = pair.reader.skip()?;
                Message::Have(Have { topic, authors: pair.reader.skip()? })
            }
            _ => {
                let header = read_bytes(pair.reader)?.into_owned();
                Message::Data { header, payload: read_optional_bytes(pair.reader)? }
            }
        };
        pair.close()?;
        Ok(message)
    }
}

fn read_kind(reader: &mut Reader<'_>) -> Result<MessageKind, WireError> {
    reader.skip_tags()?;
    match &*reader.text()? {
        b"Have" => Ok(MessageKind::Have),
        b"Data" => Ok(MessageKind::Data),
        b"Done" => Ok(MessageKind::Done),
        _ => Err(WireError::UnknownKind),
    }
}

/// An array of exactly two items.
struct Pair<'r, 'a> {
    reader: &'r mut Reader<'a>,
    indefinite: bool,
}

impl<'r, 'a> Pair<'r, 'a> {
    fn open(reader: &'r mut Reader<'a>) -> Result<Self, WireError> {
        reader.skip_tags()?;
        match reader.array()? {
            Some(2) => Ok(Self { reader, indefinite: false }),
            None => Ok(Self { reader, indefinite: true }),
            Some(found) => Err(WireError::Arity { expected: 2, found }),
        }
    }

    fn close(&mut self) -> Result<(), WireError> {
        if self.indefinite && !self.reader.at_break() {
            return Err(WireError::Arity { expected: 2, found: 3 });
        }
        Ok(())
    }
}

/// Whether a container has another item, counting down what its head claimed.
fn more_items(reader: &mut Reader<'_>, left: &mut Option<u64>) -> bool {
    match left {
        Some(0) => false,
        Some(left) => {
            *left -= 1;
            true
        }
        None => !reader.at_break(),
    }
}

fn read_bytes<'a>(reader: &mut Reader<'a>) -> Result<Cow<'a, [u8]>, WireError> {
    reader.skip_tags()?;
    if reader.kind()? == Kind::Bytes {
        return Ok(reader.bytes()?);
    }
    Ok(Cow::Owned(reader.byte_integers()?))
}

fn read_optional_bytes(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>, WireError> {
    reader.skip_tags()?;
    if reader.null() {
        return Ok(None);
    }
    read_bytes(reader).map(|bytes| Some(bytes.into_owned()))
}

/// How much a `Have` may list.
#[derive(Clone, Copy, Debug)]
pub(super) struct HaveLimits {
    pub(super) authors: usize,
    pub(super) logs: usize,
}

impl Have<'_> {
    /// The heights of the logs that this side has operations of, `ours`; all others are of no interest, and are not kept,
    /// however many a peer lists. An author or log that is listed more than once counts with its greatest height.
    pub(super) fn heights<L: LogId>(&self, ours: &Heights<L>, limits: HaveLimits) -> Result<Heights<L>, WireError> {
        let mut heights = Heights::<L>::default();
        let mut reader = Reader::new(self.authors);
        reader.skip_tags()?;
        let (mut authors_seen, mut logs_seen) = (0, 0);
        let mut authors_left = reader.array()?;
        while more_items(&mut reader, &mut authors_left) {
            count(&mut authors_seen, limits.authors, "authors in a \"Have\"")?;
            let mut entry = Pair::open(&mut reader)?;
            let key = read_bytes(entry.reader)?;
            let key: &[u8; 32] = (&*key).try_into().map_err(|_| WireError::KeyLength(key.len()))?;
            // A key that no signature can belong to is one more author that nobody here knows.
            let author = PublicKey::from_bytes(key).ok();
            let known = author.and_then(|author| Some((author, ours.get(&author)?)));
            let mut known = known.map(|(author, logs)| (logs, heights.entry(author).or_default()));
            entry.reader.skip_tags()?;
            let mut logs_left = entry.reader.array()?;
            while more_items(entry.reader, &mut logs_left) {
                count(&mut logs_seen, limits.logs, "logs in a \"Have\"")?;
                let mut log = Pair::open(entry.reader)?;
                let log_id = log.reader.skip()?;
                log.reader.skip_tags()?;
                let height = SeqNum::new(log.reader.unsigned()?);
                log.close()?;
                if let Some((logs, theirs)) = &mut known {
                    let log_id = decode_log_id(log_id)?;
                    if logs.contains_key(&log_id) {
                        let greatest = theirs.entry(log_id).or_insert(height);
                        *greatest = height.max(*greatest);
                    }
                }
            }
            entry.close()?;
        }
        Ok(heights)
    }
}

fn count(seen: &mut usize, limit: usize, what: &'static str) -> Result<(), WireError> {
    *seen += 1;
    if *seen > limit { Err(WireError::TooMany { what, limit }) } else { Ok(()) }
}

fn decode_log_id<L: DeserializeOwned>(bytes: &[u8]) -> Result<L, WireError> {
    ciborium::from_reader(bytes).map_err(WireError::LogId)
}

#[cfg(test)]
mod tests;
