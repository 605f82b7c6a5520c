//! The suite for protocols: a right one passes, and each wrong one is caught by the rule that it breaks.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{Either, poll_fn, select};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, FutureExt, Sink, SinkExt};
use serde::{Deserialize, Serialize};
use syncline_core::clock::{Clock, ManualClock, Timer};
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicQuery};
use syncline_testkit::conformance::{Pair, Rule, Side, SyncProtocolSuite, sync_protocol};

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Topic(u8);

impl TopicQuery for Topic {}

/// What is wrong with a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    Nothing,
    EofIsSuccess,
    EofIsCritical,
    HangsAtEof,
    SpinsAtEof,
    SpinsWhileWaiting,
    ResetIsCritical,
    SilenceIsSuccess,
    HandshakeTwice,
    NoHandshake,
    OtherTopic,
    DataFirst,
    PanicsOnGarbage,
    CriticalOnGarbage,
    HangsOnGarbage,
    ClosesStream,
    WaitsForEnd,
    ForgetsFlush,
    ExpectsWholeItems,
    WritesBeforeReading,
    DropsItemsWhenSlow,
    HidesGoneApplication,
    StaysBusyWhenDropped,
    FailsAlways,
    AcceptsAnyTopic,
    SendsUnknownTopic,
    OtherEachTime,
}

/// Each side sends its items, first the initiator its topic: an item is its length in one byte and so many bytes, an empty
/// one is the last.
#[derive(Debug)]
struct Items {
    topic: Topic,
    items: BTreeSet<Vec<u8>>,
    flaw: Flaw,
    busy: AtomicBool,
    clock: ManualClock,
}

type Tx<'t> = &'t mut (dyn AsyncWrite + Send + Unpin);
type Rx<'t> = &'t mut (dyn AsyncRead + Send + Unpin);
type AppTx<'t> = &'t mut (dyn Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin);

fn unexpected(what: &str) -> SyncError {
    SyncError::UnexpectedBehaviour(what.into())
}

impl Items {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    async fn send_items(&self, tx: Tx<'_>) -> Result<(), SyncError> {
        for item in &self.items {
            tx.write_all(&[item.len() as u8]).await?;
            tx.write_all(item).await?;
        }
        tx.write_all(&[0]).await?;
        self.flush(tx).await
    }

    async fn flush(&self, tx: Tx<'_>) -> Result<(), SyncError> {
        if !self.has(Flaw::ForgetsFlush) {
            tx.flush().await?;
        }
        Ok(())
    }

