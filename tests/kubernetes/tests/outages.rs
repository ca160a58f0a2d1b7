//! Servers that are not there, and what is counted of clients that try.

use crate::client::Client;
use crate::lists::{pod, server};
use std::io::ErrorKind;
use std::time::Duration;
use telegen_test_kubernetes::{ApiServer, Options, ServerCertificate};

/// Whether a connection has gone, rather than been silent for too long.
pub(crate) fn is_cut(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)
}

#[test]
fn a_server_goes_down_and_comes_back_at_the_same_port() {
    let server = server(1, Options::default());
    let client = Client::admin(&server);
    for _ in 0..3 {
        let mut events = client.watch("resourceVersion=0");
        events.told();
        server.down().unwrap();
        assert!(is_cut(&events.next().unwrap_err()), "a watch is cut, not ended and not left alone");
        let refused = client.ask("/version", &[]).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        server.up().unwrap();
        assert_eq!(client.get("/version").status, 200);
    }
    server.up().unwrap();
    assert_eq!(client.get("/version").status, 200, "up twice is up");
}

#[test]
fn connections_are_cut_refused_and_ignored() {
    let server = server(1, Options::default());
    let client = Client::admin(&server);
    let mut events = client.watch("resourceVersion=0");
    events.told();
    server.refuse_connections().unwrap();
    assert!(client.ask("/version", &[]).is_err());
    server.cluster().put(pod(2).build()).unwrap();
    assert_eq!(events.told().1, "p2", "what is connected goes on");
    server.up().unwrap();
    server.cut_connections().unwrap();
    assert!(is_cut(&events.next().unwrap_err()));
    assert_eq!(client.get("/version").status, 200);

    server.ignore_connections().unwrap();
    let impatient = Client::admin(&server).patience(Duration::from_millis(300));
    let silence = impatient.ask("/version", &[]).err().unwrap().kind();
    assert!(matches!(silence, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence:?}");
    server.up().unwrap();
    assert_eq!(client.get("/version").status, 200);
}

#[test]
fn what_was_asked_is_counted() {
    let server = server(3, Options::default());
    let client = Client::admin(&server);
    client.get("/api/v1/pods?limit=500&fieldSelector=spec.nodeName%3Dn0").text().unwrap();
    let mark = server.ledger().len();
    let text = client.get("/api/v1/pods?resourceVersion=0").text().unwrap();
    client.get("/apis/apps/v1/namespaces/a/replicasets/gone").text().unwrap();
    let entries = server.ledger().since(mark);
    let kinds: Vec<_> = entries.iter().map(|entry| (entry.verb.as_str(), entry.resource.as_str())).collect();
    assert_eq!(kinds, [("list", "pods"), ("get", "replicasets.apps")]);
    assert_eq!((entries[0].status, entries[1].status), (200, 404));
    assert_eq!(entries[0].sent_bytes(), text.len() as u64);
    assert_eq!(entries[0].parameter("resourceVersion"), Some("0"));
    assert_eq!((entries[1].namespace.as_deref(), entries[1].name.as_deref()), (Some("a"), Some("gone")));
    assert_eq!(entries[0].user, "admin");
    assert_eq!(entries[0].header("authorization"), None, "no secrets in what may be printed");
    assert_eq!(server.ledger().count(|entry| entry.is("list", "pods")), 2);
    let first = &server.ledger().entries()[0];
    assert_eq!(first.parameter("fieldSelector"), Some("spec.nodeName=n0"));
    assert_eq!(server.connections(), 3);

    let waited = std::thread::scope(|scope| {
        scope.spawn(|| client.get("/version"));
        server.ledger().wait(1, Duration::from_secs(5), |entry| entry.path == "/version")
    });
    assert!(waited);
    assert!(!server.ledger().wait(2, Duration::from_millis(50), |entry| entry.path == "/version"));
}

#[test]
fn replicas_are_one_cluster() {
    let first = server(1, Options::default());
    let second = first.replica(Options::default()).unwrap();
    let client = Client::admin(&second);
    let mut events = client.watch("resourceVersion=0");
    assert_eq!(events.told().1, "p0");
    first.down().unwrap();
    first.cluster().put(pod(1).build()).unwrap();
    assert_eq!(events.told().1, "p1");
}

#[test]
fn only_a_certificate_that_is_good_is_trusted() {
    let other = ApiServer::start(Options::default()).unwrap();
    let foreign = Client::new(other.address(), &server(0, Options::default()).access().authority().pem());
    let refusal = |client: &Client| client.ask("/version", &[]).err().map(|error| error.to_string());
    // All authorities are called alike, as all clusters' are: the signature tells.
    let refused = refusal(&foreign).unwrap();
    assert!(refused.contains("BadSignature"), "{refused}");
    for (certificate, expected) in [
        (ServerCertificate::Good, None),
        (ServerCertificate::Expired, Some("xpired")),
        (ServerCertificate::OtherName, Some("NotValidForName")),
        (ServerCertificate::SelfSigned, Some("UnknownIssuer")),
    ] {
        let server = ApiServer::start(Options { certificate, ..Options::default() }).unwrap();
        let client = Client::new(server.address(), &server.access().authority().pem());
        let refusal = refusal(&client).map(|text| text.replace("not valid for name", "NotValidForName"));
        match expected {
            None => assert_eq!(refusal, None),
            Some(text) => {
                assert!(refusal.as_ref().is_some_and(|refusal| refusal.contains(text)), "{refusal:?}")
            }
        }
    }
}
