//! Merging is commutative, associative and idempotent.

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_kv::{EntryId, Item, Key, Tree};
use syncline_storage::MemoryDb;
use syncline_testkit::cheap::CheapVerifier;
use syncline_testkit::seed::{Rng, for_each_seed};

use crate::model::Model;
use crate::world::{NOW, World};

fn tree(world: &World) -> Tree {
    let builder = Tree::builder().verifier(Arc::new(CheapVerifier));
    builder.open(Arc::new(MemoryDb::new()), &world.namespace).expect("memory opens")
}

fn values(tree: &Tree, keys: &[Key]) -> BTreeMap<Key, EntryId> {
    let decided = keys.iter().filter_map(|key| Some((key.clone(), tree.latest(key).expect("reads")?.id())));
    decided.collect()
}

/// Applies items in a random order, in random batches, some of them twice.
fn scatter(tree: &Tree, rng: &mut Rng, items: &[Item]) {
    let mut items = items.to_vec();
    for _ in 0..rng.below(5) {
        items.extend(rng.pick(&items).cloned());
    }
    for at in (1..items.len()).rev() {
        items.swap(at, rng.index(at + 1));
    }
    while !items.is_empty() {
        let rest = items.split_off(rng.index(items.len()) + 1);
        tree.apply(NOW, std::mem::replace(&mut items, rest)).expect("applies");
    }
}

/// With new roots come and go authorities; what was refused before counts once it is offered again, as peers do.
#[test]
fn replicas_under_changing_roots_are_the_same_once_all_was_offered_again() {
    for_each_seed(0..300, |seed| {
        let mut world = World::new(seed ^ 0x2007);
        world.rotates = true;
        world.grow(60);
        let model = Model::new(&world.namespace, &world.items);
        let mut rng = world.rng.fork();
        let mut roots = Vec::new();
        for _ in 0..2 {
            let tree = tree(&world);
            let mut before = None;
            while before != Some(tree.root().expect("root").hash) {
                before = Some(tree.root().expect("root").hash);
                scatter(&tree, &mut rng, &world.items);
            }
            assert_eq!(values(&tree, &world.keys), model.values(), "seed {seed}");
            tree.check().expect("rows agree");
            roots.push(tree.root().expect("root").hash);
        }
        assert_eq!(roots[0], roots[1], "seed {seed}");
    });
}

/// S8: all permutations, duplications and partitions of a set of operations give the same state.
#[test]
fn s8_replicas_that_know_the_same_are_the_same() {
    for_each_seed(0..400, |seed| {
        let mut world = World::new(seed);
        world.grow(60);
        let model = Model::new(&world.namespace, &world.items);
        let mut rng = world.rng.fork();
        let mut roots = Vec::new();
        for _ in 0..3 {
            let tree = tree(&world);
            scatter(&tree, &mut rng, &world.items);
            assert_eq!(values(&tree, &world.keys), model.values(), "seed {seed}");
            for grant in &world.grants {
                assert_eq!(tree.authority().is_live_grant(grant.id()), model.is_live(&grant.id()), "seed {seed}");
            }
            tree.check().expect("rows agree");
            roots.push(tree.root().expect("root").hash);
        }
        assert!(roots.iter().all(|root| *root == roots[0]), "seed {seed}: {roots:?}");
    });
}

/// What replicas know is split among them; then each gets the other's export, in both orders.
#[test]
fn merging_two_replicas_is_commutative_and_idempotent() {
    for_each_seed(0..150, |seed| {
        let mut world = World::new(seed ^ 0x5eed);
        world.grow(50);
        let mut rng = world.rng.fork();
        let model = Model::new(&world.namespace, &world.items).values();
        let (a, b) = (tree(&world), tree(&world));
        let (left, right): (Vec<Item>, Vec<Item>) = world.items.iter().cloned().partition(|_| rng.chance(1, 2));
        scatter(&a, &mut rng, &left);
        scatter(&b, &mut rng, &right);
        // What waited in memory is not exported; offered again, as peers do.
        scatter(&a, &mut rng, &right);
        scatter(&b, &mut rng, &left);
        scatter(&b, &mut rng, &world.items);
        assert_eq!(values(&a, &world.keys), model, "seed {seed}");
        assert_eq!(values(&b, &world.keys), model, "seed {seed}");
        let root = a.root().expect("root").hash;
        assert_eq!(root, b.root().expect("root").hash, "seed {seed}");
    });
}
