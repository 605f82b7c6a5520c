//! A protocol as it is written for p2panda-sync 0.3: only the import is another one.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{AsyncRead, AsyncWrite, Sink, SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use syncline_core::cbor::{into_cbor_sink, into_cbor_stream};
use syncline_core::clock::{ManualClock, Timestamp};
use syncline_core::session::{Phase, Session, SessionLimits};
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicMap, TopicQuery};

use super::support::{Pipe, run};

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct ChatTopic(String);

impl TopicQuery for ChatTopic {}

#[derive(Debug)]
struct AllowList;

#[async_trait]
impl TopicMap<ChatTopic, u64> for AllowList {
    async fn get(&self, topic: &ChatTopic) -> Option<u64> {
        (topic.0 == "cats").then_some(7)
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum Message {
    Topic(ChatTopic),
    Done,
}

#[derive(Debug)]
struct PingPong<M>(M);

#[async_trait]
impl<'a, M> SyncProtocol<'a, ChatTopic> for PingPong<M>
where
    M: TopicMap<ChatTopic, u64> + 'a,
{
    fn name(&self) -> &'static str {
        "ping-pong-v1"
    }

    async fn initiate(
        self: Arc<Self>,
        topic_query: ChatTopic,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        mut app_tx: Box<&'a mut (dyn Sink<FromSync<ChatTopic>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        let mut sink = into_cbor_sink(*tx);
        let mut stream = into_cbor_stream(*rx);
        sink.send(Message::Topic(topic_query.clone())).await?;
        match stream.next().await {
            Some(Ok(Message::Done)) => app_tx.send(FromSync::HandshakeSuccess(topic_query)).await,
            Some(Ok(_)) => Err(SyncError::UnexpectedBehaviour("a second topic".into())),
            Some(Err(err)) => Err(err),
            None => Err(SyncError::UnexpectedBehaviour("the stream ended".into())),
        }
    }

    async fn accept(
        self: Arc<Self>,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        mut app_tx: Box<&'a mut (dyn Sink<FromSync<ChatTopic>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        let mut sink = into_cbor_sink(*tx);
        let mut stream = into_cbor_stream(*rx);
        let topic = match stream.next().await {
            Some(Ok(Message::Topic(topic))) => topic,
            _ => return Err(SyncError::UnexpectedBehaviour("no topic".into())),
        };
        let Some(_scope) = self.0.get(&topic).await else {
            return Err(SyncError::UnexpectedBehaviour("unknown topic".into()));
        };
        app_tx.send(FromSync::HandshakeSuccess(topic)).await?;
        sink.send(Message::Done).await
    }
}

/// As a backend holds protocols.
type AnyProtocol = Arc<dyn for<'a> SyncProtocol<'a, ChatTopic>>;

#[test]
fn a_ported_protocol_runs_in_sessions() {
    let clock = ManualClock::new(Timestamp::ZERO);
    let session = || Session::new(Arc::new(clock.clone()), SessionLimits::default());
    let protocol: AnyProtocol = Arc::new(PingPong(AllowList));
    assert_eq!(protocol.name(), "ping-pong-v1");
    for (topic, is_known) in [("cats", true), ("dogs", false)] {
        let topic = ChatTopic(topic.into());
        let (there, back) = (Pipe::default(), Pipe::default());
        let (mut a_tx, mut b_rx, mut b_tx, mut a_rx) = (there.clone(), there, back.clone(), back);
        let (mut a_events, mut b_events) = (Vec::new(), Vec::new());
        let (mut a_app, mut b_app) = (collect(&mut a_events), collect(&mut b_events));
        let outcome = run(&clock, async {
            futures::join!(
                session().initiate(protocol.clone(), topic.clone(), &mut a_tx, &mut a_rx, &mut a_app),
                session().accept(protocol.clone(), &mut b_tx, &mut b_rx, &mut b_app),
            )
        });
        drop((a_app, b_app));
        let expected = if is_known { vec![FromSync::HandshakeSuccess(topic)] } else { vec![] };
        assert_eq!((a_events, b_events), (expected.clone(), expected));
        assert_eq!((outcome.0.is_ok(), outcome.1.is_ok()), (is_known, is_known));
        let phase = |report: &syncline_core::session::SessionReport| report.progress().phase;
        let phase = outcome.0.as_ref().map_or_else(|failure| phase(&failure.report), phase);
        assert_eq!(phase, if is_known { Phase::Done } else { Phase::Failed });
    }
}

fn collect(events: &mut Vec<FromSync<ChatTopic>>) -> impl Sink<FromSync<ChatTopic>, Error = SyncError> + Send + Unpin {
    events.sink_map_err(|never| match never {})
}
