//! Runs the workloads, ours and theirs in turns, and makes figures of them.

use crate::dataset::Dataset;
use crate::figure::{self, Definition, Figure};
use crate::memory::{Who, growth_in_own_process};
use crate::original::Original;
use crate::ours::Ours;
use crate::session::{Contestant, Receive, Run, measure};
use crate::{limit, ours};

/// How much of everything, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) runs: usize,
    operations: u64,
    large: u64,
    logs: u64,
}

impl Scale {
    /// Bytes of an ordinary body.
    pub(crate) const BODY: usize = 100;

    pub(crate) const FULL: Self = Self { runs: 5, operations: 100_000, large: 20, logs: 10_000 };
    /// Enough to see that everything works; the figures say little.
    pub(crate) const QUICK: Self = Self { runs: 3, operations: 5_000, large: 3, logs: 1_000 };
}

/// Who initiates and receives, and who accepts and sends.
struct Pairing<'a> {
    receiver: &'a dyn Contestant,
    sender: &'a dyn Contestant,
    cpu: Definition,
    wire: Option<Definition>,
}

/// One dataset, and the sessions on it that are compared with the original's.
struct Workload<'a> {
    dataset: &'a Dataset,
    /// Whether both nodes hold everything from the start.
    equal: bool,
    receive: Receive,
    chunk: usize,
    pairings: Vec<Pairing<'a>>,
}

impl<'a> Workload<'a> {
    fn forward(dataset: &'a Dataset, pairings: Vec<Pairing<'a>>) -> Self {
        Self { dataset, equal: false, receive: Receive::Forward, chunk: usize::MAX, pairings }
    }

    /// One session, checked to have done all of its work.
    fn run(&self, receiver: &dyn Contestant, sender: &dyn Contestant) -> Run {
        let (to, from) = (receiver.node(self.dataset, self.equal), sender.node(self.dataset, true));
        let run = measure(to, from, self.receive, self.chunk);
        let expected = if self.equal { (0, 0) } else { self.dataset.size() };
        assert_eq!((run.received.operations, run.received.bytes), expected, "all operations arrived");
        run
    }

    /// All pairings and the original in turns, so that whatever else the machine does falls on all.
    fn figures(&self, runs: usize, limit: impl Fn(&[Run]) -> f64) -> Vec<Figure> {
        let mut theirs = Vec::new();
        let mut ours: Vec<Vec<Run>> = self.pairings.iter().map(|_| Vec::new()).collect();
        for _ in 0..runs {
            theirs.push(self.run(&Original, &Original));
            for (pairing, samples) in self.pairings.iter().zip(&mut ours) {
                samples.push(self.run(pairing.receiver, pairing.sender));
            }
        }
        let cpu = |runs: &[Run]| runs.iter().map(|run| run.cpu.as_secs_f64()).collect::<Vec<_>>();
        let wire = |runs: &[Run]| runs.iter().map(|run| run.wire as f64).collect::<Vec<_>>();
        let mut figures = Vec::new();
        for (pairing, samples) in self.pairings.iter().zip(&ours) {
            figures.push(Figure::new(pairing.cpu, &cpu(samples), &cpu(&theirs), Some(limit(samples))));
            if let Some(definition) = pairing.wire {
                let (_, raw) = self.dataset.size();
                figures.push(Figure::new(definition, &wire(samples), &wire(&theirs), Some(raw as f64)));
            }
        }
        figures
    }
}

/// Copying the bytes that went over the wire.
fn copying(runs: &[Run]) -> f64 {
    limit::copy(runs.first().map_or(0, |run| run.wire))
}

/// Every figure of log sync.
pub(crate) fn log(scale: Scale, progress: &dyn Fn(&str)) -> Vec<Figure> {
    let (bytes, ints) = (&Ours::DEFAULT, &Ours::INTEGERS);
    let mut figures = Vec::new();

    progress("many small operations");
    let small = Dataset::new(1, 1, scale.operations, Scale::BODY);
    let pairings = vec![
        Pairing { receiver: ints, sender: ints, cpu: figure::INTS_CPU, wire: Some(figure::INTS_WIRE) },
        Pairing { receiver: bytes, sender: bytes, cpu: figure::FORWARD_CPU, wire: Some(figure::FORWARD_WIRE) },
        Pairing { receiver: &Original, sender: bytes, cpu: figure::TO_P2PANDA_CPU, wire: None },
    ];
    figures.extend(Workload::forward(&small, pairings).figures(scale.runs, copying));

    progress("the same, verified and stored");
    let pairings = vec![Pairing { receiver: bytes, sender: bytes, cpu: figure::INGEST_CPU, wire: None }];
    let ingest = Workload { receive: Receive::Ingest, ..Workload::forward(&small, pairings) };
    figures.extend(ingest.figures(scale.runs, |_| ours::verify_batch(&small)));
    drop(small);

    progress("large bodies");
    let large = Dataset::new(1, 1, scale.large, 1_000_000);
    let pairings = vec![Pairing { receiver: bytes, sender: bytes, cpu: figure::LARGE_CPU, wire: None }];
    figures.extend(Workload::forward(&large, pairings).figures(scale.runs, copying));
    drop(large);

    progress("equal stores, many logs");
    let logs = Dataset::new(1, scale.logs, 1, Scale::BODY);
    let pairings = vec![Pairing { receiver: bytes, sender: bytes, cpu: figure::NOOP_CPU, wire: None }];
    let noop = Workload { equal: true, ..Workload::forward(&logs, pairings) };
    figures.extend(noop.figures(scale.runs, copying));

    progress("equal stores, many authors, in pieces");
    let authors = Dataset::new(scale.logs, 1, 1, Scale::BODY);
    let pairings = vec![Pairing { receiver: bytes, sender: bytes, cpu: figure::NOOP_CHUNKED_CPU, wire: None }];
    let chunked = Workload { equal: true, chunk: 1400, ..Workload::forward(&authors, pairings) };
    figures.extend(chunked.figures(scale.runs, copying));
    drop(authors);

    progress("memory");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..scale.runs {
        theirs.push(growth_in_own_process(Who::Theirs, scale.operations));
        ours.push(growth_in_own_process(Who::Ours, scale.operations));
    }
    figures.push(Figure::new(figure::SESSION_RSS, &ours, &theirs, None));
    assert!(
        figures.iter().map(|figure| figure.name).eq(figure::LOG.map(|definition| definition.name)),
        "a figure is missing"
    );
    figures
}
