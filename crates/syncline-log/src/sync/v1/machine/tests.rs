use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use syncline_crypto::SigningKey;

use super::*;
use crate::SeqNum;
use crate::store::StoredOperation;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Topic(u8);
impl TopicQuery for Topic {}

type TestMachine = LogMachine<Topic, u64>;
/// The operations of one node. The machine does not look into headers, so any bytes will do.
type Store = BTreeMap<(PublicKey, u64), Vec<StoredOperation>>;

fn key(seed: u8) -> PublicKey {
    SigningKey::from_bytes(&[seed; 32]).public_key()
}

fn operation(author: u8, log: u64, seq: u64, len: usize) -> StoredOperation {
    let mut header = vec![author];
    header.put_u64(log);
    header.put_u64(seq);
    let body = (!seq.is_multiple_of(3)).then(|| Bytes::from(vec![author; len]));
    StoredOperation::new(SeqNum::new(seq), header.into(), body)
}

/// A store with so many operations in the log of each (author, log).
fn store(logs: &[(u8, u64, u64)], len: usize) -> Store {
    let log = |&(author, log, count): &(u8, u64, u64)| {
        ((key(author), log), (0..count).map(|seq| operation(author, log, seq, len)).collect())
    };
    logs.iter().map(log).collect()
}

fn scope_of(store: &Store, also: &Store) -> Scope<u64> {
    let mut scope = Scope { logs: Logs::new(), heights: Heights::new() };
    for (author, log) in store.keys().chain(also.keys()) {
        let logs = scope.logs.entry(*author).or_default();
        if !logs.contains(log) {
            logs.push(*log);
        }
    }
    for ((author, log), operations) in store {
        if let Some(last) = operations.last() {
            scope.heights.entry(*author).or_default().insert(*log, last.seq_num);
        }
    }
    scope
}

/// One node: a machine, what waits to be sent, and what its application got.
struct Side {
    machine: TestMachine,
    store: Store,
    other: Store,
    out: Vec<u8>,
    app: Vec<FromSync<Topic>>,
    request: Option<Request<Topic, u64>>,
    pages_bytes_max: usize,
}

impl Side {
    fn initiator(store: Store, other: Store, encoding: Encoding, limits: Limits) -> Self {
        let role = Role::Initiator { topic: Topic(1), scope: scope_of(&store, &other) };
        Self::new(role, store, other, encoding, limits)
    }

    fn acceptor(store: Store, other: Store, encoding: Encoding, limits: Limits) -> Self {
        Self::new(Role::Acceptor, store, other, encoding, limits)
    }

    fn new(role: Role<Topic, u64>, store: Store, other: Store, encoding: Encoding, limits: Limits) -> Self {
        let machine = LogMachine::new(Timestamp::ZERO, role, encoding, limits).unwrap();
        let (out, app, request) = (Vec::new(), Vec::new(), None);
        let mut side = Self { machine, store, other, out, app, request, pages_bytes_max: 0 };
        side.drain();
        side
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll() {
            match output {
                Output::Send { bytes, .. } => self.out.extend_from_slice(&bytes),
                Output::Deliver(item) => self.app.push(item),
                Output::Request(request) => assert!(self.request.replace(request).is_none(), "two requests at once"),
                _ => panic!("an output of another kind"),
            }
        }
    }

    fn handle(&mut self, input: Input<'_, Response<u64>>) -> Result<(), SyncError> {
        let result = self.machine.handle(Timestamp::ZERO, input);
        self.drain();
        result
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), SyncError> {
        self.handle(Input::Received(bytes))
    }

    /// Answers the outstanding request, if there is one.
    fn answer(&mut self) -> Result<bool, SyncError> {
        let response = match self.request.take() {
            None => return Ok(false),
            Some(Request::Resolve(topic)) => {
                Response::Resolved((topic == Topic(1)).then(|| scope_of(&self.store, &self.other)))
            }
            Some(Request::Read { author, log_id, range, bytes_max }) => {
                Response::Page(self.page(author, log_id, range, bytes_max))
            }
        };
        self.handle(Input::Response(response)).map(|()| true)
    }

    fn page(&mut self, author: PublicKey, log_id: u64, range: SeqRange, bytes_max: usize) -> Page {
        let mut page = Page::default();
        let mut bytes = 0;
        for operation in self.store.get(&(author, log_id)).into_iter().flatten() {
            if operation.seq_num < range.from || operation.seq_num > range.to {
                continue;
            }
            if bytes >= bytes_max {
                page.next = Some(operation.seq_num);
                break;
            }
            bytes += operation.header.len() + operation.body.as_ref().map_or(0, Bytes::len);
            page.operations.push(operation.clone());
        }
        self.pages_bytes_max = self.pages_bytes_max.max(bytes);
        page
    }

