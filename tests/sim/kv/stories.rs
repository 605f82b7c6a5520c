//! Single promises, shown in clusters.

use std::time::Duration;

use syncline_core::clock::{Clock, Hlc, Timestamp};
use syncline_crypto::Signer;
use syncline_kv::agent::{AgentConfig, Message};
use syncline_kv::item::RevocationDraft;
use syncline_kv::sync::Eagerness;
use syncline_kv::tree::KvError;
use syncline_kv::{GrantId, Item, Revocation, Verdict};
use syncline_testkit::cluster::Faults;

use super::story::{Stage, tell};
use super::world::{Role, Setting};

/// The mean time between digests, and the longest.
const INTERVAL: u64 = 30;
const INTERVAL_MAX: u64 = 45;

fn quiet(nodes: usize) -> Setting {
    Setting { agent: None, ..Setting::calm(nodes) }
}

fn gossiping(nodes: usize, config: AgentConfig) -> Setting {
    Setting { agent: Some(config), ..Setting::calm(nodes) }
}

fn lossy(per_mille: u64) -> Faults {
    Faults { datagram_loss_per_mille: per_mille, ..Faults::none() }
}

#[test]
fn s3_a_put_is_everywhere_within_two_intervals_without_any_session() {
    let setting = gossiping(10, AgentConfig::default().with_sessions_max(0));
    tell(&setting, &Faults::none(), |stage| async move {
        let entry = stage.put_by_root(3, "/a/x", "new");
        stage.until(2 * INTERVAL, "all have it", || stage.all_have(&entry)).await;
        assert!(stage.peers().iter().all(|peer| peer.sessions.get().0 == 0));
    });
}

#[test]
fn s3_what_is_lost_on_the_way_comes_by_sessions() {
    tell(&gossiping(10, AgentConfig::default()), &lossy(300), |stage| async move {
        for node in 0..10 {
            stage.put_by_root(node, &format!("/a/{node}"), "new");
        }
        stage.until(10 * INTERVAL_MAX, "all are equal", || stage.agree()).await;
        assert_eq!(stage.peer(9).latest().expect("memory").len(), 10);
    });
}

#[test]
fn s4_a_grant_and_what_is_written_under_it_may_come_in_either_order() {
    tell(&quiet(4), &Faults::none(), |stage| async move {
        let refused = stage.put(1, 1, "/a/x", "early").expect_err("there is no grant");
        assert!(refused.starts_with("not allowed"), "{refused}");
        let grant = stage.grant(0, stage.draft(1, "/a/**"));
        stage.session(0, 1).await;
        let entry = stage.put(1, 1, "/a/x", "now").expect("granted");
        let grant = Item::Grant((**stage.peer(0).tree.authority().grant(&grant).expect("here")).clone());
        for (node, items) in
            [(2, [Item::Entry(entry.clone()), grant.clone()]), (3, [grant, Item::Entry(entry.clone())])]
        {
            let peer = stage.peer(node);
            for item in items {
                peer.tree.apply(peer.wall.now(), vec![item]).expect("memory");
            }
            assert_eq!(stage.get(node, "/a/x").as_ref(), Some(&entry), "n{node}");
        }
        stage.session(1, 0).await;
        assert!(stage.all_have(&entry));
    });
}

fn revocation(stage: &Stage, grant: GrantId) -> Revocation {
    let revoker = stage.world.roots[0].clone();
    let (namespace, stamp) = (stage.world.namespace.id(), stage.stamp());
    let draft = RevocationDraft { namespace, grant, revoker: revoker.public_key(), stamp };
    let revocation = draft.sign(&*revoker).expect("signs");
    stage.world.learn(revocation.clone());
    revocation
}

#[test]
fn s9_who_may_revoke_and_that_it_is_final() {
    tell(&gossiping(5, AgentConfig::default()), &Faults::none(), |stage| async move {
        let grant = stage.grant(0, stage.draft(1, "/a/**"));
        stage.until(2 * INTERVAL, "all are equal", || stage.agree()).await;
        let mut draft = stage.draft(2, "/a/b/*");
        (draft.parent, draft.issuer, draft.depth) = (Some(grant), stage.world.people[1].public_key(), 1);
        let passed_on = stage.grant(1, draft);
        stage.until(2 * INTERVAL, "all are equal", || stage.agree()).await;
        stage.put(2, 2, "/a/b/x", "on").expect("granted");
        let try_to_revoke = |who: usize| {
            let peer = stage.peer(who);
            peer.tree.revoke(peer.wall.now(), &stage.world.people[who], passed_on).map(|_| ())
        };
        // The audience itself, and a stranger.
        assert!(matches!(try_to_revoke(2), Err(KvError::NotRevoker { .. })));
        assert!(matches!(try_to_revoke(3), Err(KvError::NotRevoker { .. })));
        // The issuer; and again, which changes nothing.
        try_to_revoke(1).expect("its issuer may");
        try_to_revoke(1).expect("again");
        stage.until(4 * INTERVAL_MAX, "all are equal", || stage.agree()).await;
        assert!((0..5).all(|node| stage.get(node, "/a/b/x").is_none()));
        // A new grant is another one.
        let again = stage.draft(2, "/a/b/*");
        stage.grant(0, again);
        stage.until(4 * INTERVAL_MAX, "all are equal", || stage.agree()).await;
        let entry = stage.put(2, 2, "/a/b/x", "back").expect("granted again");
        stage.until(4 * INTERVAL_MAX, "all have it", || stage.all_have(&entry)).await;
    });
}

