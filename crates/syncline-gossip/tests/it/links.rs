//! What goes over a link, seen from the outside, and what the hostile get.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Sink};
use syncline_core::session::report_live;
use syncline_core::{FromSync, SyncError, SyncProtocol};
use syncline_crypto::SigningKey;
use syncline_gossip::{KvNode, LinkHello, LinkProtocol};
use syncline_kv::agent::{Message, Root};
use syncline_kv::item::Ops;
use syncline_kv::sync::{KvQuery, KvSync};
use syncline_kv::{Key, NamespaceId};
use syncline_net::quic::{QuicConfig, QuicEndpoint};
use syncline_net::{Node, NodeLimits, SyncFailure, app_channel};

use crate::world::*;

/// A peer that speaks the bytes of a link by hand: sends the hello and what it is told to, and keeps what comes until the other
/// side ends, or until it has so many bytes.
struct ByHand {
    say: Vec<u8>,
    enough: usize,
    heard: Mutex<Vec<u8>>,
}

impl ByHand {
    fn new(say: &[u8], enough: usize) -> Arc<Self> {
        Arc::new(Self { say: say.to_vec(), enough, heard: Mutex::default() })
    }

    fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }
}

impl fmt::Debug for ByHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByHand")
    }
}

#[async_trait]
impl<'a> SyncProtocol<'a, LinkHello> for ByHand {
    fn name(&self) -> &'static str {
        LinkProtocol::NAME
    }

    async fn initiate(
        self: Arc<Self>,
        hello: LinkHello,
        mut tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        mut rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        _: Box<&'a mut (dyn Sink<FromSync<LinkHello>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        report_live();
        tx.write_all(hello.namespace.as_bytes()).await?;
        tx.write_all(&self.say).await?;
        tx.flush().await?;
        let mut buffer = [0; 1024];
        while self.heard.lock().unwrap().len() < self.enough {
            match rx.read(&mut buffer).await? {
                0 => break,
                len => self.heard.lock().unwrap().extend_from_slice(&buffer[..len]),
            }
        }
        Ok(())
    }

    async fn accept(
        self: Arc<Self>,
        _: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        _: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        _: Box<&'a mut (dyn Sink<FromSync<LinkHello>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        unreachable!("it only dials")
    }
}

fn dialler(key: &SigningKey) -> Node {
    let endpoint = QuicEndpoint::bind(key, "127.0.0.1:0".parse().unwrap(), QuicConfig::default()).unwrap();
    Node::builder().connector(endpoint).limits(NodeLimits::default().with_live_sessions()).build().unwrap()
}

async fn link(from: &Node, to: &KvNode, namespace: NamespaceId, by_hand: &Arc<ByHand>) -> Result<(), SyncFailure> {
    let (sink, _items) = app_channel(4);
    let handle = from.sync(&to.peer_addr().unwrap(), Arc::clone(by_hand), LinkHello { namespace }, sink);
    within("the end of the link", handle.finished()).await.map(drop)
}

