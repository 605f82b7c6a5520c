use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use proptest::prelude::*;

use super::super::{Drive, Perform, drive};
use super::*;
use crate::clock::{Clock, ManualClock, Timer};
use crate::testing::{App, Pipe, PipeReader, PipeWriter, Task, Topic, data, pipe};

mod lanes;

/// Sends blocks that it has to ask for, takes the peer's, and is done when both sides said so.
///
/// On the wire a block is its length in one byte and so many bytes; an empty block ends a side's part.
#[derive(Debug, Default)]
struct Blocks {
    to_send: usize,
    block_len: u8,
    asked: usize,
    said_done: bool,
    peer_done: bool,
    received: Vec<u8>,
    idle_max: Option<Duration>,
    active: Timestamp,
    outputs: VecDeque<Output<Topic, usize>>,
    closed: bool,
}

impl Blocks {
    fn new(to_send: usize, block_len: u8) -> Self {
        let mut blocks = Self { to_send, block_len, ..Self::default() };
        blocks.ask();
        blocks
    }

    fn with_idle_max(mut self, idle_max: Duration) -> Self {
        self.idle_max = Some(idle_max);
        self
    }

    fn ask(&mut self) {
        if self.asked < self.to_send {
            self.outputs.push_back(Output::Request(self.asked));
            self.asked += 1;
        } else {
            self.said_done = true;
            self.outputs.push_back(Output::Send { bytes: Bytes::from_static(&[0]), items: 0 });
        }
    }

    fn decode(&mut self) -> Result<(), SyncError> {
        while let Some(&len) = self.received.first() {
            let end = 1 + usize::from(len);
            if len == 0xff {
                return Err(SyncError::InvalidEncoding("garbage".into()));
            }
            if self.peer_done || self.received.len() < end {
                break;
            }
            self.peer_done = len == 0;
            if len > 0 {
                self.outputs.push_back(Output::Deliver(data(&self.received[1..end])));
            }
            self.received.drain(..end);
        }
        Ok(())
    }
}

impl Machine for Blocks {
    type Topic = Topic;
    type Request = usize;
    type Response = usize;

    fn handle(&mut self, now: Timestamp, input: Input<'_, usize>) -> Result<(), SyncError> {
        match input {
            Input::Received(bytes) => {
                assert!(!bytes.is_empty() && !self.closed);
                self.received.extend_from_slice(bytes);
                self.decode()?;
            }
            Input::Sent(count) => assert!(count > 0),
            Input::Response(index) => {
                let mut block = vec![index as u8; 1 + usize::from(self.block_len)];
                block[0] = self.block_len;
                self.outputs.push_back(Output::Send { bytes: block.into(), items: 1 });
                self.ask();
            }
            Input::Closed => {
                self.closed = true;
                if !self.peer_done {
                    return Err(SyncError::UnexpectedBehaviour("closed early".into()));
                }
            }
            Input::Timeout => {
                if self.idle_max.is_some_and(|max| now >= self.active + max) {
                    return Err(SyncError::UnexpectedBehaviour("silence".into()));
                }
                return Ok(());
            }
        }
        self.active = now;
        Ok(())
    }

    fn poll(&mut self) -> Option<Output<Topic, usize>> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<Timestamp> {
        self.idle_max.map(|max| self.active + max)
    }

    fn is_done(&self) -> bool {
        self.said_done && self.peer_done
    }
}

/// Answers at once, or when told to.
#[derive(Clone, Debug, Default)]
struct Store(Arc<Mutex<StoreState>>);

#[derive(Debug, Default)]
struct StoreState {
    is_slow: bool,
    performed: usize,
    released: usize,
    dropped: usize,
    waker: Option<Waker>,
}

impl Store {
    fn slow() -> Self {
        let store = Self::default();
        store.0.lock().unwrap().is_slow = true;
        store
    }

    fn release(&self) {
        let mut state = self.0.lock().unwrap();
        state.released += 1;
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    fn performed(&self) -> usize {
        self.0.lock().unwrap().performed
    }

    fn is_waiting(&self) -> bool {
        self.0.lock().unwrap().waker.is_some()
    }
}

struct CountDrop(Store);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().dropped += 1;
    }
}

