use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use futures::{AsyncReadExt, AsyncWriteExt, SinkExt};

use super::*;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::testing::{App, Pipe, PipeReader, PipeWriter, Task, Topic, data, pipe};

/// What the protocol of a test does.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Hands the handshake to the application.
    Agree,
    /// Reads so many bytes and hands them to the application as one item.
    Receive(usize),
    /// Writes so many bytes and reports one item.
    Send(usize),
    /// Reads into a buffer of this size, whatever comes.
    Read(usize),
    /// The same, and hands it to the application.
    Take(usize),
    /// Fails.
    Fail,
    /// Gives others a turn for ever.
    Spin,
    /// Hides the error of a write, then waits for ever.
    SendAndHide(usize),
    /// Panics.
    Panic,
}

#[derive(Debug)]
struct Steps(Vec<Step>);

impl Steps {
    async fn run(
        &self,
        tx: &mut (dyn AsyncWrite + Send + Unpin),
        rx: &mut (dyn AsyncRead + Send + Unpin),
        app_tx: &mut (dyn Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin),
    ) -> Result<(), SyncError> {
        for step in &self.0 {
            match *step {
                Step::Agree => app_tx.send(FromSync::HandshakeSuccess(Topic(1))).await?,
                Step::Receive(count) => {
                    let mut item = vec![0; count];
                    rx.read_exact(&mut item).await?;
                    app_tx.send(data(&item)).await?;
                }
                Step::Send(count) => {
                    tx.write_all(&vec![7; count]).await?;
                    tx.flush().await?;
                    report_items_sent(1);
                }
                Step::Read(len) => {
                    let _count = rx.read(&mut vec![0; len]).await?;
                }
                Step::Take(len) => {
                    let mut item = vec![0; len];
                    let count = rx.read(&mut item).await?;
                    app_tx.send(data(&item[..count])).await?;
                }
                Step::Fail => return Err(SyncError::InvalidEncoding("garbage".into())),
                Step::Spin => {
                    poll_fn(|cx| {
                        cx.waker().wake_by_ref();
                        Poll::<()>::Pending
                    })
                    .await;
                }
                Step::SendAndHide(count) => {
                    assert!(tx.write_all(&vec![7; count]).await.is_err());
                    futures::future::pending::<()>().await;
                }
                Step::Panic => panic!("the protocol of a test panics"),
            }
        }
        Ok(())
    }
}

#[async_trait]
impl<'a> SyncProtocol<'a, Topic> for Steps {
    fn name(&self) -> &'static str {
        "steps"
    }

    async fn initiate(
        self: Arc<Self>,
        topic_query: Topic,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        assert_eq!(topic_query, Topic(1));
        self.run(*tx, *rx, *app_tx).await
    }

    async fn accept(
        self: Arc<Self>,
        tx: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        rx: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        app_tx: Box<&'a mut (dyn Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        self.run(*tx, *rx, *app_tx).await
    }
}

/// A session of [`Steps`] under virtual time.
struct Bench {
    clock: ManualClock,
    app: App,
    tx: PipeWriter,
    rx: PipeReader,
    input: Pipe,
    out: Pipe,
    _peer: (PipeReader, PipeWriter),
}

type Outcome = Result<SessionReport, SessionFailure>;

impl Bench {
    fn new() -> Self {
        let (tx, peer_rx, out) = pipe(usize::MAX, usize::MAX);
        let (peer_tx, rx, input) = pipe(usize::MAX, usize::MAX);
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
        Self { clock, app: App::eager(), tx, rx, input, out, _peer: (peer_rx, peer_tx) }
    }

    fn session(&self, limits: SessionLimits) -> Session {
        Session::new(Arc::new(self.clock.clone()), limits)
    }

    fn start<'t>(&'t mut self, session: Session, steps: &[Step]) -> Task<'t, Outcome> {
        let protocol = Arc::new(Steps(steps.to_vec()));
        let (tx, rx, mut app) = (&mut self.tx, &mut self.rx, self.app.clone());
        Task::new(async move { session.initiate(protocol, Topic(1), tx, rx, &mut app).await })
    }

    fn default(&mut self, steps: &[Step]) -> Task<'_, Outcome> {
        let session = self.session(SessionLimits::default());
        self.start(session, steps)
    }
}

