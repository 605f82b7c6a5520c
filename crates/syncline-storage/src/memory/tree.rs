//! The tree as a whole.

use std::sync::Arc;

use bytes::Bytes;

use super::node::{self, Node};

/// An ordered map from byte strings to byte strings. A clone costs one reference count and keeps what it saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    root: Arc<Node>,
    len: usize,
}

impl Tree {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Bytes> {
        self.root.get(key)
    }

    pub(super) fn insert(&mut self, key: Bytes, value: Bytes) {
        let (new, split) = Arc::make_mut(&mut self.root).insert(key, value);
        self.len += usize::from(new);
        if let Some(split) = split {
            node::grow(&mut self.root, split);
        }
    }

    /// Gives whether the key was there.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        // Looked up first, so that the removal of what is not there copies no shared node.
        if self.root.get(key).is_none() {
            return false;
        }
        Arc::make_mut(&mut self.root).remove(key);
        node::shrink(&mut self.root);
        self.len -= 1;
        true
    }
}
