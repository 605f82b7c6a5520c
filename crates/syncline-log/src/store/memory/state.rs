//! All logs of a store, their index, and the cursors.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use syncline_crypto::{Hash, PublicKey};

use super::index::{Index, LogNumber, Place};
use super::log::Log;
use crate::SeqNum;
use crate::store::{Appended, CursorName, Heights, Located, LogId, LogSummary, Logs, NewOperation, Tips};

#[derive(Debug)]
pub(super) struct State<L> {
    numbers: BTreeMap<PublicKey, BTreeMap<L, LogNumber>>,
    /// By number. Empty slots are in `free`.
    slots: Vec<Option<Slot<L>>>,
    free: Vec<LogNumber>,
    index: Index,
    cursors: BTreeMap<CursorName, Heights<L>>,
}

#[derive(Debug)]
struct Slot<L> {
    author: PublicKey,
    log_id: L,
    log: Log,
}

impl<L: LogId> State<L> {
    pub(super) fn new() -> Self {
        Self {
            numbers: BTreeMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            index: Index::default(),
            cursors: BTreeMap::new(),
        }
    }

    pub(super) fn append(&mut self, new: NewOperation<L>) -> Appended {
        let NewOperation { log_id, operation, link } = new;
        let (author, hash, seq_num) = (operation.public_key(), operation.hash(), operation.seq_num());
        let number = self.number(&author, &log_id);
        let (number, appended) = match number.and_then(|number| Some((number, self.slot_mut(number)?))) {
            Some((number, slot)) => {
                let change = slot.log.append(operation, link);
                for hash in &change.deleted {
                    self.index.remove(hash, number);
                }
                (number, change.appended)
            }
            None => match Log::start(operation, link) {
                Ok(log) => (self.insert(Slot { author, log_id, log }), Appended::New),
                Err(appended) => return appended,
            },
        };
        if appended == Appended::New {
            self.index.insert(hash, Place { log: number, seq_num });
        }
        appended
    }

    pub(super) fn log(&self, author: &PublicKey, log_id: &L) -> Option<&Log> {
        Some(&self.slot(self.number(author, log_id)?)?.log)
    }

    pub(super) fn heights(&self, logs: &Logs<L>) -> Heights<L> {
        let of_author = |(author, log_ids): (&PublicKey, &Vec<L>)| {
            let numbers = self.numbers.get(author)?;
            let height = |log_id: &L| Some(self.slot(*numbers.get(log_id)?)?.log.tip().seq_num);
            found(*author, log_ids, height)
        };
        logs.iter().filter_map(of_author).collect()
    }

    pub(super) fn tips(&self, logs: &Logs<L>) -> Tips<L> {
        let of_author = |(author, log_ids): (&PublicKey, &Vec<L>)| {
            let numbers = self.numbers.get(author)?;
            found(*author, log_ids, |log_id| Some(self.slot(*numbers.get(log_id)?)?.log.tip()))
        };
        logs.iter().filter_map(of_author).collect()
    }

    pub(super) fn get(&self, hash: &Hash) -> Option<Located<L>> {
        let place = self.index.find(hash)?;
        let slot = self.slot(place.log)?;
        Some(Located::new(slot.author, slot.log_id.clone(), slot.log.get(place.seq_num)?))
    }

    pub(super) fn prune(&mut self, author: &PublicKey, log_id: &L, before: SeqNum) -> u64 {
        let Some(number) = self.number(author, log_id) else { return 0 };
        let Some(slot) = self.slot_mut(number) else { return 0 };
        let deleted = slot.log.prune(before);
        for hash in &deleted {
            self.index.remove(hash, number);
        }
        deleted.len() as u64
    }

    pub(super) fn delete_payload(&mut self, hash: &Hash) -> bool {
        let mut was_there = false;
        for place in self.index.find_all(hash) {
            let body = self.slot_mut(place.log).and_then(|slot| slot.log.take_body(place.seq_num));
            was_there |= body.is_some();
        }
        was_there
    }

    pub(super) fn add_payload(&mut self, hash: &Hash, body: &Bytes) -> bool {
        let mut is_added = false;
        for place in self.index.find_all(hash) {
            let slot = self.slot_mut(place.log);
            is_added |= slot.is_some_and(|slot| slot.log.put_body(place.seq_num, body));
        }
        is_added
    }

