//! Members find each other over UDP: SWIM (Das, Gupta, Motivala: "SWIM: Scalable Weakly-consistent Infection-style Process
//! Group Membership Protocol", DSN 2002), as the crate `foca` does it.
//!
//! [`Swim`] puts those that it finds into an [`AddressBook`], from where they are dialled, and takes them
//! out when they are gone.
//!
//! # Hostile packets
//!
//! A packet is signed by its sender's key for one namespace and one receiver, says when it was made, and counts once: one that
//! is forged, meant for somebody else, too old or repeated changes nothing. Only who may read the namespace is heard, and
//! only such members are taken from what others tell. Where a member is reached, it has signed itself, so that nobody can have
//! others send to a third. What a member that may read can still do is say that others are gone: they hear it, and contradict.
//!
//! `docs/spec/kv-swim.md` says what travels, byte by byte.

mod codec;
mod driver;
mod envelope;
mod identity;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use syncline_crypto::SigningKey;
use syncline_kv::NamespaceId;
use syncline_net::PeerId;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::AddressBook;
use crate::links::Admits;
use driver::Driver;
use identity::SelfSigner;

/// A member to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a key and an address are what it takes")]
pub struct SwimSeed {
    /// Its key.
    pub peer: PeerId,
    /// Where it listens for membership, by UDP.
    pub addr: SocketAddr,
}

/// Settings and limits of [`Swim`].
///
/// | setting | default | |
/// |---|---|---|
/// | time between probes | 1 s | |
/// | time for an answer | 500 ms | then others are asked to probe |
/// | time after which a suspect counts as gone | 5 s | |
/// | time between announcements to seeds while alone | 2 s | |
/// | bytes of a packet | 1 400 | 1 200 at the least |
/// | age of a packet | 60 s | older, or from as far in the future: ignored |
/// | packets remembered per sender | 4 096 | then the older ones are refused by their age |
/// | members | 1 024 | further ones are ignored |
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SwimConfig {
    /// Where to listen, by UDP.
    pub listen: SocketAddr,
    /// Where others reach that; where it listens if there is none.
    pub advertise: Option<SocketAddr>,
    /// Where others reach this node by QUIC; where it listens if there is none.
    pub advertise_quic: Option<SocketAddr>,
    /// Members to begin with.
    pub seeds: Vec<SwimSeed>,
    /// Time between probes.
    pub probe: Duration,
    /// Time for an answer; less than half of the time between probes is best.
    pub answer: Duration,
    /// Time after which a suspect counts as gone.
    pub suspect: Duration,
    /// Time between announcements to seeds while alone.
    pub announce: Duration,
    /// Bytes of a packet: 1 200 to 1 400.
    pub packet_len: usize,
    /// The age at which a packet does not count any more. The clocks of members may differ by so much.
    pub packet_age: Duration,
    /// Packets remembered per sender.
    pub packets_seen: usize,
    /// Members.
    pub members: usize,
}

impl SwimConfig {
    /// The defaults, at this address.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            advertise: None,
            advertise_quic: None,
            seeds: Vec::new(),
            probe: Duration::from_secs(1),
            answer: Duration::from_millis(500),
            suspect: Duration::from_secs(5),
            announce: Duration::from_secs(2),
            packet_len: 1_400,
            packet_age: Duration::from_secs(60),
            packets_seen: 4_096,
            members: 1_024,
        }
    }

    /// Adds a member to begin with.
    #[must_use]
    pub fn seed(mut self, peer: PeerId, addr: SocketAddr) -> Self {
        self.seeds.push(SwimSeed { peer, addr });
        self
    }
}

/// What membership has done and met. The numbers only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SwimStats {
    /// Packets sent.
    pub sent: u64,
    /// Packets that counted.
    pub received: u64,
    /// Packets that are none, or whose signature does not count for this receiver.
    pub forged: u64,
    /// Packets that came again, or too late, or from too far in the future.
    pub replayed: u64,
    /// Packets of those who may not read.
    pub strangers: u64,
    /// Members that others told of and that may not read, or had not signed where they are.
    pub members_refused: u64,
}

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    forged: AtomicU64,
    replayed: AtomicU64,
    strangers: AtomicU64,
    members_refused: AtomicU64,
}

impl Counters {
    fn read(&self) -> SwimStats {
        SwimStats {
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            forged: self.forged.load(Ordering::Relaxed),
            replayed: self.replayed.load(Ordering::Relaxed),
            strangers: self.strangers.load(Ordering::Relaxed),
            members_refused: self.members_refused.load(Ordering::Relaxed),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A member that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SwimMember {
    /// Where it listens for membership, by UDP.
    pub udp: SocketAddr,
    /// Where it is dialled, by QUIC.
    pub quic: SocketAddr,
}

/// Who is there, found over UDP.
///
/// Dropping it ends it at once: others will find it gone. [`leave`](Self::leave) tells them.
pub struct Swim {
    local: SocketAddr,
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

/// What the driver and the handle share.
struct Shared {
    members: Mutex<BTreeMap<PeerId, SwimMember>>,
    changed: watch::Sender<u64>,
    counters: Counters,
    leave: CancellationToken,
    stop: CancellationToken,
}

impl Shared {
    fn members(&self) -> MutexGuard<'_, BTreeMap<PeerId, SwimMember>> {
        // Only whole members are put in or taken out.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Swim {
    /// Joins the members of a namespace. `quic` is where this node is dialled; `admits` says who may be a member, is asked for
    /// each packet, and must be quick. Members are put into `book`, but for those that are in it by other means.
    ///
    /// # Errors
    ///
    /// As the operating system's.
    pub async fn start(
        key: &SigningKey,
        namespace: NamespaceId,
        quic: SocketAddr,
        config: SwimConfig,
        admits: Admits,
        book: AddressBook,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind(config.listen).await?;
        let local = socket.local_addr()?;
        let udp = config.advertise.unwrap_or(local);
        let quic = config.advertise_quic.unwrap_or(quic);
        let signer = SelfSigner::new(key.clone(), namespace, udp, quic);
        let shared = Arc::new(Shared {
            members: Mutex::default(),
            changed: watch::Sender::new(0),
            counters: Counters::default(),
            leave: CancellationToken::new(),
            stop: CancellationToken::new(),
        });
        let driver = Driver::new(socket, signer, config, admits, book, Arc::clone(&shared))?;
        let tasks = TaskTracker::new();
        tasks.spawn(driver.run());
        tasks.close();
        Ok(Self { local, shared, tasks })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Who is there, without this node.
    #[must_use]
    pub fn members(&self) -> BTreeMap<PeerId, SwimMember> {
        self.shared.members().clone()
    }

    /// Tells when the members change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// What it has done and met.
    #[must_use]
    pub fn stats(&self) -> SwimStats {
        self.shared.counters.read()
    }

    /// Tells others that this node goes, and ends.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it ending.
    pub async fn leave(&self) {
        self.shared.leave.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Swim {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl fmt::Debug for Swim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Swim")
            .field("local", &self.local)
            .field("members", &self.members().len())
            .finish_non_exhaustive()
    }
}
