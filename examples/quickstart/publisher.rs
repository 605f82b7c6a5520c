//! The node that publishes a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use futures::SinkExt;
use futures::sink::drain;
use syncline_core::{FromSync, SyncError};
use syncline_crypto::{Hash, PublicKey};
use syncline_log::{Body, Draft, LogWriter};
use syncline_net::{AcceptedSession, AppSink, Node, PeerAddr};

use crate::files;
use crate::model::{FilePart, INDEX, InLog, PART_LEN, Topic};
use crate::node::{Parts, Store};

pub struct Publisher {
    node: Node,
    parts: Parts,
    writer: LogWriter<Store>,
    /// What is published: the digest of each file by its path.
    published: BTreeMap<String, Hash>,
    folders: BTreeSet<String>,
}

/// What was published.
#[derive(Default)]
pub struct Published {
    files: usize,
    operations: usize,
    bytes: usize,
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, operations, bytes } = self;
        write!(f, "Signed {files} files ({:.1} MB) as {operations} operations.", *bytes as f64 / 1e6)
    }
}

/// How many bytes of bodies to sign and commit together.
const BATCH_BYTES: usize = 8 << 20;

impl Publisher {
    pub async fn start(home: &Path, address: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let parts = Parts::new(home, "publisher", address)?;
        // Nobody else writes to these logs, so nothing is to be received.
        let ignore = |_: &AcceptedSession| -> AppSink<Topic> {
            Box::new(drain::<FromSync<Topic>>().sink_map_err(|never| -> SyncError { match never {} }))
        };
        let node = parts.builder().register(Arc::clone(&parts.protocol), ignore).build()?;
        let writer = LogWriter::new(Arc::clone(&parts.store), parts.key.clone());
        Ok(Self { node, parts, writer, published: BTreeMap::new(), folders: BTreeSet::new() })
    }

    pub fn id(&self) -> PublicKey {
        self.parts.key.public_key()
    }

    pub fn address(&self) -> Result<PeerAddr, Box<dyn Error>> {
        Ok(self.parts.endpoint.peer_addr()?)
    }

    pub async fn stop(&self) {
        self.node.shutdown().await;
    }

    /// Publishes what is new or has changed below `folder`.
    pub async fn publish(&mut self, folder: &Path) -> Result<Published, Box<dyn Error>> {
        let mut summary = Published::default();
        let mut by_log: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let files = files::list(folder)?;
        for path in files.keys() {
            by_log.entry(files::log_of(path).to_owned()).or_default().push(path.clone());
        }
        for (log, paths) in by_log {
            if self.folders.insert(log.clone()) {
                self.commit(INDEX, vec![Body::new(log.clone())]).await?;
            }
            let (mut bodies, mut len) = (Vec::new(), 0);
            for path in paths {
                let bytes = std::fs::read(&files[&path])?;
                let digest = Hash::digest(&bytes);
                if self.published.insert(path.clone(), digest) == Some(digest) {
                    continue;
                }
                summary.files += 1;
                summary.bytes += bytes.len();
                for body in parts_of(&path, &bytes)? {
                    len += body.as_bytes().len();
                    bodies.push(body);
                    summary.operations += 1;
                }
                if len >= BATCH_BYTES {
                    self.commit(&log, std::mem::take(&mut bodies)).await?;
                    len = 0;
                }
            }
            self.commit(&log, bodies).await?;
        }
        Ok(summary)
    }

    async fn commit(&self, log: &str, bodies: Vec<Body>) -> Result<(), Box<dyn Error>> {
        let extensions = InLog { log: log.to_owned() };
        let drafts = bodies.into_iter().map(|body| Draft::new(Some(body), Some(extensions.clone())));
        self.writer.publish(log.to_owned(), drafts).await?;
        Ok(())
    }
}

/// The bodies that make up a file; an empty one has one, too.
fn parts_of(path: &str, bytes: &[u8]) -> Result<Vec<Body>, Box<dyn Error>> {
    let mut bodies = Vec::new();
    let mut offset = 0;
    loop {
        let end = bytes.len().min(offset + PART_LEN);
        let part = FilePart { path: path.to_owned(), offset: offset as u64, bytes: bytes[offset..end].to_vec() };
        bodies.push(part.to_body()?);
        offset = end;
        if offset == bytes.len() {
            return Ok(bodies);
        }
    }
}
