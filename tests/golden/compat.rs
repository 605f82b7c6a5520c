//! Theirs reads ours, ours reads theirs, and both say the same of every operation.

use bytes::Bytes;
use ciborium::Value;
use proptest::prelude::*;
use syncline_crypto::{Ed25519, Hash, SigningKey};
use syncline_log::store::Tip;
use syncline_log::{EncodedOperation, Link, Operation, PruneFlag, validate};
use syncline_testkit::generate::{LogExtensions, LogShape, log, new_operations, signing_key};
use syncline_testkit::seed::{Rng, for_each_seed};

use crate::case::{Case, Ext, case};

fn decode(bytes: &[u8]) -> Result<EncodedOperation, syncline_log::DecodeError> {
    EncodedOperation::decode(Bytes::copy_from_slice(bytes), None)
}

/// One change to an encoding: what a wrong writer or an attacker might do.
#[derive(Clone, Debug)]
enum Change {
    Flip(usize, u32),
    Insert(usize, u8),
    Remove(usize),
    /// Writes a head of one byte as one of two, four or more.
    Widen(usize, u8),
    Cut(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = 0..260_usize;
    prop_oneof![
        (at.clone(), 0..8_u32).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (at.clone(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        at.clone().prop_map(Change::Remove),
        (at.clone(), 24..28_u8).prop_map(|(at, info)| Change::Widen(at, info)),
        at.prop_map(Change::Cut),
    ]
}

fn apply(change: &Change, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let place = |at: usize| at % bytes.len();
    match *change {
        Change::Flip(at, bit) => {
            let at = place(at);
            bytes[at] ^= 1 << bit;
        }
        Change::Insert(at, byte) => bytes.insert(place(at), byte),
        Change::Remove(at) => {
            bytes.remove(place(at));
        }
        Change::Widen(at, info) => {
            let at = place(at);
            let (major, argument) = (bytes[at] & 0xe0, bytes[at] & 0x1f);
            let zeros = vec![0; (1 << (info - 24)) - 1];
            bytes.splice(at..=at, [vec![major | info], zeros, vec![argument]].concat());
        }
        Change::Cut(at) => bytes.truncate(place(at)),
    }
}

macro_rules! compat {
    ($module:ident, $core:ident) => {
        mod $module {
            use $core as core;
            use core::cbor::decode_cbor;

            use super::*;

            /// As the original writes it.
            fn theirs<E: core::Extensions>(case: &Case<E>) -> core::Operation<E> {
                let key = core::PrivateKey::from_bytes(&case.secret);
                let body = case.body.as_deref().map(core::Body::new);
                let mut header = core::Header {
                    version: case.version,
                    public_key: key.public_key(),
                    signature: None,
                    payload_size: body.as_ref().map_or(0, core::Body::size),
                    payload_hash: body.as_ref().map(core::Body::hash),
                    timestamp: case.timestamp,
                    seq_num: case.seq_num,
                    backlink: case.link().map(core::Hash::from_bytes),
                    previous: case.previous.iter().copied().map(core::Hash::from_bytes).collect(),
                    extensions: case.extensions.clone(),
                };
                header.sign(&key);
                core::Operation { hash: header.hash(), header, body }
            }

            fn with_their_flag(case: Case<Ext<bool>>) -> Case<Ext<core::PruneFlag>> {
                let extensions = case.extensions.clone();
                case.with_extensions(extensions.map(|ext| { let prune = ext.prune; ext.with_prune(prune.into()) }))
            }

            fn with_our_flag(case: Case<Ext<bool>>) -> Case<Ext<PruneFlag>> {
                let extensions = case.extensions.clone();
                case.with_extensions(extensions.map(|ext| { let prune = ext.prune; ext.with_prune(prune.into()) }))
            }

            proptest! {
                #[test]
                fn theirs_reads_ours(case in case()) {
                    let version = case.version;
                    let (operation, encoded) = with_our_flag(case).ours();
                    let bytes = encoded.header_bytes();
                    let header: core::Header<Ext<core::PruneFlag>> = decode_cbor(&bytes[..]).unwrap();
                    prop_assert!(header.verify());
                    prop_assert_eq!(header.to_bytes(), &bytes[..]);
                    prop_assert!(header.hash().as_bytes() == operation.hash.as_bytes());
                    prop_assert_eq!(header.version, version);
                    prop_assert_eq!(header.timestamp, operation.header.timestamp);
                    prop_assert_eq!(header.seq_num, operation.header.seq_num.get());
                    prop_assert_eq!(header.payload_size, operation.header.payload_size);
                    prop_assert_eq!(header.previous.len(), operation.header.previous.len());
                    let flag = header.extensions.as_ref().map(|ext| ext.prune.is_set());
                    prop_assert_eq!(flag, operation.header.extensions.as_ref().map(|ext| ext.prune.is_set()));
                    let body = encoded.body().map(|body| core::Body::new(body));
                    let valid = core::validate_operation(&core::Operation { hash: header.hash(), header, body });
                    prop_assert_eq!(valid.is_ok(), version == 1, "{:?}", valid);
                }

                #[test]
                fn ours_reads_theirs(case in case()) {
                    let theirs = theirs(&with_their_flag(case.clone()));
                    let bytes = theirs.header.to_bytes();
                    let body = theirs.body.as_ref().map(|body| Bytes::from(body.to_bytes()));
                    let encoded = EncodedOperation::decode(bytes.clone().into(), body).unwrap();
                    prop_assert_eq!(encoded.verify(&Ed25519), Ok(()));
                    prop_assert_eq!(encoded.check_body(), Ok(()));
                    prop_assert_eq!(validate::operation(&encoded, &Ed25519).is_ok(), case.version == 1);
                    prop_assert!(encoded.hash().as_bytes() == theirs.hash.as_bytes());
                    let mut unsigned = theirs.header.clone();
                    unsigned.signature = None;
                    prop_assert_eq!(encoded.signed_bytes(), unsigned.to_bytes());
                    let typed: Operation<Ext<PruneFlag>> = encoded.operation().unwrap();
                    prop_assert_eq!(&typed.header.to_bytes().unwrap()[..], &bytes[..]);
                    prop_assert!(typed.header.verify(&Ed25519).is_ok());

                    // From the same fields both make the same operation, bit for bit.
                    let (ours, _) = with_our_flag(case).ours();
                    prop_assert_eq!(ours, typed);
                }

                #[test]
                fn what_only_one_accepts_is_never_valid(case in case(), changes in proptest::collection::vec(change(), 1..4)) {
                    let mut case = case.clone().with_extensions(None::<Value>);
                    case.previous.truncate(3);
                    let mut bytes = theirs(&case).header.to_bytes();
                    changes.iter().for_each(|change| apply(change, &mut bytes));
                    let ours = decode(&bytes);
                    let theirs: Result<core::Header<Value>, _> = decode_cbor(&bytes[..]);
                    if let Ok(ours) = &ours && ours.verify(&Ed25519).is_ok() {
                        let theirs = theirs.as_ref().expect("what we take as valid, they can read");
                        prop_assert!(theirs.verify());
                        prop_assert!(theirs.hash().as_bytes() == ours.hash().as_bytes());
                    }
                    if let Ok(theirs) = theirs && theirs.to_bytes() == bytes {
                        prop_assert!(ours.is_ok(), "what they would write, we read: {:?}", ours);
                    }
                }
            }

            #[test]
            fn extensions_of_no_content() {
                let case = Case::<()>::new().with_extensions(Some(()));
                let theirs = theirs(&case);
                let (ours, encoded) = case.ours();
                assert_eq!(theirs.header.to_bytes(), encoded.header_bytes()[..]);
                assert_eq!(encoded.extension_bytes(), Some(&[0xf6][..]));
                assert_eq!(encoded.header::<()>().unwrap(), ours.header);
            }

            /// A longer head than needed: they read it, and know the operation by the hash of other bytes than it came in.
            #[test]
            fn other_encodings_have_other_hashes_there_and_are_refused_here() {
                let mut bytes = theirs(&Case::<()> { timestamp: 5, ..Case::new() }).header.to_bytes();
                let at = bytes.len() - 3;
                assert_eq!(bytes[at], 5);
                bytes.splice(at..=at, [0x18, 5]);
                let header: core::Header<()> = decode_cbor(&bytes[..]).unwrap();
                assert!(header.verify());
                assert_ne!(header.hash().as_bytes(), Hash::digest(&bytes).as_bytes());
                assert!(decode(&bytes).is_err());
                // And they take bytes behind the header, as many as there are.
                let mut bytes = theirs(&Case::<()>::new()).header.to_bytes();
                bytes.extend_from_slice(b"anything");
                assert!(decode_cbor::<core::Header<()>, _>(&bytes[..]).is_ok_and(|header| header.verify()));
                assert!(decode(&bytes).is_err());
            }

            #[test]
            fn logs_are_linked_alike() {
                let shape = LogShape { operations: 30, prunes_per_mille: 100, previous_max: 2, ..LogShape::default() };
                for_each_seed(0..8, |seed| {
                    let mut rng = Rng::new(seed);
                    let key: SigningKey = signing_key(&mut rng);
                    let operations = log(&mut rng, &key, 1, &shape);
                    let mut past: Option<core::Header<LogExtensions>> = None;
                    let mut tip: Option<Tip> = None;
                    for new in new_operations(&operations) {
                        let header: core::Header<LogExtensions> =
                            decode_cbor(&new.operation.header_bytes()[..]).unwrap();
                        let prunes = new.link == Link::Prunes;
                        core::prune::validate_prunable_backlink(past.as_ref(), &header, prunes).unwrap();
                        validate::link(tip, &new.operation, new.link).unwrap();

                        // With the flag ignored both look at the backlink and the number.
                        let theirs = past.as_ref().map(|past| core::validate_backlink(past, &header).is_ok());
                        let ours = tip.map(|tip| validate::link(Some(tip), &new.operation, Link::Next).is_ok());
                        assert_eq!(theirs, ours);
                        tip = Some(Tip { seq_num: new.operation.seq_num(), hash: new.operation.hash() });
                        past = Some(header);
                    }
                });
            }
        }
    };
}

compat!(v03, p2panda_core_03);
compat!(v04, p2panda_core_04);
