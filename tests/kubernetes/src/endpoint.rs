//! An address at which a server listens, and its connections: what can be taken away and given back.

use crate::Error;
use crate::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc as channel;
use std::thread::JoinHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Who is at the other end of a connection.
pub(crate) struct Peer {
    /// Counts from one.
    pub(crate) connection: u64,
    /// What the client showed in the handshake, leaf first.
    pub(crate) certificates: Vec<CertificateDer<'static>>,
}

pub(crate) type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Answers requests.
pub(crate) trait Service: Send + Sync + 'static {
    fn answer(self: Arc<Self>, request: Request<Incoming>, peer: Arc<Peer>) -> Answering;
}

enum Command {
    /// Closes the listener: connections are refused.
    Close,
    /// Listens again.
    Open,
    /// Keeps listening but takes no connection: they are made by the kernel, and nobody speaks.
    Deafen,
    /// Cuts all connections, whatever they are at.
    Cut,
    Stop,
}

/// Serves at one address until it is dropped.
pub(crate) struct Endpoint {
    address: SocketAddr,
    commands: mpsc::Sender<(Command, channel::SyncSender<io::Result<()>>)>,
    accepted: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    pub(crate) fn start(tls: ServerConfig, service: Arc<dyn Service>) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address: "127.0.0.1".to_owned(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listener = runtime.block_on(listen_anywhere()).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (commands, received) = mpsc::channel(16);
        let accepted = Arc::new(AtomicU64::new(0));
        let server = Server {
            address,
            listener: Some(listener),
            deaf: false,
            tls: TlsAcceptor::from(Arc::new(tls)),
            service,
            accepted: Arc::clone(&accepted),
            connections: JoinSet::new(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("kubernetes-{}", address.port()))
            .spawn(move || runtime.block_on(server.run(received)))
            .map_err(failed)?;
        Ok(Self { address, commands, accepted, thread: Some(thread) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Closes the listener and cuts all connections.
    pub(crate) fn down(&self) -> Result<(), Error> {
        self.tell(Command::Close)?;
        self.tell(Command::Cut)
    }

    pub(crate) fn refuse(&self) -> Result<(), Error> {
        self.tell(Command::Close)
    }

    pub(crate) fn up(&self) -> Result<(), Error> {
        self.tell(Command::Open)
    }

    pub(crate) fn deafen(&self) -> Result<(), Error> {
        self.tell(Command::Deafen)
    }

    pub(crate) fn cut(&self) -> Result<(), Error> {
        self.tell(Command::Cut)
    }

    fn tell(&self, command: Command) -> Result<(), Error> {
        let (done, wait) = channel::sync_channel(1);
        let stopped = || Error::Stopped(self.address.to_string());
        self.commands.blocking_send((command, done)).map_err(|_| stopped())?;
        let outcome = wait.recv().map_err(|_| stopped())?;
        outcome.map_err(|source| Error::Listen { address: self.address.to_string(), source })
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // A server that stopped by itself is as good as one that is told to.
        let _ = self.tell(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Server {
    address: SocketAddr,
    listener: Option<TcpListener>,
    deaf: bool,
    tls: TlsAcceptor,
    service: Arc<dyn Service>,
    accepted: Arc<AtomicU64>,
    connections: JoinSet<()>,
}

impl Server {
    async fn run(mut self, mut commands: mpsc::Receiver<(Command, channel::SyncSender<io::Result<()>>)>) {
        loop {
            tokio::select! {
                command = commands.recv() => {
                    let Some((command, done)) = command else { return };
                    let stop = matches!(command, Command::Stop);
                    // Nobody waits any more only if the caller was killed.
                    let _ = done.send(self.obey(command).await);
                    if stop {
                        return;
                    }
                }
                stream = accept(self.listener.as_ref().filter(|_| !self.deaf)) => self.take(stream),
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    async fn obey(&mut self, command: Command) -> io::Result<()> {
        match command {
            Command::Close => self.listener = None,
            Command::Open => {
                self.deaf = false;
                if self.listener.is_none() {
                    self.listener = Some(TcpListener::bind(self.address).await?);
                }
            }
            Command::Deafen => self.deaf = true,
            Command::Cut | Command::Stop => self.connections.shutdown().await,
        }
        Ok(())
    }

    fn take(&mut self, stream: TcpStream) {
        let connection = self.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        let tls = self.tls.clone();
        let service = Arc::clone(&self.service);
        self.connections.spawn(async move {
            // A handshake that fails and a client that goes away are the client's affair.
            let _ = stream.set_nodelay(true);
            let Ok(stream) = tls.accept(stream).await else { return };
            let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
            let peer = Arc::new(Peer { connection, certificates });
            let answer = service_fn(move |request| {
                let answer = Arc::clone(&service).answer(request, Arc::clone(&peer));
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // Out of descriptors, or gone before it was taken.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

/// Takes a port below those that the kernel gives to outgoing connections, so that nobody else gets it
/// while the server is down.
async fn listen_anywhere() -> io::Result<TcpListener> {
    let mut last = io::Error::other("no port was tried");
    for _ in 0..64 {
        let port = 20_000 + crate::random::number() % 12_000;
        let port = u16::try_from(port).expect("less than 32,000");
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}
