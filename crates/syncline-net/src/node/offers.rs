//! Which of several protocols to offer to a peer, and which it is known not to have.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::SyncFailure;
use crate::negotiation::ProtocolName;

/// Names that the peer of a connection has said it does not know. A peer offers the same for as long as a connection
/// lasts, so that a name which it does not know costs a round trip once per connection, and not once per session.
#[derive(Debug, Default)]
pub(crate) struct UnknownNames(Mutex<BTreeSet<ProtocolName>>);

impl UnknownNames {
    fn with<R>(&self, act: impl FnOnce(&mut BTreeSet<ProtocolName>) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn contains(&self, name: &ProtocolName) -> bool {
        self.with(|names| names.contains(name))
    }
}

/// Protocols in order of preference, and how far down that order the peer has refused them.
#[derive(Debug)]
pub(crate) struct Offers<P> {
    offers: Vec<Offer<P>>,
    next: usize,
}

/// A protocol by its name.
#[derive(Clone, Debug)]
pub(crate) struct Offer<P> {
    pub(crate) name: ProtocolName,
    pub(crate) protocol: P,
}

impl<P> Offers<P> {
    /// Offers these, with their names, in this order.
    pub(crate) fn new(protocols: impl IntoIterator<Item = (&'static str, P)>) -> Result<Self, SyncFailure> {
        let named = |(name, protocol)| Ok::<_, SyncFailure>(Offer { name: ProtocolName::new(name)?, protocol });
        let offers = protocols.into_iter().map(named).collect::<Result<Vec<_>, _>>()?;
        if offers.is_empty() { Err(SyncFailure::NoProtocol) } else { Ok(Self { offers, next: 0 }) }
    }

    /// What to offer now.
    ///
    /// If the peer is known to have none that is left, it is asked for the first of them nevertheless: a refusal is the
    /// peer's to make.
    pub(crate) fn current(&mut self, unknown: &UnknownNames) -> Result<&Offer<P>, SyncFailure> {
        self.next = self.first_known(self.next, unknown).unwrap_or(self.next);
        self.offers.get(self.next).ok_or(SyncFailure::NoProtocol)
    }

    /// Notes that the peer does not know the current one. Whether there is another to offer.
    pub(crate) fn go_on(&mut self, unknown: &UnknownNames) -> bool {
        if let Some(refused) = self.offers.get(self.next) {
            unknown.with(|names| names.insert(refused.name.clone()));
        }
        let found = self.first_known(self.next + 1, unknown);
        self.next = found.unwrap_or(self.next);
        found.is_some()
    }

    fn first_known(&self, from: usize, unknown: &UnknownNames) -> Option<usize> {
        let left = self.offers.iter().enumerate().skip(from);
        left.into_iter().find(|(_, offer)| !unknown.contains(&offer.name)).map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(names: &[&'static str]) -> Offers<()> {
        Offers::new(names.iter().map(|name| (*name, ()))).unwrap()
    }

    fn offered(offers: &mut Offers<()>, unknown: &UnknownNames) -> String {
        offers.current(unknown).unwrap().name.to_string()
    }

    #[test]
    fn names_are_offered_in_order_and_each_once() {
        let unknown = UnknownNames::default();
        let mut offers = offers(&["c", "a", "b"]);
        assert_eq!(offered(&mut offers, &unknown), "c");
        assert_eq!(offered(&mut offers, &unknown), "c", "until it is refused");
        assert!(offers.go_on(&unknown));
        assert_eq!(offered(&mut offers, &unknown), "a");
        assert!(offers.go_on(&unknown));
        assert_eq!(offered(&mut offers, &unknown), "b");
        assert!(!offers.go_on(&unknown));
    }

    #[test]
    fn what_a_peer_does_not_know_is_not_offered_again_on_the_connection() {
        let unknown = UnknownNames::default();
        offers(&["a", "b"]).go_on(&unknown);
        let mut again = offers(&["a", "b", "a"]);
        assert_eq!(offered(&mut again, &unknown), "b");
        assert!(!again.go_on(&unknown), "the name that comes twice is the one that is not known");
        // Another connection may lead to another program.
        assert_eq!(offered(&mut offers(&["a", "b"]), &UnknownNames::default()), "a");
    }

    #[test]
    fn a_peer_that_knows_none_is_asked_for_the_first_and_says_so_itself() {
        let unknown = UnknownNames::default();
        let mut first = offers(&["a", "b"]);
        assert!(first.go_on(&unknown));
        assert!(!first.go_on(&unknown));
        let mut again = offers(&["a", "b"]);
        assert_eq!(offered(&mut again, &unknown), "a");
        assert!(!again.go_on(&unknown));
    }

    #[test]
    fn there_must_be_names_and_all_must_be_good() {
        assert!(matches!(Offers::<()>::new([]), Err(SyncFailure::NoProtocol)));
        assert!(matches!(Offers::new([("a", ()), ("b c", ())]), Err(SyncFailure::ProtocolName(_))));
    }
}
