//! What servers say.

use std::mem;

use syncline_core::clock::Timestamp;

use super::super::wire::{Id, Message, Refusal, Scope, VERSION};
use super::interest::Answer;
use super::{Checked, ClientCore, ConnectionId, Fault, Touched, Word};
use crate::authority::{Admission, Awaited, Standing, SystemItem};
use crate::item::Entry;
use crate::path::Key;

impl ClientCore {
    /// Takes in a message of a server.
    ///
    /// # Errors
    ///
    /// The server is at fault. Nothing of this message was taken in; the caller ends the connection.
    pub(in crate::client) fn message(
        &mut self,
        now: Timestamp,
        connection: ConnectionId,
        message: Checked,
    ) -> Result<(), Fault> {
        self.advance(now);
        let Some(link) = self.links.get_mut(&connection) else { return Ok(()) };
        match (link.ready, message) {
            (false, Checked::Word(Word::Welcome { version: VERSION, age })) => {
                (link.ready, link.age, link.age_at) = (true, age, self.now);
                if self.closed {
                    link.outgoing.push(Message::Bye);
                }
                self.assign();
                Ok(())
            }
            (false, Checked::Word(Word::Welcome { .. } | Word::Refuse(Refusal::Version))) => Err(Fault::Version),
            (false, Checked::Word(Word::Refuse(Refusal::Namespace))) => Err(Fault::Refused),
            (false, _) => Err(Fault::Unexpected("not a welcome")),
            (true, Checked::Word(Word::Fresh(age))) => {
                (link.age, link.age_at) = (age, self.now);
                self.touched.extend(link.scopes.values().cloned().map(Touched::Scope));
                Ok(())
            }
            (true, Checked::Item(item)) => self.admit(item),
            (true, Checked::Value { id, entry }) => self.entry(connection, id, entry),
            (true, Checked::Word(word)) => self.word(connection, word),
        }
    }

    /// The scope of a subscription; none if it has ended.
    fn scope_of(&self, connection: ConnectionId, id: Id) -> Result<Option<Scope>, Fault> {
        let Some(link) = self.links.get(&connection) else { return Ok(None) };
        if id >= link.next_id {
            return Err(Fault::UnknownSubscription(id));
        }
        Ok(link.scopes.get(&id).cloned())
    }

    fn word(&mut self, connection: ConnectionId, word: Word) -> Result<(), Fault> {
        let id = match word {
            Word::Begin(id) | Word::Live(id) | Word::Denied(id) | Word::Changed(id) => id,
            Word::Absent { id, .. } | Word::Held { id, .. } => id,
            Word::Welcome { .. } => return Err(Fault::Unexpected("welcome")),
            Word::Refuse(_) => return Err(Fault::Unexpected("refuse")),
            Word::Fresh(_) => return Ok(()),
        };
        let Some(scope) = self.scope_of(connection, id)? else { return Ok(()) };
        let max = self.config.set_keys;
        let Some(interest) = self.interests.get_mut(&scope) else { return Ok(()) };
        match word {
            Word::Begin(_) => {
                interest.denied_by.remove(&connection);
                interest.begin();
            }
            Word::Live(_) => {
                let missing = interest.complete(self.now, max);
                self.touched.extend(missing.into_iter().map(|key| Touched::Key(scope.clone(), key)));
            }
            Word::Changed(_) => interest.changed = true,
            Word::Held { held, .. } => interest.held = held,
            Word::Absent { key, .. } => return self.answer(&scope, &key, Answer::Absent),
            _ => {
                let serving = interest.serving;
                interest.serve(serving);
                interest.denied_by.insert(connection);
                self.assign_scope(&scope);
            }
        }
        self.touched.push(Touched::Scope(scope));
        Ok(())
    }

    fn entry(&mut self, connection: ConnectionId, id: Id, entry: Entry) -> Result<(), Fault> {
        let standing = self.authority.check(&entry);
        let Some(scope) = self.scope_of(connection, id)? else { return Ok(()) };
        let key = entry.key().clone();
        let answer = match standing {
            Standing::Live => Answer::Entry(entry),
            Standing::Dead { .. } | Standing::Distrusted { .. } => Answer::Dead(entry),
            Standing::Unauthorized(denied) => return Err(Fault::Unauthorized(denied)),
            Standing::Waiting(grant) => return Err(Fault::Unfounded(Awaited::Grant(grant))),
        };
        self.answer(&scope, &key, answer)
    }

    fn answer(&mut self, scope: &Scope, key: &Key, answer: Answer) -> Result<(), Fault> {
        if !scope.contains(key) {
            return Err(Fault::NotAsked(key.clone()));
        }
        let Some(interest) = self.interests.get_mut(scope) else { return Ok(()) };
        interest.answer(self.now, key, answer, self.config.set_keys);
        if interest.too_large {
            let serving = mem::take(&mut interest.serving);
            self.drop_upstream(serving);
            self.touched.push(Touched::All(scope.clone()));
        } else {
            self.touched.push(Touched::Key(scope.clone(), key.clone()));
        }
        Ok(())
    }

    fn admit(&mut self, item: SystemItem) -> Result<(), Fault> {
        let effects = match self.authority.admit(item) {
            Admission::Added(effects) => effects,
            Admission::Known => return Ok(()),
            Admission::Waiting(awaited) => return Err(Fault::Unfounded(awaited)),
            Admission::Refused(refusal) => return Err(Fault::NotAdmitted(refusal)),
            Admission::Full => return Err(Fault::Full),
        };
        if effects.is_none() {
            return Ok(());
        }
        for (scope, interest) in &mut self.interests {
            for key in interest.reassess(&self.authority) {
                self.touched.push(Touched::Key(scope.clone(), key));
            }
        }
        Ok(())
    }
}
