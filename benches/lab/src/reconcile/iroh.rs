//! iroh-docs 0.101: two replicas in memory, driven message by message, encoded as on its wire.
//!
//! It is no like for like: what it reconciles are entries with two signatures each, which the receiver verifies and stores
//! within the session. A fair comparison is with entries of ours, which the key-value store has; this one says what its
//! reconciliation costs as it is.

use futures::executor::block_on;
use iroh_blobs::Hash;
use iroh_docs::store::{Query, Store};
use iroh_docs::{
    Author, ContentStatus, Entry as Unsigned, NamespaceSecret, Record, RecordIdentifier, SignedEntry, SyncOutcome,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Algorithm, Case, Entry, Exchange, Peers, Sets, Tells};

pub(super) struct IrohDocs;

impl Algorithm for IrohDocs {
    fn name(&self) -> &'static str {
        "iroh-docs"
    }

    fn tells(&self) -> Tells {
        Tells::Both
    }

    fn refuses(&self, case: &Case) -> Option<&'static str> {
        (case.n > 100_000).then_some("each entry of either side is signed twice, verified twice and inserted")
    }

    fn peers<'a>(&self, sets: &'a Sets) -> Box<dyn Peers + 'a> {
        Box::new(Replicas { here: Side::new(&sets.here, 1), there: Side::new(&sets.there, 2) })
    }
}

struct Side {
    store: Store,
    secret: NamespaceSecret,
    peer: [u8; 32],
    /// The ids that were there from the start, in order.
    held: Vec<[u8; 32]>,
}

struct Replicas {
    here: Side,
    there: Side,
}

impl Side {
    fn new(entries: &[Entry], peer: u8) -> Self {
        let secret = NamespaceSecret::from_bytes(&[7; 32]);
        let author = Author::from_bytes(&[9; 32]);
        let mut store = Store::memory();
        let mut replica = store.new_replica(secret.clone()).expect("memory does not fail");
        for entry in entries {
            // The key is time and id, so that the order of entries is the same as everywhere else.
            let mut key = entry.time.to_be_bytes().to_vec();
            key.extend_from_slice(&entry.id);
            let id = RecordIdentifier::new(secret.id(), author.id(), key);
            let record = Record::new(Hash::from_bytes(entry.id), 100, 1_700_000_000_000_000 + entry.time);
            let signed = SignedEntry::from_entry(Unsigned::new(id, record), &secret, &author);
            let inserted = block_on(replica.insert_remote_entry(signed, [3; 32], ContentStatus::Missing));
            inserted.expect("each entry is valid and there once");
        }
        drop(replica);
        let mut held: Vec<_> = entries.iter().map(|entry| entry.id).collect();
        held.sort_unstable();
        Self { store, secret, peer: [peer; 32], held }
    }

    /// What is there now and was not at the start.
    fn received(&mut self) -> Result<Vec<[u8; 32]>, String> {
        let entries = self.store.get_many(self.secret.id(), Query::all()).map_err(|err| err.to_string())?;
        let mut received = Vec::new();
        for entry in entries {
            let id = *entry.map_err(|err| err.to_string())?.content_hash().as_bytes();
            if self.held.binary_search(&id).is_err() {
                received.push(id);
            }
        }
        Ok(received)
    }
}

/// Over the wire and back. The type of the crate's messages is not public, so it is left to inference.
fn wire<M: Serialize + DeserializeOwned>(message: &M) -> Result<(M, usize), String> {
    let bytes = postcard::to_allocvec(message).map_err(|err| err.to_string())?;
    Ok((postcard::from_bytes(&bytes).map_err(|err| err.to_string())?, bytes.len()))
}

impl Peers for Replicas {
    fn reconcile(&mut self) -> Result<Exchange, String> {
        let fail = |err: &dyn std::fmt::Display| err.to_string();
        let mut exchange = Exchange::default();
        {
            let (ours, theirs) = (self.here.peer, self.there.peer);
            let mut here = self.here.store.open_replica(&self.here.secret.id()).map_err(|err| fail(&err))?;
            let mut there = self.there.store.open_replica(&self.there.secret.id()).map_err(|err| fail(&err))?;
            let (mut state_here, mut state_there) = (SyncOutcome::default(), SyncOutcome::default());
            let mut message = here.sync_initial_message().map_err(|err| fail(&err))?;
            loop {
                let (arrived, len) = wire(&message)?;
                exchange.send(true, len);
                let answer = block_on(there.sync_process_message(arrived, ours, &mut state_there));
                let Some(answer) = answer.map_err(|err| fail(&err))? else { break };
                let (arrived, len) = wire(&answer)?;
                exchange.send(false, len);
                let next = block_on(here.sync_process_message(arrived, theirs, &mut state_here));
                match next.map_err(|err| fail(&err))? {
                    Some(next) => message = next,
                    None => break,
                }
            }
        }
        Ok(exchange)
    }

    fn found(&mut self, exchange: &mut Exchange) -> Result<(), String> {
        exchange.only_there = self.here.received()?;
        exchange.only_here = self.there.received()?;
        Ok(())
    }

    fn are_used_up(&self) -> bool {
        true
    }
}
