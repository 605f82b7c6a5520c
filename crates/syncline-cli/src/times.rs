//! Times as people write them.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use syncline_core::clock::{Clock, SystemClock, Timestamp};

/// The time now.
pub fn now() -> Timestamp {
    SystemClock.now()
}

/// Reads a time such as 2026-01-31T12:00:00Z.
pub fn parse(text: &str) -> Result<Timestamp, ()> {
    let millis = text.parse::<jiff::Timestamp>().map_err(drop)?.as_millisecond();
    u64::try_from(millis).map(Timestamp::from_millis).map_err(drop)
}

/// Reads a duration such as 30d or 1h30m. A day has 24 hours.
pub fn parse_duration(text: &str) -> Result<Duration, ()> {
    let span = text.parse::<Span>().map_err(drop)?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(drop)?;
    Duration::try_from(duration).map_err(drop)
}

/// The time in RFC 3339, to the millisecond. One beyond its years in milliseconds.
pub fn rfc3339(at: Timestamp) -> String {
    let time = i64::try_from(at.as_millis()).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    time.map_or_else(|| format!("{} ms", at.as_millis()), |time| format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for millis in [0, 1, 1_700_000_000_123, 253_402_207_199_999] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(parse(&rfc3339(at)), Ok(at));
        }
        assert_eq!(rfc3339(Timestamp::from_millis(1_700_000_000_000)), "2023-11-14T22:13:20.000Z");
        assert_eq!(rfc3339(Timestamp::MAX), format!("{} ms", u64::MAX));
    }
}
