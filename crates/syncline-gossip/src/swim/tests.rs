//! Members on real sockets.

use std::collections::BTreeSet;
use std::sync::RwLock;

use syncline_core::clock::{Clock, SystemClock, Timestamp};
use syncline_crypto::Hash;

use super::envelope::{Packet, Seen, seal};
use super::*;

/// How long a condition may take that will be met. Only a fault takes so long.
const DEADLINE: Duration = Duration::from_secs(60);

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn peer(number: u8) -> PeerId {
    key(number).public_key()
}

fn namespace() -> NamespaceId {
    Hash::digest(b"namespace").into()
}

fn localhost() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Those who may read, for all nodes of a test.
#[derive(Clone, Default)]
struct Readers(Arc<RwLock<BTreeSet<PeerId>>>);

impl Readers {
    fn of(numbers: impl IntoIterator<Item = u8>) -> Self {
        Self(Arc::new(RwLock::new(numbers.into_iter().map(peer).collect())))
    }

    fn admits(&self) -> Admits {
        let readers = Arc::clone(&self.0);
        Arc::new(move |peer| readers.read().unwrap().contains(peer))
    }
}

fn quick() -> SwimConfig {
    let mut config = SwimConfig::new(localhost());
    config.probe = Duration::from_millis(100);
    config.answer = Duration::from_millis(50);
    config.suspect = Duration::from_millis(500);
    config.announce = Duration::from_millis(100);
    config
}

async fn join(number: u8, config: SwimConfig, admits: Admits) -> (Swim, AddressBook) {
    let book = AddressBook::new();
    let quic = format!("127.0.0.1:{}", 10_000 + u16::from(number)).parse().unwrap();
    (Swim::start(&key(number), namespace(), quic, config, admits, book.clone()).await.unwrap(), book)
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, waiting).await.is_ok(), "this never became so: {what}");
}

fn knows(swim: &Swim, numbers: impl IntoIterator<Item = u8>) -> bool {
    swim.members().into_keys().eq(numbers.into_iter().map(peer).collect::<BTreeSet<_>>())
}

#[tokio::test]
async fn five_find_each_other_by_one_and_notice_who_goes() {
    let readers = Readers::of(1..=5);
    let (first, first_book) = join(1, quick(), readers.admits()).await;
    let seeded = || quick().seed(peer(1), first.local_addr());
    let mut others = Vec::new();
    for number in 2..=5 {
        others.push(join(number, seeded(), readers.admits()).await);
    }
    until("the first knows four", || knows(&first, 2..=5)).await;
    for (number, (swim, _)) in (2..=5).zip(&others) {
        until("all know four", || knows(swim, (1..=5).filter(|other| *other != number))).await;
    }
    assert_eq!(first_book.get(&peer(5)).unwrap().port(), 10_005);

    // One is gone without a word.
    drop(others.pop());
    until("the first misses it", || knows(&first, 2..=4)).await;
    for (number, (swim, _)) in (2..=4).zip(&others) {
        until("all miss it", || knows(swim, (1..=4).filter(|other| *other != number))).await;
    }
    assert_eq!(first_book.get(&peer(5)), None);

    // It comes back, in another life at another address.
    let (again, _) = join(5, seeded(), readers.admits()).await;
    until("it is back", || knows(&first, 2..=5) && knows(&again, 1..=4)).await;
    assert_eq!(first.members()[&peer(5)].udp, again.local_addr());

    // Another one says that it goes.
    let (leaving, _) = others.pop().unwrap();
    leaving.leave().await;
    until("who left is not there", || knows(&first, [2, 3, 5])).await;
}

#[tokio::test]
async fn who_may_not_read_is_no_member_and_who_may_no_longer_is_none_either() {
    let readers = Readers::of(1..=3);
    let (first, book) = join(1, quick(), readers.admits()).await;
    let seeded = || quick().seed(peer(1), first.local_addr());
    let everybody: Admits = Arc::new(|_| true);
    // The second lets the stranger in, and tells the others of it.
    let (second, _) = join(2, seeded(), Arc::clone(&everybody)).await;
    let (stranger, _) = join(9, seeded().seed(peer(2), second.local_addr()), everybody).await;
    let (third, _) = join(3, seeded(), readers.admits()).await;
    until("the second knows it", || knows(&second, [1, 3, 9])).await;
    until("they were told of it", || first.stats().members_refused > 0 && third.stats().members_refused > 0).await;
    until("it has asked", || first.stats().strangers > 0).await;
    assert!(knows(&first, [2, 3]) && knows(&third, [1, 2]));
    assert_eq!(book.get(&peer(9)), None);
    drop(stranger);

    readers.0.write().unwrap().remove(&peer(3));
    until("the third is none any more", || knows(&first, [2])).await;
    assert_eq!(book.get(&peer(3)), None);
}

