//! The cluster's certificate authority, and what it signs.

use crate::Error;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::sync::Arc;

/// A certificate and its key, as the two PEM texts that a kubeconfig carries.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// Its private key (PKCS #8).
    pub key_pem: String,
    /// The certificate as a handshake has it.
    pub(crate) certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

/// What a server's certificate is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerCertificate {
    /// Signed by the cluster's authority, for `127.0.0.1` and `localhost`.
    #[default]
    Good,
    /// As good, but for another name: a client that compares names refuses it.
    OtherName,
    /// As good, but its time is over.
    Expired,
    /// Signed by itself, as a kubelet's is that was set up without serving certificates.
    SelfSigned,
}

/// A certificate authority of its own for each cluster, so that nobody trusts it who was not told to.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    provider: Arc<CryptoProvider>,
    clients: Arc<dyn ClientCertVerifier>,
}

impl Authority {
    /// A new authority, with a key of its own.
    ///
    /// # Errors
    ///
    /// If no key can be made.
    pub fn new() -> Result<Self, Error> {
        let mut params = CertificateParams::new(Vec::new()).map_err(Error::certificate)?;
        params.distinguished_name.push(DnType::CommonName, "kubernetes");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(Error::certificate)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(Error::certificate)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone()).map_err(Error::tls)?;
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| Error::Tls(error.to_string()))?;
        Ok(Self { issuer, provider, clients })
    }

    /// What a client has to trust: `ca.crt`, or `certificate-authority-data` before its encoding.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for a client: the name is its common name, the groups are its organisations.
    ///
    /// # Errors
    ///
    /// If the name is none that a certificate can have.
    pub fn client(&self, user: &str, groups: &[&str]) -> Result<Identity, Error> {
        let mut params = CertificateParams::new(Vec::new()).map_err(Error::certificate)?;
        params.distinguished_name.push(DnType::CommonName, user);
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, ServerCertificate::Good)
    }

    /// Whether a certificate that a client showed was signed by this authority for clients.
    pub(crate) fn vouches_for(&self, chain: &[CertificateDer<'static>]) -> bool {
        let Some((leaf, intermediates)) = chain.split_first() else { return false };
        self.clients.verify_client_cert(leaf, intermediates, rustls::pki_types::UnixTime::now()).is_ok()
    }

    /// What a server of this cluster needs for its handshakes.
    pub(crate) fn server(&self, kind: ServerCertificate) -> Result<ServerConfig, Error> {
        let names = match kind {
            ServerCertificate::OtherName => vec!["elsewhere.example".to_owned()],
            _ => vec![
                "127.0.0.1".to_owned(),
                "localhost".to_owned(),
                "kubernetes".to_owned(),
                "kubernetes.default.svc".to_owned(),
            ],
        };
        let mut params = CertificateParams::new(names).map_err(Error::certificate)?;
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if kind == ServerCertificate::Expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        let identity = self.sign(params, kind)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(Error::tls)?
            .with_client_cert_verifier(Arc::new(AskOnly(Arc::clone(&self.clients))))
            .with_single_cert(vec![identity.certificate], key)
            .map_err(Error::tls)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn sign(&self, mut params: CertificateParams, kind: ServerCertificate) -> Result<Identity, Error> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        let key = KeyPair::generate().map_err(Error::certificate)?;
        let certificate = match kind {
            ServerCertificate::SelfSigned => params.self_signed(&key),
            _ => params.signed_by(&key, &self.issuer),
        }
        .map_err(Error::certificate)?;
        Ok(Identity {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
        })
    }
}

/// Asks clients for a certificate and lets any through the handshake, as Kubernetes' servers do: one that
/// nobody vouches for is answered with 401, not with an alert.
#[derive(Debug)]
struct AskOnly(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for AskOnly {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<rustls::server::danger::ClientCertVerified, rustls::Error> {
        Ok(rustls::server::danger::ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
