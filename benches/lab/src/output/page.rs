//! The results as one HTML page that needs nothing else: no script, no font, no picture from elsewhere.

use std::fmt::Write as _;

use super::chart::{escape, marker};
use super::{Bar, Bars, Line, Lines, Part, bytes, count, seconds};
use crate::contestant::Receive;
use crate::run::{Content, DIFFERENCE, DifferencePoint, KV_DIFFERENCE, Outcome, Report, Workload};

const STYLE: &str = include_str!("style.css");

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let page = Page { report, protocols: protocols(report) };
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Sync protocols, side by side</title>\n<style>\n{STYLE}</style>\n"
    );
    html.push_str(&page.head());
    html.push_str(&page.bytes());
    html.push_str(&page.by_rtt());
    html.push_str(&page.by_difference());
    html.push_str(&page.cpu());
    html.push_str(&page.memory());
    html.push_str(&page.table());
    html.push_str(DEFINITIONS);
    html.push_str("</html>\n");
    html
}

/// The names, in the order of their first appearance: the index is the series.
fn protocols(report: &Report) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in report
        .outcomes
        .iter()
        .map(|outcome| &outcome.protocol)
        .chain(report.by_difference.iter().map(|point| &point.protocol))
    {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Series that have a colour of their own.
const SERIES: usize = 6;

struct Page<'a> {
    report: &'a Report,
    protocols: Vec<String>,
}

