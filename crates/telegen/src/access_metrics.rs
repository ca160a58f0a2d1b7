//! Who was not answered, and how certificates fare.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Why somebody was not answered as he would have liked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rejection {
    /// By another name than an address.
    Host,
    /// Without a token.
    TokenMissing,
    /// With one that is not known.
    TokenWrong,
    /// While the file with the tokens cannot be used.
    TokenFile,
    /// Without a certificate, or with one that does not count.
    ClientCertificate,
    /// Not in TLS.
    PlainHttp,
    /// In some way that TLS knows nothing of, or that is not spoken here.
    Handshake,
    /// Too slowly.
    HandshakeTimeout,
    /// While others from the same address have as many connections as they may.
    Connections,
}

impl Rejection {
    const ALL: [Self; 9] = [
        Self::Host,
        Self::TokenMissing,
        Self::TokenWrong,
        Self::TokenFile,
        Self::ClientCertificate,
        Self::PlainHttp,
        Self::Handshake,
        Self::HandshakeTimeout,
        Self::Connections,
    ];

    /// The word for it in metrics and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::TokenMissing => "token_missing",
            Self::TokenWrong => "token_wrong",
            Self::TokenFile => "token_file",
            Self::ClientCertificate => "client_certificate",
            Self::PlainHttp => "plain_http",
            Self::Handshake => "tls_handshake",
            Self::HandshakeTimeout => "tls_timeout",
            Self::Connections => "connections",
        }
    }
}

/// Who was not answered, and how certificates fare.
#[derive(Clone, Debug)]
pub(crate) struct AccessMetrics {
    rejected: Family<ReasonLabel, Counter>,
    certificate_reloads: Family<OutcomeLabel, Counter>,
    last_certificate_reload_successful: Gauge,
}

impl Default for AccessMetrics {
    fn default() -> Self {
        let metrics = Self {
            rejected: Family::default(),
            certificate_reloads: Family::default(),
            last_certificate_reload_successful: Gauge::default(),
        };
        for rejection in Rejection::ALL {
            drop(metrics.rejected.get_or_create(&ReasonLabel { reason: rejection.name() }));
        }
        for outcome in ["success", "failure"] {
            drop(metrics.certificate_reloads.get_or_create(&OutcomeLabel { outcome }));
        }
        metrics.last_certificate_reload_successful.set(1);
        metrics
    }
}

impl AccessMetrics {
    pub(crate) fn register(&self, profiler: &mut Registry) {
        profiler.register(
            "http_requests_rejected",
            "Requests and connections that were refused, by reason",
            self.rejected.clone(),
        );
        profiler.register(
            "certificate_reloads",
            "Changes of the files of server.tls, by whether they could be used",
            self.certificate_reloads.clone(),
        );
        profiler.register(
            "certificate_last_reload_successful",
            "Whether the files of server.tls, as they are, are in use",
            self.last_certificate_reload_successful.clone(),
        );
    }

    /// Counts somebody who was not answered.
    pub(crate) fn count(&self, rejection: Rejection) {
        self.rejected.get_or_create(&ReasonLabel { reason: rejection.name() }).inc();
    }

    /// Counts a change of the files of `server.tls`.
    pub(crate) fn count_certificate_reload(&self, result: Result<(), ()>) {
        let outcome = if result.is_ok() { "success" } else { "failure" };
        self.certificate_reloads.get_or_create(&OutcomeLabel { outcome }).inc();
        self.last_certificate_reload_successful.set(i64::from(result.is_ok()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_is_there_from_the_start_and_counted() {
        let metrics = AccessMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        metrics.count(Rejection::TokenWrong);
        metrics.count_certificate_reload(Err(()));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for rejection in Rejection::ALL {
            let count = u8::from(rejection == Rejection::TokenWrong);
            let line = format!("http_requests_rejected_total{{reason=\"{}\"}} {count}\n", rejection.name());
            assert!(text.contains(&line), "{line}{text}");
        }
        assert_eq!(Rejection::ALL.map(Rejection::name).iter().collect::<BTreeSet<_>>().len(), 9);
        for line in [
            "certificate_reloads_total{outcome=\"failure\"} 1\n",
            "certificate_reloads_total{outcome=\"success\"} 0\n",
            "certificate_last_reload_successful 0\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