fn cause(task: &mut Task<'_, Outcome>) -> FailureCause {
    task.finish().expect_err("the session succeeded").cause
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_session_reports_what_it_moved() {
    let mut bench = Bench::new();
    let (clock, input, out) = (bench.clock.clone(), bench.input.clone(), bench.out.clone());
    let mut task = bench.default(&[Step::Agree, Step::Send(30), Step::Receive(5), Step::Receive(6)]);
    task.settle();
    clock.advance(seconds(2));
    input.push(&[1; 11]);
    let report = task.finish().expect("all steps can be taken");
    assert_eq!((report.bytes_sent(), report.bytes_received()), (30, 11));
    assert_eq!((report.items_sent(), report.items_received()), (1, 2));
    assert_eq!((report.elapsed(), report.progress().phase), (seconds(2), Phase::Done));
    assert!((report.progress().bytes_per_second() - 20.5).abs() < 1e-9);
    assert_eq!(out.state().total, 30);
}

#[test]
fn accepting_works_alike() {
    let mut bench = Bench::new();
    bench.input.push(&[9; 3]);
    let session = bench.session(SessionLimits::default());
    let mut app = bench.app.clone();
    let protocol: Arc<dyn for<'a> SyncProtocol<'a, Topic>> = Arc::new(Steps(vec![Step::Agree, Step::Receive(3)]));
    let mut task = Task::new(session.accept(protocol, &mut bench.tx, &mut bench.rx, &mut app));
    let report = task.finish().expect("all steps can be taken");
    assert_eq!((report.bytes_received(), report.items_received()), (3, 1));
    drop(task);
    assert_eq!(bench.app.events(), [FromSync::HandshakeSuccess(Topic(1)), data(&[9; 3])]);
}

#[test]
fn each_deadline_passes_when_its_time_has_come_and_not_a_millisecond_before() {
    let limits =
        SessionLimits::default().with_handshake(seconds(5)).with_idle(seconds(7)).with_total(Duration::from_secs(60));
    let tick = Duration::from_millis(1);
    for (steps, after, deadline) in [
        (&[Step::Receive(1)][..], seconds(5), Deadline::Handshake),
        (&[Step::Agree, Step::Receive(1)], seconds(7), Deadline::Idle),
        (&[Step::Agree, Step::Spin], seconds(7), Deadline::Idle),
    ] {
        let mut bench = Bench::new();
        let (clock, session) = (bench.clock.clone(), bench.session(limits.clone()));
        let mut task = bench.start(session, steps);
        task.poll();
        clock.advance(after - tick);
        task.poll();
        assert!(task.output.is_none(), "{deadline:?}");
        clock.advance(tick);
        task.poll();
        let failure = task.output.take().expect("the deadline has passed").expect_err("nothing succeeded");
        assert_eq!(failure.cause, FailureCause::Deadline(deadline));
        assert!(failure.cause.is_peer_fault());
        assert_eq!((failure.report.elapsed(), failure.report.progress().phase), (after, Phase::Failed));
    }
}

#[test]
fn a_byte_either_way_moves_the_idle_deadline_on_but_not_the_total_one() {
    let limits = SessionLimits::default().with_idle(seconds(7)).with_total(seconds(31));
    let mut bench = Bench::new();
    let (clock, session, input) = (bench.clock.clone(), bench.session(limits), bench.input.clone());
    let out = bench.out.clone();
    out.change(|state| state.capacity = 0);
    let mut task = bench.start(session, &[Step::Agree, Step::Receive(3), Step::Send(3), Step::Receive(1)]);
    for moved in 0..5 {
        task.settle();
        assert!(task.output.is_none());
        clock.advance(seconds(6));
        task.settle();
        if moved < 3 {
            input.push(&[1]);
        } else {
            out.change(|state| state.capacity += 1);
        }
    }
    task.settle();
    assert!(task.output.is_none());
    clock.advance(seconds(1));
    assert_eq!(cause(&mut task), FailureCause::Deadline(Deadline::Total));
}

#[test]
fn a_stalled_application_is_neither_idleness_nor_a_missed_handshake() {
    let limits = SessionLimits::default().with_handshake(seconds(5)).with_idle(seconds(7));
    let mut bench = Bench::new();
    bench.app = App::with_room(0);
    let (clock, session, input) = (bench.clock.clone(), bench.session(limits), bench.input.clone());
    let app = bench.app.clone();
    let mut task = bench.start(session, &[Step::Agree, Step::Receive(1), Step::Receive(1)]);
    task.settle();
    let total = SessionLimits::default().total();
    assert_eq!(clock.next_wake(), Some(clock.now() + total), "nothing else can happen by itself");
    clock.advance(seconds(100));
    task.settle();
    app.change(|state| state.room = 1);
    input.push(&[1]);
    task.settle();
    assert_eq!(app.state().events.len(), 1, "the handshake was taken after 100 s");
    clock.advance(seconds(100));
    task.settle();
    app.change(|state| state.room = 1);
    task.settle();
    assert!(task.output.is_none(), "the peer was not silent: nobody listened");
    // From here on it is the peer that is waited for.
    clock.advance(seconds(6));
    task.settle();
    assert!(task.output.is_none());
    clock.advance(seconds(1));
    assert_eq!(cause(&mut task), FailureCause::Deadline(Deadline::Idle));
}

#[test]
fn a_stall_during_the_handshake_puts_its_deadline_off_and_no_more() {
    let limits = SessionLimits::default().with_handshake(seconds(5));
    let mut bench = Bench::new();
    bench.app = App::with_room(0);
    let (clock, session, input, app) =
        (bench.clock.clone(), bench.session(limits), bench.input.clone(), bench.app.clone());
    let mut task = bench.start(session, &[Step::Receive(1), Step::Receive(1), Step::Agree]);
    clock.advance(seconds(50));
    input.push(&[1]);
    task.settle();
    clock.advance(seconds(100));
    app.change(|state| state.room = 1);
    task.settle();
    clock.advance(Duration::from_millis(4_999));
    task.settle();
    assert!(task.output.is_none());
    clock.advance(Duration::from_millis(1));
    assert_eq!(cause(&mut task), FailureCause::Deadline(Deadline::Handshake));
}

#[test]
fn the_total_deadline_counts_a_stalled_application_too() {
    let limits = SessionLimits::default().with_total(seconds(50));
    let mut bench = Bench::new();
    bench.app = App::with_room(0);
    let (clock, session) = (bench.clock.clone(), bench.session(limits));
    let mut task = bench.start(session, &[Step::Agree]);
    task.settle();
    clock.advance(seconds(50));
    assert_eq!(cause(&mut task), FailureCause::Deadline(Deadline::Total));
}

#[test]
fn a_budget_can_be_spent_to_the_last_byte_and_no_further() {
    let limits =
        SessionLimits::default().with_bytes_received_max(10).with_bytes_sent_max(20).with_items_received_max(2);
    let exact = [Step::Agree, Step::Receive(4), Step::Receive(6), Step::Send(12), Step::Send(8)];
    for (one_more, budget) in [
        (None, None),
        (Some(Step::Read(100)), Some(Budget::BytesReceived)),
        (Some(Step::Send(1)), Some(Budget::BytesSent)),
        (Some(Step::SendAndHide(1)), Some(Budget::BytesSent)),
    ] {
        let mut bench = Bench::new();
        bench.input.push(&[1; 11]);
        let session = bench.session(limits.clone());
        let steps: Vec<Step> = exact.into_iter().chain(one_more).collect();
        let mut task = bench.start(session, &steps);
        match (task.finish(), budget) {
            (Ok(report), None) => assert_eq!((report.bytes_received(), report.bytes_sent()), (10, 20)),
            (Err(failure), Some(budget)) => assert_eq!(failure.cause, FailureCause::Budget(budget)),
            (outcome, _) => panic!("{one_more:?}: {outcome:?}"),
        }
    }
}

#[test]
fn an_item_over_the_budget_does_not_reach_the_application() {
    let mut bench = Bench::new();
    bench.input.push(&[1; 11]);
    let session = bench.session(SessionLimits::default().with_items_received_max(2));
    let app = bench.app.clone();
    let mut task = bench.start(session, &[Step::Agree, Step::Receive(1), Step::Receive(1), Step::Receive(1)]);
    let failure = task.finish().expect_err("over the budget");
    assert_eq!(failure.cause, FailureCause::Budget(Budget::ItemsReceived));
    assert_eq!((failure.report.items_received(), app.state().events.len()), (2, 3));
}

#[test]
fn the_end_of_the_stream_is_seen_with_a_spent_budget() {
    let mut bench = Bench::new();
    bench.input.push(&[1; 10]);
    bench.input.change(|state| state.writer_gone = true);
    let session = bench.session(SessionLimits::default().with_bytes_received_max(10));
    let mut task = bench.start(session, &[Step::Read(100), Step::Read(100)]);
    assert_eq!(task.finish().expect("nothing was over the budget").bytes_received(), 10);
}

#[test]
fn how_bytes_are_cut_does_not_change_what_arrives_within_a_budget() {
    for chunk in [1, 3, 11] {
        let mut bench = Bench::new();
        bench.input.push(&[1; 11]);
        bench.input.change(|state| state.chunk = chunk);
        let session = bench.session(SessionLimits::default().with_bytes_received_max(10));
        let app = bench.app.clone();
        let mut task = bench.start(session, &[Step::Take(100); 12]);
        assert_eq!(cause(&mut task), FailureCause::Budget(Budget::BytesReceived));
        let items = app.events();
        let arrived: usize =
            items.iter().map(|item| if let FromSync::Data { header, .. } = item { header.len() } else { 0 }).sum();
        assert_eq!(arrived, 10, "in chunks of {chunk}");
    }
}

#[test]
fn a_session_cancelled_before_it_starts_does_nothing() {
    let mut bench = Bench::new();
    let session = bench.session(SessionLimits::default());
    session.cancel_handle().cancel();
    let (app, out) = (bench.app.clone(), bench.out.clone());
    let mut task = bench.start(session, &[Step::Agree, Step::Send(1)]);
    let cause = cause(&mut task);
    assert_eq!(cause, FailureCause::Cancelled);
    assert!(!cause.is_peer_fault());
    assert_eq!((app.events(), out.state().total), (vec![], 0));
}

#[test]
fn cancelling_wakes_a_waiting_session_and_keeps_what_was_delivered() {
    let mut bench = Bench::new();
    let session = bench.session(SessionLimits::default());
    let cancel = session.cancel_handle();
    let app = bench.app.clone();
    let mut task = bench.start(session, &[Step::Agree, Step::Receive(1)]);
    task.settle();
    assert!(!cancel.is_cancelled());
    cancel.cancel();
    assert!(task.is_woken());
    assert_eq!(cause(&mut task), FailureCause::Cancelled);
    assert_eq!(app.state().events.len(), 1);
    cancel.cancel();
}

#[test]
fn a_protocols_error_comes_out_as_it_is() {
    let mut bench = Bench::new();
    let mut task = bench.default(&[Step::Fail]);
    assert_eq!(cause(&mut task), FailureCause::Protocol(SyncError::InvalidEncoding("garbage".into())));
}

#[test]
fn a_waiting_session_is_not_polled_for_nothing() {
    let mut bench = Bench::new();
    let clock = bench.clock.clone();
    let mut task = bench.default(&[Step::Agree, Step::Receive(1)]);
    assert!(task.settle() <= 2);
    clock.advance(seconds(29));
    assert!(task.settle() <= 1, "the deadline is at 30 s");
}

#[test]
fn a_busy_session_arms_few_sleeps() {
    /// Counts the sleeps asked for.
    #[derive(Debug)]
    struct Counting(ManualClock, Mutex<usize>);

    impl Clock for Counting {
        fn now(&self) -> Timestamp {
            self.0.now()
        }
    }

    impl Timer for Counting {
        fn sleep_until(&self, at: Timestamp) -> futures::future::BoxFuture<'static, ()> {
            *self.1.lock().unwrap() += 1;
            self.0.sleep_until(at)
        }
    }

    for is_watched in [false, true] {
        let mut bench = Bench::new();
        let (clock, input) = (bench.clock.clone(), bench.input.clone());
        let timer = Arc::new(Counting(clock.clone(), Mutex::default()));
        let session = Session::new(timer.clone(), SessionLimits::default());
        let _watcher = is_watched.then(|| session.progress());
        let mut task = bench.start(session, &[Step::Agree, Step::Receive(1_000)]);
        for _ in 0..1_000 {
            task.settle();
            clock.advance(Duration::from_millis(1));
            input.push(&[1]);
        }
        task.finish().expect("all came");
        let sleeps = *timer.1.lock().unwrap();
        assert!(sleeps <= 50, "{sleeps} sleeps in a second of 1000 bytes");
    }
}

