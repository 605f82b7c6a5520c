//! Randomness from the operating system.

use std::time::Duration;

/// Random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A random number. 0 if there is no randomness; only for what needs none to be right.
pub(crate) fn number() -> u64 {
    bytes().map_or(0, u64::from_le_bytes)
}

/// A time between half of `full` and `full`.
pub(crate) fn jittered(full: Duration) -> Duration {
    let half = full / 2;
    let range = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_micros(number() % range)
}
