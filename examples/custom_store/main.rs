//! A log store of one's own: an append-only file for each node, and everything in memory as well.
//!
//! `journal.rs` is the file: frames that are whole or not there. `store.rs` makes a `LogStore` of it. This program checks
//! the store by the conformance suite and then syncs two of them; one loses the end of its file in between. The page
//! `docs/guide/store.md` walks through it.

#![expect(clippy::print_stdout, reason = "a program for people")]
#![expect(unreachable_pub, unnameable_types, reason = "in a program, `pub` says what other modules use")]

mod journal;
mod store;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use syncline_core::{TopicMap, TopicQuery};
use syncline_crypto::{PublicKey, SigningKey};
use syncline_log::ingest::{Classify, Placement};
use syncline_log::store::{LogStore, Logs, Page, SeqRange};
use syncline_log::{Body, Draft, EncodedOperation, Ingest, LogSync, LogWriter};
use syncline_net::memory::MemoryNetwork;
use syncline_net::{AcceptedSession, AppSink, Node, TokioBlocking};
use syncline_testkit::conformance;

use store::FileStore;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    check_conformance(folder.path());
    println!("The store keeps the contract: the conformance suite passed.");
    tokio::runtime::Runtime::new()?.block_on(sync(folder.path()))
}

/// Runs the suite that every store has to pass. It panics with the rule that is broken.
fn check_conformance(folder: &Path) {
    let number = Cell::new(0);
    let open = || FileStore::open(folder.join(number.get().to_string())).unwrap_or_else(|err| panic!("{err}"));
    let fresh = || {
        number.set(number.get() + 1);
        open()
    };
    conformance::log_store_with_reopen(fresh, |store| {
        drop(store);
        open()
    });
}

/// What the nodes below talk about: the log of one author, who has no other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct LogOf(PublicKey);

impl TopicQuery for LogOf {}

/// The id of every author's only log.
const LOG: u64 = 0;

#[derive(Debug)]
struct OneLogEach;

#[async_trait]
impl TopicMap<LogOf, Logs<u64>> for OneLogEach {
    async fn get(&self, topic: &LogOf) -> Option<Logs<u64>> {
        Some([(topic.0, vec![LOG])].into())
    }
}

impl Classify<u64> for OneLogEach {
    fn place(&self, _operation: &EncodedOperation) -> Option<Placement<u64>> {
        Some(Placement::next(LOG))
    }
}

fn open(path: &Path) -> Result<FileStore, Box<dyn Error>> {
    Ok(FileStore::open(path)?.with_blocking(Arc::new(TokioBlocking::current())))
}

fn protocol(store: &FileStore) -> Arc<LogSync<LogOf, u64, FileStore>> {
    Arc::new(LogSync::new(Arc::new(OneLogEach), store.clone()))
}

fn ingest(store: &FileStore) -> Ingest<LogOf, u64, FileStore> {
    Ingest::new(Arc::new(OneLogEach), store.clone(), Arc::new(OneLogEach))
}

async fn everything(store: &FileStore, author: PublicKey) -> Result<Page, Box<dyn Error>> {
    Ok(store.read(author, LOG, SeqRange::ALL, usize::MAX).await?)
}

async fn sync(folder: &Path) -> Result<(), Box<dyn Error>> {
    let network = MemoryNetwork::default();
    let [key, other] = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]));
    let author = key.public_key();

    // The first node writes 1000 operations, 100 in a transaction, and offers them.
    let theirs = open(&folder.join("theirs"))?;
    let writer = LogWriter::new(theirs.clone(), Arc::new(key));
    for hundred in 0..10 {
        let bodies = (0..100).map(|line| Body::new(format!("line {}", 100 * hundred + line)));
        writer.publish(LOG, bodies.map(|body| Draft::<()>::new(Some(body), None))).await?;
    }
    let endpoint = network.endpoint(author)?;
    let peer = endpoint.addr().clone();
    let into = theirs.clone();
    let handler = move |_: &AcceptedSession| -> AppSink<LogOf> { Box::new(ingest(&into)) };
    let offering = Node::builder().endpoint(endpoint).register(protocol(&theirs), handler).build()?;

    // The second gets them.
    let node = Node::builder().endpoint(network.endpoint(other.public_key())?).build()?;
    let path = folder.join("ours");
    let ours = open(&path)?;
    let report = node.sync(&peer, protocol(&ours), LogOf(author), ingest(&ours)).finished().await?;
    println!("Two nodes synced: {} operations travelled.", report.items_received());
    assert_eq!(everything(&ours, author).await?, everything(&theirs, author).await?);
    drop(ours);

    // Its machine stops in the middle of a write: the end of the last frame is not there.
    let file = File::options().write(true).open(&path)?;
    file.set_len(file.metadata()?.len() - 100)?;
    let ours = open(&path)?;
    let left = everything(&ours, author).await?.operations;
    println!("After a torn write {} operations are there, each of them whole.", left.len());
    assert!(left.len() < 1000 && everything(&theirs, author).await?.operations.starts_with(&left));

    // What was lost comes again, and nothing else.
    let report = node.sync(&peer, protocol(&ours), LogOf(author), ingest(&ours)).finished().await?;
    println!("They synced again: {} operations travelled, and both have all 1000.", report.items_received());
    assert_eq!(report.items_received(), 1000 - left.len() as u64);
    assert_eq!(everything(&ours, author).await?, everything(&theirs, author).await?);
    node.shutdown().await;
    offering.shutdown().await;
    Ok(())
}
