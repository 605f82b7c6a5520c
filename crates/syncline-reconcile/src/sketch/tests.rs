use std::collections::BTreeSet;

use super::{symbol::SymbolKey, *};
use crate::testing::{KEY, Rng, for_each_seed, id};

/// Two sketches with `common` items in both and so many more in each, and what differs.
fn pair(rng: &mut Rng, len: usize, common: u64, ours: u64, theirs: u64) -> (Sketch, Sketch, BTreeSet<Difference>) {
    let base = rng.next() >> 8;
    let (mut a, mut b) = (Sketch::new(&KEY, len), Sketch::new(&KEY, len));
    let mut differences = BTreeSet::new();
    for n in 0..common + ours + theirs {
        let id = id(base + n);
        let side = if n < common {
            None
        } else if n < common + ours {
            Some(Side::Ours)
        } else {
            Some(Side::Theirs)
        };
        if side != Some(Side::Theirs) {
            a.insert(&id);
        }
        if side != Some(Side::Ours) {
            b.insert(&id);
        }
        differences.extend(side.map(|side| Difference { side, part: id.part() }));
    }
    (a, b, differences)
}

fn difference(a: &Sketch, b: &Sketch) -> Vec<Symbol> {
    let difference = a.minus(b);
    difference.symbols(0, difference.len())
}

#[test]
fn finds_exactly_what_differs_whole_or_in_pieces() {
    for_each_seed(60, |rng| {
        let (ours, theirs, common) = (rng.below(200), rng.below(200), rng.below(1_000));
        let (a, b, expected) = pair(rng, 1_024, common, ours, theirs);
        let symbols = difference(&a, &b);
        let mut whole = Decoder::new(&KEY, 1_024);
        assert!(whole.extend(&symbols).unwrap());
        assert_eq!(whole.differences().collect::<BTreeSet<_>>(), expected);
        assert_eq!(whole.differences().len(), expected.len());

        let mut pieces = Decoder::new(&KEY, 1_024);
        let mut rest = &symbols[..];
        while !rest.is_empty() && !pieces.is_complete() {
            let (piece, behind) = rest.split_at(rest.len().min(1 + rng.below(100) as usize));
            pieces.extend(piece).unwrap();
            rest = behind;
        }
        assert_eq!(pieces.differences().collect::<BTreeSet<_>>(), expected);
    });
}

#[test]
fn the_symbols_needed_are_as_published() {
    // SIGCOMM 2024, figure 5: about 1.35 symbols per difference for a thousand and more, up to 1.72 for few.
    for (d, most) in [(1_000, 1.55), (30, 2.1)] {
        let mut needed = Vec::new();
        for_each_seed(25, |rng| {
            let (a, b, _) = pair(rng, 2_048, 0, d / 2, d - d / 2);
            let mut decoder = Decoder::new(&KEY, 2_048);
            let mut symbols = difference(&a, &b).into_iter();
            while !decoder.extend(&[symbols.next().unwrap()]).unwrap() {}
            needed.push(decoder.symbol_count() as f64 / d as f64);
        });
        let mean = needed.iter().sum::<f64>() / needed.len() as f64;
        assert!((1.1..most).contains(&mean), "{mean} symbols per difference at {d}");
    }
}

#[test]
fn too_few_symbols_leave_it_incomplete_and_name_nothing_wrong() {
    for_each_seed(40, |rng| {
        let len = 1 + rng.below(300) as usize;
        let (a, b, expected) = pair(rng, len, 100, 150, 150);
        let mut decoder = Decoder::new(&KEY, len);
        assert!(!decoder.extend(&difference(&a, &b)).unwrap());
        assert!(decoder.differences().all(|found| expected.contains(&found)));
    });
}

#[test]
fn equal_sets_leave_nothing_and_no_symbols_prove_nothing() {
    let (a, b, _) = pair(&mut Rng(1), 64, 500, 0, 0);
    let mut decoder = Decoder::new(&KEY, 64);
    assert!(!decoder.extend(&[]).unwrap());
    assert!(decoder.extend(&difference(&a, &b)).unwrap());
    assert_eq!(decoder.differences().len(), 0);
}