    /// How many bytes were read; none if nothing came and that is taken for success.
    async fn read(&self, rx: Rx<'_>, buffer: &mut [u8]) -> Result<Option<usize>, SyncError> {
        let mut read = rx.read(buffer);
        let outcome = match self.flaw {
            Flaw::SpinsWhileWaiting => {
                poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    read.poll_unpin(cx)
                })
                .await
            }
            Flaw::SilenceIsSuccess => {
                let patience = self.clock.sleep_until(self.clock.now() + Duration::from_secs(5));
                match select(read, patience).await {
                    Either::Left((outcome, _)) => outcome,
                    Either::Right(_) => return Ok(None),
                }
            }
            _ => read.await,
        };
        match outcome {
            Err(err) if self.has(Flaw::ResetIsCritical) => Err(SyncError::Critical(err.to_string())),
            outcome => Ok(Some(outcome?)),
        }
    }

    /// One byte; none if the stream has ended and that is taken for success.
    async fn byte(&self, rx: Rx<'_>) -> Result<Option<u8>, SyncError> {
        let mut byte = [0];
        loop {
            match self.read(rx, &mut byte).await? {
                None => return Ok(None),
                Some(1) => return Ok(Some(byte[0])),
                Some(_) => {}
            }
            return match self.flaw {
                Flaw::EofIsSuccess => Ok(None),
                Flaw::EofIsCritical => Err(SyncError::Critical("bytes remaining on stream".into())),
                Flaw::HangsAtEof => pending().await,
                Flaw::SpinsAtEof => continue,
                _ => Err(unexpected("the stream ended")),
            };
        }
    }

    async fn receive_items(&self, rx: Rx<'_>, app: AppTx<'_>) -> Result<(), SyncError> {
        while let Some(len @ 1..) = self.byte(rx).await? {
            let mut header = Vec::new();
            if self.has(Flaw::ExpectsWholeItems) {
                header.resize(usize::from(len), 0);
                _ = rx.read(&mut header).await?;
            }
            while header.len() < usize::from(len) {
                header.push(self.byte(rx).await?.unwrap_or(0));
            }
            if header.iter().any(|byte| !byte.is_ascii_lowercase()) {
                match self.flaw {
                    Flaw::PanicsOnGarbage => panic!("not a letter"),
                    Flaw::CriticalOnGarbage => return Err(SyncError::Critical("not a letter".into())),
                    Flaw::HangsOnGarbage => pending().await,
                    _ => return Err(SyncError::InvalidEncoding("not a letter".into())),
                }
            }
            let event = FromSync::Data { header, payload: None };
            if self.has(Flaw::DropsItemsWhenSlow) {
                if poll_fn(|cx| app.poll_ready_unpin(cx)).now_or_never().is_some() {
                    app.start_send_unpin(event)?;
                }
            } else {
                app.send(event).await.map_err(|err| match self.flaw {
                    Flaw::HidesGoneApplication => unexpected("gone"),
                    _ => err,
                })?;
            }
        }
        Ok(())
    }

    async fn agree(&self, topic: Topic, app: AppTx<'_>) -> Result<(), SyncError> {
        if self.has(Flaw::DataFirst) {
            app.send(FromSync::Data { header: vec![1], payload: None }).await?;
        }
        let count = match self.flaw {
            Flaw::NoHandshake => 0,
            Flaw::HandshakeTwice => 2,
            _ => 1,
        };
        for _ in 0..count {
            let topic = if self.has(Flaw::OtherTopic) { Topic(99) } else { topic.clone() };
            app.send(FromSync::HandshakeSuccess(topic)).await?;
        }
        Ok(())
    }

    async fn exchange(&self, is_initiator: bool, tx: Tx<'_>, rx: Rx<'_>, app: AppTx<'_>) -> Result<(), SyncError> {
        if self.has(Flaw::WritesBeforeReading) || is_initiator == self.has(Flaw::OtherEachTime) {
            self.send_items(tx).await?;
            self.receive_items(rx, app).await
        } else {
            self.receive_items(rx, app).await?;
            self.send_items(tx).await
        }
    }

    async fn finish(&self, tx: Tx<'_>, rx: Rx<'_>) -> Result<(), SyncError> {
        match self.flaw {
            Flaw::ClosesStream => tx.close().await?,
            Flaw::WaitsForEnd => _ = rx.read(&mut [0]).await?,
            Flaw::FailsAlways => return Err(unexpected("no reason")),
            _ => {}
        }
        self.busy.store(false, Ordering::SeqCst);
        Ok(())
    }

    async fn start(&self) {
        if self.has(Flaw::StaysBusyWhenDropped) && self.busy.swap(true, Ordering::SeqCst) {
            pending().await
        }
    }
}

#[async_trait]
impl<'a> SyncProtocol<'a, Topic> for Items {
    fn name(&self) -> &'static str {
        "items-v1"
    }

    async fn initiate(
        self: Arc<Self>,
        topic: Topic,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app: Box<&'a mut (dyn Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        self.start().await;
        if topic != self.topic && !self.has(Flaw::SendsUnknownTopic) {
            return Err(SyncError::Critical("unknown topic".into()));
        }
        (*tx).write_all(&[topic.0]).await?;
        if topic != self.topic {
            return Err(SyncError::Critical("unknown topic".into()));
        }
        self.flush(*tx).await?;
        match self.byte(*rx).await? {
            Some(b'k') => {}
            None => return Ok(()),
            Some(_) => return Err(SyncError::InvalidEncoding("not agreed".into())),
        }
        self.agree(topic, *app).await?;
        self.exchange(true, *tx, *rx, *app).await?;
        self.finish(*tx, *rx).await
    }

    async fn accept(
        self: Arc<Self>,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app: Box<&'a mut (dyn Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        self.start().await;
        let Some(topic) = self.byte(*rx).await? else { return Ok(()) };
        if topic != self.topic.0 && !self.has(Flaw::AcceptsAnyTopic) {
            return Err(unexpected("unsupported topic"));
        }
        self.agree(Topic(topic), *app).await?;
        if topic != self.topic.0 {
            return Err(unexpected("unsupported topic"));
        }
        (*tx).write_all(b"k").await?;
        self.flush(*tx).await?;
        self.exchange(false, *tx, *rx, *app).await?;
        self.finish(*tx, *rx).await
    }
}

