use futures::{SinkExt, StreamExt, TryStreamExt};
use serde_bytes::ByteBuf;

use super::super::FrameScanner;
use super::*;
use crate::testing::{Task, pipe};

#[test]
fn messages_travel_over_a_byte_stream_however_it_is_cut() {
    for chunk in [1, 7, 1_400, 65_536] {
        let (mut tx, mut rx, _) = pipe(100_000, chunk);
        let messages: Vec<ByteBuf> = [0, 1, 9_000, 30_000].map(|len| ByteBuf::from(vec![7; len])).into();
        let sent = messages.clone();
        let mut send = Task::new(async move {
            let mut sink = into_cbor_sink(&mut tx);
            for message in sent {
                sink.feed(message).await?;
            }
            sink.flush().await
        });
        assert_eq!(send.finish(), Ok(()));
        drop(send);
        let mut receive = Task::new(into_cbor_stream::<ByteBuf>(&mut rx).try_collect::<Vec<_>>());
        assert_eq!(receive.finish(), Ok(messages), "in chunks of {chunk}");
    }
}

#[test]
fn a_message_that_has_not_come_whole_is_awaited() {
    let (_tx, mut rx, input) = pipe(100, 100);
    let mut stream = into_cbor_stream::<(u8, u8)>(&mut rx);
    input.push(&[0x82, 1]);
    let mut next = Task::new(stream.next());
    next.settle();
    assert_eq!(next.output, None);
    // What was read so far is kept when the future is dropped.
    drop(next);
    input.push(&[2]);
    assert_eq!(Task::new(stream.next()).finish(), Some(Ok((1, 2))));
}

#[test]
fn an_end_within_a_message_is_the_peers_behaviour_and_an_end_between_two_is_none() {
    for (bytes, error) in [(&[0x01, 0x02][..], false), (&[0x01, 0x82, 0x02], true)] {
        let (tx, mut rx, input) = pipe(100, 100);
        input.push(bytes);
        drop(tx);
        let mut stream = into_cbor_stream::<u8>(&mut rx);
        let mut collected = Vec::new();
        while let Some(item) = Task::new(stream.next()).finish() {
            collected.push(item);
        }
        assert_eq!(collected[0], Ok(1));
        assert_eq!(collected.len(), 2);
        assert_eq!(matches!(collected[1], Err(SyncError::UnexpectedBehaviour(_))), error, "{:?}", collected[1]);
    }
}

#[test]
fn the_stream_ends_after_an_error() {
    let (_tx, mut rx, input) = pipe(100, 100);
    input.push(&[0x1c, 0x01]);
    let mut stream = into_cbor_stream::<u8>(&mut rx);
    assert!(matches!(Task::new(stream.next()).finish(), Some(Err(SyncError::InvalidEncoding(_)))));
    assert_eq!(Task::new(stream.next()).finish(), None);
}

#[test]
fn a_broken_pipe_is_named_as_p2panda_does() {
    let (mut tx, rx, _) = pipe(100, 100);
    drop(rx);
    let outcome = Task::new(into_cbor_sink(&mut tx).send(1_u8)).finish();
    assert_eq!(outcome, Err(SyncError::UnexpectedBehaviour("broken pipe".into())));
}

#[test]
fn limits_of_ones_own_hold_both_ways() {
    let (mut tx, mut rx, input) = pipe(1_000, 1_000);
    let limits = FrameLimits::with_len_max(3);
    let mut sink = into_cbor_sink_with(&mut tx, limits);
    assert_eq!(Task::new(sink.send(vec![1_u8, 2])).finish(), Ok(()));
    assert!(matches!(Task::new(sink.send(vec![1_u8, 2, 3])).finish(), Err(SyncError::Critical(_))));
    drop(sink);
    input.push(&[0x83, 1, 2, 3]);
    let mut stream = into_cbor_stream_with::<Vec<u8>>(&mut rx, limits);
    assert_eq!(Task::new(stream.next()).finish(), Some(Ok(vec![1, 2])));
    assert!(matches!(Task::new(stream.next()).finish(), Some(Err(SyncError::InvalidEncoding(_)))));
}

/// Gives a frame in small chunks, and notes how much room it was offered for each.
struct Trickle<'f> {
    rest: &'f [u8],
    chunk: usize,
    reads: usize,
    offered: usize,
}

impl AsyncRead for Trickle<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.reads += 1;
        self.offered += buffer.len();
        let count = self.chunk.min(self.rest.len()).min(buffer.len());
        let (now, later) = self.rest.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.rest = later;
        Poll::Ready(Ok(count))
    }
}

/// An adapter that clears what it offers, as the usual one does, would clear `offered` bytes.
#[test]
fn reading_a_frame_of_megabytes_in_small_chunks_touches_little_memory_besides_its_own() {
    let limits = FrameLimits::with_len_max(FrameLimits::LEN_MAX_BODIES);
    for mebibytes in [2_usize, 4, 8] {
        let len = mebibytes << 20;
        let frame = [&[0x5a][..], &(len as u32).to_be_bytes(), &vec![7; len]].concat();
        assert_eq!(FrameScanner::new(limits).scan(&frame), Ok(Some(frame.len())));
        let mut trickle = Trickle { rest: &frame, chunk: 1_400, reads: 0, offered: 0 };
        let item = Task::new(into_cbor_stream_with::<ByteBuf>(&mut trickle, limits).next()).finish();
        assert_eq!(item.map(|item| item.map(|item| item.len())), Some(Ok(len)));
        assert!(trickle.reads <= frame.len() / 1_400 + 4_096, "{} reads", trickle.reads);
        assert!(trickle.offered <= trickle.reads * ScratchReader::<Trickle<'_>>::SCRATCH_LEN);
    }
}
