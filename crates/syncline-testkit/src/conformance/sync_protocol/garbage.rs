//! Peers that send what they should not.

use syncline_core::TopicQuery;

use super::rule::{self, Rule, Side, Violation, evidence};
use super::session::{self, Ended, Setup};
use super::{Baseline, SyncProtocolSuite};
use crate::net::Conditions;
use crate::seed::Rng;

impl<T: TopicQuery + 'static> SyncProtocolSuite<'_, T> {
    /// Random bytes and damaged recordings, then the end of the stream.
    pub(super) fn check_garbage(&mut self, baseline: &Baseline<T>) -> Result<(), Violation> {
        let mut rng = Rng::new(self.seed ^ 0x6761_7262_6167_6500);
        for side in Side::BOTH {
            let recorded = &baseline.sent[side.other().index()];
            for round in 0..self.garbage_rounds {
                let (kind, input) = garbage(&mut rng, round, recorded);
                let (clock, pair) = self.fresh();
                self.sessions += 1;
                let when = format!("fed with {kind}: {}", hex(&input));
                let seen = session::run_alone(&clock, &pair, side, input);
                rule::always(&seen).map_err(|evidence| self.violation(side, &when, evidence))?;
                if seen.ended == Ended::Waits {
                    let evidence = evidence(Rule::Ends, "waits for ever, though the stream has ended");
                    return Err(self.violation(side, &when, evidence));
                }
            }
        }
        Ok(())
    }

    /// A bit that is flipped in any byte. Both may then wait for each other, until the streams end.
    pub(super) fn check_damage(&mut self, baseline: &Baseline<T>) -> Result<(), Violation> {
        let mut rng = Rng::new(self.seed ^ 0x6461_6d61_6765_0000);
        for from in Side::BOTH {
            let len = baseline.sent[from.index()].len();
            for at in self.offsets(len.saturating_sub(1)).into_iter().filter(|_| len > 0) {
                let mask = 1 << rng.below(8);
                let name = format!("when byte {at} of {len} to the {} was damaged with {mask:#04x}", from.other());
                let mut setup = Setup::new(name).one_way(from, Conditions::new().with_corrupt(at, mask));
                setup.ends_at_rest = true;
                let sides = self.run(&setup)?;
                for side in Side::BOTH {
                    if sides[side.index()].ended == Ended::Waits {
                        let evidence = evidence(Rule::Ends, "waits for ever, though the stream has ended");
                        return Err(self.violation(side, &setup, evidence));
                    }
                }
            }
        }
        Ok(())
    }
}

fn garbage(rng: &mut Rng, round: u64, recorded: &[u8]) -> (&'static str, Vec<u8>) {
    let len_max = 1 << rng.below(11);
    let len = rng.index(len_max);
    let noise = rng.bytes(len);
    let at = rng.index(recorded.len());
    let (before, after) = recorded.split_at_checked(at).unwrap_or((recorded, &[]));
    match round % 6 {
        0 => ("random bytes", noise),
        1 => ("one byte again and again", vec![rng.bytes(1).first().copied().unwrap_or(0); len]),
        2 => ("the start of a session, then random bytes", [before, &noise].concat()),
        3 => ("a session with random bytes in it", [before, &noise, after].concat()),
        4 => {
            let gap = rng.index(after.len());
            ("a session with a gap", [before, after.get(gap..).unwrap_or_default()].concat())
        }
        _ => {
            let again = rng.index(before.len());
            ("a session that repeats itself", [before, before.get(again..).unwrap_or_default(), after].concat())
        }
    }
}

/// The bytes to try it by hand, unless they are too many.
fn hex(bytes: &[u8]) -> String {
    const SHOWN: usize = 64;
    let shown: String = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() > SHOWN { format!("{shown}... ({} bytes)", bytes.len()) } else { shown }
}
