//! One side of `syncline-kv/1`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arbitrary::Arbitrary;
use bytes::{Bytes, BytesMut};
use syncline_core::SyncProtocol;
use syncline_core::cbor::Writer;
use syncline_core::clock::{Hlc, ManualClock, Timestamp};
use syncline_kv::item::{GrantDraft, Ops, Quota};
use syncline_kv::sync::{Eagerness, KvQuery, KvSync, Limits};
use syncline_kv::{Item, Key, Namespace, Pattern, Tree};
use syncline_storage::MemoryDb;

use super::{Encode, Event, Hand, key, play_to_the_end};

/// Messages that are hard to guess: namespaces and items are known.
#[derive(Arbitrary, Debug)]
pub enum Message {
    /// The initiator's first.
    Hello { versions: (u8, u8), capabilities: u8, known: bool, prefix: u8, counts: (u8, u8) },
    /// The acceptor's first.
    Welcome { capabilities: u8, counts: (u8, u8), equal: (bool, bool) },
    /// No.
    Refuse,
    /// Anything of a reconciliation.
    Reconcile(bool, Vec<u8>),
    /// Anything for an item.
    Junk(Vec<u8>),
    /// The n-th known item.
    Item(u8),
    /// The n-th known item, with one byte changed.
    Changed(u8, u16, u8),
    /// All grants and such were sent.
    SystemEnd,
    /// All there is for now.
    CaughtUp,
    /// Please begin again.
    Again,
    /// The n-th known item was not taken, and perhaps the m-th as the reason.
    Refused(u8, u8, Option<u8>),
    /// So many items were sent.
    Done(u8),
    /// So many came.
    Ack(u8, bool),
    /// Still here.
    Ping,
}

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn namespace() -> Namespace {
    Namespace::new("fuzz", [key().public_key()]).expect("a namespace")
}

/// Items of every kind but rotations: the first half of them the side under test has.
fn items() -> &'static [Bytes] {
    static ITEMS: OnceLock<Vec<Bytes>> = OnceLock::new();
    ITEMS.get_or_init(|| {
        let tree = Tree::open(Arc::new(MemoryDb::new()), &namespace()).expect("memory opens");
        let writer = syncline_crypto::SigningKey::from_bytes(&[8; 32]);
        let draft = GrantDraft {
            namespace: tree.id(),
            parent: None,
            issuer: key().public_key(),
            audience: writer.public_key(),
            pattern: Pattern::new("/w/**").expect("a pattern"),
            ops: Ops::Write,
            depth: 0,
            not_before: None,
            not_after: None,
            quota: Quota::NONE,
            stamp: Hlc::new(NOW, 0),
        };
        let grant = tree.grant(NOW, &key(), draft).expect("a root may");
        let put = |path: &str, by| {
            let path = Key::new(path).expect("a key");
            Item::Entry(tree.put(NOW, by, &path, &b"value"[..]).expect("allowed"))
        };
        let root = key();
        let mut items = vec![Item::Grant(grant.clone()), put("/w/1", &writer), put("/a/1", &root), put("/b/1", &root)];
        items.extend([put("/w/2", &writer), put("/a/2", &root), put("/a/1", &root)]);
        tree.revoke(NOW, &root, grant.id()).expect("a root may");
        let authority = tree.authority();
        items.extend(authority.revocations().cloned().map(Item::Revocation));
        items.iter().map(Item::encoded).collect()
    })
}

fn item(number: u8) -> &'static Bytes {
    &items()[usize::from(number) % items().len()]
}

fn tree() -> Tree {
    let tree = Tree::open(Arc::new(MemoryDb::new()), &namespace()).expect("memory opens");
    let held = items().iter().take(4).map(|held| Item::decode(held).expect("an item"));
    tree.apply(NOW, held.collect()).expect("memory does not fail");
    tree
}

fn prefix(number: u8) -> &'static str {
    ["", "/a", "/w", "/none", "a"][usize::from(number) % 5]
}

impl Encode for Message {
    fn encode(self) -> Vec<u8> {
        let mut out = BytesMut::new();
        self.write(&mut Writer::new(&mut out));
        out.to_vec()
    }
}