impl Perform<usize, usize> for Store {
    fn perform(&self, request: usize) -> BoxFuture<'_, usize> {
        self.0.lock().unwrap().performed += 1;
        let count_drop = CountDrop(self.clone());
        Box::pin(poll_fn(move |cx| {
            let mut state = count_drop.0.0.lock().unwrap();
            if state.is_slow && state.released == 0 {
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            state.released = state.released.saturating_sub(1);
            Poll::Ready(request)
        }))
    }
}

use std::future::poll_fn;

/// One side with everything around it, driven against pipes.
struct Side {
    tx: PipeWriter,
    rx: PipeReader,
    app: App,
    store: Store,
    how: Drive,
}

impl Side {
    /// The side, what it writes, and what it reads.
    fn new(capacity: usize) -> (Self, Pipe, Pipe, (PipeReader, PipeWriter)) {
        let (tx, their_rx, out) = pipe(capacity, usize::MAX);
        let (their_tx, rx, input) = pipe(usize::MAX, usize::MAX);
        let side = Self { tx, rx, app: App::eager(), store: Store::default(), how: Drive::new() };
        (side, out, input, (their_rx, their_tx))
    }

    /// Two sides that talk to each other.
    fn pair(capacity: usize, chunk: usize) -> (Self, Self) {
        let (a_tx, b_rx, _) = pipe(capacity, chunk);
        let (b_tx, a_rx, _) = pipe(capacity, chunk);
        let side = |tx, rx| Self { tx, rx, app: App::eager(), store: Store::default(), how: Drive::new() };
        (side(a_tx, a_rx), side(b_tx, b_rx))
    }

    fn task<'t, M>(mut self, mut machine: M) -> Task<'t, Result<(), SyncError>>
    where
        M: Machine<Topic = Topic, Request = usize, Response = usize> + 't,
    {
        Task::new(async move {
            drive(&mut machine, &self.store, &self.how, &mut self.tx, &mut self.rx, &mut self.app).await
        })
    }
}

/// Runs both until neither was woken.
fn settle(a: &mut Task<'_, Result<(), SyncError>>, b: &mut Task<'_, Result<(), SyncError>>) {
    while a.settle() + b.settle() > 0 {}
}

fn blocks_of(len: u8, indexes: std::ops::Range<usize>) -> Vec<FromSync<Topic>> {
    indexes.map(|index| data(&vec![index as u8; usize::from(len)])).collect()
}

#[test]
fn two_peers_with_ten_times_the_pipes_buffer_to_send_both_finish() {
    for chunk in [1, 7, 4096] {
        let (a, b) = Side::pair(1_000, chunk);
        let (a_app, b_app) = (a.app.clone(), b.app.clone());
        let mut a = a.task(Blocks::new(100, 100));
        let mut b = b.task(Blocks::new(100, 100));
        settle(&mut a, &mut b);
        assert_eq!((a.output, b.output), (Some(Ok(())), Some(Ok(()))));
        assert_eq!(a_app.events(), blocks_of(100, 0..100));
        assert_eq!(b_app.events(), blocks_of(100, 0..100));
    }
}

#[test]
fn a_slow_application_stalls_the_peer_and_loses_nothing() {
    let (a, b) = Side::pair(1_000, usize::MAX);
    let b = Side { app: App::with_room(0), how: Drive::new().with_window(1), ..b };
    let a = Side { how: Drive::new().with_window(1), ..a };
    let (store, app) = (a.store.clone(), b.app.clone());
    let mut a = a.task(Blocks::new(200, 100));
    let mut b = b.task(Blocks::new(0, 1));
    settle(&mut a, &mut b);
    assert_eq!(app.events(), []);
    // At most a full pipe twice (once read, once written), the window, and one block under way.
    assert!(store.performed() <= 2_000 / 101 + 2, "{} blocks left the store", store.performed());
    for taken in 1..=200 {
        assert_eq!(b.output, None);
        app.change(|state| state.room = 1);
        settle(&mut a, &mut b);
        assert_eq!(app.events().len(), taken);
    }
    assert_eq!(app.events(), blocks_of(100, 0..200));
    assert_eq!((a.output, b.output), (Some(Ok(())), Some(Ok(()))));
}

