//! The thread `tg-http`, and who may be connected to it.

use super::access::{Certificates, shake_hands};
use super::connection::Connection;
use super::peers::Peers;
use super::transport::Transport;
use crate::access_metrics::{AccessMetrics, Rejection};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Connections to one address; more wait until the kernel has no room for them.
const MAX_CONNECTIONS: usize = 128;
/// How long a request may take to arrive, and a connection may go without one.
const REQUEST_PATIENCE: Duration = Duration::from_secs(30);
/// What the kernel holds of an answer on its way to a client, in bytes. It is charged to the agent's control group.
const SEND_BUFFER: usize = 128 << 10;
/// The most that a request may have before its body, and that of an answer is held here, in bytes of each connection.
const BUFFER: usize = 64 << 10;
/// How long clients may take to get what they have asked for when the agent ends.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// An address that is listened at, and what is there.
pub(crate) struct Site {
    listener: TcpListener,
    router: Router,
    certificates: Option<Arc<Certificates>>,
    metrics: AccessMetrics,
}

impl Site {
    /// Listens; an address that is taken or not ours is an error now rather than a log line later.
    pub(crate) fn bind(address: SocketAddr, router: Router) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        // Connections have what the listener has.
        rustix::net::sockopt::set_socket_send_buffer_size(&listener, SEND_BUFFER)?;
        Ok(Self { listener, router, certificates: None, metrics: AccessMetrics::default() })
    }

    /// Is spoken to in TLS if there are certificates.
    pub(crate) fn with_certificates(self, certificates: Option<Arc<Certificates>>) -> Self {
        Self { certificates, ..self }
    }

    /// Counts here who is not served.
    pub(crate) fn with_metrics(self, metrics: AccessMetrics) -> Self {
        Self { metrics, ..self }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The thread that serves all sites. Dropping it stops it.
pub(crate) struct HttpServer {
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Starts the thread.
    pub(crate) fn start(sites: Vec<Site>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(());
        let thread = std::thread::Builder::new().name("tg-http".into()).spawn(move || {
            runtime.block_on(async move {
                let mut serving = JoinSet::new();
                for site in sites {
                    serving.spawn(serve(site, stopped.clone()));
                }
                drop(stopped);
                while let Some(served) = serving.join_next().await {
                    if let Ok(Err(error)) = served {
                        tracing::error!(%error, "an HTTP listener has stopped");
                    }
                }
            });
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // The end of the only sender says it.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed by its thread.
            let _ = thread.join();
        }
    }
}

/// Serves a site until the sender of `stopped` is gone.
async fn serve(site: Site, mut stopped: watch::Receiver<()>) -> io::Result<()> {
    let Site { listener, router, certificates, metrics } = site;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let peers = Peers::default();
    let connections = GracefulShutdown::new();
    let conversation = Conversation { router, certificates, metrics, stopped: stopped.clone() };
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            _ = stopped.changed() => break,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of file descriptors, most likely: asking again at once would only keep the CPU busy.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Some(counted) = peers.admit(peer.ip()) else {
            conversation.metrics.count(Rejection::Connections);
            continue;
        };
        let (conversation, watcher) = (conversation.clone(), connections.watcher());
        tokio::spawn(async move {
            conversation.run(stream, watcher).await;
            drop((place, counted));
        });
    }
    drop(listener);
    // Who does not read does not keep the agent from ending.
    let _ = tokio::time::timeout(END_PATIENCE, connections.shutdown()).await;
    Ok(())
}

/// What every connection to a site needs.
#[derive(Clone)]
struct Conversation {
    router: Router,
    certificates: Option<Arc<Certificates>>,
    metrics: AccessMetrics,
    stopped: watch::Receiver<()>,
}

impl Conversation {
    /// Answers until the client goes, or has to.
    async fn run(mut self, stream: TcpStream, watcher: Watcher) {
        let Some(transport) = self.agree(stream).await else { return };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(REQUEST_PATIENCE).max_buf_size(BUFFER);
        let service = TowerToHyperService::new(self.router);
        let connection = http.serve_connection(TokioIo::new(transport), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "an HTTP connection has ended");
        }
    }

    /// The connection as it is spoken over, if that can be agreed on.
    async fn agree(&mut self, stream: TcpStream) -> Option<Transport> {
        let Some(certificates) = &self.certificates else {
            return Some(Transport::Plain(Connection::new(stream)));
        };
        let agreed = tokio::select! {
            agreed = shake_hands(stream, certificates.current(Instant::now())) => agreed,
            _ = self.stopped.changed() => return None,
        };
        match agreed {
            Ok(stream) => Some(Transport::Tls(Box::new(stream))),
            Err(rejection) => {
                if let Some(rejection) = rejection {
                    self.metrics.count(rejection);
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::io::Write;
    use std::net::TcpStream;
    use std::time::Instant;

    #[test]
    fn a_client_that_does_not_read_does_not_hold_up_others_nor_the_end() {
        let router = Router::new()
            .route("/large", get(|| async { vec![0u8; 64 << 20] }))
            .route("/small", get(|| async { "small" }));
        let site = Site::bind("127.0.0.1:0".parse().unwrap(), router).unwrap();
        let address = site.address().unwrap();
        let server = HttpServer::start(vec![site]).unwrap();
        let mut stalled = TcpStream::connect(address).unwrap();
        write!(stalled, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert!(super::super::answer::tests::ask(address, "GET", "/small").ends_with("small"));
        let begin = Instant::now();
        drop(server);
        assert!(begin.elapsed() < 10 * END_PATIENCE, "{:?}", begin.elapsed());
        assert!(TcpStream::connect(address).is_err());
    }
}
