//! A peer that speaks by hand, and need not be honest.

use bytes::{Bytes, BytesMut};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use syncline_core::cbor::{FrameLimits, FrameScanner, Kind, Reader, Writer};
use syncline_core::{FromSync, SyncError};
use syncline_kv::NamespaceId;
use syncline_testkit::net::{Conditions, End, Link, Sim};

use crate::world::{App, Node, accept};

/// What came in a session: whole messages.
#[derive(Debug, Default)]
pub(crate) struct Heard(pub(crate) Vec<Bytes>);

impl Heard {
    /// The items among them.
    pub(crate) fn items(&self) -> Vec<Bytes> {
        let items = self.0.iter().filter(|frame| Reader::new(frame).kind() == Ok(Kind::Bytes));
        items.map(|frame| Bytes::copy_from_slice(&Reader::new(frame).bytes().expect("whole"))).collect()
    }

    /// Those of a kind.
    pub(crate) fn of_kind(&self, kind: u64) -> Vec<&Bytes> {
        self.0.iter().filter(|frame| kind_of(frame) == Some(kind)).collect()
    }

    /// The ids and codes of what was refused, and how many revocations came along.
    pub(crate) fn refused(&self) -> (Vec<([u8; 32], u64)>, usize) {
        let (mut refused, mut revocations) = (Vec::new(), 0);
        for frame in self.of_kind(7) {
            let mut reader = Reader::new(frame);
            reader.array().unwrap();
            reader.unsigned().unwrap();
            refused.push((*reader.byte_array().unwrap(), reader.unsigned().unwrap()));
            revocations += usize::from(!reader.null());
        }
        (refused, revocations)
    }
}

fn kind_of(frame: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(frame);
    reader.array().ok()?;
    reader.unsigned().ok()
}

/// A message of unsigned numbers.
pub(crate) fn message(numbers: &[u64]) -> Vec<u8> {
    let mut out = BytesMut::new();
    let mut writer = Writer::new(&mut out);
    writer.array(numbers.len() as u64);
    numbers.iter().for_each(|number| {
        writer.unsigned(*number);
    });
    out.to_vec()
}

pub(crate) fn item(bytes: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    Writer::new(&mut out).bytes(bytes);
    out.to_vec()
}

/// Of one who has nothing.
pub(crate) fn hello(namespace: NamespaceId, prefix: &str, capabilities: u64) -> Vec<u8> {
    let mut out = BytesMut::new();
    let mut writer = Writer::new(&mut out);
    writer.array(11).unsigned(0).unsigned(1).unsigned(1).unsigned(capabilities).bytes(&[7; 16]);
    writer.bytes(namespace.as_bytes()).text(prefix).unsigned(0).unsigned(0).bytes(&[0; 16]).bytes(&[0; 16]);
    out.to_vec()
}

fn ack(items: u64) -> Vec<u8> {
    let mut out = BytesMut::new();
    Writer::new(&mut out).array(3).unsigned(9).unsigned(items).bool(true);
    out.to_vec()
}

/// Says all this, then hears until the stream ends or both sides are done. Acknowledges what it is sent.
async fn talk(mut end: End, said: Vec<u8>) -> Heard {
    let (mut tx, rx) = (end.tx, &mut end.rx);
    let write = async {
        // The peer may have heard enough.
        let _gone = tx.write_all(&said).await;
        let _gone = tx.flush().await;
        tx
    };
    let read = async {
        let mut heard = Heard::default();
        let (mut buffer, mut chunk) = (BytesMut::new(), [0; 1_024]);
        let mut scanner = FrameScanner::new(FrameLimits::with_len_max(1 << 24));
        loop {
            while let Some(len) = scanner.scan(&buffer).expect("well-formed") {
                heard.0.push(buffer.split_to(len).freeze());
            }
            let is_done = !heard.of_kind(8).is_empty() && !heard.of_kind(9).is_empty();
            if is_done || !heard.of_kind(2).is_empty() {
                return heard;
            }
            match rx.read(&mut chunk).await {
                Ok(0) | Err(_) => return heard,
                Ok(count) => buffer.extend_from_slice(&chunk[..count]),
            }
        }
    };
    let (mut tx, heard) = futures::join!(write, read);
    if !heard.of_kind(8).is_empty() {
        let _gone = tx.write_all(&ack(heard.items().len() as u64)).await;
        let _gone = tx.flush().await;
    }
    heard
}

/// A session in which the peer says this and no more.
pub(crate) fn say(
    node: &Node,
    said: Vec<u8>,
) -> (Result<(), SyncError>, Heard, Vec<FromSync<syncline_kv::sync::KvQuery>>) {
    let clock = &node.clock;
    let Link { a, b, .. } = Link::new(clock, Conditions::new(), Conditions::new());
    let app = App::new(clock);
    let mut sim = Sim::new(clock);
    let raw = sim.spawn("raw", talk(a, said));
    let accepted = sim.spawn("acceptor", accept(node.sync.clone(), b, app.clone()));
    sim.run().expect("both sides end");
    let items = std::mem::take(&mut *app.items.lock().unwrap());
    (accepted.take().expect("ended"), raw.take().expect("ended"), items)
}

/// A whole session of a peer that has these items and nothing else.
pub(crate) fn offer(node: &Node, items: &[Bytes]) -> (Result<(), SyncError>, Heard) {
    let mut said = hello(node.tree.id(), "", 0);
    for bytes in items {
        said.extend(item(bytes));
    }
    said.extend(message(&[4]));
    said.extend(message(&[8, items.len() as u64]));
    let (ended, heard, _) = say(node, said);
    (ended, heard)
}