#[test]
fn s10_nothing_under_a_revoked_grant_is_taken_whatever_its_stamp_and_order() {
    tell(&quiet(3), &Faults::none(), |stage| async move {
        let grant = stage.grant(0, stage.draft(1, "/a/**"));
        let mut draft = stage.draft(2, "/a/**");
        (draft.parent, draft.issuer, draft.depth) = (Some(grant), stage.world.people[1].public_key(), 0);
        let below = stage.grant(0, draft);
        let grants: Vec<Item> = [grant, below]
            .map(|id| Item::Grant((**stage.peer(0).tree.authority().grant(&id).expect("here")).clone()))
            .into();
        let revoked = Item::Revocation(revocation(&stage, grant));
        let now = stage.context.clock().now().as_millis();
        let entries: Vec<Item> = [1, now - 600_000, now, now + 10_000]
            .iter()
            .flat_map(|millis| {
                let stamp = Hlc::new(Timestamp::from_millis(*millis), 0);
                [stage.entry(1, "/a/x", stamp, &[grant]), stage.entry(2, "/a/y", stamp, &[below])]
            })
            .collect();
        // The revocation first; between; last.
        let orders = [
            [vec![revoked.clone()], grants.clone(), entries.clone()],
            [grants.clone(), vec![revoked.clone()], entries.clone()],
            [grants, entries.clone(), vec![revoked]],
        ];
        for (node, order) in orders.into_iter().enumerate() {
            let peer = stage.peer(node);
            for items in order {
                peer.tree.apply(peer.wall.now(), items).expect("memory");
            }
            assert_eq!(peer.latest().expect("memory"), vec![], "n{node}");
            let verdicts = peer.tree.apply(peer.wall.now(), entries.clone()).expect("memory");
            assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Revoked { .. })), "{verdicts:?}");
        }
        stage.session(0, 1).await;
        stage.session(1, 2).await;
        assert!(stage.agree());
    });
}

#[test]
fn s11_in_compatible_mode_a_revocation_comes_with_a_rejection_and_not_otherwise() {
    let setting = Setting { eagerness: Eagerness::OnRejection, ..quiet(3) };
    tell(&setting, &Faults::none(), |stage| async move {
        let (revoking, writing, unaware) = (0, 1, 2);
        let grant = stage.grant(revoking, stage.draft(writing, "/a/**"));
        stage.session(revoking, writing).await;
        stage.session(revoking, unaware).await;
        let peer = stage.peer(revoking);
        let revoked = peer.tree.revoke(peer.wall.now(), &stage.world.roots[0], grant).expect("a root may");
        stage.world.learn(revoked.revocation);
        stage.session(revoking, unaware).await;
        stage.session(revoking, writing).await;
        let knows = |node: usize| stage.peer(node).tree.authority().revocations().count() == 1;
        assert!(!knows(writing) && !knows(unaware), "nobody has offered anything");
        stage.put(writing, writing, "/a/x", "late").expect("it does not know better");
        stage.session(writing, revoking).await;
        assert!(knows(writing) && !knows(unaware));
        assert_eq!(stage.get(writing, "/a/x"), None);
        assert_eq!(stage.get(revoking, "/a/x"), None);
    });
}

#[test]
fn s12_fifty_nodes_learn_of_a_revocation_though_a_fifth_of_all_messages_is_lost() {
    tell(&gossiping(50, AgentConfig::default()), &lossy(200), |stage| async move {
        let grant = stage.grant(0, stage.draft(1, "/a/**"));
        let all_know = |grants: usize, revocations: usize| {
            stage.peers().iter().all(|peer| {
                let authority = peer.tree.authority();
                (authority.grants().count(), authority.revocations().count()) == (grants, revocations)
            })
        };
        stage.until(4 * INTERVAL_MAX, "all know the grant", || all_know(1, 0)).await;
        let peer = stage.peer(0);
        let revoked = peer.tree.revoke(peer.wall.now(), &stage.world.roots[0], grant).expect("a root may");
        stage.world.learn(revoked.revocation);
        stage.until(4 * INTERVAL_MAX, "all know the revocation", || all_know(1, 1)).await;
    });
}

#[test]
fn s13_the_first_message_is_a_digest_of_what_there_is_and_others_follow() {
    tell(&gossiping(3, AgentConfig::default()), &Faults::none(), |stage| async move {
        let namespace = stage.world.namespace.id().into();
        let digests = |node: usize| -> Vec<Message> {
            let peer = stage.peer(node);
            let sent = peer.sent.borrow();
            assert!(sent.iter().all(|(_, _, bytes)| bytes.len() <= 256));
            let broadcast = sent.iter().filter(|(_, to, _)| to.is_none());
            broadcast.map(|(_, _, bytes)| Message::decode(&namespace, bytes).expect("well-formed")).collect()
        };
        for node in 0..3 {
            let root = stage.peer(node).root.get();
            let first = digests(node).into_iter().next();
            assert!(matches!(first, Some(Message::Digest { root: told, .. }) if told == root), "{first:?}");
        }
        stage.sleep(3 * INTERVAL_MAX).await;
        assert!((0..3).all(|node| (3..=6).contains(&digests(node).len())));
    });
}

