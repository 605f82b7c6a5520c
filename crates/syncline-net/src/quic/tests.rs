//! The adapter alone: who gets in, and how streams end. Nodes over QUIC are tested with the public API.

use futures::future::join;
use futures::{AsyncReadExt, AsyncWriteExt};
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use super::tls::{ALPN, ThisPeer, TlsIdentity};
use super::*;
use crate::{Access, Identity};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn bind(seed: u8, config: QuicConfig) -> Arc<QuicEndpoint> {
    QuicEndpoint::bind(&key(seed), "127.0.0.1:0".parse().unwrap(), config).unwrap()
}

type Established = Result<Arc<dyn Connection>, ConnectError>;

/// Runs both at the same time. A test whose peer gets in against the rules must fail, not wait.
async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    tokio::time::timeout(Duration::from_secs(60), join(a, b)).await.expect("the two never came to an end")
}

/// Dials and accepts at the same time.
async fn meet(dialler: &QuicEndpoint, addr: &PeerAddr, acceptor: &QuicEndpoint) -> (Established, Established) {
    let accept = async { acceptor.accept().await.unwrap().establish().await };
    both(dialler.connect(addr), accept).await
}

async fn connected() -> (Arc<QuicEndpoint>, Arc<dyn Connection>, Arc<QuicEndpoint>, Arc<dyn Connection>) {
    let (a, b) = (bind(1, QuicConfig::default()), bind(2, QuicConfig::default()));
    let (to_b, from_a) = meet(&a, &b.peer_addr().unwrap(), &b).await;
    (a, to_b.unwrap(), b, from_a.unwrap())
}

#[tokio::test]
async fn each_side_learns_the_others_key() {
    let (_a, to_b, _b, from_a) = connected().await;
    assert_eq!(to_b.remote(), Identity::Key(key(2).public_key()));
    assert_eq!(from_a.remote(), Identity::Key(key(1).public_key()));
}

/// Also when the same endpoint was dialled before by its right key: a resumed session would not be checked.
#[tokio::test]
async fn another_key_than_the_one_dialled_is_refused_every_time() {
    let (a, _to_b, b, _from_a) = connected().await;
    let wrong = PeerAddr::at(key(3).public_key(), b.local_addr()).unwrap();
    for _ in 0..3 {
        let (dialled, accepted) = meet(&a, &wrong, &b).await;
        let Err(ConnectError::WrongPeer { expected, found }) = dialled else { panic!("{dialled:?}") };
        assert_eq!((expected, found), (key(3).public_key(), key(2).public_key()));
        assert!(matches!(accepted, Err(ConnectError::Refused)), "{accepted:?}");
    }
}

#[tokio::test]
async fn an_address_without_a_key_is_refused() {
    let (a, _to_b, b, _from_a) = connected().await;
    let anybody = PeerAddr::anonymous("127.0.0.1", b.local_addr().port()).unwrap();
    assert!(matches!(a.connect(&anybody).await, Err(ConnectError::KeyRequired)));
}

