//! A node that sends what no author signed.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use syncline_crypto::{Hash, PublicKey};
use syncline_log::SeqNum;
use syncline_log::store::{
    Appended, Fork, Heights, Located, LogSize, LogStore, LogSummary, Logs, NewOperation, Page, SeqRange, StoreError,
    StoredOperation, Tip,
};
use syncline_testkit::cluster::NodeId;
use syncline_testkit::seed::Rng;

use crate::world::{Shared, Store, lock};

/// Decides which operations are forged, and how. Nothing is once faults have stopped, nor at an honest node.
#[derive(Clone)]
pub(crate) struct Forging {
    world: Shared,
    node: NodeId,
    rng: Arc<Mutex<Rng>>,
}

impl Forging {
    pub(crate) fn new(world: &Shared, node: NodeId, seed: u64) -> Self {
        Self { world: Arc::clone(world), node, rng: Arc::new(Mutex::new(Rng::new(seed))) }
    }

    pub(crate) fn forge(&self, operation: StoredOperation) -> StoredOperation {
        let per_mille = {
            let world = lock(&self.world);
            world.forger.filter(|(node, _)| *node == self.node.index() && !world.is_calm).map_or(0, |(_, rate)| rate)
        };
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        if !rng.chance(per_mille, 1000) {
            return operation;
        }
        let Ok(decoded) = operation.decode() else { return operation };
        let mut header = operation.header.to_vec();
        let mut body = operation.body.as_ref().map(|body| body.to_vec());
        let signature = decoded.signature();
        let place = header.windows(64).position(|bytes| bytes == signature.as_bytes()).unwrap_or(0);
        match (rng.below(4), &mut body) {
            (0, Some(body)) if !body.is_empty() => {
                let at = rng.index(body.len());
                body[at] ^= 1 << rng.below(8);
            }
            (1, _) => {
                let at = rng.index(header.len());
                header[at] ^= 1 << rng.below(8);
            }
            _ => header[place + rng.index(64)] ^= 1 << rng.below(8),
        }
        StoredOperation::new(operation.seq_num, header.into(), body.map(Into::into))
    }
}

/// A store that gives out forged operations.
#[derive(Clone)]
pub(crate) struct ForgingStore {
    pub(crate) inner: Store,
    pub(crate) forging: Forging,
}

impl std::fmt::Debug for ForgingStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ForgingStore")
    }
}

macro_rules! passed_on {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        $(async fn $name(&self, $($arg: $type),*) -> Result<$out, StoreError> {
            self.inner.$name($($arg),*).await
        })*
    };
}

impl LogStore<u64> for ForgingStore {
    async fn read(
        &self,
        author: PublicKey,
        log_id: u64,
        range: SeqRange,
        bytes_max: usize,
    ) -> Result<Page, StoreError> {
        let page = self.inner.read(author, log_id, range, bytes_max).await?;
        let operations = page.operations.into_iter().map(|operation| self.forging.forge(operation)).collect();
        Ok(Page::new(operations, page.next))
    }

    passed_on! {
        append(batch: Vec<NewOperation<u64>>) -> Vec<Appended>;
        heights(logs: &Logs<u64>) -> Heights<u64>;
        get(hash: Hash) -> Option<Located<u64>>;
        tip(author: PublicKey, log_id: u64) -> Option<Tip>;
        prune(author: PublicKey, log_id: u64, before: SeqNum) -> u64;
        add_payload(hash: Hash, body: Bytes) -> bool;
        delete_payload(hash: Hash) -> bool;
        delete_log(author: PublicKey, log_id: u64) -> bool;
        forks(author: PublicKey, log_id: u64) -> Vec<Fork>;
        size(author: PublicKey, log_id: u64, range: SeqRange) -> LogSize;
        logs(after: Option<(PublicKey, u64)>, count_max: usize) -> Vec<LogSummary<u64>>;
    }
}
