//! Asking a server.

use crate::store::Store;
use crate::{Error, Figures, Options, Outcome};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap, LOCATION, USER_AGENT};
use http::uri::{Parts, Scheme};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;
use telegen_model::BuildId;

const AGENT: &str = concat!("telegen/", env!("CARGO_PKG_VERSION"));
/// How often a server may say that a file is elsewhere.
const MAX_REDIRECTS: usize = 3;
/// How long a connection that is not used is kept: servers are asked for many files at a time, then for none.
const IDLE: Duration = Duration::from_secs(10);
/// What servers of elfutils say the size in, as they send files in pieces.
const FILE_SIZE: &str = "x-debuginfod-size";

/// Asks servers, one after the other.
#[derive(Debug)]
pub(crate) struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    urls: Vec<String>,
    max_file_bytes: u64,
    timeout: Duration,
    store: Arc<Store>,
    figures: Arc<Figures>,
}

impl Fetcher {
    pub(crate) fn new(options: &Options, store: Arc<Store>, figures: Arc<Figures>) -> Self {
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_idle_timeout(IDLE).pool_max_idle_per_host(2);
        Self {
            client: client.build(connector()),
            urls: options.urls.clone(),
            max_file_bytes: options.max_file_bytes,
            timeout: options.timeout,
            store,
            figures,
        }
    }

    /// Asks until one has the file; what kept the others from having it, rather than that they do not have it.
    pub(crate) async fn fetch(&self, id: &BuildId) -> Outcome {
        let mut worst = Outcome::Missing;
        for url in &self.urls {
            let asking = self.ask(url, id);
            let outcome = tokio::time::timeout(self.timeout, asking).await.unwrap_or(Err(Outcome::TimedOut));
            let outcome = outcome.err().unwrap_or(Outcome::Found);
            self.figures.count(outcome);
            tracing::debug!(%id, url, outcome = outcome.name(), "asked for a debug file");
            match outcome {
                Outcome::Found => return Outcome::Found,
                Outcome::Missing => {}
                failed => worst = failed,
            }
        }
        worst
    }

    async fn ask(&self, url: &str, id: &BuildId) -> Result<(), Outcome> {
        let mut uri = uri_of(url, id).ok_or(Outcome::Refused)?;
        for _ in 0..=MAX_REDIRECTS {
            let request = Request::get(uri.clone()).header(USER_AGENT, AGENT).body(Empty::new());
            let request = request.map_err(|_| Outcome::Refused)?;
            let response = self.client.request(request).await.map_err(|_| Outcome::Unreachable)?;
            match response.status() {
                StatusCode::OK => return self.take(response, id).await,
                StatusCode::NOT_FOUND => return Err(Outcome::Missing),
                status if status.is_redirection() => {
                    uri = elsewhere(uri, response.headers()).ok_or(Outcome::Refused)?;
                }
                _ => return Err(Outcome::Refused),
            }
        }
        Err(Outcome::Refused)
    }

    async fn take(
        &self,
        response: Response<impl http_body::Body<Data = Bytes> + Unpin>,
        id: &BuildId,
    ) -> Result<(), Outcome> {
        let said = [CONTENT_LENGTH.as_str(), FILE_SIZE].map(|name| size(response.headers(), name));
        if said.into_iter().flatten().any(|bytes| bytes > self.max_file_bytes) {
            return Err(Outcome::TooLarge);
        }
        let mut part = self.store.part(id).map_err(|_| Outcome::Unwritable)?;
        let (mut body, mut received) = (response.into_body(), 0);
        while let Some(frame) = body.frame().await {
            let Ok(bytes) = frame.map_err(|_| Outcome::CutShort)?.into_data() else { continue };
            self.figures.count_received(bytes.len());
            received += bytes.len() as u64;
            if received > self.max_file_bytes {
                return Err(Outcome::TooLarge);
            }
            part.write(&bytes)?;
        }
        match part.publish(id) {
            Outcome::Found => Ok(()),
            failed => Err(failed),
        }
    }
}

/// HTTP, and HTTPS with the certificates that this machine trusts, of which there may be none.
fn connector() -> HttpsConnector<HttpConnector> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has what TLS 1.2 and 1.3 need")
        .with_root_certificates(roots)
        .with_no_client_auth();
    HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build()
}

/// Whether a text is the address of a server.
///
/// # Errors
///
/// With what is wrong with it, if it is not.
pub fn check_url(url: &str) -> Result<(), Error> {
    let refused = |reason: &str| Error::Url { url: url.into(), reason: reason.into() };
    let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| refused(&error.to_string()))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(refused("it does not begin with http:// or https://"));
    }
    if uri.query().is_some() {
        return Err(refused("it has a query"));
    }
    Ok(())
}

fn uri_of(url: &str, id: &BuildId) -> Option<Uri> {
    format!("{}/buildid/{id}/debuginfo", url.trim_end_matches('/')).parse().ok()
}

/// Where a file is, by the header `location`. It may not lead from HTTPS to HTTP.
fn elsewhere(from: Uri, headers: &HeaderMap) -> Option<Uri> {
    let to: Uri = headers.get(LOCATION)?.to_str().ok()?.parse().ok()?;
    let from_https = from.scheme() == Some(&Scheme::HTTPS);
    let mut parts: Parts = to.into_parts();
    let from = from.into_parts();
    if parts.scheme.is_none() {
        parts.scheme = from.scheme;
    }
    if parts.authority.is_none() {
        parts.authority = from.authority;
    }
    let to = Uri::from_parts(parts).ok()?;
    let is_secure = to.scheme() == Some(&Scheme::HTTPS);
    (is_secure || !from_https && to.scheme() == Some(&Scheme::HTTP)).then_some(to)
}

fn size(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_server_is_refused() {
        for url in ["http://localhost:8002", "https://debuginfod.example/", "http://a/b"] {
            assert!(check_url(url).is_ok(), "{url}");
        }
        for url in ["", "localhost:8002", "ftp://a", "/a", "http://", "http://a?x", "http://a b"] {
            assert!(check_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_path_is_that_of_the_protocol() {
        let id = BuildId::new(&[0xab, 1]).unwrap();
        for url in ["http://a/b", "http://a/b/"] {
            assert_eq!(uri_of(url, &id).unwrap(), "http://a/b/buildid/ab01/debuginfo");
        }
    }

    #[test]
    fn a_file_may_be_elsewhere_but_not_where_it_is_less_safe() {
        let to = |from: &'static str, location: &'static str| {
            let headers = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
            elsewhere(Uri::from_static(from), &headers).map(|uri| uri.to_string())
        };
        assert_eq!(to("http://a/b", "/c").as_deref(), Some("http://a/c"));
        assert_eq!(to("http://a/b", "http://d/c").as_deref(), Some("http://d/c"));
        assert_eq!(to("http://a/b", "https://d/c").as_deref(), Some("https://d/c"));
        assert_eq!(to("https://a/b", "http://d/c"), None);
        assert_eq!(to("https://a/b", "/c").as_deref(), Some("https://a/c"));
        assert_eq!(to("http://a/b", "file:///etc/passwd"), None);
    }
}
