//! One CBOR frame that comes in chunks, decoded by the codec, beside one plain `ciborium` decode of the same bytes.
//!
//! Before the timed runs it prints the ratio of both by CPU time, which other work on the machine disturbs less than wall
//! time; and beside it the ratio without what it takes to read the chunks, which a plain decode is not charged for.

#![expect(clippy::print_stdout, reason = "the ratio is the result")]
#![expect(clippy::expect_used, reason = "a benchmark that fails has no result")]

use std::fs;
use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use futures::executor::block_on;
use futures::{AsyncRead, AsyncReadExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use syncline_core::cbor::{FrameLimits, into_cbor_stream_with};

/// What a log sync sends for each operation; bodies as lists of integers or as byte strings.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", content = "value")]
enum Message<B> {
    Data(B, Option<B>),
}

/// A stream that gives a frame in chunks.
struct Chunks<'f> {
    rest: &'f [u8],
    chunk: usize,
}

impl AsyncRead for Chunks<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let count = self.chunk.min(self.rest.len()).min(buffer.len());
        let (now, later) = self.rest.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.rest = later;
        Poll::Ready(Ok(count))
    }
}

fn frame<B: Serialize + From<Vec<u8>>>(len: usize) -> Vec<u8> {
    let body: Vec<u8> = (0..len).map(|index| (index * 7 % 251) as u8).collect();
    let mut out = Vec::new();
    let message = Message::Data(B::from(vec![7; 175]), Some(B::from(body)));
    ciborium::into_writer(&message, &mut out).expect("writing to a vector does not fail");
    out
}

fn by_codec<B: Serialize + for<'de> Deserialize<'de>>(frame: &[u8], chunk: usize) {
    let limits = FrameLimits::with_len_max(32 << 20);
    let mut chunks = Chunks { rest: frame, chunk };
    let message = block_on(into_cbor_stream_with::<Message<B>>(&mut chunks, limits).next());
    black_box(message.expect("the frame is whole").expect("the frame is valid"));
}

fn by_ciborium<B: for<'de> Deserialize<'de>>(frame: &[u8]) {
    let message: Message<B> = ciborium::from_reader(frame).expect("the frame is valid");
    black_box(message);
}

/// What the stream itself costs: its chunks, each into the same small buffer.
fn by_reading(frame: &[u8], chunk: usize) {
    let mut chunks = Chunks { rest: frame, chunk };
    let mut buffer = vec![0; 16 << 10];
    while block_on(chunks.read(&mut buffer)).is_ok_and(|count| count > 0) {
        black_box(&mut buffer);
    }
}

/// CPU time of this thread so far, where the system tells it.
fn cpu_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// CPU time of one run in seconds: the least of several averages, which what else the machine does disturbs least.
fn cpu_of(run: impl Fn()) -> Option<f64> {
    // The system counts in steps of milliseconds.
    const LONG_ENOUGH: Duration = Duration::from_millis(100);
    let time = |runs: u32| {
        let before = cpu_time()?;
        (0..runs).for_each(|_| run());
        Some(cpu_time()? - before)
    };
    let mut runs = 1;
    while time(runs)? < LONG_ENOUGH {
        runs *= 2;
    }
    let average = || Some(time(runs)?.as_secs_f64() / f64::from(runs));
    (0..5).map(|_| average()).collect::<Option<Vec<_>>>()?.into_iter().reduce(f64::min)
}

fn print_ratios<B: Serialize + From<Vec<u8>> + for<'de> Deserialize<'de>>(kind: &str) {
    for mebibytes in [2, 4, 8] {
        let frame = frame::<B>(mebibytes << 20);
        for chunk in [1_400, 65_536] {
            let ours = cpu_of(|| by_codec::<B>(&frame, chunk));
            let plain = cpu_of(|| by_ciborium::<B>(&frame));
            let reading = cpu_of(|| by_reading(&frame, chunk));
            let (Some(ours), Some(plain), Some(reading)) = (ours, plain, reading) else { return };
            println!(
                "{kind} {mebibytes} MiB in chunks of {chunk}: {:.2} ms, plain {:.2} ms, ratio {:.2}, without reading {:.2}",
                ours * 1e3,
                plain * 1e3,
                ours / plain,
                (ours - reading) / plain,
            );
        }
    }
}

fn compare<B: Serialize + From<Vec<u8>> + for<'de> Deserialize<'de>>(criterion: &mut Criterion, kind: &str) {
    let mut group = criterion.benchmark_group(format!("cbor/{kind}"));
    for mebibytes in [2, 8] {
        let frame = frame::<B>(mebibytes << 20);
        group.throughput(Throughput::Bytes(frame.len() as u64));
        let name = format!("{mebibytes} MiB");
        group.bench_function(BenchmarkId::new("codec in chunks of 1400", &name), |b| {
            b.iter(|| by_codec::<B>(&frame, 1_400));
        });
        group.bench_function(BenchmarkId::new("plain ciborium", &name), |b| b.iter(|| by_ciborium::<B>(&frame)));
    }
    group.finish();
}

fn main() {
    print_ratios::<Vec<u8>>("integers");
    print_ratios::<ByteBuf>("bytes");
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    compare::<Vec<u8>>(&mut criterion, "integers");
    compare::<ByteBuf>(&mut criterion, "bytes");
    criterion.final_summary();
}
