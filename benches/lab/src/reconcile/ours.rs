//! Ours: `syncline-reconcile` over sets in memory.

use bytes::Bytes;
use syncline_reconcile::{
    Item, ItemId, MemorySet, Nonce, RangeConfig, RangeReconciler, ReconcileError, Reconciler, SetKey, Sketch,
    SketchConfig, SketchReconciler, Step,
};

use super::{Algorithm, Case, Entry, Exchange, Peers, Sets, Spread, Tells};

/// Which of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ours {
    /// The sketch, which hands over to ranges: what a session uses if it is told nothing.
    Sketch,
    /// Ranges alone.
    Ranges,
}

impl Algorithm for Ours {
    fn name(&self) -> &'static str {
        match self {
            Self::Sketch => "ours",
            Self::Ranges => "ours, ranges alone",
        }
    }

    fn tells(&self) -> Tells {
        Tells::Both
    }

    fn peers<'a>(&self, sets: &'a Sets) -> Box<dyn Peers + 'a> {
        let set = |entries| self.set(&sets.case, entries);
        Box::new(Memory { which: *self, here: set(&sets.here), there: set(&sets.there), sessions: 0 })
    }
}

impl Ours {
    fn set(self, case: &Case, entries: &[Entry]) -> MemorySet {
        let key = |entry: &Entry| match case.spread {
            Spread::Uniform => Vec::new(),
            Spread::Clustered | Spread::Newest => entry.time.to_be_bytes().to_vec(),
        };
        let items = entries.iter().map(|entry| Item::new(key(entry), ItemId::from_bytes(entry.id))).collect();
        let symbols = match self {
            Self::Sketch => Sketch::DEFAULT_LEN,
            Self::Ranges => 0,
        };
        MemorySet::from_items(&SetKey::from_bytes([0x5e; 32]), symbols, items).expect("no item is there twice")
    }

    fn reconciler(self, nonce: Nonce) -> Box<dyn Reconciler> {
        match self {
            Self::Sketch => Box::new(SketchReconciler::new(SketchConfig::default(), nonce)),
            Self::Ranges => Box::new(RangeReconciler::new(RangeConfig::default(), nonce)),
        }
    }
}

struct Memory {
    which: Ours,
    here: MemorySet,
    there: MemorySet,
    sessions: u8,
}

impl Peers for Memory {
    fn reconcile(&mut self) -> Result<Exchange, String> {
        self.sessions += 1;
        let nonce = |side: u8| Nonce::from_bytes([side ^ self.sessions; Nonce::LEN]);
        let (mut here, mut there) = (self.which.reconciler(nonce(0)), self.which.reconciler(nonce(0x80)));
        let mut exchange = Exchange::default();
        let mut needs = [0, 0];
        let fail = |err: ReconcileError| err.to_string();
        let mut message = take(here.open(&self.here).map_err(fail)?, &mut exchange.only_here, &mut needs[0]);
        let mut is_heres = true;
        while let Some(bytes) = message {
            exchange.send(is_heres, bytes.len());
            message = if is_heres {
                let step = there.receive(&self.there, &bytes).map_err(fail)?;
                take(step, &mut exchange.only_there, &mut needs[1])
            } else {
                let step = here.receive(&self.here, &bytes).map_err(fail)?;
                take(step, &mut exchange.only_here, &mut needs[0])
            };
            is_heres = !is_heres;
        }
        if !here.is_done() || !there.is_done() {
            return Err("a side has nothing more to say and is not done".into());
        }
        if needs != [exchange.only_there.len(), exchange.only_here.len()] {
            return Err(format!("the sides found that they need {needs:?}"));
        }
        Ok(exchange)
    }
}

fn take(step: Step, have: &mut Vec<[u8; 32]>, needs: &mut usize) -> Option<Bytes> {
    have.extend(step.have.iter().map(|item| *item.id.as_bytes()));
    *needs += step.need.len();
    step.reply
}
