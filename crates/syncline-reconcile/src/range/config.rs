//! How ranges are cut.

use crate::limits::Limits;

/// How one side cuts ranges, and what it takes from the peer. The two sides need not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RangeConfig {
    /// Into how many parts a range that differs is cut, 2 to 256. 16 by default. More makes fewer round trips and more
    /// bytes: 64 with a leaf of 64 where round trips are dear, 4 with a leaf of 8 where bytes are.
    pub fan_out: usize,
    /// A range with so many items, or fewer, is listed instead of cut: 1 to 512. 32 by default.
    pub leaf: usize,
    /// Bytes of the longest message to send, 4 KiB at least. 512 KiB by default. What does not fit waits for the next one.
    pub message_len_max: usize,
    /// What the peer may cost.
    pub limits: Limits,
}

impl RangeConfig {
    /// The defaults, as a constant.
    pub const DEFAULT: Self = Self { fan_out: 16, leaf: 32, message_len_max: 512 << 10, limits: Limits::DEFAULT };

    /// The nearest that makes sense.
    pub(super) fn clamped(mut self) -> Self {
        self.fan_out = self.fan_out.clamp(2, 256);
        self.leaf = self.leaf.clamp(1, super::LIST_LEN_MAX / 2);
        self.message_len_max = self.message_len_max.max(4 << 10);
        self
    }
}

impl Default for RangeConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}
