//! Signing in the process, through every pointer.

use std::sync::Arc;

use syncline_crypto::{PublicKey, Signer, SigningKey};

fn signs(signer: impl Signer, key: PublicKey) {
    assert_eq!(signer.public_key(), key);
    let signature = signer.sign(b"message").expect("in process");
    assert_eq!(key.verify(b"message", &signature), Ok(()));
}

#[test]
fn a_key_signs_through_every_pointer() {
    let signing_key = SigningKey::from_bytes(&[3; 32]);
    let key = signing_key.public_key();
    signs(&signing_key, key);
    signs(signing_key.clone(), key);
    signs(Arc::new(signing_key.clone()), key);
    let boxed: Box<dyn Signer> = Box::new(signing_key.clone());
    signs(&boxed, key);
    signs(boxed, key);
    let shared: Arc<dyn Signer> = Arc::new(signing_key);
    signs(shared, key);
}