#[test]
fn a_request_waits_for_the_window() {
    let (side, out, input, ends) = Side::new(0);
    let side = Side { how: Drive::new().with_window(200), ..side };
    let store = side.store.clone();
    let mut task = side.task(Blocks::new(50, 99));
    task.settle();
    // The first fits, the second reaches 200 bytes, the third waits.
    assert_eq!(store.performed(), 2);
    out.change(|state| state.capacity = 1);
    task.settle();
    assert_eq!(store.performed(), 3, "one byte less than the window leaves room for a request");
    out.change(|state| state.capacity = 50 * 100 + 1);
    input.push(&[0]);
    assert_eq!(task.finish(), Ok(()));
    assert_eq!(store.performed(), 50);
    assert_eq!(out.state().total, 50 * 100 + 1);
    drop(ends);
}

#[test]
fn what_came_before_a_failure_is_delivered_first() {
    let (side, _out, input, _ends) = Side::new(100);
    let side = Side { app: App::with_room(0), ..side };
    let app = side.app.clone();
    app.change(|state| state.flush_is_stuck = true);
    let mut task = side.task(Blocks::new(0, 1));
    input.push(&[1, 7, 2, 8, 8, 0xff]);
    for room in [1, 1, 0] {
        task.settle();
        assert_eq!(task.output, None);
        app.change(|state| state.room = room);
    }
    task.settle();
    assert_eq!(task.output, None, "an item that is not flushed may be lost with the session");
    app.change(|state| state.flush_is_stuck = false);
    assert_eq!(task.finish(), Err(SyncError::InvalidEncoding("garbage".into())));
    assert_eq!(app.events(), [data(&[7]), data(&[8, 8])]);
    assert_eq!(app.state().unflushed, 0);
}

#[test]
fn errors_of_the_streams_are_the_peers_behaviour_and_deliver_what_was_before() {
    let cases: [fn(&Pipe, &Pipe); 4] = [
        |out, _| out.change(|state| state.write_error = Some(std::io::ErrorKind::PermissionDenied)),
        |out, _| out.change(|state| state.takes_nothing = true),
        |_, input| input.change(|state| state.read_error = Some(std::io::ErrorKind::Other)),
        |_, input| input.change(|state| state.writer_gone = true),
    ];
    for (case, breaks) in cases.iter().enumerate() {
        let (side, out, input, _ends) = Side::new(0);
        let side = Side { app: App::with_room(0), ..side };
        let app = side.app.clone();
        let mut task = side.task(Blocks::new(3, 10));
        input.push(&[1, 7]);
        task.settle();
        out.change(|state| state.capacity = 1);
        breaks(&out, &input);
        task.settle();
        assert_eq!(task.output, None, "case {case}");
        app.change(|state| state.room = 1);
        let outcome = task.finish();
        assert!(matches!(outcome, Err(SyncError::UnexpectedBehaviour(_))), "case {case}: {outcome:?}");
        assert_eq!(app.events(), [data(&[7])], "case {case}");
    }
}

#[test]
fn an_error_of_a_flush_ends_the_session() {
    let (side, out, _input, _ends) = Side::new(100);
    out.change(|state| state.flush_is_stuck = true);
    let mut task = side.task(Blocks::new(1, 10));
    task.settle();
    // Nothing else moves when it comes.
    out.change(|state| state.flush_error = Some(std::io::ErrorKind::ConnectionReset));
    assert!(matches!(task.finish(), Err(SyncError::UnexpectedBehaviour(_))));
}

#[test]
fn an_application_that_is_gone_ends_the_session_with_its_own_error() {
    let (side, _out, input, _ends) = Side::new(100);
    let app = side.app.clone();
    let mut task = side.task(Blocks::new(0, 1));
    task.settle();
    app.change(|state| state.is_closed = true);
    input.push(&[1, 7]);
    assert_eq!(task.finish(), Err(SyncError::Critical("channel closed".into())));
}

fn advance(clock: &ManualClock, seconds: u64) {
    clock.advance(Duration::from_secs(seconds));
}

