use proptest::prelude::*;

use super::*;

const AHEAD: Duration = Duration::from_secs(60);

#[test]
fn timestamps_grow_even_when_the_wall_clock_goes_back() {
    let mut clock = HlcClock::new(AHEAD);
    let mut last = Hlc::ZERO;
    for wall in [5, 5, 9, 3, 3, 10, 0] {
        let next = clock.tick(Timestamp::from_millis(wall)).unwrap();
        assert!(next > last);
        last = next;
    }
    assert_eq!(last, Hlc::new(Timestamp::from_millis(10), 1));
}

#[test]
fn a_full_counter_carries_into_the_milliseconds() {
    let mut clock = HlcClock::resume(Hlc::new(Timestamp::from_millis(7), u16::MAX), AHEAD);
    let next = clock.tick(Timestamp::from_millis(7)).unwrap();
    assert_eq!((next.wall().as_millis(), next.counter()), (8, 0));
}

#[test]
fn the_end_of_time_is_an_error() {
    let mut clock = HlcClock::resume(Hlc::from_bits(u64::MAX), AHEAD);
    assert_eq!(clock.tick(Timestamp::ZERO), Err(HlcError::Exhausted));
}

#[test]
fn a_remote_timestamp_counts_up_to_the_skew_and_not_beyond() {
    let mut clock = HlcClock::new(AHEAD);
    let wall = Timestamp::from_millis(1_000);
    clock.observe(wall, Hlc::new(wall + AHEAD, 3)).unwrap();
    assert_eq!(clock.tick(wall).unwrap(), Hlc::new(wall + AHEAD, 4));
    let too_far = Hlc::new(wall + AHEAD + Duration::from_millis(1), 0);
    assert!(matches!(clock.observe(wall, too_far), Err(HlcError::TooFarAhead { .. })));
    assert_eq!(clock.last(), Hlc::new(wall + AHEAD, 4));
}

fn millis(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

#[test]
fn a_wall_clock_past_the_last_millisecond_saturates() {
    let last = Hlc::new(Timestamp::MAX, 0);
    assert_eq!(last.wall(), millis((1 << 48) - 1));
    let mut clock = HlcClock::resume(last, AHEAD);
    assert!(clock.tick(Timestamp::MAX).unwrap() > last);
}

/// What happens to a clock.
#[derive(Clone, Debug)]
enum Event {
    Tick { wall: u64 },
    Observe { wall: u64, remote: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    // Mostly close together, so that clocks jump back and counters matter; sometimes anywhere.
    let wall = || prop_oneof![8 => 1_000_000..1_000_100_u64, 1 => any::<u64>()];
    let remote = prop_oneof![
        8 => (1_000_000..1_100_000_u64, any::<u16>()).prop_map(|(wall, n)| Hlc::new(millis(wall), n).to_bits()),
        1 => any::<u64>(),
    ];
    prop_oneof![
        wall().prop_map(|wall| Event::Tick { wall }),
        (wall(), remote).prop_map(|(wall, remote)| Event::Observe { wall, remote }),
    ]
}

/// A message between nodes, or an event on one.
type Step = (usize, usize, i64);

proptest! {
    #[test]
    fn parts_make_the_whole_and_its_order(a in (0..1_u64 << 48, any::<u16>()), b in (0..1_u64 << 48, any::<u16>())) {
        let hlc = |(wall, counter): (u64, u16)| Hlc::new(millis(wall), counter);
        prop_assert_eq!((hlc(a).wall().as_millis(), hlc(a).counter()), a);
        prop_assert_eq!(Hlc::from_bits(hlc(a).to_bits()), hlc(a));
        prop_assert_eq!(hlc(a).cmp(&hlc(b)), a.cmp(&b));
        prop_assert_eq!(hlc(a).to_bits().cmp(&hlc(b).to_bits()), a.cmp(&b));
    }

    /// Each timestamp is greater than all that were given or seen, at least the wall clock, and no further ahead than what
    /// was seen or needed to stay greater.
    #[test]
    fn a_clock_is_ahead_of_all_that_it_knows_and_not_more(events in prop::collection::vec(event(), 1..50)) {
        let mut clock = HlcClock::new(AHEAD);
        // The model: the greatest of all, as one integer of any size.
        let mut known = 0_u128;
        for event in events {
            match event {
                Event::Tick { wall } => {
                    let wall_bits = u128::from(wall.min((1 << 48) - 1)) << 16;
                    let expected = wall_bits.max(known + 1);
                    match clock.tick(millis(wall)) {
                        Ok(given) => prop_assert_eq!(u128::from(given.to_bits()), expected),
                        Err(err) => {
                            prop_assert_eq!(err, HlcError::Exhausted);
                            prop_assert!(expected > u128::from(u64::MAX));
                            continue;
                        }
                    }
                    known = expected;
                }
                Event::Observe { wall, remote } => {
                    let ahead = (remote >> 16).saturating_sub(wall);
                    match clock.observe(millis(wall), Hlc::from_bits(remote)) {
                        Ok(()) => {
                            prop_assert!(ahead <= 60_000);
                            known = known.max(u128::from(remote));
                        }
                        Err(err) => {
                            prop_assert!(ahead > 60_000);
                            let is_told = matches!(err, HlcError::TooFarAhead { ahead: told, .. } if told == Duration::from_millis(ahead));
                            prop_assert!(is_told, "{:?}", err);
                        }
                    }
                }
            }
            prop_assert_eq!(u128::from(clock.last().to_bits()), known);
        }
    }

    /// Nodes with clocks that disagree send each other messages: what happened after something else is always later.
    #[test]
    fn what_happened_after_something_else_is_later(
        skews in prop::collection::vec(-20_000..20_000_i64, 3),
        steps in prop::collection::vec((0..3_usize, 0..3_usize, 0..5_i64), 1..60),
    ) {
        let mut clocks = [HlcClock::new(AHEAD); 3];
        // The model: for each node the greatest timestamp among all events that happened before, by vector clocks.
        let mut latest_cause = [Hlc::ZERO; 3];
        let mut real_time = 1_000_000_i64;
        for (from, to, passed) in steps as Vec<Step> {
            real_time += passed;
            let wall = |node: usize| millis((real_time + skews[node]) as u64);
            let sent = clocks[from].tick(wall(from)).unwrap();
            prop_assert!(sent > latest_cause[from]);
            latest_cause[from] = sent;
            clocks[to].observe(wall(to), sent).unwrap();
            let received = clocks[to].tick(wall(to)).unwrap();
            prop_assert!(received > sent && received > latest_cause[to]);
            latest_cause[to] = received;
        }
    }
}