    /// The operations that the application got.
    fn data(&self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let data = self.app.iter().filter_map(|item| match item {
            FromSync::Data { header, payload } => Some((header.clone(), payload.clone())),
            FromSync::HandshakeSuccess(_) => None,
        });
        data.collect()
    }

    fn assert_handshake_once_and_first(&self) {
        assert_eq!(self.app.first(), Some(&FromSync::HandshakeSuccess(Topic(1))));
        let handshakes = self.app.iter().filter(|item| matches!(item, FromSync::HandshakeSuccess(_)));
        assert_eq!(handshakes.count(), 1);
    }
}

/// What `from` has and `to` lacks, in the order in which it is due.
fn lacking(from: &Store, to: &Store) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut lacking = Vec::new();
    for (log, operations) in from {
        let height = to.get(log).and_then(|operations| operations.last()).map(|operation| operation.seq_num);
        let unknown = operations.iter().filter(|operation| height.is_none_or(|height| operation.seq_num > height));
        lacking.extend(unknown.map(|o| (o.header.to_vec(), o.body.as_ref().map(|body| body.to_vec()))));
    }
    lacking
}

/// Moves up to `chunk` bytes from one side to the other, which takes them only if it wants any.
fn move_bytes(from: &mut Side, to: &mut Side, chunk: usize) -> bool {
    if from.out.is_empty() || !to.machine.wants_input() {
        return false;
    }
    let bytes: Vec<u8> = from.out.drain(..chunk.min(from.out.len())).collect();
    to.receive(&bytes).unwrap();
    true
}

fn run(a: &mut Side, b: &mut Side, chunk: usize) {
    loop {
        let moved = [move_bytes(a, b, chunk), move_bytes(b, a, chunk), a.answer().unwrap(), b.answer().unwrap()];
        if !moved.contains(&true) {
            break;
        }
    }
    assert!(a.machine.is_done() && b.machine.is_done(), "stuck");
    assert!(a.out.is_empty() && b.out.is_empty());
}

#[test]
fn both_get_what_they_lack() {
    let (ours, theirs) = (store(&[(1, 0, 5), (1, 1, 2)], 10), store(&[(1, 0, 2), (1, 2, 3), (2, 0, 4)], 10));
    for chunk in [1, 7, 1400, 65536] {
        for encoding in [Encoding::Bytes, Encoding::Integers] {
            let mut a = Side::initiator(ours.clone(), theirs.clone(), encoding, Limits::default());
            let mut b = Side::acceptor(theirs.clone(), ours.clone(), encoding, Limits::default());
            run(&mut a, &mut b, chunk);
            assert_eq!(a.data(), lacking(&theirs, &ours));
            assert_eq!(b.data(), lacking(&ours, &theirs));
            a.assert_handshake_once_and_first();
            b.assert_handshake_once_and_first();
        }
    }
}

#[test]
fn pages_are_bounded_however_much_there_is_to_send() {
    let ours = store(&[(1, 0, 200)], 100);
    let limits = Limits::default().with_page_bytes(500);
    let mut a = Side::initiator(ours.clone(), Store::new(), Encoding::Bytes, limits.clone());
    let mut b = Side::acceptor(Store::new(), ours.clone(), Encoding::Bytes, limits);
    run(&mut a, &mut b, 1400);
    assert_eq!(b.data(), lacking(&ours, &Store::new()));
    assert!(a.pages_bytes_max < 500 + 200);
}

fn encoded(build: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    build(&mut out);
    out.to_vec()
}

fn have(topic: u8) -> Vec<u8> {
    let topic = wire::encode_value(&Topic(topic)).unwrap();
    encoded(|out| wire::encode_have::<u64>(out, &topic, &Logs::new(), &Heights::new()).unwrap())
}

fn data() -> Vec<u8> {
    encoded(|out| wire::encode_data(out, Encoding::Bytes, b"header", None))
}

fn done() -> Vec<u8> {
    encoded(wire::encode_done)
}

fn fresh(initiator: bool) -> Side {
    fresh_with(initiator, Limits::default())
}

fn fresh_with(initiator: bool, limits: Limits) -> Side {
    if initiator {
        Side::initiator(Store::new(), Store::new(), Encoding::Bytes, limits)
    } else {
        Side::acceptor(Store::new(), Store::new(), Encoding::Bytes, limits)
    }
}

/// Feeds messages one by one and answers requests in between.
fn feed(side: &mut Side, messages: &[Vec<u8>]) -> Result<(), SyncError> {
    for message in messages {
        side.receive(message)?;
        while side.answer()? {}
    }
    Ok(())
}

