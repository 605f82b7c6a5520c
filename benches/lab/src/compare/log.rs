//! Runs the workloads, ours and theirs in turns, and makes figures of them.

use std::sync::Arc;

use super::figure::{self, Definition, Figure};
use super::limit;
use super::redb::Redb;
use super::session::{Run, measure};
use crate::contestant::{Contestant, Native, Node, Original, Receive, Role, Setup, verify_batch};
use crate::dataset::{Dataset, Holdings};
use crate::run::Workload as Session;
use crate::run::growth_in_own_process;

/// Whose sessions a profiler looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Who {
    Ours,
    Theirs,
}

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

/// What is in the stores.
#[derive(Clone, Copy, Debug)]
enum Content {
    /// One log of small operations.
    Small,
    /// One log of operations with 1 MB each.
    Large,
    /// Many logs of one author, with one operation each.
    Logs,
    /// Many authors, with one log of one operation each.
    Authors,
}

impl Content {
    fn dataset(self, scale: Scale) -> Dataset {
        match self {
            Self::Small => Dataset::new(1, 1, scale.operations, Scale::BODY),
            Self::Large => Dataset::new(1, 1, scale.large, 1_000_000),
            Self::Logs => Dataset::new(1, scale.logs, 1, Scale::BODY),
            Self::Authors => Dataset::new(scale.logs, 1, 1, Scale::BODY),
        }
    }
}

/// Who initiates and receives, and who accepts and sends, for which figures.
struct Pairing {
    receiver: Arc<dyn Contestant>,
    sender: Arc<dyn Contestant>,
    cpu: Definition,
    wire: Option<Definition>,
}

impl Pairing {
    fn ours(ours: &Arc<dyn Contestant>, cpu: Definition, wire: Option<Definition>) -> Self {
        Self { receiver: Arc::clone(ours), sender: Arc::clone(ours), cpu, wire }
    }
}

/// Sessions over the same data that are compared with the original's.
struct Workload {
    what: &'static str,
    content: Content,
    /// Whether both nodes hold everything from the start.
    equal: bool,
    receive: Receive,
    chunk: usize,
    pairings: Vec<Pairing>,
}

/// All workloads of log sync, in the order of their figures.
fn workloads() -> [Workload; 5] {
    let bytes: Arc<dyn Contestant> = Arc::new(Native::log_v1());
    let ints: Arc<dyn Contestant> = Arc::new(Native::log_v1_integers());
    let v2: Arc<dyn Contestant> = Arc::new(Native::log_v2());
    let heads: Arc<dyn Contestant> = Arc::new(Native::log_v2_heads());
    let (bytes, ints) = (&bytes, &ints);
    let forward = |what, content, pairings| Workload {
        what,
        content,
        equal: false,
        receive: Receive::Forward,
        chunk: usize::MAX,
        pairings,
    };
    let equal = |what, content, chunk, pairings| Workload { equal: true, chunk, ..forward(what, content, pairings) };
    [
        forward(
            "many small operations",
            Content::Small,
            vec![
                Pairing::ours(ints, figure::INTS_CPU, Some(figure::INTS_WIRE)),
                Pairing::ours(bytes, figure::FORWARD_CPU, Some(figure::FORWARD_WIRE)),
                Pairing {
                    receiver: Arc::new(Original),
                    sender: Arc::clone(bytes),
                    cpu: figure::TO_P2PANDA_CPU,
                    wire: None,
                },
                Pairing::ours(&v2, figure::V2_FORWARD_CPU, Some(figure::V2_WIRE)),
            ],
        ),
        Workload {
            receive: Receive::Ingest,
            ..forward(
                "many small operations, verified and stored",
                Content::Small,
                vec![
                    Pairing::ours(bytes, figure::INGEST_CPU, None),
                    Pairing::ours(&v2, figure::V2_INGEST_CPU, None),
                    Pairing::ours(&heads, figure::V2_INGEST_HEADS_CPU, None),
                ],
            )
        },
        forward("large bodies", Content::Large, vec![Pairing::ours(bytes, figure::LARGE_CPU, None)]),
        equal(
            "equal stores, many logs",
            Content::Logs,
            usize::MAX,
            vec![
                Pairing::ours(bytes, figure::NOOP_CPU, None),
                Pairing::ours(&v2, figure::V2_NOOP_CPU, Some(figure::V2_NOOP_BYTES)),
            ],
        ),
        equal(
            "equal stores, many authors, in pieces",
            Content::Authors,
            1400,
            vec![Pairing::ours(bytes, figure::NOOP_CHUNKED_CPU, None)],
        ),
    ]
}

