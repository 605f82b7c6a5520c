//! Large bodies stay behind, and are fetched later, also from somebody else.

use syncline_core::SyncError;
use syncline_log::sync::v2::Limits;
use syncline_testkit::net::{Conditions, Cut};

use crate::world::{Node, World, session};

fn without_large_bodies(world: &World) -> Node {
    let (one, two) = (world.empty(), world.full());
    let small = Limits::default().with_body_len_max(100);
    session(Default::default(), one.protocol(1).with_limits(small), two.protocol(2)).assert_ok();
    one
}

fn missing(node: &Node) -> Vec<syncline_crypto::Hash> {
    node.contents().into_values().flatten().filter(|(_, has_body)| !has_body).map(|(hash, _)| hash).collect()
}

#[test]
fn bodies_above_the_limit_stay_behind_and_can_be_had_from_another_peer() {
    let world = World::pair(60, 300);
    let one = without_large_bodies(&world);
    let had_none = missing(&world.full()).len();
    let wanted: Vec<_> = missing(&one);
    assert!(wanted.len() > had_none + 20 && wanted.len() < 120, "{} bodies stayed behind", wanted.len());

    let third = world.full();
    let outcome = session(Default::default(), one.protocol(5).fetch_payloads(wanted.clone()), third.protocol(6));
    outcome.assert_ok();
    assert_eq!(one.contents(), third.contents());
    let came = outcome.apps.0.operations();
    assert_eq!(came.len(), wanted.len() - had_none, "with their headers");
    assert!(came.iter().all(|operation| operation.body().is_some() && operation.check_body().is_ok()));
}

#[test]
fn a_peer_answers_only_for_what_it_has_and_what_the_topic_covers() {
    let world = World::pair(60, 300);
    let one = without_large_bodies(&world);
    let other = without_large_bodies(&world);
    let wanted = missing(&one);
    let outcome = session(Default::default(), one.protocol(5).fetch_payloads(wanted.clone()), other.protocol(6));
    outcome.assert_ok();
    let missing_there = one.verdicts().iter().filter(|verdict| verdict.contains("Missing")).count();
    assert_eq!((missing_there, outcome.apps.0.hashes().len()), (wanted.len(), 0));

    let (key, _, operations) = &world.logs[0];
    let hidden = operations.iter().find(|operation| operation.body.is_some()).unwrap().hash;
    let mut narrow = world.full();
    narrow.topics.0.remove(&key.public_key());
    let outcome = session(Default::default(), one.protocol(7).fetch_payloads([hidden]), narrow.protocol(8));
    outcome.assert_ok();
    assert!(one.verdicts().last().unwrap().contains("Missing"), "its log is not in the peer's topic");
}

#[test]
fn a_fetch_that_is_cut_is_not_taken_for_the_end_and_keeps_what_came() {
    let world = World::pair(60, 300);
    let third = world.full();
    for at in (0..4_000).step_by(97) {
        let one = without_large_bodies(&world);
        let wanted = missing(&one);
        let cut = Conditions::new().with_cut(at, Cut::Close);
        let conditions = (Conditions::new(), cut);
        let outcome = session(conditions, one.protocol(5).fetch_payloads(wanted.clone()), third.protocol(6));
        assert!(matches!(outcome.initiator, Err(SyncError::UnexpectedBehaviour(_))), "cut at {at}");
        let rest = missing(&one);
        assert_eq!(rest.len(), wanted.len() - outcome.apps.0.hashes().len());
        session(Default::default(), one.protocol(7).fetch_payloads(rest), third.protocol(8)).assert_ok();
        assert_eq!(one.contents(), third.contents());
    }
}

#[test]
fn who_asks_for_too_much_gets_the_rest_another_time() {
    let world = World::pair(30, 300);
    let (one, two) = (without_large_bodies(&world), world.full());
    let modest = Limits::default().with_payloads_wanted_max(10);
    for _ in 0..6 {
        let asked = one.protocol(1).fetch_payloads(missing(&one));
        session(Default::default(), asked, two.protocol(2).with_limits(modest.clone())).assert_ok();
    }
    assert_eq!(one.contents(), two.contents());
}
