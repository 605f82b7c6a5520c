//! The node that subscribes to a publisher's folder.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use syncline_core::TopicMap;
use syncline_core::session::ProgressReceiver;
use syncline_crypto::PublicKey;
use syncline_log::ingest::{ByExtension, IngestEvent, Outcome};
use syncline_log::store::{LogStore, SeqRange};
use syncline_log::{Ingest, SeqNum};
use syncline_net::{Node, PeerAddr, TokioBlocking};

use crate::model::{FilePart, InLog, Topic, Topics};
use crate::node::Parts;
use crate::table::Row;

pub struct Subscriber {
    node: Node,
    parts: Parts,
    out: PathBuf,
    /// How far each log is written out.
    written: BTreeMap<String, SeqNum>,
    files: BTreeSet<String>,
}

impl Subscriber {
    pub async fn start(home: &Path, out: &Path) -> Result<Self, Box<dyn Error>> {
        let parts = Parts::new(home, "subscriber", ([0, 0, 0, 0], 0).into())?;
        let node = parts.builder().build()?;
        fs::create_dir_all(out)?;
        Ok(Self { node, parts, out: out.to_path_buf(), written: BTreeMap::new(), files: BTreeSet::new() })
    }

    pub fn id(&self) -> PublicKey {
        self.parts.key.public_key()
    }

    pub fn files(&self) -> usize {
        self.files.len()
    }

    pub async fn stop(&self) {
        self.node.shutdown().await;
    }

    /// Gets everything that is new from a publisher and writes it out.
    pub async fn sync(&mut self, peer: &PeerAddr) -> Result<Row, Box<dyn Error>> {
        let publisher = *peer.peer_id().ok_or("a publisher is known by its key")?;
        let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {msg}")?);
        let mut row = Row::default();
        for topic in [Topic::Index(publisher), Topic::Files(publisher)] {
            self.sync_topic(peer, topic, &bar, &mut row).await?;
        }
        bar.finish_and_clear();
        self.write_out(publisher).await?;
        Ok(row)
    }

    async fn sync_topic(
        &self,
        peer: &PeerAddr,
        topic: Topic,
        bar: &ProgressBar,
        row: &mut Row,
    ) -> Result<(), Box<dyn Error>> {
        let stored = Arc::new(AtomicU64::new(0));
        let rejected = Arc::new(AtomicU64::new(0));
        let counters = (Arc::clone(&stored), Arc::clone(&rejected));
        let topics = Arc::new(Topics(Arc::clone(&self.parts.store)));
        let ingest = Ingest::new(topics, Arc::clone(&self.parts.store), Arc::new(ByExtension::<InLog>::new()))
            .with_blocking(Arc::new(TokioBlocking::current()))
            .with_observer(move |event| {
                if let IngestEvent::Verdict(verdict) = event {
                    match verdict.outcome {
                        Outcome::Stored => drop(counters.0.fetch_add(1, Ordering::Relaxed)),
                        Outcome::Rejected(_) => drop(counters.1.fetch_add(1, Ordering::Relaxed)),
                        _ => {}
                    }
                }
            });
        let sync = self.node.sync(peer, Arc::clone(&self.parts.protocol), topic, ingest);
        let watch = tokio::spawn(show(sync.progress(), bar.clone()));
        let report = sync.finished().await?;
        watch.abort();
        if rejected.load(Ordering::Relaxed) > 0 {
            return Err(format!("{} operations were not valid", rejected.load(Ordering::Relaxed)).into());
        }
        row.operations += stored.load(Ordering::Relaxed);
        row.bytes_received += report.bytes_received();
        row.bytes_sent += report.bytes_sent();
        row.elapsed += report.elapsed();
        Ok(())
    }

    /// Writes out what is stored and not written yet.
    async fn write_out(&mut self, publisher: PublicKey) -> Result<(), Box<dyn Error>> {
        let topics = Topics(Arc::clone(&self.parts.store));
        let logs = topics.get(&Topic::Files(publisher)).await.unwrap_or_default();
        for log in logs.into_values().flatten() {
            let mut range = match self.written.get(&log) {
                None => Some(SeqRange::ALL),
                Some(seq_num) => SeqRange::after(*seq_num),
            };
            while let Some(todo) = range {
                let page = self.parts.store.read(publisher, log.clone(), todo, 4 << 20).await?;
                for operation in &page.operations {
                    if let Some(body) = &operation.body {
                        self.write_part(ciborium::from_reader(&body[..])?)?;
                    }
                    self.written.insert(log.clone(), operation.seq_num);
                }
                range = page.next.map(SeqRange::starting_at);
            }
        }
        Ok(())
    }

    fn write_part(&mut self, part: FilePart) -> Result<(), Box<dyn Error>> {
        let path = part.path_in(&self.out).ok_or_else(|| format!("the publisher names a file {:?}", part.path))?;
        fs::create_dir_all(path.parent().ok_or("a file lies in a folder")?)?;
        let mut file = if part.offset == 0 { File::create(&path)? } else { File::options().write(true).open(&path)? };
        file.seek(SeekFrom::Start(part.offset))?;
        file.write_all(&part.bytes)?;
        self.files.insert(part.path);
        Ok(())
    }
}

/// Keeps a progress bar up to date.
async fn show(mut progress: ProgressReceiver, bar: ProgressBar) {
    while let Some(now) = progress.changed().await {
        bar.set_message(format!(
            "{} operations, {:.1} MB, {:.1} MB/s",
            now.items_received,
            now.bytes_received as f64 / 1e6,
            now.bytes_per_second() / 1e6,
        ));
        bar.tick();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
