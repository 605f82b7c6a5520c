//! A header that is accepted has one encoding: decoding and encoding gives the same bytes.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use syncline_crypto::{Ed25519, Hash};
use syncline_log::EncodedOperation;

fuzz_target!(|input: (Option<&[u8]>, &[u8])| {
    let (body, header) = input;
    let body = body.map(Bytes::copy_from_slice);
    let Ok(operation) = EncodedOperation::decode(Bytes::copy_from_slice(header), body) else { return };
    assert_eq!(&operation.header_bytes()[..], header, "kept as received");
    assert_eq!(operation.hash(), Hash::digest(header));
    let signed = operation.signed_bytes();
    assert!(signed.len() < header.len());
    let _ = operation.check_body();
    let _ = operation.verify(&Ed25519);
    if operation.extension_bytes().is_none() {
        let decoded = operation.header::<()>().expect("without extensions there is nothing more to decode");
        assert_eq!(&decoded.to_bytes().expect("it was encoded before")[..], header);
    }
});