impl Page<'_> {
    fn series(&self, protocol: &str) -> usize {
        self.protocols.iter().position(|known| known == protocol).unwrap_or_default() % SERIES
    }

    fn head(&self) -> String {
        let link = escape(&self.report.link.to_string());
        let received = match self.report.receive {
            Receive::Forward => "handed to the application, which drops it",
            Receive::Ingest => "verified and stored in memory",
        };
        let mut html = format!(
            "<h1>Sync protocols, side by side</h1>\n<p class=\"soft\">Simulated link <code>{link}</code>, in virtual \
             time. What is received is {received}. CPU and memory over TCP on one machine.</p>\n<ul class=\"legend\">"
        );
        for (at, name) in self.protocols.iter().enumerate() {
            let series = at % SERIES;
            let _ = write!(
                html,
                "<li><svg viewBox=\"0 0 34 14\" aria-hidden=\"true\"><path class=\"line s{series}\" d=\"M0 7h34\"/>\
                 <g class=\"s{series}\" transform=\"translate(17 7)\">{}</g></svg> {}</li>",
                marker(series),
                escape(name)
            );
        }
        html + "</ul>\n"
    }

    fn outcomes<'s>(&'s self, workload: &'s Workload) -> impl Iterator<Item = &'s Outcome> {
        self.report.outcomes.iter().filter(move |outcome| outcome.workload == workload.name)
    }

    /// A plot of bars for each workload.
    fn bars(
        &self,
        kind: &str,
        title: &str,
        parts: fn(&Outcome) -> Vec<Part>,
        least: fn(&Outcome) -> Option<f64>,
        format: fn(f64) -> String,
    ) -> String {
        let mut html = String::from("<div class=\"plots\">\n");
        for (at, workload) in self.report.workloads.iter().enumerate() {
            let bar = |outcome: &Outcome| Bar {
                series: self.series(&outcome.protocol),
                name: outcome.protocol.clone(),
                parts: parts(outcome),
            };
            let bars = Bars {
                label: format!("{title}, {}", workload.name),
                bars: self.outcomes(workload).map(bar).collect(),
                least: self.outcomes(workload).find_map(least),
                format,
            };
            html.push_str(&figure(&format!("{kind}-{at}"), &workload.name, &describe(workload), &bars.svg()));
        }
        html + "</div>\n"
    }

    fn bytes(&self) -> String {
        let parts = |outcome: &Outcome| {
            vec![
                Part { name: "from the initiator".into(), value: outcome.up.bytes as f64 },
                Part { name: "to the initiator".into(), value: outcome.down.bytes as f64 },
            ]
        };
        let least = |outcome: &Outcome| Some(outcome.lacking_bytes as f64);
        let plots = self.bars("bytes", "Bytes on the wire", parts, least, bytes);
        format!(
            "<h2>Bytes on the wire</h2>\n<p>Full colour from the initiator, pale to it. The dotted line is what the \
             operations themselves take, headers and bodies, or the signed entries.</p>\n{plots}"
        )
    }

    fn by_rtt(&self) -> String {
        if self.report.by_rtt.is_empty() {
            return String::new();
        }
        let most = self.report.by_rtt.iter().map(|point| point.rtt_ms).max().unwrap_or_default().max(1);
        let across = |rtt: u64| rtt as f64 / most as f64;
        let mut rtts: Vec<u64> = self.report.by_rtt.iter().map(|point| point.rtt_ms).collect();
        rtts.sort_unstable();
        rtts.dedup();
        // The first ticks are close together: 0 and 10 would overlap.
        let written = |rtt: &&u64| **rtt == 0 || across(**rtt) > 0.1;
        let ticks: Vec<(f64, String)> =
            rtts.iter().filter(written).map(|&rtt| (across(rtt), rtt.to_string())).collect();
        let mut html = String::from(
            "<h2>Time against round trip</h2>\n<p>Until both sides are done, with the bandwidth of the link above. \
             Computing takes no time here.</p>\n<div class=\"plots\">\n",
        );
        for (at, workload) in self.report.workloads.iter().enumerate() {
            let lines = self.lines(|protocol| {
                let points = self.report.by_rtt.iter();
                let points = points.filter(|point| point.protocol == protocol && point.workload == workload.name);
                points.map(|point| (across(point.rtt_ms), format!("{} ms", point.rtt_ms), point.link_s)).collect()
            });
            let lines = Lines {
                label: format!("Time against round trip, {}", workload.name),
                across: "round trip in ms".into(),
                ticks: ticks.clone(),
                lines,
                is_logarithmic: false,
                format: seconds,
            };
            html.push_str(&figure(&format!("rtt-{at}"), &workload.name, &describe(workload), &lines.svg()));
        }
        html + "</div>\n"
    }

    /// A line for each protocol that has points.
    fn lines(&self, points: impl Fn(&str) -> Vec<(f64, String, f64)>) -> Vec<Line> {
        let line = |protocol: &String| Line {
            series: self.series(protocol),
            name: protocol.clone(),
            points: points(protocol),
        };
        self.protocols.iter().map(line).filter(|line| !line.points.is_empty()).collect()
    }

    fn by_difference(&self) -> String {
        let mut names: Vec<&str> = self.report.by_difference.iter().map(|point| point.workload.as_str()).collect();
        names.dedup_by(|later, earlier| later == earlier);
        if names.is_empty() {
            return String::new();
        }
        let plots: String = names.into_iter().map(|name| self.difference(name)).collect();
        format!(
            "<h2>Time and bytes against difference</h2>\n<p>Over the link above.</p>\n<div class=\"plots\">\n{plots}</div>\n"
        )
    }

    /// Both plots of one sweep.
    fn difference(&self, name: &str) -> String {
        let all = || self.report.by_difference.iter().filter(|point| point.workload == name);
        let mut differences: Vec<u64> = all().map(|point| point.difference).collect();
        differences.sort_unstable();
        differences.dedup();
        let last = differences.len().saturating_sub(1).max(1) as f64;
        let across = |difference: u64| {
            differences.iter().position(|&known| known == difference).unwrap_or_default() as f64 / last
        };
        let ticks: Vec<(f64, String)> =
            differences.iter().map(|&difference| (across(difference), count(difference))).collect();
        let what = if name == KV_DIFFERENCE { "keys" } else { "operations" };
        let lines = |label: &str, value: fn(&DifferencePoint) -> f64, is_logarithmic, format| {
            let lines = self.lines(|protocol| {
                let points = all().filter(|point| point.protocol == protocol);
                let name = |difference| format!("{} lacking", count(difference));
                points.map(|point| (across(point.difference), name(point.difference), value(point))).collect()
            });
            let (label, across) = (format!("{label}, {what}"), format!("{what} that the initiator lacks"));
            Lines { label, across, ticks: ticks.clone(), lines, is_logarithmic, format }.svg()
        };
        let time = lines("Time against difference", |point| point.link_s, true, seconds);
        let wire = lines("Bytes against difference", |point| point.bytes as f64, true, bytes);
        let total = count(differences.last().copied().unwrap_or_default());
        let among = match name {
            DIFFERENCE => format!("{total} operations in logs of 10"),
            KV_DIFFERENCE => format!("{total} keys, 100 of each service"),
            _ => format!("{total} {what}"),
        };
        let note = format!("up to {among}; both axes by powers of ten");
        let id = escape(name);
        figure(&format!("{id}-time"), "time until both are done", &note, &time)
            + &figure(&format!("{id}-bytes"), "bytes both ways", &note, &wire)
    }

    fn cpu(&self) -> String {
        let parts = |outcome: &Outcome| {
            vec![
                Part { name: "of the initiator".into(), value: outcome.initiator_cpu_s },
                Part { name: "of the acceptor".into(), value: outcome.acceptor_cpu_s },
            ]
        };
        let plots = self.bars("cpu", "CPU time", parts, |_| None, seconds);
        format!("<h2>CPU time</h2>\n<p>Full colour of the initiator, pale of the acceptor.</p>\n{plots}")
    }

    fn memory(&self) -> String {
        if self.report.outcomes.iter().all(|outcome| outcome.memory_bytes.is_none()) {
            return String::new();
        }
        let parts = |outcome: &Outcome| {
            let value = outcome.memory_bytes.unwrap_or_default() as f64;
            vec![Part { name: "at the peak".into(), value }]
        };
        let plots = self.bars("memory", "Memory", parts, |_| None, bytes);
        format!("<h2>Memory</h2>\n<p>Growth of a process that runs both sides, over its data and stores.</p>\n{plots}")
    }

    fn table(&self) -> String {
        let mut html = String::from(
            "<h2>All figures</h2>\n<div class=\"scroll\"><table>\n<tr><th>workload<th>protocol<th>lacking<th>link\
             <th>round trips<th>up<th>down<th>messages<th>redundant<th>CPU<th>memory<th>loopback\n",
        );
        for outcome in &self.report.outcomes {
            let _ = writeln!(
                html,
                "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{} + {}<td>{}<td>{}<td>{}<td>{}",
                escape(&outcome.workload),
                escape(&outcome.protocol),
                count(outcome.lacking),
                seconds(outcome.link_s),
                outcome.round_trips,
                bytes(outcome.up.bytes as f64),
                bytes(outcome.down.bytes as f64),
                count(outcome.up.messages),
                count(outcome.down.messages),
                count(outcome.redundant),
                seconds(outcome.cpu_s()),
                outcome.memory_bytes.map_or("-".into(), |memory| bytes(memory as f64)),
                seconds(outcome.loopback_s),
            );
        }
        html + "</table></div>\n"
    }
}

