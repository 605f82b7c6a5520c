//! Topics that a side does not know.

use syncline_core::clock::{ManualClock, Timestamp};
use syncline_core::{SyncError, TopicQuery};

use super::rule::{self, Rule, Side, Violation, evidence};
use super::session::{self, Ended, Seen, Setup};
use super::{Fixture, SyncProtocolSuite};

impl<T: TopicQuery + 'static> SyncProtocolSuite<'_, T> {
    pub(super) fn check_topics(&mut self) -> Result<(), Violation> {
        if let Some(fixture) = self.unknown.take() {
            self.check_unknown(&fixture)?;
        }
        if let Some(fixture) = self.unsupported.take() {
            self.check_unsupported(&fixture)?;
        }
        Ok(())
    }

    fn run_fixture(&mut self, fixture: &Fixture<'_, T>, setup: &Setup) -> [Seen<T>; 2] {
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
        let pair = fixture(&clock);
        self.sessions += 1;
        session::run(&clock, &pair, setup)
    }

    fn check_unknown(&mut self, fixture: &Fixture<'_, T>) -> Result<(), Violation> {
        let setup = Setup::new("with a topic that it does not know");
        let [initiator, acceptor] = self.run_fixture(fixture, &setup);
        let saw = match &initiator.ended {
            Ended::Err(SyncError::Critical(_)) if !initiator.sent.is_empty() => {
                format!("sent {} bytes", initiator.sent.len())
            }
            Ended::Err(SyncError::Critical(_)) if !initiator.events.is_empty() => {
                format!("told the application {:?}", initiator.events)
            }
            Ended::Err(SyncError::Critical(_)) => String::new(),
            ended => format!("ended with {ended:?}"),
        };
        if !saw.is_empty() {
            return Err(self.violation(Side::Initiator, &setup, evidence(Rule::UnknownTopic, saw)));
        }
        let setup = Setup::new("when the peer never sent anything");
        rule::always(&acceptor)
            .and_then(|()| rule::no_false_success(&acceptor, 1))
            .map_err(|evidence| self.violation(Side::Acceptor, &setup, evidence))
    }

    fn check_unsupported(&mut self, fixture: &Fixture<'_, T>) -> Result<(), Violation> {
        let setup = Setup::new("with a topic that it does not support");
        let [initiator, acceptor] = self.run_fixture(fixture, &setup);
        let saw = match &acceptor.ended {
            Ended::Err(SyncError::UnexpectedBehaviour(_)) if !acceptor.events.is_empty() => {
                format!("told the application {:?}", acceptor.events)
            }
            Ended::Err(SyncError::UnexpectedBehaviour(_)) => String::new(),
            ended => format!("ended with {ended:?}"),
        };
        if !saw.is_empty() {
            return Err(self.violation(Side::Acceptor, &setup, evidence(Rule::UnsupportedTopic, saw)));
        }
        let setup = Setup::new("with a topic that the peer does not support");
        rule::always(&initiator)
            .and_then(|()| rule::no_false_success(&initiator, u64::MAX))
            .map_err(|evidence| self.violation(Side::Initiator, &setup, evidence))
    }
}