#[test]
fn more_symbols_than_agreed_are_refused() {
    let mut decoder = Decoder::new(&KEY, 10);
    decoder.extend(&[Symbol::EMPTY; 10]).unwrap();
    assert_eq!(decoder.extend(&[Symbol::EMPTY]), Err(DecodeError::TooMany { limit: 10 }));
    assert_eq!(decoder.extend(&[]), Err(DecodeError::Inconsistent));
    assert_eq!(Decoder::new(&KEY, 0).extend(&[Symbol::EMPTY]), Err(DecodeError::TooMany { limit: 0 }));
}

#[test]
fn another_key_decodes_nothing() {
    let (a, b, _) = pair(&mut Rng(1), 256, 0, 50, 50);
    let mut decoder = Decoder::new(&SetKey::from_bytes([8; 32]), 256);
    assert!(!decoder.extend(&difference(&a, &b)).unwrap());
    assert_eq!(decoder.differences().len(), 0);
}

/// A symbol that looks as if it covered one item, in every place: items that come back, that are not in the symbol they
/// are found in, that are on both sides.
#[test]
fn crafted_symbols_are_seen_through() {
    let key = SymbolKey::new(&KEY);
    let pure = |n: u64| key.hash(&id(n).part()).0;
    let outcome = |symbols: &[Symbol]| {
        let mut decoder = Decoder::new(&KEY, symbols.len());
        let outcome = decoder.extend(symbols);
        assert!(decoder.differences().len() <= symbols.len());
        outcome
    };
    // Item 1 alone in every symbol, also where it does not belong.
    assert_eq!(outcome(&[pure(1); 500]), Err(DecodeError::Inconsistent));
    // A different item alone in each.
    let many: Vec<Symbol> = (0..500).map(pure).collect();
    assert_eq!(outcome(&many), Err(DecodeError::Inconsistent));
    // Found once for us, and then once for them.
    let mut bounce = [Symbol::EMPTY; 500];
    bounce[0] = pure(1);
    let mut decoder = Decoder::new(&KEY, 500);
    assert_eq!(decoder.extend(&bounce), Err(DecodeError::Inconsistent));
    // Noticed when it comes back, and not only when there are more items than symbols.
    assert_eq!(decoder.differences().len(), 1);
    // Nothing but noise.
    let mut rng = Rng(3);
    let noise: Vec<Symbol> = (0..500)
        .map(|_| Symbol {
            part: u128::from(rng.next()),
            check: rng.next(),
            count: (rng.below(5) as u32).wrapping_sub(2),
        })
        .collect();
    assert_eq!(outcome(&noise), Ok(false));
}

#[test]
fn any_change_to_true_symbols_is_noticed_or_harmless() {
    for_each_seed(300, |rng| {
        let (a, b, expected) = pair(rng, 256, 20, 30, 30);
        let mut symbols = difference(&a, &b);
        let at = rng.below(256) as usize;
        match rng.below(4) {
            0 => symbols[at].part ^= 1 << rng.below(128),
            1 => symbols[at].check ^= 1 << rng.below(64),
            2 => symbols[at].count ^= 1 << rng.below(32),
            _ => symbols[at] = SymbolKey::new(&KEY).hash(&id(rng.next()).part()).0,
        }
        let mut decoder = Decoder::new(&KEY, 256);
        // One symbol that is not what it was cannot become empty, or what was found is all there is.
        if decoder.extend(&symbols) == Ok(true) {
            assert_eq!(decoder.differences().collect::<BTreeSet<_>>(), expected);
        }
    });
}

