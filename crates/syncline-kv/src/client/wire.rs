//! The messages of `syncline-kv-watch/1`, byte by byte as `docs/spec/kv-watch.md` describes them.

use bytes::{Bytes, BytesMut};
use syncline_core::SyncError;
use syncline_core::cbor::{Kind, ReadError, Reader, Writer};
use thiserror::Error;

use crate::item::{Entry, GrantId, Item, ItemError, NamespaceId};
use crate::path::{Key, KeyError, Subtree};

/// The version of the protocol.
pub(super) const VERSION: u64 = 1;

/// A [`Message::Ping`].
pub(super) const PING: Bytes = Bytes::from_static(b"\x81\x0f");

/// The most grants that one message names.
pub(super) const KNOW_MAX: usize = 1_024;

/// What a subscription is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    Key(Key),
    Below(Subtree),
}

impl Scope {
    pub(super) fn contains(&self, key: &Key) -> bool {
        match self {
            Self::Key(own) => own == key,
            Self::Below(subtree) => subtree.contains(key),
        }
    }
}

/// Names a subscription within a session. The client counts them up from 0.
pub(super) type Id = u64;

/// Why a server does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Version = 0,
    Namespace = 1,
}

/// A message of either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Hello {
        version_min: u64,
        version_max: u64,
        namespace: NamespaceId,
    },
    /// The age is how long ago the server's last complete sync began, in milliseconds; none if it never had one.
    Welcome {
        version: u64,
        age: Option<u64>,
    },
    Refuse(Refusal),
    /// With deletions: the client holds values below the path, and needs proof of which are gone.
    Subscribe {
        id: Id,
        scope: Scope,
        deletions: bool,
    },
    Unsubscribe(Id),
    /// Grants on which values rest that the client holds: it wants to hear if they were revoked.
    Know(Vec<GrantId>),
    /// A grant, revocation or rotation.
    Item(Item),
    Begin(Id),
    Value {
        id: Id,
        entry: Entry,
    },
    Absent {
        id: Id,
        key: Key,
    },
    Live(Id),
    Denied(Id),
    Changed(Id),
    Held {
        id: Id,
        held: bool,
    },
    Fresh(Option<u64>),
    Ping,
    Bye,
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
    #[error("a path: {0}")]
    Path(#[from] KeyError),
    #[error("an item: {0}")]
    Item(#[from] ItemError),
    #[error("a message is not in its deterministic encoding")]
    NotDeterministic,
}

impl From<WireError> for SyncError {
    fn from(err: WireError) -> Self {
        Self::InvalidEncoding(err.to_string())
    }
}

mod kind {
    pub(super) const HELLO: u64 = 0;
    pub(super) const WELCOME: u64 = 1;
    pub(super) const REFUSE: u64 = 2;
    pub(super) const SUBSCRIBE: u64 = 3;
    pub(super) const UNSUBSCRIBE: u64 = 4;
    pub(super) const KNOW: u64 = 5;
    pub(super) const ITEM: u64 = 6;
    pub(super) const BEGIN: u64 = 7;
    pub(super) const VALUE: u64 = 8;
    pub(super) const ABSENT: u64 = 9;
    pub(super) const LIVE: u64 = 10;
    pub(super) const DENIED: u64 = 11;
    pub(super) const CHANGED: u64 = 12;
    pub(super) const HELD: u64 = 13;
    pub(super) const FRESH: u64 = 14;
    pub(super) const PING: u64 = 15;
    pub(super) const BYE: u64 = 16;
}

/// Appends a message.
pub(super) fn encode(out: &mut BytesMut, message: &Message) {
    let mut to = Writer::new(out);
    match message {
        Message::Hello { version_min, version_max, namespace } => {
            to.array(4).unsigned(kind::HELLO).unsigned(*version_min).unsigned(*version_max).bytes(namespace.as_bytes());
        }
        Message::Welcome { version, age } => {
            to.array(3).unsigned(kind::WELCOME).unsigned(*version);
            optional(&mut to, *age);
        }
        Message::Refuse(why) => {
            to.array(2).unsigned(kind::REFUSE).unsigned(*why as u64);
        }
        Message::Subscribe { id, scope, deletions } => {
            to.array(4).unsigned(kind::SUBSCRIBE).unsigned(*id);
            match scope {
                Scope::Key(key) => to.text(key.as_str()),
                Scope::Below(subtree) => to.array(1).text(subtree.as_str()),
            };
            to.bool(*deletions);
        }
        Message::Know(grants) => {
            to.array(2).unsigned(kind::KNOW).array(grants.len() as u64);
            for grant in grants {
                to.bytes(grant.as_bytes());
            }
        }
        Message::Item(item) => {
            to.array(2).unsigned(kind::ITEM).bytes(&item.encoded());
        }
        Message::Value { id, entry } => {
            to.array(3).unsigned(kind::VALUE).unsigned(*id).bytes(entry.encoded());
        }
        Message::Absent { id, key } => {
            to.array(3).unsigned(kind::ABSENT).unsigned(*id).text(key.as_str());
        }
        Message::Held { id, held } => {
            to.array(3).unsigned(kind::HELD).unsigned(*id).bool(*held);
        }
        Message::Fresh(age) => {
            to.array(2).unsigned(kind::FRESH);
            optional(&mut to, *age);
        }
        Message::Unsubscribe(id) => about(&mut to, kind::UNSUBSCRIBE, *id),
        Message::Begin(id) => about(&mut to, kind::BEGIN, *id),
        Message::Live(id) => about(&mut to, kind::LIVE, *id),
        Message::Denied(id) => about(&mut to, kind::DENIED, *id),
        Message::Changed(id) => about(&mut to, kind::CHANGED, *id),
        Message::Ping => {
            to.array(1).unsigned(kind::PING);
        }
        Message::Bye => {
            to.array(1).unsigned(kind::BYE);
        }
    }
}

fn about(to: &mut Writer<'_>, kind: u64, id: Id) {
    to.array(2).unsigned(kind).unsigned(id);
}

fn optional(to: &mut Writer<'_>, value: Option<u64>) {
    match value {
        Some(value) => to.unsigned(value),
        None => to.null(),
    };
}

/// Decodes one whole frame. No signature is checked here.
pub(super) fn decode(frame: &[u8]) -> Result<Message, WireError> {
    let mut from = Reader::new(frame);
    let found = from.array()?.ok_or(WireError::NotDeterministic)?;
    let kind = from.unsigned()?;
    let expected = match kind {
        kind::HELLO | kind::SUBSCRIBE => 4,
        kind::WELCOME | kind::VALUE | kind::ABSENT | kind::HELD => 3,
        kind::PING | kind::BYE => 1,
        kind::REFUSE..=kind::BYE => 2,
        other => return Err(WireError::UnknownKind(other)),
    };
    if found != expected {
        return Err(WireError::Arity { found });
    }
    let message = decode_parts(&mut from, kind)?;
    if !from.is_at_end() {
        return Err(WireError::Arity { found });
    }
    let mut again = BytesMut::with_capacity(frame.len());
    encode(&mut again, &message);
    if again == frame { Ok(message) } else { Err(WireError::NotDeterministic) }
}

fn decode_parts(from: &mut Reader<'_>, kind: u64) -> Result<Message, WireError> {
    Ok(match kind {
        kind::HELLO => Message::Hello {
            version_min: from.unsigned()?,
            version_max: from.unsigned()?,
            namespace: NamespaceId::from_bytes(*from.byte_array()?),
        },
        kind::WELCOME => Message::Welcome { version: from.unsigned()?, age: decode_optional(from)? },
        kind::REFUSE => Message::Refuse(match from.unsigned()? {
            0 => Refusal::Version,
            1 => Refusal::Namespace,
            _ => return Err(WireError::Value),
        }),
        kind::SUBSCRIBE => {
            let id = from.unsigned()?;
            Message::Subscribe { id, scope: decode_scope(from)?, deletions: from.bool()? }
        }
        kind::UNSUBSCRIBE => Message::Unsubscribe(from.unsigned()?),
        kind::KNOW => Message::Know(decode_grants(from)?),
        kind::ITEM => {
            let item = Item::decode(&byte_string(from)?)?;
            if !item.is_system() {
                return Err(WireError::Value);
            }
            Message::Item(item)
        }
        kind::BEGIN => Message::Begin(from.unsigned()?),
        kind::VALUE => Message::Value { id: from.unsigned()?, entry: Entry::decode(byte_string(from)?)? },
        kind::ABSENT => Message::Absent { id: from.unsigned()?, key: Key::new(&text(from)?)? },
        kind::LIVE => Message::Live(from.unsigned()?),
        kind::DENIED => Message::Denied(from.unsigned()?),
        kind::CHANGED => Message::Changed(from.unsigned()?),
        kind::HELD => Message::Held { id: from.unsigned()?, held: from.bool()? },
        kind::FRESH => Message::Fresh(decode_optional(from)?),
        kind::PING => Message::Ping,
        _ => Message::Bye,
    })
}

fn decode_optional(from: &mut Reader<'_>) -> Result<Option<u64>, WireError> {
    if from.null() { Ok(None) } else { Ok(Some(from.unsigned()?)) }
}

fn decode_scope(from: &mut Reader<'_>) -> Result<Scope, WireError> {
    if from.kind()? != Kind::Array {
        return Ok(Scope::Key(Key::new(&text(from)?)?));
    }
    if from.array()? != Some(1) {
        return Err(WireError::Value);
    }
    Ok(Scope::Below(text(from)?.parse()?))
}

fn decode_grants(from: &mut Reader<'_>) -> Result<Vec<GrantId>, WireError> {
    let count = from.array()?.ok_or(WireError::NotDeterministic)?;
    if count > KNOW_MAX as u64 {
        return Err(WireError::Value);
    }
    (0..count).map(|_| Ok(GrantId::from_bytes(*from.byte_array()?))).collect()
}

fn byte_string(from: &mut Reader<'_>) -> Result<Bytes, WireError> {
    Ok(Bytes::copy_from_slice(&from.bytes()?))
}

fn text(from: &mut Reader<'_>) -> Result<String, WireError> {
    String::from_utf8(from.text()?.into_owned()).map_err(|_| WireError::Value)
}

/// What a message is called in errors.
pub(super) fn name_of(message: &Message) -> &'static str {
    match message {
        Message::Hello { .. } => "hello",
        Message::Welcome { .. } => "welcome",
        Message::Refuse(_) => "refuse",
        Message::Subscribe { .. } => "subscribe",
        Message::Unsubscribe(_) => "unsubscribe",
        Message::Know(_) => "know",
        Message::Item(_) => "item",
        Message::Begin(_) => "begin",
        Message::Value { .. } => "value",
        Message::Absent { .. } => "absent",
        Message::Live(_) => "live",
        Message::Denied(_) => "denied",
        Message::Changed(_) => "changed",
        Message::Held { .. } => "held",
        Message::Fresh(_) => "fresh",
        Message::Ping => "ping",
        Message::Bye => "bye",
    }
}
