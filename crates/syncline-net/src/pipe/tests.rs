use futures::executor::block_on;
use futures::future::join;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
use proptest::prelude::*;

use super::*;

fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|err| err.kind())
}

#[test]
fn bytes_go_both_ways_at_the_same_time() {
    let (mut a, mut b) = pipe(3);
    let (mut from_a, mut from_b) = ([0; 10], [0; 10]);
    block_on(async {
        let talk_a = async {
            a.write_all(b"0123456789").await.unwrap();
            a.read_exact(&mut from_b).await.unwrap();
        };
        let talk_b = async {
            b.read_exact(&mut from_a).await.unwrap();
            b.write_all(b"abcdefghij").await.unwrap();
        };
        join(talk_a, talk_b).await;
    });
    assert_eq!((&from_a, &from_b), (b"0123456789", b"abcdefghij"));
}

#[test]
fn a_full_direction_waits_and_an_empty_one_too() {
    block_on(async {
        let (mut a, mut b) = pipe(4);
        assert!(b.read(&mut [0; 4]).now_or_never().is_none());
        assert_eq!(a.write(b"abcdef").await.unwrap(), 4);
        assert!(a.write(b"g").now_or_never().is_none());
        assert_eq!(b.read(&mut [0; 1]).await.unwrap(), 1);
        assert_eq!(a.write(b"gh").await.unwrap(), 1);
    });
}

#[test]
fn a_capacity_or_chunk_of_zero_counts_as_one() {
    block_on(async {
        let (mut a, mut b) = PipeOptions::default().with_capacity(0).with_chunk_max(0).open();
        assert_eq!(a.write(b"ab").await.unwrap(), 1);
        assert_eq!(b.read(&mut [0; 2]).await.unwrap(), 1);
    });
}

#[test]
fn after_a_close_the_rest_arrives_and_then_the_end() {
    block_on(async {
        let (mut a, mut b) = pipe(16);
        a.write_all(b"rest").await.unwrap();
        a.close().await.unwrap();
        assert_eq!(kind(a.write(b"x").await), Some(io::ErrorKind::BrokenPipe));
        // The other direction stays open.
        b.write_all(b"back").await.unwrap();
        let mut text = Vec::new();
        b.read_to_end(&mut text).await.unwrap();
        assert_eq!(text, b"rest");
        let mut back = [0; 4];
        a.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"back");
    });
}

#[test]
fn a_dropped_end_is_an_end_to_readers_and_a_broken_pipe_to_writers() {
    block_on(async {
        let (mut a, b) = pipe(2);
        a.write_all(b"ab").await.unwrap();
        let (read_b, write_b) = b.into_split();
        let mut stuck = Box::pin(a.write(b"c"));
        assert!((&mut stuck).now_or_never().is_none());
        drop(read_b);
        assert_eq!(kind(stuck.await), Some(io::ErrorKind::BrokenPipe));
        let mut waiting = Box::pin(async { a.read(&mut [0; 1]).await });
        assert!((&mut waiting).now_or_never().is_none());
        drop(write_b);
        assert_eq!(waiting.await.unwrap(), 0);
    });
}

#[test]
fn a_cut_fails_both_ends_and_wakes_who_waits() {
    block_on(async {
        let (mut a, mut b) = pipe(4);
        let cutter = a.cutter();
        a.write_all(b"lost").await.unwrap();
        let (mut read_a, mut write_a) = a.into_split();
        let (mut one, four) = ([0; 1], [0; 4]);
        let both = join(read_a.read(&mut one), write_a.write(&four));
        let cut = async { cutter.cut() };
        let ((read, write), ()) = join(both, cut).await;
        assert_eq!(
            (kind(read), kind(write)),
            (Some(io::ErrorKind::ConnectionReset), Some(io::ErrorKind::ConnectionReset))
        );
        assert_eq!(kind(b.read(&mut [0; 4]).await), Some(io::ErrorKind::ConnectionReset));
        assert!(cutter.is_connected());
        drop((read_a, write_a, b));
        assert!(!cutter.is_connected());
        cutter.cut();
    });
}

#[test]
fn ends_and_halves_can_move_between_threads() {
    fn assert_send_sync_unpin<T: Send + Sync + Unpin>() {}
    assert_send_sync_unpin::<PipeEnd>();
    assert_send_sync_unpin::<PipeReader>();
    assert_send_sync_unpin::<PipeWriter>();
    assert_send_sync_unpin::<PipeCutter>();
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<u8>),
    Read(usize),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Step::Write),
        4 => (0usize..20).prop_map(Step::Read),
        1 => Just(Step::Close),
    ]
}

proptest! {
    /// Against a queue without wakers: what is accepted comes out, in order, in chunks that keep the limits.
    #[test]
    fn it_behaves_as_a_bounded_queue(
        capacity in 1usize..12,
        chunk_max in 1usize..8,
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let (mut a, mut b) = PipeOptions::default().with_capacity(capacity).with_chunk_max(chunk_max).open();
        let mut model = VecDeque::new();
        let mut closed = false;
        for step in steps {
            match step {
                Step::Write(bytes) => match a.write(&bytes).now_or_never() {
                    Some(Ok(count)) => {
                        prop_assert!(!closed);
                        prop_assert_eq!(count, bytes.len().min(capacity - model.len()).min(chunk_max));
                        model.extend(&bytes[..count]);
                    }
                    Some(Err(err)) => {
                        prop_assert!(closed);
                        prop_assert_eq!(err.kind(), io::ErrorKind::BrokenPipe);
                    }
                    None => prop_assert!(!closed && model.len() == capacity && !bytes.is_empty()),
                },
                Step::Read(len) => {
                    let mut buffer = vec![0; len];
                    match b.read(&mut buffer).now_or_never() {
                        Some(count) => {
                            let count = count.unwrap();
                            prop_assert_eq!(count, len.min(model.len()).min(chunk_max));
                            prop_assert!(count > 0 || len == 0 || closed);
                            let expected: Vec<u8> = model.drain(..count).collect();
                            prop_assert_eq!(&buffer[..count], &expected[..]);
                        }
                        None => prop_assert!(!closed && model.is_empty() && len > 0),
                    }
                }
                Step::Close => {
                    block_on(a.close()).unwrap();
                    closed = true;
                }
            }
        }
    }
}
