//! What machines ask for, what waits for what, and signs of life.

use super::*;

/// Plays back outputs, then says that it is done, or does not want input.
#[derive(Default)]
struct Script {
    outputs: VecDeque<Output<Topic, usize>>,
    is_done: bool,
    wants_input: bool,
    responses: usize,
    heartbeat: Option<Duration>,
}

impl Machine for Script {
    type Topic = Topic;
    type Request = usize;
    type Response = usize;

    fn handle(&mut self, _: Timestamp, input: Input<'_, usize>) -> Result<(), SyncError> {
        self.responses += usize::from(matches!(input, Input::Response(_)));
        Ok(())
    }

    fn poll(&mut self) -> Option<Output<Topic, usize>> {
        self.outputs.pop_front()
    }

    fn next_timeout(&self) -> Option<Timestamp> {
        None
    }

    fn wants_input(&self) -> bool {
        self.wants_input
    }

    fn is_done(&self) -> bool {
        self.is_done
    }

    fn heartbeat(&self) -> Option<(Duration, Bytes)> {
        self.heartbeat.map(|interval| (interval, Bytes::from_static(b"!")))
    }
}

#[test]
fn what_was_received_is_worked_on_although_the_peer_takes_nothing() {
    let (side, _out, _input, _ends) = Side::new(0);
    let side = Side { how: Drive::new().with_window(10), ..side };
    let store = side.store.clone();
    let outputs = [
        Output::Send { bytes: Bytes::from_static(&[1; 10]), items: 0 },
        Output::Request(1),
        Output::Apply(2),
        Output::Watch(3),
    ];
    let mut task = side.task(Script { outputs: outputs.into(), wants_input: true, ..Script::default() });
    task.settle();
    assert_eq!(store.performed(), 2, "what is to be sent waits for the window, and nothing else does");
}

#[test]
fn a_session_does_not_end_before_what_was_received_is_worked_on_but_leaves_a_watch_behind() {
    let (side, _out, _input, _ends) = Side::new(100);
    let side = Side { store: Store::slow(), ..side };
    let store = side.store.clone();
    let mut task = side.task(Script { outputs: [Output::Apply(1)].into(), is_done: true, ..Script::default() });
    task.settle();
    assert_eq!(task.output, None);
    store.release();
    assert_eq!(task.finish(), Ok(()));

    let (side, _out, _input, _ends) = Side::new(100);
    let side = Side { store: Store::slow(), ..side };
    let store = side.store.clone();
    let mut task = side.task(Script { outputs: [Output::Watch(1)].into(), is_done: true, ..Script::default() });
    assert_eq!(task.finish(), Ok(()));
    drop(task);
    assert_eq!(store.0.lock().unwrap().dropped, 1);
}

#[test]
fn time_goes_on_while_something_is_watched_for() {
    let clock = ManualClock::new(Timestamp::ZERO);
    let (side, _out, _input, _ends) = Side::new(100);
    let how = Drive::new().with_timer(Arc::new(clock.clone()));
    let side = Side { how, store: Store::slow(), ..side };
    let mut machine = Blocks::new(0, 1).with_idle_max(Duration::from_secs(10));
    machine.outputs.push_back(Output::Watch(1));
    let mut task = side.task(machine);
    task.settle();
    advance(&clock, 10);
    assert_eq!(task.finish(), Err(SyncError::UnexpectedBehaviour("silence".into())));
}

#[test]
fn signs_of_life_are_sent_also_while_a_request_is_in_flight_and_not_while_there_is_more_to_send() {
    let clock = ManualClock::new(Timestamp::ZERO);
    let (side, out, _input, _ends) = Side::new(3);
    let how = Drive::new().with_timer(Arc::new(clock.clone()));
    let side = Side { how, store: Store::slow(), ..side };
    let script = Script { outputs: [Output::Apply(1)].into(), wants_input: true, ..Script::default() };
    let mut task = side.task(Script { heartbeat: Some(Duration::from_secs(5)), ..script });
    task.settle();
    assert_eq!(out.state().total, 0);
    for beats in 1..=3 {
        advance(&clock, 4);
        task.settle();
        assert_eq!(out.state().total, beats - 1);
        advance(&clock, 1);
        task.settle();
        assert_eq!(out.state().total, beats);
    }
    // The pipe is full: one more waits, and no other is added to it.
    for _ in 0..10 {
        advance(&clock, 5);
        task.settle();
    }
    out.change(|state| state.capacity = 100);
    task.settle();
    assert_eq!(out.state().total, 4);
}

#[test]
fn a_machine_whose_signs_of_life_have_no_pause_is_slowed_down() {
    let clock = ManualClock::new(Timestamp::ZERO);
    let (side, out, _input, _ends) = Side::new(1_000);
    let side = Side { how: Drive::new().with_timer(Arc::new(clock.clone())), ..side };
    let script = Script { wants_input: true, heartbeat: Some(Duration::ZERO), ..Script::default() };
    let mut task = side.task(script);
    for _ in 0..10 {
        task.settle();
        clock.advance(Duration::from_millis(100));
    }
    assert_eq!(out.state().total, 9);
}

#[test]
fn a_machine_that_is_done_still_gets_its_last_request_carried_out() {
    let (side, _out, _input, _ends) = Side::new(100);
    let side = Side { store: Store::slow(), ..side };
    let store = side.store.clone();
    let mut task = side.task(Script { outputs: [Output::Request(1)].into(), is_done: true, ..Script::default() });
    task.settle();
    assert_eq!((task.output.clone(), store.performed()), (None, 1));
    store.release();
    assert_eq!(task.finish(), Ok(()));
}

#[test]
fn a_machine_that_waits_for_nothing_fails_instead_of_hanging() {
    let (side, _out, _input, _ends) = Side::new(100);
    let mut task = side.task(Script::default());
    assert!(matches!(task.finish(), Err(SyncError::Critical(_))));

    let (side, _out, _input, ends) = Side::new(100);
    drop(ends);
    let mut task = side.task(Script { wants_input: true, ..Script::default() });
    assert!(matches!(task.finish(), Err(SyncError::UnexpectedBehaviour(_))));
}

#[test]
fn a_machine_that_asks_twice_fails_instead_of_losing_a_request() {
    let (side, _out, _input, _ends) = Side::new(100);
    let side = Side { store: Store::slow(), ..side };
    let outputs = [Output::Request(1), Output::Request(2)].into();
    let mut task = side.task(Script { outputs, wants_input: true, ..Script::default() });
    assert!(matches!(task.finish(), Err(SyncError::Critical(_))));
}

#[test]
fn sending_nothing_is_harmless() {
    let (side, out, _input, _ends) = Side::new(0);
    let outputs = [Output::Send { bytes: Bytes::new(), items: 0 }].into();
    let mut task = side.task(Script { outputs, is_done: true, ..Script::default() });
    assert_eq!(task.finish(), Ok(()));
    assert_eq!(out.state().total, 0);
}
