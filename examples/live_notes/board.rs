//! What the owner of a node sees.

use std::time::Duration;

use bytes::Bytes;
use syncline_core::{FromSync, SyncError};
use syncline_crypto::{Hash, PublicKey};
use syncline_log::EncodedOperation;
use syncline_net::AppSink;
use tokio::sync::watch;

use crate::Result;
use crate::notebook::{InNotebook, Notebook, People};

/// An entry of the notebook, as far as it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub hash: Hash,
    pub author: &'static str,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Note(String),
    File { name: String, len: u64, bytes: Option<Vec<u8>> },
}

impl Entry {
    /// `None` if it makes no sense: its author may have signed anything.
    pub fn read(people: &People, author: PublicKey, header: Bytes, body: Option<Bytes>) -> Option<Self> {
        let operation = EncodedOperation::decode(header, body).ok()?;
        let extensions = operation.header::<InNotebook>().ok()?.extensions?;
        let bytes = operation.body().map(|body| body.to_vec());
        let content = match extensions.file {
            Some(name) => Content::File { name, len: operation.payload_size(), bytes },
            None => Content::Note(String::from_utf8(bytes?).ok()?),
        };
        Some(Self { hash: operation.hash(), author: people.name(&author), content })
    }
}

/// What came since the node was started, in the order in which it came. Clones are the same.
#[derive(Clone, Debug)]
pub struct Board {
    people: People,
    news: watch::Sender<Vec<Entry>>,
}

impl Board {
    pub fn new(people: People) -> Self {
        Self { people, news: watch::Sender::default() }
    }

    /// Where a session's operations go. Both versions of the protocol have verified and stored them by then, and give each
    /// once, so there is nothing left to do but to show them.
    pub fn sink(&self) -> AppSink<Notebook> {
        Box::new(Box::pin(futures::sink::unfold(self.clone(), |board, item| async move {
            board.show(item);
            Ok::<_, SyncError>(board)
        })))
    }

    fn show(&self, item: FromSync<Notebook>) {
        let FromSync::Data { header, payload } = item else { return };
        let header = Bytes::from(header);
        let Ok(operation) = EncodedOperation::decode(header.clone(), None) else { return };
        if let Some(entry) = Entry::read(&self.people, operation.public_key(), header, payload.map(Bytes::from)) {
            self.news.send_modify(|news| news.push(entry));
        }
    }

    pub fn news(&self) -> Vec<Entry> {
        self.news.borrow().clone()
    }

    /// Waits until this came.
    pub async fn wait_for(&self, what: impl Fn(&Entry) -> bool) -> Result<Entry> {
        let news = self.wait_until(|news| news.iter().any(&what)).await?;
        Ok(news.into_iter().find(|entry| what(entry)).ok_or("it is gone")?)
    }

    /// Waits until so much came.
    pub async fn wait_for_count(&self, count: usize) -> Result<Vec<Entry>> {
        self.wait_until(|news| news.len() >= count).await
    }

    async fn wait_until(&self, condition: impl Fn(&[Entry]) -> bool) -> Result<Vec<Entry>> {
        let mut news = self.news.subscribe();
        let wait = news.wait_for(|news| condition(news));
        let news = tokio::time::timeout(Duration::from_secs(60), wait).await.map_err(|_| "it never came")??;
        Ok(news.clone())
    }

    pub async fn wait_for_note(&self, text: &str) -> Result<Entry> {
        self.wait_for(|entry| entry.content == Content::Note(text.to_owned())).await
    }
}