fn items(clock: &ManualClock, topic: u8, count: usize, letter: u8, flaw: Flaw) -> Arc<Items> {
    let items = (0..count).map(|index| {
        let mut item = vec![letter; 60];
        item[0] = b'a' + index as u8;
        item
    });
    Arc::new(Items {
        topic: Topic(topic),
        items: items.collect(),
        flaw,
        busy: AtomicBool::new(false),
        clock: clock.clone(),
    })
}

/// The suite over two peers of which those on `flawed` have the flaw.
fn suite(flaw: Flaw, flawed: &[Side]) -> SyncProtocolSuite<'static, Topic> {
    let of = |side| if flawed.contains(&side) { flaw } else { Flaw::Nothing };
    let (initiator, acceptor) = (of(Side::Initiator), of(Side::Acceptor));
    // Together more than the smallest buffer, and little enough to be quick.
    let pair = move |clock: &ManualClock, own: u8, theirs: u8, topic: u8| {
        let initiator = items(clock, own, 5, b'x', initiator);
        Pair::new(initiator, items(clock, theirs, 5, b'y', acceptor), Topic(topic))
    };
    sync_protocol(move |clock| pair(clock, 7, 7, 7))
        .with_unknown_topic(move |clock| pair(clock, 7, 7, 8))
        .with_unsupported_topic(move |clock| pair(clock, 7, 8, 7))
        .with_offsets_max(400)
}

const BOTH: &[Side] = &[Side::Initiator, Side::Acceptor];

#[test]
fn a_right_protocol_passes() {
    let summary = suite(Flaw::Nothing, BOTH).check();
    assert_eq!((summary.bytes_initiated(), summary.bytes_accepted()), (1 + 5 * 61 + 1, 1 + 5 * 61 + 1));
    // Each of 308 offsets each way, closed, reset, and damaged but at the end, and more.
    assert!(summary.sessions() > 2 * 308 * 3, "{summary:?}");
}

#[track_caller]
fn assert_caught(flaw: Flaw, flawed: &[Side], rule: Rule, message: &str) {
    let Err(violation) = suite(flaw, flawed).try_check() else { panic!("{flaw:?} was not found") };
    assert_eq!(violation.rule(), rule, "{flaw:?}: {violation}");
    assert!(flawed.contains(&violation.side()), "{flaw:?}: {violation}");
    assert!(violation.to_string().contains(message), "{flaw:?}: {violation}");
}

/// Each flaw at each side alone.
#[track_caller]
fn assert_caught_at_each_side(flaw: Flaw, rule: Rule, message: &str) {
    for side in BOTH {
        assert_caught(flaw, &[*side], rule, message);
    }
}

#[test]
fn success_at_the_end_of_a_cut_stream_is_caught() {
    assert_caught_at_each_side(Flaw::EofIsSuccess, Rule::CutIsNoSuccess, "of the 307 bytes that it needs");
}

#[test]
fn blaming_itself_for_a_cut_stream_is_caught() {
    assert_caught_at_each_side(Flaw::EofIsCritical, Rule::NotCritical, "Critical(\"bytes remaining on stream\")");
}

#[test]
fn hanging_and_spinning_at_the_end_of_a_stream_are_caught() {
    assert_caught_at_each_side(Flaw::HangsAtEof, Rule::Ends, "waits for ever");
    assert_caught_at_each_side(Flaw::SpinsAtEof, Rule::Rests, "without rest");
}

#[test]
fn spinning_while_the_peer_takes_its_time_is_caught() {
    assert_caught_at_each_side(Flaw::SpinsWhileWaiting, Rule::Rests, "over a slow line");
}

#[test]
fn blaming_itself_for_a_reset_is_caught() {
    assert_caught_at_each_side(Flaw::ResetIsCritical, Rule::NotCritical, "was reset after 0 of 307 bytes");
}

