//! Who may sync what.

use std::sync::Arc;

use async_trait::async_trait;
use syncline_core::SyncError;
use syncline_crypto::PublicKey;
use syncline_log::sync::Access;
use syncline_testkit::generate::LogShape;
use syncline_testkit::net::Conditions;
use syncline_testkit::seed::Rng;

use crate::world::{SlowApp, Topic, World, clock, session};

/// Lets one peer in.
#[derive(Debug)]
struct Only(PublicKey);

#[async_trait]
impl Access<Topic> for Only {
    async fn is_allowed(&self, remote: Option<&PublicKey>, _topic: &Topic) -> bool {
        remote == Some(&self.0)
    }
}

#[test]
fn a_peer_that_is_refused_cannot_tell_that_from_an_unknown_topic() {
    let world = World::new(&mut Rng::new(1), 2, 1, &LogShape::default());
    let (friend, stranger) = (world.logs[0].0.public_key(), world.logs[1].0.public_key());
    let clock = clock();
    let run = |remote: Option<PublicKey>, topic| {
        let acceptor = world.protocol(&world.node(<[_]>::len)).with_access(Arc::new(Only(friend)));
        let acceptor = match remote {
            Some(remote) => acceptor.with_remote(remote),
            None => acceptor,
        };
        // The initiator knows every topic, so that it can ask.
        let initiator = syncline_log::LogSync::new(Arc::new(AnyTopic), world.node(|_| 0));
        let apps = (SlowApp::new(&clock, Default::default()), SlowApp::new(&clock, Default::default()));
        session(&clock, Default::default(), Topic(topic), (initiator, acceptor), apps)
    };
    let allowed = run(Some(friend), 1);
    assert_eq!((&allowed.initiator, &allowed.acceptor), (&Ok(()), &Ok(())));

    let unknown = run(Some(friend), 2);
    assert!(matches!(unknown.acceptor, Err(SyncError::UnexpectedBehaviour(_))));
    for refused in [run(Some(stranger), 1), run(None, 1)] {
        assert_eq!(refused.acceptor, unknown.acceptor);
        assert_eq!(refused.initiator, unknown.initiator);
        assert_eq!(refused.sent.1, 0, "nothing is revealed");
        assert!(refused.apps.0.items.is_empty() && refused.apps.1.items.is_empty(), "no handshake on either side");
    }
}

#[derive(Debug)]
struct AnyTopic;

#[async_trait]
impl syncline_core::TopicMap<Topic, syncline_log::Logs<u64>> for AnyTopic {
    async fn get(&self, _topic: &Topic) -> Option<syncline_log::Logs<u64>> {
        Some(syncline_log::Logs::new())
    }
}

#[test]
fn an_initiator_asks_no_peer_for_what_it_must_not_have() {
    let world = World::new(&mut Rng::new(1), 1, 1, &LogShape::default());
    let clock = clock();
    let friend = world.logs[0].0.public_key();
    let initiator = world.protocol(&world.node(|_| 0)).with_access(Arc::new(Only(friend)));
    let acceptor = world.protocol(&world.node(<[_]>::len));
    let apps = (SlowApp::new(&clock, Default::default()), SlowApp::new(&clock, Default::default()));
    let conditions = (Conditions::new(), Conditions::new());
    let outcome = session(&clock, conditions, Topic(1), (initiator, acceptor), apps);
    assert!(matches!(outcome.initiator, Err(SyncError::Critical(_))));
    assert_eq!(outcome.sent.0, 0);
}
