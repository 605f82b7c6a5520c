//! negentropy 0.5 with its vector, sealed, and no limit of frames.

use negentropy::{Id, Negentropy as Protocol, NegentropyStorageVector};

use super::{Algorithm, Entry, Exchange, Peers, Sets, Tells};

pub struct Negentropy;

impl Algorithm for Negentropy {
    fn name(&self) -> &'static str {
        "negentropy"
    }

    fn tells(&self) -> Tells {
        Tells::One
    }

    fn peers<'a>(&self, sets: &'a Sets) -> Box<dyn Peers + 'a> {
        Box::new(Vectors { here: storage(&sets.here), there: storage(&sets.there) })
    }
}

fn storage(entries: &[Entry]) -> NegentropyStorageVector {
    let mut storage = NegentropyStorageVector::with_capacity(entries.len());
    for entry in entries {
        storage.insert(entry.time, Id::from_byte_array(entry.id)).expect("the vector is not sealed yet");
    }
    storage.seal().expect("the vector is not sealed yet");
    storage
}

struct Vectors {
    here: NegentropyStorageVector,
    there: NegentropyStorageVector,
}

impl Peers for Vectors {
    fn reconcile(&mut self) -> Result<Exchange, String> {
        let fail = |err: negentropy::Error| err.to_string();
        let mut here = Protocol::borrowed(&self.here, 0).map_err(fail)?;
        let mut there = Protocol::borrowed(&self.there, 0).map_err(fail)?;
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let mut exchange = Exchange::default();
        let mut query = here.initiate().map_err(fail)?;
        loop {
            exchange.send(true, query.len());
            let answer = there.reconcile(&query).map_err(fail)?;
            exchange.send(false, answer.len());
            match here.reconcile_with_ids(&answer, &mut have, &mut need).map_err(fail)? {
                Some(next) => query = next,
                None => break,
            }
        }
        let bytes = |ids: Vec<Id>| ids.into_iter().map(|id| *id).collect();
        exchange.only_here = bytes(have);
        exchange.only_there = bytes(need);
        Ok(exchange)
    }
}
