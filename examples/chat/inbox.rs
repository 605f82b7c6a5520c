//! Messages, and how they come out of the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use syncline_crypto::PublicKey;
use syncline_log::store::{LogStore, SeqRange, StoredOperation};
use syncline_log::{Body, SeqNum};
use tokio::sync::watch;

use crate::Result;
use crate::groups::{Group, Groups};
use crate::node::Store;

/// A body: what was said, and the name that the author goes by. Only the author's key is proven.
#[derive(Debug, Serialize, Deserialize)]
pub struct Said {
    pub name: String,
    pub text: String,
}

impl Said {
    pub fn to_body(&self) -> Result<Body> {
        let mut bytes = Vec::new();
        ciborium::into_writer(self, &mut bytes)?;
        Ok(Body::new(bytes))
    }
}

/// A message as it is shown.
#[derive(Clone, Debug)]
pub struct Message {
    pub author: PublicKey,
    pub name: String,
    pub text: String,
    /// When the author says that it was written, in microseconds since the Unix epoch.
    sent_at: u64,
}

/// The most characters that are shown of a name and of a text.
const NAME_MAX: usize = 32;
const TEXT_MAX: usize = 2000;

impl Message {
    /// `None` if the body was deleted or makes no sense: its author may have signed anything.
    fn read(author: PublicKey, operation: &StoredOperation) -> Option<Self> {
        let sent_at = operation.decode().ok()?.timestamp();
        let said: Said = ciborium::from_reader(operation.body.as_deref()?).ok()?;
        Some(Self { author, name: plain(&said.name, NAME_MAX), text: plain(&said.text, TEXT_MAX), sent_at })
    }
}

/// Text that does nothing to a terminal.
fn plain(text: &str, chars_max: usize) -> String {
    text.chars().filter(|char| !char.is_control()).take(chars_max).collect()
}

/// The most bytes of one member's log that are read at a time.
const PAGE_BYTES: usize = 64 << 10;

/// Reads a group's messages, each once.
///
/// The store tells that something came (`news`), not what: the inbox remembers how far it has read each log, and reads
/// on. So nothing is lost, however many messages come at once, and memory stays bounded.
pub struct Inbox {
    store: Store,
    groups: Arc<Groups>,
    group: Group,
    news: watch::Receiver<()>,
    read: BTreeMap<PublicKey, SeqNum>,
}

impl Inbox {
    pub fn new(store: Store, groups: Arc<Groups>, group: Group, news: watch::Receiver<()>) -> Self {
        Self { store, groups, group, news, read: BTreeMap::new() }
    }

    /// Waits for messages that were not read yet. Those of one author come in the order in which they were written.
    ///
    /// Cancel safe: who drops the future loses no message.
    pub async fn next(&mut self) -> Result<Vec<Message>> {
        loop {
            // Before reading, so that what comes meanwhile wakes us.
            self.news.mark_unchanged();
            if let Some(messages) = self.read_on().await? {
                return Ok(messages);
            }
            self.news.changed().await?;
        }
    }

    /// Everything that is there and was not read yet.
    pub async fn rest(&mut self) -> Result<Vec<Message>> {
        let mut all = Vec::new();
        while let Some(messages) = self.read_on().await? {
            all.extend(messages);
        }
        Ok(all)
    }

    /// A page of each member's log; `None` if all logs are read to their ends.
    async fn read_on(&mut self) -> Result<Option<Vec<Message>>> {
        let mut read = self.read.clone();
        let mut messages = Vec::new();
        for member in self.groups.members(self.group) {
            let range = match read.get(&member) {
                None => Some(SeqRange::ALL),
                Some(last) => SeqRange::after(*last),
            };
            let Some(range) = range else { continue };
            let page = self.store.read(member, self.group, range, PAGE_BYTES).await?;
            // A log's order counts. A clock that went back must not change it.
            let mut latest = 0;
            for operation in &page.operations {
                read.insert(member, operation.seq_num);
                if let Some(mut message) = Message::read(member, operation) {
                    latest = message.sent_at.max(latest);
                    message.sent_at = latest;
                    messages.push(message);
                }
            }
        }
        // The sort is stable: logs are merged by the time that authors claim, and each stays in order.
        messages.sort_by_key(|message| message.sent_at);
        let is_new = read != self.read;
        // From here on there is nothing to wait for: what was read is given back.
        self.read = read;
        Ok(is_new.then_some(messages))
    }
}

#[cfg(test)]
mod tests {
    use syncline_crypto::SigningKey;
    use syncline_log::{Draft, LogWriter};
    use syncline_storage::MemoryDb;

    use super::*;

    const GROUP: Group = Group(1);

    struct Member {
        writer: LogWriter<Store>,
        name: &'static str,
    }

    impl Member {
        fn new(store: &Store, name: &'static str, seed: u8) -> Self {
            let key = SigningKey::from_bytes(&[seed; 32]);
            Self { writer: LogWriter::new(store.clone(), Arc::new(key)), name }
        }

        async fn say_at(&self, timestamp: u64, text: &str) {
            let said = Said { name: self.name.to_owned(), text: text.to_owned() };
            let draft = Draft::<()> { timestamp, ..Draft::new(Some(said.to_body().unwrap()), None) };
            self.writer.publish(GROUP, [draft]).await.unwrap();
        }
    }

    fn texts(messages: &[Message]) -> Vec<&str> {
        messages.iter().map(|message| message.text.as_str()).collect()
    }

    #[tokio::test]
    async fn each_message_is_read_once_and_in_its_authors_order() {
        let store = Store::new(Arc::new(MemoryDb::new()));
        let (a, b) = (Member::new(&store, "A", 1), Member::new(&store, "B", 2));
        let groups = Arc::new(Groups::default());
        groups.join(GROUP, [a.writer.author(), b.writer.author()]);
        let (news, receiver) = watch::channel(());
        let mut inbox = Inbox::new(store.clone(), groups, GROUP, receiver);

        a.say_at(10, "one").await;
        a.say_at(5, "two, by a clock that went back").await;
        b.say_at(7, "between").await;
        a.say_at(20, "three").await;
        let messages = inbox.next().await.unwrap();
        assert_eq!(texts(&messages), ["between", "one", "two, by a clock that went back", "three"]);

        {
            let waiting = inbox.next();
            tokio::pin!(waiting);
            assert!(futures::poll!(&mut waiting).is_pending(), "everything was read");
            b.say_at(21, "four").await;
            news.send_replace(());
            assert_eq!(texts(&waiting.await.unwrap()), ["four"]);
        }
        assert!(inbox.rest().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_passed_over() {
        let store = Store::new(Arc::new(MemoryDb::new()));
        let a = Member::new(&store, "A\u{1b}[2J", 1);
        let groups = Arc::new(Groups::default());
        groups.join(GROUP, [a.writer.author()]);
        a.writer.publish(GROUP, [Draft::<()>::new(Some(Body::new("no CBOR map")), None)]).await.unwrap();
        a.say_at(0, &format!("\u{7}{}", "x".repeat(2 * TEXT_MAX))).await;
        let (_news, receiver) = watch::channel(());
        let messages = Inbox::new(store, groups, GROUP, receiver).rest().await.unwrap();
        assert_eq!(texts(&messages), ["x".repeat(TEXT_MAX)]);
        assert_eq!(messages[0].name, "A[2J", "no control character reaches a terminal");
    }
}
