//! What every [`SyncProtocol`] promises, as tests for a protocol of your own.

mod app;
mod garbage;
mod rule;
mod session;
mod topics;
mod transfer;
mod trouble;

use std::fmt;
use std::sync::Arc;

use syncline_core::clock::{ManualClock, Timestamp};
use syncline_core::{FromSync, SyncProtocol, TopicQuery};

use self::rule::Evidence;
use self::session::{Seen, Setup};
use crate::seed;

pub use self::rule::{Rule, Side, Violation};

/// A protocol as a backend holds it.
type AnyProtocol<T> = Arc<dyn for<'a> SyncProtocol<'a, T>>;

/// Two peers that can sync: what a fixture builds for each run.
pub struct Pair<T> {
    initiator: AnyProtocol<T>,
    acceptor: AnyProtocol<T>,
    topic: T,
}

impl<T: TopicQuery + 'static> Pair<T> {
    /// Two protocols, each with its data, and the topic that the initiator names.
    #[must_use]
    pub fn new<I, A>(initiator: Arc<I>, acceptor: Arc<A>, topic: T) -> Self
    where
        I: for<'a> SyncProtocol<'a, T> + 'static,
        A: for<'a> SyncProtocol<'a, T> + 'static,
    {
        Self { initiator, acceptor, topic }
    }
}

impl<T: fmt::Debug> fmt::Debug for Pair<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("topic", &self.topic).finish_non_exhaustive()
    }
}

type Fixture<'f, T> = Box<dyn Fn(&ManualClock) -> Pair<T> + 'f>;

/// Checks the contract of [`SyncProtocol`] on pairs from `fixture`, which builds two fresh peers at each call.
///
/// The clock is the one by which the session runs, for protocols with deadlines of their own: hand it on as their
/// [`Timer`](syncline_core::clock::Timer). No real time passes.
///
/// What makes a good fixture:
///
/// - Both sides have something that the other lacks, so that all kinds of messages travel; protocols that send one way only
///   need what there is to send.
/// - The session is small, up to a few kilobytes each way, since it is run several times for each of its bytes. More than
///   256 bytes each way show whether the protocol reads and writes together.
/// - Each call builds the same: the lengths of what travels must not vary from run to run. Randomness comes from a seed.
///
/// ```
/// # use std::sync::Arc;
/// # use async_trait::async_trait;
/// # use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Sink, SinkExt};
/// # use syncline_core::{FromSync, SyncError, SyncProtocol, TopicQuery};
/// use syncline_testkit::conformance::{Pair, sync_protocol};
///
/// # #[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
/// # struct Topic;
/// # impl TopicQuery for Topic {}
/// # #[derive(Debug)]
/// # struct Hello;
/// # impl Hello {
/// #     async fn run(tx: &mut (dyn AsyncWrite + Send + Unpin), rx: &mut (dyn AsyncRead + Send + Unpin),
/// #         app: &mut (dyn Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin)) -> Result<(), SyncError> {
/// #         tx.write_all(b"hi").await?;
/// #         tx.flush().await?;
/// #         let mut bytes = [0; 2];
/// #         rx.read_exact(&mut bytes).await?;
/// #         if bytes != *b"hi" {
/// #             return Err(SyncError::InvalidEncoding("no greeting".into()));
/// #         }
/// #         app.send(FromSync::HandshakeSuccess(Topic)).await
/// #     }
/// # }
/// # #[async_trait]
/// # impl<'a> SyncProtocol<'a, Topic> for Hello {
/// #     fn name(&self) -> &'static str { "hello" }
/// #     async fn initiate(self: Arc<Self>, _: Topic, tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
/// #         rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
/// #         app: Box<&'a mut (dyn Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin)>,
/// #     ) -> Result<(), SyncError> { Self::run(*tx, *rx, *app).await }
/// #     async fn accept(self: Arc<Self>, tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
/// #         rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
/// #         app: Box<&'a mut (dyn Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin)>,
/// #     ) -> Result<(), SyncError> { Self::run(*tx, *rx, *app).await }
/// # }
/// // In your crate this is the body of one `#[test]`.
/// let summary = sync_protocol(|_clock| Pair::new(Arc::new(Hello), Arc::new(Hello), Topic)).check();
/// assert_eq!(summary.bytes_initiated(), 2);
/// ```
pub fn sync_protocol<'f, T>(fixture: impl Fn(&ManualClock) -> Pair<T> + 'f) -> SyncProtocolSuite<'f, T>
where
    T: TopicQuery + 'static,
{
    SyncProtocolSuite {
        fixture: Box::new(fixture),
        unknown: None,
        unsupported: None,
        offsets_max: SyncProtocolSuite::<T>::OFFSETS_MAX_DEFAULT,
        garbage_rounds: SyncProtocolSuite::<T>::GARBAGE_ROUNDS_DEFAULT,
        seed: seed::from_env().unwrap_or(0),
        sessions: 0,
    }
}

