//! Sessions in which the way to the peer, the application or the session itself is gone, sooner or later.

use syncline_core::{SyncError, TopicQuery};

use super::app::Manner;
use super::rule::{Rule, Side, Violation, evidence};
use super::session::{Ended, Setup};
use super::{Baseline, SyncProtocolSuite};
use crate::net::{Conditions, Cut};

/// How many points of a session to try where each is a session or two of its own.
const POINTS_MAX: u64 = 64;

impl<T: TopicQuery + 'static> SyncProtocolSuite<'_, T> {
    /// An application that is gone after any number of events.
    pub(super) fn check_applications(&mut self, baseline: &Baseline<T>) -> Result<(), Violation> {
        for side in Side::BOTH {
            let count = baseline.events[side.index()].len() as u64;
            for events in points(count.saturating_sub(1)) {
                let mut setup = Setup::new(format!("with an application that is gone after {events} events"));
                setup.manners[side.index()] = Manner::GoneAfter(usize::try_from(events).unwrap_or(usize::MAX));
                let sides = self.run(&setup)?;
                match &sides[side.index()].ended {
                    Ended::Err(SyncError::Critical(_)) => {}
                    ended => {
                        let evidence = evidence(Rule::ApplicationGoneIsCritical, format!("ended with {ended:?}"));
                        return Err(self.violation(side, &setup, evidence));
                    }
                }
                self.expect_no_false_success(&sides, baseline, &setup)?;
            }
        }
        Ok(())
    }

    /// A stream that is closed or reset after any number of bytes.
    pub(super) fn check_cuts(&mut self, baseline: &Baseline<T>) -> Result<(), Violation> {
        for from in Side::BOTH {
            let len = baseline.sent[from.index()].len();
            for at in self.offsets(len) {
                for cut in [Cut::Close, Cut::Reset] {
                    let to = from.other();
                    let what = if cut == Cut::Close { "ended" } else { "was reset" };
                    let name = format!("when the stream to the {to} {what} after {at} of {len} bytes");
                    let setup = Setup::new(name).one_way(from, Conditions::new().with_cut(at, cut));
                    let sides = self.run(&setup)?;
                    self.expect_no_false_success(&sides, baseline, &setup)?;
                }
            }
        }
        Ok(())
    }

    /// A peer that falls silent after any number of bytes, with a session around the protocol.
    pub(super) fn check_silence(&mut self, baseline: &Baseline<T>) -> Result<(), Violation> {
        for from in Side::BOTH {
            let len = baseline.sent[from.index()].len();
            for at in points(len as u64) {
                let name = format!("when nothing reached the {} after {at} of {len} bytes, in a session", from.other());
                let mut setup = Setup::new(name).one_way(from, Conditions::new().with_cut(at, Cut::Stall));
                setup.in_session = true;
                setup.keeps_streams = true;
                let sides = self.run(&setup)?;
                self.expect_no_false_success(&sides, baseline, &setup)?;
            }
        }
        Ok(())
    }

    /// A side that is dropped at any point. Afterwards the same two complete a session.
    pub(super) fn check_drops(&mut self, baseline: &Baseline<T>) -> Result<(), Violation> {
        let conditions = Conditions::new().with_chunk(7);
        let whole = self.run(&Setup::new("in chunks of 7 bytes").both_ways(&conditions))?;
        for side in Side::BOTH {
            for polls in points(whole[side.index()].polls) {
                let name = format!("when the {side} was dropped after {polls} polls");
                let mut setup = Setup::new(name).both_ways(&conditions);
                setup.drops = Some((side, polls));
                let (clock, pair) = self.fresh();
                let sides = self.run_pair(&clock, &pair, &setup)?;
                self.expect_no_false_success(&sides, baseline, &setup)?;
                let mut again = Setup::new(format!("{setup}, in another session of the same two"));
                again.keeps_streams = true;
                again.ends_at_rest = true;
                let sides = self.run_pair(&clock, &pair, &again)?;
                self.expect_completed(&sides, &again, Rule::DropLeavesProtocolFit)?;
            }
        }
        Ok(())
    }
}

/// Numbers from 0 to `last`, evenly spread, with both.
fn points(last: u64) -> impl Iterator<Item = u64> {
    let step = last.div_ceil(POINTS_MAX).max(1);
    (0..last).step_by(usize::try_from(step).unwrap_or(usize::MAX)).chain([last])
}
