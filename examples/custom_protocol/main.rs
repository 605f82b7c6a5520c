//! A sync protocol of one's own, in `protocol.rs`: afterwards each peer has the other's notes as well.
//!
//! It is run once between two peers in memory, and then checked by the conformance suite: at every byte, in both roles.
//! The page `docs/guide/protocol.md` explains it.
//!
//! Run with `cargo run --example custom_protocol`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod protocol;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use futures::SinkExt;
use protocol::{Board, NoteSync, Notes};
use syncline_core::clock::{ManualClock, Timestamp};
use syncline_core::{FromSync, SyncError, SyncProtocol, TopicMap};
use syncline_testkit::conformance::{Pair, Summary, sync_protocol};
use syncline_testkit::net::{Conditions, Link, Sim};

/// What a peer has.
#[derive(Debug)]
struct Boards(BTreeMap<Board, Notes>);

#[async_trait]
impl TopicMap<Board, Notes> for Boards {
    async fn get(&self, board: &Board) -> Option<Notes> {
        self.0.get(board).cloned()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (amys, bens) = (["water the plants", "feed the cat"], ["feed the cat", "buy stamps"]);
    let (amy, ben) = (peer("home", &amys), peer("home", &bens));
    for (name, received) in ["Amy", "Ben"].iter().zip(sync(amy, ben, home())?) {
        println!("{name} received: {}", received.into_iter().collect::<Vec<_>>().join(", "));
    }
    let summary = check();
    let bytes = summary.bytes_initiated() + summary.bytes_accepted();
    println!("The suite ran {} sessions of {bytes} bytes and found nothing wrong.", summary.sessions());
    Ok(())
}

fn home() -> Board {
    Board("home".into())
}

fn peer(board: &str, notes: &[&str]) -> Arc<NoteSync> {
    let notes = notes.iter().copied().map(String::from).collect();
    Arc::new(NoteSync(Arc::new(Boards(BTreeMap::from([(Board(board.into()), notes)])))))
}

/// Runs one session in memory, and returns the notes that each side received.
fn sync(initiator: Arc<NoteSync>, acceptor: Arc<NoteSync>, board: Board) -> Result<[Notes; 2], Box<dyn Error>> {
    let clock = ManualClock::new(Timestamp::ZERO);
    let Link { mut a, mut b, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
    let mut sim = Sim::new(&clock);
    let opened = sim.spawn("initiator", async move {
        let mut events = Vec::new();
        let mut app = (&mut events).sink_map_err(never);
        initiator.initiate(board, Box::new(&mut a.tx), Box::new(&mut a.rx), Box::new(&mut app)).await.map(|()| events)
    });
    let accepted = sim.spawn("acceptor", async move {
        let mut events = Vec::new();
        let mut app = (&mut events).sink_map_err(never);
        acceptor.accept(Box::new(&mut b.tx), Box::new(&mut b.rx), Box::new(&mut app)).await.map(|()| events)
    });
    sim.run()?;
    let (opened, accepted) = opened.take().zip(accepted.take()).ok_or("both tasks ran to their end")?;
    Ok([notes(opened?), notes(accepted?)])
}

fn never(never: std::convert::Infallible) -> SyncError {
    match never {}
}

fn notes(events: Vec<FromSync<Board>>) -> Notes {
    let headers = events.into_iter().filter_map(|event| match event {
        FromSync::Data { header, .. } => String::from_utf8(header).ok(),
        FromSync::HandshakeSuccess(_) => None,
    });
    headers.collect()
}

/// Holds the protocol against the contract of [`SyncProtocol`].
fn check() -> Summary {
    let pair = |ours: &str, theirs: &str| {
        Pair::new(peer(ours, &["water the plants", "feed the cat"]), peer(theirs, &["buy stamps"]), home())
    };
    sync_protocol(|_clock| pair("home", "home"))
        .with_unknown_topic(|_clock| pair("office", "home"))
        .with_unsupported_topic(|_clock| pair("home", "office"))
        .check()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_keeps_the_contract() {
        assert!(check().sessions() > 500);
    }

    #[test]
    fn each_side_receives_the_others_notes() {
        let received = sync(peer("home", &["a", "b"]), peer("home", &["b", "c"]), home()).unwrap();
        assert_eq!(received, [["b", "c"], ["a", "b"]].map(|notes| notes.map(String::from).into()));
    }

    #[test]
    fn a_board_that_the_peer_does_not_have_is_refused() {
        assert!(sync(peer("home", &["a"]), peer("office", &["b"]), home()).is_err());
    }
}
