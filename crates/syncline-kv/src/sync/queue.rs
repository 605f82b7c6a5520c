//! What is to be sent, in order, and where it comes from.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use syncline_reconcile::{Bound, Item as SetItem, Span, SummaryIndex as _};

use crate::authority::Authority;
use crate::item::{Grant, Item, RootRotate};
use crate::path::Key;
use crate::tree::{KvError, SetName, Tree, TreeView};

/// Items whose places are read from an index at a time.
const PLACES_AT_ONCE: usize = 1_024;

/// The bytes of an item's id.
pub(super) type IdBytes = [u8; 32];

/// Where items to send come from.
pub(super) enum Source {
    /// A reconciliation found these.
    Items { view: Arc<TreeView>, set: SetName, items: std::vec::IntoIter<SetItem> },
    /// The peer has nothing: everything from here on.
    Span { view: Arc<TreeView>, set: SetName, span: Span },
    /// Keys that changed.
    Keys(BTreeSet<Key>),
    /// Grants and such that came.
    Encoded(VecDeque<(IdBytes, Bytes)>),
}

/// What is to be sent.
#[derive(Default)]
pub(super) struct Queue(VecDeque<Source>);

impl Queue {
    pub(super) fn push(&mut self, source: Source) {
        self.0.push_back(source);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next item of the self.0. What is gone meanwhile is left out.
    pub(super) fn next(&mut self, tree: &Tree) -> Result<Option<(IdBytes, Bytes)>, KvError> {
        loop {
            match self.0.pop_front() {
                None => return Ok(None),
                Some(Source::Items { view, set, mut items }) => {
                    let Some(item) = items.next() else { continue };
                    #[cfg(syncline_planted)]
                    if item.id.as_bytes()[0] < 16
                        && syncline_core::planted::is(syncline_core::planted::Bug::DropAnnounced)
                    {
                        self.0.push_front(Source::Items { view, set, items });
                        continue;
                    }
                    let bytes = view.item(set, &item)?;
                    self.0.push_front(Source::Items { view, set, items });
                    if let Some(bytes) = bytes {
                        return Ok(Some((*item.id.as_bytes(), bytes)));
                    }
                }
                Some(Source::Span { view, set, span }) => {
                    let items = places(&view, set, &span)?;
                    let Some(last) = items.last() else { continue };
                    let rest = Span { from: behind(last), to: span.to };
                    self.0.push_front(Source::Span { view: Arc::clone(&view), set, span: rest });
                    self.0.push_front(Source::Items { view, set, items: items.into_iter() });
                }
                Some(Source::Keys(mut keys)) => {
                    let Some(key) = keys.pop_first() else { continue };
                    let entries = tree.history(&key)?.into_iter().map(Item::Entry);
                    self.0.push_front(Source::Keys(keys));
                    self.0.push_front(Source::Encoded(entries.map(|item| (item.id_bytes(), item.encoded())).collect()));
                }
                Some(Source::Encoded(mut items)) => {
                    let Some(item) = items.pop_front() else { continue };
                    self.0.push_front(Source::Encoded(items));
                    return Ok(Some(item));
                }
            }
        }
    }
}

/// The first items of a span.
fn places(view: &TreeView, set: SetName, span: &Span) -> Result<Vec<SetItem>, KvError> {
    let mut items = Vec::new();
    view.set(set).items(span, &mut |key, id| {
        items.push(SetItem::new(key, *id));
        if items.len() < PLACES_AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(items)
}

/// The least place behind an item.
fn behind(item: &SetItem) -> Bound {
    let mut id = *item.id.as_bytes();
    for at in (0..id.len()).rev() {
        if let Some(byte) = id.get_mut(at) {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                return Bound { key: item.key.clone(), id_prefix: id.to_vec() };
            }
        }
    }
    // Behind the greatest id there is: the next key.
    let mut key = item.key.clone();
    key.push(0);
    Bound { key, id_prefix: Vec::new() }
}

/// The grants and such that were not there before.
pub(super) fn news(before: &Authority, now: &Authority, on_rejection: bool) -> VecDeque<(IdBytes, Bytes)> {
    let known: BTreeSet<_> = before.rotations().map(RootRotate::id).collect();
    let rotations = now.rotations().filter(|rotation| !known.contains(&rotation.id())).cloned().map(Item::RootRotate);
    let grants = now.grants().filter(|grant| before.grant(&grant.id()).is_none());
    let grants = grants.map(|grant| Item::Grant(Grant::clone(grant)));
    let revocations = now.revocations().filter(|found| !on_rejection && before.revocation(&found.id()).is_none());
    let revocations = revocations.cloned().map(Item::Revocation);
    // Revocations do not wait for grants that peers may not have yet; entries come behind all of these.
    let items = rotations.chain(grants).chain(revocations);
    items.map(|item| (item.id_bytes(), item.encoded())).collect()
}
