//! What the scenario needs to know of a log sync protocol.

use std::sync::Arc;

use futures::future::LocalBoxFuture;
use syncline_core::SyncError;
use syncline_crypto::{PublicKey, Signer, Verifier};
use syncline_log::{Draft, Operation, PublishError};
use syncline_testkit::cluster::Context;
use syncline_testkit::generate::LogExtensions;
use syncline_testkit::net::End;

use crate::app::App;
use crate::forge::Forging;
use crate::world::Topics;

/// A protocol under test.
pub(crate) trait Protocol: 'static {
    /// What a node runs of it.
    type Replica: Replica;

    /// Whether a node that holds one branch of a forked log learns of the other when it meets a node that holds that.
    const FORKS_ARE_NOTICED: bool;

    /// Whether sessions stay open after they have caught up.
    const IS_LIVE: bool;

    /// Starts on what is in the node's database. An error is the database's.
    fn open(setup: Setup) -> Result<Self::Replica, String>;
}

/// What a node has to work with.
pub(crate) struct Setup {
    pub(crate) context: Context,
    pub(crate) topics: Arc<Topics>,
    pub(crate) verifier: Arc<dyn Verifier>,
    /// The authors who write here.
    pub(crate) signers: Vec<Arc<dyn Signer>>,
    /// How a node that sends forged operations makes them. To be used for what goes out, not for what comes in.
    pub(crate) forging: Forging,
}

/// Which side of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Initiator,
    Acceptor,
}

/// One life of a node.
pub(crate) trait Replica: 'static {
    /// Appends to a log of an author who writes here. Durable when it returns `Ok`.
    fn publish(
        &self,
        author: PublicKey,
        log_id: u64,
        drafts: Vec<Draft<LogExtensions>>,
    ) -> LocalBoxFuture<'static, Result<Vec<Operation<LogExtensions>>, PublishError>>;

    /// Runs one side of a session about `Topic(1)`. Whatever comes in goes through [`Paced`](crate::app::Paced), and
    /// [`App::stored`] is told what was stored, [`App::refused`] what was not.
    fn session(&self, role: Role, end: End, app: App) -> LocalBoxFuture<'static, Result<(), SyncError>>;
}
