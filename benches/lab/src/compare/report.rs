//! Figures as lines, as JSON, and as a page.

use std::fmt::Write as _;

use serde::Serialize;

use super::figure::Figure;
use super::log::Scale;
use super::reconcile::Reconciliation;
use crate::output::{bytes as size, count, seconds};
use crate::reconcile::{Bounds, Measured};

/// One line: name, ours, theirs, ratio, the limit if there is one, and when theirs was measured if not in this run.
pub(crate) fn line(figure: &Figure) -> String {
    let compact = |value| quantity(value, figure.unit).replace(' ', "");
    let (ours, theirs) = (compact(figure.ours), figure.theirs.map_or_else(|| "-".into(), compact));
    let ratio = figure.ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"));
    let mut line = format!("{:<36} {ours:>10} {theirs:>10} {ratio:>8}", figure.name);
    // A string cannot fail to be written to.
    if let Some(limit) = figure.limit {
        let _ = write!(line, " {:>10}", compact(limit));
    }
    if let Some(date) = &figure.recorded {
        let _ = write!(line, "  (theirs of {date})");
    }
    line
}

#[derive(Serialize)]
struct Report<'a> {
    figures: &'a [Figure],
}

/// All figures as one JSON object.
pub(crate) fn json(figures: &[Figure]) -> String {
    json_of(&Report { figures })
}

/// A result as JSON.
pub(crate) fn json_of(result: &impl Serialize) -> String {
    serde_json::to_string_pretty(result).expect("numbers and names can be written as JSON")
}

/// The page for people.
pub(crate) fn page(figures: &[Figure], scale: Scale, reconciliation: &Reconciliation, kv: &[Figure]) -> String {
    PAGE.replace("{rows}", &rows(figures))
        .replace("{runs}", &scale.runs.to_string())
        .replace("{reconcile rows}", &rows(&reconciliation.figures))
        .replace("{bounds}", &bounds(&reconciliation.bounds))
        .replace("{growth}", &growth(&reconciliation.growth))
        .replace("{kv rows}", &rows(kv))
}

fn rows(figures: &[Figure]) -> String {
    let mut rows = String::new();
    for figure in figures {
        let least = match (figure.definition.least, figure.definition.most) {
            (Some(least), _) => ratio(least),
            (None, Some(most)) => format!("at most {}", quantity(most, figure.unit)),
            (None, None) => "-".into(),
        };
        let limit = figure.limit.map_or_else(|| "-".into(), |limit| quantity(limit, figure.unit));
        let _ = writeln!(
            rows,
            "| `{}` | {} | {} | {} | {} | {least} | {limit} |",
            figure.name,
            figure.definition.what,
            quantity(figure.ours, figure.unit),
            theirs(figure),
            figure.ratio.map_or_else(|| "-".into(), ratio),
        );
    }
    rows.trim_end().to_owned()
}

/// Theirs, with the day if that was measured in an earlier run.
fn theirs(figure: &Figure) -> String {
    let Some(theirs) = figure.theirs else { return "-".into() };
    let theirs = quantity(theirs, figure.unit);
    figure.recorded.as_ref().map_or(theirs.clone(), |date| format!("{theirs} ({date})"))
}

fn bounds(bounds: &[Bounds]) -> String {
    let row = |bounds: &Bounds| {
        let (least, pin_sketch) = (bounds.information_bytes, bounds.pin_sketch_bytes);
        format!("| {} | {} | {} |", count(bounds.case.d as u64), size(least), size(pin_sketch))
    };
    bounds.iter().map(row).collect::<Vec<_>>().join("\n")
}

fn growth(growth: &[Measured]) -> String {
    let row = |measured: &Measured| {
        let (n, cpu) = (count(measured.case.n as u64), seconds(measured.cpu_s));
        let (bytes, messages) = (size(measured.bytes() as f64), measured.messages);
        format!("| {n} | {} | {bytes} | {messages} | {cpu} |", measured.algorithm)
    };
    growth.iter().map(row).collect::<Vec<_>>().join("\n")
}

