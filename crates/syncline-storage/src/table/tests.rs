use std::fmt::Debug;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{Database, Durability, MemoryDb};

fn encoded<K: KeyCodec>(key: &K) -> Vec<u8> {
    let mut out = Vec::new();
    key.encode(&mut out);
    out
}

/// The three laws of a key codec on a pair of keys.
fn laws<K: KeyCodec + Ord + Debug>(a: &K, b: &K) {
    let (left, right) = (encoded(a), encoded(b));
    assert_eq!(left.cmp(&right), a.cmp(b), "{a:?} {b:?}");
    assert!(a == b || !left.starts_with(&right), "{a:?} {b:?}");
    assert_eq!(&K::decode_all(&left).unwrap(), a);
    let mut longer = left.clone();
    longer.extend_from_slice(b"rest");
    let mut input = &longer[..];
    assert_eq!(&K::decode(&mut input).unwrap(), a);
    assert_eq!(input, b"rest");
    for cut in 0..left.len() {
        K::decode_all(&left[..cut]).unwrap_err();
    }
}

/// What decodes is what would be written: there are no two encodings of one key.
fn canonical<K: KeyCodec + Debug>(bytes: &[u8]) {
    if let Ok(key) = K::decode_all(bytes) {
        assert_eq!(encoded(&key), bytes, "{key:?}");
    }
}

fn nasty() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(
        prop_oneof![3 => Just(0u8), 1 => Just(1), 1 => Just(0xfe), 3 => Just(0xff), 1 => any::<u8>()],
        0..6,
    )
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![Just('\0'), Just('\u{1}'), Just('\u{ff}'), Just('\u{10ffff}'), any::<char>()],
        0..4,
    )
    .prop_map(|chars| chars.into_iter().collect())
}

type Wide = (Vec<u8>, Option<u16>, i8, [u8; 2], bool, String);

fn wide() -> impl Strategy<Value = Wide> {
    let small = prop_oneof![Just(0u16), Just(1), Just(255), Just(256), Just(u16::MAX)];
    (
        nasty(),
        proptest::option::of(small),
        prop_oneof![Just(i8::MIN), Just(-1i8), Just(0), Just(i8::MAX)],
        prop_oneof![Just([0, 0]), Just([0, 255]), Just([255, 0])],
        any::<bool>(),
        text(),
    )
}

proptest! {
    #[test]
    fn byte_strings(a in nasty(), b in nasty()) {
        laws(&a, &b);
        laws(&Bytes::from(a.clone()), &Bytes::from(b.clone()));
        laws(&a.into_boxed_slice(), &b.into_boxed_slice());
    }

    #[test]
    fn strings(a in text(), b in text()) {
        laws(&a, &b);
    }

    #[test]
    fn integers(a: (u8, u16, u32, u64, u128), b: (u8, u16, u32, u64, u128)) {
        laws(&a, &b);
        laws(&a.3, &b.3);
    }

    #[test]
    fn signed_integers(a: (i8, i16, i32, i64, i128), b: (i8, i16, i32, i64, i128)) {
        laws(&a, &b);
        laws(&a.3, &b.3);
    }

    #[test]
    fn tuples(a in wide(), b in wide()) {
        laws(&a, &b);
        laws(&(a.0.clone(), b.0.clone()), &(b.0, a.0));
    }

    #[test]
    fn arbitrary_bytes_decode_only_if_canonical(bytes in nasty()) {
        canonical::<Vec<u8>>(&bytes);
        canonical::<String>(&bytes);
        canonical::<Option<bool>>(&bytes);
        canonical::<(Vec<u8>, Option<u16>)>(&bytes);
        canonical::<i16>(&bytes);
    }

    #[test]
    fn prefix_and_range_agree_with_a_filter(
        rows in proptest::collection::btree_map((nasty(), 0..4u16), any::<u64>(), 0..20),
        prefix in nasty(),
        ends in ((nasty(), 0..4u16), (nasty(), 0..4u16)),
    ) {
        const LEFT: Table<u8, u8> = Table::new(TableId(6));
        const TABLE: Table<(Vec<u8>, u16), u64> = Table::new(TableId(7));
        const RIGHT: Table<u8, u8> = Table::new(TableId(8));
        let db = MemoryDb::new();
        let mut batch = Batch::new();
        LEFT.put_in(&mut batch, &u8::MAX, &1);
        RIGHT.put_in(&mut batch, &0, &1);
        for (key, value) in &rows {
            TABLE.put_in(&mut batch, key, value);
        }
        db.commit(batch, Durability::Immediate).unwrap();
        let snapshot = db.snapshot().unwrap();
        let rows: Vec<_> = rows.into_iter().collect();
        let collect = |scan: TableScan<'_, _, _>| scan.collect::<Result<Vec<_>, _>>().unwrap();

        let all = collect(TABLE.scan(&*snapshot, Direction::Forward).unwrap());
        prop_assert_eq!(&all, &rows);
        let mut back = collect(TABLE.scan(&*snapshot, Direction::Reverse).unwrap());
        back.reverse();
        prop_assert_eq!(&back, &rows);

        let of_prefix =
            collect(TABLE.scan_prefix(&*snapshot, &(prefix.clone(),), Direction::Forward).unwrap());
        let expected: Vec<_> = rows.iter().filter(|(key, _)| key.0 == prefix).cloned().collect();
        prop_assert_eq!(of_prefix, expected);

        let (low, high) = ends;
        let in_range =
            collect(TABLE.scan_range(&*snapshot, &low..=&high, Direction::Forward).unwrap());
        let expected: Vec<_> =
            rows.iter().filter(|(key, _)| *key >= low && *key <= high).cloned().collect();
        prop_assert_eq!(in_range, expected);
        let open =
            (Bound::Excluded(low.clone()), Bound::<(Vec<u8>, u16)>::Unbounded);
        let above = collect(TABLE.scan_range(&*snapshot, open, Direction::Forward).unwrap());
        let expected: Vec<_> = rows.iter().filter(|(key, _)| *key > low).cloned().collect();
        prop_assert_eq!(above, expected);
    }
}

#[test]
fn a_row_of_another_type_is_corrupt() {
    const NUMBERS: Table<u64, u64> = Table::new(TableId(1));
    const TEXTS: Table<String, String> = Table::new(TableId(1));
    let db = MemoryDb::new();
    let mut batch = Batch::new();
    TEXTS.put_in(&mut batch, &"a".into(), &"b".into());
    db.commit(batch, Durability::Immediate).unwrap();
    let snapshot = db.snapshot().unwrap();
    let mut rows = NUMBERS.scan(&*snapshot, Direction::Forward).unwrap();
    let error = rows.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Corrupt);
    assert!(rows.next().is_none());

    let mut batch = Batch::new();
    batch.put(NUMBERS.key(&1), "short");
    db.commit(batch, Durability::Immediate).unwrap();
    let snapshot = db.snapshot().unwrap();
    let error = NUMBERS.get(&*snapshot, &1).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.downcast_ref::<CodecError>(), Some(&CodecError::Truncated));
}