fn figure(id: &str, title: &str, note: &str, svg: &str) -> String {
    format!(
        "<figure class=\"plot\" id=\"{id}\"><figcaption>{}<small>{}</small></figcaption>{svg}</figure>\n",
        escape(title),
        escape(note)
    )
}

fn describe(workload: &Workload) -> String {
    let total = count(workload.operations_in_total());
    let size = match workload.content {
        Content::Log { authors, logs, body, .. } => {
            let logs = authors * logs;
            let word = if logs == 1 { "log" } else { "logs" };
            format!("{total} operations of {} in {} {word}", bytes(body as f64), count(logs))
        }
        Content::Kv { services, value, updated, .. } => {
            let word = if services == 1 { "service" } else { "services" };
            let size = format!("{total} keys with {} in {} {word}", bytes(value as f64), count(services));
            if updated > 0 { format!("{size}, {} updated", count(updated)) } else { size }
        }
    };
    match (workload.initiator_lacks, workload.acceptor_lacks) {
        (0, 0) => format!("{size}, nothing lacking"),
        (lacks, 0) if lacks == workload.operations_in_total() => format!("{size}, all lacking"),
        (lacks, 0) => format!("{size}, {} lacking", count(lacks)),
        (here, there) => format!("{size}, {} and {} lacking", count(here), count(there)),
    }
}

const DEFINITIONS: &str = "<h2>What the figures are</h2>\n<dl>\n\
<dt>link<dd>Virtual time until both sides returned. Latency and bandwidth are simulated; computing takes no time.\n\
<dt>round trips<dd>The virtual time over a link with a round trip of one second and nothing else in the way, in seconds. \
A half is one way.\n\
<dt>up, down<dd>Bytes from the initiator and to it.\n\
<dt>messages<dd>Runs of writes, each up to a flush: what a side hands to the transport at once.\n\
<dt>lacking, redundant<dd>Operations, or entries and grants, that the sides lacked together, and those that came although \
they were there or were superseded.\n\
<dt>CPU<dd>CPU time of both sides over TCP on this machine, sessions and applications, the system&rsquo;s part included. The \
median of the runs.\n\
<dt>memory<dd>How far the resident memory of a process grew at most during a session, with both sides in it.\n\
<dt>loopback<dd>Wall-clock time of that session over TCP, both sides on one thread.\n</dl>\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contestant::{Contestants, Receive};
    use crate::progress::Silent;
    use crate::run::{Link, Plan};

    fn report() -> Report {
        let workloads =
            ["warm", "both-ways", "kv-updates"].map(|name| Workload::named(name, true).expect("it is known")).to_vec();
        let all = Contestants::built_in();
        let contestants = all.names().map(|name| all.get(name).expect("it is there")).collect();
        let link = "rtt=20ms,down=10mbit".parse::<Link>().expect("a link");
        let plan = Plan { memory: false, receive: Receive::Forward, ..Plan::new(contestants, workloads, link, true) };
        plan.run(&Silent).expect("the sessions succeed")
    }

    #[test]
    fn the_page_has_every_plot_and_needs_nothing_from_elsewhere() {
        let html = page(&report());
        for id in ["bytes-0", "bytes-2", "rtt-1", "rtt-2", "cpu-0", "cpu-2"] {
            assert!(html.contains(&format!("<figure class=\"plot\" id=\"{id}\">")), "{id}");
        }
        for id in ["difference-time", "difference-bytes", "kv-difference-time", "kv-difference-bytes"] {
            assert!(html.contains(&format!("<figure class=\"plot\" id=\"{id}\">")), "{id}");
        }
        for foreign in ["<script", "http:", "https:", "url(", "@import", "<link", "<img", "NaN", "inf"] {
            assert!(!html.contains(foreign), "{foreign}");
        }
    }
}
