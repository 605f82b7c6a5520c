//! Settings and limits of an agent.

use std::time::Duration;

use super::Rate;
use super::message::DIGEST_LEN;

/// The shortest limit on messages that can be set: a digest fits with room to spare.
const MESSAGE_LEN_MIN: usize = 256;

/// Settings and limits of an [`Agent`](super::Agent).
///
/// | setting | default | |
/// |---|---|---|
/// | interval between digests | 30 s | |
/// | jitter of intervals | 50 % | up or down |
/// | wait after a change | 200 ms | until there is no further one |
/// | longest wait after a change | 2 s | |
/// | shortest time between broadcasts | 200 ms | |
/// | wait before a reply | 0 to 250 ms | random |
/// | time in which replies count | 10 s | later ones are unsolicited |
/// | replies seen that make one's own needless | 8 | |
/// | digests and replies to one member | 2 per s, 8 at once | beyond: not sent |
/// | digests and replies to all members | 64 per s, 128 at once | beyond: not sent |
/// | sessions at once that the agent opens | 3 | the others wait |
/// | members that wait for a session | 64 | the last in line is forgotten |
/// | session with a random member | every 4th interval | 0: never |
/// | time between sessions with one member | 1 s | |
/// | retries after failures | 1 s to 300 s | doubled each time, up to half taken off at random |
/// | longest session | 600 s | `CancelSync`, and counts as failed |
/// | longest session while others wait | 120 s | `CancelSync`, and waits for its next turn |
/// | eager pushes | on | off: nothing is pushed |
/// | longest entry to push | 1200 B | longer ones are left to sessions |
/// | members that a push goes to | 4 | |
/// | so few members that a push goes to all | 8 | |
/// | bytes pushed | 1 MiB per s, 2 MiB at once | beyond: waits |
/// | bytes that wait to be pushed | 1 MiB | who has most loses its oldest, and a digest makes up for it |
/// | longest message to send | 1200 B | at least 256 |
/// | longest message to receive | 64 KiB | `TooLong` |
/// | bytes of pushes from one member | 256 KiB per s, 1 MiB at once | beyond: ignored |
/// | bytes of pushes from all who are no members | 64 KiB per s, 256 KiB at once | beyond: ignored |
/// | items known to have come | 16 384, for 600 s | the oldest is forgotten, and may be applied again |
/// | parts of an item | 64 | longer items are not pushed |
/// | items in parts from one member | 4, for 10 s | the oldest is dropped |
/// | bytes in parts from all members | 1 MiB | who has most loses its oldest |
/// | members | 1 024 | further ones are ignored until others are gone |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    interval: Duration,
    jitter_percent: u8,
    debounce: Duration,
    debounce_max: Duration,
    broadcast_gap: Duration,
    reply_delay_max: Duration,
    reply_window: Duration,
    replies_seen_max: usize,
    direct_per_peer: Rate,
    direct_total: Rate,
    sessions_max: usize,
    waiting_max: usize,
    entropy_intervals: u32,
    session_gap: Duration,
    retry_min: Duration,
    retry_max: Duration,
    session_max: Duration,
    session_share: Duration,
    eager: bool,
    push_len_max: usize,
    fanout: usize,
    flood_max: usize,
    push_rate: Rate,
    push_bytes_max: usize,
    message_len_max: usize,
    receive_len_max: usize,
    intake_per_peer: Rate,
    intake_strangers: Rate,
    seen_max: usize,
    seen_for: Duration,
    parts_max: u16,
    assemblies_per_peer: usize,
    assembly_for: Duration,
    assembly_bytes_max: usize,
    peers_max: usize,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            jitter_percent: 50,
            debounce: Duration::from_millis(200),
            debounce_max: Duration::from_secs(2),
            broadcast_gap: Duration::from_millis(200),
            reply_delay_max: Duration::from_millis(250),
            reply_window: Duration::from_secs(10),
            replies_seen_max: 8,
            direct_per_peer: Rate::new(2, 8),
            direct_total: Rate::new(64, 128),
            sessions_max: 3,
            waiting_max: 64,
            entropy_intervals: 4,
            session_gap: Duration::from_secs(1),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(300),
            session_max: Duration::from_secs(600),
            session_share: Duration::from_secs(120),
            eager: true,
            push_len_max: 1_200,
            fanout: 4,
            flood_max: 8,
            push_rate: Rate::new(1 << 20, 2 << 20),
            push_bytes_max: 1 << 20,
            message_len_max: 1_200,
            receive_len_max: 64 << 10,
            intake_per_peer: Rate::new(256 << 10, 1 << 20),
            intake_strangers: Rate::new(64 << 10, 256 << 10),
            seen_max: 16_384,
            seen_for: Duration::from_secs(600),
            parts_max: 64,
            assemblies_per_peer: 4,
            assembly_for: Duration::from_secs(10),
            assembly_bytes_max: 1 << 20,
            peers_max: 1_024,
        }
    }
}

