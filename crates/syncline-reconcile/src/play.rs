//! Plays two sides against each other, for the tests of all reconcilers.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::testing::KEY;
use crate::{
    Bound, Fingerprint, IdPart, IndexError, Item, ItemId, LtHash, Need, ReconcileError, ReconcileSet, Reconciler,
    SetKey, Sketch, Span, SummaryIndex, Symbol,
};

/// A set that answers by looking at every item. Its sums may be made weak.
#[derive(Clone, Debug)]
pub(crate) struct NaiveSet {
    pub(crate) items: Vec<Item>,
    /// The sums before each item, and before the end.
    sums: Vec<Fingerprint>,
    accumulator: LtHash,
    sketch: Sketch,
    /// Bits of the sums that count.
    sum_mask: u64,
}

impl NaiveSet {
    pub(crate) fn new(items: impl IntoIterator<Item = Item>) -> Self {
        Self::with(items, u64::MAX, 0)
    }

    /// With sums that keep only the bits of a mask, and so many symbols.
    pub(crate) fn with(items: impl IntoIterator<Item = Item>, sum_mask: u64, symbols: usize) -> Self {
        let items: BTreeSet<Item> = items.into_iter().collect();
        let mut sketch = Sketch::new(&KEY, symbols);
        let (mut accumulator, mut sums) = (LtHash::new(), vec![Fingerprint::EMPTY]);
        for item in &items {
            sketch.insert(&item.id);
            accumulator.add(&KEY, &item.id);
            sums.extend(sums.last().map(|sum| *sum + Fingerprint::of(&KEY, &item.id)));
        }
        Self { items: items.into_iter().collect(), sums, accumulator, sketch, sum_mask }
    }

    fn masked(&self, mut print: Fingerprint) -> Fingerprint {
        if self.sum_mask != u64::MAX {
            print.sum = [print.sum[0] & self.sum_mask, 0, 0, 0];
        }
        print
    }
}

impl SummaryIndex for NaiveSet {
    fn len(&self) -> Result<u64, IndexError> {
        Ok(self.items.len() as u64)
    }

    fn fingerprint(&self, span: &Span) -> Result<Fingerprint, IndexError> {
        let to = span.to.as_ref().map_or(Ok(self.items.len() as u64), |to| self.rank(to))?;
        let sum = |rank: u64| self.sums[usize::try_from(rank).unwrap()];
        Ok(self.masked(sum(to) - sum(self.rank(&span.from)?)))
    }

    fn fingerprints_before(&self, bounds: &[Bound]) -> Result<Vec<Fingerprint>, IndexError> {
        assert!(bounds.is_sorted(), "the contract");
        let before = |bound| self.fingerprint(&Span { from: Bound::MIN, to: Some(Bound::clone(bound)) });
        bounds.iter().map(before).collect()
    }

    fn rank(&self, bound: &Bound) -> Result<u64, IndexError> {
        let before = |item: &Item| !bound.is_at_or_before(&item.key, item.id.as_bytes());
        Ok(self.items.partition_point(before) as u64)
    }

    fn select(&self, rank: u64) -> Result<Option<Item>, IndexError> {
        Ok(self.items.get(usize::try_from(rank).unwrap()).cloned())
    }

    fn items(&self, span: &Span, visit: &mut dyn FnMut(&[u8], &ItemId) -> ControlFlow<()>) -> Result<(), IndexError> {
        let from = usize::try_from(self.rank(&span.from)?).unwrap();
        let to = span.to.as_ref().map_or(Ok(self.items.len() as u64), |to| self.rank(to))?;
        for item in self.items.iter().take(usize::try_from(to).unwrap()).skip(from) {
            if visit(&item.key, &item.id).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl ReconcileSet for NaiveSet {
    fn set_key(&self) -> &SetKey {
        &KEY
    }

    fn accumulator(&self) -> Result<LtHash, IndexError> {
        Ok(self.accumulator.clone())
    }

    fn symbol_count(&self) -> usize {
        self.sketch.len()
    }

    fn symbols(&self, from: usize, to: usize) -> Result<Vec<Symbol>, IndexError> {
        Ok(self.sketch.symbols(from, to))
    }

    fn contains(&self, key: &[u8], id: &ItemId) -> Result<bool, IndexError> {
        Ok(self.items.binary_search(&Item::new(key, *id)).is_ok())
    }

    fn find(&self, part: &IdPart) -> Result<Option<Item>, IndexError> {
        Ok(self.items.iter().find(|item| item.id.part() == *part).cloned())
    }
}

/// What a session came to.
#[derive(Debug, Default)]
pub(crate) struct Played {
    /// Bytes of each message, the opener's first.
    pub(crate) messages: Vec<usize>,
    /// What each side reported, the opener first.
    pub(crate) have: [Vec<Item>; 2],
    pub(crate) need: [Vec<Need>; 2],
}

impl Played {
    pub(crate) fn bytes(&self) -> usize {
        self.messages.iter().sum()
    }
}

/// Runs a session to its end, or until so many messages have been delivered.
pub(crate) fn play_until(
    opener: (&mut dyn Reconciler, &dyn ReconcileSet),
    responder: (&mut dyn Reconciler, &dyn ReconcileSet),
    last: usize,
) -> Result<Played, ReconcileError> {
    let mut played = Played::default();
    let ((opener, opener_set), (responder, responder_set)) = (opener, responder);
    let mut step = opener.open(opener_set)?;
    let mut sender = 0;
    loop {
        played.have[sender].append(&mut step.have);
        played.need[sender].append(&mut step.need);
        let Some(message) = step.reply else {
            assert!(opener.is_done() && responder.is_done(), "silence, and not done");
            return Ok(played);
        };
        if played.messages.len() == last {
            return Ok(played);
        }
        played.messages.push(message.len());
        sender = 1 - sender;
        step = match sender {
            0 => opener.receive(opener_set, &message)?,
            _ => responder.receive(responder_set, &message)?,
        };
    }
}

/// Runs a session to its end.
pub(crate) fn play(
    opener: (&mut dyn Reconciler, &dyn ReconcileSet),
    responder: (&mut dyn Reconciler, &dyn ReconcileSet),
) -> Result<Played, ReconcileError> {
    play_until(opener, responder, 100_000)
}

/// What one set has and the other lacks, in order.
pub(crate) fn only_in(one: &dyn SummaryIndex, other: &dyn SummaryIndex) -> Vec<Item> {
    let other: BTreeSet<Item> = crate::testing::items_of(other, &Span::ALL).into_iter().collect();
    crate::testing::items_of(one, &Span::ALL).into_iter().filter(|item| !other.contains(item)).collect()
}

/// Both sides reported exactly the difference, each item once.
pub(crate) fn assert_exact(mut played: Played, one: &dyn SummaryIndex, other: &dyn SummaryIndex) {
    played.have.iter_mut().for_each(|have| have.sort());
    assert_eq!(played.have[0], only_in(one, other));
    assert_eq!(played.have[1], only_in(other, one));
    assert_eq!(played.need[0].len(), played.have[1].len());
    assert_eq!(played.need[1].len(), played.have[0].len());
}
