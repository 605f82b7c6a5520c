//! A session whose peer and whose clock do what the fuzzer says.

pub mod kv;
pub mod v2;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use arbitrary::Arbitrary;
use async_trait::async_trait;
use futures::executor::block_on;
use futures::future::BoxFuture;
use futures::task::noop_waker;
use futures::{AsyncRead, AsyncWrite, FutureExt, Sink};
use serde::{Deserialize, Serialize};
use syncline_core::clock::{ManualClock, Timestamp};
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicMap, TopicQuery};
use syncline_crypto::SigningKey;
use syncline_log::store::{Logs, MemoryStore};
use syncline_log::sync::{Limits, LogSync};
use syncline_log::{Body, Draft, LogWriter};

/// What happens next.
#[derive(Arbitrary, Debug)]
pub enum Event<M = Message> {
    /// The peer sends bytes.
    Receive(Vec<u8>),
    /// The peer sends a well-formed message of this kind.
    Message(M),
    /// The peer takes up to so many bytes.
    Take(u16),
    /// Time passes.
    Sleep(u16),
    /// The application takes so many items.
    Deliver(u8),
    /// The peer's stream ends.
    Close,
    /// The peer resets the stream.
    Reset,
}

/// Something that a peer says.
pub trait Encode {
    /// As it travels.
    fn encode(self) -> Vec<u8>;
}

