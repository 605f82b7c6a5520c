use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::{Contestant, KeyValue, Native, Original};

/// Everybody who can take part, by name.
#[derive(Clone, Default)]
pub struct Contestants(Vec<Arc<dyn Contestant>>);

impl Contestants {
    /// Those that this crate knows. **A new version of our protocol is registered here.**
    #[must_use]
    pub fn built_in() -> Self {
        let logs = Self::default().with(Native::log_v1()).with(Native::log_v2()).with(Original);
        logs.with(KeyValue::whole()).with(KeyValue::below_a_prefix())
    }

    /// Adds one. Of two with the same name the later one counts.
    #[must_use]
    pub fn with(mut self, contestant: impl Contestant + 'static) -> Self {
        self.0.retain(|known| known.name() != contestant.name());
        self.0.push(Arc::new(contestant));
        self
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|contestant| contestant.name())
    }

    /// The one with this name.
    ///
    /// # Errors
    ///
    /// [`UnknownContestant`] if there is none.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Contestant>, UnknownContestant> {
        let found = self.0.iter().find(|contestant| contestant.name() == name);
        found.map(Arc::clone).ok_or_else(|| UnknownContestant {
            name: name.to_owned(),
            known: self.names().collect::<Vec<_>>().join(", "),
        })
    }
}

impl fmt::Debug for Contestants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// Nobody has this name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("there is no {name}; there are: {known}")]
pub struct UnknownContestant {
    name: String,
    known: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contestants_are_found_by_name_and_the_unknown_ones_are_told_who_is_there() {
        let all = Contestants::built_in();
        assert_eq!(all.get("p2panda-0.3").map(|found| found.name().to_owned()).as_deref(), Ok("p2panda-0.3"));
        let unknown = all.get("log-v9").err().expect("nobody is called so").to_string();
        assert!(unknown.contains("log-v9") && unknown.contains("log-v1, log-v2, "), "{unknown}");
    }
}
