//! What can go wrong between telegen and a source of pods.

use std::path::PathBuf;
use std::time::Duration;

/// Why a source did not answer what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to authenticate with.
    #[error(
        "no way to the API server: {reason}; set `kubernetes.kubeconfig`, or run in a pod with a service account"
    )]
    NoAccess {
        /// What was looked for.
        reason: String,
    },
    /// A kubeconfig is wrong.
    #[error("{}: {reason}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The connection could not be made, or broke.
    #[error("{what}: {reason}")]
    Connection {
        /// What was asked for.
        what: &'static str,
        /// The innermost reasons.
        reason: String,
    },
    /// The server refused.
    #[error("{what}: answered {status}: {message}{}", hint(*status))]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The HTTP status.
        status: u16,
        /// The server's words.
        message: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The history that a watch should go on from is gone: all is to be listed anew.
    #[error("the resource version is too old")]
    Expired,
    /// The answer cannot be understood.
    #[error("{what}: {reason}")]
    BadAnswer {
        /// What was asked for.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No answer in time.
    #[error("{what}: no answer within {} s", after.as_secs())]
    TimedOut {
        /// What was asked for.
        what: &'static str,
        /// How long was waited.
        after: Duration,
    },
}

impl Error {
    /// How long the server wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What a client error says, with the reasons behind it.
    pub(crate) fn connection(what: &'static str, error: &dyn std::error::Error) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        // What stands between the request and its connection names itself only.
        if let Some(inner) = source.filter(|inner| reason == format!("ServiceError: {inner}")) {
            (reason, source) = (inner.to_string(), inner.source());
        }
        while let Some(inner) = source {
            // It explains itself with a web page.
            let text = inner.to_string();
            let text = text.split(": https://docs.rs/").next().unwrap_or_default().to_owned();
            if !reason.contains(&text) {
                reason = format!("{reason}: {text}");
            }
            source = inner.source();
        }
        Self::Connection { what, reason }
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        401 => " (the token or certificate is not accepted)",
        403 => " (the service account lacks this permission: see deploy/kubernetes/rbac.yaml)",
        _ => "",
    }
}
