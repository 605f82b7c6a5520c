//! Sessions that break off, peers that fall silent, and more to send than anything on the way can hold.

use std::io;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use syncline_core::clock::{Clock, Timer, Timestamp};
use syncline_core::{FromSync, SyncError};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use crate::image::{Image, Stored, Topic};
use crate::io::{End, Stream, Transport};
use crate::original::{V03, V04};
use crate::ours::{OurPeer, Ours, run};
use crate::peer::{Contestant, Encoding, Failure, Given, Outcome, Peer, Receive, Role};
use crate::transcript::{
    Play, data, done, have, have_nothing, key, operations, operations_of, paused, scope, store, topic,
};

/// One side of a whole session in which both sides have something to send.
struct Whole<'a> {
    role: Role<'a>,
    image: Image<u64>,
    /// All that comes from the peer.
    input: Vec<u8>,
    received: Vec<Stored>,
}

impl Whole<'_> {
    fn both(topic: &Topic) -> [Whole<'_>; 2] {
        let all = operations(4);
        let for_acceptor = [have(&[(0, 1)]), data(&all[3]), done()].concat();
        let for_initiator = [data(&all[2]), data(&all[3]), done(), have(&[])].concat();
        [
            Whole { role: Role::Accept, image: store(0, &all[..3]), input: for_acceptor, received: all[3..].to_vec() },
            Whole {
                role: Role::Initiate(topic),
                image: store(0, &all[..2]),
                input: for_initiator,
                received: all[2..].to_vec(),
            },
        ]
    }

    /// The session with the first `len` bytes from the peer.
    fn play(&self, len: usize) -> Play<'_> {
        Play::new(self.role, self.image.clone(), self.input[..len].to_vec())
    }
}

#[test]
fn a_stream_that_ends_early_is_the_peers_fault_at_every_byte() {
    let topic = topic();
    for whole in Whole::both(&topic) {
        let Whole { role, input, received, .. } = &whole;
        for len in 0..=input.len() {
            for end in [
                End::Closed,
                End::Failed(io::ErrorKind::ConnectionReset),
                End::Failed(io::ErrorKind::UnexpectedEof),
                End::Failed(io::ErrorKind::Other),
            ] {
                let mut play = whole.play(len);
                play.end = end;
                let outcome = play.run::<Ours>().0.expect("the session ends");
                if len == input.len() {
                    assert_eq!(outcome.result, Ok(()), "{role:?}, {end:?}");
                    assert_eq!(outcome.data().len(), received.len(), "{role:?}, {end:?}");
                } else {
                    let unexpected = matches!(outcome.result, Err(Failure::Unexpected(_)));
                    assert!(unexpected, "{role:?}, {end:?} after {len} bytes: {:?}", outcome.result);
                    let expected = received.iter().map(|stored| (stored.header.clone(), stored.body.clone()));
                    assert!(expected.take(outcome.data().len()).eq(outcome.data()), "{role:?}, after {len} bytes");
                }
            }
        }
    }
}

#[test]
fn a_peer_that_stops_taking_is_at_fault_at_every_byte() {
    let topic = topic();
    for whole in Whole::both(&topic) {
        let role = whole.role;
        let all = whole.play(whole.input.len()).run::<Ours>().1;
        assert!(all.len() > 300);
        for takes in 0..=all.len() {
            let mut play = whole.play(whole.input.len());
            play.takes = takes;
            let (outcome, sent) = play.run::<Ours>();
            assert_eq!(sent, all[..takes]);
            match outcome.expect("the session ends").result {
                Ok(()) => assert_eq!(takes, all.len(), "{role:?}"),
                Err(Failure::Unexpected(_)) => assert!(takes < all.len(), "{role:?}"),
                result => panic!("{role:?}, {takes} bytes taken: {result:?}"),
            }
        }
    }
}

/// Time as tokio has it, which in these tests passes only when nothing else happens.
#[derive(Debug)]
struct VirtualTime(tokio::time::Instant);

impl Clock for VirtualTime {
    fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.0.elapsed()
    }
}

impl Timer for VirtualTime {
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        tokio::time::sleep_until(self.0 + at.since(Timestamp::ZERO)).boxed()
    }
}

#[test]
fn a_peer_that_falls_silent_does_not_hold_a_session_for_ever() {
    let topic = topic();
    for Whole { role, image, input, .. } in Whole::both(&topic) {
        for len in 0..input.len() {
            paused(async {
                let peer = our_peer(&image, Receive::Forward).await;
                let protocol =
                    peer.protocol().with_timer(std::sync::Arc::new(VirtualTime(tokio::time::Instant::now())));
                let (mut stream, _) = Stream::scripted(&input[..len], usize::MAX, End::Silence, usize::MAX);
                let (app_tx, _app_rx) = mpsc::channel(128);
                let mut sink = sink(app_tx);
                let session = run(protocol, role, &mut stream, &mut sink);
                let result = tokio::time::timeout(Duration::from_secs(3600), session).await;
                let result = result.expect("a deadline passes within the hour");
                assert!(matches!(result, Err(Failure::Unexpected(_))), "{role:?} after {len} bytes: {result:?}");
            });
        }
    }
}