#[test]
fn any_other_order_is_unexpected() {
    let (have, data, done) = (have(1), data(), done());
    for (initiator, messages) in [
        (false, vec![data.clone()]),
        (false, vec![done.clone()]),
        (false, vec![have.clone(), have.clone()]),
        (false, vec![have.clone(), data.clone(), have.clone()]),
        (true, vec![have.clone()]),
        (true, vec![data.clone(), have.clone()]),
        (true, vec![done.clone(), done.clone()]),
        (true, vec![done.clone(), data.clone()]),
    ] {
        let mut side = fresh(initiator);
        let err = feed(&mut side, &messages).unwrap_err();
        assert!(matches!(err, SyncError::UnexpectedBehaviour(_)), "{err}");
    }
}

#[test]
fn the_legal_orders_succeed() {
    let (have, data, done) = (have(1), data(), done());
    for (initiator, messages) in [
        (false, vec![have.clone(), done.clone()]),
        (false, vec![have.clone(), data.clone(), data.clone(), done.clone()]),
        (false, vec![[have.clone(), data.clone(), done.clone(), b"trailing".to_vec()].concat()]),
        (true, vec![done.clone(), have.clone()]),
        (true, vec![data.clone(), done.clone(), have.clone()]),
        (true, vec![[data, done, have, vec![0xff]].concat()]),
    ] {
        let mut side = fresh(initiator);
        feed(&mut side, &messages).unwrap();
        assert!(side.machine.is_done());
        side.assert_handshake_once_and_first();
        side.handle(Input::Closed).unwrap();
    }
}

#[test]
fn a_stream_that_ends_early_is_unexpected_at_every_byte() {
    for initiator in [false, true] {
        let messages = if initiator { [data(), done(), have(1)] } else { [have(1), data(), done()] };
        let bytes = messages.concat();
        for cut in 0..bytes.len() {
            let mut side = fresh(initiator);
            feed(&mut side, &[bytes[..cut].to_vec()]).unwrap();
            let err = side.handle(Input::Closed).unwrap_err();
            assert!(matches!(err, SyncError::UnexpectedBehaviour(_)), "{cut}: {err}");
            assert!(!side.machine.is_done());
        }
    }
}

#[test]
fn an_unknown_topic_is_refused_without_a_word() {
    let mut side = fresh(false);
    let err = feed(&mut side, &[have(2)]).unwrap_err();
    assert!(matches!(err, SyncError::UnexpectedBehaviour(_)));
    assert!(side.out.is_empty() && side.app.is_empty());
}

#[test]
fn an_answer_about_another_topic_is_unexpected() {
    let err = feed(&mut fresh(true), &[done(), have(2)]).unwrap_err();
    assert!(matches!(err, SyncError::UnexpectedBehaviour(_)));
}

#[test]
fn a_topic_that_is_none_is_an_encoding_error() {
    let topic = wire::encode_value(&"no number").unwrap();
    let have = encoded(|out| wire::encode_have::<u64>(out, &topic, &Logs::new(), &Heights::new()).unwrap());
    let err = feed(&mut fresh(false), std::slice::from_ref(&have)).unwrap_err();
    assert!(matches!(err, SyncError::InvalidEncoding(_)));
    let err = feed(&mut fresh(true), &[done(), have]).unwrap_err();
    assert!(matches!(err, SyncError::InvalidEncoding(_)));
}

#[test]
fn nothing_is_taken_while_the_topic_is_looked_up() {
    let mut side = fresh(false);
    side.receive(&[have(1), data(), done()].concat()).unwrap();
    assert!(!side.machine.wants_input());
    assert!(side.app.is_empty(), "no data before the topic is accepted");
    assert!(side.answer().unwrap());
    side.assert_handshake_once_and_first();
    assert_eq!(side.data().len(), 1);
}

#[test]
fn limits_hold_at_the_limit_and_not_before() {
    let three = [have(1), data(), data(), data(), done()];
    let limits = Limits::default().with_operations_received_max(3);
    feed(&mut fresh_with(false, limits), &three).unwrap();
    let limits = Limits::default().with_operations_received_max(2);
    let err = feed(&mut fresh_with(false, limits), &three).unwrap_err();
    assert!(matches!(err, SyncError::UnexpectedBehaviour(_)));

    let len = three.concat().len() as u64;
    feed(&mut fresh_with(false, Limits::default().with_bytes_received_max(len)), &three).unwrap();
    let err = feed(&mut fresh_with(false, Limits::default().with_bytes_received_max(len - 1)), &three).unwrap_err();
    assert!(matches!(err, SyncError::UnexpectedBehaviour(_)));

    let len = have(1).len().max(data().len());
    feed(&mut fresh_with(false, Limits::default().with_frame_len_max(len)), &three).unwrap();
    let err = feed(&mut fresh_with(false, Limits::default().with_frame_len_max(len - 1)), &three).unwrap_err();
    assert!(matches!(err, SyncError::InvalidEncoding(_)));
}

