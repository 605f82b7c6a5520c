//! Plots as SVG: bars and lines. Colours, dashes and fonts come from the page's style sheet, by the index of the series.

use std::fmt::Write as _;

/// Units across; the page scales them.
const WIDTH: f64 = 360.0;

/// One bar for each series, with its value beside it.
#[derive(Clone, Debug)]
pub struct Bars {
    /// Read out for those who do not see it.
    pub label: String,
    /// From top to bottom.
    pub bars: Vec<Bar>,
    /// A value that no bar can be below, drawn as a line.
    pub least: Option<f64>,
    /// Writes a value.
    pub format: fn(f64) -> String,
}

/// A bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Which series, from 0.
    pub series: usize,
    /// Its name.
    pub name: String,
    /// Its parts, from left to right.
    pub parts: Vec<Part>,
}

/// A part of a bar.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it is.
    pub name: String,
    /// How much.
    pub value: f64,
}

impl Bar {
    fn total(&self) -> f64 {
        self.parts.iter().map(|part| part.value).sum()
    }
}

impl Bars {
    /// As an SVG element.
    #[must_use]
    pub fn svg(&self) -> String {
        const ROW: f64 = 38.0;
        const BAR: f64 = 14.0;
        let room = WIDTH - 78.0;
        let height = ROW * self.bars.len() as f64 + 6.0;
        let totals = self.bars.iter().map(Bar::total);
        let most = totals.chain(self.least).fold(0.0_f64, f64::max).max(f64::MIN_POSITIVE);
        let x = |value: f64| value / most * room;
        let mut svg = open(&self.label, height);
        for (row, bar) in self.bars.iter().enumerate() {
            let (top, series) = (ROW * row as f64, bar.series);
            put(
                &mut svg,
                format_args!("<text class=\"name\" x=\"0\" y=\"{}\">{}</text>", top + 14.0, escape(&bar.name)),
            );
            let mut left = 0.0;
            for (at, part) in bar.parts.iter().enumerate() {
                // Something that is there is seen.
                let width = x(part.value).max(if part.value > 0.0 { 1.0 } else { 0.0 });
                let title = format!("{}: {} {}", bar.name, (self.format)(part.value), part.name);
                let shade = if at == 0 { "" } else { " second" };
                put(
                    &mut svg,
                    format_args!(
                        "<rect class=\"mark s{series}{shade}\" x=\"{left:.1}\" y=\"{}\" width=\"{width:.1}\" \
                         height=\"{BAR}\"><title>{}</title></rect>",
                        top + 20.0,
                        escape(&title)
                    ),
                );
                left += width;
            }
            if let Some(least) = self.least.filter(|&least| least > 0.0) {
                let (at, from, to) = (x(least), top + 17.0, top + 37.0);
                put(
                    &mut svg,
                    format_args!("<line class=\"least\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{from}\" y2=\"{to}\"/>"),
                );
            }
            put(
                &mut svg,
                format_args!(
                    "<text class=\"value\" x=\"{:.1}\" y=\"{}\">{}</text>",
                    left + 5.0,
                    top + 31.5,
                    escape(&(self.format)(bar.total()))
                ),
            );
        }
        svg + "</svg>"
    }
}

/// Lines with a mark at each point.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Read out for those who do not see it.
    pub label: String,
    /// What the horizontal axis shows.
    pub across: String,
    /// The ticks of the horizontal axis, evenly apart or not: where, from 0 to 1, and what is written there.
    pub ticks: Vec<(f64, String)>,
    /// The lines.
    pub lines: Vec<Line>,
    /// Whether the vertical axis is logarithmic.
    pub is_logarithmic: bool,
    /// Writes a value of the vertical axis.
    pub format: fn(f64) -> String,
}

/// A line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Which series, from 0.
    pub series: usize,
    /// Its name.
    pub name: String,
    /// Where across, from 0 to 1; what is there, in words; and the value.
    pub points: Vec<(f64, String, f64)>,
}

/// The ends of a vertical axis and the values that are written beside it.
struct Axis {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
    is_logarithmic: bool,
}