#[test]
fn an_application_that_is_gone_is_critical() {
    let topic = topic();
    for Whole { role, image, input, .. } in Whole::both(&topic) {
        paused(async {
            let peer = our_peer(&image, Receive::Forward).await;
            let (mut stream, _) = Stream::scripted(&input, usize::MAX, End::Silence, usize::MAX);
            let (app_tx, app_rx) = mpsc::channel(128);
            drop(app_rx);
            let mut sink = sink(app_tx);
            let session = run(peer.protocol(), role, &mut stream, &mut sink);
            let result = tokio::time::timeout(Duration::from_secs(1), session).await.expect("the session ends");
            assert!(matches!(result, Err(Failure::Critical(_))), "{role:?}: {result:?}");
        });
    }
}

fn sink(
    app_tx: mpsc::Sender<FromSync<Topic>>,
) -> impl futures::Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin {
    use futures::SinkExt;
    PollSender::new(app_tx).sink_map_err(|err| SyncError::Critical(err.to_string()))
}

async fn our_peer(image: &Image<u64>, receive: Receive) -> OurPeer<u64, false> {
    let (topic, scope) = (topic(), scope());
    OurPeer::new(Given { image, topic: &topic, scope: &scope, encoding: Encoding::Integers, receive }).await
}

/// Each side has ten times of what the pipe between them holds, in a log of its own.
fn much_on_both_sides<I: Contestant, A: Contestant>() {
    const COUNT: u64 = 700;
    let (topic, mut scope) = (topic(), scope());
    let (near, far) = (operations_of([7; 32], COUNT, 1000), operations_of([9; 32], COUNT, 1000));
    let far_key = (far.0, 0);
    scope.insert(far.0, vec![0]);
    let (mut left, mut right) = (Image::new(), Image::new());
    for seq in 0..COUNT {
        left.insert(&key(), seq, near.1[seq as usize].clone());
        right.insert(&far_key, seq, far.1[seq as usize].clone());
    }
    for encoding in Encoding::ALL {
        paused(async {
            let receive = Receive::Forward;
            let given = |image| Given { image, topic: &topic, scope: &scope, encoding, receive };
            let mut initiator = I::Peer::<u64>::new(given(&left)).await;
            let mut acceptor = A::Peer::<u64>::new(given(&right)).await;
            let (mut here, mut there) = Transport::Pipe(65_536).connect().await;
            let sessions = async {
                tokio::join!(
                    initiator.session(Role::Initiate(&topic), &mut here),
                    acceptor.session(Role::Accept, &mut there)
                )
            };
            let outcomes = tokio::time::timeout(Duration::from_secs(1), sessions).await;
            let (initiated, accepted) = outcomes.expect("both get on");
            complete(&initiated, COUNT);
            complete(&accepted, COUNT);
        });
    }
}

fn complete(outcome: &Outcome, count: u64) {
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(outcome.data().len() as u64, count);
}

#[test]
fn two_peers_with_more_than_the_pipe_holds_finish() {
    much_on_both_sides::<Ours, Ours>();
    much_on_both_sides::<Ours, V03>();
    much_on_both_sides::<V04, Ours>();
}

#[test]
fn a_slow_application_stalls_the_peer_and_loses_nothing() {
    const COUNT: u64 = 5000;
    let all = operations(COUNT);
    let topic = topic();
    paused(async {
        let receiver = our_peer(&Image::new(), Receive::Forward).await;
        let mut sender = our_peer(&store(0, &all), Receive::Forward).await;
        let (mut here, mut there) = Transport::Pipe(65_536).connect().await;
        let (app_tx, mut app_rx) = mpsc::channel(1);
        let session = async {
            let mut sink = sink(app_tx);
            run(receiver.protocol(), Role::Initiate(&topic), &mut here, &mut sink).await
        };
        let application = async {
            let mut headers = Vec::new();
            while let Some(event) = app_rx.recv().await {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if let FromSync::Data { header, .. } = event {
                    headers.push(header);
                }
            }
            headers
        };
        let all_three = async { tokio::join!(session, sender.session(Role::Accept, &mut there), application) };
        let all_three = tokio::time::timeout(Duration::from_secs(3600), all_three).await;
        let (result, sent, headers) = all_three.expect("it takes nine minutes at this pace");
        assert_eq!((result, sent.result), (Ok(()), Ok(())));
        assert!(headers.iter().eq(all.iter().map(|stored| &stored.header)));
    });
}

#[test]
fn nothing_is_sent_before_the_peer_is_known_to_ask_for_a_topic_of_ours() {
    // A peer that does not know the topic reveals nothing, and neither does one that was never asked.
    for input in [Vec::new(), done(), have_nothing()[..10].to_vec()] {
        let mut play = Play::new(Role::Accept, store(0, &operations(3)), input);
        play.end = End::Closed;
        assert_eq!(play.run::<Ours>().1, Vec::<u8>::new());
    }
}
