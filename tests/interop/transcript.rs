//! One side of a session against bytes that were written down before.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::author::{Draft, Pen};
use crate::image::{Author, Image, LogKey, Scope, Stored, Topic};
use crate::io::{End, Stream};
use crate::peer::{Contestant, Encoding, Given, Outcome, Peer, Receive, Role};
use crate::wire::{Message, heights};

/// The topic of all transcripts.
pub(crate) fn topic() -> Topic {
    Topic("messages".into(), [0, 1, 23, 255])
}

/// The only author of all transcripts, with the secret `07 07 .. 07`.
pub(crate) fn author() -> Author {
    pen().author()
}

fn pen() -> Pen {
    Pen::new([7; 32])
}

/// The log that the operations of [`operations`] are in.
pub(crate) fn key() -> LogKey<u64> {
    (author(), 0)
}

/// Operations of one log, with "Hello, Sloth!" in each, at the times 0, 100, 200 and so on.
pub(crate) fn operations(count: u64) -> Vec<Stored> {
    write(pen(), count, b"Hello, Sloth!")
}

/// Operations of one log with bodies of `len` bytes, and their author.
pub(crate) fn operations_of(secret: [u8; 32], count: u64, len: usize) -> (Author, Vec<Stored>) {
    let pen = Pen::new(secret);
    (pen.author(), write(pen, count, &vec![0xab; len]))
}

fn write(mut pen: Pen, count: u64, body: &[u8]) -> Vec<Stored> {
    let mut operation = |seq| {
        let draft = Draft { timestamp: seq * 100, body: body.to_vec(), previous: Vec::new(), extensions: None };
        pen.write::<u64>(draft).0
    };
    (0..count).map(&mut operation).collect()
}

/// A store with these operations in log 0, numbered from `first`.
pub(crate) fn store(first: u64, operations: &[Stored]) -> Image<u64> {
    let mut image = Image::new();
    for (seq, operation) in (first..).zip(operations) {
        image.insert(&key(), seq, operation.clone());
    }
    image
}

/// The author with log 0.
pub(crate) fn scope() -> Scope<u64> {
    BTreeMap::from([(author(), vec![0])])
}

/// What a peer sends that has these heights in log 0 and nothing else.
pub(crate) fn have(logs: &[(u64, u64)]) -> Vec<u8> {
    Message::Have(topic(), vec![heights(author(), logs.to_vec())]).encode()
}

/// What a peer sends that knows no author.
pub(crate) fn have_nothing() -> Vec<u8> {
    Message::<u64>::Have(topic(), Vec::new()).encode()
}

pub(crate) fn done() -> Vec<u8> {
    Message::<u64>::Done.encode()
}

/// An operation as the original sends it.
pub(crate) fn data(operation: &Stored) -> Vec<u8> {
    Message::<u64>::Data(operation.header.clone(), operation.body.clone()).encode()
}

/// One side of a session whose other side is fixed.
pub(crate) struct Play<'a> {
    pub(crate) image: Image<u64>,
    pub(crate) scope: Scope<u64>,
    pub(crate) encoding: Encoding,
    pub(crate) role: Role<'a>,
    pub(crate) input: Vec<u8>,
    /// What follows the input.
    pub(crate) end: End,
    /// How many bytes the peer takes before it is gone.
    pub(crate) takes: usize,
    /// How many bytes come at a time.
    pub(crate) chunk: usize,
}

impl<'a> Play<'a> {
    /// A side with this store, for which everything is in place at once and nothing follows.
    pub(crate) fn new(role: Role<'a>, image: Image<u64>, input: Vec<u8>) -> Self {
        let encoding = Encoding::Integers;
        Self { image, scope: scope(), encoding, role, input, end: End::Silence, takes: usize::MAX, chunk: usize::MAX }
    }

    /// Plays it: the outcome, if the session ended, and all that was sent.
    pub(crate) fn run<C: Contestant>(&self) -> (Option<Outcome>, Vec<u8>) {
        paused(async {
            let topic = topic();
            let given = Given {
                image: &self.image,
                topic: &topic,
                scope: &self.scope,
                encoding: self.encoding,
                receive: Receive::Forward,
            };
            let mut peer = C::Peer::<u64>::new(given).await;
            let (mut stream, sent) = Stream::scripted(&self.input, self.chunk, self.end, self.takes);
            // This asks whether the session waits for ever.
            let session = peer.session(self.role, &mut stream);
            let outcome = tokio::time::timeout(Duration::from_secs(1), session).await;
            (outcome.ok(), sent.bytes())
        })
    }
}

/// Runs a future on one thread, with a clock that moves only when nothing else can.
pub(crate) fn paused<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(future)
}
