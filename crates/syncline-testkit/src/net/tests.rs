use std::cell::RefCell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
use syncline_core::clock::{Clock, ManualClock, Timer, Timestamp};

use super::*;
use crate::seed::{Rng, for_each_seed};

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::ZERO)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Sends `bytes` over a direction and returns what came, with the time of each chunk.
fn transfer(conditions: Conditions, bytes: Vec<u8>) -> Vec<(u64, Vec<u8>)> {
    let clock = clock();
    let (mut tx, mut rx, _) = one_way(&clock, conditions);
    let mut sim = Sim::new(&clock);
    sim.spawn("writer", async move {
        let _cut = tx.write_all(&bytes).await;
        let _cut = tx.flush().await;
    });
    let chunks = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&chunks);
    sim.spawn("reader", async move {
        let mut buffer = [0; 4_096];
        while let Ok(count @ 1..) = rx.read(&mut buffer).await {
            seen.borrow_mut().push((clock.now().as_millis(), buffer[..count].to_vec()));
        }
    });
    sim.run().unwrap();
    drop(sim);
    chunks.take()
}

fn all(chunks: &[(u64, Vec<u8>)]) -> Vec<u8> {
    chunks.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
}

#[test]
fn bytes_arrive_in_order_whatever_the_conditions() {
    for_each_seed(0..200, |seed| {
        let mut rng = Rng::new(seed);
        let len = rng.index(3_000);
        let bytes = rng.bytes(len);
        let mut conditions = Conditions::new()
            .with_latency(millis(rng.below(50)))
            .with_capacity(rng.index(500))
            .with_chunk(1 + rng.index(100));
        if rng.chance(1, 2) {
            conditions = conditions.with_bandwidth(1 + rng.below(10_000));
        }
        if rng.chance(1, 2) {
            conditions = conditions.with_random_chunks(rng.next_u64());
        }
        if rng.chance(1, 2) {
            conditions = conditions.with_flush_required();
        }
        assert_eq!(all(&transfer(conditions, bytes.clone())), bytes);
    });
}

#[test]
fn latency_delays_each_byte_and_bandwidth_makes_them_queue() {
    let chunks = transfer(Conditions::new().with_latency(millis(30)), vec![1; 10]);
    assert_eq!(chunks, [(30, vec![1; 10])]);
    let slow = Conditions::new().with_latency(millis(30)).with_bandwidth(1_000).with_chunk(4);
    let times: Vec<u64> = transfer(slow, vec![1; 10]).iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [34, 38, 40]);
    // A rate of less than a byte in a millisecond adds up exactly.
    let crawling = Conditions::new().with_bandwidth(300).with_chunk(1);
    assert_eq!(transfer(crawling, vec![1; 300]).last().map(|(at, _)| *at), Some(1_000));
}

#[test]
fn a_writer_waits_when_the_buffer_is_full() {
    let (mut tx, mut rx, tap) = one_way(&clock(), Conditions::new().with_capacity(10));
    assert_eq!(tx.write(&[1; 100]).now_or_never().unwrap().unwrap(), 10);
    assert!(tx.write(&[1]).now_or_never().is_none());
    assert_eq!(rx.read(&mut [0; 4]).now_or_never().unwrap().unwrap(), 4);
    assert_eq!(tx.write(&[1; 100]).now_or_never().unwrap().unwrap(), 4);
    assert_eq!((tap.written(), tap.delivered()), (14, 4));
}

#[test]
fn what_is_not_flushed_does_not_leave_and_is_lost_with_the_writer() {
    let (mut tx, mut rx, _) = one_way(&clock(), Conditions::new().with_flush_required());
    let mut buffer = [0; 10];
    tx.write_all(&[1, 2]).now_or_never().unwrap().unwrap();
    assert!(rx.read(&mut buffer).now_or_never().is_none());
    tx.flush().now_or_never().unwrap().unwrap();
    assert_eq!(rx.read(&mut buffer).now_or_never().unwrap().unwrap(), 2);
    tx.write_all(&[3]).now_or_never().unwrap().unwrap();
    drop(tx);
    assert_eq!(rx.read(&mut buffer).now_or_never().unwrap().unwrap(), 0);
}

