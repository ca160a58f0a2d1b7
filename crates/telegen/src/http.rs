//! What probes and scrapers ask: `/healthz`, `/readyz`, `/metrics`, and nothing else.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// What the server asks of the agent.
pub(crate) trait Health: Send + Sync + 'static {
    /// `Ok` once programs are attached and the first scan is done, else what is still missing.
    fn ready(&self) -> Result<(), String>;
    /// All metrics, in the OpenMetrics text format.
    fn metrics(&self) -> String;
}

/// The server for probes and scrapers. Dropping it stops it.
pub(crate) struct HealthServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HealthServer {
    /// Listens; an address that is taken or not ours is an error now rather than a log line later.
    pub(crate) fn start(address: SocketAddr, health: Arc<dyn Health>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("tg-http".into()).spawn(move || {
            let served = runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                axum::serve(listener, router(health))
                    .with_graceful_shutdown(async {
                        // Either way the answer is to stop: a message, or the sender gone.
                        let _ = stopped.await;
                    })
                    .await
            });
            if let Err(error) = served {
                tracing::error!(%error, "the health server has stopped");
            }
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HealthServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The server may have stopped by itself, which was logged.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed by its thread.
            let _ = thread.join();
        }
    }
}

fn router(health: Arc<dyn Health>) -> Router {
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
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;
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

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn probes_are_answered_and_nothing_else_is_there() {
        let agent = Arc::new(Agent::default());
        let server = HealthServer::start("127.0.0.1:0".parse().unwrap(), agent.clone()).unwrap();
        let address = server.address();
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 200"));
        let answer = get(address, "/readyz");
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("the first scan"));
        agent.0.store(true, Ordering::Relaxed);
        assert!(get(address, "/readyz").starts_with("HTTP/1.1 200"));
        assert!(get(address, "/metrics").ends_with("# EOF\n"));
        assert!(get(address, "/debug/pprof/profile").starts_with("HTTP/1.1 404"));
        drop(server);
        assert!(TcpStream::connect(address).is_err());
    }
}