impl Message {
    fn write(self, writer: &mut Writer<'_>) {
        match self {
            Self::Hello { versions, capabilities, known, prefix: number, counts } => {
                writer.array(11).unsigned(0).unsigned(versions.0.into()).unsigned(versions.1.into());
                writer.unsigned(capabilities.into()).bytes(&[9; 16]);
                let id = if known { *namespace().id().as_bytes() } else { [7; 32] };
                writer.bytes(&id).text(prefix(number)).unsigned(counts.0.into()).unsigned(counts.1.into());
                writer.bytes(&[0; 16]).bytes(&[0; 16]);
            }
            Self::Welcome { capabilities, counts, equal } => {
                writer.array(8).unsigned(1).unsigned(1).unsigned(capabilities.into()).bytes(&[9; 16]);
                writer.unsigned(counts.0.into()).unsigned(counts.1.into()).bool(equal.0).bool(equal.1);
            }
            Self::Refuse => _ = writer.array(1).unsigned(2),
            Self::Reconcile(set, message) => _ = writer.array(3).unsigned(3).unsigned(set.into()).bytes(&message),
            Self::Junk(bytes) => _ = writer.bytes(&bytes),
            Self::Item(number) => _ = writer.bytes(item(number)),
            Self::Changed(number, at, with) => {
                let mut bytes = item(number).to_vec();
                let at = usize::from(at) % bytes.len();
                bytes[at] ^= with;
                writer.bytes(&bytes);
            }
            Self::SystemEnd => _ = writer.array(1).unsigned(4),
            Self::CaughtUp => _ = writer.array(1).unsigned(5),
            Self::Again => _ = writer.array(1).unsigned(6),
            Self::Refused(number, code, reason) => {
                let id = Item::decode(item(number)).expect("an item").id_bytes();
                writer.array(4).unsigned(7).bytes(&id).unsigned(code.into());
                match reason {
                    Some(number) => writer.bytes(item(number)),
                    None => writer.null(),
                };
            }
            Self::Done(items) => _ = writer.array(2).unsigned(8).unsigned(items.into()),
            Self::Ack(items, settled) => _ = writer.array(3).unsigned(9).unsigned(items.into()).bool(settled),
            Self::Ping => _ = writer.array(1).unsigned(10),
        }
    }
}

/// Plays a script against one side. The bits of `how`, from the lowest: it initiates, it would stay open, it does not reconcile
/// revocations, it asks for a part, the peer may not read.
///
/// # Panics
///
/// If the side breaks its contract.
pub fn play(how: u8, script: Vec<Event<Message>>) {
    let is = |bit: u8| how >> bit & 1 == 1;
    let (hand, clock) = (Hand::default(), ManualClock::new(NOW));
    let limits = Limits::default()
        .with_items_received_max(64)
        .with_differences_max(64)
        .with_batch_items_max(3)
        .with_refusals_max(3)
        .with_echoes_max(2)
        .with_handshake(Duration::from_secs(10))
        .with_idle(Duration::from_secs(5))
        .with_keep_alive(Duration::from_secs(2))
        .with_page_bytes(200)
        .with_window_bytes(256);
    let remote =
        if is(4) { syncline_crypto::SigningKey::from_bytes(&[5; 32]).public_key() } else { key().public_key() };
    let eagerness = if is(2) { Eagerness::OnRejection } else { Eagerness::Full };
    let protocol = KvSync::new(tree(), Arc::new(clock.clone()), [3; 32])
        .with_limits(limits)
        .with_live(is(1))
        .with_eagerness(eagerness)
        .with_remote(remote)
        .with_timer(Arc::new(clock.clone()));
    let query = KvQuery::below(namespace().id(), prefix(is(3).into()).parse().expect("a path"));
    if is(0) && protocol.check(&query).is_err() {
        return;
    }
    let protocol = Arc::new(protocol);
    let (mut tx, mut rx, mut app) = (hand.clone(), hand.clone(), hand.clone());
    let (tx, rx, app) = (Box::new(&mut tx as _), Box::new(&mut rx as _), Box::new(&mut app as _));
    let mut session = if is(0) { protocol.initiate(query, tx, rx, app) } else { protocol.accept(tx, rx, app) };
    play_to_the_end(&mut session, &hand, &clock, script);
}
