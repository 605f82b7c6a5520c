//! What peers ask each other for, which logs that means, and who may have them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use syncline_core::{TopicMap, TopicQuery};
use syncline_crypto::PublicKey;
use syncline_log::store::Logs;
use syncline_log::sync::Access;
use syncline_log::{Extension, Header, PruneFlag};

/// A chat group: what peers sync, and with the author the name of a log. Group 1 with the members A and B consists of
/// A's log 1 and B's log 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Group(pub u64);

impl TopicQuery for Group {}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {}", self.0)
    }
}

/// What the author signs beside the message: the group that it was written for, so that nobody can move it to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InGroup {
    #[serde(rename = "g")]
    pub group: Group,
}

/// Receivers place an operation by this.
impl Extension<Group> for InGroup {
    fn extract(header: &Header<Self>) -> Option<Group> {
        header.extensions.as_ref().map(|extensions| extensions.group)
    }
}

/// Nobody tells others to delete what was said.
impl Extension<PruneFlag> for InGroup {
    fn extract(_header: &Header<Self>) -> Option<PruneFlag> {
        None
    }
}

/// The groups that a node is in, as far as it knows.
#[derive(Debug, Default)]
pub struct Groups(Mutex<BTreeMap<Group, Members>>);

#[derive(Debug, Default)]
struct Members {
    keys: BTreeSet<PublicKey>,
    /// How many more may join by asking.
    free_seats: usize,
}

impl Groups {
    /// Adds members to a group, which begins to exist with the first.
    pub fn join(&self, group: Group, members: impl IntoIterator<Item = PublicKey>) {
        self.lock().entry(group).or_default().keys.extend(members);
    }

    /// Lets this many more peers join by asking: the first who come.
    pub fn set_free_seats(&self, group: Group, seats: usize) {
        self.lock().entry(group).or_default().free_seats = seats;
    }

    pub fn members(&self, group: Group) -> BTreeSet<PublicKey> {
        self.lock().get(&group).map(|members| members.keys.clone()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Group, Members>> {
        // Nothing under the lock can panic halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which logs a group consists of. `None`: this node has no such group.
#[async_trait]
impl TopicMap<Group, Logs<Group>> for Groups {
    async fn get(&self, group: &Group) -> Option<Logs<Group>> {
        let groups = self.lock();
        let members = groups.get(group)?;
        Some(members.keys.iter().map(|member| (*member, vec![*group])).collect())
    }
}

/// Only members get a group. Who is refused cannot tell whether the group exists.
#[async_trait]
impl Access<Group> for Groups {
    async fn is_allowed(&self, remote: Option<&PublicKey>, group: &Group) -> bool {
        // Without a proven key it could be anybody.
        let Some(remote) = remote else { return false };
        let mut groups = self.lock();
        let Some(members) = groups.get_mut(group) else { return false };
        if !members.keys.contains(remote) && members.free_seats > 0 {
            members.free_seats -= 1;
            members.keys.insert(*remote);
        }
        members.keys.contains(remote)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use syncline_crypto::SigningKey;

    use super::*;

    fn key(seed: u8) -> PublicKey {
        SigningKey::from_bytes(&[seed; 32]).public_key()
    }

    fn is_allowed(groups: &Groups, remote: Option<&PublicKey>, group: u64) -> bool {
        block_on(groups.is_allowed(remote, &Group(group)))
    }

    #[test]
    fn a_group_is_the_logs_of_its_members() {
        let groups = Groups::default();
        groups.join(Group(1), [key(1), key(2)]);
        groups.join(Group(2), [key(2), key(3)]);
        let logs = block_on(groups.get(&Group(2)));
        assert_eq!(logs, Some([(key(2), vec![Group(2)]), (key(3), vec![Group(2)])].into()));
        assert_eq!(block_on(groups.get(&Group(3))), None);
    }

    #[test]
    fn members_are_let_in_and_nobody_else() {
        let groups = Groups::default();
        groups.join(Group(1), [key(1), key(2)]);
        assert!(is_allowed(&groups, Some(&key(2)), 1));
        assert!(!is_allowed(&groups, Some(&key(3)), 1));
        assert!(!is_allowed(&groups, None, 1));
        assert!(!is_allowed(&groups, Some(&key(2)), 2));
        assert_eq!(groups.members(Group(1)), [key(1), key(2)].into(), "asking makes nobody a member");
        assert_eq!(block_on(groups.get(&Group(2))), None, "asking makes no group");
    }

    #[test]
    fn a_free_seat_is_for_who_comes_first() {
        let groups = Groups::default();
        groups.join(Group(1), [key(1)]);
        groups.set_free_seats(Group(1), 1);
        assert!(is_allowed(&groups, Some(&key(1)), 1), "a member takes no seat");
        assert!(is_allowed(&groups, Some(&key(2)), 1));
        assert!(!is_allowed(&groups, Some(&key(3)), 1));
        assert!(is_allowed(&groups, Some(&key(2)), 1), "the seat stays taken");
    }
}
