//! What probes and scrapers ask: `/healthz`, `/readyz`, `/metrics`, and nothing else.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::sync::Arc;

/// What they ask of the agent.
pub(crate) trait Health: Send + Sync + 'static {
    /// `Ok` once programs are attached and the first scan is done, else what is still missing.
    fn ready(&self) -> Result<(), String>;
    /// All metrics, in the OpenMetrics text format.
    fn metrics(&self) -> String;
}

/// What is at `server.health_listen`.
pub(crate) fn health(health: Arc<dyn Health>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn ready(State(health): State<Arc<dyn Health>>) -> impl IntoResponse {
    match health.ready() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {missing}\n")),
    }
}

async fn metrics(State(health): State<Arc<dyn Health>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], health.metrics())
}

#[cfg(test)]
mod tests {
    use super::super::answer::tests::ask;
    use super::super::{HttpServer, Site};
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[derive(Default)]
    struct Agent(AtomicBool);

    impl Health for Agent {
        fn ready(&self) -> Result<(), String> {
            if self.0.load(Ordering::Relaxed) { Ok(()) } else { Err("the first scan".into()) }
        }

        fn metrics(&self) -> String {
            "# EOF\n".into()
        }
    }

    #[test]
    fn probes_are_answered_and_nothing_else_is_there() {
        let agent = Arc::new(Agent::default());
        let site = Site::bind("127.0.0.1:0".parse().unwrap(), health(agent.clone())).unwrap();
        let address = site.address().unwrap();
        let _server = HttpServer::start(vec![site]).unwrap();
        assert!(ask(address, "GET", "/healthz").starts_with("HTTP/1.1 200"));
        let answer = ask(address, "GET", "/readyz");
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("the first scan"));
        agent.0.store(true, Ordering::Relaxed);
        assert!(ask(address, "GET", "/readyz").starts_with("HTTP/1.1 200"));
        assert!(ask(address, "GET", "/metrics").ends_with("# EOF\n"));
        assert!(ask(address, "GET", "/debug/pprof/profile").starts_with("HTTP/1.1 404"));
    }
}
