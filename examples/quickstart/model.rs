//! What travels: topics, extensions, bodies.

use std::path::{Component, Path, PathBuf};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use syncline_core::{TopicMap, TopicQuery};
use syncline_crypto::PublicKey;
use syncline_log::store::{LogStore, Logs, SeqRange};
use syncline_log::{Body, Extension, Header, PruneFlag};

use crate::node::Store;

/// The log in which a publisher lists its folders.
pub const INDEX: &str = "";

/// What a subscriber can ask a publisher for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Topic {
    /// The names of its folders.
    Index(PublicKey),
    /// All folders that the index names.
    Files(PublicKey),
}

impl TopicQuery for Topic {}

/// Finds the logs of a topic: one for the index, and one per folder that the index, as it is stored here, names.
#[derive(Debug)]
pub struct Topics(pub Store);

#[async_trait]
impl TopicMap<Topic, Logs<String>> for Topics {
    async fn get(&self, topic: &Topic) -> Option<Logs<String>> {
        match topic {
            Topic::Index(publisher) => Some(Logs::from([(*publisher, vec![INDEX.to_owned()])])),
            Topic::Files(publisher) => Some(Logs::from([(*publisher, folders(&self.0, *publisher).await?)])),
        }
    }
}

/// The folders that a publisher's index names.
async fn folders(store: &Store, publisher: PublicKey) -> Option<Vec<String>> {
    let index = store.read(publisher, INDEX.to_owned(), SeqRange::ALL, usize::MAX).await.ok()?;
    let names =
        index.operations.iter().filter_map(|operation| String::from_utf8(operation.body.as_ref()?.to_vec()).ok());
    Some(names.collect())
}

/// What each header carries beside the usual: the log that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InLog {
    pub log: String,
}

impl Extension<String> for InLog {
    fn extract(header: &Header<Self>) -> Option<String> {
        header.extensions.as_ref().map(|extensions| extensions.log.clone())
    }
}

impl Extension<PruneFlag> for InLog {
    fn extract(_header: &Header<Self>) -> Option<PruneFlag> {
        None
    }
}

/// A body: a part of a file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePart {
    /// Relative, with `/` between its parts.
    pub path: String,
    /// Where in the file `bytes` belong. At 0 the file begins anew.
    pub offset: u64,
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// The most bytes of a file in one operation.
pub const PART_LEN: usize = 1 << 20;

impl FilePart {
    pub fn to_body(&self) -> Result<Body, ciborium::ser::Error<std::io::Error>> {
        let mut bytes = Vec::new();
        ciborium::into_writer(self, &mut bytes)?;
        Ok(Body::new(bytes))
    }

    /// The path below `folder`. None if a hostile publisher tries to get out of it.
    pub fn path_in(&self, folder: &Path) -> Option<PathBuf> {
        let path = Path::new(&self.path);
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        (is_plain && path.components().next().is_some()).then(|| folder.join(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let path_in =
            |path: &str| FilePart { path: path.into(), offset: 0, bytes: Vec::new() }.path_in(Path::new("out"));
        assert_eq!(path_in("a/b.txt"), Some(PathBuf::from("out/a/b.txt")));
        for hostile in ["", "..", "../a", "a/../../b", "/etc/passwd", "."] {
            assert_eq!(path_in(hostile), None, "{hostile}");
        }
    }
}
