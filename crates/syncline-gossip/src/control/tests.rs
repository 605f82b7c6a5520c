//! Tools and a replica, over a stream in memory and over a socket.

use std::sync::Arc;

use syncline_core::clock::{Clock, SystemClock, Timestamp};
use syncline_crypto::SigningKey;
use syncline_kv::authority::Op;
use syncline_kv::item::{GrantDraft, Ops, Quota};
use syncline_kv::tree::{Import, Listing};
use syncline_kv::{Grant, Item, Key, Namespace, Pattern, Subtree, Tree};
use syncline_storage::MemoryDb;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::message::{Request, Response};
use super::*;

fn signer(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn tree() -> Tree {
    let namespace = Namespace::new("test", [signer(1).public_key()]).unwrap();
    Tree::open(Arc::new(MemoryDb::new()), &namespace).unwrap()
}

fn grant(tree: &Tree, to: u8, pattern: &str) -> Grant {
    let draft = GrantDraft {
        namespace: tree.id(),
        parent: None,
        issuer: signer(1).public_key(),
        audience: signer(to).public_key(),
        pattern: Pattern::new(pattern).unwrap(),
        ops: Ops::ReadWrite,
        depth: 0,
        not_before: None,
        not_after: None,
        quota: Quota::NONE,
        stamp: tree.stamp(now()).unwrap(),
    };
    tree.grant(now(), &signer(1), draft).unwrap()
}

async fn connect(server: &ControlServer) -> Client<DuplexStream> {
    let (here, there) = duplex(1 << 16);
    let server = server.clone();
    tokio::spawn(async move { server.serve(there).await });
    Client::open(here).await.unwrap()
}

#[tokio::test]
async fn what_is_stored_and_does_not_count_is_told_from_what_counts() {
    let tree = tree();
    let mut client = connect(&ControlServer::of_tree(tree.clone())).await;
    let ended = GrantDraft { depth: 1, ..grant(&tree, 3, "/of/three/**").fields().clone() };
    let ended = tree.grant(now(), &signer(1), ended).unwrap();
    let passed_on = GrantDraft { parent: Some(ended.id()), ..ended.fields().clone() };
    let passed_on = GrantDraft { issuer: signer(3).public_key(), depth: 0, ..passed_on };
    let passed_on = passed_on.sign(&signer(3)).unwrap();
    tree.revoke(now(), &signer(1), ended.id()).unwrap();
    let verdicts = client.apply(&[Item::Grant(passed_on)]).await.unwrap();
    assert_eq!(verdicts[0].kind, VerdictKind::Ineffective, "{}", verdicts[0]);
}

#[tokio::test]
async fn a_tool_signs_by_itself_and_hands_in() {
    let tree = tree();
    let mut client = connect(&ControlServer::of_tree(tree.clone())).await;
    let granted = grant(&tree, 2, "/of/two/**");

    // What the tool knows of grants is enough to explain and to sign.
    let system = client.system().await.unwrap();
    assert_eq!(system.namespace, tree.namespace());
    let local = system.tree().unwrap();
    let two = signer(2).public_key();
    assert!(local.authority().authorize(&two, &key("/of/two/x"), Op::Write, now()).is_ok());
    assert!(local.authority().authorize(&two, &key("/of/three"), Op::Write, now()).is_err());
    let stamp = client.stamp().await.unwrap();
    assert!(stamp >= granted.fields().stamp);
    let entry = local.put(now(), &signer(2), &key("/of/two/x"), &b"value"[..]).unwrap();

    let verdicts = client.apply(&[Item::Entry(entry.clone()), Item::Entry(entry.clone())]).await.unwrap();
    assert_eq!(verdicts[0].kind, VerdictKind::Applied, "{}", verdicts[0]);
    assert!(verdicts[1].kind.is_stored());
    assert_eq!(client.latest(entry.key()).await.unwrap(), Some(entry.clone()));
    assert_eq!(client.history(entry.key()).await.unwrap(), vec![entry.clone()]);
    assert_eq!(client.latest(&key("/nothing")).await.unwrap(), None);

    // Of what is not allowed, nothing is stored.
    let foreign = local.put(now(), &signer(1), &key("/root"), &b"r"[..]).unwrap();
    let mut bytes = Item::Entry(foreign).encoded().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let forged = Item::decode(&bytes.into()).unwrap();
    assert_eq!(client.apply(&[forged]).await.unwrap()[0].kind, VerdictKind::BadSignature);

    let run = client.dry_run(granted.id(), 10).await.unwrap();
    assert_eq!((run.grants, run.keys), (vec![granted.id()], vec![(entry.key().clone(), entry.id(), None)]));
    let unknown = client.dry_run(syncline_kv::GrantId::from_bytes([7; 32]), 10).await;
    assert!(matches!(unknown, Err(ControlError::Refused(Fault { kind: FaultKind::Tree, .. }))));

    let report = client.status().await.unwrap();
    assert_eq!((report.root, report.entries, report.system), (tree.root().unwrap().hash, 1, 1));
    assert_eq!(report.peer_id, None);
}

#[tokio::test]
async fn long_listings_and_bundles_come_in_parts() {
    let tree = tree();
    for number in 0..50 {
        tree.put(now(), &signer(1), &key(&format!("/n/{number:03}")), &[number; 500][..]).unwrap();
    }
    let limits = ControlLimits { page_bytes: 2_000, page_entries: 20, ..ControlLimits::default() };
    let mut client = connect(&ControlServer::of_tree(tree.clone()).with_limits(limits)).await;
    let (mut listing, mut keys, mut pages) = (Listing::of(Subtree::all()), Vec::new(), 0);
    loop {
        let (entries, next) = client.list(&listing).await.unwrap();
        assert!(!entries.is_empty() && entries.len() <= 3, "a page has its limits");
        keys.extend(entries.into_iter().map(|entry| entry.key().clone()));
        pages += 1;
        let Some(next) = next else { break };
        listing = listing.after(next);
    }
    assert!(pages > 10);
    assert_eq!(keys, (0..50).map(|number| key(&format!("/n/{number:03}"))).collect::<Vec<_>>());

    let mut bundle = Vec::new();
    assert_eq!(client.export(&mut bundle).await.unwrap(), bundle.len() as u64);
    let copy = Tree::open(Arc::new(MemoryDb::new()), &tree.namespace()).unwrap();
    Import::open(&bundle[..]).unwrap().apply_to(&copy, now()).unwrap();
    assert_eq!(copy.root().unwrap().hash, tree.root().unwrap().hash);
    assert_eq!(client.list(&Listing::of(Subtree::all()).limit(1)).await.unwrap().0.len(), 1, "the connection goes on");
}

#[tokio::test]
async fn a_watcher_is_told_what_is_there_and_then_what_changes() {
    let tree = tree();
    let before = tree.put(now(), &signer(1), &key("/w/before"), &b"1"[..]).unwrap();
    tree.put(now(), &signer(1), &key("/other"), &b"1"[..]).unwrap();
    let client = connect(&ControlServer::of_tree(tree.clone())).await;
    let mut watch = client.watch(&"/w".parse().unwrap()).await.unwrap();
    assert_eq!(watch.next().await.unwrap(), Some(Change::Value(Box::new(before.clone()))));
    assert_eq!(watch.next().await.unwrap(), Some(Change::Live));
    let after = tree.put(now(), &signer(1), &key("/w/after"), &b"2"[..]).unwrap();
    assert_eq!(watch.next().await.unwrap(), Some(Change::Value(Box::new(after))));
    tree.delete(now(), &signer(1), before.key()).unwrap();
    assert_eq!(watch.next().await.unwrap(), Some(Change::Unset(before.key().clone())));
    grant(&tree, 2, "/w/**");
    assert_eq!(watch.next().await.unwrap(), Some(Change::Authority));
}

#[tokio::test]
async fn hostile_bytes_are_refused_and_end_nothing_else() {
    let tree = tree();
    let limits = ControlLimits { frame_len: 1_000, items: 2, ..ControlLimits::default() };
    let server = ControlServer::of_tree(tree).with_limits(limits);
    let open = async |bytes: &[u8]| {
        let (mut here, there) = duplex(1 << 16);
        let server = server.clone();
        let served = tokio::spawn(async move { server.serve(there).await });
        here.write_all(bytes).await.unwrap();
        (here, served)
    };
    let (_stream, served) = open(b"GET / HT").await;
    assert!(matches!(served.await.unwrap(), Err(ControlError::Preamble)));
    let (_stream, served) = open(b"SYNLKVC1\xff\xff\xff\xff").await;
    assert!(matches!(served.await.unwrap(), Err(ControlError::FrameTooLong { max: 1_000, .. })));
    let (stream, served) = open(b"SYNLKVC1\0\0\0\x05ab").await;
    drop(stream);
    assert!(matches!(served.await.unwrap(), Err(ControlError::Io(_))));

    // What is a frame, but no request, is answered, and the connection goes on.
    let (mut stream, served) = open(b"SYNLKVC1\0\0\0\x02\x81\x18\0\0\0\x02\x81\x05").await;
    let mut answer = [0; 8 + 4];
    stream.read_exact(&mut answer).await.unwrap();
    let mut fault = vec![0; usize::try_from(u32::from_be_bytes(answer[8..].try_into().unwrap())).unwrap()];
    stream.read_exact(&mut fault).await.unwrap();
    assert!(matches!(
        Response::decode(&fault.into()).unwrap(),
        Response::Fault(Fault { kind: FaultKind::Request, .. })
    ));
    drop(stream);
    let _ = served.await.unwrap();

    let many = Request::Apply(vec![bytes::Bytes::from_static(b"x"); 3]).encode();
    assert!(Request::decode(&many, &limits).is_err(), "one more than the limit");
    let few = Request::Apply(vec![bytes::Bytes::from_static(b"x"); 2]).encode();
    assert!(Request::decode(&few, &limits).is_ok());
    // A claim alone reserves nothing.
    let claim = bytes::Bytes::from_static(&[0x82, 1, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert!(Request::decode(&claim, &ControlLimits { items: usize::MAX, ..limits }).is_err());
    assert!(Response::decode(&claim).is_err());
}

#[test]
fn messages_are_what_the_specification_says() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let vectors = include_str!("../../../../docs/spec/vectors/kv-control.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let requests = [
        ("apply", Request::Apply(vec![bytes::Bytes::from_static(&[1, 2])])),
        ("latest", Request::Latest(key("/a"))),
        ("history", Request::History(key("/a"))),
        (
            "list",
            Request::List { subtree: "/a".parse().unwrap(), after: Some(key("/a/b")), limit: 10, tombstones: true },
        ),
        ("system", Request::System),
        ("stamp", Request::Stamp),
        ("dry_run", Request::DryRun { grant: syncline_kv::GrantId::from_bytes([7; 32]), limit: 5 }),
        ("status", Request::Status),
        ("watch", Request::Watch(Subtree::all())),
        ("export", Request::Export),
    ];
    for (name, request) in requests {
        assert_eq!(vectors["requests"][name].as_str(), Some(hex(&request.encode()).as_str()), "{name}");
        assert_eq!(Request::decode(&request.encode(), &ControlLimits::default()).unwrap(), request);
    }
    let responses = [
        ("fault", Response::Fault(Fault { kind: FaultKind::Tree, text: "no".into() })),
        ("verdicts", Response::Verdicts(vec![ItemVerdict { kind: VerdictKind::Known, text: "known before".into() }])),
        ("entries", Response::Entries(vec![bytes::Bytes::from_static(&[1, 2])])),
        ("page", Response::Page { entries: vec![], next: Some(key("/a")) }),
        ("items", Response::Items(vec![bytes::Bytes::from_static(&[3])])),
        ("end", Response::End),
        ("stamp", Response::Stamp(syncline_core::clock::Hlc::from_bits(65_536))),
        ("change", Response::Change { key: key("/a"), entry: Some(bytes::Bytes::from_static(&[1])) }),
        ("unset", Response::Change { key: key("/a"), entry: None }),
        ("live", Response::Live),
        ("authority", Response::Authority),
        ("reset", Response::Reset),
        ("chunk", Response::Chunk(bytes::Bytes::from_static(b"ab"))),
    ];
    for (name, response) in responses {
        assert_eq!(vectors["responses"][name].as_str(), Some(hex(&response.encode()).as_str()), "{name}");
        assert_eq!(Response::decode(&response.encode()).unwrap(), response);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_open_the_socket_and_it_goes_with_the_server() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    std::fs::write(&path, b"what an earlier run left behind").unwrap();
    let control = serve_unix(&path, ControlServer::of_tree(tree())).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
    let mut client = connect_unix(&path).await.unwrap();
    assert_eq!(client.status().await.unwrap().entries, 0);
    control.close().await;
    assert!(client.status().await.is_err());
    drop(control);
    assert!(!path.exists());
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let bytes = bytes::Bytes::from(bytes);
        let _ = Request::decode(&bytes, &ControlLimits::default());
        let _ = Response::decode(&bytes);
    }
}