#[test]
fn s14_those_that_differ_answer_with_their_own_root_and_the_others_keep_silent() {
    let setting = gossiping(5, AgentConfig::default().with_sessions_max(0).with_eager(false));
    tell(&setting, &Faults::none(), |stage| async move {
        let entry = Item::Entry(stage.put_by_root(0, "/a/x", "the same"));
        for node in [1, 2] {
            let peer = stage.peer(node);
            peer.tree.apply(peer.wall.now(), vec![entry.clone()]).expect("memory");
        }
        // The same value under another key, and with another stamp.
        stage.put_by_root(3, "/a/y", "the same");
        stage.sleep(5).await;
        stage.put_by_root(4, "/a/x", "the same");
        stage.sleep(10).await;
        let (began, namespace) = (stage.context.clock().now(), stage.world.namespace.id().into());
        stage.sleep(INTERVAL_MAX + 5).await;
        let replies_to_first = |node: usize| -> Vec<Message> {
            let peer = stage.peer(node);
            let sent = peer.sent.borrow();
            let own = sent.iter().filter(|(at, to, _)| *at >= began && *to == Some(stage.id(0)));
            let messages = own.map(|(_, _, bytes)| Message::decode(&namespace, bytes).expect("well-formed"));
            messages.filter(|message| matches!(message, Message::Reply { .. })).collect()
        };
        for node in [1, 2] {
            assert_eq!(replies_to_first(node), vec![], "n{node}");
        }
        for node in [3, 4] {
            let (root, replies) = (stage.peer(node).root.get(), replies_to_first(node));
            assert!(!replies.is_empty());
            assert!(replies.iter().all(|reply| matches!(reply, Message::Reply { root: told, .. } if *told == root)));
        }
    });
}

#[test]
fn s15_a_session_with_a_peer_that_says_nothing_ends_by_its_deadline() {
    let mut setting = Setting { is_silent: true, ..quiet(2) };
    setting.roles[1] = Role::Foul;
    tell(&setting, &Faults::none(), |stage| async move {
        stage.peer(0).context.journal().dial(stage.id(1));
        stage.sleep(11).await;
        assert_eq!(stage.peer(0).sessions.get(), (1, 0));
    });
}

#[test]
fn s16_s17_what_is_revoked_is_unset_everywhere_and_does_not_come_back() {
    tell(&gossiping(5, AgentConfig::default()), &Faults::none(), |stage| async move {
        let (one, other) = (stage.grant(0, stage.draft(1, "/a/**")), stage.grant(0, stage.draft(1, "/**/x")));
        let old = stage.grant(0, stage.draft(2, "/a/**"));
        stage.until(4 * INTERVAL_MAX, "all are equal", || stage.agree()).await;
        stage.put(2, 2, "/a/x", "older, by another's grant").expect("granted");
        stage.until(4 * INTERVAL_MAX, "all are equal", || stage.agree()).await;
        let entry = stage.put(1, 1, "/a/x", "newer, by two grants").expect("granted");
        assert_eq!(entry.leaves().as_slice().len(), 2);
        stage.until(4 * INTERVAL_MAX, "all have it", || stage.all_have(&entry)).await;
        let revoke = |node: usize, grant: GrantId| {
            let peer = stage.peer(node);
            let revoked = peer.tree.revoke(peer.wall.now(), &stage.world.roots[0], grant).expect("a root may");
            stage.world.learn(revoked.revocation.clone());
            revoked.visited
        };
        let _ = revoke(3, one);
        stage.until(4 * INTERVAL_MAX, "all are equal", || stage.agree()).await;
        assert!(stage.all_have(&entry), "the other grant allows it");
        // Only what is affected is looked at.
        assert_eq!(revoke(4, other), 1);
        stage.until(4 * INTERVAL_MAX, "all are equal", || stage.agree()).await;
        stage.sleep(4 * INTERVAL_MAX).await;
        assert!(stage.agree());
        for (node, peer) in stage.peers().iter().enumerate() {
            assert_eq!(stage.get(node, "/a/x"), None, "n{node}");
            peer.tree.check().expect("indexes follow");
            assert!(peer.tree.authority().is_live_grant(old));
            let dry = peer.tree.dry_run(one, 10).expect("known");
            assert!(dry.grants.is_empty() && dry.keys.is_empty() && dry.visited == 0, "n{node}: {dry:?}");
        }
    });
}

#[test]
fn s16_an_interval_is_what_the_agents_have() {
    assert_eq!(AgentConfig::default().interval(), Duration::from_secs(INTERVAL));
    assert_eq!(AgentConfig::default().jitter_percent(), 50);
}
