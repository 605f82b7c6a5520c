//! A node of the tree. Shared nodes are copied before they change, so that snapshots keep what they saw.

use std::{mem, sync::Arc};

use bytes::Bytes;

use super::sorted::{Keyed, Sorted};

/// A key and its value.
pub(super) type Row = (Bytes, Bytes);

impl Keyed for Row {
    fn key(&self) -> &[u8] {
        &self.0
    }
}

/// Most rows of a leaf and most children of an inner node.
pub(super) const CAPACITY: usize = 32;
/// A node below this is joined with a neighbour if both together leave some room.
const SPARSE: usize = CAPACITY / 4;
const JOINED: usize = CAPACITY * 3 / 4;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Leaf(Sorted<Row>),
    Inner(Inner),
}

/// Child `i` holds the keys `k` with `separators[i - 1] <= k < separators[i]`.
#[derive(Clone, Debug)]
pub(super) struct Inner {
    pub(super) separators: Sorted<Bytes>,
    pub(super) children: Vec<Arc<Node>>,
}

/// The right half of a node that was full, with its least possible key.
pub(super) struct Split {
    pub(super) separator: Bytes,
    pub(super) right: Arc<Node>,
}

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(Sorted::default())
    }
}

impl Node {
    fn width(&self) -> usize {
        match self {
            Self::Leaf(rows) => rows.len(),
            Self::Inner(inner) => inner.children.len(),
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Bytes> {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(rows) => {
                    let at = rows.search(key).ok()?;
                    return rows.entries().get(at).map(|(_, value)| value);
                }
                Self::Inner(inner) => node = inner.children.get(inner.child_of(key))?,
            }
        }
    }

    /// Gives whether the key is new, and the right half if the node had to be split.
    pub(super) fn insert(&mut self, key: Bytes, value: Bytes) -> (bool, Option<Split>) {
        match self {
            Self::Leaf(rows) => match rows.search(&key) {
                Ok(at) => {
                    if let Some(row) = rows.get_mut(at) {
                        row.1 = value;
                    }
                    (false, None)
                }
                Err(at) => {
                    rows.insert(at, (key, value));
                    (true, split_rows(rows, at))
                }
            },
            Self::Inner(inner) => inner.insert(key, value),
        }
    }

    /// Removes a key that is there.
    pub(super) fn remove(&mut self, key: &[u8]) {
        match self {
            Self::Leaf(rows) => {
                if let Ok(at) = rows.search(key) {
                    rows.remove(at);
                }
            }
            Self::Inner(inner) => inner.remove(key),
        }
    }

    /// Takes over all that is in the right neighbour.
    fn join(&mut self, separator: Bytes, right: Arc<Node>) {
        match (self, Arc::unwrap_or_clone(right)) {
            (Self::Leaf(rows), Self::Leaf(more)) => rows.append(more),
            (Self::Inner(inner), Self::Inner(mut more)) => {
                inner.separators.push(separator);
                inner.separators.append(more.separators);
                inner.children.append(&mut more.children);
            }
            (Self::Leaf(_), Self::Inner(_)) | (Self::Inner(_), Self::Leaf(_)) => {
                unreachable!("neighbours have the same height")
            }
        }
    }
}

impl Inner {
    /// The child in whose span `key` falls.
    pub(super) fn child_of(&self, key: &[u8]) -> usize {
        self.separators.search(key).map_or_else(|at| at, |at| at + 1)
    }

    fn insert(&mut self, key: Bytes, value: Bytes) -> (bool, Option<Split>) {
        let at = self.child_of(&key);
        // There is one child more than separators, and `child_of` counts separators.
        let (new, split) = Arc::make_mut(&mut self.children[at]).insert(key, value);
        let Some(split) = split else {
            return (new, None);
        };
        self.separators.insert(at, split.separator);
        self.children.insert(at + 1, split.right);
        if self.children.len() <= CAPACITY {
            return (new, None);
        }
        // As with rows: those who append leave full nodes behind them.
        let middle = if at + 2 == self.children.len() { self.children.len() - 1 } else { self.separators.middle() + 1 };
        let children = self.children.split_off(middle);
        let separators = self.separators.split_off(middle);
        let separator = self.separators.remove(middle - 1);
        let right = Self { separators, children };
        (new, Some(Split { separator, right: Arc::new(Node::Inner(right)) }))
    }

    fn remove(&mut self, key: &[u8]) {
        let at = self.child_of(key);
        // As in `insert`: there is a child at this place.
        Arc::make_mut(&mut self.children[at]).remove(key);
        let width = self.children[at].width();
        if width == 0 {
            // The span goes to the neighbour. Without one this node is empty too, and goes in its turn.
            self.children.remove(at);
            if self.separators.len() > 0 {
                self.separators.remove(at.saturating_sub(1));
            }
            return;
        }
        if width >= SPARSE || self.children.len() == 1 {
            return;
        }
        let left = at.saturating_sub(1);
        if self.children[left].width() + self.children[left + 1].width() <= JOINED {
            let separator = self.separators.remove(left);
            let right = self.children.remove(left + 1);
            Arc::make_mut(&mut self.children[left]).join(separator, right);
        }
    }
}

fn split_rows(rows: &mut Sorted<Row>, inserted: usize) -> Option<Split> {
    if rows.len() <= CAPACITY {
        return None;
    }
    // Who appends in key order fills the leaf to the brim instead of leaving it half empty for ever.
    let middle = if inserted + 1 == rows.len() { inserted } else { rows.middle() };
    let right = rows.split_off(middle);
    let separator = right.entries().first()?.0.clone();
    Some(Split { separator, right: Arc::new(Node::Leaf(right)) })
}

/// Puts a new root above a root that was split.
pub(super) fn grow(root: &mut Arc<Node>, split: Split) {
    let left = mem::take(root);
    *root =
        Arc::new(Node::Inner(Inner { separators: Sorted::one(split.separator), children: vec![left, split.right] }));
}

/// Drops roots that have a single child or none.
pub(super) fn shrink(root: &mut Arc<Node>) {
    while let Node::Inner(inner) = &**root {
        match &inner.children[..] {
            [] => *root = Arc::default(),
            [only] => {
                let only = Arc::clone(only);
                *root = only;
            }
            _ => return,
        }
    }
}
