use futures::executor::block_on;
use syncline_crypto::SigningKey;

use super::*;
use crate::{EncodedOperation, Header, Link, Operation};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn written(count: u64) -> Vec<EncodedOperation> {
    let mut backlink = None;
    let write = |at| {
        let mut header = Header::<()>::new(key().public_key());
        header.seq_num = SeqNum::new(at);
        header.backlink = backlink;
        let operation = Operation::sign(header, None, &key()).unwrap();
        backlink = Some(operation.hash);
        EncodedOperation::from_operation(&operation).unwrap()
    };
    (0..count).map(write).collect()
}

/// Whatever takes operations away takes them out of the index, too: nothing else would ever free them.
#[test]
fn the_index_holds_what_is_there() {
    let operations = written(6);
    let append = |store: &MemoryStore<u64>, log_id, operations: &[EncodedOperation], link| {
        let new = |operation: &EncodedOperation| NewOperation { log_id, operation: operation.clone(), link };
        block_on(store.append(operations.iter().map(new).collect())).unwrap()
    };
    let len = |store: &MemoryStore<u64>| MemoryStore::read(store).index_len();
    let author = key().public_key();

    let store = MemoryStore::new();
    for log_id in 0..3 {
        append(&store, log_id, &operations[..5], Link::Next);
    }
    assert_eq!(len(&store), 15);
    append(&store, 0, &operations, Link::Next);
    assert_eq!(len(&store), 16);
    block_on(store.prune(author, 0, SeqNum::new(4))).unwrap();
    assert_eq!(len(&store), 12);
    append(&store, 1, &operations[5..], Link::Prunes);
    assert_eq!(len(&store), 8);
    block_on(store.delete_log(author, 2)).unwrap();
    assert_eq!(len(&store), 3);
    block_on(store.delete_log(author, 0)).unwrap();
    block_on(store.delete_log(author, 1)).unwrap();
    assert_eq!(len(&store), 0);
    // The numbers of deleted logs are used again.
    append(&store, 7, &operations, Link::Next);
    assert_eq!((len(&store), MemoryStore::read(&store).slots_len()), (6, 3));
}
