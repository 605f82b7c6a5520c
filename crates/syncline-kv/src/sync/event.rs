use std::fmt;
use std::sync::Arc;

use crate::item::{Item, ItemError};
use crate::tree::Verdict;

/// What a session tells its observer: what became of one item that came.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The tree decided about it.
    Verdict {
        /// The item: the evidence if it is at fault.
        item: Item,
        /// What became of it.
        verdict: Verdict,
    },
    /// It is an entry of a key that the session is not about.
    Outside {
        /// The entry.
        item: Item,
    },
    /// It was refused before, and nothing has changed since that could make a difference. It was not verified again.
    RefusedBefore {
        /// The item.
        item: Item,
    },
    /// The bytes are not an item.
    Undecodable(ItemError),
}

/// Whom to tell.
#[derive(Clone)]
pub(super) struct Observer(Arc<dyn Fn(Event) + Send + Sync>);

impl Observer {
    pub(super) fn new(observe: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    pub(super) fn tell(&self, event: Event) {
        (self.0)(event);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
