//! A conversation of three, written down: what everybody sees, and what nobody gets to see.

use std::time::Duration;

use syncline_crypto::PublicKey;
use syncline_net::SyncFailure;

use crate::groups::{Group, Groups};
use crate::inbox::Inbox;
use crate::node::ChatNode;
use crate::{Result, identity};

const GROUP_1: Group = Group(1);
const GROUP_2: Group = Group(2);
/// A group that nobody has.
const GROUP_3: Group = Group(3);

pub async fn run() -> Result<()> {
    let home = tempfile::tempdir()?;
    let [a, b, c] = start(home.path())?;
    println!("A and B are in group 1, B and C in group 2. Each has a key, a database and a socket of their own.\n");

    println!("While they are apart, everybody writes.");
    a.say(GROUP_1, "Is anybody there?").await?;
    a.say(GROUP_1, "I wait.").await?;
    b.say(GROUP_1, "I was asleep.").await?;
    b.say(GROUP_2, "Good morning, C.").await?;
    c.say(GROUP_2, "Good evening, B.").await?;
    c.say(GROUP_2, "What does A say?").await?;
    show(&[&a, &b, &c]).await?;

    println!("A syncs group 1 with B. C syncs group 2 with B. One session serves both directions.");
    let address_of_b = b.address()?;
    a.sync(&address_of_b, GROUP_1).await?;
    c.sync(&address_of_b, GROUP_2).await?;
    // A session's end here says that B has all bytes. B may still be at storing them, so wait for its inbox.
    read(&mut b.inbox(GROUP_1), 3).await?;
    read(&mut b.inbox(GROUP_2), 3).await?;
    show(&[&a, &b, &c]).await?;
    for node in [&a, &b] {
        let from_a = ["A: Is anybody there?", "A: I wait."];
        assert_eq!(said(node, GROUP_1, a.id()).await?, from_a, "{} has what A wrote, in order", node.name());
        assert_eq!(said(node, GROUP_1, b.id()).await?, ["B: I was asleep."]);
    }
    for node in [&b, &c] {
        let from_c = ["C: Good evening, B.", "C: What does A say?"];
        assert_eq!(said(node, GROUP_2, c.id()).await?, from_c, "{} has what C wrote, in order", node.name());
        assert_eq!(said(node, GROUP_2, b.id()).await?, ["B: Good morning, C."]);
    }

    println!("C is curious, and asks B for group 1, then for group 3, which does not exist.");
    c.groups().join(GROUP_1, [a.id(), b.id(), c.id()]);
    c.groups().join(GROUP_3, [b.id(), c.id()]);
    let forbidden = refusal(c.sync(&address_of_b, GROUP_1).await)?;
    let unknown = refusal(c.sync(&address_of_b, GROUP_3).await)?;
    println!("  group 1: {forbidden}\n  group 3: {unknown}");
    assert_eq!(forbidden, unknown, "a group that one is not in looks like one that does not exist");
    assert!(c.authors(GROUP_1).await?.is_empty(), "C got nothing of group 1");
    assert!(a.authors(GROUP_2).await?.is_empty(), "A got nothing of group 2");
    println!("C cannot tell the one from the other.\n");

    println!("A keeps in sync with B. What B says now arrives by itself.");
    let mut inbox = a.inbox(GROUP_1);
    read(&mut inbox, 3).await?;
    let rounds = a.keep_in_sync(&address_of_b, GROUP_1, Duration::from_millis(100));
    b.say(GROUP_1, "Now I am awake.").await?;
    let news = read(&mut inbox, 1).await?;
    println!("  A reads: {}\n", news.join(" / "));
    assert_eq!(news, ["B: Now I am awake."]);
    rounds.stop();

    for node in [&a, &b, &c] {
        node.stop().await;
    }
    println!("Everybody has seen what was meant for them, and nothing else.");
    Ok(())
}

/// Three nodes. Each knows only the groups that it is in.
fn start(home: &std::path::Path) -> Result<[ChatNode; 3]> {
    let homes = ["A", "B", "C"].map(|name| home.join(name));
    let [a, b, c] = [&homes[0], &homes[1], &homes[2]].map(|home| identity::load_or_create(home));
    let (a, b, c) = (a?, b?, c?);
    let (group_1, group_2) = ([a.public_key(), b.public_key()], [b.public_key(), c.public_key()]);
    let [of_a, of_b, of_c] = [Groups::default(), Groups::default(), Groups::default()];
    of_a.join(GROUP_1, group_1);
    of_b.join(GROUP_1, group_1);
    of_b.join(GROUP_2, group_2);
    of_c.join(GROUP_2, group_2);
    let loopback = ([127, 0, 0, 1], 0).into();
    Ok([
        ChatNode::start(&homes[0], "A", a, of_a, loopback)?,
        ChatNode::start(&homes[1], "B", b, of_b, loopback)?,
        ChatNode::start(&homes[2], "C", c, of_c, loopback)?,
    ])
}

/// Waits until an inbox has given this many messages.
async fn read(inbox: &mut Inbox, count: usize) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    while texts.len() < count {
        texts.extend(inbox.next().await?.iter().map(|message| format!("{}: {}", message.name, message.text)));
    }
    Ok(texts)
}

/// What a node has of an author in a group.
async fn said(node: &ChatNode, group: Group, author: PublicKey) -> Result<Vec<String>> {
    let messages = node.inbox(group).rest().await?;
    let by_author = messages.into_iter().filter(|message| message.author == author);
    Ok(by_author.map(|message| format!("{}: {}", message.name, message.text)).collect())
}

/// Prints who sees what.
async fn show(nodes: &[&ChatNode]) -> Result<()> {
    for node in nodes {
        for group in [GROUP_1, GROUP_2] {
            for message in node.inbox(group).rest().await? {
                println!("  {} sees in {group}: {}: {}", node.name(), message.name, message.text);
            }
        }
    }
    println!();
    Ok(())
}

/// What a node is told whose peer did not want to sync.
fn refusal<T>(outcome: std::result::Result<T, SyncFailure>) -> Result<String> {
    match outcome {
        Err(SyncFailure::Session(failure)) => Ok(failure.cause.to_string()),
        Err(other) => Err(other.into()),
        Ok(_) => Err("a stranger was let in".into()),
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_conversation_ends_as_it_should() {
        super::run().await.unwrap();
    }
}
