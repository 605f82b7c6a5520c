//! What a subscriber sees.

use std::fmt;

use crate::item::Entry;

/// What is known of a key's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth thing to know of a value")]
#[expect(clippy::large_enum_variant, reason = "that there is a value is the usual case")]
pub enum Value {
    /// Nothing yet, or what was known has turned out not to count.
    #[default]
    Unknown,
    /// The key has no value: it was deleted, which is proven, or the server says that there is none.
    Absent,
    /// This entry, whose signature and chain of grants were checked here.
    Present(Entry),
}

impl Value {
    /// The entry, if there is one.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry> {
        if let Self::Present(entry) = self { Some(entry) } else { None }
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}

/// Whether a value is up to date, and if not, why. Of several reasons the one is given that comes first here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dirtiness {
    /// There are more keys below the path than [`ClientConfig::set_keys`](super::ClientConfig::set_keys). Nothing is kept of them.
    TooLarge,
    /// There is no server to ask. The last value is kept.
    #[default]
    Disconnected,
    /// No server that is connected lets this client read here.
    Denied,
    /// A newer value may be on its way: the server was asked, or said that there is one, or knows less than this client and
    /// has some more time to catch up.
    Pending,
    /// The server is behind: it has known less than this client for longer than
    /// [`ClientConfig::catch_up`](super::ClientConfig::catch_up), or has not synced within
    /// [`ClientConfig::fresh_within`](super::ClientConfig::fresh_within).
    Stale,
    /// The server has an entry that is stamped too far ahead of its clock, and that will be the value once its time has come.
    Quarantined,
    /// What the server has.
    Clean,
}

impl Dirtiness {
    /// Whether the value is what the server has.
    #[must_use]
    pub fn is_clean(self) -> bool {
        self == Self::Clean
    }
}

impl fmt::Display for Dirtiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "too many keys",
            Self::Disconnected => "disconnected",
            Self::Denied => "denied",
            Self::Pending => "pending",
            Self::Stale => "stale",
            Self::Quarantined => "a newer value is in quarantine",
            Self::Clean => "clean",
        })
    }
}

/// A value and whether it is up to date, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "these two are what a state is")]
pub struct State {
    /// The value.
    pub value: Value,
    /// Whether it is up to date.
    pub dirtiness: Dirtiness,
}
