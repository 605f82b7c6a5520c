//! Which server is asked for what, and how fresh it is.

use syncline_core::clock::Timestamp;

use super::super::wire::{KNOW_MAX, Message, Scope};
use super::interest::Serving;
use super::{ClientCore, ConnectionId, Link, Touched};
use crate::item::GrantId;

impl ClientCore {
    pub(super) fn drop_upstream(&mut self, serving: Option<Serving>) {
        let Some(serving) = serving else { return };
        if let Some(link) = self.links.get_mut(&serving.connection)
            && link.scopes.remove(&serving.id).is_some()
        {
            link.outgoing.push(Message::Unsubscribe(serving.id));
        }
    }

    pub(super) fn is_fresh(&self, link: &Link, now: Timestamp) -> bool {
        let Some(within) = self.config.fresh_within else { return true };
        let age = link.age.map(|age| u128::from(age) + now.since(link.age_at).as_millis());
        age.is_some_and(|age| age <= within.as_millis())
    }

    /// The first time at which a server that is fresh is not any more.
    pub(super) fn ages_at(&self, link: &Link) -> Option<Timestamp> {
        let within = u64::try_from(self.config.fresh_within?.as_millis()).unwrap_or(u64::MAX);
        let left = within.checked_sub(link.age?)?;
        Some(Timestamp::from_millis(link.age_at.as_millis().saturating_add(left).saturating_add(1)))
    }

    /// Finds a server for all interests that lack one, or are refused by theirs.
    pub(super) fn assign(&mut self) {
        let scopes: Vec<Scope> = self.interests.keys().cloned().collect();
        for scope in scopes {
            self.assign_scope(&scope);
        }
    }

    pub(super) fn assign_scope(&mut self, scope: &Scope) {
        let Some(interest) = self.interests.get_mut(scope) else { return };
        let is_served = interest.serving.is_some_and(|serving| !interest.denied_by.contains(&serving.connection));
        if is_served || interest.too_large {
            return;
        }
        let max = self.config.session.subscriptions;
        let ready = || self.links.iter().filter(|(_, link)| link.ready && link.scopes.len() < max).map(|(id, _)| *id);
        let willing = ready().find(|id| !interest.denied_by.contains(id));
        // One that refuses may not for ever.
        let refusing = || ready().next().filter(|_| interest.serving.is_none());
        let Some(connection) = willing.or_else(refusing) else { return };
        let old = interest.serving;
        self.serve(scope, connection);
        self.drop_upstream(old);
    }

    fn serve(&mut self, scope: &Scope, connection: ConnectionId) {
        let Some(interest) = self.interests.get_mut(scope) else { return };
        let Some(link) = self.links.get_mut(&connection) else { return };
        let id = link.next_id;
        link.next_id += 1;
        link.scopes.insert(id, scope.clone());
        let new: Vec<GrantId> = interest.leaves().into_iter().filter(|leaf| link.named.insert(*leaf)).collect();
        link.outgoing.extend(new.chunks(KNOW_MAX).map(|some| Message::Know(some.to_vec())));
        let deletions = interest.holds_something();
        link.outgoing.push(Message::Subscribe { id, scope: scope.clone(), deletions });
        interest.serve(Some(Serving { connection, id }));
        self.touched.push(Touched::Scope(scope.clone()));
    }
}