#[test]
fn a_full_buffer_leaves_without_a_flush() {
    let conditions = Conditions::new().with_flush_required().with_capacity(2);
    let (mut tx, mut rx, _) = one_way(&clock(), conditions);
    tx.write_all(&[1, 2]).now_or_never().unwrap().unwrap();
    assert!(tx.write(&[3]).now_or_never().is_none());
    assert_eq!(rx.read(&mut [0; 10]).now_or_never().unwrap().unwrap(), 2);
}

#[test]
fn a_closed_and_a_dropped_writer_both_end_the_stream_after_what_was_sent() {
    for closes in [true, false] {
        let (mut tx, mut rx, tap) = one_way(&clock(), Conditions::new());
        tx.write_all(&[1, 2]).now_or_never().unwrap().unwrap();
        if closes {
            tx.close().now_or_never().unwrap().unwrap();
            assert_eq!(tx.write(&[1]).now_or_never().unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
        assert_eq!(tap.was_closed(), closes);
        drop(tx);
        let mut bytes = Vec::new();
        rx.read_to_end(&mut bytes).now_or_never().unwrap().unwrap();
        assert_eq!(bytes, [1, 2]);
    }
}

#[test]
fn a_writer_learns_that_the_reader_is_gone() {
    let clock = clock();
    let (mut tx, rx, _) = one_way(&clock, Conditions::new().with_capacity(1));
    let mut sim = Sim::new(&clock);
    let outcome = sim.spawn("writer", async move { tx.write_all(&[1, 2]).await });
    assert_eq!(sim.settle().unwrap(), [outcome.id()]);
    drop(rx);
    sim.run().unwrap();
    assert_eq!(outcome.take().unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_cut_comes_after_exactly_so_many_bytes() {
    for at in 0..10 {
        let closed = transfer(Conditions::new().with_cut(at, Cut::Close).with_chunk(3), vec![7; 9]);
        assert_eq!(all(&closed).len() as u64, at.min(9));
    }
    let (mut tx, mut rx, _) = one_way(&clock(), Conditions::new().with_cut(2, Cut::Reset));
    assert_eq!(tx.write(&[1; 5]).now_or_never().unwrap().unwrap(), 2);
    assert_eq!(tx.write(&[1]).now_or_never().unwrap().unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(rx.read(&mut [0; 5]).now_or_never().unwrap().unwrap(), 2);
    assert_eq!(rx.read(&mut [0; 5]).now_or_never().unwrap().unwrap_err().kind(), ErrorKind::ConnectionReset);
    let (mut tx, mut rx, _) = one_way(&clock(), Conditions::new().with_cut(2, Cut::Stall).with_capacity(5));
    assert_eq!(tx.write(&[1; 5]).now_or_never().unwrap().unwrap(), 5);
    assert_eq!(rx.read(&mut [0; 5]).now_or_never().unwrap().unwrap(), 2);
    assert!(rx.read(&mut [0; 5]).now_or_never().is_none());
    assert_eq!(tx.write(&[1; 5]).now_or_never().unwrap().unwrap(), 2);
    assert!(tx.write(&[1]).now_or_never().is_none());
}

#[test]
fn a_cut_from_outside_wakes_both_sides() {
    let clock = clock();
    let (mut tx, mut rx, tap) = one_way(&clock, Conditions::new().with_capacity(1));
    let mut sim = Sim::new(&clock);
    let wrote = sim.spawn("writer", async move { tx.write_all(&[1, 2, 3]).await.is_ok() });
    let read = sim.spawn("reader", async move { rx.read_exact(&mut [0; 4]).await.is_ok() });
    // The writer completes; the reader waits for a fourth byte until the writer is dropped with its task.
    sim.run().unwrap();
    assert_eq!((wrote.take(), read.take()), (Some(true), Some(false)));

    let (mut tx, mut rx, second) = one_way(&clock, Conditions::new().with_capacity(1));
    let mut sim = Sim::new(&clock);
    let read = sim.spawn("reader", async move { rx.read(&mut [0; 4]).await.unwrap() });
    assert_eq!(sim.settle().unwrap().len(), 1);
    second.cut(Cut::Close);
    sim.run().unwrap();
    assert_eq!(read.take(), Some(0));
    assert!(tx.write(&[1]).now_or_never().unwrap().is_err());
    assert_eq!(tap.delivered(), 3);
}

#[test]
fn what_is_held_arrives_when_it_is_let_go_and_so_does_the_end() {
    let clock = clock();
    let (mut tx, mut rx, tap) = one_way(&clock, Conditions::new().with_latency(Duration::from_millis(5)));
    assert_eq!(tx.write(&[1, 2]).now_or_never().unwrap().unwrap(), 2);
    drop(tx);
    tap.hold(true);
    let mut sim = Sim::new(&clock);
    let read = sim.spawn("reader", async move {
        let mut bytes = Vec::new();
        rx.read_to_end(&mut bytes).await.unwrap();
        bytes
    });
    assert_eq!(sim.settle().unwrap(), [read.id()]);
    clock.advance(Duration::from_secs(60));
    assert_eq!(sim.settle().unwrap(), [read.id()]);
    tap.hold(false);
    sim.run().unwrap();
    assert_eq!(read.take(), Some(vec![1, 2]));

    let (_tx, mut rx, tap) = one_way(&clock, Conditions::new());
    tap.hold(true);
    tap.cut(Cut::Reset);
    assert!(rx.read(&mut [0]).now_or_never().unwrap().is_err());
}

#[test]
fn time_stops_where_it_is_told_to() {
    let clock = clock();
    let mut sim = Sim::new(&clock);
    let slept = sim.spawn("sleeper", clock.sleep_until(Timestamp::from_millis(10)));
    while sim.step_until(Timestamp::from_millis(4)).unwrap() != Step::Idle {}
    assert_eq!((clock.now(), slept.take()), (Timestamp::from_millis(4), None));
    while sim.step_until(Timestamp::from_millis(12)).unwrap() != Step::Idle {}
    assert_eq!((clock.now(), slept.take()), (Timestamp::from_millis(12), Some(())));
    assert_eq!(sim.polls_total(), 2);
}

#[test]
fn only_the_chosen_bytes_are_changed() {
    let changed = transfer(Conditions::new().with_corrupt(0, 1).with_corrupt(5, 0xf0).with_corrupt(99, 1), vec![0; 8]);
    assert_eq!(all(&changed), [1, 0, 0, 0, 0, 0xf0, 0, 0]);
    let changed = transfer(Conditions::new().with_chunk(3).with_corrupt(4, 2), vec![0; 8]);
    assert_eq!(all(&changed), [0, 0, 0, 0, 2, 0, 0, 0]);
}

#[test]
fn a_link_carries_both_ways() {
    let clock = clock();
    let Link { mut a, mut b, a_to_b, b_to_a } = Link::new(&clock, Conditions::new(), Conditions::new());
    let mut sim = Sim::new(&clock);
    sim.spawn("a", async move {
        a.tx.write_all(b"ping").await.unwrap();
        a.rx.read_exact(&mut [0; 5]).await.unwrap();
    });
    sim.spawn("b", async move {
        b.rx.read_exact(&mut [0; 4]).await.unwrap();
        b.tx.write_all(b"pong!").await.unwrap();
    });
    sim.run().unwrap();
    assert_eq!((a_to_b.recorded(), b_to_a.recorded()), (b"ping".to_vec(), b"pong!".to_vec()));
}

#[test]
fn tasks_that_wait_for_each_other_are_named() {
    let clock = clock();
    let Link { mut a, mut b, .. } = Link::new(&clock, Conditions::new(), Conditions::new());
    let mut sim = Sim::new(&clock);
    sim.spawn("alice", async move { a.rx.read(&mut [0]).await });
    sim.spawn("bob", async move { b.rx.read(&mut [0]).await });
    sim.spawn("carol", async {});
    assert_eq!(sim.run(), Err(SimError::Deadlock { waiting: vec!["alice".into(), "bob".into()] }));
}

#[test]
fn time_jumps_to_the_next_wake_and_no_further() {
    let clock = clock();
    let mut sim = Sim::new(&clock);
    for seconds in [3, 1, 2] {
        let sleep = clock.sleep_until(Timestamp::from_millis(seconds * 1_000));
        sim.spawn(format!("after {seconds} s"), sleep);
    }
    let mut seen = Vec::new();
    while sim.step().unwrap() != Step::Idle {
        seen.push(clock.now().as_millis());
    }
    seen.dedup();
    assert_eq!(seen, [0, 1_000, 2_000, 3_000]);
}

#[test]
fn a_panic_is_caught_and_told_and_the_others_go_on() {
    let clock = clock();
    let mut sim = Sim::new(&clock);
    let number = 7;
    sim.spawn("bad", async move { panic!("number {number}") });
    let good = sim.spawn("good", async { 1 });
    assert_eq!(sim.run(), Err(SimError::Panicked { task: "bad".into(), message: "number 7".into() }));
    sim.run().unwrap();
    assert_eq!(good.take(), Some(1));
}

#[test]
fn a_task_that_never_rests_and_time_without_end_are_errors() {
    let clock = clock();
    let mut sim = Sim::new(&clock).with_polls_max(100);
    sim.spawn(
        "spinner",
        std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            std::task::Poll::<()>::Pending
        }),
    );
    sim.spawn("innocent", clock.sleep_until(Timestamp::from_millis(1)));
    assert_eq!(sim.run(), Err(SimError::Busy { task: "spinner".into(), polls: 100 }));

    let mut sim = Sim::new(&clock).with_time_max(Duration::from_secs(60));
    let heart = clock.clone();
    sim.spawn("heart", async move {
        loop {
            heart.sleep_until(heart.now() + Duration::from_secs(1)).await;
        }
    });
    assert_eq!(sim.run(), Err(SimError::Endless { elapsed: Duration::from_secs(60) }));
    assert_eq!(clock.now(), Timestamp::from_millis(60_000));
}

/// A loop that ignores the end of its stream would never return to the simulation.
#[test]
fn a_loop_over_a_stream_that_is_over_does_not_hang_the_test() {
    let clock = clock();
    let (tx, mut rx, _) = one_way(&clock, Conditions::new());
    drop(tx);
    let mut sim = Sim::new(&clock).with_polls_max(1_000);
    sim.spawn("deaf", async move { while rx.read(&mut [0]).await.is_ok() {} });
    assert!(matches!(sim.run(), Err(SimError::Busy { .. })));
    let (mut tx, rx, _) = one_way(&clock, Conditions::new());
    drop(rx);
    let mut sim = Sim::new(&clock).with_polls_max(1_000);
    sim.spawn("stubborn", async move { while tx.write(&[0]).await.is_err() {} });
    assert!(matches!(sim.run(), Err(SimError::Busy { .. })));
}

#[test]
fn an_aborted_task_is_dropped_where_it_stands() {
    let clock = clock();
    let (mut tx, mut rx, _) = one_way(&clock, Conditions::new());
    let mut sim = Sim::new(&clock);
    let writer = sim.spawn("writer", async move {
        tx.write_all(&[1]).await.unwrap();
        std::future::pending::<()>().await;
    });
    let reader = sim.spawn("reader", async move {
        let mut bytes = Vec::new();
        rx.read_to_end(&mut bytes).await.unwrap();
        bytes
    });
    assert_eq!(sim.settle().unwrap().len(), 2);
    assert_eq!((sim.polls(writer.id()), sim.has_ended(writer.id())), (1, false));
    sim.abort(writer.id()).unwrap();
    sim.run().unwrap();
    assert_eq!((writer.take(), reader.take()), (None, Some(vec![1])));
}

#[test]
fn a_seed_fixes_the_order_and_seeds_differ() {
    let order = |seed: u64| {
        let clock = clock();
        let seen = Rc::new(RefCell::new(Vec::new()));
        let mut sim = Sim::new(&clock).with_random_order(seed);
        for index in 0..10 {
            let seen = Rc::clone(&seen);
            sim.spawn("task", async move { seen.borrow_mut().push(index) });
        }
        sim.run().unwrap();
        drop(sim);
        seen.take()
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}
