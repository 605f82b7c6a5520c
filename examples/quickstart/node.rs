//! A node of the demonstration: an identity, a database, an endpoint.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use syncline_crypto::SigningKey;
use syncline_log::LogSync;
use syncline_log::store::DatabaseStore;
use syncline_net::quic::{QuicConfig, QuicEndpoint};
use syncline_net::{Node, TokioBlocking};
use syncline_storage::redb::RedbDb;

use crate::model::{Topic, Topics};

pub type Store = Arc<DatabaseStore<String>>;
pub type Protocol = LogSync<Topic, String, Store>;

/// What publisher and subscriber have in common.
pub struct Parts {
    pub key: Arc<SigningKey>,
    pub store: Store,
    pub endpoint: Arc<QuicEndpoint>,
    pub protocol: Arc<Protocol>,
}

impl Parts {
    /// A new identity with an empty database `NAME.redb` in `home`.
    pub fn new(home: &Path, name: &str, address: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let key = Arc::new(SigningKey::from_bytes(&secret));
        let db = Arc::new(RedbDb::create(home.join(format!("{name}.redb")))?);
        // An fsync must not stall the runtime.
        let store = Arc::new(DatabaseStore::with_blocking(db, Arc::new(TokioBlocking::current())));
        let endpoint = QuicEndpoint::bind(&key, address, QuicConfig::default())?;
        let protocol = Arc::new(LogSync::new(Arc::new(Topics(Arc::clone(&store))), Arc::clone(&store)));
        Ok(Self { key, store, endpoint, protocol })
    }

    pub fn builder(&self) -> syncline_net::NodeBuilder {
        Node::builder().endpoint(Arc::clone(&self.endpoint))
    }
}
