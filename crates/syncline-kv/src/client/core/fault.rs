//! What a server must not do.

use syncline_core::SyncError;
use syncline_crypto::{SignedMessage, Verifier};
use thiserror::Error;

use super::super::wire::{Id, Message, Refusal, name_of};
use crate::authority::{Awaited, Denied, Refusal as NotAdmitted, SystemItem};
use crate::item::{Entry, Item, NamespaceId};
use crate::path::Key;

/// What a server did that ends the session with it. What it said before stays: that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(in crate::client) enum Fault {
    #[error("the server speaks another version")]
    Version,
    #[error("the server has another namespace")]
    Refused,
    #[error("unexpected \"{0}\" message received")]
    Unexpected(&'static str),
    #[error("subscription {0} was never made")]
    UnknownSubscription(Id),
    #[error("a signature does not count")]
    Signature,
    #[error("an item belongs to another namespace")]
    OtherNamespace,
    #[error("{0} was not asked for")]
    NotAsked(Key),
    #[error("an entry that its author could not make: {0}")]
    Unauthorized(Denied),
    #[error("something was sent before what it rests on: {0:?}")]
    Unfounded(Awaited),
    #[error("a grant, revocation or rotation does not count: {0}")]
    NotAdmitted(NotAdmitted),
    #[error("more grants, revocations or rotations than this client remembers")]
    Full,
}

impl From<Fault> for SyncError {
    fn from(fault: Fault) -> Self {
        Self::UnexpectedBehaviour(fault.to_string())
    }
}

/// A message whose signatures count. Only [`check`] makes those that have any.
#[derive(Clone, Debug)]
pub(in crate::client) enum Checked {
    Item(SystemItem),
    Value { id: Id, entry: Entry },
    Word(Word),
}

/// A message without signatures.
#[derive(Clone, Debug)]
pub(in crate::client) enum Word {
    Welcome { version: u64, age: Option<u64> },
    Refuse(Refusal),
    Begin(Id),
    Absent { id: Id, key: Key },
    Live(Id),
    Denied(Id),
    Changed(Id),
    Held { id: Id, held: bool },
    Fresh(Option<u64>),
}

/// Checks the signatures of messages from a server, all together. A fault is that of all.
pub(in crate::client) fn check(
    verifier: &dyn Verifier,
    namespace: NamespaceId,
    messages: Vec<Message>,
) -> Result<Vec<Checked>, Fault> {
    let mut signed = Vec::new();
    let mut checked = Vec::with_capacity(messages.len());
    for message in messages {
        checked.push(match message {
            Message::Item(Item::Grant(grant)) => {
                signed.push((*grant.issuer(), grant.message(), grant.signature()));
                Checked::Item(grant.into())
            }
            Message::Item(Item::Revocation(revocation)) => {
                signed.push((*revocation.revoker(), revocation.message(), revocation.signature()));
                Checked::Item(revocation.into())
            }
            Message::Item(Item::RootRotate(rotation)) => {
                let text = rotation.message();
                signed.extend(rotation.signatures().iter().map(|(key, by)| (*key, text.clone(), *by)));
                Checked::Item(rotation.into())
            }
            Message::Value { id, entry } => {
                signed.push((*entry.author(), entry.message(), entry.signature()));
                Checked::Value { id, entry }
            }
            Message::Ping => continue,
            other => Checked::Word(word(other)?),
        });
        let found = match checked.last() {
            Some(Checked::Item(item)) => item.namespace(),
            Some(Checked::Value { entry, .. }) => entry.namespace(),
            _ => namespace,
        };
        if found != namespace {
            return Err(Fault::OtherNamespace);
        }
    }
    let signed: Vec<SignedMessage<'_>> =
        signed.iter().map(|(key, message, by)| SignedMessage::new(key, message, by)).collect();
    if verifier.verify_batch(&signed).is_all_valid() { Ok(checked) } else { Err(Fault::Signature) }
}

fn word(message: Message) -> Result<Word, Fault> {
    Ok(match message {
        Message::Welcome { version, age } => Word::Welcome { version, age },
        Message::Refuse(why) => Word::Refuse(why),
        Message::Begin(id) => Word::Begin(id),
        Message::Absent { id, key } => Word::Absent { id, key },
        Message::Live(id) => Word::Live(id),
        Message::Denied(id) => Word::Denied(id),
        Message::Changed(id) => Word::Changed(id),
        Message::Held { id, held } => Word::Held { id, held },
        Message::Fresh(age) => Word::Fresh(age),
        other => return Err(Fault::Unexpected(name_of(&other))),
    })
}