/// The suite behind [`sync_protocol`], and how much of it to run.
///
/// What is checked, each on both sides:
///
/// - The session completes, over streams that move 1, 7, 1400, 65536 or a random number of bytes at a time, with latency,
///   with buffers of 256 bytes, with a buffer that leaves only when it is flushed, and with an application that takes its
///   time. The same items arrive each time. Neither side closes the streams or waits for their end.
/// - `HandshakeSuccess` comes exactly once, with the topic, before any data.
/// - When the stream is cut or reset after any number of bytes, both sides end, and a side that had not read all that it
///   needs ends with an error. When the peer falls silent instead, a [`Session`](syncline_core::session::Session)'s deadline
///   ends both.
/// - Random bytes, damaged recordings and a flipped bit in any byte make no side panic or wait for ever.
/// - None of this is ever [`Critical`](syncline_core::SyncError::Critical). An application that is gone is.
/// - A side that is dropped at any point leaves the peer to end, and both protocols fit for another session.
/// - With [`with_unknown_topic`](Self::with_unknown_topic) and [`with_unsupported_topic`](Self::with_unsupported_topic),
///   what becomes of topics that a side does not know.
///
/// Not checked: that what arrives is right, and memory.
pub struct SyncProtocolSuite<'f, T> {
    fixture: Fixture<'f, T>,
    unknown: Option<Fixture<'f, T>>,
    unsupported: Option<Fixture<'f, T>>,
    offsets_max: usize,
    garbage_rounds: u64,
    seed: u64,
    sessions: u64,
}

impl<T> fmt::Debug for SyncProtocolSuite<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncProtocolSuite").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// What a suite did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    sessions: u64,
    bytes: [u64; 2],
}

impl Summary {
    /// How many sessions were run.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.sessions
    }

    /// How many bytes the initiator sends in a session that completes.
    #[must_use]
    pub fn bytes_initiated(&self) -> u64 {
        self.bytes[0]
    }

    /// How many bytes the acceptor sends in a session that completes.
    #[must_use]
    pub fn bytes_accepted(&self) -> u64 {
        self.bytes[1]
    }
}

/// A session that completed: what others are held against.
struct Baseline<T: TopicQuery> {
    /// What each side sent.
    sent: [Vec<u8>; 2],
    /// How many bytes each side read, one at a time, before it was done.
    needs: [u64; 2],
    /// What each side's application got.
    events: [Vec<FromSync<T>>; 2],
}

