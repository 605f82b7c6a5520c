//! Random stores on both sides, a session, and what they hold afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};

use crate::image::{Image, LogKey, LogName, Scope, Stored, after, missing};
use crate::io::{Stream, Transport};
use crate::original::{V03, V04};
use crate::ours::{Ours, OursOnDatabase};
use crate::peer::{Contestant, Encoding, Event, Given, Outcome, Peer, Receive, Role};
use crate::random::{NameOnPanic, seeds};
use crate::scenario::{Scenario, Size};

/// A session hangs if it takes this long, however slow the machine is.
const HANGS: Duration = Duration::from_secs(120);

/// The stores that a transport can carry in reasonable time.
fn size(transport: Transport) -> Size {
    match transport {
        Transport::Pipe(1) => Size::TINY,
        Transport::Pipe(7) => Size::SMALL,
        Transport::Pipe(1400) => Size::MEDIUM,
        _ => Size::LARGE,
    }
}

/// One session of `I`, which opens it, with `A`.
struct Case {
    seed: u64,
    transport: Transport,
    encoding: Encoding,
    gaps: bool,
}

impl Case {
    fn run<I: Contestant, A: Contestant>(&self) {
        let who = format!("{} -> {}", I::NAME, A::NAME);
        let what = format!("{who}, {:?}, {:?}, gaps {}", self.transport, self.encoding, self.gaps);
        let _name = NameOnPanic(what, self.seed);
        // The log ids' type is part of what the seed decides.
        if self.seed.is_multiple_of(2) {
            self.block_on(self.sync::<u64, I::Peer<u64>, A::Peer<u64>>());
        } else {
            self.block_on(self.sync::<String, I::Peer<String>, A::Peer<String>>());
        }
    }

    /// In memory with a clock that moves only when nothing else can, so that a session that hangs is found at once.
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let paused = self.transport != Transport::Tcp;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(paused).build();
        runtime.expect("a runtime can be built").block_on(future)
    }

    async fn sync<L: LogName, I: Peer<L>, A: Peer<L>>(&self) {
        let scenario = Scenario::<L>::random(self.seed, size(self.transport), self.gaps);
        let Scenario { topic, scope, left, right, prunes, .. } = &scenario;
        let (encoding, receive) = (self.encoding, Receive::Store);
        let mut initiator = I::new(Given { image: left, topic, scope, encoding, receive }).await;
        let mut acceptor = A::new(Given { image: right, topic, scope, encoding, receive }).await;
        let keys: BTreeSet<LogKey<L>> = left.logs.keys().chain(right.logs.keys()).cloned().collect();
        assert_eq!(&initiator.dump(&keys).await, left, "the initiator's store is not what was put in");
        assert_eq!(&acceptor.dump(&keys).await, right, "the acceptor's store is not what was put in");

        let (near, far) = self.transport.connect().await;
        let sessions = async {
            tokio::join!(
                to_the_end(&mut initiator, Role::Initiate(topic), near),
                to_the_end(&mut acceptor, Role::Accept, far)
            )
        };
        let ((initiated, near), (accepted, far)) =
            tokio::time::timeout(HANGS, sessions).await.expect("the session hangs");

        let to_initiator = missing(right, left, scope);
        let to_acceptor = missing(left, right, scope);
        let expected = |sender: &Image<L>, which: &[(LogKey<L>, u64)]| {
            let stored = which.iter().map(|(key, seq)| &sender.logs[key][seq]);
            stored.map(|stored| (stored.header.clone(), stored.body.clone())).collect()
        };
        check(&topic.0, &initiated, expected(right, &to_initiator));
        check(&topic.0, &accepted, expected(left, &to_acceptor));
        let (near_after, near_refused) = after(right, left, scope, prunes);
        let (far_after, far_refused) = after(left, right, scope, prunes);
        assert_eq!(initiated.refused.len(), near_refused, "refused by the initiator: {:?}", initiated.refused);
        assert_eq!(accepted.refused.len(), far_refused, "refused by the acceptor: {:?}", accepted.refused);
        assert!(self.gaps || near_refused + far_refused == 0, "nothing has to be refused where there is no gap");
        let (near_held, far_held) = (initiator.dump(&keys).await, acceptor.dump(&keys).await);
        assert_eq!(near_held, near_after, "what the initiator holds");
        assert_eq!(far_held, far_after, "what the acceptor holds");
        if near_refused + far_refused == 0 {
            same(&near_held, &far_held, scope);
        }
        nothing_left(near.expect("the session succeeded"), far.expect("the session succeeded")).await;
    }
}