#[test]
fn a_deadline_fires_when_the_peer_is_silent_and_not_before() {
    let clock = ManualClock::new(Timestamp::from_millis(5_000));
    let (side, _out, input, _ends) = Side::new(100);
    let side = Side { how: Drive::new().with_timer(Arc::new(clock.clone())), ..side };
    let mut machine = Blocks::new(0, 1).with_idle_max(Duration::from_secs(10));
    machine.active = clock.now();
    let mut task = side.task(machine);
    task.settle();
    advance(&clock, 9);
    task.settle();
    input.push(&[1, 7]);
    task.settle();
    advance(&clock, 9);
    task.settle();
    assert_eq!(task.output, None, "a sign of life moves the deadline on");
    advance(&clock, 1);
    assert_eq!(task.finish(), Err(SyncError::UnexpectedBehaviour("silence".into())));
}

#[test]
fn a_deadline_that_comes_nearer_is_kept_and_one_that_goes_away_is_forgotten() {
    let clock = ManualClock::new(Timestamp::ZERO);
    let (side, _out, input, _ends) = Side::new(100);
    let side = Side { how: Drive::new().with_timer(Arc::new(clock.clone())), ..side };
    let mut task = side.task(Fuse(Some(Timestamp::from_millis(90_000))));
    task.settle();
    input.push(&[20]);
    task.settle();
    assert_eq!(clock.next_wake(), Some(Timestamp::from_millis(20_000)));
    input.push(&[0]);
    task.settle();
    assert_eq!(clock.next_wake(), None);
    input.push(&[30]);
    task.settle();
    advance(&clock, 29);
    task.settle();
    assert_eq!(task.output, None);
    advance(&clock, 1);
    assert_eq!(task.finish(), Err(SyncError::UnexpectedBehaviour("too late".into())));
}

#[test]
fn time_stands_still_while_the_application_stalls() {
    let clock = ManualClock::new(Timestamp::ZERO);
    let (side, _out, input, _ends) = Side::new(100);
    let side = Side { how: Drive::new().with_timer(Arc::new(clock.clone())), app: App::with_room(0), ..side };
    let app = side.app.clone();
    let mut task = side.task(Blocks::new(0, 1).with_idle_max(Duration::from_secs(10)));
    task.settle();
    advance(&clock, 4);
    input.push(&[1, 7]);
    task.settle();
    assert_eq!(clock.next_wake(), None, "no deadline runs meanwhile");
    advance(&clock, 1_000);
    app.change(|state| state.room = 1);
    task.settle();
    // Silence began when the block came, at 4 s; since then no time has passed for the machine.
    assert_eq!(clock.next_wake(), Some(Timestamp::from_millis(1_014_000)));
    advance(&clock, 9);
    task.settle();
    assert_eq!(task.output, None);
    advance(&clock, 1);
    assert_eq!(task.finish(), Err(SyncError::UnexpectedBehaviour("silence".into())));
}

#[test]
fn time_stands_still_while_a_request_is_in_flight() {
    let clock = ManualClock::new(Timestamp::ZERO);
    let (side, _out, _input, _ends) = Side::new(100);
    let side = Side { how: Drive::new().with_timer(Arc::new(clock.clone())), store: Store::slow(), ..side };
    let store = side.store.clone();
    let mut task = side.task(Blocks::new(1, 5).with_idle_max(Duration::from_secs(10)));
    task.settle();
    advance(&clock, 1_000);
    task.settle();
    assert_eq!(task.output, None);
    store.release();
    task.settle();
    assert_eq!(task.output, None, "the answer came at the machine's time 0");
    advance(&clock, 9);
    task.settle();
    assert_eq!(task.output, None);
    advance(&clock, 1);
    assert_eq!(task.finish(), Err(SyncError::UnexpectedBehaviour("silence".into())));
}

#[test]
fn time_runs_while_a_request_waits_for_the_peer_to_read() {
    let clock = ManualClock::new(Timestamp::ZERO);
    let (side, _out, _input, _ends) = Side::new(0);
    let side = Side { how: Drive::new().with_timer(Arc::new(clock.clone())).with_window(1), ..side };
    let mut task = side.task(Blocks::new(9, 5).with_idle_max(Duration::from_secs(10)));
    task.settle();
    advance(&clock, 10);
    assert_eq!(task.finish(), Err(SyncError::UnexpectedBehaviour("silence".into())));
}

