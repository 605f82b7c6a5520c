//! Numbers for people, to three digits.

/// A time.
pub(crate) fn seconds(value: f64) -> String {
    match value {
        0.0 => "0 s".into(),
        v if v < 1e-3 => format!("{} us", digits(v * 1e6)),
        v if v < 1.0 => format!("{} ms", digits(v * 1e3)),
        v => format!("{} s", digits(v)),
    }
}

/// An amount of data, in thousands.
pub(crate) fn bytes(value: f64) -> String {
    match value {
        v if v < 1e3 => format!("{} B", digits(v)),
        v if v < 1e6 => format!("{} kB", digits(v / 1e3)),
        v if v < 1e9 => format!("{} MB", digits(v / 1e6)),
        v => format!("{} GB", digits(v / 1e9)),
    }
}

/// A number of things, with its thousands apart.
pub(crate) fn count(value: u64) -> String {
    let text = value.to_string();
    let mut grouped = String::new();
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && (text.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        assert_eq!(seconds(0.25), "250 ms");
        assert_eq!(seconds(0.000_004), "4 us");
        assert_eq!((seconds(0.0), seconds(12.345)), ("0 s".into(), "12.3 s".into()));
        assert_eq!((bytes(144.0), bytes(57_199_000.0)), ("144 B".into(), "57.2 MB".into()));
        assert_eq!((bytes(1_204.0), bytes(3e9)), ("1.2 kB".into(), "3 GB".into()));
        assert_eq!((count(999), count(1_234_567)), ("999".into(), "1\u{202f}234\u{202f}567".into()));
    }
}
