//! What the tests of several modules need.

use std::ops::ControlFlow;

use crate::{Bound, Fingerprint, Item, ItemId, SetKey, Span, SummaryIndex};

pub(crate) const KEY: SetKey = SetKey::from_bytes([7; 32]);

/// The id with a number: the hash of it.
pub(crate) fn id(n: u64) -> ItemId {
    ItemId::from_bytes(*blake3::hash(&n.to_le_bytes()).as_bytes())
}

/// Item `n`: keys of 8 to 40 bytes in no order, several items under some of them.
pub(crate) fn item(n: u64) -> Item {
    let hash = blake3::hash(&(n / 2).to_be_bytes());
    let mut key = hash.as_bytes().to_vec();
    key.extend_from_slice(&n.to_be_bytes());
    key.truncate(8 + usize::from(hash.as_bytes()[31]) % 33);
    Item::new(key, id(n))
}

/// SplitMix64, for tests in which proptest would draw too much.
#[derive(Debug)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Seeds to run: `count` of them, as many as the environment variable `SEEDS` says, or the one that `SEED` names. The seed is
/// shown if the test fails.
pub(crate) fn for_each_seed(count: u64, mut test: impl FnMut(&mut Rng)) {
    let variable = |name| std::env::var(name).ok().map(|number| number.parse::<u64>().unwrap());
    let count = variable("SEEDS").unwrap_or(count);
    for seed in variable("SEED").map_or(0..count, |seed| seed..seed + 1) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&mut Rng(seed))));
        if let Err(panic) = outcome {
            eprintln!("SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Items and their fingerprints, summed one by one.
struct Naive<'a>(Vec<(&'a Item, Fingerprint)>);

impl<'a> Naive<'a> {
    fn new(items: &'a [Item]) -> Self {
        Self(items.iter().map(|item| (item, Fingerprint::of(&KEY, &item.id))).collect())
    }

    fn sum(&self, span: &Span) -> Fingerprint {
        let inside = |item: &Item| {
            let (key, id) = (&item.key[..], &item.id.as_bytes()[..]);
            span.from.is_at_or_before(key, id) && !span.to.as_ref().is_some_and(|to| to.is_at_or_before(key, id))
        };
        self.0.iter().filter(|(item, _)| inside(item)).fold(Fingerprint::EMPTY, |sum, (_, one)| sum + *one)
    }
}

/// Places at, between, before and behind items.
pub(crate) fn some_bound(items: &[Item], rng: &mut Rng) -> Bound {
    let key = match items.len() as u64 {
        0 => Vec::new(),
        len => items[rng.below(len) as usize].key.clone(),
    };
    let id = items.iter().find(|item| item.key == key).map(|item| *item.id.as_bytes()).unwrap_or_default();
    match rng.below(6) {
        0 => Bound::MIN,
        1 => Bound { key: vec![0xff; 41], id_prefix: Vec::new() },
        2 => Bound { key: key[..key.len() / 2].to_vec(), id_prefix: Vec::new() },
        3 => Bound { key, id_prefix: id[..rng.below(33) as usize].to_vec() },
        4 => Bound { key, id_prefix: rng.next().to_le_bytes().to_vec() },
        _ => Bound { key, id_prefix: Vec::new() },
    }
}

/// Whether an index says of everything what a scan says.
pub(crate) fn assert_agrees(index: &dyn SummaryIndex, items: &[Item], rng: &mut Rng, spans: usize) {
    assert!(items.is_sorted());
    let naive = Naive::new(items);
    assert_eq!(index.len().unwrap(), items.len() as u64);
    assert_eq!(index.fingerprint(&Span::ALL).unwrap(), naive.sum(&Span::ALL));
    assert_eq!(items_of(index, &Span::ALL), items);
    assert_eq!(index.select(items.len() as u64).unwrap(), None);
    let mut bounds = vec![Bound::MIN];
    for _ in 0..spans {
        let from = some_bound(items, rng);
        let to = (rng.below(4) > 0).then(|| some_bound(items, rng));
        let span = Span { from, to };
        assert_eq!(index.fingerprint(&span).unwrap(), naive.sum(&span), "{span:?}");
        let rank = naive.sum(&Span { from: Bound::MIN, to: Some(span.from.clone()) }).count;
        assert_eq!(index.rank(&span.from).unwrap(), rank);
        assert_eq!(index.select(rank).unwrap().as_ref(), items.get(rank as usize));
        let shown = items_of(index, &span);
        assert_eq!(shown.len() as u64, naive.sum(&span).count);
        assert!(shown.is_sorted());
        bounds.push(span.from);
    }
    bounds.sort();
    let sums = index.fingerprints_before(&bounds).unwrap();
    assert_eq!(sums.len(), bounds.len());
    for (bound, sum) in bounds.into_iter().zip(sums) {
        assert_eq!(sum, naive.sum(&Span { from: Bound::MIN, to: Some(bound) }));
    }
    assert_cuts_agree(index, &naive, rng, spans as u64);
}

fn assert_cuts_agree(index: &dyn SummaryIndex, naive: &Naive<'_>, rng: &mut Rng, width: u64) {
    let len = naive.0.len() as u64;
    let (mut ranks, mut rank) = (Vec::new(), 1 + rng.below(width));
    while rank < len {
        let to = (rank + rng.below(width)).min(len - 1);
        ranks.push(rank..=to);
        rank = to + 1 + rng.below(width);
    }
    let cuts = index.cuts(&ranks).unwrap();
    assert_eq!(cuts.len(), ranks.len());
    assert!(cuts.is_sorted_by(|(one, _), (other, _)| one < other));
    for ((bound, before), range) in cuts.into_iter().zip(ranks) {
        assert!(range.contains(&before.count), "{before:?} {range:?}");
        assert_eq!(before, naive.sum(&Span { from: Bound::MIN, to: Some(bound) }));
    }
    for none in [0, len, len + 1] {
        index.cuts(&[none..=none]).expect_err("there is nothing on one side");
    }
}

pub(crate) fn items_of(index: &dyn SummaryIndex, span: &Span) -> Vec<Item> {
    let mut items = Vec::new();
    index
        .items(span, &mut |key, id| {
            items.push(Item::new(key, *id));
            ControlFlow::Continue(())
        })
        .unwrap();
    items
}
