//! What is known of one scope, and how the answers of servers that know more or less become one value.
//!
//! # Which value is shown
//!
//! The greatest entry that was checked here is kept, by the same order as in a tree. A server that answers with an older one, or
//! with none, may be behind, or may know better. It knows better
//!
//! - if it proves it, by a revocation or a rotation by which the kept entry no longer counts, or by a greater entry, which a
//!   deletion is;
//! - if it has shown that it knows the kept entry, or a greater one, before, in the same session: what a server knows only grows.
//!
//! Then its answer is taken at once. Otherwise the kept entry stays, and the server is given time to catch up. An older value is
//! not taken after that either: the greater one exists, that is proven. That there is none is taken then, since a deletion
//! may have been forgotten meanwhile, and nobody can prove that something is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use syncline_core::clock::Timestamp;

use super::super::state::Value;
use super::super::wire::{Id, Scope};
use super::ConnectionId;
use crate::authority::Authority;
use crate::item::{Entry, GrantId, Order};
use crate::path::Key;

/// What a server says of a key.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Entry(Entry),
    Absent,
    /// An entry that no longer counts by what is known here.
    Dead(Entry),
}

/// What is known of a key.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    /// The greatest live entry, which may be a deletion.
    kept: Option<Entry>,
    /// None is kept since a server said that there is none.
    absent: bool,
    /// What the server says that serves the interest now.
    answer: Option<Answer>,
    /// The greatest entry that this server has shown.
    shown: Option<Order>,
}

impl Cell {
    pub(super) fn value(&self) -> Value {
        match &self.kept {
            Some(kept) if kept.is_tombstone() => Value::Absent,
            Some(kept) => Value::Present(kept.clone()),
            None if self.absent => Value::Absent,
            None => Value::Unknown,
        }
    }

    fn is_present(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| !kept.is_tombstone())
    }

    /// Takes in an answer. Gives whether the server is behind by it.
    fn take(&mut self, answer: Answer) -> bool {
        let kept = self.kept.as_ref().map(Entry::order);
        let knows_better = kept.is_none_or(|kept| self.shown.is_some_and(|shown| shown >= kept));
        let is_behind = match &answer {
            Answer::Entry(entry) => {
                let is_behind = kept.is_some_and(|kept| entry.order() < kept) && !knows_better;
                if !is_behind {
                    (self.kept, self.absent) = (Some(entry.clone()), false);
                }
                self.shown = self.shown.max(Some(entry.order()));
                is_behind
            }
            // That a deletion has been forgotten changes nothing.
            Answer::Absent if self.kept.as_ref().is_some_and(Entry::is_tombstone) => false,
            Answer::Absent if knows_better => {
                (self.kept, self.absent) = (None, true);
                false
            }
            Answer::Absent | Answer::Dead(_) => true,
        };
        self.answer = Some(answer);
        is_behind
    }

    /// Looks again at what counts. Gives whether something has changed.
    fn reassess(&mut self, authority: &Authority) -> bool {
        let is_live = |entry: &Entry| authority.is_live(entry.leaves(), entry.author(), entry.stamp());
        let mut changed = false;
        match self.answer.take() {
            Some(Answer::Entry(entry)) if !is_live(&entry) => self.answer = Some(Answer::Dead(entry)),
            Some(Answer::Dead(entry)) if is_live(&entry) => self.answer = Some(Answer::Entry(entry)),
            same => self.answer = same,
        }
        if self.kept.as_ref().is_some_and(|kept| !is_live(kept)) {
            (self.kept, self.absent) = (None, matches!(self.answer, Some(Answer::Absent)));
            changed = true;
        }
        if let (None, Some(Answer::Entry(entry))) = (&self.kept, &self.answer) {
            (self.kept, self.absent) = (Some(entry.clone()), false);
            changed = true;
        }
        changed
    }
}

/// Who serves an interest, and as which of its subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Serving {
    pub(super) connection: ConnectionId,
    pub(super) id: Id,
}

/// What is known of one scope, for all that subscribe to it.
#[derive(Debug)]
pub(super) struct Interest {
    is_set: bool,
    pub(super) subscriptions: usize,
    /// When it is forgotten, since nobody subscribes to it.
    pub(super) cull_at: Option<Timestamp>,
    pub(super) serving: Option<Serving>,
    /// The connections whose servers do not let this client read it.
    pub(super) denied_by: BTreeSet<ConnectionId>,
    /// The server has told all that it has.
    pub(super) live: bool,
    /// The server says that a newer value is on its way.
    pub(super) changed: bool,
    /// The server has something in quarantine.
    pub(super) held: bool,
    pub(super) too_large: bool,
    /// While the server tells what it has: what it has told.
    seen: Option<BTreeSet<Key>>,
    cells: BTreeMap<Key, Cell>,
    present: usize,
    /// Keys of which the server knows less than is known here, and since when.
    behind: BTreeMap<Key, Timestamp>,
}

impl Interest {
    pub(super) fn new(scope: &Scope) -> Self {
        Self {
            is_set: matches!(scope, Scope::Below(_)),
            subscriptions: 0,
            cull_at: None,
            serving: None,
            denied_by: BTreeSet::new(),
            live: false,
            changed: false,
            held: false,
            too_large: false,
            seen: None,
            cells: BTreeMap::new(),
            present: 0,
            behind: BTreeMap::new(),
        }
    }

