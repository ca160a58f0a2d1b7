//! From the files of `server.tls` to what rustls works with.

use super::small_file::{FileError, SmallFile};
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use telegen_config::Tls;

/// Why there is nothing to speak TLS with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{} is no PEM: {reason}", path.display())]
    Pem { path: PathBuf, reason: &'static str },
    #[error("{} has no certificate (-----BEGIN CERTIFICATE-----)", path.display())]
    NoCertificate { path: PathBuf },
    #[error("{} has no private key that is not encrypted (-----BEGIN PRIVATE KEY-----)", path.display())]
    NoKey { path: PathBuf },
    #[error("certificate {number} of {} cannot be used: {source}", path.display())]
    Authority { path: PathBuf, number: usize, source: rustls::Error },
    #[error("{} cannot be used: {source}", path.display())]
    Authorities { path: PathBuf, source: VerifierBuilderError },
    #[error("{} and {} cannot be used together: {source}", cert.display(), key.display())]
    Pair { cert: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("TLS cannot be had: {0}")]
    Library(rustls::Error),
}

/// Where certificates are.
#[derive(Clone, Debug)]
pub(super) struct TlsFiles {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
    pub(super) client_ca: Option<PathBuf>,
}

/// What is in the files.
pub(super) struct Contents {
    cert: SmallFile,
    pub(super) key: SmallFile,
    client_ca: Option<SmallFile>,
}

impl TlsFiles {
    /// The files that are configured, if TLS is.
    pub(super) fn of(tls: &Tls) -> Option<Self> {
        let (cert, key) = (tls.cert_file.clone()?, tls.key_file.clone()?);
        Some(Self { cert, key, client_ca: tls.client_ca_file.clone() })
    }

    /// Reads them all.
    pub(super) fn read(&self) -> Result<Contents, TlsError> {
        let client_ca = self.client_ca.as_deref().map(SmallFile::read).transpose()?;
        Ok(Contents { cert: SmallFile::read(&self.cert)?, key: SmallFile::read(&self.key)?, client_ca })
    }
}

impl Contents {
    /// Changes when a file does.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut all = Sha256::new();
        for file in [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten() {
            all.update(Sha256::digest(&file.bytes));
        }
        all.finalize().into()
    }

    /// What connections are spoken to with. Nothing of a connection outlives it: a session that could be resumed would let its
    /// client in without being asked for a certificate.
    pub(super) fn server_config(&self, files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = certificates(&self.cert, &files.cert)?;
        let key = key(&self.key, &files.key)?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(TlsError::Library)?;
        let builder = match self.client_ca.as_ref().zip(files.client_ca.as_deref()) {
            Some((file, path)) => builder.with_client_cert_verifier(verifier(file, path)?),
            None => builder.with_no_client_auth(),
        };
        let pair = |source| TlsError::Pair { cert: files.cert.clone(), key: files.key.clone(), source };
        let mut config = builder.with_single_cert(chain, key).map_err(pair)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

fn certificates(file: &SmallFile, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file.bytes).collect();
    let found = found.map_err(|error| malformed(path, &error))?;
    if found.is_empty() { Err(TlsError::NoCertificate { path: path.to_owned() }) } else { Ok(found) }
}

fn key(file: &SmallFile, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    match PrivateKeyDer::from_pem_slice(&file.bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(TlsError::NoKey { path: path.to_owned() }),
        Err(error) => Err(malformed(path, &error)),
    }
}

fn verifier(file: &SmallFile, path: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut authorities = RootCertStore::empty();
    for (at, certificate) in certificates(file, path)?.into_iter().enumerate() {
        let unusable = |source| TlsError::Authority { path: path.to_owned(), number: at + 1, source };
        authorities.add(certificate).map_err(unusable)?;
    }
    let provider = Arc::new(ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
        .build()
        .map_err(|source| TlsError::Authorities { path: path.to_owned(), source })
}

/// In words that quote nothing: the file may be one of keys.
fn malformed(path: &Path, error: &pem::Error) -> TlsError {
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "a section does not end",
        pem::Error::IllegalSectionStart { .. } => "the first line of a section is wrong",
        pem::Error::Base64Decode(_) => "what stands in a section is not base64",
        _ => "it cannot be read",
    };
    TlsError::Pem { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_no_certificate_or_key_is_named_and_not_quoted() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let files = TlsFiles { cert: path("cert"), key: path("key"), client_ca: None };
        let message = |cert: &str, key: &str| {
            fs::write(&files.cert, cert).unwrap();
            fs::write(&files.key, key).unwrap();
            files.read().unwrap().server_config(&files).unwrap_err().to_string()
        };
        let cert = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (cert, key, name, words) in [
            ("", "", "cert", "no certificate"),
            ("secret", "", "cert", "no certificate"),
            ("-----BEGIN CERTIFICATE-----\nsecret\n", "", "cert", "does not end"),
            (cert, "", "key", "no private key"),
            (cert, "-----BEGIN PRIVATE KEY\nsecret\n", "key", "first line of a section"),
            (cert, "-----BEGIN PRIVATE KEY-----\nsecr&t\n-----END PRIVATE KEY-----\n", "key", "not base64"),
            (
                cert,
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
                "key",
                "not encrypted",
            ),
            (cert, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "key", "together"),
        ] {
            let message = message(cert, key);
            assert!(message.contains(&*path(name).to_string_lossy()), "{message}");
            assert!(message.contains(words) && !message.contains("secr"), "{message}");
        }
    }

    #[test]
    fn tls_takes_a_certificate_and_its_key() {
        let (cert_file, key_file) = (Some(PathBuf::from("c")), Some(PathBuf::from("k")));
        let tls = Tls { cert_file: cert_file.clone(), key_file, client_ca_file: None };
        assert!(TlsFiles::of(&tls).is_some_and(|files| files.client_ca.is_none()));
        assert!(TlsFiles::of(&Tls::default()).is_none());
        assert!(TlsFiles::of(&Tls { cert_file, ..Tls::default() }).is_none());
    }

    #[test]
    fn another_file_is_another_digest() {
        let file = |text: &str| SmallFile { bytes: text.into(), world_readable: false };
        let digest = |cert, key, ca: Option<&str>| {
            Contents { cert: file(cert), key: file(key), client_ca: ca.map(file) }.digest()
        };
        let all = [
            digest("a", "b", None),
            digest("ab", "", None),
            digest("b", "a", None),
            digest("a", "b", Some("")),
            digest("a", "b", Some("c")),
        ];
        assert!((1..all.len()).all(|at| !all[..at].contains(&all[at])), "{all:?}");
        assert_eq!(digest("a", "b", Some("c")), all[4]);
    }
}