impl AgentConfig {
    /// What an agent can work with: settings that contradict each other are mended.
    pub(super) fn mended(mut self) -> Self {
        let tick = Duration::from_millis(1);
        self.interval = self.interval.max(tick);
        self.debounce_max = self.debounce_max.max(self.debounce);
        self.retry_min = self.retry_min.max(tick);
        self.retry_max = self.retry_max.max(self.retry_min);
        self.session_max = self.session_max.max(tick);
        self.session_share = self.session_share.clamp(tick, self.session_max);
        self.message_len_max = self.message_len_max.max(MESSAGE_LEN_MIN);
        self.receive_len_max = self.receive_len_max.max(DIGEST_LEN);
        self
    }
}

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident, $with:ident: $type:ty;)*) => {
        impl AgentConfig {
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

settings! {
    /// The mean time between digests that are broadcast without a reason; at least a millisecond.
    interval, with_interval: Duration;
    /// By how much intervals vary, up or down: 0 to 100.
    jitter_percent, with_jitter_percent: u8;
    /// How long nothing may change before a change is told by a digest.
    debounce, with_debounce: Duration;
    /// How long a change waits at most for its digest while there are further changes; at least the
    /// [`debounce`](Self::debounce).
    debounce_max, with_debounce_max: Duration;
    /// The shortest time between two digests that are broadcast, whatever their reasons.
    broadcast_gap, with_broadcast_gap: Duration;
    /// The longest time that a node waits before it answers a digest. The time is random, so that not all answer at once.
    reply_delay_max, with_reply_delay_max: Duration;
    /// How long after a digest replies to it count.
    reply_window, with_reply_window: Duration;
    /// How many other members must have been heard to answer a digest for one's own answer to be left out. Only a transport
    /// on which answers are overheard makes use of it.
    replies_seen_max, with_replies_seen_max: usize;
    /// How many digests and replies a member is sent.
    direct_per_peer, with_direct_per_peer: Rate;
    /// How many digests and replies are sent to single members, all together.
    direct_total, with_direct_total: Rate;
    /// How many sessions that the agent asked for go on at once.
    sessions_max, with_sessions_max: usize;
    /// How many members wait for a session.
    waiting_max, with_waiting_max: usize;
    /// After how many intervals a session is opened with a random member, whatever digests say. 0 for never: then a node
    /// whose digests are lost stays behind.
    entropy_intervals, with_entropy_intervals: u32;
    /// The shortest time between the end of a session with a member and the next one that is opened with it.
    session_gap, with_session_gap: Duration;
    /// The delay after the first failure; at least a millisecond.
    retry_min, with_retry_min: Duration;
    /// The longest delay after failures; at least [`retry_min`](Self::retry_min).
    retry_max, with_retry_max: Duration;
    /// How long a session may take that the agent asked for.
    session_max, with_session_max: Duration;
    /// How long a session may take that the agent asked for when there is no room for another and somebody waits, so that
    /// members who are slow on purpose do not keep all others out; at most [`session_max`](Self::session_max). What a session
    /// has applied by then stays, and the next one goes on from there.
    session_share, with_session_share: Duration;
    /// Whether what is new is pushed. Without it changes travel by digests and sessions only, revocations among them. What
    /// others push is applied in any case.
    eager, with_eager: bool;
    /// The longest entry that is pushed, in bytes as encoded. Revocations, grants and what is urgent are pushed whatever
    /// their length.
    push_len_max, with_push_len_max: usize;
    /// How many members a push is sent to if there are more than [`flood_max`](Self::flood_max).
    fanout, with_fanout: usize;
    /// Up to how many members a push is sent to all.
    flood_max, with_flood_max: usize;
    /// How many bytes are pushed; each receiver counts.
    push_rate, with_push_rate: Rate;
    /// How many bytes of items wait to be pushed.
    push_bytes_max, with_push_bytes_max: usize;
    /// The longest message to send: what broadcast and direct messages can both carry. At least 256.
    message_len_max, with_message_len_max: usize;
    /// The longest message to receive; at least the length of a digest.
    receive_len_max, with_receive_len_max: usize;
    /// How many bytes of pushes a member may send.
    intake_per_peer, with_intake_per_peer: Rate;
    /// How many bytes of pushes may come from unknown senders and from those who are no members, all together.
    intake_strangers, with_intake_strangers: Rate;
    /// How many items are remembered, so that they are applied and pushed once.
    seen_max, with_seen_max: usize;
    /// How long items are remembered.
    seen_for, with_seen_for: Duration;
    /// Into how many parts an item may be split, on either way.
    parts_max, with_parts_max: u16;
    /// Of how many items the parts are kept that a member sends. Senders who are no members have the share of one.
    assemblies_per_peer, with_assemblies_per_peer: usize;
    /// How long parts are kept that are not all there.
    assembly_for, with_assembly_for: Duration;
    /// How many bytes of parts are kept, all together.
    assembly_bytes_max, with_assembly_bytes_max: usize;
    /// How many members are known, those included that were gone lately.
    peers_max, with_peers_max: usize;
}
