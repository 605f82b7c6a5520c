//! A bundle on its way to an agent.

use syncline_gossip::control::{Client, VerdictKind};
use syncline_kv::Item;
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use super::remote::{ITEMS_AT_ONCE, failed};
use crate::failure::Result;
use crate::out::record::ImportRecord;

/// Bytes of items that are handed in at once, about.
const BYTES_AT_ONCE: usize = 2 << 20;

/// Items of a bundle on their way to the agent.
pub(super) struct HandingIn<'a> {
    client: &'a Mutex<Client<UnixStream>>,
    record: ImportRecord,
    items: Vec<Item>,
    bytes: usize,
}

impl<'a> HandingIn<'a> {
    /// Goes on from what was found out about the bundle without the agent.
    pub(super) fn new(client: &'a Mutex<Client<UnixStream>>, record: ImportRecord) -> Self {
        Self { client, record, items: Vec::new(), bytes: 0 }
    }

    pub(super) async fn push(&mut self, item: Item) -> Result<()> {
        self.bytes += item.encoded().len();
        self.items.push(item);
        if self.items.len() >= ITEMS_AT_ONCE || self.bytes >= BYTES_AT_ONCE { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<()> {
        self.bytes = 0;
        let items = std::mem::take(&mut self.items);
        let verdicts = self.client.lock().await.apply(&items).await.map_err(failed)?;
        for verdict in verdicts {
            match verdict.kind {
                VerdictKind::Applied | VerdictKind::Ineffective | VerdictKind::Shadowed => self.record.new += 1,
                VerdictKind::Known | VerdictKind::Superseded => self.record.known += 1,
                _ => {
                    self.record.refused += 1;
                    if self.record.reasons.len() < 100 {
                        self.record.reasons.push(verdict.text);
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<ImportRecord> {
        self.flush().await?;
        Ok(self.record)
    }
}