/// The messages of agents in what came by a link, behind the welcome.
fn messages(heard: &[u8]) -> Vec<Vec<u8>> {
    assert_eq!(heard[0], 1, "the welcome");
    let (mut rest, mut messages) = (&heard[1..], Vec::new());
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let len = u32::from_be_bytes(*length) as usize;
        let Some((frame, behind)) = behind.split_at_checked(len) else { break };
        if frame[0] == 0 {
            messages.push(frame[1..].to_vec());
        }
        rest = behind;
    }
    messages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_thing_a_member_hears_is_what_the_replica_has() {
    let tree = memory();
    grant(&tree, &signer(2).public_key(), "/**", Ops::Read);
    tree.put(now(), &root(), &key("/k"), &b"v"[..]).unwrap();
    let node = start(tree.clone(), root(), &[]).await;
    let dialler = dialler(&signer(2));
    // The welcome, a ping, and one digest.
    let by_hand = ByHand::new(b"", 1 + 13 + 5 + 82);
    link(&dialler, &node, tree.id(), &by_hand).await.unwrap();
    let messages = messages(&by_hand.heard());
    let message = Message::decode(&tree.id().into(), &messages[0].clone().into()).unwrap();
    let root = tree.root().unwrap();
    let Message::Digest { root: told, .. } = message else { panic!("{message:?}") };
    assert_eq!(told, Root::new(root.hash, root.entries + root.system));
    assert!(messages[0].len() <= 256);
    dialler.shutdown().await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_gets_not_one_byte() {
    let tree = memory();
    // May write, and read a part: not enough for links, which tell of the whole.
    grant(&tree, &signer(8).public_key(), "/**", Ops::Write);
    grant(&tree, &signer(8).public_key(), "/part/**", Ops::Read);
    tree.put(now(), &root(), &key("/k"), &b"v"[..]).unwrap();
    let node = start(tree.clone(), root(), &[]).await;
    for stranger in [signer(9), signer(8)] {
        let dialler = dialler(&stranger);
        let by_hand = ByHand::new(b"\0\0\0\x09\x01\0\0\0\0\0\0\0\x01", usize::MAX);
        let _ = link(&dialler, &node, tree.id(), &by_hand).await;
        assert_eq!(by_hand.heard(), b"", "no digest, no pong, no welcome");
        // A namespace that is not there looks the same.
        let nowhere = ByHand::new(b"", usize::MAX);
        let _ = link(&dialler, &node, NamespaceId::from_bytes([5; 32]), &nowhere).await;
        assert_eq!(nowhere.heard(), b"");
        // Neither does a session tell anything.
        let copy = memory();
        let sync = KvSync::new(copy.clone(), Arc::new(syncline_core::clock::SystemClock), [9; 32]);
        let (sink, _items) = app_channel(4);
        let session = Arc::new(sync.with_remote(root().public_key()));
        let handle = dialler.sync(&node.peer_addr().unwrap(), session, KvQuery::all(tree.id()), sink);
        let report = within("the end of the session", handle.finished()).await;
        assert!(report.is_err());
        assert_eq!((copy.root().unwrap().entries, copy.root().unwrap().system), (0, 0));
        dialler.shutdown().await;
    }
    let status = node.status().await.unwrap();
    assert_eq!((status.stats.strangers, status.stats.messages_sent), (2, 0));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_sends_garbage_disturbs_nobody() {
    let tree = memory();
    for number in 2..=3 {
        grant(&tree, &signer(number).public_key(), "/**", Ops::ReadWrite);
    }
    let node = start(tree.clone(), root(), &[]).await;
    let good = start(memory(), signer(2), &[node.peer_addr().unwrap()]).await;
    until_equal(&[node.tree(), good.tree()]).await;
    let dialler = dialler(&signer(3));
    let mut flood = Vec::new();
    for number in 0..2_000_u32 {
        // Messages that are none, and pushes of items that are none.
        let mut message = vec![1, 3];
        message.extend_from_slice(tree.id().as_bytes());
        message.extend_from_slice(&[0, 4]);
        message.extend_from_slice(&number.to_be_bytes());
        for message in [message, number.to_be_bytes().to_vec()] {
            flood.extend_from_slice(&(message.len() as u32 + 1).to_be_bytes());
            flood.push(0);
            flood.extend_from_slice(&message);
        }
    }
    flood.extend_from_slice(&[0xff; 64]);
    let by_hand = ByHand::new(&flood, usize::MAX);
    let _ = link(&dialler, &node, tree.id(), &by_hand).await;
    until("the rule was seen to be broken", async || node.status().await.unwrap().stats.links_faulty == 1).await;

    let path: Key = key("/still");
    good.tree().put(now(), &signer(2), &path, &b"works"[..]).unwrap();
    until_value(node.tree(), &path, Some(b"works")).await;
    until_equal(&[node.tree(), good.tree()]).await;
    dialler.shutdown().await;
    good.shutdown().await;
    node.shutdown().await;
}
