//! iroh-docs 0.101: replicas in its store in memory, driven message by message, encoded as on its wire.
//!
//! It is measured at its best. Its actor, its streams and the framing's second pass over each message are left out. Of a
//! value its entries have hash and length only; the value itself travels by another protocol, whose bytes and time are not
//! counted, while ours are with the values. An entry has two signatures, of the namespace and of the author, and both are
//! verified.

use cpu_time::ProcessTime;
use futures::executor::block_on;
use iroh_blobs::Hash;
use iroh_docs::store::{Query, Store};
use iroh_docs::sync::ProtocolMessage;
use iroh_docs::{
    Author, ContentStatus, Entry as Unsigned, NamespaceId, NamespaceSecret, Record, RecordIdentifier, SignedEntry,
    SyncOutcome,
};
use serde::{Deserialize, Serialize};

use super::data::{Held, Pair, TEAMS, Write};
use super::{Contender, Run, Signed};

/// The peers' ids, which the store takes note of.
const PEERS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

/// Bytes of a frame's length.
const FRAME: u64 = 4;

/// What a frame holds: the crate's own type, which is private, has the same variants and so the same encoding.
#[derive(Serialize, Deserialize)]
enum Frame {
    Init { namespace: NamespaceId, message: ProtocolMessage },
    Sync(ProtocolMessage),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct IrohDocs;

impl Contender for IrohDocs {
    fn name(&self) -> &'static str {
        "iroh-docs 0.101"
    }

    fn sign(&self, pair: &Pair) -> Box<dyn Signed> {
        let namespace = NamespaceSecret::from_bytes(&[7; 32]);
        let authors: Vec<Author> = (0..TEAMS).map(|team| Author::from_bytes(&Write::secret(team))).collect();
        let sign = |writes: &[Write]| -> Vec<Vec<u8>> {
            let entry = |write: &Write| {
                let author = &authors[write.team];
                let id = RecordIdentifier::new(namespace.id(), author.id(), &write.path);
                // In microseconds.
                let record = Record::new(Hash::new(&write.value), write.value.len() as u64, write.at * 1_000);
                let signed = SignedEntry::from_entry(Unsigned::new(id, record), &namespace, author);
                postcard::to_allocvec(&signed).expect("an entry can be encoded")
            };
            writes.iter().map(entry).collect()
        };
        Box::new(Entries {
            common: sign(&pair.common),
            here: sign(&pair.only_here),
            there: sign(pair.only_there.iter().chain(&pair.newer_there).cloned().collect::<Vec<_>>().as_slice()),
            namespace,
        })
    }
}

/// Both sides' entries, each encoded as it stands in a message.
struct Entries {
    namespace: NamespaceSecret,
    common: Vec<Vec<u8>>,
    here: Vec<Vec<u8>>,
    there: Vec<Vec<u8>>,
}

impl Signed for Entries {
    /// There are two ways in which a peer's entries come in: one by one, as by gossip, or many in a message of a sync. One
    /// replica is filled by the first, the other by the second, and the cheaper one counts.
    fn run(&self) -> Result<Run, String> {
        let (mut here, mut there) = (Replica::new(&self.namespace)?, Replica::new(&self.namespace)?);
        let one_by_one = cpu(|| here.take(&self.common))?;
        let in_a_message = there.take_all_of(&mut here)?;
        here.take(&self.here)?;
        there.take(&self.there)?;
        let mut run = Run { apply: one_by_one.min(in_a_message), ..Run::default() };
        run.sync = cpu(|| sync(&mut here, &mut there, &mut run))?;
        (run.here, run.there) = (here.held()?, there.held()?);
        Ok(run)
    }
}

/// CPU seconds of the process.
fn cpu(work: impl FnOnce() -> Result<(), String>) -> Result<f64, String> {
    let before = ProcessTime::now();
    work()?;
    Ok(before.elapsed().as_secs_f64())
}

struct Replica {
    store: Store,
    id: NamespaceId,
}

impl Replica {
    fn new(namespace: &NamespaceSecret) -> Result<Self, String> {
        let mut store = Store::memory();
        store.new_replica(namespace.clone()).map_err(fail)?;
        Ok(Self { store, id: namespace.id() })
    }

    /// Takes entries one by one.
    fn take(&mut self, entries: &[Vec<u8>]) -> Result<(), String> {
        let mut replica = self.store.open_replica(&self.id).map_err(fail)?;
        for entry in entries {
            let entry: SignedEntry = postcard::from_bytes(entry).map_err(fail)?;
            block_on(replica.insert_remote_entry(entry, PEERS[0], ContentStatus::Missing)).map_err(fail)?;
        }
        drop(replica);
        self.store.flush().map_err(fail)
    }

