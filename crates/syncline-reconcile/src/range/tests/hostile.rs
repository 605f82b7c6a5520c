//! What a peer may do, and what it must not achieve.

use std::ops::ControlFlow;

use super::pair;
use crate::play::{NaiveSet, only_in, play};
use crate::testing::{KEY, for_each_seed, item};
use crate::wire::kind;
use crate::{
    Bound, Fingerprint, HashReconciler, IdPart, IndexError, Item, ItemId, Limits, LtHash, Nonce, RangeConfig,
    RangeReconciler, ReconcileError, ReconcileSet, Reconciler, SetKey, SketchConfig, SketchReconciler, Span,
    SummaryIndex, Symbol,
};

/// Says that it has 2^40 items, whatever it is asked, and never that two sums are equal.
#[derive(Debug)]
struct Endless;

const LEN: u64 = 1 << 40;

fn made_up(rank: u64) -> Item {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(rank << 23).to_be_bytes());
    Item::new("", ItemId::from_bytes(bytes))
}

impl SummaryIndex for Endless {
    fn len(&self) -> Result<u64, IndexError> {
        Ok(LEN)
    }

    fn fingerprint(&self, span: &Span) -> Result<Fingerprint, IndexError> {
        let to = span.to.as_ref().map_or(Ok(LEN), |to| self.rank(to))?;
        let from = self.rank(&span.from)?;
        Ok(Fingerprint { count: to - from, sum: [from, to, 3, 4] })
    }

    fn fingerprints_before(&self, bounds: &[Bound]) -> Result<Vec<Fingerprint>, IndexError> {
        bounds.iter().map(|bound| self.fingerprint(&Span { from: Bound::MIN, to: Some(bound.clone()) })).collect()
    }

    fn rank(&self, bound: &Bound) -> Result<u64, IndexError> {
        if !bound.key.is_empty() {
            return Ok(LEN);
        }
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(&bound.id_prefix).for_each(|(to, from)| *to = *from);
        Ok((u64::from_be_bytes(bytes) >> 23).min(LEN))
    }

    fn select(&self, rank: u64) -> Result<Option<Item>, IndexError> {
        Ok(Some(made_up(rank)))
    }

