//! Who may ask at `server.listen`, and how it is spoken to.
//!
//! Nothing of it is shown to anybody: tokens are kept as digests, keys where rustls keeps them, and messages name files.

mod certificates;
mod gate;
mod handshake;
mod small_file;
mod tls_files;
mod token;
mod token_file;

pub(crate) use certificates::Certificates;
pub(crate) use gate::Gate;
pub(super) use gate::admit;
pub(super) use handshake::shake_hands;

use crate::access_metrics::AccessMetrics;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;
use telegen_config::Server;
use tls_files::{TlsError, TlsFiles};
use token_file::TokenFileError;

/// Who may ask, and how.
pub(crate) struct Access {
    pub(crate) gate: Gate,
    pub(crate) certificates: Option<Arc<Certificates>>,
}

/// Why it is not known who may ask.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    #[error("server.token_file: {0}")]
    Tokens(#[from] TokenFileError),
    #[error("server.tls: {0}")]
    Tls(#[from] TlsError),
}

impl Access {
    /// Reads the files that are configured.
    pub(crate) fn open(server: &Server, metrics: &AccessMetrics) -> Result<Self, AccessError> {
        let now = Instant::now();
        let gate = Gate::open(server, metrics.clone(), now)?;
        let files = TlsFiles::of(&server.tls);
        let certificates = files.map(|files| Certificates::open(files, metrics.clone(), now)).transpose()?;
        Ok(Self { gate, certificates: certificates.map(Arc::new) })
    }
}

/// Who may ask, for a line of the log.
pub(crate) struct Whom<'a>(pub(crate) &'a Server);

impl fmt::Display for Whom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.0.tls.cert_file.is_some() { "HTTPS" } else { "HTTP" };
        let who = match (self.0.token_file.is_some(), self.0.tls.client_ca_file.is_some()) {
            (true, true) => "clients with a certificate and a token",
            (true, false) => "clients with a token",
            (false, true) => "clients with a certificate",
            (false, false) if self.0.is_exposed() => "anybody",
            (false, false) => "anybody on this machine",
        };
        write!(f, "{tls}, {who}")
    }
}
