//! The protocol: each side sends its notes, the acceptor first.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{AsyncRead, AsyncWrite, Sink, SinkExt, Stream, TryStreamExt};
use serde::{Deserialize, Serialize};
use syncline_core::cbor::{into_cbor_sink, into_cbor_stream};
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicMap, TopicQuery};

pub(crate) type Notes = BTreeSet<String>;

/// The topic: which notes to sync.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Board(pub(crate) String);

impl TopicQuery for Board {}

#[derive(Debug, Serialize, Deserialize)]
enum Message {
    Open(Board),
    Agreed,
    Note(String),
    Done,
}

fn unexpected(what: &str) -> SyncError {
    SyncError::UnexpectedBehaviour(what.into())
}

async fn send_notes(tx: &mut (impl Sink<Message, Error = SyncError> + Unpin), notes: Notes) -> Result<(), SyncError> {
    for note in notes {
        tx.feed(Message::Note(note)).await?;
    }
    tx.send(Message::Done).await
}

type App<'a> = Box<&'a mut (dyn Sink<FromSync<Board>, Error = SyncError> + Send + Unpin)>;

async fn receive_notes(
    rx: &mut (impl Stream<Item = Result<Message, SyncError>> + Unpin),
    app: &mut App<'_>,
) -> Result<(), SyncError> {
    loop {
        match rx.try_next().await?.ok_or(unexpected("the stream ended early"))? {
            Message::Note(note) => app.send(FromSync::Data { header: note.into_bytes(), payload: None }).await?,
            Message::Done => return Ok(()),
            Message::Open(_) | Message::Agreed => return Err(unexpected("a handshake among the notes")),
        }
    }
}

/// The boards of this peer, with their notes.
#[derive(Debug)]
pub(crate) struct NoteSync(pub(crate) Arc<dyn TopicMap<Board, Notes>>);

#[async_trait]
impl<'a> SyncProtocol<'a, Board> for NoteSync {
    fn name(&self) -> &'static str {
        "note-sync-v1"
    }

    async fn initiate(
        self: Arc<Self>,
        board: Board,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        mut app: App<'a>,
    ) -> Result<(), SyncError> {
        let notes = self.0.get(&board).await.ok_or(SyncError::Critical("a board of our own is unknown".into()))?;
        let (mut tx, mut rx) = (into_cbor_sink(*tx), into_cbor_stream(*rx));
        tx.send(Message::Open(board.clone())).await?;
        let Some(Message::Agreed) = rx.try_next().await? else { return Err(unexpected("the peer did not agree")) };
        app.send(FromSync::HandshakeSuccess(board)).await?;
        receive_notes(&mut rx, &mut app).await?;
        send_notes(&mut tx, notes).await
    }

    async fn accept(
        self: Arc<Self>,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        mut app: App<'a>,
    ) -> Result<(), SyncError> {
        let (mut tx, mut rx) = (into_cbor_sink(*tx), into_cbor_stream(*rx));
        let Some(Message::Open(board)) = rx.try_next().await? else { return Err(unexpected("no board was named")) };
        let notes = self.0.get(&board).await.ok_or(unexpected("an unknown board"))?;
        app.send(FromSync::HandshakeSuccess(board)).await?;
        tx.send(Message::Agreed).await?;
        send_notes(&mut tx, notes).await?;
        receive_notes(&mut rx, &mut app).await
    }
}
