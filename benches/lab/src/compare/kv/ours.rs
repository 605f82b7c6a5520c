//! What our side is measured for.

use super::figures;
use super::{Contender, Scale};
use crate::compare::figure::Figure;
use crate::compare::kv::data::Pair;
use crate::compare::limit::SignedParts;

/// Our key-value store: what it does beside the rival, and what is measured of it alone.
pub(crate) trait Ours: Contender {
    /// What is verified when a pair's common entries are applied, entry by entry in their order.
    fn signatures(&self, pair: &Pair) -> Vec<SignedParts>;

    /// What is measured beside no rival.
    ///
    /// # Errors
    ///
    /// Why it failed.
    fn alone(&self, scale: Scale) -> Result<Alone, String>;
}

/// What is measured beside no rival. Each CPU time has one sample for each run.
#[derive(Clone, Debug)]
pub(crate) struct Alone {
    /// Rows looked for by their keys, given by scans, put or deleted by one put into the file.
    pub(crate) put_rows: u64,
    /// The same of the side that begins, or the other if that has more, of a sync with 10 differences.
    pub(crate) session_rows: u64,
    /// Bytes of the own memory of a process with two such files open, after a sync of them.
    pub(crate) memory: u64,
    /// CPU seconds to take [`Scale::stored`] entries into a new file, whose signatures are taken as verified.
    pub(crate) ingest: Vec<f64>,
    /// CPU seconds that redb alone needs for the rows of that file; see [`bare::cpu`](super::bare::cpu).
    pub(crate) bare: Vec<f64>,
    /// Entries visited by the revocation of a grant for one service.
    pub(crate) revoke_visited: u64,
    /// CPU seconds of one `authorize`.
    pub(crate) authorize: Vec<f64>,
    /// The same of somebody who has 62 grants or more, if the file has a million entries.
    pub(crate) authorize_among_many: Vec<f64>,
    /// CPU seconds to match paths of 10^2, 10^3 and 10^4 bytes: the last are ten paths, since one has at most 1 024 bytes.
    pub(crate) pattern: [Vec<f64>; 3],
}

/// The figures of what is measured beside no rival.
pub(super) fn figures(alone: &Alone) -> Vec<Figure> {
    let count = |definition, count: u64| Figure::alone(definition, &[count as f64], None);
    let mut all = vec![
        count(figures::PUT_ROWS, alone.put_rows),
        count(figures::SESSION_ROWS, alone.session_rows),
        count(figures::MEMORY, alone.memory),
        Figure::new(figures::INGEST_CPU, &alone.ingest, &alone.bare, None),
        count(figures::REVOKE_VISITED, alone.revoke_visited),
        Figure::alone(figures::AUTHORIZE_CPU, &alone.authorize, None),
        Figure::alone(figures::AUTHORIZE_MANY_CPU, &alone.authorize_among_many, None),
    ];
    let patterns = figures::PATTERN_CPU.iter().zip(&alone.pattern);
    let patterns: Vec<Figure> = patterns.map(|((_, what), samples)| Figure::alone(*what, samples, None)).collect();
    let growth = match &patterns[..] {
        [short, .., long] => long.ours / (100.0 * short.ours).max(f64::MIN_POSITIVE),
        _ => f64::MAX,
    };
    all.extend(patterns);
    all.push(Figure::alone(figures::PATTERN_GROWTH, &[growth], None));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_faster_than_linear_falls_short() {
        let alone = |long| Alone {
            put_rows: 18,
            session_rows: 2_000,
            memory: 64 << 20,
            ingest: vec![2.0],
            bare: vec![1.0],
            revoke_visited: 1_100,
            authorize: vec![1e-6],
            authorize_among_many: vec![1e-5],
            pattern: [vec![1e-7], vec![1e-6], vec![long]],
        };
        let shortfalls = |alone| figures(&alone).iter().filter_map(Figure::shortfall).collect::<Vec<_>>();
        assert_eq!(shortfalls(alone(1e-5)), Vec::<String>::new());
        assert_eq!(shortfalls(alone(1e-3)).len(), 1);
        let worse = Alone { put_rows: 19, session_rows: 2_001, memory: (64 << 20) + 1, ..alone(1e-5) };
        assert_eq!(shortfalls(worse).len(), 3);
        let worse = Alone { ingest: vec![2.1], revoke_visited: 1_101, authorize: vec![1.1e-6], ..alone(1e-5) };
        assert_eq!(shortfalls(worse).len(), 3);
    }
}