/// Who receives, and who sends.
type Nodes = (Arc<dyn Node>, Arc<dyn Node>);

impl Workload {
    fn nodes(&self, dataset: &Dataset, receiver: &dyn Contestant, sender: &dyn Contestant) -> Nodes {
        let all = Holdings::all(dataset);
        let held = if self.equal { all.clone() } else { Holdings::none(dataset) };
        let setup = Setup { dataset, holds: &all, role: Role::Accept, receive: Receive::Forward };
        let initiator = Setup { holds: &held, role: Role::Initiate, receive: self.receive, ..setup };
        (receiver.node(&initiator), sender.node(&setup))
    }

    /// One session, checked to have done all of its work.
    fn run(&self, dataset: &Dataset, (receiver, sender): Nodes) -> Run {
        let run = measure(receiver, sender, self.receive, self.chunk);
        let expected = if self.equal && self.receive == Receive::Forward { (0, 0) } else { dataset.size() };
        assert_eq!((run.received.operations, run.received.bytes), expected, "all operations arrived");
        run
    }

    /// All pairings and the original in turns, so that whatever else the machine does falls on all.
    fn figures(&self, scale: Scale) -> Vec<Figure> {
        let dataset = self.content.dataset(scale);
        let mut theirs = Vec::new();
        let mut ours: Vec<Vec<Run>> = self.pairings.iter().map(|_| Vec::new()).collect();
        for _ in 0..scale.runs {
            theirs.push(self.run(&dataset, self.nodes(&dataset, &Original, &Original)));
            for (pairing, runs) in self.pairings.iter().zip(&mut ours) {
                runs.push(self.run(&dataset, self.nodes(&dataset, &*pairing.receiver, &*pairing.sender)));
            }
        }
        let cpu = |runs: &[Run]| runs.iter().map(|run| run.cpu.as_secs_f64()).collect::<Vec<_>>();
        let wire = |runs: &[Run]| runs.iter().map(|run| run.wire as f64).collect::<Vec<_>>();
        let mut figures = Vec::new();
        for (pairing, runs) in self.pairings.iter().zip(&ours) {
            let limit = match self.receive {
                Receive::Forward => limit::copy(runs.first().map_or(0, |run| run.wire)),
                Receive::Ingest => verify_batch(&dataset),
            };
            figures.push(Figure::new(pairing.cpu, &cpu(runs), &cpu(&theirs), Some(limit)));
            if let Some(definition) = pairing.wire {
                // What is there on both sides already need not travel.
                let raw = (!self.equal).then(|| dataset.size().1 as f64);
                figures.push(Figure::new(definition, &wire(runs), &wire(&theirs), raw));
            }
        }
        figures
    }
}

