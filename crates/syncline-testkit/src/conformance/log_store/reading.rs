//! Pages, heights, sizes, lookups and the listing.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _};
use syncline_log::store::{Located, LogSummary, StoredOperation, stream};
use syncline_log::{LogStore, SeqNum, SeqRange};

use super::{all_encoded, append_new, author, ok, read_pages, seq, stored, write};

pub(super) fn check<S: LogStore<u64>>(fresh: &impl Fn() -> S) {
    pages_hold_what_fits(&fresh());
    ranges_are_cut_to_what_is_there(&fresh());
    heights_are_those_asked_for(&fresh());
    an_operation_is_found_by_its_hash(&fresh());
    the_listing_goes_over_all_logs(&fresh());
}

fn pages_hold_what_fits<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let written = write(&mut author, &["", "four", "a longer body", "", "five5", "x"]);
    append_new(store, 0, &written);
    let expected: Vec<StoredOperation> = all_encoded(&written).iter().map(stored).collect();
    let total: usize = expected.iter().map(StoredOperation::byte_len).sum();
    for bytes_max in (0..total + 2).step_by(7).chain([total - 1, total, usize::MAX]) {
        let pages = read_pages(store, author.public_key(), 0, bytes_max);
        for page in &pages {
            let bytes: usize = page.operations.iter().map(StoredOperation::byte_len).sum();
            assert!(bytes <= bytes_max || page.operations.len() == 1, "a page of more than one keeps to its limit");
            if let Some(next) = page.next {
                let next_len = expected.iter().find(|row| row.seq_num == next).map_or(0, StoredOperation::byte_len);
                assert!(bytes + next_len > bytes_max, "a page holds as many operations as fit");
            }
        }
        let found: Vec<_> = pages.into_iter().flat_map(|page| page.operations).collect();
        assert_eq!(found, expected, "pages of {bytes_max} bytes give all operations once, in order");
        let streamed = stream(store, author.public_key(), 0, SeqRange::ALL, bytes_max);
        let streamed: Vec<_> = ok(streamed.take(written.len() + 1).try_collect());
        assert_eq!(streamed, expected, "a stream in pages of {bytes_max} bytes");
    }
}

fn ranges_are_cut_to_what_is_there<S: LogStore<u64>>(store: &S) {
    let mut author = author(1, 0);
    let written = write(&mut author, &["a", "b", "c", "d"]);
    append_new(store, 0, &written);
    ok(store.prune(author.public_key(), 0, seq(1)));
    for from in 0..6 {
        for to in (0..6).chain([u64::MAX]) {
            let range = SeqRange::new(seq(from), seq(to));
            let expected = all_encoded(&written[1..]);
            let expected: Vec<_> = expected.iter().filter(|row| range.contains(row.seq_num())).map(stored).collect();
            let page = ok(store.read(author.public_key(), 0, range, usize::MAX));
            assert_eq!((&page.operations, page.next), (&expected, None), "the operations in {range:?}");
            let size = ok(store.size(author.public_key(), 0, range));
            let bytes = expected.iter().map(StoredOperation::byte_len).sum::<usize>();
            assert_eq!(
                (size.operations, size.bytes),
                (expected.len() as u64, bytes as u64),
                "the size of {range:?} is that of its operations"
            );
        }
    }
}

fn heights_are_those_asked_for<S: LogStore<u64>>(store: &S) {
    let mut authors = [author(1, 0), author(1, 5), author(2, 0)];
    for (count, author) in authors.iter_mut().enumerate() {
        append_new(store, author.log_id(), &write(author, &["a", "b", "c"][..=count]));
    }
    let [one, _, two] = authors.each_ref().map(super::Author::public_key);
    let stranger = author(3, 0).public_key();
    let asked = [(one, vec![7, 5, 0, 5]), (two, vec![9]), (stranger, vec![0])].into();
    let expected = [(one, [(0, seq(0)), (5, seq(1))].into())].into();
    assert_eq!(ok(store.heights(&asked)), expected, "heights of the logs that were asked for and have operations");
    assert!(ok(store.heights(&[(one, Vec::new())].into())).is_empty(), "an author without logs has no heights");
}

fn an_operation_is_found_by_its_hash<S: LogStore<u64>>(store: &S) {
    let mut authors = [author(1, 3), author(2, 4)];
    for author in &mut authors {
        let written = write(author, &["a", ""]);
        append_new(store, author.log_id(), &written);
        for operation in all_encoded(&written) {
            let expected = Located::new(author.public_key(), author.log_id(), stored(&operation));
            assert_eq!(ok(store.get(operation.hash())), Some(expected), "where an operation is, and what");
        }
    }
}

fn the_listing_goes_over_all_logs<S: LogStore<u64>>(store: &S) {
    let mut expected = BTreeSet::new();
    for number in 0..4 {
        for log_id in 0..=number {
            let mut author = author(number, log_id * 100);
            append_new(store, log_id * 100, &write(&mut author, &["a", "b"]));
            expected.insert((author.public_key(), log_id * 100));
        }
    }
    let pruned = expected.first().copied();
    if let Some((author, log_id)) = pruned {
        ok(store.prune(author, log_id, SeqNum::MAX));
    }
    for count_max in [1, 3, 9, 10, 11, usize::MAX] {
        let mut found = BTreeSet::new();
        let mut after = None;
        loop {
            let page = ok(store.logs(after, count_max));
            assert!(page.len() <= count_max, "a page of the listing keeps to its limit");
            for LogSummary { author, log_id, first, tip, .. } in &page {
                let horizon = if pruned == Some((*author, *log_id)) { 2 } else { 0 };
                assert_eq!((*first, tip.seq_num), (seq(horizon), seq(1)), "horizon and tip in the listing");
                assert!(found.insert((*author, *log_id)), "a log is listed twice");
            }
            if page.len() < count_max {
                break;
            }
            after = page.last().map(|log| (log.author, log.log_id));
        }
        assert_eq!(found, expected, "every log is listed, {count_max} at a time");
    }
    assert_eq!(ok(store.logs(None, 0)), [], "a page of no logs");
}
