//! What an operation is made of, independent of who makes it.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use syncline_crypto::{Hash, SigningKey};
use syncline_log::{Body, EncodedOperation, Extensions, Header, Operation, SeqNum};

/// Extensions with something of each kind that CBOR has. `P` is the prune flag of either crate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ext<P> {
    pub(crate) log_id: String,
    #[serde(rename = "p")]
    pub(crate) prune: P,
    pub(crate) number: i64,
    pub(crate) float: f64,
    #[serde(with = "serde_bytes")]
    pub(crate) bytes: Vec<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nested: Option<Vec<BTreeMap<String, u32>>>,
    pub(crate) unit: (),
}

impl<P> Ext<P> {
    pub(crate) fn with_prune<Q>(self, prune: Q) -> Ext<Q> {
        let Self { log_id, prune: _, number, float, bytes, nested, unit } = self;
        Ext { log_id, prune, number, float, bytes, nested, unit }
    }
}

/// The fields of a header, and a body.
#[derive(Clone, Debug)]
pub(crate) struct Case<E> {
    pub(crate) secret: [u8; 32],
    pub(crate) version: u64,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) timestamp: u64,
    pub(crate) seq_num: u64,
    /// Used above place 0 only.
    pub(crate) backlink: [u8; 32],
    pub(crate) previous: Vec<[u8; 32]>,
    pub(crate) extensions: Option<E>,
}

impl<E> Case<E> {
    /// A first operation without anything else.
    pub(crate) fn new() -> Self {
        Self {
            secret: [7; 32],
            version: 1,
            body: None,
            timestamp: 0,
            seq_num: 0,
            backlink: [0; 32],
            previous: Vec::new(),
            extensions: None,
        }
    }

    pub(crate) fn with_extensions<F>(self, extensions: Option<F>) -> Case<F> {
        let Self { secret, version, body, timestamp, seq_num, backlink, previous, extensions: _ } = self;
        Case { secret, version, body, timestamp, seq_num, backlink, previous, extensions }
    }

    /// The backlink, where there is one.
    pub(crate) fn link(&self) -> Option<[u8; 32]> {
        (self.seq_num > 0).then_some(self.backlink)
    }
}

impl<E: Extensions> Case<E> {
    /// As this project writes it.
    pub(crate) fn ours(self) -> (Operation<E>, EncodedOperation) {
        let key = SigningKey::from_bytes(&self.secret);
        let mut header = Header::new(key.public_key());
        header.version = self.version;
        header.timestamp = self.timestamp;
        header.seq_num = SeqNum::new(self.seq_num);
        header.backlink = self.link().map(Hash::from_bytes);
        header.previous = self.previous.into_iter().map(Hash::from_bytes).collect();
        header.extensions = self.extensions;
        let operation = Operation::sign(header, self.body.map(Body::from), &key).unwrap();
        let encoded = EncodedOperation::from_operation(&operation).unwrap();
        (operation, encoded)
    }
}

/// Numbers at the ends of every width that a head can have, and others.
fn number() -> impl Strategy<Value = u64> {
    let edge = [0, 23, 24, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX - 1, u64::MAX];
    prop_oneof![proptest::sample::select(edge.to_vec()), any::<u64>(), 0..1000_u64]
}

fn extensions() -> impl Strategy<Value = Ext<bool>> {
    let nested = option::of(vec(btree_map(".{0,4}", any::<u32>(), 0..4), 0..4));
    let float = prop_oneof![Just(0.5), Just(-0.0), any::<f32>().prop_map(f64::from), any::<f64>()];
    let float = float.prop_filter("equal to itself", |float| !float.is_nan());
    (".{0,40}", any::<bool>(), any::<i64>(), float, vec(any::<u8>(), 0..40), nested).prop_map(
        |(log_id, prune, number, float, bytes, nested)| Ext { log_id, prune, number, float, bytes, nested, unit: () },
    )
}

pub(crate) fn case() -> impl Strategy<Value = Case<Ext<bool>>> {
    let version = prop_oneof![9 => Just(1), 1 => number()];
    let body = option::of(prop_oneof![vec(any::<u8>(), 1..300), vec(any::<u8>(), 60_000..70_000)]);
    let previous = prop_oneof![3 => vec(any::<[u8; 32]>(), 0..4), 1 => vec(any::<[u8; 32]>(), 20..300)];
    (any::<[u8; 32]>(), version, body, number(), number(), any::<[u8; 32]>(), previous, option::of(extensions()))
        .prop_map(|(secret, version, body, timestamp, seq_num, backlink, previous, extensions)| Case {
            secret,
            version,
            body,
            timestamp,
            seq_num,
            backlink,
            previous,
            extensions,
        })
}
