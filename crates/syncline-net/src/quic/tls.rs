//! TLS 1.3 in which both sides prove an Ed25519 key and nothing else: raw public keys (RFC 7250), no certificates, no
//! authorities, no host names, no resumption and no early data.
//!
//! Resumption is off because a resumed session takes its peer's identity from the ticket: it would go around the pin.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, Signer, SigningKey as TlsSigningKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, ServerConfig,
    SignatureAlgorithm, SignatureScheme,
};
use syncline_crypto::{PublicKey, Signature, SigningKey};

use super::spki;
use crate::{Access, PeerId};

/// What both sides must name in ALPN.
pub(super) const ALPN: &[u8] = b"syncline/1";

/// Decides at the handshake who may connect.
pub(super) type Allow = Arc<dyn Fn(&PeerId) -> Access + Send + Sync>;

/// How this node proves its key.
#[derive(Clone, Debug)]
pub(super) struct TlsIdentity {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) provider: Arc<CryptoProvider>,
}

impl TlsIdentity {
    pub(super) fn new(key: SigningKey) -> Self {
        let public_key = spki::encode(&key.public_key()).to_vec();
        let key = Arc::new(ProvenKey { key: Arc::new(key) });
        let certified = Arc::new(CertifiedKey::new(vec![CertificateDer::from(public_key)], key));
        Self { certified, provider: Arc::new(rustls::crypto::ring::default_provider()) }
    }

    /// The accepting side. `allow` is asked before the dialler's proof is checked: it is cheaper.
    pub(super) fn server(&self, allow: Option<Allow>) -> Result<ServerConfig, Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(AnyPeer { allow }))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&self.certified))));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(config)
    }

    /// The dialling side, for one dial. Whoever answers is left in `found`.
    pub(super) fn client(&self, expected: PeerId, found: Arc<OnceLock<PeerId>>) -> Result<ClientConfig, Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ThisPeer { expected, found }))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&self.certified))));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        config.enable_sni = false;
        Ok(config)
    }
}

/// Signs handshakes. TLS 1.3 has its own domain separation: 64 spaces and a context string before the transcript.
#[derive(Clone, Debug)]
struct ProvenKey {
    key: Arc<SigningKey>,
}

impl TlsSigningKey for ProvenKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ED25519).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(spki::encode(&self.key.public_key()).to_vec().into())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for ProvenKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.key.sign(message).as_ref().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// The key of a raw public key "certificate". A real certificate may bring a chain; a raw key is alone.
pub(super) fn peer_key(end_entity: &[u8], others: usize) -> Result<PublicKey, Error> {
    if others > 0 {
        return Err(CertificateError::BadEncoding.into());
    }
    spki::decode(end_entity).map_err(|_| CertificateError::BadEncoding.into())
}

fn verify(
    message: &[u8],
    key: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let bad = || Error::from(CertificateError::BadSignature);
    if signed.scheme != SignatureScheme::ED25519 {
        return Err(bad());
    }
    let signature: [u8; Signature::LEN] = signed.signature().try_into().map_err(|_| bad())?;
    let key = peer_key(key, 0)?;
    key.verify(message, &Signature::from_bytes(signature)).map_err(|_| bad())?;
    Ok(HandshakeSignatureValid::assertion())
}

fn no_tls12<T>() -> Result<T, Error> {
    Err(PeerIncompatible::Tls12NotOffered.into())
}

/// The dialling side's rule: the one key that was dialled.
#[derive(Debug)]
pub(super) struct ThisPeer {
    pub(super) expected: PeerId,
    pub(super) found: Arc<OnceLock<PeerId>>,
}

impl ServerCertVerifier for ThisPeer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = peer_key(end_entity, intermediates.len())?;
        // Set once per dial; a second handshake message with a key is refused by TLS itself.
        let _ = self.found.set(found);
        if found != self.expected {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// The accepting side's rule: anybody who proves a key and is let in.
struct AnyPeer {
    allow: Option<Allow>,
}

impl std::fmt::Debug for AnyPeer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnyPeer").field("allow", &self.allow.is_some()).finish()
    }
}

impl ClientCertVerifier for AnyPeer {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let found = peer_key(end_entity, intermediates.len())?;
        match self.allow.as_ref().map_or(Access::Allow, |allow| allow(&found)) {
            Access::Allow => Ok(ClientCertVerified::assertion()),
            Access::Deny => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