#[tokio::test]
async fn forged_and_repeated_packets_change_nothing() {
    let readers = Readers::of(1..=3);
    let (first, _) = join(1, quick(), readers.admits()).await;
    let socket = UdpSocket::bind(localhost()).await.unwrap();
    let here = socket.local_addr().unwrap();
    let signer = SelfSigner::new(key(2), namespace(), here, here);
    let now = || SystemClock.now();
    let announce = |signer: &SelfSigner| {
        use foca::{Codec, Header, Message};
        let header = Header {
            src: signer_id(signer),
            src_incarnation: 0,
            dst: identity::SwimId::unsigned(peer(1), first.local_addr()),
            message: Message::Announce,
        };
        let mut inside = Vec::new();
        codec::SwimCodec.encode_header(&header, &mut inside).unwrap();
        inside
    };
    let inside = announce(&signer);
    let elsewhere: NamespaceId = Hash::digest(b"another").into();
    let age = Duration::from_secs(61);
    let past = Timestamp::from_millis(now().as_millis() - 61_000);
    // Not signed by whom it names; for another receiver; for another namespace; too old; from the future.
    let mut stolen = seal(&key(3), &namespace(), &peer(1), now(), 1, &inside);
    stolen[1..33].copy_from_slice(peer(2).as_bytes());
    let mut flipped = seal(&key(2), &namespace(), &peer(1), now(), 1, &inside);
    flipped[60] ^= 1;
    // Signed by a member, but in the name of another; and with an address that nobody has signed.
    let posing = seal(&key(3), &namespace(), &peer(1), now(), 1, &inside);
    let unsigned = announce(&SelfSigner::new(key(3), elsewhere, here, here));
    let bad = [
        stolen,
        flipped,
        seal(&key(2), &namespace(), &peer(3), now(), 2, &inside),
        seal(&key(2), &elsewhere, &peer(1), now(), 3, &inside),
        posing,
        seal(&key(3), &namespace(), &peer(1), now(), 2, &unsigned),
        vec![],
        vec![0xff; 1_400],
        vec![1; 9_000],
    ];
    for packet in &bad {
        socket.send_to(packet, first.local_addr()).await.unwrap();
    }
    until("they were refused", || first.stats().forged >= bad.len() as u64).await;
    for time in [past, now() + age + age] {
        let late = seal(&key(2), &namespace(), &peer(1), time, 4, &inside);
        socket.send_to(&late, first.local_addr()).await.unwrap();
    }
    until("they were late", || first.stats().replayed == 2).await;
    assert!(knows(&first, []) && first.stats().received == 0 && first.stats().sent == 0, "{:?}", first.stats());

    // What is genuine counts, and counts once.
    let genuine = seal(&key(2), &namespace(), &peer(1), now(), 5, &inside);
    socket.send_to(&genuine, first.local_addr()).await.unwrap();
    until("it counts", || knows(&first, [2])).await;
    socket.send_to(&genuine, first.local_addr()).await.unwrap();
    until("it counts once", || first.stats().replayed == 3).await;
    assert_eq!(first.stats().received, 1);
}

fn signer_id(signer: &SelfSigner) -> identity::SwimId {
    signer.renewed(1, None)
}

#[test]
fn what_is_remembered_of_senders_is_bounded_and_nothing_counts_twice() {
    let (now, age) = (Timestamp::from_millis(1_000_000), Duration::from_secs(60));
    let mut seen = Seen::new(2, 3, age);
    let sealed = |sender: u8, time: u64, number: u64| {
        seal(&key(sender), &namespace(), &peer(1), Timestamp::from_millis(time), number, b"")
    };
    let mut counts = |now: Timestamp, sender: u8, time: u64, number: u64| {
        let bytes = sealed(sender, time, number);
        seen.note(now, &Packet::parse(&bytes).unwrap())
    };
    for number in 0..3 {
        assert!(counts(now, 2, 1_000_000 + number, number));
    }
    assert!(!counts(now, 2, 1_000_001, 1), "again");
    assert!(counts(now, 2, 1_000_003, 3), "the oldest is forgotten");
    assert!(!counts(now, 2, 1_000_000, 0), "and does not count for its age");
    assert!(counts(now, 3, 1_000_000, 0), "another sender's");
    assert!(!counts(now, 4, 1_000_000, 0), "too many senders");
    let later = now + age + age;
    assert!(counts(later, 4, later.as_millis(), 0), "of the others nothing can come again");
    assert!(!counts(later, 4, later.as_millis() + 60_001, 0) && !counts(later, 4, later.as_millis() - 60_001, 0));
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
        let _ = Packet::parse(&bytes);
        let _ = codec::sift(&bytes, |_| true);
    }
}