    pub(super) fn value(&self, key: &Key) -> Value {
        self.cells.get(key).map_or(Value::Unknown, Cell::value)
    }

    /// The entries that there are, by key.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.cells.values().filter_map(|cell| cell.kept.as_ref()).filter(|kept| !kept.is_tombstone())
    }

    pub(super) fn holds_something(&self) -> bool {
        self.cells.values().any(|cell| cell.kept.is_some())
    }

    /// The grants on which rests what is held.
    pub(super) fn leaves(&self) -> BTreeSet<GrantId> {
        let kept = self.cells.values().filter_map(|cell| cell.kept.as_ref());
        kept.flat_map(|kept| kept.leaves().as_slice()).copied().collect()
    }

    /// Another server is to be asked, or none. What is known stays.
    pub(super) fn serve(&mut self, serving: Option<Serving>) {
        self.serving = serving;
        (self.live, self.changed, self.held, self.seen) = (false, false, false, None);
        self.behind.clear();
        for cell in self.cells.values_mut() {
            (cell.answer, cell.shown) = (None, None);
        }
    }

    /// The server begins to tell what it has.
    pub(super) fn begin(&mut self) {
        self.live = false;
        self.seen = Some(BTreeSet::new());
    }

    /// Takes in what the server says of a key.
    pub(super) fn answer(&mut self, now: Timestamp, key: &Key, answer: Answer, max: usize) {
        self.changed = false;
        // That there is nothing of which nothing was known need not be remembered in a set.
        let is_news = !self.is_set || !matches!(answer, Answer::Absent) || self.cells.contains_key(key);
        if self.too_large || !is_news {
            return;
        }
        if let Some(seen) = &mut self.seen {
            seen.insert(key.clone());
        }
        let cell = self.cells.entry(key.clone()).or_default();
        let was_present = cell.is_present();
        let is_behind = cell.take(answer);
        self.present = self.present + usize::from(cell.is_present()) - usize::from(was_present);
        if is_behind {
            self.behind.entry(key.clone()).or_insert(now);
        } else {
            self.behind.remove(key);
        }
        if self.present > max {
            self.drop_all();
        } else if self.cells.len() > max.saturating_mul(2) {
            // Deletions are remembered as long as there is room.
            self.cells.retain(|_, cell| cell.is_present());
            self.behind.retain(|key, _| self.cells.contains_key(key));
            if let Some(seen) = &mut self.seen {
                seen.retain(|key| self.cells.contains_key(key));
            }
        }
    }

    fn drop_all(&mut self) {
        self.too_large = true;
        self.present = 0;
        self.cells.clear();
        self.behind.clear();
        self.seen = None;
    }

    /// The server has told all. Gives the keys of which it has said nothing, which means that it has none.
    pub(super) fn complete(&mut self, now: Timestamp, max: usize) -> Vec<Key> {
        let seen = self.seen.take().unwrap_or_default();
        let missing: Vec<Key> = self.cells.keys().filter(|key| !seen.contains(key)).cloned().collect();
        for key in &missing {
            self.answer(now, key, Answer::Absent, max);
        }
        self.live = true;
        missing
    }

    /// Looks again at what counts. Gives the keys of which something has changed.
    pub(super) fn reassess(&mut self, authority: &Authority) -> Vec<Key> {
        let mut changed = Vec::new();
        for (key, cell) in &mut self.cells {
            if cell.reassess(authority) {
                changed.push(key.clone());
                if !matches!(cell.answer, Some(Answer::Dead(_))) {
                    self.behind.remove(key);
                }
            }
        }
        self.present = self.cells.values().filter(|cell| cell.is_present()).count();
        changed
    }

    /// Whether the server has some more time to catch up; none if it is not behind.
    pub(super) fn is_catching_up(&self, now: Timestamp, catch_up: Duration) -> Option<bool> {
        (!self.behind.is_empty()).then(|| self.behind.values().any(|since| *since + catch_up > now))
    }

    /// When the time of some key is up.
    pub(super) fn next_timeout(&self, now: Timestamp, catch_up: Duration) -> Option<Timestamp> {
        let late = self.behind.values().map(|since| *since + catch_up).filter(|at| *at > now).min();
        [late, self.cull_at].into_iter().flatten().min()
    }

    /// Takes the word of a server, that there is none, whose time to catch up is over. Gives the keys.
    pub(super) fn give_in(&mut self, now: Timestamp, catch_up: Duration) -> Vec<Key> {
        let late = self.behind.iter().filter(|(_, since)| **since + catch_up <= now).map(|(key, _)| key.clone());
        let mut changed = Vec::new();
        for key in late.collect::<Vec<_>>() {
            if let Some(cell) = self.cells.get_mut(&key)
                && matches!(cell.answer, Some(Answer::Absent))
            {
                self.present -= usize::from(cell.is_present());
                (cell.kept, cell.absent) = (None, true);
                self.behind.remove(&key);
                changed.push(key);
            }
        }
        changed
    }
}
