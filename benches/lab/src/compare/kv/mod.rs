//! The key-value store beside iroh-docs, and beside what is left when everything else costs nothing.
//!
//! iroh-docs takes half an hour to build, so it is there with the feature `iroh` only. Then both run in turns. Without it
//! theirs are the figures that [`recorded`] has of an earlier run.

pub(crate) mod alone;
mod bare;
mod counted;
mod data;
mod figures;
#[cfg(feature = "iroh")]
mod iroh;
mod ours;
mod recorded;
mod syncline;

use std::collections::BTreeMap;

use super::figure::{Definition, Figure};
use super::limit;
use crate::progress::Progress;
use data::{Held, Pair};
use figures::Sync;
use ours::Ours;
pub(crate) use recorded::Recording;
pub(crate) use syncline::Syncline;

/// Signatures that the limit checks together.
const BATCH: usize = 256;

/// How many keys, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) runs: usize,
    /// Keys that both sides of a sync have.
    n: usize,
    /// Entries in the redb file.
    pub(crate) stored: usize,
}

impl Scale {
    pub(crate) const FULL: Self = Self { runs: 3, n: 100_000, stored: 1_000_000 };
    /// Enough to see that everything works; the figures, whose names stay the same, say little.
    pub(crate) const QUICK: Self = Self { runs: 1, n: 5_000, stored: 20_000 };
}

/// A key-value store that syncs.
pub(crate) trait Contender {
    /// Its name, with the version.
    fn name(&self) -> &'static str;

    /// Signs the entries of both sides. Not measured.
    fn sign(&self, pair: &Pair) -> Box<dyn Signed>;
}

/// Both sides' entries, signed and encoded.
pub(crate) trait Signed {
    /// Fills two new replicas in memory with what the two sides were told, and syncs them.
    ///
    /// # Errors
    ///
    /// Why it failed.
    fn run(&self) -> Result<Run, String>;
}

/// What a fill and a sync needed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    /// CPU seconds to take the common entries from a peer: to decode, verify and store them in an empty replica.
    apply: f64,
    /// CPU seconds of the sync, both sides, encoding and decoding included.
    sync: f64,
    /// Bytes both ways, frames included.
    bytes: u64,
    /// Messages both ways.
    messages: u64,
    /// Entries sent, both ways, those included that the receiver had already.
    entries: u64,
    /// What the replica holds in the end that began.
    here: Vec<Held>,
    /// What the other one holds.
    there: Vec<Held>,
}

/// Samples by the names of their figures.
pub(crate) type Samples = BTreeMap<String, Vec<f64>>;

fn add(samples: &mut Samples, definition: Definition, sample: f64) {
    samples.entry(definition.name.to_owned()).or_default().push(sample);
}

/// One run, checked to have done all of its work.
fn sample(signed: &dyn Signed, pair: &Pair, sync: &Sync, samples: &mut Samples) -> Result<(), String> {
    let run = signed.run()?;
    pair.check(run.here).and_then(|()| pair.check(run.there))?;
    let differences = pair.differences() as u64;
    if run.entries < differences {
        return Err(format!("{} entries were sent, and {differences} differ", run.entries));
    }
    add(samples, figures::APPLY_CPU, run.apply);
    add(samples, sync.cpu, run.sync);
    add(samples, sync.bytes, run.bytes as f64);
    add(samples, sync.entries, run.entries as f64);
    add(samples, sync.messages, run.messages as f64);
    Ok(())
}

/// All contenders in turns, so that whatever else the machine does falls on all.
fn measure(contenders: &[&dyn Contender], scale: Scale, progress: &dyn Progress) -> Result<Vec<Samples>, String> {
    let mut samples = vec![Samples::new(); contenders.len()];
    for sync in figures::SYNCS {
        let pair = Pair::new(scale.n, sync.d);
        let signed: Vec<_> = contenders.iter().map(|contender| contender.sign(&pair)).collect();
        for _ in 0..scale.runs {
            for ((contender, signed), samples) in contenders.iter().zip(&signed).zip(&mut samples) {
                progress.step(&format!("{}: {} differences", contender.name(), sync.d));
                let fail = |why| format!("{} with {} differences: {why}", contender.name(), sync.d);
                sample(&**signed, &pair, &sync, samples).map_err(fail)?;
            }
        }
    }
    Ok(samples)
}

/// Measures iroh-docs alone, for builds without it.
///
/// # Errors
///
/// Why a session failed.
#[cfg(feature = "iroh")]
pub(crate) fn record(scale: Scale, progress: &dyn Progress) -> Result<Recording, String> {
    progress.begin(figures::SYNCS.len() * scale.runs);
    let mut samples = measure(&[&iroh::IrohDocs], scale, progress)?;
    progress.end();
    Ok(Recording::now(iroh::IrohDocs.name(), scale.n, samples.pop().unwrap_or_default()))
}

