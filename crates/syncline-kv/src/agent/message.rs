//! What agents say to each other, byte by byte. `docs/spec/kv-gossip.md` is the specification.

use bytes::{BufMut, Bytes, BytesMut};
use syncline_crypto::Hash;
use thiserror::Error;

/// The version of the messages.
pub(super) const VERSION: u8 = 1;
/// Version, kind and namespace, with which every message begins.
pub(super) const HEAD_LEN: usize = 2 + Hash::LEN;
/// Bytes of a [`Message::Digest`], and of a [`Message::Reply`].
pub(super) const DIGEST_LEN: usize = HEAD_LEN + Hash::LEN + 8 + 8;
/// What an item of a [`Message::Push`] takes beside its own bytes.
pub(super) const ITEM_HEAD_LEN: usize = 2;
/// What a [`Message::Part`] takes beside the bytes of its item.
pub(super) const PART_HEAD_LEN: usize = HEAD_LEN + Hash::LEN + 2 + 2;

const DIGEST: u8 = 1;
const REPLY: u8 = 2;
const PUSH: u8 = 3;
const PART: u8 = 4;

/// What a node has, in short: two nodes with the same root have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Root {
    /// A fingerprint of everything that the node holds of the namespace.
    pub fingerprint: Hash,
    /// How many items that is.
    pub count: u64,
}

impl Root {
    /// The root of `count` items with this fingerprint.
    #[must_use]
    pub const fn new(fingerprint: Hash, count: u64) -> Self {
        Self { fingerprint, count }
    }
}

/// One message between agents.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// "This is what I have." Who has the same keeps silent.
    Digest {
        /// What the sender has.
        root: Root,
        /// Comes back in a reply.
        nonce: u64,
    },
    /// "I have something else", to the sender of a digest alone, and as long as that was.
    Reply {
        /// What the sender of the reply has.
        root: Root,
        /// The nonce of the digest.
        nonce: u64,
    },
    /// Whole items, encoded; one at least, each of 1 to 65535 bytes.
    Push(Vec<Bytes>),
    /// A piece of an item that is too long for one message.
    Part {
        /// The BLAKE3 hash of the whole item.
        item: Hash,
        /// Which piece this is; the first one is 0.
        index: u16,
        /// How many there are: 2 at least.
        count: u16,
        /// The piece; one byte at least.
        bytes: Bytes,
    },
}

/// Why bytes are not a message of this namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It ends too early.
    #[error("the message ends too early")]
    Truncated,
    /// It is longer than the limit.
    #[error("the message is longer than the limit")]
    TooLong,
    /// Its version is another one.
    #[error("version {0} is unknown")]
    Version(u8),
    /// Its kind is unknown.
    #[error("kind {0} is unknown")]
    Kind(u8),
    /// It belongs to another namespace.
    #[error("the message is of another namespace")]
    Namespace,
    /// Bytes follow its end.
    #[error("bytes follow the end of the message")]
    Trailing,
    /// It pushes nothing, or an item without bytes.
    #[error("the message pushes nothing")]
    Empty,
    /// A part whose number does not fit to how many there are.
    #[error("part {index} of {count} cannot be")]
    Part {
        /// The part's number.
        index: u16,
        /// How many there are said to be.
        count: u16,
    },
}

impl Message {
    /// Reads a message of `namespace`. The items share the memory of `bytes`.
    ///
    /// # Errors
    ///
    /// The first rule that is broken. There is one encoding of each message, and nothing else is read.
    pub fn decode(namespace: &Hash, bytes: &Bytes) -> Result<Self, MessageError> {
        let mut reader = Reader(bytes.clone());
        let version = reader.take(1)?[0];
        if version != VERSION {
            return Err(MessageError::Version(version));
        }
        let kind = reader.take(1)?[0];
        if reader.hash()? != *namespace {
            return Err(MessageError::Namespace);
        }
        match kind {
            DIGEST => reader.digest().map(|(root, nonce)| Self::Digest { root, nonce }),
            REPLY => reader.digest().map(|(root, nonce)| Self::Reply { root, nonce }),
            PUSH => reader.items().map(Self::Push),
            PART => reader.part(),
            kind => Err(MessageError::Kind(kind)),
        }
    }

    /// Writes the message.
    ///
    /// Of an item that is longer than 65535 bytes, which a push cannot hold, nothing is written.
    #[must_use]
    pub fn encode(&self, namespace: &Hash) -> Bytes {
        let mut out = BytesMut::with_capacity(self.encoded_len());
        out.put_u8(VERSION);
        out.put_u8(self.kind());
        out.put_slice(namespace.as_bytes());
        match self {
            Self::Digest { root, nonce } | Self::Reply { root, nonce } => {
                out.put_slice(root.fingerprint.as_bytes());
                out.put_u64(root.count);
                out.put_u64(*nonce);
            }
            Self::Push(items) => {
                for item in items {
                    let Ok(len) = u16::try_from(item.len()) else { continue };
                    out.put_u16(len);
                    out.put_slice(item);
                }
            }
            Self::Part { item, index, count, bytes } => {
                out.put_slice(item.as_bytes());
                out.put_u16(*index);
                out.put_u16(*count);
                out.put_slice(bytes);
            }
        }
        out.freeze()
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Digest { .. } => DIGEST,
            Self::Reply { .. } => REPLY,
            Self::Push(_) => PUSH,
            Self::Part { .. } => PART,
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Digest { .. } | Self::Reply { .. } => DIGEST_LEN,
            Self::Push(items) => HEAD_LEN + items.iter().map(|item| ITEM_HEAD_LEN + item.len()).sum::<usize>(),
            Self::Part { bytes, .. } => PART_HEAD_LEN + bytes.len(),
        }
    }
}

struct Reader(Bytes);

impl Reader {
    fn take(&mut self, len: usize) -> Result<Bytes, MessageError> {
        if self.0.len() < len { Err(MessageError::Truncated) } else { Ok(self.0.split_to(len)) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        <[u8; N]>::try_from(self.take(N)?.as_ref()).map_err(|_| MessageError::Truncated)
    }

    fn hash(&mut self) -> Result<Hash, MessageError> {
        self.array().map(Hash::from_bytes)
    }

    fn digest(mut self) -> Result<(Root, u64), MessageError> {
        let root = Root::new(self.hash()?, u64::from_be_bytes(self.array()?));
        let nonce = u64::from_be_bytes(self.array()?);
        if self.0.is_empty() { Ok((root, nonce)) } else { Err(MessageError::Trailing) }
    }

    fn items(mut self) -> Result<Vec<Bytes>, MessageError> {
        let mut items = Vec::new();
        while !self.0.is_empty() {
            let len = usize::from(u16::from_be_bytes(self.array()?));
            if len == 0 {
                return Err(MessageError::Empty);
            }
            items.push(self.take(len)?);
        }
        if items.is_empty() { Err(MessageError::Empty) } else { Ok(items) }
    }

    fn part(mut self) -> Result<Message, MessageError> {
        let item = self.hash()?;
        let (index, count) = (u16::from_be_bytes(self.array()?), u16::from_be_bytes(self.array()?));
        if count < 2 || index >= count {
            return Err(MessageError::Part { index, count });
        }
        if self.0.is_empty() {
            Err(MessageError::Empty)
        } else {
            Ok(Message::Part { item, index, count, bytes: self.0 })
        }
    }
}
