//! merkle-search-tree 0.8. The crate has trees and their difference and leaves the protocol to its users; this is the one
//! around it:
//!
//! 1. the root's hash,
//! 2. back, if it differs: all page ranges of that side, 80 bytes each,
//! 3. the ranges that are wanted according to `diff`, the own page ranges, and
//! 4. back: the ids in the ranges that are wanted there, and the ranges wanted here,
//! 5. the ids in those, and the root's hash with what was received inserted: again from 2, until they are equal.
//!
//! `diff` tells what is to be fetched, and nothing if this side has more, so both sides run it; and it need not tell all at
//! once, so there are rounds.

use merkle_search_tree::MerkleSearchTree;
use merkle_search_tree::diff::{DiffRange, PageRange, diff};
use merkle_search_tree::digest::RootHash;

use super::{Algorithm, Case, Entry, Exchange, Peers, Sets, Tells};

pub(super) struct Mst;

impl Algorithm for Mst {
    fn name(&self) -> &'static str {
        "merkle-search-tree"
    }

    fn tells(&self) -> Tells {
        Tells::Both
    }

    fn refuses(&self, case: &Case) -> Option<&'static str> {
        (case.n > 1_000_000).then_some("it sends a hash for each page of its tree")
    }

    fn peers<'a>(&self, sets: &'a Sets) -> Box<dyn Peers + 'a> {
        Box::new(Trees { here: Tree::new(&sets.here), there: Tree::new(&sets.there) })
    }
}

/// Time, big endian, and id.
type Key = [u8; 40];

const HASH: usize = 16;
const ID: usize = 32;
/// Two keys, sent as ids where items have no time, and a hash.
const PAGE: usize = 2 * ID + HASH;

struct Tree {
    tree: MerkleSearchTree<Key, ()>,
    /// In order, so that ranges can be read.
    keys: Vec<Key>,
}

impl Tree {
    fn new(entries: &[Entry]) -> Self {
        let keys = entries.iter().map(|entry| {
            let mut key = [0; 40];
            key[..8].copy_from_slice(&entry.time.to_be_bytes());
            key[8..].copy_from_slice(&entry.id);
            key
        });
        let mut tree = Self { tree: MerkleSearchTree::default(), keys: Vec::new() };
        tree.insert(keys.collect());
        tree
    }

    fn insert(&mut self, keys: Vec<Key>) {
        for key in &keys {
            self.tree.upsert(*key, &());
        }
        let _hashed = self.tree.root_hash();
        self.keys.extend(keys);
        self.keys.sort_unstable();
    }

    fn root(&self) -> Option<&RootHash> {
        self.tree.root_hash_cached()
    }

    fn pages(&self) -> Result<Vec<PageRange<'_, Key>>, String> {
        self.tree.serialise_page_ranges().ok_or_else(|| "the tree is not hashed".into())
    }

    /// The keys in some ranges, each once.
    fn keys_in(&self, ranges: &[DiffRange<'_, Key>]) -> Vec<Key> {
        let mut keys = Vec::new();
        for range in ranges {
            let from = self.keys.partition_point(|key| key < range.start());
            let to = self.keys.partition_point(|key| key <= range.end());
            keys.extend_from_slice(&self.keys[from..to]);
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Which of these are not here.
    fn lacking(&self, mut keys: Vec<Key>) -> Vec<Key> {
        keys.retain(|key| self.keys.binary_search(key).is_err());
        keys
    }
}

struct Trees {
    here: Tree,
    there: Tree,
}

/// The crate promises that a finite number will do.
const ROUNDS_MAX: usize = 20;

impl Peers for Trees {
    fn reconcile(&mut self) -> Result<Exchange, String> {
        let Self { here, there } = self;
        let mut exchange = Exchange::default();
        exchange.send(true, HASH);
        for _ in 0..ROUNDS_MAX {
            if here.root() == there.root() {
                exchange.send(false, 1);
                return Ok(exchange);
            }
            let (pages_here, pages_there) = (here.pages()?, there.pages()?);
            exchange.send(false, PAGE * pages_there.len());
            let wanted_here = diff(pages_here.clone(), pages_there.clone());
            exchange.send(true, 2 * ID * wanted_here.len() + PAGE * pages_here.len());
            let wanted_there = diff(pages_there, pages_here);
            let sent_here = there.keys_in(&wanted_here);
            exchange.send(false, ID * sent_here.len() + 2 * ID * wanted_there.len());
            let sent_there = here.keys_in(&wanted_there);
            exchange.send(true, ID * sent_there.len() + HASH);
            let (new_here, new_there) = (here.lacking(sent_here), there.lacking(sent_there));
            let id = |key: &Key| -> [u8; 32] { key[8..].try_into().expect("32 bytes") };
            exchange.only_there.extend(new_here.iter().map(id));
            exchange.only_here.extend(new_there.iter().map(id));
            here.insert(new_here);
            there.insert(new_there);
        }
        Err("the trees do not converge".into())
    }

    fn are_used_up(&self) -> bool {
        true
    }
}
