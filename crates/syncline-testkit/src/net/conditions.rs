use std::time::Duration;

/// What one direction of a connection is like.
///
/// By default bytes arrive at once, in chunks of any size, and up to 64 KiB may be under way.
#[derive(Clone, Debug)]
pub struct Conditions {
    pub(super) latency: Duration,
    pub(super) bandwidth: Option<u64>,
    pub(super) chunk: usize,
    pub(super) chunk_seed: Option<u64>,
    pub(super) capacity: usize,
    pub(super) holds_until_flush: bool,
    pub(super) cut: Option<(u64, Cut)>,
    pub(super) corrupt: Vec<(u64, u8)>,
}

/// How a direction ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// The reader sees the end of the stream, the writer a broken pipe.
    Close,
    /// Reader and writer see that the connection was reset.
    Reset,
    /// Nothing arrives any more, and nobody is told. The writer may go on until the buffer is full.
    Stall,
}

impl Default for Conditions {
    fn default() -> Self {
        Self::new()
    }
}

impl Conditions {
    /// The default buffer: 64 KiB.
    pub const CAPACITY_DEFAULT: usize = 64 << 10;

    /// Bytes arrive at once, in chunks of any size, and up to [`CAPACITY_DEFAULT`](Self::CAPACITY_DEFAULT) of them may be
    /// under way.
    #[must_use]
    pub fn new() -> Self {
        Self {
            latency: Duration::ZERO,
            bandwidth: None,
            chunk: usize::MAX,
            chunk_seed: None,
            capacity: Self::CAPACITY_DEFAULT,
            holds_until_flush: false,
            cut: None,
            corrupt: Vec::new(),
        }
    }

    /// The time from when a byte is sent until it can be read.
    #[must_use]
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// How many bytes leave in a second; at least one. Bytes wait for those before them.
    #[must_use]
    pub fn with_bandwidth(mut self, bytes_per_second: u64) -> Self {
        self.bandwidth = Some(bytes_per_second.max(1));
        self
    }

    /// The most bytes that one read or write moves; at least one.
    #[must_use]
    pub fn with_chunk(mut self, bytes: usize) -> Self {
        self.chunk = bytes.max(1);
        self
    }

    /// Each read and write moves a random number of bytes, up to the chunk.
    #[must_use]
    pub fn with_random_chunks(mut self, seed: u64) -> Self {
        self.chunk_seed = Some(seed);
        self
    }

    /// How many bytes may be under way, written and not yet read; at least one. A writer waits when they are.
    #[must_use]
    pub fn with_capacity(mut self, bytes: usize) -> Self {
        self.capacity = bytes.max(1);
        self
    }

    /// What is written leaves only when it is flushed, or when the buffer is full, and is lost if the writer is dropped
    /// before: as a buffered, encrypted or framed stream does it.
    #[must_use]
    pub fn with_flush_required(mut self) -> Self {
        self.holds_until_flush = true;
        self
    }

    /// Ends the direction after `bytes` bytes. They still arrive.
    #[must_use]
    pub fn with_cut(mut self, bytes: u64, cut: Cut) -> Self {
        self.cut = Some((bytes, cut));
        self
    }

    /// Changes the byte at the offset `at`, counted from the start, by exclusive or with `mask`. May be called several times.
    #[must_use]
    pub fn with_corrupt(mut self, at: u64, mask: u8) -> Self {
        self.corrupt.push((at, mask));
        self
    }
}
