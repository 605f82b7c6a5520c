//! What is to be read for each subscription, and in which order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::wire::{Id, Scope};
use super::reads::{Sent, What};
use crate::item::GrantId;
use crate::path::{Key, Subtree};
use crate::tree::Changed;

/// One subscription.
#[derive(Debug)]
pub(super) struct Sub {
    pub(super) scope: Scope,
    /// Whether the client may hold something of which it has to learn that it is gone.
    pub(super) deletions: bool,
    pub(super) denied: bool,
    pub(super) held: bool,
    pub(super) stage: Stage,
    /// Of a key: what was sent of it.
    pub(super) sent: Option<Sent>,
    /// The client was told that a new value is on its way.
    pub(super) announced: bool,
    /// The key changed.
    dirty: bool,
    /// Of what is below a path: the keys that changed.
    behind: BTreeSet<Key>,
    /// Of what is below a path: more changed than is remembered.
    again: bool,
    queued: bool,
}

/// How far a subscription is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The client is told what there is.
    Snapshot { begun: bool, after: Option<Key> },
    /// The client is told what changes.
    Live,
}

impl Stage {
    const START: Self = Self::Snapshot { begun: false, after: None };
}

/// The next thing to read.
#[derive(Debug)]
pub(super) enum Next {
    Values(Id, Scope, What),
    /// Revocations, the peer having named these grants.
    Revocations(Vec<GrantId>),
}

#[derive(Debug)]
enum Turn {
    Sub(Id),
    Revocations,
}

/// The subscriptions of a session, and what is to be done for them.
#[derive(Debug)]
pub(super) struct Subs {
    by_id: BTreeMap<Id, Sub>,
    by_key: BTreeMap<Key, BTreeSet<Id>>,
    by_path: BTreeMap<Subtree, BTreeSet<Id>>,
    /// Each subscription is in it at most once, and is served in turn.
    turns: VecDeque<Turn>,
    behind_keys: usize,
    behind_max: usize,
    page_keys: usize,
    known: Vec<GrantId>,
}

