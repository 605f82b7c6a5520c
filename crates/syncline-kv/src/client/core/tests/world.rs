//! Keys, entries and a client to be told of them.

use std::time::Duration;

use syncline_core::clock::{Hlc, Timestamp};
use syncline_crypto::{Ed25519, SigningKey};

use crate::client::ClientConfig;
use crate::client::core::{Checked, ClientCore, ConnectionId, Fault, Word, check};
use crate::client::wire::{Id, Message, Scope};
use crate::item::{
    Entry, EntryDraft, Grant, GrantDraft, GrantId, Item, Leaves, Namespace, Ops, Quota, Revocation, RevocationDraft,
    Value as ItemValue,
};
use crate::path::{Key, Pattern};

pub(super) const CATCH_UP: Duration = Duration::from_secs(30);
pub(super) const CULL_AFTER: Duration = Duration::from_secs(10);

pub(super) fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

pub(super) fn scope(path: &str) -> Scope {
    Scope::Key(key(path))
}

pub(super) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(super) struct World {
    pub(super) root: SigningKey,
    pub(super) author: SigningKey,
    pub(super) namespace: Namespace,
}

impl World {
    pub(super) fn new() -> Self {
        let root = SigningKey::from_bytes(&[1; 32]);
        let namespace = Namespace::new("test", [root.public_key()]).unwrap();
        Self { root, author: SigningKey::from_bytes(&[2; 32]), namespace }
    }

    pub(super) fn core(&self) -> ClientCore {
        self.core_with(|_| {})
    }

    pub(super) fn core_with(&self, change: impl FnOnce(&mut ClientConfig)) -> ClientCore {
        let mut config = ClientConfig { catch_up: CATCH_UP, cull_after: CULL_AFTER, ..ClientConfig::default() };
        change(&mut config);
        ClientCore::new(self.namespace.clone(), config)
    }

    pub(super) fn grant(&self, stamp: u64) -> Grant {
        let draft = GrantDraft {
            namespace: self.namespace.id(),
            parent: None,
            issuer: self.root.public_key(),
            audience: self.author.public_key(),
            pattern: Pattern::new("/**").unwrap(),
            ops: Ops::Write,
            depth: 0,
            not_before: None,
            not_after: None,
            quota: Quota::NONE,
            stamp: Hlc::from_bits(stamp),
        };
        draft.sign(&self.root).unwrap()
    }

    pub(super) fn revocation(&self, grant: GrantId) -> Revocation {
        let (namespace, revoker) = (self.namespace.id(), self.root.public_key());
        RevocationDraft { namespace, grant, revoker, stamp: Hlc::from_bits(1) }.sign(&self.root).unwrap()
    }

    /// By the root, or by the author under a grant.
    pub(super) fn entry(&self, path: &str, stamp: u64, grant: Option<GrantId>, is_deletion: bool) -> Entry {
        let signer = if grant.is_some() { &self.author } else { &self.root };
        let value = if is_deletion { ItemValue::Tombstone } else { ItemValue::from(&stamp.to_be_bytes()[..]) };
        let draft = EntryDraft {
            namespace: self.namespace.id(),
            key: key(path),
            value,
            stamp: Hlc::from_bits(stamp),
            author: signer.public_key(),
            leaves: Leaves::new(grant).unwrap(),
            previous: None,
        };
        draft.sign(signer).unwrap()
    }

    pub(super) fn put(&self, path: &str, stamp: u64) -> Entry {
        self.entry(path, stamp, None, false)
    }
}

/// What a test says for a server.
pub(super) trait Tell {
    fn tell(&mut self, now: Timestamp, connection: ConnectionId, message: Message) -> Result<(), Fault>;

    /// A connection to a server that has welcomed the client.
    fn welcome(&mut self, now: Timestamp) -> ConnectionId;

    /// All that a server says of one key at first.
    fn says(&mut self, now: Timestamp, connection: ConnectionId, id: Id, entry: Option<&Entry>, path: &str);
}

impl Tell for ClientCore {
    fn tell(&mut self, now: Timestamp, connection: ConnectionId, message: Message) -> Result<(), Fault> {
        let namespace = self.namespace().id();
        let checked: Vec<Checked> = check(&Ed25519, namespace, vec![message])?;
        checked.into_iter().try_for_each(|message| self.message(now, connection, message))
    }

    fn welcome(&mut self, now: Timestamp) -> ConnectionId {
        let connection = self.connected(now);
        self.message(now, connection, Checked::Word(Word::Welcome { version: 1, age: None })).unwrap();
        connection
    }

    fn says(&mut self, now: Timestamp, connection: ConnectionId, id: Id, entry: Option<&Entry>, path: &str) {
        self.tell(now, connection, Message::Begin(id)).unwrap();
        let message = match entry {
            Some(entry) => Message::Value { id, entry: entry.clone() },
            None => Message::Absent { id, key: key(path) },
        };
        self.tell(now, connection, message).unwrap();
        self.tell(now, connection, Message::Live(id)).unwrap();
    }
}

pub(super) fn item(item: impl Into<Item>) -> Message {
    Message::Item(item.into())
}
