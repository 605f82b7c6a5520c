use std::time::Duration;

/// Limits of one session of [`LogSyncV2`](super::LogSyncV2).
///
/// | limit | default | when it is exceeded |
/// |---|---|---|
/// | bytes of one message | 16 MiB | `InvalidEncoding`, as soon as it is claimed |
/// | heights that a peer may send | 1 000 000 | `UnexpectedBehaviour` |
/// | operations received | 2^32 | `UnexpectedBehaviour` |
/// | bytes received | 16 GiB | `UnexpectedBehaviour` |
/// | bodies that a peer is given | 65 536 | the rest is said to be missing |
/// | rejected operations | 1 024 | `UnexpectedBehaviour` |
/// | operations verified and stored together | 8 192 | (a bound on memory) |
/// | bytes verified and stored together | 4 MiB | (a bound on memory) |
/// | longest body to receive | unlimited | the body stays behind, to be fetched later |
/// | handshake deadline | 10 s | `UnexpectedBehaviour`, if there is a timer |
/// | idle deadline | 60 s | `UnexpectedBehaviour`, if there is a timer |
/// | keep-alive | 20 s | (sent when nothing else was) |
/// | bytes read from the store at a time | 64 KiB | (a bound on memory) |
/// | bytes encoded ahead of what the peer took | 64 KiB | (a bound on memory) |
///
/// A live session is one session: budgets of operations and bytes are for all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    frame_len_max: usize,
    heights_max: usize,
    operations_received_max: u64,
    bytes_received_max: u64,
    payloads_wanted_max: usize,
    rejected_max: u64,
    batch_operations_max: usize,
    batch_bytes_max: usize,
    body_len_max: u64,
    handshake: Duration,
    idle: Duration,
    keep_alive: Duration,
    page_bytes: usize,
    window_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_len_max: 16 << 20,
            heights_max: 1_000_000,
            operations_received_max: 1 << 32,
            bytes_received_max: 16 << 30,
            payloads_wanted_max: 1 << 16,
            rejected_max: 1_024,
            batch_operations_max: 8_192,
            batch_bytes_max: 4 << 20,
            body_len_max: u64::MAX,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            keep_alive: Duration::from_secs(20),
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
    /// received.
    frame_len_max, with_frame_len_max: usize;
    /// The most logs whose heights the peer may send, which it does for those that differ.
    heights_max, with_heights_max: usize;
    /// The most operations to receive in a session.
    operations_received_max, with_operations_received_max: u64;
    /// The most bytes to receive in a session.
    bytes_received_max, with_bytes_received_max: u64;
    /// The most bodies that a peer is given in a session. For more it may come again.
    payloads_wanted_max, with_payloads_wanted_max: usize;
    /// How many operations that an honest peer would not have sent are borne in a session.
    rejected_max, with_rejected_max: u64;
    /// How many operations are verified and committed together. More make both cheaper per operation.
    batch_operations_max, with_batch_operations_max: usize;
    /// How many bytes are verified and committed together. One operation is always taken.
    batch_bytes_max, with_batch_bytes_max: usize;
    /// Bodies longer than this stay at the peer, as do those that would not fit into a message with a header of 64 KiB. [`LogSyncV2::fetch_payloads`](super::LogSyncV2::fetch_payloads) gets them.
    body_len_max, with_body_len_max: u64;
    /// The time until the peers must have agreed on the topic.
    handshake, with_handshake: Duration;
    /// The longest time in which the peer neither sends nor takes anything. Time in which this side waits for its own
    /// application or store does not count. Should be some times the peer's keep-alive.
    idle, with_idle: Duration;
    /// After how long a silence of our own the peer is told that we are here, also while our own application or store is
    /// waited for; 100 ms at the least.
    keep_alive, with_keep_alive: Duration;
    /// About how many bytes to read from the store at a time. One operation is always read.
    page_bytes, with_page_bytes: usize;
    /// How many encoded bytes may wait for the peer before more is read from the store.
    window_bytes, with_window_bytes: usize;
}
