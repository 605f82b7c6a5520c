//! What goes wrong, and how often.

use std::fmt;
use std::time::Duration;

use crate::seed::Rng;

/// How often something happens: once in so much time on average, or never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate(Option<Duration>);

impl Rate {
    /// Never.
    pub const NEVER: Self = Self(None);

    /// Once in `mean` on average; at most a thousand times a second.
    #[must_use]
    pub fn every(mean: Duration) -> Self {
        Self(Some(mean.max(Duration::from_millis(1))))
    }

    /// The time until it happens next: evenly from nothing to twice the mean.
    pub(super) fn draw(self, rng: &mut Rng) -> Option<Duration> {
        let millis = u64::try_from(self.0?.as_millis()).unwrap_or(u64::MAX >> 1);
        Some(Duration::from_millis(1 + rng.below(millis.saturating_mul(2))))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(mean) => write!(f, "every {mean:?}"),
            None => f.write_str("never"),
        }
    }
}

/// The faults of a run. [`Default`] is none.
///
/// Rates are of the whole cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "scenarios switch single kinds off")]
pub struct Faults {
    /// A node loses its memory and what was not durable, and starts again a while later.
    pub crash: Rate,
    /// A disk refuses a commit, which changes nothing, and works again.
    pub commit_refused: Rate,
    /// The process dies in a commit, of which all is durable or nothing; at once, or some time later.
    pub commit_unknown: Rate,
    /// A disk fails a read.
    pub read_failed: Rate,
    /// Two nodes cannot reach each other for a while, in both directions or in one. Sessions are held back.
    pub partition: Rate,
    /// One direction of a session is held back for a while.
    pub clog: Rate,
    /// A session is cut, in both directions, at any time.
    pub cut: Rate,
    /// One side of a session is dropped where it stands.
    pub cancel: Rate,
    /// A node's clock jumps ahead by up to ten minutes.
    pub clock_jump: Rate,
    /// How many of 1000 sessions are cut at some byte.
    pub cut_at_byte_per_mille: u64,
    /// How many of 1000 sessions have damaged bytes.
    pub corrupt_per_mille: u64,
    /// How many of 1000 sessions are opened twice at once, from either side.
    pub duplicate_per_mille: u64,
    /// The most by which a node's clock is wrong from its start on.
    pub skew_max: Duration,
    /// How many of 1000 datagrams are lost.
    pub datagram_loss_per_mille: u64,
    /// How many of 1000 datagrams come twice.
    pub datagram_duplicate_per_mille: u64,
}

impl Faults {
    /// No faults.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Each kind on in half of the seeds, with a rate that depends on the seed.
    #[must_use]
    pub fn swarm(rng: &mut Rng) -> Self {
        let mut seconds = |least: u64, most: u64| {
            // Evenly over the orders of magnitude.
            let (is_on, least_part) = (rng.chance(1, 2), rng.below(1000));
            let spread = most.max(least + 1) - least;
            let millis = least * 1000 + spread * least_part * least_part / 1000;
            if is_on { Rate::every(Duration::from_millis(millis)) } else { Rate::NEVER }
        };
        Self {
            crash: seconds(20, 600),
            commit_refused: seconds(10, 300),
            commit_unknown: seconds(20, 600),
            read_failed: seconds(10, 300),
            partition: seconds(20, 600),
            clog: seconds(10, 300),
            cut: seconds(10, 300),
            cancel: seconds(10, 300),
            clock_jump: seconds(30, 600),
            cut_at_byte_per_mille: per_mille(rng, 500),
            corrupt_per_mille: per_mille(rng, 300),
            duplicate_per_mille: per_mille(rng, 500),
            skew_max: if rng.chance(1, 2) { Duration::from_secs(1 + rng.below(600)) } else { Duration::ZERO },
            datagram_loss_per_mille: per_mille(rng, 300),
            datagram_duplicate_per_mille: per_mille(rng, 500),
        }
    }
}

fn per_mille(rng: &mut Rng, most: u64) -> u64 {
    let (is_on, rate) = (rng.chance(1, 2), 1 + rng.below(most));
    if is_on { rate } else { 0 }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rates = [
            ("crash", self.crash),
            ("commit refused", self.commit_refused),
            ("commit unknown", self.commit_unknown),
            ("read failed", self.read_failed),
            ("partition", self.partition),
            ("clog", self.clog),
            ("cut", self.cut),
            ("cancel", self.cancel),
            ("clock jump", self.clock_jump),
        ];
        let mut some = false;
        for (name, rate) in rates.into_iter().filter(|(_, rate)| *rate != Rate::NEVER) {
            write!(f, "{}{name} {rate}", if some { ", " } else { "" })?;
            some = true;
        }
        let shares = [
            ("cut at a byte", self.cut_at_byte_per_mille, "sessions"),
            ("corrupt", self.corrupt_per_mille, "sessions"),
            ("duplicate", self.duplicate_per_mille, "sessions"),
            ("lost", self.datagram_loss_per_mille, "datagrams"),
            ("doubled", self.datagram_duplicate_per_mille, "datagrams"),
        ];
        for (name, share, of) in shares.into_iter().filter(|(_, share, _)| *share > 0) {
            write!(f, "{}{name} {share} ‰ of {of}", if some { ", " } else { "" })?;
            some = true;
        }
        if !self.skew_max.is_zero() {
            write!(f, "{}clocks off by up to {:?}", if some { ", " } else { "" }, self.skew_max)?;
            some = true;
        }
        if some { Ok(()) } else { f.write_str("none") }
    }
}