#[tokio::test]
async fn who_is_not_allowed_is_refused_in_the_handshake() {
    let friend = key(1).public_key();
    let b = bind(2, QuicConfig::default().with_allow(move |id| Access::allow_if(*id == friend)));
    let addr = b.peer_addr().unwrap();
    let (dialled, accepted) = meet(&bind(1, QuicConfig::default()), &addr, &b).await;
    assert!(dialled.is_ok() && accepted.is_ok());
    let stranger = bind(3, QuicConfig::default());
    let (dialled, accepted) = meet(&stranger, &addr, &b).await;
    assert!(matches!(accepted, Err(ConnectError::HandshakeFailed { .. })), "{accepted:?}");
    // The dialler's own handshake may be complete before it is judged.
    match dialled {
        Err(ConnectError::Refused) => {}
        Ok(connection) => {
            connection.closed().await;
            assert!(matches!(connection.error(), Some(TransportError::Refused)), "{:?}", connection.error());
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// Dials with a TLS configuration of its own.
async fn dial_with(
    b: &QuicEndpoint,
    tls: rustls::ClientConfig,
) -> (Result<quinn::Connection, ConnectionError>, Established) {
    let a = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let dial = async {
        let connecting = a.connect_with(config, b.local_addr(), UNUSED_SERVER_NAME).unwrap();
        let connection = connecting.await?;
        // The dialler is done first; what the other side thinks of it comes now.
        Err(connection.closed().await)
    };
    let accept = async { b.accept().await.unwrap().establish().await };
    both(dial, accept).await
}

fn this_peer(expected: PeerId) -> Arc<dyn ServerCertVerifier> {
    Arc::new(ThisPeer { expected, found: Arc::default() })
}

fn client(
    verifier: Arc<dyn ServerCertVerifier>,
) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
}

#[tokio::test]
async fn a_dialler_without_a_key_is_refused() {
    let b = bind(2, QuicConfig::default());
    let mut tls = client(this_peer(key(2).public_key())).with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let (dialled, accepted) = dial_with(&b, tls).await;
    assert!(dialled.is_err() && accepted.is_err(), "{accepted:?}");
}

#[tokio::test]
async fn a_dialler_that_knows_certificates_only_is_refused() {
    let b = bind(2, QuicConfig::default());
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let (dialled, accepted) = dial_with(&b, tls).await;
    assert!(dialled.is_err() && accepted.is_err(), "{accepted:?}");
}

#[tokio::test]
async fn another_application_protocol_is_refused() {
    let b = bind(2, QuicConfig::default());
    for alpn in [vec![], vec![b"syncline/2".to_vec()], vec![b"h3".to_vec()]] {
        let identity = TlsIdentity::new(key(1));
        let mut tls = identity.client(key(2).public_key(), Arc::default()).unwrap();
        tls.alpn_protocols = alpn;
        let (dialled, accepted) = dial_with(&b, tls).await;
        assert!(dialled.is_err() && accepted.is_err(), "{accepted:?}");
    }
}

/// Shows the key of `shown` and signs with that of `held`.
fn forged(shown: u8, held: u8) -> TlsIdentity {
    let public_key = spki::encode(&key(shown).public_key()).to_vec();
    let held = TlsIdentity::new(key(held));
    let certified = CertifiedKey::new(vec![CertificateDer::from(public_key)], Arc::clone(&held.certified.key));
    TlsIdentity { certified: Arc::new(certified), ..held }
}

#[tokio::test]
async fn a_dialler_that_shows_a_key_it_does_not_hold_is_refused() {
    let b = bind(2, QuicConfig::default());
    let honest = forged(1, 1).client(key(2).public_key(), Arc::default()).unwrap();
    let forger = forged(1, 9).client(key(2).public_key(), Arc::default()).unwrap();
    let (dialled, accepted) = dial_with(&b, forger).await;
    assert!(dialled.is_err() && accepted.is_err(), "{accepted:?}");
    // The same construction with the right key gets in, so that was the reason.
    let accept = async { b.accept().await.unwrap().establish().await };
    let a = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(honest).unwrap()));
    let dial = async { a.connect_with(config, b.local_addr(), UNUSED_SERVER_NAME).unwrap().await };
    let (dialled, accepted) = both(dial, accept).await;
    assert!(dialled.is_ok());
    assert_eq!(accepted.unwrap().remote(), Identity::Key(key(1).public_key()));
}

