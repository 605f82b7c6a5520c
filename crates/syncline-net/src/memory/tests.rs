use futures::executor::block_on;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
use syncline_crypto::SigningKey;

use super::*;

fn id(seed: u8) -> PeerId {
    SigningKey::from_bytes(&[seed; 32]).public_key()
}

type Side = (Arc<MemoryEndpoint>, Arc<dyn Connection>);

fn connected() -> (MemoryNetwork, Side, Side) {
    let network = MemoryNetwork::default();
    let (a, b) = (network.endpoint(id(1)).unwrap(), network.endpoint(id(2)).unwrap());
    let (to_b, from_a) = block_on(async {
        let to_b = a.connect(b.addr()).await.unwrap();
        (to_b, b.accept().await.unwrap().establish().await.unwrap())
    });
    (network, (a, to_b), (b, from_a))
}

#[test]
fn each_side_knows_the_other_and_streams_carry_bytes() {
    let (_network, (_a, to_b), (_b, from_a)) = connected();
    assert_eq!((to_b.remote(), from_a.remote()), (Identity::Key(id(2)), Identity::Key(id(1))));
    block_on(async {
        // Either side may open.
        for (opener, acceptor) in [(&to_b, &from_a), (&from_a, &to_b)] {
            let mut here = opener.open().await.unwrap();
            let mut there = acceptor.accept().await.unwrap();
            here.tx.write_all(b"ping").await.unwrap();
            let mut text = [0; 4];
            there.rx.read_exact(&mut text).await.unwrap();
            there.tx.write_all(b"pong").await.unwrap();
            here.rx.read_exact(&mut text).await.unwrap();
            assert_eq!(&text, b"pong");
        }
    });
}

#[test]
fn nobody_is_dialled_by_another_name() {
    let (network, (a, _to_b), _b) = connected();
    block_on(async {
        assert!(matches!(network.endpoint(id(1)), Err(EndpointTaken { .. })));
        let missing = PeerAddr::new(id(9), "memory", 1).unwrap();
        assert!(matches!(a.connect(&missing).await, Err(ConnectError::Unreachable { .. })));
        let anybody = PeerAddr::anonymous("memory", 1).unwrap();
        assert!(matches!(a.connect(&anybody).await, Err(ConnectError::KeyRequired)));
    });
}

#[test]
fn closing_or_cutting_ends_streams_on_both_sides() {
    for cut in [false, true] {
        let (network, (_a, to_b), (_b, from_a)) = connected();
        block_on(async {
            let mut here = to_b.open().await.unwrap();
            let mut there = from_a.accept().await.unwrap();
            assert!(to_b.error().is_none() && from_a.closed().now_or_never().is_none());
            if cut {
                network.cut_all()
            } else {
                from_a.close()
            }
            assert!(here.rx.read(&mut [0; 1]).await.is_err());
            assert!(there.tx.write(&[0; 1]).await.is_err());
            for connection in [&to_b, &from_a] {
                connection.closed().await;
                assert_eq!(cut, matches!(connection.error(), Some(TransportError::Lost { .. })));
                assert!(connection.open().await.is_err() && connection.accept().await.is_err());
            }
        });
    }
}

#[test]
fn a_stopped_endpoint_takes_no_new_connection_and_keeps_the_old_ones() {
    let (network, (a, to_b), (b, from_a)) = connected();
    block_on(async {
        b.stop();
        assert!(matches!(b.accept().await, Err(TransportError::Closed)));
        assert!(matches!(a.connect(b.addr()).await, Err(ConnectError::Unreachable { .. })));
        assert!(to_b.open().await.is_ok() && from_a.accept().await.is_ok());
        drop(b);
        assert!(to_b.error().is_some());
        network.endpoint(id(2)).unwrap();
    });
}
