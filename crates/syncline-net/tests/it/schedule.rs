//! Anti-entropy, in paused time.

use std::sync::Arc;
use std::time::Duration;

use syncline_net::{NodeLimits, Schedule};
use tokio::time::Instant;

use crate::support::{Exchange, Inbox, Mood, Pair, ROOM, discard, id, items, memory_node};

const MINUTE: Duration = Duration::from_secs(60);

fn exactly(interval: Duration) -> Schedule {
    Schedule::new(interval, 1).with_jitter_percent(0).with_retry(Duration::from_secs(4), Duration::from_secs(32))
}

#[tokio::test(start_paused = true)]
async fn rounds_come_at_once_and_then_at_the_interval() {
    let pair = Pair::new(Exchange::new(items(2, 3)));
    let start = Instant::now();
    let mut rounds = pair.a.keep_in_sync(&pair.to_b, Exchange::new(vec![]), ROOM, exactly(MINUTE), discard);
    for round in 0..5u32 {
        let status = rounds.changed().await.unwrap();
        assert_eq!((status.succeeded, status.failed), (u64::from(round) + 1, 0));
        assert_eq!(start.elapsed().as_secs(), (MINUTE * round).as_secs());
    }
    assert_eq!(pair.inbox.started(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_jitter_keeps_its_bounds_and_depends_on_the_seed() {
    let pair = Pair::new(Exchange::new(vec![]));
    let mut all = Vec::new();
    for seed in [1, 2] {
        let schedule = Schedule::new(MINUTE, seed).with_jitter_percent(50);
        let mut rounds = pair.a.keep_in_sync(&pair.to_b, Exchange::new(vec![]), ROOM, schedule, discard);
        rounds.changed().await.unwrap();
        let mut delays = Vec::new();
        for _ in 0..10 {
            let start = Instant::now();
            rounds.changed().await.unwrap();
            delays.push(start.elapsed());
        }
        assert!(delays.iter().all(|delay| (29..=91).contains(&delay.as_secs())), "seed {seed}: {delays:?}");
        assert!(
            delays.iter().max().unwrap().as_secs() - delays.iter().min().unwrap().as_secs() > 5,
            "seed {seed}: {delays:?}"
        );
        rounds.stop();
        all.push(delays);
    }
    assert_ne!(all[0], all[1]);
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_to_a_cap_and_a_success_ends_it() {
    let pair = Pair::new(Exchange::new(vec![]));
    pair.b.shutdown().await;
    let mut rounds = pair.a.keep_in_sync(&pair.to_b, Exchange::new(vec![]), ROOM, exactly(MINUTE), discard);
    rounds.changed().await.unwrap();
    for (failures, full) in [(2, 4), (3, 8), (4, 16), (5, 32), (6, 32), (7, 32)] {
        let start = Instant::now();
        let status = rounds.changed().await.unwrap();
        assert_eq!(status.failures_in_a_row, failures);
        let delay = start.elapsed();
        assert!(delay.as_millis() >= full * 500 && delay.as_millis() <= full * 1_000 + 2, "{failures}: {delay:?}");
    }
    let endpoint = pair.network.endpoint(id(2)).unwrap();
    let b = memory_node(endpoint, NodeLimits::default());
    let _b = b.register(Exchange::new(vec![]), Inbox::new().handler()).build().unwrap();
    let status = rounds.changed().await.unwrap();
    assert_eq!((status.failures_in_a_row, status.failed, status.succeeded), (0, 7, 1));
    let start = Instant::now();
    rounds.changed().await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_rounds_and_cancels_the_one_under_way() {
    let pair = Pair::new(Exchange::of(Mood::Waits(Arc::default())));
    let mut rounds = pair.a.keep_in_sync(&pair.to_b, Exchange::new(vec![]), ROOM, exactly(MINUTE), discard);
    pair.inbox.until(|inbox| inbox.started() == 1).await;
    let start = Instant::now();
    rounds.stop();
    while rounds.changed().await.is_some() {}
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(pair.inbox.until_ended(1).await.len(), 1);

    // Between two rounds.
    let pair = Pair::new(Exchange::new(vec![]));
    let mut rounds = pair.a.keep_in_sync(&pair.to_b, Exchange::new(vec![]), ROOM, exactly(MINUTE), discard);
    rounds.changed().await.unwrap();
    rounds.stop();
    assert!(rounds.changed().await.is_none());
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(pair.inbox.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_the_round_under_way_finish() {
    let notify = Arc::<tokio::sync::Notify>::default();
    let pair = Pair::new(Exchange::of(Mood::Waits(Arc::clone(&notify))));
    let mut rounds = pair.a.keep_in_sync(&pair.to_b, Exchange::new(vec![]), ROOM, exactly(MINUTE), discard);
    pair.inbox.until(|inbox| inbox.started() == 1).await;
    let a = pair.a.clone();
    let shutdown = tokio::spawn(async move { a.shutdown().await });
    tokio::time::sleep(Duration::from_secs(3)).await;
    notify.notify_one();
    assert_eq!(shutdown.await.unwrap().sessions_cut_off(), 0);
    assert_eq!(rounds.changed().await.unwrap().succeeded, 1);
    assert!(rounds.changed().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_cannot_be_made_is_a_failed_round() {
    let pair = Pair::new(Exchange::new(vec![]));
    let mut calls = 0;
    let mut rounds = pair.a.keep_in_sync(&pair.to_b, Exchange::new(vec![]), ROOM, exactly(MINUTE), move || {
        calls += 1;
        assert!(calls > 1, "on purpose");
        discard()
    });
    assert_eq!(rounds.changed().await.unwrap().failed, 1);
    assert_eq!(rounds.changed().await.unwrap().succeeded, 1);
}