#[tokio::test]
async fn an_acceptor_that_shows_a_key_it_does_not_hold_is_refused() {
    let tls = QuicServerConfig::try_from(forged(2, 9).server(None).unwrap()).unwrap();
    let b = Endpoint::server(ServerConfig::with_crypto(Arc::new(tls)), "127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = PeerAddr::at(key(2).public_key(), b.local_addr().unwrap()).unwrap();
    let a = bind(1, QuicConfig::default());
    let (dialled, accepted) = both(a.connect(&addr), async { b.accept().await.unwrap().await }).await;
    assert!(matches!(dialled, Err(ConnectError::HandshakeFailed { .. })), "{dialled:?}");
    assert!(accepted.is_err());
}

#[tokio::test]
async fn a_chain_of_keys_is_refused() {
    let certified = TlsIdentity::new(key(1));
    let mut chain = certified.certified.cert.clone();
    chain.push(CertificateDer::from(spki::encode(&key(4).public_key()).to_vec()));
    assert!(tls::peer_key(&chain[0], 1).is_err());
    assert_eq!(tls::peer_key(&chain[0], 0), Ok(key(1).public_key()));
}

#[tokio::test]
async fn a_closed_stream_ends_and_a_dropped_one_is_reset() {
    let (_a, to_b, _b, from_a) = connected().await;
    for close in [true, false] {
        let mut here = to_b.open().await.unwrap();
        here.tx.write_all(b"some").await.unwrap();
        let mut there = from_a.accept().await.unwrap();
        let mut some = [0; 4];
        there.rx.read_exact(&mut some).await.unwrap();
        if close {
            here.tx.close().await.unwrap();
            // A protocol may have closed what its session then closes.
            here.tx.close().await.unwrap();
            assert_eq!(here.tx.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }
        drop(here);
        let end = there.rx.read(&mut some).await;
        match close {
            true => assert_eq!(end.unwrap(), 0),
            false => assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset),
        }
        // Nobody reads any more: a writer learns it.
        let err = loop {
            if let Err(err) = there.tx.write(&[0; 100]).await {
                break err;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(err.kind(), io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn a_closed_connection_is_closed_on_both_sides() {
    let (_a, to_b, _b, from_a) = connected().await;
    assert!(to_b.error().is_none() && from_a.error().is_none());
    to_b.close();
    for connection in [&to_b, &from_a] {
        connection.closed().await;
        assert!(matches!(connection.error(), Some(TransportError::Closed)));
        assert!(matches!(connection.accept().await, Err(TransportError::Closed)));
        assert!(matches!(connection.open().await, Err(TransportError::Closed)));
    }
}

#[tokio::test]
async fn who_accepted_cannot_open_streams() {
    let (_a, to_b, _b, from_a) = connected().await;
    let open = tokio::time::timeout(Duration::from_millis(50), from_a.open());
    assert!(open.await.is_err());
    assert!(to_b.error().is_none());
}

#[tokio::test]
async fn a_stopped_endpoint_takes_nobody_new_and_keeps_who_is_there() {
    let (a, to_b, b, from_a) = connected().await;
    b.stop();
    assert!(matches!(b.accept().await, Err(TransportError::Closed)));
    let addr = b.peer_addr().unwrap();
    let dial = tokio::time::timeout(Duration::from_millis(200), a.connect(&addr));
    assert!(!matches!(dial.await, Ok(Ok(_))));
    let mut here = to_b.open().await.unwrap();
    here.tx.write_all(b"x").await.unwrap();
    from_a.accept().await.unwrap().rx.read_exact(&mut [0]).await.unwrap();
    Listener::close(&*b).await;
    to_b.closed().await;
    assert!(matches!(b.connect(&a.peer_addr().unwrap()).await, Err(ConnectError::Closed)));
}

/// The type of the long header in which an endpoint answers a dialler's first flight.
async fn answer_to_first_flight(config: QuicConfig) -> u8 {
    let b = bind(2, config);
    let (near, far) =
        (std::net::UdpSocket::bind("127.0.0.1:0").unwrap(), std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    for socket in [&near, &far] {
        socket.set_nonblocking(true).unwrap();
    }
    let near = tokio::net::UdpSocket::from_std(near).unwrap();
    let far = tokio::net::UdpSocket::from_std(far).unwrap();
    let a = bind(1, QuicConfig::default());
    let addr = PeerAddr::at(key(2).public_key(), near.local_addr().unwrap()).unwrap();
    let accept = async { b.accept().await.unwrap().establish().await };
    let talk = async {
        let mut datagram = vec![0; 65_536];
        let len = near.recv(&mut datagram).await.unwrap();
        far.send_to(&datagram[..len], b.local_addr()).await.unwrap();
        far.recv(&mut datagram).await.unwrap();
        // Bits 4 and 5 of a long header, which nothing hides (RFC 9000, 17.2).
        (datagram[0] >> 4) & 0b11
    };
    tokio::select! {
        _ = a.connect(&addr) => panic!("nobody answered the dialler"),
        _ = accept => panic!("half a handshake was accepted"),
        kind = talk => kind,
    }
}

#[tokio::test]
async fn beyond_the_limit_a_dialler_is_answered_with_a_retry() {
    const INITIAL: u8 = 0;
    const RETRY: u8 = 3;
    let config = |max| QuicConfig::default().with_unvalidated_handshakes_max(max);
    assert_eq!(answer_to_first_flight(config(1)).await, INITIAL);
    assert_eq!(answer_to_first_flight(config(0)).await, RETRY);
}

/// A session that is resumed would not ask again who may come in.
#[tokio::test]
async fn a_dialler_that_would_resume_is_judged_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let b = bind(
        2,
        QuicConfig::default().with_allow(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Access::Allow
        }),
    );
    let mut tls = TlsIdentity::new(key(1)).client(key(2).public_key(), Arc::default()).unwrap();
    tls.resumption = rustls::client::Resumption::in_memory_sessions(8);
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let a = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    for dials in 1..=3 {
        let dial = async { a.connect_with(config.clone(), b.local_addr(), UNUSED_SERVER_NAME).unwrap().await };
        let accept = async { b.accept().await.unwrap().establish().await };
        let (dialled, accepted) = both(dial, accept).await;
        let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
        // A ticket would come with the first data.
        let talk = async {
            let (mut tx, _rx) = dialled.open_bi().await.unwrap();
            tx.write_all(b"x").await.unwrap();
            tx.finish().unwrap();
            tx.stopped().await.unwrap();
        };
        both(talk, async { accepted.accept().await.unwrap().rx.read_exact(&mut [0]).await.unwrap() }).await;
        assert_eq!(asked.load(Ordering::SeqCst), dials);
    }
}

#[tokio::test]
async fn beyond_the_limit_a_dialler_must_show_its_address_and_gets_in() {
    let b = bind(2, QuicConfig::default().with_unvalidated_handshakes_max(0));
    let a = bind(1, QuicConfig::default());
    let (dialled, accepted) = meet(&a, &b.peer_addr().unwrap(), &b).await;
    assert!(dialled.is_ok() && accepted.is_ok());
}

#[test]
fn unvalidated_handshakes_are_counted_up_to_the_limit() {
    let count = Arc::default();
    let first = Unvalidated::begin(&count, 2).unwrap();
    let _second = Unvalidated::begin(&count, 2).unwrap();
    assert!(Unvalidated::begin(&count, 2).is_none());
    drop(first);
    assert!(Unvalidated::begin(&count, 2).is_some());
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn garbage_harms_nobody() {
    let (a, b) = (bind(1, QuicConfig::default()), bind(2, QuicConfig::default()));
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for len in [0, 1, 20, 21, 1_200, 1_500] {
        for first in [0x00, 0x40, 0xc0, 0xff] {
            let mut datagram = vec![0x5a; len];
            datagram.iter_mut().take(1).for_each(|byte| *byte = first);
            // A long header of QUIC version 1.
            datagram.iter_mut().skip(1).take(4).zip([0, 0, 0, 1]).for_each(|(byte, version)| *byte = version);
            socket.send_to(&datagram, b.local_addr()).unwrap();
        }
    }
    let (dialled, accepted) = meet(&a, &b.peer_addr().unwrap(), &b).await;
    assert!(dialled.is_ok() && accepted.is_ok());
}

#[tokio::test]
async fn nobody_listens_there() {
    let a = bind(1, QuicConfig::default().with_idle_timeout(Duration::from_millis(300), Duration::from_millis(100)));
    let gone = bind(2, QuicConfig::default());
    let addr = gone.peer_addr().unwrap();
    Listener::close(&*gone).await;
    drop(gone);
    let dialled = a.connect(&addr).await;
    assert!(matches!(dialled, Err(ConnectError::Unreachable { .. })), "{dialled:?}");
    let other_family = PeerAddr::new(key(2).public_key(), "::1", 1).unwrap();
    assert!(matches!(a.connect(&other_family).await, Err(ConnectError::Unreachable { .. })));
}

#[test]
fn an_endpoint_needs_a_runtime() {
    let err = QuicEndpoint::bind(&key(1), "127.0.0.1:0".parse().unwrap(), QuicConfig::default()).unwrap_err();
    assert_eq!(err.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn debug_shows_no_secret() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let endpoint = bind(7, QuicConfig::default().with_allow(|_| Access::Allow));
    let text = format!("{endpoint:?} {:?}", QuicConfig::default());
    assert!(!text.contains("0707070707") && !text.contains("7, 7, 7, 7"), "{text}");
}