/// Messages that are hard to guess.
#[derive(Arbitrary, Debug)]
pub enum Message {
    /// The topic, with heights for the one author that is known.
    Have(u8, Vec<(u64, u64)>),
    /// An operation.
    Data(Vec<u8>, Option<Vec<u8>>),
    /// The end.
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Topic(u8);
impl TopicQuery for Topic {}

#[derive(Debug)]
struct Topics;

#[async_trait]
impl TopicMap<Topic, Logs<u64>> for Topics {
    async fn get(&self, topic: &Topic) -> Option<Logs<u64>> {
        (topic.0 == 1).then(|| Logs::from([(key().public_key(), vec![0, 1])]))
    }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A store with one log of five operations.
fn store() -> Arc<MemoryStore<u64>> {
    static STORE: OnceLock<Arc<MemoryStore<u64>>> = OnceLock::new();
    let store = STORE.get_or_init(|| {
        let store = Arc::new(MemoryStore::new());
        let writer = LogWriter::new(Arc::clone(&store), Arc::new(key()));
        let drafts = (1..=5).map(|len| Draft::<()>::new(Some(Body::new(vec![7; 40 * len])), None));
        block_on(writer.publish(0, drafts)).expect("memory does not fail");
        store
    });
    Arc::clone(store)
}

impl Encode for Message {
    fn encode(self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(tag = "type", content = "value")]
        enum Wire {
            Have(Topic, Vec<(syncline_crypto::PublicKey, Vec<(u64, u64)>)>),
            Data(Vec<u8>, Option<Vec<u8>>),
            Done,
        }
        let wire = match self {
            Self::Have(topic, heights) => Wire::Have(Topic(topic), vec![(key().public_key(), heights)]),
            Self::Data(header, payload) => Wire::Data(header, payload),
            Self::Done => Wire::Done,
        };
        let mut bytes = Vec::new();
        ciborium::into_writer(&wire, &mut bytes).expect("a vector takes all");
        bytes
    }
}

/// What the script and the session share.
#[derive(Default)]
struct Stage {
    incoming: VecDeque<u8>,
    end: Option<io::ErrorKind>,
    closed: bool,
    write_room: usize,
    app_room: usize,
    handshakes: usize,
}

/// One end of the stage: a stream or the application's channel. One thread uses it; the traits ask for `Send`.
#[derive(Clone, Default)]
struct Hand(Arc<Mutex<Stage>>);

impl Hand {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

impl AsyncRead for Hand {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut stage = self.stage();
        if stage.incoming.is_empty() {
            return match stage.end {
                Some(kind) => Poll::Ready(Err(kind.into())),
                None if stage.closed => Poll::Ready(Ok(0)),
                None => Poll::Pending,
            };
        }
        let count = buffer.len().min(stage.incoming.len());
        for (to, from) in buffer.iter_mut().zip(stage.incoming.drain(..count)) {
            *to = from;
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Hand {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut stage = self.stage();
        let count = bytes.len().min(stage.write_room);
        stage.write_room -= count;
        if count == 0 { Poll::Pending } else { Poll::Ready(Ok(count)) }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl<T: TopicQuery> Sink<FromSync<T>> for Hand {
    type Error = SyncError;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        if self.stage().app_room == 0 { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn start_send(self: Pin<&mut Self>, item: FromSync<T>) -> Result<(), SyncError> {
        let mut stage = self.stage();
        stage.app_room -= 1;
        let is_handshake = matches!(item, FromSync::HandshakeSuccess(_));
        stage.handshakes += usize::from(is_handshake);
        assert_eq!(stage.handshakes, 1, "one handshake, before any data");
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
        Poll::Ready(Ok(()))
    }
}

/// Plays a script against one side of log sync. Panics if the side breaks its contract.
pub fn play(initiator: bool, script: Vec<Event>) {
    let hand = Hand::default();
    let clock = ManualClock::new(Timestamp::ZERO);
    let limits = Limits::default()
        .with_frame_len_max(4 << 10)
        .with_handshake(Duration::from_secs(10))
        .with_idle(Duration::from_secs(5))
        .with_page_bytes(256)
        .with_window_bytes(256);
    let protocol = LogSync::new(Arc::new(Topics), store()).with_limits(limits).with_timer(Arc::new(clock.clone()));
    let protocol = Arc::new(protocol);
    let (mut tx, mut rx, mut app) = (hand.clone(), hand.clone(), hand.clone());
    let (tx, rx, app) = (Box::new(&mut tx as _), Box::new(&mut rx as _), Box::new(&mut app as _));
    let mut session = if initiator { protocol.initiate(Topic(1), tx, rx, app) } else { protocol.accept(tx, rx, app) };

    play_to_the_end(&mut session, &hand, &clock, script);
}

/// Has the peer do what the script says, and then go. Panics if the session does not end, or blames anybody else.
fn play_to_the_end<M: Encode>(
    session: &mut BoxFuture<'_, Result<(), SyncError>>,
    hand: &Hand,
    clock: &ManualClock,
    script: Vec<Event<M>>,
) {
    let waker = noop_waker();
    let mut cx = Context::from_waker(&waker);
    // Whatever happens, a peer that is gone and a clock that moves on end the session.
    let finale = [Event::Deliver(255), Event::Close, Event::Sleep(u16::MAX), Event::Deliver(255)];
    for event in script.into_iter().chain(finale) {
        apply(hand, clock, event);
        if let Poll::Ready(result) = settle(session, &mut cx) {
            if let Err(err) = result {
                assert!(err.is_peer_fault(), "{err}");
            }
            return;
        }
    }
    for _ in 0..1_000 {
        apply(hand, clock, Event::<M>::Deliver(255));
        apply(hand, clock, Event::<M>::Sleep(u16::MAX));
        if settle(session, &mut cx).is_ready() {
            return;
        }
    }
    panic!("the session outlives its peer");
}

/// Polls until the session waits for something. It yields after many rounds, so once is not enough.
fn settle(session: &mut BoxFuture<'_, Result<(), SyncError>>, cx: &mut Context<'_>) -> Poll<Result<(), SyncError>> {
    for _ in 0..4 {
        if let Poll::Ready(result) = session.poll_unpin(cx) {
            return Poll::Ready(result);
        }
    }
    Poll::Pending
}

fn apply<M: Encode>(hand: &Hand, clock: &ManualClock, event: Event<M>) {
    let mut stage = hand.stage();
    match event {
        Event::Receive(bytes) => stage.incoming.extend(bytes),
        Event::Message(message) => stage.incoming.extend(message.encode()),
        Event::Take(bytes) => stage.write_room = usize::from(bytes),
        Event::Deliver(items) => stage.app_room += usize::from(items),
        Event::Close => stage.closed = true,
        Event::Reset => stage.end = Some(io::ErrorKind::ConnectionReset),
        Event::Sleep(millis) => {
            drop(stage);
            clock.advance(Duration::from_millis(millis.into()));
        }
    }
}
