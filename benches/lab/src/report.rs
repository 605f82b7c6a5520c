//! Figures as lines, as JSON, and as a page.

use std::fmt::Write as _;

use serde::Serialize;

use crate::compare::Scale;
use crate::figure::Figure;

/// One line: name, ours, theirs, ratio, and the limit if there is one.
pub(crate) fn line(figure: &Figure) -> String {
    let mut line = format!(
        "{:<24} {:>10} {:>10} {:>8.2}",
        figure.name,
        quantity(figure.ours, figure.unit).replace(' ', ""),
        quantity(figure.theirs, figure.unit).replace(' ', ""),
        figure.ratio
    );
    if let Some(limit) = figure.limit {
        // A string cannot fail to be written to.
        let _ = write!(line, " {:>10}", quantity(limit, figure.unit).replace(' ', ""));
    }
    line
}

#[derive(Serialize)]
struct Report<'a> {
    figures: &'a [Figure],
}

/// All figures as one JSON object.
pub(crate) fn json(figures: &[Figure]) -> String {
    serde_json::to_string_pretty(&Report { figures }).expect("numbers and names can be written as JSON")
}

/// The page for people.
pub(crate) fn page(figures: &[Figure], scale: Scale) -> String {
    let mut rows = String::new();
    for figure in figures {
        let least = figure.definition.least.map_or_else(|| "-".into(), |least| format!("{least}x"));
        let limit = figure.limit.map_or_else(|| "-".into(), |limit| quantity(limit, figure.unit));
        let _ = writeln!(
            rows,
            "| `{}` | {} | {} | {} | {} | {least} | {limit} |",
            figure.name,
            figure.definition.what,
            quantity(figure.ours, figure.unit),
            quantity(figure.theirs, figure.unit),
            ratio(figure.ratio),
        );
    }
    PAGE.replace("{rows}", rows.trim_end()).replace("{runs}", &scale.runs.to_string())
}

const PAGE: &str = include_str!("page.md");

fn ratio(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.2}x") } else { format!("{ratio:.0}x") }
}

/// A number with its unit, to three or four digits.
fn quantity(value: f64, unit: &str) -> String {
    match unit {
        "s" if value < 0.001 => format!("{:.1} us", value * 1e6),
        "s" if value < 1.0 => format!("{:.2} ms", value * 1e3),
        "s" => format!("{value:.3} s"),
        "B" if value < 1e6 => format!("{:.1} kB", value / 1e3),
        "B" => format!("{:.2} MB", value / 1e6),
        _ => format!("{value} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{INTS_CPU, SESSION_RSS};

    #[test]
    fn a_line_has_name_ours_theirs_ratio_and_limit() {
        let figure = Figure::new(INTS_CPU, &[0.25], &[1.25], Some(0.000_004));
        let line = line(&figure);
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["log.v1.ints.cpu", "250.00ms", "1.250s", "5.00", "4.0us"]);
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
        let page = page(&[Figure::new(INTS_CPU, &[1.0], &[5.0], None)], Scale::FULL);
        assert!(page.contains("| `log.v1.ints.cpu` |"), "{page}");
        assert!(page.contains("| 5.00x | 4x | - |"), "{page}");
        assert!(!page.contains('{'), "{page}");
    }
}
