//! A client that knows nothing of Kubernetes: HTTP/1.1 over TLS, one request a connection.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use telegen_test_kubernetes::{ApiServer, Identity};

pub(crate) type Stream = BufReader<StreamOwned<ClientConnection, TcpStream>>;

pub(crate) struct Client {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    token: Option<String>,
    patience: Duration,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    body: Body,
}

enum Body {
    Length(u64, Stream),
    Chunked { left: u64, ended: bool, stream: Stream },
}

impl Client {
    pub(crate) fn new(address: SocketAddr, ca_pem: &str) -> Self {
        Self::with(address, ca_pem, None)
    }

    pub(crate) fn with(address: SocketAddr, ca_pem: &str, identity: Option<&Identity>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let tls = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let certificate =
                    CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        Self { address, tls: Arc::new(tls), token: None, patience: Duration::from_secs(10) }
    }

    /// A client that may do anything.
    pub(crate) fn admin(server: &ApiServer) -> Self {
        server.access().grant_all("admin");
        let token = server.access().issue_token("admin");
        Self::new(server.address(), &server.access().authority().pem()).token(&token)
    }

    pub(crate) fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// How long it waits for a byte.
    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) fn ask(&self, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        let tcp = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))?;
        tcp.set_read_timeout(Some(self.patience))?;
        tcp.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let tls = ClientConnection::new(Arc::clone(&self.tls), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(tls, tcp);
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        if let Some(token) = &self.token {
            request.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes())?;
        Answer::read(BufReader::new(stream))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(path, &[]).unwrap()
    }

    /// The status and the JSON of an answer.
    pub(crate) fn json(&self, path: &str) -> (u16, Value) {
        let answer = self.get(path);
        let status = answer.status;
        let text = answer.text().unwrap();
        (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    pub(crate) fn watch(&self, query: &str) -> Events {
        let answer = self.get(&format!("/api/v1/pods?watch=1&{query}"));
        assert_eq!(answer.status, 200);
        Events(BufReader::new(answer))
    }
}

impl Answer {
    fn read(mut stream: Stream) -> io::Result<Self> {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, line.clone()))?;
        let mut headers = Vec::new();
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let body = match length.and_then(|(_, value)| value.parse().ok()) {
            Some(length) => Body::Length(length, stream),
            None => Body::Chunked { left: 0, ended: false, stream },
        };
        Ok(Self { status, headers, body })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Fails unless the body ends in order.
    pub(crate) fn text(mut self) -> io::Result<String> {
        let mut text = String::new();
        self.read_to_string(&mut text)?;
        Ok(text)
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (left, stream) = match &mut self.body {
            Body::Length(left, stream) => (left, stream),
            Body::Chunked { left, ended, stream } => {
                if *left == 0 && !*ended {
                    let mut line = String::new();
                    stream.read_line(&mut line)?;
                    *left = u64::from_str_radix(line.trim_end(), 16)
                        .map_err(|_| io::Error::new(io::ErrorKind::UnexpectedEof, "no chunk"))?;
                    *ended = *left == 0;
                }
                (left, stream)
            }
        };
        if *left == 0 {
            return Ok(0);
        }
        let most = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        let read = stream.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *left -= read as u64;
        if let Body::Chunked { left: 0, stream, .. } = &mut self.body {
            let mut end = [0; 2];
            stream.read_exact(&mut end)?;
        }
        Ok(read)
    }
}

/// The lines of a watch.
pub(crate) struct Events(BufReader<Answer>);

impl Events {
    /// The next event; None at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Value>> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&line).map(Some).map_err(io::Error::other)
    }

    /// The type and the name of the next event.
    pub(crate) fn told(&mut self) -> (String, String) {
        let event = self.next().unwrap().expect("the watch has ended");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}