/// Every figure of the key-value store. `recording` is what is known of the rival if it was not built.
///
/// # Errors
///
/// Why a session failed, or did not leave both sides with the same keys and the newest values.
pub(crate) fn kv(
    ours: &dyn Ours,
    recording: Option<&Recording>,
    scale: Scale,
    progress: &dyn Progress,
) -> Result<Vec<Figure>, String> {
    #[cfg(feature = "iroh")]
    let contenders: [&dyn Contender; 2] = [ours, &iroh::IrohDocs];
    #[cfg(not(feature = "iroh"))]
    let contenders: [&dyn Contender; 1] = [ours];
    progress.begin(figures::SYNCS.len() * scale.runs * contenders.len() + 1);
    let mut samples = measure(&contenders, scale, progress)?.into_iter();
    let (own, theirs) = (samples.next().unwrap_or_default(), samples.next());
    // A recording of another number of keys says nothing here.
    let recording = recording.filter(|recording| recording.n == scale.n);
    let verified = limit::verify(&ours.signatures(&Pair::new(scale.n, 0)), BATCH);
    let mut figures = Vec::new();
    for definition in figures::beside_the_rival() {
        let limit = (definition.name == figures::APPLY_CPU.name).then_some(verified);
        let own = own.get(definition.name).ok_or("each run gives all figures")?;
        figures.push(match (&theirs, recording) {
            (Some(theirs), _) => Figure::new(definition, own, &theirs[definition.name], limit),
            (None, Some(recording)) => {
                let theirs = recording.samples(definition.name)?;
                Figure::new(definition, own, theirs, limit).recorded(&recording.date)
            }
            (None, None) => Figure::alone(definition, own, limit),
        });
    }
    progress.step("ours in a file");
    figures.extend(ours::figures(&ours.alone(scale)?));
    progress.end();
    let names = figures::all().into_iter().map(|definition| definition.name);
    assert!(figures.iter().map(|figure| figure.name).eq(names), "each figure is measured once, in order");
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use syncline_crypto::SigningKey;

    use super::ours::Alone;
    use super::*;
    use crate::compare::limit::SignedParts;
    use crate::progress::Silent;

    /// Holds what a pair holds after a sync, but for what it is told to get wrong.
    struct Model {
        /// Entries that it loses on the side that began.
        loses: usize,
        /// Entries that it does not send.
        keeps: u64,
    }

    struct ModelRun(Run);

    impl Signed for ModelRun {
        fn run(&self) -> Result<Run, String> {
            Ok(self.0.clone())
        }
    }

    impl Contender for Model {
        fn name(&self) -> &'static str {
            "model"
        }

        fn sign(&self, pair: &Pair) -> Box<dyn Signed> {
            let there: Vec<Held> = pair.merged();
            let here = there[self.loses..].to_vec();
            let entries = pair.differences() as u64 - self.keeps;
            Box::new(ModelRun(Run { apply: 1.0, sync: 0.5, bytes: 100, messages: 4, entries, here, there }))
        }
    }

    impl Ours for Model {
        fn signatures(&self, pair: &Pair) -> Vec<SignedParts> {
            let key = SigningKey::from_bytes(&[1; 32]);
            let sign = |_| SignedParts { key: key.public_key(), message: vec![1], signature: key.sign(&[1]) };
            pair.common[..3].iter().map(sign).collect()
        }

        fn alone(&self, _: Scale) -> Result<Alone, String> {
            let one = || vec![1.0];
            Ok(Alone {
                put_rows: 1,
                session_rows: 1,
                memory: 1,
                ingest: one(),
                bare: one(),
                revoke_visited: 1,
                authorize: one(),
                authorize_among_many: one(),
                pattern: [one(), one(), one()],
            })
        }
    }

    const SCALE: Scale = Scale { runs: 1, n: 1_000, stored: 10 };

    fn run(loses: usize, keeps: u64, recording: Option<&Recording>) -> Result<Vec<Figure>, String> {
        kv(&Model { loses, keeps }, recording, SCALE, &Silent)
    }

    #[cfg(not(feature = "iroh"))]
    fn recording(n: usize) -> Recording {
        let samples = figures::beside_the_rival().into_iter().map(|what| (what.name.to_owned(), vec![3.0])).collect();
        Recording::now("theirs", n, samples)
    }

    #[test]
    fn all_figures_are_there_and_a_limit_where_there_is_one() {
        let figures = run(0, 0, None).expect("the model does its work");
        assert!(figures.iter().filter(|figure| figure.limit.is_some()).map(|figure| figure.name).eq(["kv.apply.cpu"]));
        let compared = figures.iter().filter(|figure| figure.theirs.is_some()).count();
        assert_eq!(compared, 1 + if cfg!(feature = "iroh") { figures::beside_the_rival().len() } else { 0 });
    }

    #[test]
    fn who_loses_a_key_or_sends_too_little_is_not_measured() {
        assert!(run(1, 0, None).is_err_and(|why| why.contains("keys are held")));
        assert!(run(0, 1, None).is_err_and(|why| why.contains("entries were sent")));
    }

    #[cfg(not(feature = "iroh"))]
    #[test]
    fn a_recording_of_as_many_keys_stands_in_for_the_rival() {
        let of = |recording: &Recording, name| {
            let figures = run(0, 0, Some(recording)).expect("the model does its work");
            let figure = figures.into_iter().find(|figure| figure.name == name).expect("it is there");
            (figure.theirs, figure.recorded.is_some())
        };
        assert_eq!(of(&recording(SCALE.n), "kv.apply.cpu"), (Some(3.0), true));
        assert_eq!(of(&recording(SCALE.n + 1), "kv.apply.cpu"), (None, false));
        assert_eq!(of(&recording(SCALE.n), "kv.redb.put.rows"), (None, false));
    }
}
