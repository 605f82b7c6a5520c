//! A protocol of one's own beside those that the lab knows:
//!
//! ```text
//! cargo run --release --manifest-path benches/lab/Cargo.toml --example own_protocol -- \
//!     run --protocol log-v1,p2panda-0.3,send-all --workload warm,small-delta --link rtt=50ms,down=10mbit --out /tmp/lab
//! ```
//!
//! `send-all` is the simplest protocol there is: each side sends all that it has, and the receiver sorts it out.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::try_join;
use futures::{AsyncRead, AsyncWrite, Sink, SinkExt, Stream, TryStreamExt};
use serde::{Deserialize, Serialize};
use syncline_core::cbor::{into_cbor_sink, into_cbor_stream};
use syncline_core::{FromSync, SyncError, SyncProtocol};
use syncline_lab::{Contestants, Native, Operation, Topic, cli};

/// All that it takes to join: a name, and the protocol of a node.
fn main() -> ExitCode {
    let send_all = Native::new("send-all", |parts| SendAll(parts.operations));
    cli::main(&Contestants::built_in().with(send_all))
}

/// Holds the node's operations.
#[derive(Debug)]
struct SendAll(Vec<Operation>);

#[derive(Serialize, Deserialize)]
enum Message {
    Open(Topic),
    Operation(#[serde(with = "serde_bytes")] Vec<u8>, #[serde(with = "serde_bytes")] Vec<u8>),
    Done,
}

type Sending<'a> = Box<&'a mut (dyn AsyncWrite + Send + Unpin)>;
type Receiving<'a> = Box<&'a mut (dyn AsyncRead + Send + Unpin)>;
type App<'a> = Box<&'a mut (dyn Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin)>;

#[async_trait]
impl<'a> SyncProtocol<'a, Topic> for SendAll {
    fn name(&self) -> &'static str {
        "send-all"
    }

    async fn initiate(
        self: Arc<Self>,
        topic: Topic,
        tx: Sending<'a>,
        rx: Receiving<'a>,
        mut app: App<'a>,
    ) -> Result<(), SyncError> {
        let mut tx = into_cbor_sink(*tx);
        tx.send(Message::Open(topic.clone())).await?;
        app.send(FromSync::HandshakeSuccess(topic)).await?;
        try_join(self.send(tx), receive(into_cbor_stream(*rx), app)).await.map(|_| ())
    }

    async fn accept(self: Arc<Self>, tx: Sending<'a>, rx: Receiving<'a>, mut app: App<'a>) -> Result<(), SyncError> {
        let mut rx = into_cbor_stream(*rx);
        let Some(Message::Open(topic)) = rx.try_next().await? else { return Err(unexpected("no topic came")) };
        app.send(FromSync::HandshakeSuccess(topic)).await?;
        try_join(self.send(into_cbor_sink(*tx)), receive(rx, app)).await.map(|_| ())
    }
}

impl SendAll {
    async fn send(&self, mut tx: impl Sink<Message, Error = SyncError> + Unpin) -> Result<(), SyncError> {
        for Operation { header, body } in &self.0 {
            tx.feed(Message::Operation(header.clone(), body.clone())).await?;
        }
        tx.send(Message::Done).await
    }
}

async fn receive(
    mut rx: impl Stream<Item = Result<Message, SyncError>> + Unpin,
    mut app: App<'_>,
) -> Result<(), SyncError> {
    loop {
        match rx.try_next().await?.ok_or_else(|| unexpected("the stream ended early"))? {
            Message::Operation(header, body) => app.send(FromSync::Data { header, payload: Some(body) }).await?,
            Message::Done => return Ok(()),
            Message::Open(_) => return Err(unexpected("a second topic came")),
        }
    }
}

fn unexpected(what: &str) -> SyncError {
    SyncError::UnexpectedBehaviour(what.into())
}
