//! Objects of the key/value tree, descriptions of namespaces, and bundles.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use syncline_kv::tree::Import;
use syncline_kv::{Item, Namespace};

fuzz_target!(|input: &[u8]| {
    let bytes = Bytes::copy_from_slice(input);
    if let Ok(item) = Item::decode(&bytes) {
        assert_eq!(item.encoded(), bytes, "there is one encoding");
        assert_eq!(Item::decode(&item.encoded()).map(|again| again.id_bytes()), Ok(item.id_bytes()));
    }
    if let Ok(namespace) = Namespace::decode(input) {
        assert_eq!(&namespace.encoded()[..], input, "there is one encoding");
    }
    if let Ok(import) = Import::open(input) {
        let _name = import.namespace().name();
    }
});
