use std::time::Duration;

/// Limits of one log sync session.
///
/// | limit | default | when it is exceeded |
/// |---|---|---|
/// | bytes of one message | 16 MiB | `InvalidEncoding`, as soon as it is claimed |
/// | authors in a peer's heights | 100 000 | `InvalidEncoding` |
/// | logs in a peer's heights | 1 000 000 | `InvalidEncoding` |
/// | operations received | 2^32 | `UnexpectedBehaviour` |
/// | bytes received | 16 GiB | `UnexpectedBehaviour` |
/// | handshake deadline | 10 s | `UnexpectedBehaviour`, if there is a timer |
/// | idle deadline | 30 s | `UnexpectedBehaviour`, if there is a timer |
/// | bytes read from the store at a time | 64 KiB | (a bound on memory) |
/// | bytes encoded ahead of what the peer took | 64 KiB | (a bound on memory) |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    frame_len_max: usize,
    authors_max: usize,
    logs_max: usize,
    operations_received_max: u64,
    bytes_received_max: u64,
    handshake: Duration,
    idle: Duration,
    page_bytes: usize,
    window_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_len_max: 16 << 20,
            authors_max: 100_000,
            logs_max: 1_000_000,
            operations_received_max: 1 << 32,
            bytes_received_max: 16 << 30,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            page_bytes: 64 << 10,
            window_bytes: 64 << 10,
        }
    }
}

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident, $with:ident: $type:ty;)*) => {
        impl Limits {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(&self) -> $type {
                    self.$name
                }

                #[doc = concat!("Sets [`", stringify!($name), "`](Self::", stringify!($name), ").")]
                #[must_use]
                pub fn $with(mut self, value: $type) -> Self {
                    self.$name = value;
                    self
                }
            )*
        }
    };
}

limits! {
    /// The most bytes of one message from the peer. An operation whose header and body take more than this cannot be
    /// received; in arrays of integers they take up to twice their length.
    frame_len_max, with_frame_len_max: usize;
    /// The most authors that a peer may list.
    authors_max, with_authors_max: usize;
    /// The most logs that a peer may list, of all authors together.
    logs_max, with_logs_max: usize;
    /// The most operations to receive in a session.
    operations_received_max, with_operations_received_max: u64;
    /// The most bytes to receive in a session.
    bytes_received_max, with_bytes_received_max: u64;
    /// The time until the peers must have agreed on the topic.
    handshake, with_handshake: Duration;
    /// The longest time in which the peer neither sends nor takes anything. Time in which this side waits for its own
    /// application or store does not count.
    idle, with_idle: Duration;
    /// About how many bytes to read from the store at a time. One operation is always read.
    page_bytes, with_page_bytes: usize;
    /// How many encoded bytes may wait for the peer before more is read from the store.
    window_bytes, with_window_bytes: usize;
}