#[test]
fn progress_shows_the_phases_and_comes_to_rest_with_the_newest_figures() {
    let mut bench = Bench::new();
    let (clock, input) = (bench.clock.clone(), bench.input.clone());
    let session = bench.session(SessionLimits::default());
    let mut progress = session.progress();
    let mut late = session.progress();
    let mut task = bench.start(session, &[Step::Receive(1), Step::Agree, Step::Receive(2)]);
    task.settle();
    assert_eq!(progress.latest(), SessionProgress::default());
    input.push(&[1]);
    task.settle();
    let seen = Task::new(progress.changed()).finish().expect("the phase changed");
    assert_eq!((seen.phase, seen.bytes_received), (Phase::Sync, 1));
    input.push(&[1]);
    task.settle();
    assert_eq!(progress.latest().bytes_received, 1, "not at once");
    clock.advance(Duration::from_millis(50));
    task.settle();
    assert_eq!(progress.latest().bytes_received, 2, "but after 50 ms, though nothing else moves");
    input.push(&[1]);
    task.finish().expect("all came");
    let last = Task::new(late.changed()).finish().expect("the end was not seen yet");
    assert_eq!((last.phase, last.items_received, last.bytes_received), (Phase::Done, 2, 3));
    assert_eq!(Task::new(late.changed()).finish(), None);
}

