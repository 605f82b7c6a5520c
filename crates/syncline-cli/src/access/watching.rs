//! Following keys through an agent.

use std::collections::BTreeSet;

use async_trait::async_trait;
use syncline_gossip::control::{Change, WatchEvents};
use syncline_kv::Key;
use tokio::net::UnixStream;

use super::remote::failed;
use super::{Seen, Watch};
use crate::failure::Result;

/// Follows keys, and finds out which are gone when the agent had to begin anew.
pub(super) struct Watching {
    events: WatchEvents<UnixStream>,
    known: BTreeSet<Key>,
    /// Keys that were there before all is told again, and have not been told.
    untold: Option<BTreeSet<Key>>,
    removed: Vec<Key>,
}

impl Watching {
    pub(super) fn new(events: WatchEvents<UnixStream>) -> Self {
        Self { events, known: BTreeSet::new(), untold: None, removed: Vec::new() }
    }
}

#[async_trait]
impl Watch for Watching {
    async fn next(&mut self) -> Result<Option<Seen>> {
        loop {
            if let Some(key) = self.removed.pop() {
                return Ok(Some(Seen::Removed(key)));
            }
            let Some(change) = self.events.next().await.map_err(failed)? else { return Ok(None) };
            match change {
                Change::Value(entry) => {
                    self.known.insert(entry.key().clone());
                    if let Some(untold) = &mut self.untold {
                        untold.remove(entry.key());
                    }
                    return Ok(Some(Seen::Set(entry)));
                }
                Change::Unset(key) => {
                    if self.known.remove(&key) {
                        return Ok(Some(Seen::Removed(key)));
                    }
                }
                Change::Reset => self.untold = Some(self.known.clone()),
                Change::Live => match self.untold.take() {
                    Some(untold) => {
                        self.known.retain(|key| !untold.contains(key));
                        self.removed = untold.into_iter().rev().collect();
                    }
                    None => return Ok(Some(Seen::Live)),
                },
                Change::Authority => {}
            }
        }
    }
}
