use std::time::Duration;

use crate::item::Item;

/// Limits of one session of [`KvSync`](super::KvSync).
///
/// | limit | default | when it is exceeded |
/// |---|---|---|
/// | bytes of one message | the longest item and 64 bytes | `InvalidEncoding`, as soon as it is claimed |
/// | items received | 2^32 | `UnexpectedBehaviour` |
/// | bytes received | 16 GiB | `UnexpectedBehaviour` |
/// | items that differ | 16 777 216 in each reconciliation | `UnexpectedBehaviour` |
/// | items verified and stored together | 2 048 | (a bound on memory) |
/// | bytes verified and stored together | 4 MiB | (a bound on memory) |
/// | refusals that wait to be told | 4 096 | the peer is not told of more, and offers them again |
/// | items of the peer that are not sent back to it | 8 192 | older ones may be sent back; it knows them |
/// | peers that the tree knows | 1 024 | the one that was away for longest is forgotten |
/// | handshake deadline | 10 s | `UnexpectedBehaviour`, if there is a timer |
/// | idle deadline | 60 s | `UnexpectedBehaviour`, if there is a timer |
/// | keep-alive | 20 s | (sent when nothing else was) |
/// | bytes read from the tree at a time | 64 KiB | (a bound on memory) |
/// | bytes encoded ahead of what the peer took | 64 KiB | (a bound on memory) |
///
/// A live session is one session: budgets of items and bytes are for all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    frame_len_max: usize,
    items_received_max: u64,
    bytes_received_max: u64,
    differences_max: u64,
    batch_items_max: usize,
    batch_bytes_max: usize,
    refusals_max: usize,
    echoes_max: usize,
    peers_max: usize,
    handshake: Duration,
    idle: Duration,
    keep_alive: Duration,
    page_bytes: usize,
    window_bytes: usize,
}

impl Limits {
    /// Bytes of the longest reconciliation message to send. It fits into a message of 256 KiB.
    pub(super) const RECONCILE_LEN_MAX: usize = 192 << 10;

    /// Bytes of the shortest [`frame_len_max`](Self::frame_len_max): what the peer's reconciliation takes.
    pub const FRAME_LEN_MIN: usize = 256 << 10;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_len_max: Item::LEN_MAX + 64,
            items_received_max: 1 << 32,
            bytes_received_max: 16 << 30,
            differences_max: 1 << 24,
            batch_items_max: 2_048,
            batch_bytes_max: 4 << 20,
            refusals_max: 4_096,
            echoes_max: 8_192,
            peers_max: 1_024,
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
    /// The most bytes of one message from the peer; at least [`FRAME_LEN_MIN`](Self::FRAME_LEN_MIN) are taken. An item that
    /// takes more than this cannot be received.
    frame_len_max, with_frame_len_max: usize;
    /// The most items to receive in a session.
    items_received_max, with_items_received_max: u64;
    /// The most bytes to receive in a session.
    bytes_received_max, with_bytes_received_max: u64;
    /// The most items that may differ in one reconciliation, here and there together. Each takes some hundred bytes until it is
    /// sent. A side that holds nothing does not count: it is sent everything without a reconciliation.
    differences_max, with_differences_max: u64;
    /// How many items are verified and committed together. More make both cheaper per item.
    batch_items_max, with_batch_items_max: usize;
    /// How many bytes are verified and committed together. One item is always taken.
    batch_bytes_max, with_batch_bytes_max: usize;
    /// How many refusals may wait to be told to the peer.
    refusals_max, with_refusals_max: usize;
    /// How many ids of items that the peer sent are kept, so that a live session does not send them back.
    echoes_max, with_echoes_max: usize;
    /// How many peers are [known](crate::Tree::freshness) at a time, each of which is waited for before deletions are forgotten. In
    /// a namespace that everybody may read anybody becomes one by a session. At least one is.
    peers_max, with_peers_max: usize;
    /// The time until the peers must have agreed on the query.
    handshake, with_handshake: Duration;
    /// The longest time in which the peer neither sends nor takes anything. Time in which this side waits for its own
    /// application or tree does not count. Should be some times the peer's keep-alive.
    idle, with_idle: Duration;
    /// After how long a silence of our own the peer is told that we are here, also while our own application or tree is
    /// waited for; 100 ms at the least.
    keep_alive, with_keep_alive: Duration;
    /// About how many bytes to read from the tree at a time. One item is always read.
    page_bytes, with_page_bytes: usize;
    /// How many encoded bytes may wait for the peer before more is read from the tree.
    window_bytes, with_window_bytes: usize;
}