    fn items(&self, span: &Span, visit: &mut dyn FnMut(&[u8], &ItemId) -> ControlFlow<()>) -> Result<(), IndexError> {
        let to = span.to.as_ref().map_or(Ok(LEN), |to| self.rank(to))?;
        for rank in self.rank(&span.from)?..to {
            let item = made_up(rank);
            if visit(&item.key, &item.id).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl ReconcileSet for Endless {
    fn set_key(&self) -> &SetKey {
        &KEY
    }

    fn accumulator(&self) -> Result<LtHash, IndexError> {
        Ok(LtHash::new())
    }

    fn symbol_count(&self) -> usize {
        256
    }

    fn symbols(&self, from: usize, to: usize) -> Result<Vec<Symbol>, IndexError> {
        Ok((from..to).map(|at| Symbol::new([at as u8; 16], at as u64, 1)).collect())
    }

    fn contains(&self, _: &[u8], _: &ItemId) -> Result<bool, IndexError> {
        Ok(true)
    }

    fn find(&self, _: &IdPart) -> Result<Option<Item>, IndexError> {
        Ok(Some(made_up(0)))
    }
}

fn limited(limits: Limits) -> RangeConfig {
    RangeConfig { limits, message_len_max: 4_096, ..RangeConfig::DEFAULT }
}

#[test]
fn a_set_without_end_exhausts_the_budget() {
    let set = NaiveSet::new((0..2_000).map(item));
    for limits in [
        Limits { messages: 30, ..Limits::DEFAULT },
        Limits { bytes: 100_000, ..Limits::DEFAULT },
        Limits { ids: 5_000, ..Limits::DEFAULT },
    ] {
        for is_opener in [false, true] {
            let mut victim = RangeReconciler::new(limited(limits), Nonce::from_bytes([1; 16]));
            let mut peer = RangeReconciler::new(limited(Limits::DEFAULT), Nonce::from_bytes([2; 16]));
            let failed = if is_opener {
                play((&mut victim, &set), (&mut peer, &Endless))
            } else {
                play((&mut peer, &Endless), (&mut victim, &set))
            };
            assert!(matches!(failed, Err(ReconcileError::Budget { .. })), "{failed:?}");
            assert!(!victim.is_done());
        }
    }
}

#[test]
fn each_limit_ends_a_session() {
    let (set, other) = (NaiveSet::new((0..3_000).map(item)), NaiveSet::new((3_000..6_000).map(item)));
    for (limits, what) in [
        (Limits { messages: 3, ..Limits::DEFAULT }, "messages"),
        (Limits { message_len: 3_000, ..Limits::DEFAULT }, "bytes in a message"),
        (Limits { bytes: 20_000, ..Limits::DEFAULT }, "bytes received"),
        (Limits { parts: 100, ..Limits::DEFAULT }, "parts in a message"),
        (Limits { ids: 5_999, ..Limits::DEFAULT }, "items that differ"),
        (Limits { pending: 20_000, ..Limits::DEFAULT }, "bytes waiting for an answer"),
    ] {
        let mut victim = RangeReconciler::new(limited(limits), Nonce::from_bytes([1; 16]));
        let mut peer = RangeReconciler::new(limited(Limits::DEFAULT), Nonce::from_bytes([2; 16]));
        let failed = play((&mut peer, &other), (&mut victim, &set));
        assert!(matches!(failed, Err(ReconcileError::Budget { what: it, .. }) if it == what), "{what}: {failed:?}");
    }
    let [mut one, mut two] = pair(limited(Limits { ids: 6_000, ..Limits::DEFAULT }));
    play((&mut one, &other), (&mut two, &set)).unwrap();
}

/// An opener that has sent its first message, and what a responder's answer begins with.
fn opened(set: &dyn ReconcileSet) -> (RangeReconciler, Vec<u8>) {
    let [mut opener, _] = pair(RangeConfig::DEFAULT);
    opener.open(set).unwrap();
    (opener, [vec![kind::NEXT | kind::NONCE], vec![2; 16]].concat())
}

fn refused(set: &dyn ReconcileSet, answers: &[u8]) -> &'static str {
    let (mut opener, mut message) = opened(set);
    message.extend_from_slice(answers);
    let failed = opener.receive(set, &message);
    opener.receive(set, &message).expect_err("it has failed for good");
    match failed {
        Err(ReconcileError::Malformed(why)) => why,
        other => panic!("{other:?}"),
    }
}

const FINGERPRINT: [u8; 8] = [9; 8];

/// A child that ends at an id's first byte, after bounds whose keys are empty.
fn child(first: u8) -> Vec<u8> {
    [&[1 << 2 | 2, first][..], &FINGERPRINT].concat()
}

fn last() -> Vec<u8> {
    [&[63 << 2][..], &FINGERPRINT].concat()
}

#[test]
fn bounds_must_be_in_order_and_cut_something() {
    let set = NaiveSet::new((0..100).map(item));
    let cut = |children: &[Vec<u8>]| [vec![0x40], children.concat()].concat();
    let (mut opener, mut message) = opened(&set);
    message.extend(cut(&[child(3), child(4), last()]));
    opener.receive(&set, &message).expect("this one is well formed");

    assert_eq!(refused(&set, &cut(&[child(4), child(3), last()])), "a bound is not between its neighbours");
    assert_eq!(refused(&set, &cut(&[child(4), child(4), last()])), "a bound is not between its neighbours");
    assert_eq!(refused(&set, &cut(&[vec![2], FINGERPRINT.to_vec(), last()])), "a bound is not between its neighbours");
    assert_eq!(refused(&set, &cut(&[last()])), "a cut into one");
    assert_eq!(refused(&set, &cut(&[vec![62 << 2]])), "a cut without a child");
    assert_eq!(refused(&set, &cut(&[child(3), vec![62 << 2, 1]])), "it goes on behind what is to be continued");
    assert_eq!(refused(&set, &cut(&[child(3)])), "it ends too early");
    assert_eq!(refused(&set, &[0x41]), "an unknown answer");
    assert_eq!(refused(&set, &cut(&[[vec![33 << 2 | 2], vec![1; 33]].concat()])), "a bound's id is too long");
    assert_eq!(refused(&set, &cut(&[[vec![0, 0x81, 8], vec![1; 1_025]].concat()])), "a bound's key is too long");
}

#[test]
fn answers_must_be_to_what_was_said() {
    let set = NaiveSet::new((0..100).map(item));
    assert_eq!(refused(&set, &[]), "it answers nothing");
    assert_eq!(refused(&set, &[2]), "it answers what was not said");
    assert_eq!(
        refused(&set, &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        "it answers what was not said"
    );
    assert_eq!(refused(&set, &[0, 0]), "a run of none");
    assert_eq!(refused(&set, &[0xc0]), "it answers a list that was not sent");
    assert_eq!(refused(&set, &[1]), "the digest comes with the last answer and with no other");
    assert_eq!(refused(&set, &[0x83, 1, 2, 3]), "it ends too early");
    let long = [vec![0xbf, 0x81, 8], vec![0; 1_025 * 6]].concat();
    assert_eq!(refused(&set, &long), "a list is too long");
}

#[test]
fn an_answer_to_a_list_is_of_that_list() {
    let set = NaiveSet::new((0..12).map(item));
    // Has the opener list its twelve items, behind a list of none.
    let refused = |answer: &[u8]| {
        let (mut opener, mut message) = opened(&set);
        message.extend([vec![0x40], child(3), last()].concat());
        let list = opener.receive(&set, &message).unwrap().reply.unwrap();
        assert_eq!(list[..3], [kind::NEXT, 0x80, 0x80 | 12]);
        match opener.receive(&set, &[&[kind::NEXT, 1], answer].concat()) {
            Err(ReconcileError::Malformed(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&[0x40]), "it does not answer a list");
    assert_eq!(refused(&[0xe0, 0, 0]), "what is missing is not of the list");
    assert_eq!(refused(&[0xe0, 0, 0xff]), "what is missing is not of the list");
    assert_eq!(refused(&[0xe0, 1]), "it ends too early");
    assert_eq!(refused(&[0xc2, 1, 2, 3, 4, 5, 6]), "it ends too early");
    assert_eq!(refused(&[0xd0]), "an answer to be continued says nothing, or all");
    assert_eq!(refused(&[0xf1, 0, 1, 2, 3, 4, 5, 6]), "an answer to be continued says nothing, or all");
}

#[test]
fn a_digest_is_not_believed_and_no_new_run_comes_unasked() {
    let set = NaiveSet::new((0..100).map(item));
    let (mut opener, _) = opened(&set);
    let claim = [vec![kind::NEXT | kind::NONCE | kind::DIGEST], vec![2; 16], vec![3; 16], vec![1]].concat();
    opener.receive(&set, &claim).expect_err("the digest is another");
    let (mut opener, _) = opened(&set);
    let again = [vec![kind::NEXT | kind::NONCE | kind::AGAIN], vec![2; 16], vec![5], vec![3; 8]].concat();
    opener.receive(&set, &again).expect_err("the first run has not come to anything");
}

type Make = fn(Nonce) -> Box<dyn Reconciler>;

const KINDS: [Make; 3] = [
    |nonce| Box::new(RangeReconciler::new(RangeConfig::DEFAULT, nonce)),
    |nonce| Box::new(SketchReconciler::new(SketchConfig::DEFAULT, nonce)),
    |nonce| Box::new(HashReconciler::new(RangeConfig::DEFAULT, nonce)),
];

/// Changes a message in some way.
fn mutate(message: &[u8], rng: &mut crate::testing::Rng) -> Vec<u8> {
    let mut bytes = message.to_vec();
    for _ in 0..=rng.below(3) {
        let at = rng.below(bytes.len() as u64 + 1) as usize;
        match rng.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.next() as u8),
            2 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            3 if at < bytes.len() => bytes[at] = rng.next() as u8,
            4 if at < bytes.len() => drop(bytes.remove(at)),
            _ => bytes.extend_from_slice(&message[..at.min(message.len())]),
        }
    }
    bytes
}

#[test]
fn changed_messages_end_in_an_error_or_in_agreement() {
    for_each_seed(400, |rng| {
        let (common, ours, theirs) = (rng.below(200), rng.below(20), rng.below(20));
        let one = NaiveSet::with((0..common + ours).map(item), u64::MAX, 64);
        let other = NaiveSet::with((0..common).chain(1_000..1_000 + theirs).map(item), u64::MAX, 64);
        let make = KINDS[rng.below(3) as usize];
        let mut sides = [make(Nonce::from_bytes([1; 16])), make(Nonce::from_bytes([2; 16]))];
        let sets = [&one, &other];
        let mut have = [Vec::new(), Vec::new()];
        let mut step = sides[0].open(&one).unwrap();
        let mut sender = 0;
        for round in 0.. {
            assert!(round < 100, "it does not end");
            have[sender].append(&mut step.have);
            let Some(reply) = step.reply else { break };
            let message = if rng.below(4) == 0 { mutate(&reply, rng) } else { reply.to_vec() };
            sender = 1 - sender;
            match sides[sender].receive(sets[sender], &message) {
                Ok(next) => step = next,
                Err(_) => return,
            }
        }
        let is_done = sides.each_ref().map(|side| side.is_done());
        if is_done == [true; 2] {
            // A peer may be told that something is missing that is not. What is left is the same all the same.
            let rest = [0, 1].map(|side| only_in(sets[side], &NaiveSet::new(have[side].clone())));
            assert_eq!(rest[0], rest[1]);
        }
    });
}

#[test]
fn garbage_is_refused() {
    let set = NaiveSet::with((0..50).map(item), u64::MAX, 64);
    for_each_seed(300, |rng| {
        for make in KINDS {
            let mut side = make(Nonce::from_bytes([1; 16]));
            if rng.below(2) == 0 {
                side.open(&set).unwrap();
            }
            for _ in 0..5 {
                let mut message: Vec<u8> = (0..rng.below(60)).map(|_| rng.next() as u8).collect();
                if let Some(first) = message.first_mut() {
                    *first = *first & 7 | ((rng.below(7) as u8 + 1) << 4);
                }
                if side.receive(&set, &message).is_err() {
                    break;
                }
            }
            assert!(!side.is_done());
        }
    });
}
