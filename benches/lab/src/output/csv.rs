use crate::run::Report;

/// A CSV file (RFC 4180, with line feeds alone).
#[derive(Debug)]
pub struct Csv(String);

impl Csv {
    /// With the names of the columns.
    #[must_use]
    pub fn new(header: &[&str]) -> Self {
        let mut csv = Self(String::new());
        csv.row(header.iter().map(|&name| name.to_owned()));
        csv
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| field(&cell)).collect();
        self.0.push_str(&cells.join(","));
        self.0.push('\n');
    }

    /// The file.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

pub(super) fn outcomes(report: &Report) -> String {
    let mut csv = Csv::new(&[
        "workload",
        "protocol",
        "lacking",
        "lacking_bytes",
        "link_s",
        "round_trips",
        "up_bytes",
        "up_messages",
        "down_bytes",
        "down_messages",
        "redundant",
        "loopback_s",
        "initiator_cpu_s",
        "acceptor_cpu_s",
        "memory_bytes",
    ]);
    for outcome in &report.outcomes {
        csv.row([
            outcome.workload.clone(),
            outcome.protocol.clone(),
            outcome.lacking.to_string(),
            outcome.lacking_bytes.to_string(),
            outcome.link_s.to_string(),
            outcome.round_trips.to_string(),
            outcome.up.bytes.to_string(),
            outcome.up.messages.to_string(),
            outcome.down.bytes.to_string(),
            outcome.down.messages.to_string(),
            outcome.redundant.to_string(),
            outcome.loopback_s.to_string(),
            outcome.initiator_cpu_s.to_string(),
            outcome.acceptor_cpu_s.to_string(),
            outcome.memory_bytes.map(|bytes| bytes.to_string()).unwrap_or_default(),
        ]);
    }
    csv.into_text()
}

pub(super) fn by_rtt(report: &Report) -> String {
    let mut csv = Csv::new(&["workload", "protocol", "rtt_ms", "link_s"]);
    for point in &report.by_rtt {
        let (rtt, link) = (point.rtt_ms.to_string(), point.link_s.to_string());
        csv.row([point.workload.clone(), point.protocol.clone(), rtt, link]);
    }
    csv.into_text()
}

pub(super) fn by_difference(report: &Report) -> String {
    let mut csv = Csv::new(&["workload", "protocol", "difference", "link_s", "bytes"]);
    for point in &report.by_difference {
        let (link, bytes) = (point.link_s.to_string(), point.bytes.to_string());
        csv.row([point.workload.clone(), point.protocol.clone(), point.difference.to_string(), link, bytes]);
    }
    csv.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_commas_and_quotes_are_quoted() {
        let mut csv = Csv::new(&["name", "n"]);
        csv.row(["a,b".to_owned(), "1".to_owned()]);
        csv.row(["say \"x\"".to_owned(), "2".to_owned()]);
        assert_eq!(csv.into_text(), "name,n\n\"a,b\",1\n\"say \"\"x\"\"\",2\n");
    }
}