/// One side of a session. If it fails its stream is gone, as it would be in an application, so that the other side fails
/// too.
async fn to_the_end<L: LogName, P: Peer<L>>(
    peer: &mut P,
    role: Role<'_>,
    mut stream: Stream,
) -> (Outcome, Option<Stream>) {
    let outcome = peer.session(role, &mut stream).await;
    let stream = outcome.result.is_ok().then_some(stream);
    (outcome, stream)
}

/// Both stores hold the same operations, as far as neither side had deleted them before: each log of the topic has the same
/// end, and the same operations from where both have it.
fn same<L: LogName>(near: &Image<L>, far: &Image<L>, scope: &Scope<L>) {
    let keys = scope.iter().flat_map(|(author, logs)| logs.iter().map(|log| (*author, log.clone())));
    for key in keys {
        match (near.logs.get(&key), far.logs.get(&key)) {
            (None, None) => {}
            (Some(near), Some(far)) => {
                let from = near.keys().next().max(far.keys().next()).expect("no log is empty");
                let headers = |log: &BTreeMap<u64, Stored>| {
                    log.range(from..).map(|(seq, stored)| (*seq, stored.header.clone())).collect::<Vec<_>>()
                };
                assert_eq!(headers(near), headers(far), "{key:?} from {from}");
            }
            (near, far) => {
                panic!("only one side has {key:?}: {:?}, {:?}", near.map(BTreeMap::len), far.map(BTreeMap::len))
            }
        }
    }
}

/// Both sides succeeded, told the application the topic first and once, and handed it exactly what it lacked.
fn check(topic: &str, outcome: &Outcome, mut expected: Vec<(Vec<u8>, Option<Vec<u8>>)>) {
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(outcome.events.first(), Some(&Event::Handshake(topic.into())));
    let mut data = outcome.data();
    assert_eq!(data.len(), outcome.events.len() - 1, "one handshake: {:?}", outcome.events);
    data.sort();
    expected.sort();
    assert!(data == expected, "got {} operations, expected {}", data.len(), expected.len());
}

/// Nothing follows the last message of either side.
async fn nothing_left(mut near: Stream, mut far: Stream) {
    near.writer.close().await.expect("the connection still stands");
    far.writer.close().await.expect("the connection still stands");
    for mut reader in [near.reader, far.reader] {
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).await.expect("the connection still stands");
        assert_eq!(rest, Vec::<u8>::new(), "bytes after the end of the session");
    }
}

/// `count` seeds for each transport and encoding.
fn all<I: Contestant, A: Contestant>(first: u64, count: u64, encodings: &[Encoding]) {
    for transport in Transport::ALL {
        for &encoding in encodings {
            for seed in seeds(first, count) {
                Case { seed, transport, encoding, gaps: seed % 5 == 0 }.run::<I, A>();
            }
        }
    }
}

/// The harness itself: what it says of the original must hold before it says anything of us.
mod original_with_original {
    use super::*;

    #[test]
    fn v03_with_v03() {
        all::<V03, V03>(0, 8, &[Encoding::Integers]);
    }

    #[test]
    fn v03_with_v04() {
        all::<V03, V04>(1000, 8, &[Encoding::Integers]);
    }
}

mod ours_with_original {
    use super::*;

    #[test]
    fn ours_initiates_with_v03() {
        all::<Ours, V03>(10_000, 40, &Encoding::ALL);
    }

    #[test]
    fn ours_initiates_with_v04() {
        all::<OursOnDatabase, V04>(20_000, 40, &Encoding::ALL);
    }

    #[test]
    fn ours_accepts_from_v03() {
        all::<V03, OursOnDatabase>(30_000, 40, &Encoding::ALL);
    }

    #[test]
    fn ours_accepts_from_v04() {
        all::<V04, Ours>(40_000, 40, &Encoding::ALL);
    }

    #[test]
    fn ours_with_ours() {
        all::<Ours, OursOnDatabase>(50_000, 10, &Encoding::ALL);
    }
}
