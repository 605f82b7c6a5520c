//! Authors who sign two operations for one place, and logs that were pruned.

use futures::executor::block_on;
use syncline_log::{Link, LogStore as _, NewOperation, SeqNum};
use syncline_testkit::generate::{Author, Step, encoded};

use crate::world::{Node, World, session};

/// Two nodes whose copies of one log part after `common` operations, and go on for so many on each side.
fn forked(common: usize, ours: usize, theirs: usize) -> (World, Node, Node) {
    let world = World::pair(4, 50);
    let (one, two) = (world.node_with(1), world.node_with(1));
    let (key, log_id, _) = &world.logs[0];
    let mut author = Author::new(key.clone(), *log_id);
    for nth in 0..common {
        let operation = encoded(&author.write(Step::body(format!("common {nth}"))));
        for node in [&one, &two] {
            node.append(vec![NewOperation::next(*log_id, operation.clone())]);
        }
    }
    let mut other = author.clone();
    for nth in 0..ours {
        one.append(vec![NewOperation::next(*log_id, encoded(&author.write(Step::body(format!("ours {nth}")))))]);
    }
    for nth in 0..theirs {
        two.append(vec![NewOperation::next(*log_id, encoded(&other.write(Step::body(format!("theirs {nth}")))))]);
    }
    (world, one, two)
}

fn forks(world: &World, node: &Node) -> usize {
    let (key, log_id, _) = &world.logs[0];
    block_on(node.store.forks(key.public_key(), *log_id)).unwrap().len()
}

#[test]
fn both_sides_see_the_proof_of_a_fork_and_keep_their_branch() {
    for (common, ours, theirs) in [(0, 1, 1), (3, 1, 1), (3, 4, 1), (3, 1, 4), (0, 5, 2), (2, 3, 3)] {
        let (world, one, two) = forked(common, ours, theirs);
        let before = (one.contents(), two.contents());
        session(Default::default(), one.protocol(1), two.protocol(2)).assert_ok();
        assert_eq!((one.contents(), two.contents()), before, "each keeps what it saw first");
        assert_eq!((forks(&world, &one), forks(&world, &two)), (1, 1), "{common} {ours} {theirs}");
        // It costs an operation each way in later sessions, not the rest of the branch.
        let again = session(Default::default(), one.protocol(3), two.protocol(4));
        again.assert_ok();
        assert!(again.sent.0 + again.sent.1 < 2_000);
        assert_eq!((forks(&world, &one), forks(&world, &two)), (1, 1));
    }
}

#[test]
fn a_fork_does_not_hold_up_other_logs() {
    let (world, one, two) = forked(3, 2, 2);
    let (key, log_id, operations) = &world.logs[1];
    let mut author = Author::at(key.clone(), *log_id, tip(operations));
    let more = encoded(&author.write(Step::body("more")));
    two.append(vec![NewOperation::next(*log_id, more.clone())]);
    let outcome = session(Default::default(), one.protocol(1), two.protocol(2));
    outcome.assert_ok();
    assert_eq!(outcome.apps.0.hashes(), [more.hash()]);
}

fn tip(operations: &[syncline_log::Operation<syncline_testkit::generate::LogExtensions>]) -> syncline_log::store::Tip {
    let last = operations.last().unwrap();
    syncline_log::store::Tip { seq_num: last.header.seq_num, hash: last.hash }
}

#[test]
fn a_log_that_its_author_pruned_follows_wherever_the_peer_is() {
    let world = World::pair(6, 50);
    let (one, two) = (world.node(|_, operations| operations.len().min(2)), world.full());
    let (key, log_id, operations) = &world.logs[0];
    let mut author = Author::at(key.clone(), *log_id, tip(operations));
    let pruning = Step { prunes: true, skip: 2, ..Step::body("from here on") };
    let operation = encoded(&author.write(pruning));
    two.append(vec![NewOperation { log_id: *log_id, operation: operation.clone(), link: Link::Prunes }]);
    session(Default::default(), one.protocol(1), two.protocol(2)).assert_ok();
    assert_eq!(one.contents(), two.contents());
    assert_eq!(one.contents()[&(key.public_key(), *log_id)].len(), 1);
}

#[test]
fn a_log_that_a_peer_pruned_by_itself_cannot_follow_and_does_not_stop_the_others() {
    let world = World::pair(600, 50);
    let (one, two) = (world.empty(), world.full());
    let (key, log_id, _) = &world.logs[0];
    block_on(two.store.prune(key.public_key(), *log_id, SeqNum::new(3))).unwrap();
    let outcome = session(Default::default(), one.protocol(1), two.protocol(2));
    outcome.assert_ok();
    assert_eq!(outcome.apps.0.hashes().len(), 600, "the other log is here");
    assert_eq!(one.contents()[&(key.public_key(), *log_id)].len(), 0);
}