#[test]
fn a_dropped_session_has_failed_for_those_who_watch() {
    let mut bench = Bench::new();
    let session = bench.session(SessionLimits::default());
    let mut progress = session.progress();
    let mut task = bench.start(session, &[Step::Agree, Step::Receive(2)]);
    task.settle();
    drop(task);
    assert_eq!(Task::new(progress.changed()).finish().map(|last| last.phase), Some(Phase::Failed));
    assert_eq!(Task::new(progress.changed()).finish(), None);
}

/// A protocol that runs another session inside, as a relay would.
#[derive(Debug)]
struct Outer(ManualClock, Step);

impl Outer {
    async fn inner(&self) -> Outcome {
        let (mut tx, _inner_rx, _) = pipe(100, 100);
        let (_inner_tx, mut rx, _) = pipe(100, 100);
        let session = Session::new(Arc::new(self.0.clone()), SessionLimits::default());
        let steps = Arc::new(Steps(vec![Step::Send(10), self.1]));
        session.initiate(steps, Topic(1), &mut tx, &mut rx, &mut App::eager()).await
    }
}

#[async_trait]
impl<'a> SyncProtocol<'a, Topic> for Outer {
    fn name(&self) -> &'static str {
        "outer"
    }

    async fn initiate(
        self: Arc<Self>,
        _: Topic,
        _: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        _: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        _: Box<&'a mut (dyn Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        report_items_sent(100);
        let inner = self.inner().await;
        report_items_sent(1_000);
        match inner {
            Ok(report) => assert_eq!(report.items_sent(), 1),
            Err(failure) => assert_eq!(failure.report.items_sent(), 1),
        }
        Ok(())
    }

    async fn accept(
        self: Arc<Self>,
        _: Box<&'a mut (dyn AsyncWrite + Send + Unpin)>,
        _: Box<&'a mut (dyn AsyncRead + Send + Unpin)>,
        _: Box<&'a mut (dyn Sink<FromSync<Topic>, Error = SyncError> + Send + Unpin)>,
    ) -> Result<(), SyncError> {
        Ok(())
    }
}

