//! Ordered filters over keys.

use super::{Key, Pattern, PatternError};

/// An ordered list of rules that lets keys pass or not.
///
/// A rule is a [`Pattern`], which lets its keys pass, or `!` and a pattern, which holds them back. The last rule whose
/// pattern has the key decides, so the order matters: `/a/**`, `!/a/b/**`, `/a/b/c` lets `/a/x` and `/a/b/c` pass, but
/// not `/a/b/d`. A key that no rule has does not pass; so a list of only `!` rules lets nothing pass. With no rule at
/// all everything passes.
///
/// The path filters of GitHub's workflows read their lists in the same way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFilter {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    pattern: Pattern,
    pass: bool,
}

impl KeyFilter {
    /// The filter of these rules, first to last.
    ///
    /// # Errors
    ///
    /// One of them is neither a pattern nor `!` and a pattern.
    pub fn new<T: AsRef<str>>(rules: impl IntoIterator<Item = T>) -> Result<Self, PatternError> {
        let rules = rules.into_iter().map(|rule| {
            let rule = rule.as_ref();
            let (text, pass) = rule.strip_prefix('!').map_or((rule, true), |text| (text, false));
            Ok(Rule { pattern: Pattern::new(text)?, pass })
        });
        Ok(Self { rules: rules.collect::<Result<_, PatternError>>()? })
    }

    /// Whether the key passes.
    #[must_use]
    pub fn matches(&self, key: &Key) -> bool {
        self.rules.is_empty()
            || self.rules.iter().rev().find(|rule| rule.pattern.matches(key)).is_some_and(|rule| rule.pass)
    }
}