#[test]
fn dropping_the_session_drops_the_request_and_keeps_what_was_delivered() {
    let (side, _out, input, _ends) = Side::new(100);
    let side = Side { store: Store::slow(), ..side };
    let (app, store) = (side.app.clone(), side.store.clone());
    let mut task = side.task(Blocks::new(1, 5));
    input.push(&[1, 7]);
    task.settle();
    assert_eq!((store.performed(), store.0.lock().unwrap().dropped), (1, 0));
    drop(task);
    assert_eq!(store.0.lock().unwrap().dropped, 1);
    assert_eq!(app.events(), [data(&[7])]);
}

/// A stream that always has more.
struct Flood(usize);

impl AsyncRead for Flood {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<std::io::Result<usize>> {
        self.0 += 1;
        buffer.fill(1);
        Poll::Ready(Ok(buffer.len().min(2)))
    }
}

/// Takes anything, and has a deadline for all of it.
struct Devour {
    deadline: Timestamp,
}

impl Machine for Devour {
    type Topic = Topic;
    type Request = usize;
    type Response = usize;

    fn handle(&mut self, now: Timestamp, input: Input<'_, usize>) -> Result<(), SyncError> {
        match input {
            Input::Timeout if now >= self.deadline => Err(SyncError::UnexpectedBehaviour("too long".into())),
            _ => Ok(()),
        }
    }

    fn poll(&mut self) -> Option<Output<Topic, usize>> {
        None
    }

    fn next_timeout(&self) -> Option<Timestamp> {
        Some(self.deadline)
    }

    fn is_done(&self) -> bool {
        false
    }
}

#[test]
fn a_peer_that_always_has_more_starves_neither_other_tasks_nor_a_deadline() {
    let clock = ManualClock::new(Timestamp::ZERO);
    let how = Drive::new().with_timer(Arc::new(clock.clone()));
    let (mut tx, _their_rx, _) = pipe(100, 100);
    let (mut app, store, mut flood) = (App::eager(), Store::default(), Flood(0));
    let mut machine = Devour { deadline: Timestamp::from_millis(1_000) };
    let mut task = Task::new(drive(&mut machine, &store, &how, &mut tx, &mut flood, &mut app));
    for _ in 0..10 {
        assert!(task.poll());
        assert!(task.is_woken(), "there is more to do, so it asks for another turn");
    }
    advance(&clock, 1);
    task.poll();
    task.poll();
    assert_eq!(task.output, Some(Err(SyncError::UnexpectedBehaviour("too long".into()))));
    drop(task);
    assert!(flood.0 <= 12 * ROUNDS_MAX, "{} reads in 12 polls", flood.0);
}

/// Each byte sets the deadline to so many seconds, 0 to none.
struct Fuse(Option<Timestamp>);

impl Machine for Fuse {
    type Topic = Topic;
    type Request = usize;
    type Response = usize;

    fn handle(&mut self, now: Timestamp, input: Input<'_, usize>) -> Result<(), SyncError> {
        match input {
            Input::Received(bytes) => {
                let seconds = bytes.last().copied().filter(|seconds| *seconds > 0);
                self.0 = seconds.map(|seconds| Timestamp::from_millis(u64::from(seconds) * 1_000));
            }
            Input::Timeout if self.0.is_some_and(|at| now >= at) => {
                return Err(SyncError::UnexpectedBehaviour("too late".into()));
            }
            _ => {}
        }
        Ok(())
    }

    fn poll(&mut self) -> Option<Output<Topic, usize>> {
        None
    }

    fn next_timeout(&self) -> Option<Timestamp> {
        self.0
    }

    fn is_done(&self) -> bool {
        false
    }
}

#[test]
fn the_stream_is_flushed_before_an_answer_is_awaited() {
    let (side, out, input, _ends) = Side::new(1_000);
    out.change(|state| state.flush_is_stuck = true);
    let app = side.app.clone();
    let mut task = side.task(Blocks::new(2, 10));
    input.push(&[1, 7, 0]);
    task.settle();
    assert_eq!(out.state().total, 23);
    assert_eq!(app.state().unflushed, 0, "the application sees what came while the peer is awaited");
    assert_eq!(task.output, None, "what is not flushed has not left");
    out.change(|state| state.flush_is_stuck = false);
    assert_eq!(task.finish(), Ok(()));
    assert!(out.state().flushes > 0);
}

