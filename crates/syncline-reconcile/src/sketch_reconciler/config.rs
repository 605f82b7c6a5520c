//! How sketches are used.

use crate::RangeConfig;

/// How one side compares sketches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SketchConfig {
    /// How ranges are cut if it comes to them, the longest message to send, and what the peer may cost.
    pub ranges: RangeConfig,
    /// Symbols of the first answer, 1 to 1 024. 64 by default: 1.7 KB, enough for some thirty differences.
    pub first: usize,
    /// Whether symbols are sent without being asked for, until the opener has enough. Off by default. Needs a transport on
    /// which both sides can send at the same time, and a caller that calls [`push`](crate::SketchReconciler::push)
    /// while it may send; then any difference takes two round trips. Both sides must agree, else it is off.
    pub streamed: bool,
}

impl SketchConfig {
    /// The defaults, as a constant.
    pub const DEFAULT: Self = Self { ranges: RangeConfig::DEFAULT, first: 64, streamed: false };

    pub(super) fn first(&self) -> usize {
        self.first.clamp(1, 1_024)
    }
}

impl Default for SketchConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Bytes that one difference costs by ranges where most of a set differs.
const RANGE_LEN: u64 = 8;
/// Bytes that one difference costs by sketches: two symbols, its part or its short id.
const SKETCH_LEN: u64 = 64;

/// Whether sketches of `limit` symbols bear so many differences between sets of so many items.
pub(super) fn is_worth_it(differences: u64, limit: usize, ours: u64, theirs: u64) -> bool {
    let bytes = differences.saturating_mul(SKETCH_LEN);
    // Two sets of a thousand items or fewer take as many bytes whichever way, and sketches fewer round trips.
    let items = ours.saturating_add(theirs).max(1_024);
    differences <= limit as u64 * 2 / 3 && bytes <= items.saturating_mul(RANGE_LEN)
}
