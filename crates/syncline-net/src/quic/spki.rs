//! The one form in which a key travels in TLS: the SubjectPublicKeyInfo of an Ed25519 key (RFC 7250, RFC 8410).

use syncline_crypto::{KeyError, PublicKey};
use thiserror::Error;

/// `SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING of 32 bytes }` up to the key: DER leaves no other spelling.
const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

const LEN: usize = PREFIX.len() + PublicKey::LEN;

/// A key in DER.
pub(super) fn encode(key: &PublicKey) -> [u8; LEN] {
    let mut der = [0; LEN];
    let (prefix, rest) = der.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(&PREFIX);
    rest.copy_from_slice(key.as_bytes());
    der
}

/// The key of exactly what [`encode`] gives, nothing else.
pub(super) fn decode(der: &[u8]) -> Result<PublicKey, SpkiError> {
    let key = der.strip_prefix(&PREFIX).ok_or(SpkiError::NotEd25519)?;
    let key: &[u8; PublicKey::LEN] = key.try_into().map_err(|_| SpkiError::NotEd25519)?;
    Ok(PublicKey::from_bytes(key)?)
}

/// Bytes that are not the key of a peer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum SpkiError {
    #[error("not the SubjectPublicKeyInfo of an Ed25519 key")]
    NotEd25519,
    #[error("refused public key")]
    Key(#[from] KeyError),
}

#[cfg(test)]
mod tests {
    use syncline_crypto::SigningKey;

    use super::*;

    fn key() -> PublicKey {
        SigningKey::from_bytes(&[5; 32]).public_key()
    }

    #[test]
    fn a_key_comes_back() {
        assert_eq!(decode(&encode(&key())), Ok(key()));
    }

    /// The example of RFC 8410, section 10.1.
    #[test]
    fn the_form_is_that_of_rfc_8410() {
        let hex = "302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        let der: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let key = decode(&der).unwrap();
        assert_eq!(key.to_string(), hex[24..]);
        assert_eq!(encode(&key).as_slice(), der);
    }

    #[test]
    fn any_other_bytes_are_refused() {
        let der = encode(&key());
        for at in 0..PREFIX.len() {
            for bit in 0..8 {
                let mut changed = der;
                changed[at] ^= 1 << bit;
                assert_eq!(decode(&changed), Err(SpkiError::NotEd25519), "byte {at}, bit {bit}");
            }
        }
        for len in 0..der.len() {
            assert_eq!(decode(&der[..len]), Err(SpkiError::NotEd25519), "{len} bytes");
        }
        assert_eq!(decode(&[&der[..], &[0]].concat()), Err(SpkiError::NotEd25519));
        // The same key with an explicit NULL for parameters, which RFC 8410 forbids.
        let with_null = [&[0x30, 0x2c, 0x30, 0x07, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x05, 0x00], &der[9..]].concat();
        assert_eq!(decode(&with_null), Err(SpkiError::NotEd25519));
    }

    #[test]
    fn a_key_of_small_order_is_refused() {
        let mut der = [0; LEN];
        der[..PREFIX.len()].copy_from_slice(&PREFIX);
        assert_eq!(decode(&der), Err(SpkiError::Key(KeyError::SmallOrder)));
    }
}
