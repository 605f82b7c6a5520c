//! A session of a state machine whose store takes longer than the peer would be given.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite, Sink, SinkExt};
use serde::{Deserialize, Serialize};
use syncline_core::clock::{Clock, ManualClock, Timer, Timestamp};
use syncline_core::machine::{Drive, Input, Machine, Output, Perform, drive};
use syncline_core::session::{Deadline, FailureCause, Session, SessionLimits};
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicQuery};

use super::support::{Pipe, run};

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Topic;

impl TopicQuery for Topic {}

/// Asks the store for one byte and sends it, then waits for one from the peer.
#[derive(Default)]
struct OneByte {
    asked: bool,
    outputs: Vec<Output<Topic, ()>>,
    received: bool,
}

impl Machine for OneByte {
    type Topic = Topic;
    type Request = ();
    type Response = u8;

    fn handle(&mut self, _: Timestamp, input: Input<'_, u8>) -> Result<(), SyncError> {
        match input {
            Input::Response(byte) => {
                self.outputs.push(Output::Deliver(FromSync::HandshakeSuccess(Topic)));
                self.outputs.push(Output::Send { bytes: Bytes::from(vec![byte]), items: 1 });
            }
            Input::Received(_) => self.received = true,
            Input::Closed => return Err(SyncError::UnexpectedBehaviour("closed early".into())),
            _ => {}
        }
        Ok(())
    }

    fn poll(&mut self) -> Option<Output<Topic, ()>> {
        if !self.asked {
            self.asked = true;
            return Some(Output::Request(()));
        }
        self.outputs.pop()
    }

    fn next_timeout(&self) -> Option<Timestamp> {
        None
    }

    fn is_done(&self) -> bool {
        self.received && self.outputs.is_empty()
    }
}

/// A store and the protocol over it.
#[derive(Debug)]
struct Slow {
    clock: ManualClock,
    takes: Duration,
}

impl Perform<(), u8> for Slow {
    fn perform(&self, (): ()) -> BoxFuture<'_, u8> {
        let answer_at = self.clock.now() + self.takes;
        Box::pin(async move {
            self.clock.sleep_until(answer_at).await;
            7
        })
    }
}

#[async_trait]
impl<'a> SyncProtocol<'a, Topic> for Slow {
    fn name(&self) -> &'static str {
        "one-byte-v1"
    }

    async fn initiate(
        self: Arc<Self>,
        _: Topic,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        self.accept(tx, rx, app_tx).await
    }

    async fn accept(
        self: Arc<Self>,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        drive(&mut OneByte::default(), &*self, &Drive::new(), *tx, *rx, *app_tx).await
    }
}

#[test]
fn a_slow_store_of_ones_own_is_not_the_peers_silence() {
    let clock = ManualClock::new(Timestamp::ZERO);
    let (mut tx, mut rx, mut app) = (Pipe::default(), Pipe::default(), futures::sink::drain().sink_map_err(never));
    let limits = SessionLimits::default();
    let takes = limits.handshake().max(limits.idle()) * 3;
    let protocol = Arc::new(Slow { clock: clock.clone(), takes });
    let session = Session::new(Arc::new(clock.clone()), limits.clone());
    let failure = run(&clock, session.initiate(protocol, Topic, &mut tx, &mut rx, &mut app)).unwrap_err();
    // The store took its time; after that the peer was silent for the whole of its own.
    assert_eq!(failure.cause, FailureCause::Deadline(Deadline::Idle));
    assert_eq!(failure.report.elapsed(), takes + limits.idle());
    assert_eq!((failure.report.bytes_sent(), failure.report.items_sent()), (1, 1));
}

fn never(never: std::convert::Infallible) -> SyncError {
    match never {}
}