impl<'f, T: TopicQuery + 'static> SyncProtocolSuite<'f, T> {
    /// The default of [`with_offsets_max`](Self::with_offsets_max): 4096.
    pub const OFFSETS_MAX_DEFAULT: usize = 4_096;

    /// The default of [`with_garbage_rounds`](Self::with_garbage_rounds): 256.
    pub const GARBAGE_ROUNDS_DEFAULT: u64 = 256;

    /// At how many offsets in each direction a session is cut, reset and damaged. If it has more bytes than that, the first
    /// and last hundred and others evenly between are taken.
    #[must_use]
    pub fn with_offsets_max(mut self, offsets: usize) -> Self {
        self.offsets_max = offsets;
        self
    }

    /// How many random inputs each side gets.
    #[must_use]
    pub fn with_garbage_rounds(mut self, rounds: u64) -> Self {
        self.garbage_rounds = rounds;
        self
    }

    /// The seed of all that is random. By default the environment's `SEED`, or 0.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Pairs whose initiator does not know the topic itself: it must fail as `Critical` and send nothing.
    #[must_use]
    pub fn with_unknown_topic(mut self, fixture: impl Fn(&ManualClock) -> Pair<T> + 'f) -> Self {
        self.unknown = Some(Box::new(fixture));
        self
    }

    /// Pairs whose acceptor does not support the topic: it must fail as the peer's behaviour, and tell its application of no
    /// handshake.
    #[must_use]
    pub fn with_unsupported_topic(mut self, fixture: impl Fn(&ManualClock) -> Pair<T> + 'f) -> Self {
        self.unsupported = Some(Box::new(fixture));
        self
    }

    /// Runs the suite.
    ///
    /// # Panics
    ///
    /// With the rule that is broken, and how to see it.
    #[track_caller]
    pub fn check(self) -> Summary {
        match self.try_check() {
            Ok(summary) => summary,
            Err(violation) => panic!("{violation}"),
        }
    }

    /// Runs the suite.
    ///
    /// # Errors
    ///
    /// The first rule that is found broken.
    pub fn try_check(mut self) -> Result<Summary, Violation> {
        let baseline = self.check_transfer()?;
        self.check_applications(&baseline)?;
        self.check_cuts(&baseline)?;
        self.check_silence(&baseline)?;
        self.check_garbage(&baseline)?;
        self.check_damage(&baseline)?;
        self.check_drops(&baseline)?;
        self.check_topics()?;
        let [initiated, accepted] = &baseline.sent;
        Ok(Summary { sessions: self.sessions, bytes: [initiated.len() as u64, accepted.len() as u64] })
    }

    /// Two fresh peers and the clock that they go by.
    fn fresh(&self) -> (ManualClock, Pair<T>) {
        // Not at zero, which a protocol might take for "never".
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
        let pair = (self.fixture)(&clock);
        (clock, pair)
    }

    /// One session of two fresh peers. Fails if a side does what it must not do in any session.
    fn run(&mut self, setup: &Setup) -> Result<[Seen<T>; 2], Violation> {
        let (clock, pair) = self.fresh();
        self.run_pair(&clock, &pair, setup)
    }

    fn run_pair(&mut self, clock: &ManualClock, pair: &Pair<T>, setup: &Setup) -> Result<[Seen<T>; 2], Violation> {
        self.sessions += 1;
        let sides = session::run(clock, pair, setup);
        for side in Side::BOTH {
            let seen = &sides[side.index()];
            rule::always(seen).map_err(|evidence| self.violation(side, setup, evidence))?;
        }
        Ok(sides)
    }

    /// Fails if a side ended well without having read what it needs, or did not end.
    fn expect_no_false_success(
        &self,
        sides: &[Seen<T>; 2],
        baseline: &Baseline<T>,
        setup: &Setup,
    ) -> Result<(), Violation> {
        for side in Side::BOTH {
            rule::no_false_success(&sides[side.index()], baseline.needs[side.index()])
                .map_err(|evidence| self.violation(side, setup, evidence))?;
        }
        Ok(())
    }

    fn violation(&self, side: Side, when: impl fmt::Display, evidence: Evidence) -> Violation {
        Violation::new(evidence, side, when.to_string(), self.seed)
    }

    /// The offsets at which to try something in a stream of `len` bytes, its end included.
    fn offsets(&self, len: usize) -> Vec<u64> {
        const EDGE: usize = 100;
        let all = len + 1;
        let step = all.div_ceil(self.offsets_max.max(1)).max(1);
        (0..all)
            .filter(|at| step == 1 || *at < EDGE || *at + EDGE >= all || at % step == 0)
            .map(|at| at as u64)
            .collect()
    }
}