#[test]
fn success_when_the_peer_falls_silent_is_caught() {
    assert_caught_at_each_side(Flaw::SilenceIsSuccess, Rule::CutIsNoSuccess, "nothing reached the");
}

#[test]
fn wrong_handshakes_are_caught() {
    assert_caught_at_each_side(Flaw::HandshakeTwice, Rule::HandshakeOnce, "sent HandshakeSuccess 2 times");
    assert_caught_at_each_side(Flaw::OtherTopic, Rule::HandshakeOnce, "for Topic(99), not Topic(7)");
    assert_caught_at_each_side(Flaw::DataFirst, Rule::HandshakeFirst, "sent data to the application first");
    // Without a handshake, the first event is data.
    assert_caught_at_each_side(Flaw::NoHandshake, Rule::HandshakeFirst, "first");
}

#[test]
fn wrong_answers_to_garbage_are_caught() {
    assert_caught_at_each_side(Flaw::PanicsOnGarbage, Rule::NoPanic, "panicked: not a letter");
    assert_caught_at_each_side(Flaw::CriticalOnGarbage, Rule::NotCritical, "not a letter");
    assert_caught_at_each_side(Flaw::HangsOnGarbage, Rule::Ends, "waits for ever");
}

#[test]
fn a_flipped_bit_alone_finds_a_panic() {
    for side in BOTH {
        let suite = suite(Flaw::PanicsOnGarbage, &[*side]).with_garbage_rounds(0);
        let Err(violation) = suite.try_check() else { panic!("the flaw was not found") };
        assert_eq!((violation.rule(), violation.side()), (Rule::NoPanic, *side));
        assert!(violation.to_string().contains("was damaged with"), "{violation}");
    }
}

#[test]
fn wrong_use_of_the_streams_is_caught() {
    assert_caught_at_each_side(Flaw::ClosesStream, Rule::LeavesStreamsOpen, "closed its stream");
    assert_caught_at_each_side(Flaw::WaitsForEnd, Rule::LeavesStreamsOpen, "only when its stream was ended");
    assert_caught_at_each_side(Flaw::ForgetsFlush, Rule::Flushes, "bytes written and not flushed");
    assert_caught_at_each_side(Flaw::ExpectsWholeItems, Rule::Completes, "one byte at a time");
    assert_caught(Flaw::WritesBeforeReading, BOTH, Rule::NeedsNoBuffer, "buffer 256 bytes");
}

#[test]
fn wrong_use_of_the_application_is_caught() {
    assert_caught_at_each_side(Flaw::DropsItemsWhenSlow, Rule::SameItems, "delivered 0 items, and 5 before");
    assert_caught_at_each_side(Flaw::HidesGoneApplication, Rule::ApplicationGoneIsCritical, "gone after 1 events");
}

#[test]
fn a_protocol_that_a_dropped_session_leaves_unfit_is_caught() {
    assert_caught_at_each_side(Flaw::StaysBusyWhenDropped, Rule::DropLeavesProtocolFit, "was dropped after");
}

#[test]
fn a_protocol_that_never_succeeds_is_caught() {
    assert_caught_at_each_side(Flaw::FailsAlways, Rule::Completes, "no reason");
}

#[test]
fn wrong_answers_to_topics_are_caught() {
    assert_caught(Flaw::AcceptsAnyTopic, &[Side::Acceptor], Rule::UnsupportedTopic, "HandshakeSuccess");
    assert_caught(Flaw::SendsUnknownTopic, &[Side::Initiator], Rule::UnknownTopic, "sent 1 bytes");
}

#[test]
fn a_fixture_that_differs_from_time_to_time_is_told() {
    let calls = std::cell::Cell::new(0);
    let suite = sync_protocol(move |clock| {
        calls.set(calls.get() + 1);
        let initiator = items(clock, 1, calls.get(), b'x', Flaw::Nothing);
        Pair::new(initiator, items(clock, 1, 1, b'y', Flaw::Nothing), Topic(1))
    });
    let Err(violation) = suite.try_check() else { panic!("the difference was not found") };
    assert_eq!(violation.rule(), Rule::FixtureRepeats);
}

#[test]
#[should_panic(expected = "broken: nothing that a peer does makes a protocol panic")]
fn checking_panics_with_the_rule() {
    suite(Flaw::PanicsOnGarbage, BOTH).check();
}