#[test]
fn the_estimate_has_no_bias_and_a_known_spread() {
    for (ours, theirs) in [(0, 20), (15, 15), (250, 250), (0, 1_000), (3_000, 100)] {
        let d = (ours + theirs) as f64;
        let mut ratios = Vec::new();
        for_each_seed(150, |rng| {
            let (a, b, _) = pair(rng, 64, 5, ours, theirs);
            ratios.push(estimate_difference(&difference(&a, &b)) as f64 / d);
        });
        if ratios.len() < 2 {
            continue;
        }
        let n = ratios.len() as f64;
        let mean = ratios.iter().sum::<f64>() / n;
        let sd = (ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        // Four standard deviations of the mean, and room for the floor at the difference of the sizes.
        let floor = if ours.abs_diff(theirs) > 0 { 0.1 } else { 0.0 };
        let off = mean - 1.0;
        assert!((-4.0 * sd / n.sqrt()..4.0 * sd / n.sqrt() + floor).contains(&off), "{ours}+{theirs}: mean {mean}");
        assert!(sd < 0.25, "{ours}+{theirs}: sd {sd}");
    }
    assert_eq!(estimate_difference(&[]), 0);
    assert_eq!(estimate_difference(&[Symbol::EMPTY; 64]), 0);
    let extreme = Symbol { part: 0, check: 0, count: i32::MIN.cast_unsigned() };
    assert!(estimate_difference(&[extreme; 64]) >= 1 << 31);
}

#[test]
fn laws_of_the_sketch() {
    for_each_seed(20, |rng| {
        let len = rng.below(300) as usize;
        let ids: Vec<ItemId> = (0..50).map(|n| id(rng.next() ^ n)).collect();
        let sketch = |ids: &[ItemId]| {
            let mut sketch = Sketch::new(&KEY, len);
            ids.iter().for_each(|id| sketch.insert(id));
            sketch
        };
        let all = sketch(&ids);
        let mut reversed = Sketch::new(&KEY, len);
        ids.iter().rev().for_each(|id| reversed.insert(id));
        assert_eq!(all, reversed);
        let (left, right) = ids.split_at(rng.below(51) as usize);
        assert_eq!(all, sketch(left).plus(&sketch(right)));
        assert_eq!(sketch(left), all.minus(&sketch(right)));
        let kept = all.clone();
        let mut less = all.clone();
        right.iter().for_each(|id| less.remove(id));
        assert_eq!(less, sketch(left));
        assert_eq!(kept, all);
        assert_eq!(Sketch::from_bytes(&KEY, &all.to_bytes()).unwrap(), all);
        assert_eq!(all.symbols(0, usize::MAX).len(), len);
        assert_eq!(all.symbols(len, 10), []);
        let (from, to) = (rng.below(310) as usize, rng.below(310) as usize);
        let whole = all.symbols(0, len);
        assert_eq!(all.symbols(from, to), whole.get(from..to.min(len)).unwrap_or_default());
    });
    assert!(Sketch::from_bytes(&KEY, &[0; 29]).is_err());
}

#[test]
fn a_change_touches_as_many_symbols_as_stated() {
    let (mut touched, key) = (0, SymbolKey::new(&KEY));
    for n in 0..2_000 {
        let mut mapping = Mapping::new(key.hash(&id(n).part()).1);
        while mapping.peek() < 16_384 {
            touched += usize::from(mapping.peek() < 4_096) + (usize::from(mapping.peek() >= 4_096) << 32);
            mapping.advance();
        }
    }
    let (hot, cold) = ((touched & 0xffff_ffff) as f64 / 2_000.0, (touched >> 32) as f64 / 2_000.0);
    assert!((15.2..16.2).contains(&hot) && (17.9..18.9).contains(&(hot + cold)), "{hot} {cold}");
}

#[test]
fn counts_are_close_to_what_is_expected() {
    let mut sketch = Sketch::new(&KEY, 500);
    (0..10_000).for_each(|n| sketch.insert(&id(n)));
    for (index, symbol) in sketch.symbols(0, 500).iter().enumerate() {
        let off = symbol.count().wrapping_sub(Symbol::expected_count(index, 10_000)).cast_signed();
        assert!(off.abs() < 300, "{off} at {index}");
    }
    assert_eq!(Symbol::expected_count(0, 10_000), 10_000);
    let _ = Symbol::expected_count(usize::MAX, u64::MAX);
}

#[test]
fn symbols_as_bytes() {
    let symbol = Symbol::new(std::array::from_fn(|n| n as u8), 0x1716_1514_1312_1110, 0x1b1a_1918);
    assert_eq!(symbol.to_bytes(), std::array::from_fn(|n| n as u8));
    assert_eq!(Symbol::from_bytes(&symbol.to_bytes()), symbol);
}