const PAGE: &str = include_str!("page.md");

fn ratio(ratio: f64) -> String {
    if ratio > 1e6 {
        // Ours is too small to be measured.
        return "-".into();
    }
    if ratio < 10.0 { format!("{ratio:.2}x").replace(".00x", "x") } else { format!("{ratio:.0}x") }
}

/// A number with its unit, to three or four digits.
fn quantity(value: f64, unit: &str) -> String {
    match unit {
        "s" if value < 0.001 => format!("{:.1} us", value * 1e6),
        "s" if value < 1.0 => format!("{:.2} ms", value * 1e3),
        "s" => format!("{value:.3} s"),
        "B" if value < 1e3 => format!("{value:.0} B"),
        "B" if value < 1e6 => format!("{:.1} kB", value / 1e3),
        "B" => format!("{:.2} MB", value / 1e6),
        _ if value.fract() != 0.0 => format!("{value:.2} {unit}").trim_end().to_owned(),
        _ => format!("{value} {unit}").trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::figure::{INTS_CPU, INTS_WIRE, SESSION_RSS};
    use crate::reconcile::{Case, Spread};

    #[test]
    fn a_line_has_name_ours_theirs_ratio_and_limit() {
        let figure = Figure::new(INTS_CPU, &[0.25], &[1.25], Some(0.000_004));
        let line = line(&figure);
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["log.v1.ints.cpu", "250.00ms", "1.250s", "5.00", "4.0us"]);
    }

    #[test]
    fn a_line_says_what_was_not_measured_in_this_run() {
        let alone = line(&Figure::alone(INTS_CPU, &[0.25], None));
        assert_eq!(alone.split_whitespace().collect::<Vec<_>>(), ["log.v1.ints.cpu", "250.00ms", "-", "-"]);
        let earlier = line(&Figure::new(INTS_CPU, &[0.25], &[0.5], None).recorded("2026-11-21"));
        assert!(earlier.ends_with("2.00  (theirs of 2026-11-21)"), "{earlier}");
        let row = rows(&[Figure::new(INTS_CPU, &[0.25], &[0.5], None).recorded("2026-11-21")]);
        assert!(row.ends_with("| 250.00 ms | 500.00 ms (2026-11-21) | 2x | 4x | - |"), "{row}");
    }

    #[test]
    fn json_has_null_for_what_is_absent() {
        let text = json(&[Figure::new(SESSION_RSS, &[4.0], &[8.0], None)]);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let expected = serde_json::json!({
            "figures": [
                {"name": "log.v1.session.rss", "unit": "B", "ours": 4.0, "theirs": 8.0, "ratio": 2.0, "limit": null}
            ]
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn the_page_lists_every_figure_with_its_least_ratio() {
        let figures = [Figure::new(INTS_CPU, &[1.0], &[5.0], None)];
        let case = Case { n: 1_000_000, d: 1_000, spread: Spread::Uniform };
        let reconciliation = Reconciliation {
            figures: vec![Figure::new(INTS_WIRE.at_most(Some(6.0)), &[4.0], &[5.0], None)],
            bounds: vec![Bounds::of(case)],
            growth: vec![],
        };
        let kv = [Figure::new(INTS_CPU, &[0.5], &[1.0], None).recorded("2026-11-21")];
        let page = page(&figures, Scale::FULL, &reconciliation, &kv);
        assert!(page.contains("| `log.v1.ints.cpu` |"), "{page}");
        assert!(page.contains("| 5x | 4x | - |"), "{page}");
        assert!(page.contains("| at most 6 B | - |"), "{page}");
        assert!(page.contains("000 | 1.55 kB | 8 kB |"), "{page}");
        assert!(page.contains("| 500.00 ms | 1.000 s (2026-11-21) | 2x |"), "{page}");
        assert!(!page.contains('{'), "{page}");
    }
}
