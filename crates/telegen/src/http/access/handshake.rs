//! From a connection to one in TLS.

use super::super::connection::Connection;
use crate::access_metrics::Rejection;
use rustls::{Error, ServerConfig};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of a request that is not in TLS is taken before the connection ends: it would break off the answer otherwise.
const MAX_PLAIN_BYTES: u64 = 64 << 10;
const PLAIN_ANSWER: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
    connection: close\r\n\r\n{\"error\":\"this address is spoken to in TLS: ask by https://\"}\n";

/// Agrees with a client on TLS. Who goes before he has said anything is nobody to be counted.
pub(in super::super) async fn shake_hands(
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> Result<TlsStream<Connection>, Option<Rejection>> {
    match timeout(PATIENCE, agree(stream, config)).await {
        Ok(agreed) => agreed,
        Err(_) => Err(Some(Rejection::HandshakeTimeout)),
    }
}

async fn agree(
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> Result<TlsStream<Connection>, Option<Rejection>> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(0) | Err(_) => return Err(None),
        // A record of TLS begins with a number, a request with its method.
        Ok(_) if first[0].is_ascii_uppercase() => {
            // Whether that arrives is the client's affair.
            let _ = answer_plainly(stream).await;
            return Err(Some(Rejection::PlainHttp));
        }
        Ok(_) => {}
    }
    TlsAcceptor::from(config).accept(Connection::new(stream)).await.map_err(|error| {
        tracing::debug!(%error, "a TLS handshake has failed");
        Some(reason(&error))
    })
}

async fn answer_plainly(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(PLAIN_ANSWER).await?;
    stream.shutdown().await?;
    copy(&mut stream.take(MAX_PLAIN_BYTES), &mut sink()).await?;
    Ok(())
}

fn reason(error: &io::Error) -> Rejection {
    match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented) => Rejection::ClientCertificate,
        _ => Rejection::Handshake,
    }
}
