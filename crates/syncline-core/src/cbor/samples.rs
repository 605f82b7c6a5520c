//! Encoded CBOR items for this module's property tests.

use proptest::prelude::*;

use super::{BREAK, INDEFINITE, major};

/// A head in the shortest form, or in a longer one if `extra` says so.
pub(super) fn head(major: u8, argument: u64, extra: u8) -> Vec<u8> {
    let shortest = match argument {
        0..=23 => 0,
        24..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 3,
        _ => 4,
    };
    let width = (shortest + extra).min(4);
    let first = major << 5;
    let be = argument.to_be_bytes();
    match width {
        0 => vec![first | argument as u8],
        1 => vec![first | 24, be[7]],
        2 => [&[first | 25][..], &be[6..]].concat(),
        3 => [&[first | 26][..], &be[4..]].concat(),
        _ => [&[first | 27][..], &be[..]].concat(),
    }
}

fn string(major: u8, content: &[u8], extra: u8) -> Vec<u8> {
    [head(major, content.len() as u64, extra), content.to_vec()].concat()
}

fn leaf() -> impl Strategy<Value = Vec<u8>> {
    let argument = prop_oneof![0..24_u64, 0..300_u64, any::<u64>(), any::<u32>().prop_map(u64::from)];
    prop_oneof![
        4 => (0..2_u8, argument, 0..3_u8).prop_map(|(major, argument, extra)| head(major, argument, extra)),
        2 => (prop::collection::vec(any::<u8>(), 0..40), 0..3_u8)
            .prop_map(|(content, extra)| string(major::BYTES, &content, extra)),
        2 => ("\\PC{0,20}", 0..3_u8).prop_map(|(content, extra)| string(major::TEXT, content.as_bytes(), extra)),
        1 => prop::sample::select(vec![vec![0xf4], vec![0xf5], vec![0xf6], vec![0xf7]]),
        1 => any::<f64>().prop_map(|number| [&[0xfb][..], &number.to_be_bytes()].concat()),
        1 => any::<f32>().prop_map(|number| [&[0xfa][..], &number.to_be_bytes()].concat()),
        1 => any::<u16>().prop_map(|bits| [&[0xf9][..], &bits.to_be_bytes()].concat()),
        1 => prop::collection::vec(prop::collection::vec(any::<u8>(), 0..10), 0..4).prop_map(|chunks| {
            let chunks: Vec<u8> = chunks.iter().flat_map(|chunk| string(major::BYTES, chunk, 0)).collect();
            indefinite(major::BYTES, &chunks)
        }),
        1 => prop::collection::vec("\\PC{0,5}", 0..4).prop_map(|chunks| {
            let chunks: Vec<u8> = chunks.iter().flat_map(|chunk| string(major::TEXT, chunk.as_bytes(), 0)).collect();
            indefinite(major::TEXT, &chunks)
        }),
    ]
}

fn indefinite(major: u8, content: &[u8]) -> Vec<u8> {
    [&[(major << 5) | INDEFINITE][..], content, &[BREAK]].concat()
}

/// Any well-formed item whose text is UTF-8 and whose simple values are known.
pub(super) fn item() -> impl Strategy<Value = Vec<u8>> {
    leaf().prop_recursive(6, 64, 6, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..6);
        prop_oneof![
            (items.clone(), 0..3_u8, any::<bool>()).prop_map(|(items, extra, is_indefinite)| {
                if is_indefinite {
                    indefinite(major::ARRAY, &items.concat())
                } else {
                    [head(major::ARRAY, items.len() as u64, extra), items.concat()].concat()
                }
            }),
            (items, 0..3_u8, any::<bool>()).prop_map(|(items, extra, is_indefinite)| {
                let pairs = items.len() / 2;
                let content = items[..2 * pairs].concat();
                if is_indefinite {
                    indefinite(major::MAP, &content)
                } else {
                    [head(major::MAP, pairs as u64, extra), content].concat()
                }
            }),
            // From 100 on no tag is a bignum, which has rules of its own.
            (100..70_000_u64, inner, 0..2_u8)
                .prop_map(|(tag, inner, extra)| [head(major::TAG, tag, extra), inner].concat()),
        ]
    })
}