impl Axis {
    fn linear(most: f64) -> Self {
        let raw = most.max(f64::MIN_POSITIVE) / 4.0;
        let power = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|step| step * power).find(|&step| step >= raw);
        let step = step.unwrap_or(raw);
        let steps = (most / step).ceil().max(1.0);
        let ticks = (0..=steps as u32).map(|at| f64::from(at) * step).collect();
        Self { low: 0.0, high: steps * step, ticks, is_logarithmic: false }
    }

    /// Whole powers of ten around the values, which are above nothing.
    fn logarithmic(values: impl Iterator<Item = f64> + Clone) -> Self {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.fold(0.0, f64::max);
        let (low, high) = (least.log10().floor(), most.log10().ceil().max(least.log10().floor() + 1.0));
        let every = ((high - low) / 5.0).ceil().max(1.0);
        let ticks = (0..=((high - low) / every) as u32).map(|at| 10_f64.powf(low + f64::from(at) * every)).collect();
        Self { low, high, ticks, is_logarithmic: true }
    }

    /// From 0, below, to 1.
    fn place(&self, value: f64) -> f64 {
        let value = if self.is_logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

impl Lines {
    /// As an SVG element.
    #[must_use]
    pub fn svg(&self) -> String {
        const HEIGHT: f64 = 220.0;
        const LEFT: f64 = 56.0;
        const RIGHT: f64 = WIDTH - 14.0;
        const TOP: f64 = 10.0;
        const BOTTOM: f64 = HEIGHT - 40.0;
        let values = || self.lines.iter().flat_map(|line| line.points.iter().map(|&(_, _, value)| value));
        let axis = if self.is_logarithmic && values().all(|value| value > 0.0) {
            Axis::logarithmic(values())
        } else {
            Axis::linear(values().fold(0.0, f64::max))
        };
        let x = |at: f64| LEFT + at * (RIGHT - LEFT);
        let y = |value: f64| BOTTOM - axis.place(value) * (BOTTOM - TOP);
        let mut svg = open(&self.label, HEIGHT);
        for &tick in &axis.ticks {
            let at = y(tick);
            put(
                &mut svg,
                format_args!("<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"),
            );
            let text = escape(&(self.format)(tick));
            put(
                &mut svg,
                format_args!("<text class=\"tick end\" x=\"{}\" y=\"{:.1}\">{text}</text>", LEFT - 9.0, at + 4.0),
            );
        }
        for (at, text) in &self.ticks {
            let (at, text) = (x(*at), escape(text));
            put(
                &mut svg,
                format_args!("<text class=\"tick middle\" x=\"{at:.1}\" y=\"{}\">{text}</text>", BOTTOM + 16.0),
            );
        }
        let middle = f64::midpoint(LEFT, RIGHT);
        let across = escape(&self.across);
        put(
            &mut svg,
            format_args!("<text class=\"axis middle\" x=\"{middle}\" y=\"{}\">{across}</text>", HEIGHT - 6.0),
        );
        // The first on top.
        for line in self.lines.iter().rev() {
            let points: Vec<(f64, f64)> = line.points.iter().map(|&(at, _, value)| (x(at), y(value))).collect();
            let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let series = line.series;
            put(&mut svg, format_args!("<polyline class=\"line s{series}\" points=\"{}\"/>", path.join(" ")));
            for ((x, y), (_, at, value)) in points.iter().zip(&line.points) {
                let title = format!("{}, {at}: {}", line.name, (self.format)(*value));
                put(
                    &mut svg,
                    format_args!(
                        "<g class=\"mark s{series}\" transform=\"translate({x:.1} {y:.1})\">{}<title>{}</title></g>",
                        marker(series),
                        escape(&title)
                    ),
                );
            }
        }
        svg + "</svg>"
    }
}

/// The mark of a series, around the origin: told apart without colours.
pub(super) fn marker(series: usize) -> &'static str {
    const MARKERS: [&str; 4] = [
        "<circle r=\"4\"/>",
        "<path d=\"M-4 -4h8v8h-8z\"/>",
        "<path d=\"M0 -5L5 4h-10z\"/>",
        "<path d=\"M0 -5.5L5.5 0L0 5.5L-5.5 0z\"/>",
    ];
    MARKERS[series % MARKERS.len()]
}

fn open(label: &str, height: f64) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">", escape(label))
}

fn put(svg: &mut String, text: std::fmt::Arguments<'_>) {
    // A string cannot fail to be written to.
    let _ = svg.write_fmt(text);
}

/// Text as HTML, also within quotes.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_axis_begins_at_nothing_and_holds_all_values() {
        for most in [0.003, 0.9, 1.0, 7.0, 123.0] {
            let axis = Axis::linear(most);
            assert_eq!(axis.place(0.0), 0.0);
            assert!(axis.high >= most && axis.high <= most * 1.8, "{most}: {}", axis.high);
            assert!((3..=6).contains(&axis.ticks.len()), "{most}: {:?}", axis.ticks);
        }
    }

    #[test]
    fn a_logarithmic_axis_has_powers_of_ten() {
        let axis = Axis::logarithmic([130.0, 40_000.0].into_iter());
        assert_eq!(axis.ticks, [100.0, 1_000.0, 10_000.0, 100_000.0]);
        assert!((axis.place(1_000.0) - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn every_value_has_a_mark_and_no_text_breaks_out() {
        let bar = |series| Bar {
            series,
            name: "<b>\"x\"".into(),
            parts: vec![Part { name: "up".into(), value: 1.0 }, Part { name: "down".into(), value: 2.0 }],
        };
        let bars =
            Bars { label: "a & b".into(), bars: vec![bar(0), bar(1)], least: Some(1.0), format: |v| v.to_string() };
        let svg = bars.svg();
        assert_eq!(svg.matches("class=\"mark").count(), 4);
        assert!(svg.contains("aria-label=\"a &amp; b\"") && !svg.contains("<b>"), "{svg}");
        let points = vec![(0.0, "0".into(), 1.0), (1.0, "1".into(), 3.0)];
        let line = Line { series: 1, name: "x".into(), points };
        let lines = Lines {
            label: String::new(),
            across: String::new(),
            ticks: vec![],
            lines: vec![line],
            is_logarithmic: false,
            format: |v| v.to_string(),
        };
        assert_eq!(lines.svg().matches("class=\"mark s1").count(), 2);
    }
}
