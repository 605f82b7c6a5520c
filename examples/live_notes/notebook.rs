//! What is synced: a notebook, which is a log of each person who writes in it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use syncline_core::{TopicMap, TopicQuery};
use syncline_crypto::PublicKey;
use syncline_log::store::Logs;
use syncline_log::{Extension, Header, PruneFlag};

/// A notebook: what peers sync, and with the author the name of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Notebook(pub u64);

impl TopicQuery for Notebook {}

/// The notebook of this story.
pub const NOTEBOOK: Notebook = Notebook(1);

/// What the author signs beside the content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InNotebook {
    #[serde(rename = "n")]
    pub notebook: Notebook,
    /// The name of the file whose bytes the body is; without it the body is a note. It is in the header, so that those know
    /// of the file who do not have it.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Extension<Notebook> for InNotebook {
    fn extract(header: &Header<Self>) -> Option<Notebook> {
        header.extensions.as_ref().map(|extensions| extensions.notebook)
    }
}

/// Nobody tells others to delete what was written.
impl Extension<PruneFlag> for InNotebook {
    fn extract(_header: &Header<Self>) -> Option<PruneFlag> {
        None
    }
}

/// Who writes in the notebook. A node lets in nobody else.
#[derive(Clone, Debug)]
pub struct People(pub BTreeMap<PublicKey, &'static str>);

impl People {
    pub fn name(&self, key: &PublicKey) -> &'static str {
        self.0.get(key).copied().unwrap_or("somebody")
    }
}

#[async_trait]
impl TopicMap<Notebook, Logs<Notebook>> for People {
    async fn get(&self, notebook: &Notebook) -> Option<Logs<Notebook>> {
        (*notebook == NOTEBOOK).then(|| self.0.keys().map(|author| (*author, vec![*notebook])).collect())
    }
}