#[test]
fn a_claim_is_refused_before_it_is_fulfilled() {
    for claim in [
        &b"\xa2\x64type\x64Data\x65value\x82\x9b\x40\0\0\0\0\0\0\0"[..],
        &b"\xa2\x64type\x64Data\x65value\x82\x5b\x40\0\0\0\0\0\0\0"[..],
        &b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff"[..],
    ] {
        for initiator in [false, true] {
            let err = feed(&mut fresh(initiator), &[claim.to_vec()]).unwrap_err();
            assert!(matches!(err, SyncError::InvalidEncoding(_)));
        }
    }
}

#[test]
fn deadlines_pass_in_silence_and_move_with_signs_of_life() {
    let limits = Limits::default().with_handshake(Duration::from_secs(10)).with_idle(Duration::from_secs(4));
    let at = |seconds: u64| Timestamp::from_millis(seconds * 1000);
    let mut side = fresh_with(false, limits);
    assert_eq!(side.machine.next_timeout(), Some(at(4)));
    side.machine.handle(at(3), Input::Timeout).unwrap();
    let have = have(1);
    side.machine.handle(at(3), Input::Received(&have[..1])).unwrap();
    assert_eq!(side.machine.next_timeout(), Some(at(7)));
    side.machine.handle(at(7), Input::Sent(1)).unwrap();
    assert_eq!(side.machine.next_timeout(), Some(at(10)), "the handshake's deadline does not move");
    let err = side.machine.handle(at(10), Input::Timeout).unwrap_err();
    assert!(matches!(err, SyncError::UnexpectedBehaviour(_)));
}

#[test]
fn after_the_handshake_only_silence_counts() {
    let limits = Limits::default().with_handshake(Duration::from_secs(1)).with_idle(Duration::from_secs(4));
    let mut side = fresh_with(false, limits);
    feed(&mut side, &[have(1)]).unwrap();
    assert_eq!(side.machine.next_timeout(), Some(Timestamp::from_millis(4_000)));
    feed(&mut side, &[done()]).unwrap();
    assert!(side.machine.is_done());
    assert_eq!(side.machine.next_timeout(), Some(Timestamp::from_millis(4_000)), "the last bytes may never be taken");
    side.handle(Input::Sent(side.out.len())).unwrap();
    assert_eq!(side.machine.next_timeout(), Some(Timestamp::from_millis(4_000)), "nor flushed");
}

#[test]
fn a_store_that_fails_is_our_fault() {
    let ours = store(&[(1, 0, 5)], 10);
    let mut side = Side::acceptor(ours, Store::new(), Encoding::Bytes, Limits::default());
    side.receive(&have(1)).unwrap();
    side.answer().unwrap();
    assert!(matches!(side.request, Some(Request::Read { .. })));
    let failure = SyncError::Critical("disk on fire".into());
    assert_eq!(side.handle(Input::Response(Response::Failed(failure.clone()))), Err(failure));
}

fn logs() -> impl Strategy<Value = Vec<(u8, u64, u64)>> {
    prop::collection::vec((1_u8..4, 0_u64..3, 0_u64..20), 0..8)
}

proptest! {
    #[test]
    fn any_two_stores_agree_afterwards(
        ours in logs(), theirs in logs(), chunk in 1_usize..300, page in 1_usize..400, integers: bool,
    ) {
        let (ours, theirs) = (store(&ours, 30), store(&theirs, 30));
        let encoding = if integers { Encoding::Integers } else { Encoding::Bytes };
        let limits = Limits::default().with_page_bytes(page);
        let mut a = Side::initiator(ours.clone(), theirs.clone(), encoding, limits.clone());
        let mut b = Side::acceptor(theirs.clone(), ours.clone(), Encoding::Bytes, limits);
        run(&mut a, &mut b, chunk);
        prop_assert_eq!(a.data(), lacking(&theirs, &ours));
        prop_assert_eq!(b.data(), lacking(&ours, &theirs));
    }

    #[test]
    fn garbage_is_never_our_fault(
        initiator: bool,
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        prefix in 0_usize..4,
    ) {
        let legal = if initiator { [data(), done(), have(1)] } else { [have(1), data(), done()] };
        let mut side = fresh(initiator);
        feed(&mut side, &legal[..prefix.min(3)]).unwrap();
        if let Err(err) = feed(&mut side, &[bytes]) {
            prop_assert!(err.is_peer_fault(), "{}", err);
        } else if prefix < 3 {
            prop_assert!(side.handle(Input::Closed).is_err_and(|err| err.is_peer_fault()) || side.machine.is_done());
        }
    }
}
