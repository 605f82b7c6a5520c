//! What the simulated connection is like.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;
use syncline_testkit::net::Conditions;
use thiserror::Error;

/// A connection between the two nodes, as seen by the one that initiates: `rtt=50ms,down=10mbit,up=2mbit,loss=0.1%`.
///
/// What is left out costs nothing: no delay, any bandwidth, no loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Link {
    /// The time of a round trip without any data, half of it each way.
    #[serde(rename = "rtt_ms", serialize_with = "millis")]
    pub rtt: Duration,
    /// Bits per second to the initiator.
    #[serde(rename = "down_bits_per_second")]
    pub down: Option<u64>,
    /// Bits per second from the initiator.
    #[serde(rename = "up_bits_per_second")]
    pub up: Option<u64>,
    /// Which part of the segments is lost on the way, 0 to 1. A lost segment arrives a round trip later, and what comes
    /// behind it waits for it.
    pub loss: f64,
}

fn millis<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64() * 1e3)
}

/// A link that cannot be understood.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LinkError {
    /// Not `name=value`.
    #[error("{0:?} is not one of rtt=TIME, down=RATE, up=RATE, loss=PERCENT")]
    Part(String),
    /// No time.
    #[error("{0:?} is no time; write 50ms or 0.2s")]
    Time(String),
    /// No rate.
    #[error("{0:?} is no rate; write 500kbit, 10mbit or 1gbit")]
    Rate(String),
    /// No loss.
    #[error("{0:?} is no loss; write 0.5%, and less than 50%")]
    Loss(String),
}

impl Link {
    /// Without delay, limit or loss.
    pub const IDEAL: Self = Self { rtt: Duration::ZERO, down: None, up: None, loss: 0.0 };

    /// The same with another round trip.
    #[must_use]
    pub fn with_rtt(self, rtt: Duration) -> Self {
        Self { rtt, ..self }
    }

    /// The conditions of the way to the initiator, or from it.
    pub(crate) fn conditions(&self, down: bool) -> Conditions {
        let rate = if down { self.down } else { self.up };
        let conditions = Conditions::new().with_latency(self.rtt / 2).with_capacity(self.window(rate));
        match rate {
            Some(bits) => conditions.with_bandwidth(bits / 8),
            None => conditions,
        }
    }

    /// Bytes that may be under way: what the wire holds in two round trips, so that no window slows it down.
    fn window(&self, rate: Option<u64>) -> usize {
        let Some(bits) = rate else { return usize::MAX };
        let in_flight = (bits / 8) as f64 * self.rtt.as_secs_f64() * 2.0;
        Conditions::CAPACITY_DEFAULT + in_flight as usize
    }
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let mut link = Self::IDEAL;
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("rtt", value)) => link.rtt = time(value).ok_or_else(|| LinkError::Time(value.into()))?,
                Some(("down", value)) => link.down = Some(rate(value).ok_or_else(|| LinkError::Rate(value.into()))?),
                Some(("up", value)) => link.up = Some(rate(value).ok_or_else(|| LinkError::Rate(value.into()))?),
                Some(("loss", value)) => link.loss = loss(value).ok_or_else(|| LinkError::Loss(value.into()))?,
                _ => return Err(LinkError::Part(part.into())),
            }
        }
        Ok(link)
    }
}

/// A number from `least` on, and the unit behind it.
fn number(text: &str, least: f64) -> Option<(f64, &str)> {
    let unit = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let number: f64 = number.parse().ok()?;
    (number.is_finite() && number >= least).then_some((number, unit))
}

fn time(text: &str) -> Option<Duration> {
    let seconds = match number(text, 0.0)? {
        (number, "ms") => number / 1e3,
        (number, "s") => number,
        _ => return None,
    };
    // The simulated clock counts milliseconds, and each way takes half.
    (seconds <= 3600.0).then(|| Duration::from_millis((seconds * 1e3).round() as u64))
}

fn rate(text: &str) -> Option<u64> {
    let bits = match number(text, 0.0)? {
        (number, "kbit") => number * 1e3,
        (number, "mbit") => number * 1e6,
        (number, "gbit") => number * 1e9,
        _ => return None,
    };
    (8.0..1e12).contains(&bits).then_some(bits as u64)
}

fn loss(text: &str) -> Option<f64> {
    match number(text, 0.0)? {
        (number, "%") if number < 50.0 => Some(number / 100.0),
        _ => None,
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rtt={}ms", self.rtt.as_millis())?;
        for (name, bits) in [("down", self.down), ("up", self.up)] {
            match bits {
                Some(bits) if bits >= 1_000_000 => write!(f, ",{name}={}mbit", bits as f64 / 1e6)?,
                Some(bits) => write!(f, ",{name}={}kbit", bits as f64 / 1e3)?,
                None => {}
            }
        }
        if self.loss > 0.0 {
            write!(f, ",loss={}%", self.loss * 100.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_and_written() {
        let link: Link = "rtt=50ms, down=10mbit,up=500kbit,loss=0.5%".parse().expect("a link");
        assert_eq!(link.rtt, Duration::from_millis(50));
        assert_eq!((link.down, link.up, link.loss), (Some(10_000_000), Some(500_000), 0.005));
        assert_eq!(link.to_string(), "rtt=50ms,down=10mbit,up=500kbit,loss=0.5%");
        assert_eq!("".parse(), Ok(Link::IDEAL));
        assert_eq!("rtt=0.2s".parse(), Ok(Link::IDEAL.with_rtt(Duration::from_millis(200))));
    }

    #[test]
    fn what_is_no_link_is_said_to_be_none() {
        for (text, error) in [
            ("rtt=50", LinkError::Time("50".into())),
            ("down=10", LinkError::Rate("10".into())),
            ("up=0mbit", LinkError::Rate("0mbit".into())),
            ("loss=60%", LinkError::Loss("60%".into())),
            ("fast", LinkError::Part("fast".into())),
            ("speed=1", LinkError::Part("speed=1".into())),
        ] {
            assert_eq!(text.parse::<Link>(), Err(error));
        }
    }
}
