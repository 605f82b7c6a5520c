//! Tests of the sketches.

use crate::play::{NaiveSet, Played, assert_exact, play};
use crate::testing::{KEY, Rng, for_each_seed, id, item};
use crate::wire::kind;
use crate::{
    IdPart, Item, ItemId, MemorySet, Nonce, RangeConfig, ReconcileSet, Reconciler, SketchConfig, SketchReconciler, Step,
};

fn pair(config: SketchConfig) -> [SketchReconciler; 2] {
    [1, 2].map(|byte| SketchReconciler::new(config, Nonce::from_bytes([byte; 16])))
}

fn memory_set(symbols: usize, numbers: impl IntoIterator<Item = u64>) -> MemorySet {
    MemorySet::from_items(&KEY, symbols, numbers.into_iter().map(|n| Item::new("", id(n))).collect()).unwrap()
}

fn run(one: &dyn ReconcileSet, other: &dyn ReconcileSet) -> Played {
    let [mut opener, mut responder] = pair(SketchConfig::DEFAULT);
    play((&mut opener, one), (&mut responder, other)).unwrap()
}

#[test]
fn a_few_differences_take_two_round_trips_whatever_the_size() {
    for size in [100, 1_000, 20_000] {
        let (one, other) = (memory_set(1_024, 0..size), memory_set(1_024, 5..size + 5));
        let played = run(&one, &other);
        assert_eq!(played.messages.len(), 4);
        assert!(played.bytes() < 2_000, "{:?}", played.messages);
        assert_exact(played, &one, &other);
    }
}

#[test]
fn more_differences_take_another_round_trip() {
    let (one, other) = (memory_set(4_096, 0..20_000), memory_set(4_096, 300..20_300));
    let played = run(&one, &other);
    assert_eq!(played.messages.len(), 6);
    assert!(played.bytes() < 600 * 75, "{:?}", played.messages);
    assert_exact(played, &one, &other);
}

#[test]
fn too_many_differences_go_on_by_ranges() {
    let (one, other) = (memory_set(512, 0..5_000), memory_set(512, 400..5_400));
    assert_exact(run(&one, &other), &one, &other);
    let (one, other) = (memory_set(512, 0..100), memory_set(512, 0..5_000));
    assert_exact(run(&one, &other), &one, &other);
    let (one, other) = (memory_set(0, 0..100), memory_set(512, 1..100));
    assert_exact(run(&one, &other), &one, &other);
}

/// Runs a session in which the responder pushes up to so many messages while each of the opener's is on its way.
fn stream(one: &dyn ReconcileSet, other: &dyn ReconcileSet, rng: &mut Rng) -> (Played, usize) {
    let config = SketchConfig { streamed: true, ..SketchConfig::DEFAULT };
    let [mut opener, mut responder] = pair(config);
    let mut played = Played::default();
    let mut pushed = 0;
    let keep = |played: &mut Played, side: usize, step: Step| {
        played.have[side].extend(step.have);
        played.need[side].extend(step.need);
        step.reply
    };
    let mut to_responder: Vec<_> = opener.open(one).unwrap().reply.into_iter().collect();
    while !(opener.is_done() && responder.is_done()) {
        let mut to_opener = Vec::new();
        for message in to_responder.drain(..) {
            let step = responder.receive(other, &message).unwrap();
            to_opener.extend(keep(&mut played, 1, step));
        }
        for _ in 0..rng.below(4) {
            let more = responder.push(other).unwrap();
            pushed += usize::from(more.is_some());
            to_opener.extend(more);
        }
        for message in to_opener {
            if !opener.is_done() {
                let step = opener.receive(one, &message).unwrap();
                to_responder.extend(keep(&mut played, 0, step));
            }
        }
    }
    (played, pushed)
}

