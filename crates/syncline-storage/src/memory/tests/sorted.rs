//! The entries of a node against a sorted vector.

use bytes::Bytes;
use proptest::prelude::*;

use crate::memory::sorted::Sorted;

/// Keys that have much in common or nothing, end at any place about the prefix and the head, and have zeros at the end.
fn key() -> impl Strategy<Value = Bytes> {
    let beginning = prop_oneof![Just(0usize), Just(5), Just(46), Just(62), Just(63), Just(64), Just(90)];
    let byte = prop_oneof![4 => Just(0u8), 4 => Just(1), 1 => Just(0xff)];
    (beginning, prop_oneof![9 => Just(7u8), 1 => Just(8)], proptest::collection::vec(byte, 0..20)).prop_map(
        |(len, first, end)| {
            let mut key = vec![7; len];
            if let Some(byte) = key.first_mut() {
                *byte = first;
            }
            key.extend(end);
            key.into()
        },
    )
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Bytes),
    Remove(prop::sample::Index),
    /// Splits there, keeps one half.
    Split(prop::sample::Index, bool),
    /// Splits there and joins the halves.
    Join(prop::sample::Index),
    /// Splits in the middle and joins the halves.
    Middle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => key().prop_map(Step::Insert),
        4 => any::<prop::sample::Index>().prop_map(Step::Remove),
        1 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(at, right)| Step::Split(at, right)),
        2 => any::<prop::sample::Index>().prop_map(Step::Join),
        1 => Just(Step::Middle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn finds_what_a_sorted_vector_finds(
        steps in proptest::collection::vec(step(), 1..80),
        probes in proptest::collection::vec(key(), 10),
    ) {
        let (mut sorted, mut model) = (Sorted::default(), Vec::<Bytes>::new());
        for step in steps {
            match step {
                Step::Insert(key) => {
                    let at = sorted.search(&key);
                    prop_assert_eq!(at, model.binary_search(&key));
                    if let Err(at) = at {
                        sorted.insert(at, key.clone());
                        model.insert(at, key);
                    }
                }
                Step::Remove(at) if !model.is_empty() => {
                    let at = at.index(model.len());
                    prop_assert_eq!(sorted.remove(at), model.remove(at));
                }
                Step::Split(at, right) if !model.is_empty() => {
                    let at = at.index(model.len());
                    let (behind, behind_model) = (sorted.split_off(at), model.split_off(at));
                    prop_assert!(behind.is_sound());
                    prop_assert_eq!(behind.entries(), &behind_model[..]);
                    if right {
                        (sorted, model) = (behind, behind_model);
                    }
                }
                Step::Join(at) if !model.is_empty() => {
                    let behind = sorted.split_off(at.index(model.len()));
                    sorted.append(behind);
                }
                Step::Middle if model.len() >= 2 => {
                    let middle = sorted.middle();
                    prop_assert!((model.len() / 3..=2 * model.len() / 3).contains(&middle) && middle > 0);
                    let behind = sorted.split_off(middle);
                    sorted.append(behind);
                }
                Step::Remove(_) | Step::Split(..) | Step::Join(_) | Step::Middle => {}
            }
            prop_assert!(sorted.is_sound());
            prop_assert!(sorted.clone().is_sound());
            prop_assert_eq!(sorted.entries(), &model[..]);
            for key in probes.iter().chain(&model) {
                prop_assert_eq!(sorted.search(key), model.binary_search(key));
            }
        }
    }
}

#[test]
fn a_split_parts_what_has_little_in_common() {
    let mut sorted = Sorted::default();
    for n in 0..33u8 {
        let key = [b"a/".as_slice(), if n < 13 { b"long/name/" } else { b"lost/name/" }, &[n]].concat();
        sorted.push(Bytes::from(key));
    }
    assert_eq!(sorted.middle(), 13);
}
