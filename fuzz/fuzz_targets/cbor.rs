//! The scanner agrees with itself at any chunking and with a decoder about what an item is; the codec keeps its limits.
#![no_main]

use std::mem::discriminant;

use bytes::BytesMut;
use ciborium::Value;
use libfuzzer_sys::fuzz_target;
use syncline_core::SyncError;
use syncline_core::cbor::{CborCodec, FrameLimits, FrameScanner, Reader, from_deterministic, to_deterministic};
use tokio_util::codec::Decoder;

const LEN_MAX: usize = 4_096;
const DEPTH_MAX: usize = 16;

fuzz_target!(|input: (u8, &[u8])| {
    let (chunk, bytes) = (usize::from(input.0).max(1), input.1);
    let limits = FrameLimits::with_len_max(LEN_MAX).and_depth_max(DEPTH_MAX);

    // However it is cut, the scanner finds the same end, or the same kind of fault.
    let whole = FrameScanner::new(limits).scan(bytes);
    let mut scanner = FrameScanner::new(limits);
    let mut pieces = Ok(None);
    for end in (0..bytes.len()).step_by(chunk).map(|start| (start + chunk).min(bytes.len())) {
        pieces = scanner.scan(&bytes[..end]);
        if !matches!(pieces, Ok(None)) {
            break;
        }
    }
    match (&whole, &pieces) {
        // How much was claimed is told as far as it was seen, and that depends on the cut.
        (Err(whole), Err(pieces)) => assert_eq!(discriminant(whole), discriminant(pieces)),
        _ => assert_eq!(whole, pieces),
    }

    if let Ok(Some(len)) = whole {
        assert!(len <= LEN_MAX && len <= bytes.len());
        // The hand reader passes over the same bytes.
        assert_eq!(Reader::new(bytes).skip().map(<[u8]>::len), Ok(len));
        // What is deterministic is what encodes to itself.
        if let Ok(value) = from_deterministic::<Value>(&bytes[..len], limits) {
            assert_eq!(to_deterministic(&value).expect("it was encoded before"), &bytes[..len]);
        }
    }

    let mut codec = CborCodec::<Value>::with_limits(limits);
    let mut buffer = BytesMut::new();
    for piece in bytes.chunks(chunk) {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(err) => {
                    assert!(!matches!(err, SyncError::Critical(_)), "{err}");
                    return;
                }
            }
        }
        assert!(buffer.len() <= LEN_MAX + chunk);
    }
    if let Err(err) = codec.decode_eof(&mut buffer) {
        assert!(!matches!(err, SyncError::Critical(_)), "{err}");
    }
});