#[test]
fn items_count_for_the_session_that_sent_them_also_when_sessions_nest() {
    for step in [Step::Agree, Step::Fail] {
        let mut bench = Bench::new();
        let session = bench.session(SessionLimits::default());
        let outer = Arc::new(Outer(bench.clock.clone(), step));
        let mut app = bench.app.clone();
        let mut task = Task::new(session.initiate(outer, Topic(1), &mut bench.tx, &mut bench.rx, &mut app));
        assert_eq!(task.finish().expect("the inner session's failure is no failure here").items_sent(), 1_100);
    }
}

#[test]
fn a_panic_in_a_protocol_does_not_leave_its_session_behind_on_the_thread() {
    let meter = Arc::new(Meter::new(SessionLimits::default()));
    meter::scope(&meter, || {
        let mut bench = Bench::new();
        let mut task = bench.default(&[Step::Panic]);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| task.poll())).is_err();
        assert!(panicked);
        report_items_sent(5);
    });
    assert_eq!(meter.finish(Duration::ZERO, true).items_sent(), 5);
    // Outside of any session there is nothing to report to.
    report_items_sent(5);
}

#[test]
fn sessions_and_their_handles_can_be_shared_between_threads() {
    fn assert_send_sync<T: Send + Sync>() {}
    fn assert_send<T: Send>(_: T) {}
    assert_send_sync::<Session>();
    assert_send_sync::<CancelHandle>();
    assert_send_sync::<ProgressReceiver>();
    assert_send_sync::<SessionFailure>();
    let mut bench = Bench::new();
    let session = bench.session(SessionLimits::default());
    let mut app = bench.app.clone();
    assert_send(session.initiate(Arc::new(Steps(vec![])), Topic(1), &mut bench.tx, &mut bench.rx, &mut app));
}