    pub(super) fn delete_log(&mut self, author: &PublicKey, log_id: &L) -> bool {
        let Some(logs) = self.numbers.get_mut(author) else { return false };
        let Some(number) = logs.remove(log_id) else { return false };
        if logs.is_empty() {
            self.numbers.remove(author);
        }
        if let Some(slot) = self.slots.get_mut(number).and_then(Option::take) {
            for hash in slot.log.hashes() {
                self.index.remove(&hash, number);
            }
            self.free.push(number);
        }
        true
    }

    pub(super) fn logs(&self, after: Option<(PublicKey, L)>, count_max: usize) -> Vec<LogSummary<L>> {
        let summary = |number: &LogNumber| {
            let slot = self.slot(*number)?;
            Some(slot.log.summary(slot.author, slot.log_id.clone()))
        };
        let Some((author, log_id)) = after else {
            return self.numbers.values().flat_map(BTreeMap::values).filter_map(summary).take(count_max).collect();
        };
        let behind = (Bound::Excluded(&log_id), Bound::Unbounded);
        let of_author = self.numbers.get(&author).into_iter().flat_map(|logs| logs.range(behind));
        let authors = self.numbers.range((Bound::Excluded(author), Bound::Unbounded));
        let of_others = authors.flat_map(|(_, logs)| logs.iter());
        of_author.chain(of_others).filter_map(|(_, number)| summary(number)).take(count_max).collect()
    }

    pub(super) fn cursor(&self, name: &CursorName, logs: &Logs<L>) -> Heights<L> {
        let Some(positions) = self.cursors.get(name) else { return Heights::new() };
        let of_author = |(author, log_ids): (&PublicKey, &Vec<L>)| {
            let known = positions.get(author)?;
            found(*author, log_ids, |log_id| known.get(log_id).copied())
        };
        logs.iter().filter_map(of_author).collect()
    }

    pub(super) fn move_cursor(&mut self, name: CursorName, positions: Heights<L>) {
        let positions = positions.into_iter().filter(|(_, logs)| !logs.is_empty());
        let mut positions = positions.peekable();
        if positions.peek().is_none() {
            return;
        }
        let known = self.cursors.entry(name).or_default();
        for (author, logs) in positions {
            known.entry(author).or_default().extend(logs);
        }
    }

    pub(super) fn delete_cursor(&mut self, name: &CursorName) -> bool {
        self.cursors.remove(name).is_some()
    }

    #[cfg(test)]
    pub(super) fn index_len(&self) -> usize {
        self.index.len()
    }

    #[cfg(test)]
    pub(super) fn slots_len(&self) -> usize {
        self.slots.len()
    }

    fn number(&self, author: &PublicKey, log_id: &L) -> Option<LogNumber> {
        self.numbers.get(author)?.get(log_id).copied()
    }

    fn slot(&self, number: LogNumber) -> Option<&Slot<L>> {
        self.slots.get(number)?.as_ref()
    }

    fn slot_mut(&mut self, number: LogNumber) -> Option<&mut Slot<L>> {
        self.slots.get_mut(number)?.as_mut()
    }

    fn insert(&mut self, slot: Slot<L>) -> LogNumber {
        let logs = self.numbers.entry(slot.author).or_default();
        let number = self.free.pop().unwrap_or(self.slots.len());
        logs.insert(slot.log_id.clone(), number);
        match self.slots.get_mut(number) {
            Some(free) => *free = Some(slot),
            None => self.slots.push(Some(slot)),
        }
        number
    }
}

/// What `find` knows of an author's logs, if it knows any.
fn found<L: LogId, V>(
    author: PublicKey,
    log_ids: &[L],
    find: impl Fn(&L) -> Option<V>,
) -> Option<(PublicKey, BTreeMap<L, V>)> {
    let mut found = BTreeMap::new();
    for log_id in log_ids {
        if let Some(value) = find(log_id) {
            found.insert(log_id.clone(), value);
        }
    }
    (!found.is_empty()).then_some((author, found))
}
