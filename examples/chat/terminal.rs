//! Two people, each at a terminal.

use std::net::SocketAddr;
use std::time::Duration;

use syncline_core::session::FailureCause;
use syncline_crypto::PublicKey;
use syncline_net::{ConnectError, KeepInSync, PeerAddr, RoundsStatus, SyncFailure};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::args::Person;
use crate::groups::{Group, Groups};
use crate::inbox::Message;
use crate::node::ChatNode;
use crate::{Result, identity};

/// What two people talk in.
const GROUP: Group = Group(1);

/// Waits for one peer, who may be anybody: the first who comes. Who it is does not change afterwards.
pub async fn listen(me: Person, address: SocketAddr) -> Result<()> {
    let (_home, node) = start(&me, address)?;
    match others(&node).await?[..] {
        [] => node.groups().set_free_seats(GROUP, 1),
        ref known => node.groups().join(GROUP, known.iter().copied()),
    }
    println!("Listening. In another terminal:\n");
    println!("  cargo run --example chat -- --name B --connect {}\n", node.address()?);
    converse(&node, None).await?;
    node.stop().await;
    Ok(())
}

/// Talks to the peer at this address.
pub async fn connect(me: Person, peer: &PeerAddr) -> Result<()> {
    let other = *peer.peer_id().ok_or("the address has no key; copy what --listen printed")?;
    // Any port and any way out will do.
    let any = if peer.host().contains(':') { "[::]:0" } else { "0.0.0.0:0" };
    let (_home, node) = start(&me, any.parse()?)?;
    if others(&node).await?.iter().any(|author| *author != other) {
        return Err("this --home has a conversation with somebody else; take another folder".into());
    }
    node.groups().join(GROUP, [other]);
    // The first time by itself, since it tells exactly what is wrong.
    node.sync(peer, GROUP).await.map_err(|failure| advice(peer, &failure))?;
    println!("Connected.");
    let rounds = node.keep_in_sync(peer, GROUP, Duration::from_secs(1));
    converse(&node, Some(rounds)).await?;
    // What was typed last is not to wait for a round that does not come any more.
    node.sync(peer, GROUP)
        .await
        .map_err(|failure| format!("what you wrote last may not have arrived. {}", advice(peer, &failure)))?;
    node.stop().await;
    Ok(())
}

/// A node with this person alone in the group. The temporary folder is to be kept as long as the node.
fn start(me: &Person, address: SocketAddr) -> Result<(TempDir, ChatNode)> {
    let temporary = tempfile::tempdir()?;
    let home = me.home.as_deref().unwrap_or(temporary.path());
    let key = identity::load_or_create(home)?;
    let groups = Groups::default();
    groups.join(GROUP, [key.public_key()]);
    let node = ChatNode::start(home, &me.name, key, groups, address)?;
    Ok((temporary, node))
}

/// Who else has written before.
async fn others(node: &ChatNode) -> Result<Vec<PublicKey>> {
    let mut authors = node.authors(GROUP).await?;
    authors.retain(|author| *author != node.id());
    Ok(authors)
}

/// Publishes what is typed and prints what arrives, until the input ends.
async fn converse(node: &ChatNode, mut rounds: Option<KeepInSync>) -> Result<()> {
    let mut inbox = node.inbox(GROUP);
    for message in inbox.rest().await? {
        print_message(&message);
    }
    let mut lines = lines();
    let mut failing = false;
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) if line.trim().is_empty() => {}
                Some(line) => node.say(GROUP, &line).await?,
                None => return Ok(()),
            },
            messages = inbox.next() => {
                // What one has typed is on the screen already.
                messages?.iter().filter(|message| message.author != node.id()).for_each(print_message);
            }
            status = changed(&mut rounds) => {
                let fails = status.failures_in_a_row > 0;
                if fails != failing {
                    println!("{}", if fails { "(the peer is away; trying again)" } else { "(the peer is back)" });
                }
                failing = fails;
            }
        }
    }
}

fn print_message(message: &Message) {
    println!("{} ({}): {}", message.name, &message.author.to_string()[..8], message.text);
}

/// The end of the next round. Never, if there are none.
async fn changed(rounds: &mut Option<KeepInSync>) -> RoundsStatus {
    if let Some(rounds) = rounds
        && let Some(status) = rounds.changed().await
    {
        return status;
    }
    std::future::pending().await
}

/// The lines that are typed. On a thread of their own: a read of a terminal cannot be broken off, and must not keep the
/// program from ending.
fn lines() -> mpsc::Receiver<String> {
    let (tx, rx) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(std::result::Result::ok) {
            if tx.blocking_send(line).is_err() {
                break;
            }
        }
    });
    rx
}

/// What to do about a failure.
fn advice(peer: &PeerAddr, failure: &SyncFailure) -> String {
    match failure {
        SyncFailure::Connect(ConnectError::WrongPeer { .. }) => {
            "Somebody else answers there. If the other side was started anew, copy the address that it prints now; \
             with --home it keeps its key."
                .into()
        }
        SyncFailure::Connect(err) => {
            format!("{peer} cannot be reached: {err}. Is the other side still listening, and is this its address?")
        }
        SyncFailure::Session(failed) if matches!(&failed.cause, FailureCause::Protocol(err) if err.is_peer_fault()) => {
            "The peer broke off. It talks to somebody else already, or knew you under another key: start both sides \
             anew, and with --home if they are to know each other again."
                .into()
        }
        other => format!("The sync with {peer} failed: {other}"),
    }
}