/// Every figure of log sync.
pub(crate) fn log(scale: Scale, progress: &dyn Fn(&str)) -> Vec<Figure> {
    let mut figures = Vec::new();
    for workload in workloads() {
        progress(workload.what);
        figures.extend(workload.figures(scale));
    }
    progress("memory");
    let (mut ours, mut v2, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let session = Session::cold(1, 1, scale.operations, Scale::BODY);
    let growth =
        |name| growth_in_own_process(name, &session, Receive::Forward).expect("the measurement succeeds") as f64;
    for _ in 0..scale.runs {
        theirs.push(growth("p2panda-0.3"));
        ours.push(growth("log-v1"));
        v2.push(growth("log-v2"));
    }
    figures.push(Figure::new(figure::SESSION_RSS, &ours, &theirs, None));
    figures.push(Figure::new(figure::V2_SERVE_RSS, &v2, &theirs, None));
    progress("into a file");
    figures.push(into_a_file(scale));
    let names = figure::LOG.map(|definition| definition.name);
    assert!(figures.iter().map(|figure| figure.name).eq(names), "each figure is measured once, in order");
    figures
}

/// Verified and stored on a disk, beside in memory.
fn into_a_file(scale: Scale) -> Figure {
    let dataset = Content::Small.dataset(scale);
    let all = Holdings::all(&dataset);
    let none = Holdings::none(&dataset);
    let setup = Setup { dataset: &dataset, holds: &all, role: Role::Accept, receive: Receive::Ingest };
    let session = |receiver: &dyn Contestant| {
        let initiator = receiver.node(&Setup { holds: &none, role: Role::Initiate, ..setup });
        let run = measure(initiator, Native::log_v2().node(&setup), Receive::Ingest, usize::MAX);
        assert_eq!((run.received.operations, run.received.bytes), dataset.size(), "all operations arrived");
        run.cpu.as_secs_f64()
    };
    let (mut file, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..scale.runs {
        memory.push(session(&Native::log_v2()));
        file.push(session(&Redb));
    }
    Figure::new(figure::V2_REDB_INGEST, &file, &memory, Some(verify_batch(&dataset)))
}

/// Runs the sessions of one figure, for a profiler to look at, and gives their CPU seconds. `None` if no figure of CPU
/// time has this name.
pub(crate) fn profile(name: &str, who: Who, times: usize) -> Option<Vec<f64>> {
    for workload in workloads() {
        let Some(pairing) = workload.pairings.iter().find(|pairing| pairing.cpu.name == name) else { continue };
        let dataset = workload.content.dataset(Scale::FULL);
        let (receiver, sender): (&dyn Contestant, &dyn Contestant) = match who {
            Who::Ours => (&*pairing.receiver, &*pairing.sender),
            Who::Theirs => (&Original, &Original),
        };
        // Nodes that take nothing in can be used again, and then the profile shows the sessions and little else.
        let mut nodes = workload.nodes(&dataset, receiver, sender);
        let run = |_| {
            if workload.receive == Receive::Ingest {
                nodes.0 = workload.nodes(&dataset, receiver, sender).0;
            }
            workload.run(&dataset, nodes.clone()).cpu.as_secs_f64()
        };
        return Some((0..times).map(run).collect());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole comparison with a handful of everything: sessions succeed and every figure is there.
    #[test]
    fn every_workload_runs() {
        let scale = Scale { runs: 1, operations: 50, large: 1, logs: 20 };
        for workload in workloads() {
            let figures = workload.figures(scale);
            assert!(figures.iter().all(|figure| figure.ours > 0.0 && figure.theirs > Some(0.0)), "{}", workload.what);
        }
    }

    #[test]
    fn byte_strings_take_half_of_the_originals_bytes() {
        let [small, ..] = workloads();
        let figures = small.figures(Scale { runs: 1, operations: 500, large: 1, logs: 1 });
        let ratio = |name| figures.iter().find(|figure| figure.name == name).expect("the figure is there").ratio;
        assert_eq!(ratio("log.v1.ints.wire"), Some(1.0));
        assert!(ratio("log.v1.forward.wire") > Some(1.7));
    }

    #[test]
    fn a_figure_that_does_not_exist_cannot_be_profiled() {
        assert!(profile("log.v1.nothing.cpu", Who::Ours, 1).is_none());
    }
}