impl Subs {
    pub(super) fn new(behind_max: usize, page_keys: usize) -> Self {
        Self {
            by_id: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_path: BTreeMap::new(),
            turns: VecDeque::new(),
            behind_keys: 0,
            behind_max,
            page_keys: page_keys.max(1),
            known: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn contains(&self, id: Id) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut Sub> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn scopes(&self) -> Vec<(Id, Scope)> {
        self.by_id.iter().map(|(id, sub)| (*id, sub.scope.clone())).collect()
    }

    /// The peer holds these grants. What was revoked of them is told behind the values of the next subscription, so that those
    /// are there when others stop to count.
    pub(super) fn know(&mut self, grants: Vec<GrantId>) {
        self.known.extend(grants);
    }

    pub(super) fn add(&mut self, id: Id, scope: Scope, deletions: bool) {
        match &scope {
            Scope::Key(key) => self.by_key.entry(key.clone()).or_default().insert(id),
            Scope::Below(subtree) => self.by_path.entry(subtree.clone()).or_default().insert(id),
        };
        let sub = Sub {
            scope,
            deletions,
            denied: false,
            held: false,
            stage: Stage::START,
            sent: None,
            announced: false,
            dirty: false,
            behind: BTreeSet::new(),
            again: false,
            queued: false,
        };
        self.by_id.insert(id, sub);
        self.queue(id);
        self.queue_revocations();
    }

    pub(super) fn remove(&mut self, id: Id) {
        let Some(sub) = self.by_id.remove(&id) else { return };
        self.behind_keys -= sub.behind.len();
        match &sub.scope {
            Scope::Key(key) => forget(&mut self.by_key, key, id),
            Scope::Below(subtree) => forget(&mut self.by_path, subtree, id),
        }
        if sub.queued {
            self.turns.retain(|turn| !matches!(turn, Turn::Sub(other) if *other == id));
        }
    }

    fn queue(&mut self, id: Id) {
        if let Some(sub) = self.by_id.get_mut(&id)
            && !std::mem::replace(&mut sub.queued, true)
        {
            self.turns.push_back(Turn::Sub(id));
        }
    }

    /// Has the client told of revocations once all that waits now has had its turn.
    pub(super) fn queue_revocations(&mut self) {
        self.turns.retain(|turn| matches!(turn, Turn::Sub(_)));
        self.turns.push_back(Turn::Revocations);
    }

    /// What is to be read next. If it is for a subscription, [`done`](Self::done) is called when it was sent.
    pub(super) fn next(&mut self) -> Option<Next> {
        loop {
            match self.turns.pop_front()? {
                // Who may read nothing is told nothing of grants either; it is when that changes.
                Turn::Revocations if !self.by_id.values().any(Sub::is_told) => {}
                Turn::Revocations => return Some(Next::Revocations(std::mem::take(&mut self.known))),
                Turn::Sub(id) => {
                    let Some(sub) = self.by_id.get_mut(&id) else { continue };
                    sub.queued = false;
                    let before = sub.behind.len();
                    let what = sub.next(self.page_keys);
                    self.behind_keys -= before - sub.behind.len();
                    if let Some(what) = what {
                        return Some(Next::Values(id, sub.scope.clone(), what));
                    }
                }
            }
        }
    }

    /// Puts a subscription at the end of the queue if there is more to read for it.
    pub(super) fn done(&mut self, id: Id) {
        if self.by_id.get(&id).is_some_and(Sub::has_work) {
            self.queue(id);
        }
    }

    /// Notes what changed. Gives the subscriptions to keys whose client is to be told that a value is on its way.
    pub(super) fn changed(&mut self, changed: &Changed) -> Vec<Id> {
        let mut told = Vec::new();
        if changed.lagged {
            let ids: Vec<Id> = self.by_id.keys().copied().collect();
            for id in ids {
                told.extend(self.touch(id, None));
            }
            return told;
        }
        for key in &changed.keys {
            let mut ids: Vec<Id> = self.by_key.get(key).into_iter().flatten().copied().collect();
            for subtree in above(key) {
                ids.extend(self.by_path.get(&subtree).into_iter().flatten());
            }
            for id in ids {
                told.extend(self.touch(id, Some(key)));
            }
        }
        told
    }

    /// Reads all keys again, and then tells of revocations: of those for which that changes nothing the client hears nothing.
    /// What is below a path is told as its keys change.
    pub(super) fn authority_changed(&mut self) {
        let ids: Vec<Id> = self.by_id.keys().copied().collect();
        for id in ids {
            if let Some(sub) = self.by_id.get_mut(&id)
                && matches!(sub.scope, Scope::Key(_))
                && !sub.denied
            {
                sub.dirty = true;
                self.queue(id);
            }
        }
        self.queue_revocations();
    }

    /// Notes whether the client may read now. Gives whether it has to be told that it may not.
    pub(super) fn stand(&mut self, id: Id, allowed: bool) -> bool {
        let Some(sub) = self.by_id.get_mut(&id) else { return false };
        if allowed {
            if std::mem::take(&mut sub.denied) {
                self.queue(id);
                self.queue_revocations();
            }
            return false;
        }
        self.behind_keys -= sub.behind.len();
        sub.behind.clear();
        (sub.dirty, sub.again, sub.announced, sub.held) = (false, false, false, false);
        (sub.sent, sub.stage) = (None, Stage::START);
        !std::mem::replace(&mut sub.denied, true)
    }

    fn touch(&mut self, id: Id, key: Option<&Key>) -> Option<Id> {
        let full = self.behind_keys >= self.behind_max;
        let sub = self.by_id.get_mut(&id)?;
        if sub.denied {
            return None;
        }
        let mut told = None;
        match (&sub.scope, key) {
            (Scope::Key(_), _) => {
                let was_dirty = std::mem::replace(&mut sub.dirty, true);
                told = (!was_dirty && sub.stage == Stage::Live && !sub.announced).then_some(id);
                sub.announced |= told.is_some();
            }
            // It is read from the beginning in any case. What is being read now may be from before the change.
            (Scope::Below(_), _) if sub.again || (sub.queued && sub.stage == Stage::START) => {}
            (Scope::Below(_), Some(key)) if !full => {
                self.behind_keys += usize::from(sub.behind.insert(key.clone()));
            }
            (Scope::Below(_), _) => {
                self.behind_keys -= sub.behind.len();
                sub.behind.clear();
                sub.again = true;
            }
        }
        self.queue(id);
        told
    }
}

impl Sub {
    /// Whether values of it were sent.
    fn is_told(&self) -> bool {
        !self.denied && self.stage != Stage::START
    }

    fn has_work(&self) -> bool {
        !self.denied && (self.stage != Stage::Live || self.dirty || self.again || !self.behind.is_empty())
    }

    fn next(&mut self, page_keys: usize) -> Option<What> {
        if !self.has_work() {
            return None;
        }
        if self.stage == Stage::Live && std::mem::take(&mut self.again) {
            self.stage = Stage::START;
        }
        match (&self.scope, &self.stage) {
            (Scope::Key(key), _) => {
                self.dirty = false;
                Some(What::Key(key.clone()))
            }
            (Scope::Below(_), Stage::Snapshot { after, .. }) => {
                Some(What::Page { after: after.clone(), deletions: self.deletions })
            }
            (Scope::Below(_), Stage::Live) => {
                let rest = self.behind.iter().nth(page_keys).cloned();
                let rest = rest.map(|from| self.behind.split_off(&from)).unwrap_or_default();
                Some(What::Keys(std::mem::replace(&mut self.behind, rest)))
            }
        }
    }
}

/// The subtrees that a key is in.
fn above(key: &Key) -> impl Iterator<Item = Subtree> {
    let parents = std::iter::successors(key.parent(), Key::parent);
    parents.map(|parent| Subtree::below(&parent)).chain([Subtree::all()])
}

fn forget<K: Ord>(map: &mut BTreeMap<K, BTreeSet<Id>>, key: &K, id: Id) {
    if let Some(ids) = map.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            map.remove(key);
        }
    }
}