#[test]
fn the_application_is_flushed_at_the_end() {
    let (side, _out, input, _ends) = Side::new(1_000);
    let app = side.app.clone();
    app.change(|state| state.flush_is_stuck = true);
    let mut task = side.task(Blocks::new(0, 10));
    input.push(&[1, 7, 0]);
    task.settle();
    assert_eq!(task.output, None);
    app.change(|state| state.flush_is_stuck = false);
    assert_eq!(task.finish(), Ok(()));
    assert_eq!(app.state().unflushed, 0);
}

#[test]
fn nothing_is_read_once_the_machine_is_done() {
    let (side, out, input, _ends) = Side::new(0);
    let mut task = side.task(Blocks::new(0, 10));
    input.push(&[0]);
    task.settle();
    let reads = input.state().reads;
    input.push(&[1, 2, 3]);
    task.settle();
    out.change(|state| state.capacity = 1);
    assert_eq!(task.finish(), Ok(()));
    assert_eq!(input.state().reads, reads);
    assert_eq!(input.state().bytes.len(), 3, "what follows belongs to somebody else");
}

/// What the test does when nobody has anything to do.
#[derive(Clone, Copy, Debug)]
enum Nudge {
    Store(bool),
    Room(bool),
    AppFlush(bool),
}

fn nudge() -> impl Strategy<Value = Nudge> {
    prop_oneof![
        any::<bool>().prop_map(Nudge::Store),
        any::<bool>().prop_map(Nudge::Room),
        any::<bool>().prop_map(Nudge::AppFlush),
    ]
}

proptest! {
    /// Whatever the order in which stores answer and applications take, as long as each does so in the end, both sides
    /// finish, and each polled only when it was woken.
    #[test]
    fn no_wake_up_is_lost(
        capacity in 1_usize..300,
        chunk in 1_usize..100,
        window in 1_usize..500,
        counts in (0_usize..20, 0_usize..20),
        len in 1_u8..60,
        nudges in prop::collection::vec(nudge(), 0..200),
    ) {
        let (a, b) = Side::pair(capacity, chunk);
        let make = |side: Side| {
            Side { app: App::with_room(0), store: Store::slow(), how: Drive::new().with_window(window), ..side }
        };
        let (a, b) = (make(a), make(b));
        let apps = [a.app.clone(), b.app.clone()];
        let stores = [a.store.clone(), b.store.clone()];
        let mut a = a.task(Blocks::new(counts.0, len));
        let mut b = b.task(Blocks::new(counts.1, len));
        let helpful = [Nudge::Store(true), Nudge::Store(false), Nudge::Room(true), Nudge::Room(false)];
        for nudge in nudges.into_iter().chain(helpful.into_iter().cycle().take(400)) {
            settle(&mut a, &mut b);
            match nudge {
                Nudge::Store(side) if stores[usize::from(side)].is_waiting() => stores[usize::from(side)].release(),
                Nudge::Store(_) => {}
                Nudge::Room(side) => apps[usize::from(side)].change(|state| state.room = state.room.max(1)),
                Nudge::AppFlush(side) => {
                    apps[usize::from(side)].change(|state| state.flush_is_stuck = !state.flush_is_stuck);
                }
            }
        }
        apps.iter().for_each(|app| app.change(|state| state.flush_is_stuck = false));
        settle(&mut a, &mut b);
        prop_assert_eq!((a.output, b.output), (Some(Ok(())), Some(Ok(()))));
        prop_assert_eq!(apps[0].events(), blocks_of(len, 0..counts.1));
        prop_assert_eq!(apps[1].events(), blocks_of(len, 0..counts.0));
    }
}

#[test]
fn a_driven_session_can_be_sent_to_another_thread() {
    fn assert_send<T: Send>(_: T) {}
    let (mut side, ..) = Side::new(1);
    let mut machine = Blocks::new(0, 1);
    assert_send(drive(&mut machine, &side.store, &side.how, &mut side.tx, &mut side.rx, &mut side.app));
    let timer: Arc<dyn Timer> = Arc::new(ManualClock::new(Timestamp::ZERO));
    assert_eq!(timer.now(), Timestamp::ZERO);
}