#[test]
fn symbols_may_be_streamed() {
    for_each_seed(15, |rng| {
        let symbols = [128, 1_024][rng.below(2) as usize];
        let (size, shift) = (rng.below(2_000), rng.below(300));
        let (one, other) = (memory_set(symbols, 0..size), memory_set(symbols, shift..size + shift));
        let (played, _) = stream(&one, &other, rng);
        assert_exact(played, &one, &other);
    });
    let (played, pushed) = stream(&memory_set(1_024, 0..2_000), &memory_set(1_024, 100..2_100), &mut Rng(3));
    assert!(pushed > 0 && played.have[0].len() == 100);
}

#[test]
fn who_does_not_stream_is_asked_for_symbols() {
    let (one, other) = (memory_set(1_024, 0..2_000), memory_set(1_024, 100..2_100));
    for streamed in [false, true] {
        let [mut opener, mut responder] = [streamed, !streamed].map(|streamed| {
            SketchReconciler::new(SketchConfig { streamed, ..SketchConfig::DEFAULT }, Nonce::from_bytes([1; 16]))
        });
        let played = play((&mut opener, &one), (&mut responder, &other)).unwrap();
        assert_eq!(responder.push(&other).unwrap(), None);
        assert_exact(played, &one, &other);
    }
}

/// Two items of which only the second halves of the ids differ are one to a sketch.
#[test]
fn items_that_hide_from_the_symbols_are_found() {
    let twin = |byte: u8| {
        let mut bytes = *id(1).as_bytes();
        bytes[31] = byte;
        Item::new("twin", ItemId::from_bytes(bytes))
    };
    for more in [0, 5] {
        let one = NaiveSet::with((0..200).map(item).chain([twin(1)]), u64::MAX, 128);
        let other = NaiveSet::with((more..200 + more).map(item).chain([twin(2)]), u64::MAX, 128);
        let played = run(&one, &other);
        assert_exact(played, &one, &other);
    }
}

#[test]
fn messages_stay_short_enough() {
    for_each_seed(20, |rng| {
        let (one, other) = (memory_set(4_096, 0..3_000), memory_set(4_096, 0..3_000 - rng.below(800)));
        let config = SketchConfig {
            ranges: RangeConfig { message_len_max: 4_096, ..RangeConfig::DEFAULT },
            ..SketchConfig::DEFAULT
        };
        let [mut opener, mut responder] = pair(config);
        let played = play((&mut opener, &one), (&mut responder, &other)).unwrap();
        assert!(played.messages.iter().all(|len| *len <= 4_096), "{:?}", played.messages);
        assert_exact(played, &one, &other);
    });
}

#[test]
fn what_was_not_found_is_refused_or_left_to_ranges() {
    let set = memory_set(256, 0..100);
    let other = memory_set(256, 1..100);
    let opening = || {
        let [mut opener, mut responder] = pair(SketchConfig::DEFAULT);
        let open = opener.open(&other).unwrap().reply.unwrap();
        let answer = responder.receive(&set, &open).unwrap().reply.unwrap();
        assert_eq!(answer[0], kind::SYMBOLS | kind::NONCE);
        responder
    };
    let found = |parts: &[[u8; IdPart::LEN]]| {
        let head = [vec![kind::FOUND], vec![9; 16], vec![u8::try_from(parts.len()).unwrap()]].concat();
        [head, parts.concat(), vec![0]].concat()
    };
    // A digest that is another, and a part of which there is no item.
    for message in [found(&[]), found(&[[1; 16]])] {
        let step = opening().receive(&set, &message).unwrap();
        assert_eq!(step.reply.unwrap()[0], kind::NEXT);
        assert!(step.have.is_empty() && step.need.is_empty());
    }
    for message in [
        found(&[[2; 16], [1; 16]]),
        found(&[[1; 16], [1; 16]]),
        vec![kind::FOUND, 1],
        vec![kind::REQUEST, 64],
        vec![kind::REQUEST, 0x81, 2],
        vec![kind::SYMBOLS, 1],
        vec![kind::REQUEST],
        Vec::new(),
    ] {
        opening().receive(&set, &message).expect_err("not of the form");
    }
}