    /// Takes everything that another one holds, of which nothing is there yet, and gives the CPU seconds of this side from
    /// the message's arrival on.
    fn take_all_of(&mut self, other: &mut Self) -> Result<f64, String> {
        let mut replica = self.store.open_replica(&self.id).map_err(fail)?;
        let first = replica.sync_initial_message().map_err(fail)?;
        let mut full = other.store.open_replica(&other.id).map_err(fail)?;
        let answer = block_on(full.sync_process_message(first, PEERS[0], &mut SyncOutcome::default()));
        let answer = Frame::Sync(answer.map_err(fail)?.ok_or("there is nothing to send")?);
        let arrived = postcard::to_allocvec(&answer).map_err(fail)?;
        drop(answer);
        drop(full);
        let mut outcome = SyncOutcome::default();
        let taken = cpu(|| {
            let message = decode(&arrived)?;
            block_on(replica.sync_process_message(message, PEERS[1], &mut outcome)).map_err(fail)?;
            Ok(())
        })?;
        drop(replica);
        Ok(taken + cpu(|| self.store.flush().map_err(fail))?)
    }

    fn held(&mut self) -> Result<Vec<Held>, String> {
        let entries = self.store.get_many(self.id, Query::all()).map_err(fail)?;
        let held = |entry: SignedEntry| {
            let path = String::from_utf8(entry.key().to_vec()).map_err(fail)?;
            Ok(Held { path, value: (*entry.content_hash().as_bytes()).into() })
        };
        entries.map(|entry| entry.map_err(fail).and_then(held)).collect()
    }
}

/// A whole session, begun by `here`.
fn sync(here: &mut Replica, there: &mut Replica, run: &mut Run) -> Result<(), String> {
    let mut near = here.store.open_replica(&here.id).map_err(fail)?;
    let mut far = there.store.open_replica(&there.id).map_err(fail)?;
    let (mut outcome, mut other_outcome) = (SyncOutcome::default(), SyncOutcome::default());
    let message = near.sync_initial_message().map_err(fail)?;
    let mut frame = Frame::Init { namespace: here.id, message };
    loop {
        let arrived = wire(&frame, run)?;
        let answer = block_on(far.sync_process_message(arrived, PEERS[0], &mut other_outcome));
        let Some(answer) = answer.map_err(fail)? else { break };
        let arrived = wire(&Frame::Sync(answer), run)?;
        let next = block_on(near.sync_process_message(arrived, PEERS[1], &mut outcome));
        let Some(next) = next.map_err(fail)? else { break };
        frame = Frame::Sync(next);
    }
    run.entries = (outcome.num_sent + other_outcome.num_sent) as u64;
    drop((near, far));
    here.store.flush().and_then(|()| there.store.flush()).map_err(fail)
}

/// Over the wire: encoded, counted, decoded.
fn wire(frame: &Frame, run: &mut Run) -> Result<ProtocolMessage, String> {
    let bytes = postcard::to_allocvec(frame).map_err(fail)?;
    run.bytes += FRAME + bytes.len() as u64;
    run.messages += 1;
    decode(&bytes)
}

fn decode(bytes: &[u8]) -> Result<ProtocolMessage, String> {
    match postcard::from_bytes(bytes).map_err(fail)? {
        Frame::Init { message, .. } | Frame::Sync(message) => Ok(message),
    }
}

fn fail(err: impl std::fmt::Display) -> String {
    err.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides end with the same keys and the newest values, and the entries that differ went over the wire.
    #[test]
    fn a_sync_merges_both_replicas() {
        let pair = Pair::new(300, 30);
        let run = IrohDocs.sign(&pair).run().expect("the session succeeds");
        assert_eq!((pair.check(run.here), pair.check(run.there)), (Ok(()), Ok(())));
        assert!(run.entries >= 30 && run.bytes > 30 * 200 && run.messages > 2);
        assert!(run.apply > 0.0 && run.sync > 0.0);
    }

    #[test]
    fn an_entry_that_was_changed_is_refused() {
        let namespace = NamespaceSecret::from_bytes(&[7; 32]);
        let author = Author::from_bytes(&Write::secret(0));
        let id = RecordIdentifier::new(namespace.id(), author.id(), "/svc/0000/limits/0000");
        let record = Record::new(Hash::new(b"value"), 5, 1_700_000_000_000_000);
        let entry = SignedEntry::from_entry(Unsigned::new(id, record), &namespace, &author);
        let mut bytes = postcard::to_allocvec(&entry).expect("an entry can be encoded");
        let mut replica = Replica::new(&namespace).expect("memory does not fail");
        let whole = bytes.clone();
        *bytes.last_mut().expect("it is not empty") ^= 1;
        assert!(replica.take(&[bytes]).is_err());
        assert_eq!(replica.held(), Ok(vec![]));
        assert_eq!(replica.take(&[whole]), Ok(()));
    }
}
