//! Answers that go wrong on command, and only those that were meant.

use crate::client::Client;
use crate::lists::server;
use jiff::SignedDuration;
use serde_json::Value;
use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};
use telegen_test_kubernetes::{ApiServer, Fault, Options, Which};

fn with(fault: Fault) -> (ApiServer, Client) {
    let server = server(3, Options::default());
    let client = Client::admin(&server);
    server.faults().start(Which::any(), fault);
    (server, client)
}

#[test]
fn refusals_are_those_of_a_server_in_trouble() {
    for (fault, status, content_type, text) in [
        (Fault::TooManyRequests { retry_after_s: 7 }, 429, "text/plain; charset=utf-8", "Too many requests"),
        (Fault::InternalError, 500, "application/json", "etcdserver: request timed out"),
        (Fault::Unavailable, 503, "application/json", "ServiceUnavailable"),
        (Fault::BadGateway, 503, "text/html", "<html>"),
    ] {
        let (server, client) = with(fault);
        let answer = client.get("/api/v1/pods");
        assert_eq!((answer.status, answer.header("content-type")), (status, Some(content_type)));
        assert_eq!(answer.header("retry-after"), (status == 429).then_some("7"));
        let body = answer.text().unwrap();
        assert!(body.contains(text), "{body}");
        assert_eq!(server.ledger().entries()[0].status, status);
        server.faults().clear();
        assert_eq!(client.get("/api/v1/pods").status, 200);
    }
}

#[test]
fn a_fault_is_for_what_it_covers_and_as_often_as_it_says() {
    let server = server(1, Options::default());
    let client = Client::admin(&server);
    server.faults().next(2, Which::only("list", "pods"), Fault::InternalError);
    server.faults().next(0, Which::any(), Fault::Unavailable);
    let status = |path: &str| client.get(path).status;
    assert_eq!(status("/api/v1/namespaces/a/pods/p0"), 200);
    assert_eq!(status("/apis/apps/v1/replicasets"), 200);
    assert_eq!(status("/api/v1/pods?watch=1&timeoutSeconds=1"), 200);
    assert_eq!([(); 3].map(|()| status("/api/v1/pods")), [500, 500, 200]);
}

#[test]
fn bodies_are_cut_ended_and_broken() {
    let list = "/api/v1/pods";
    let (_server, client) = with(Fault::CutAfter { bytes: 5000 });
    let mut answer = client.get(list);
    let mut read = Vec::new();
    assert_eq!(answer.read_to_end(&mut read).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(read.len(), 5000);

    let (_server, client) = with(Fault::EndAfter { bytes: 5000 });
    let text = client.get(list).text().unwrap();
    assert_eq!(text.len(), 5000);
    assert!(serde_json::from_str::<Value>(&text).unwrap_err().is_eof());

    let (_server, client) = with(Fault::MalformedJson);
    let error = serde_json::from_str::<Value>(&client.get(list).text().unwrap()).unwrap_err();
    assert!(error.is_syntax(), "{error}");
    let mut events = client.watch("timeoutSeconds=1");
    assert!(events.next().is_err(), "the first line");
    assert_eq!(events.told().0, "ADDED", "the second");

    let (server, client) = with(Fault::Oversized { bytes: 3_000_000 });
    let text = client.get(list).text().unwrap();
    assert!(text.len() > 3_000_000);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["items"].as_array().unwrap().len(), 3);
    assert_eq!(server.ledger().sent_bytes(), text.len() as u64);
    let event = client.watch("timeoutSeconds=1").next().unwrap().unwrap();
    assert_eq!(event["padding"].as_str().unwrap().len(), 3_000_000);
}

#[test]
fn answers_that_never_end_are_bounded_by_the_client_alone() {
    let (server, client) = with(Fault::Oversized { bytes: u64::MAX });
    let mut read = vec![0; 40_000_000];
    client.get("/api/v1/pods").read_exact(&mut read).unwrap();
    drop(server);
}

#[test]
fn answers_hang_and_dribble() {
    let hangs = |outcome: std::io::Result<usize>| {
        let kind = outcome.unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind:?}");
    };
    let server = server(3, Options::default());
    let client = Client::admin(&server).patience(Duration::from_millis(300));
    server.faults().start(Which::any(), Fault::Hang);
    hangs(client.ask("/api/v1/pods", &[]).map(|_| 0));
    server.faults().clear();

    server.faults().start(Which::any(), Fault::HangAfter { bytes: 100 });
    let mut answer = client.get("/api/v1/pods");
    assert_eq!(answer.status, 200);
    answer.read_exact(&mut [0; 100]).unwrap();
    hangs(answer.read(&mut [0; 1]));
    server.faults().clear();

    server.faults().start(Which::any(), Fault::HangAfter { bytes: 0 });
    let mut events = client.watch("");
    hangs(events.next().map(|_| 0));
    server.faults().clear();

    server.faults().start(Which::any(), Fault::Slow { bytes: 1000, every: Duration::from_millis(20) });
    let begin = Instant::now();
    let text = client.get("/api/v1/pods").text().unwrap();
    let pieces = u32::try_from(text.len() / 1000).unwrap();
    assert!(begin.elapsed() >= pieces * Duration::from_millis(20), "{:?}", begin.elapsed());
    assert_eq!(client.watch("timeoutSeconds=1").told().0, "ADDED");
}

#[test]
fn a_clock_can_be_wrong() {
    let server = server(1, Options::default());
    let client = Client::admin(&server);
    let hour = SignedDuration::from_hours(1);
    server.clock().set_skew(-hour * 48);
    let date = client.get("/version").header("date").unwrap().to_owned();
    let told = jiff::fmt::rfc2822::parse(&date).unwrap().timestamp();
    let off = jiff::Timestamp::now().duration_since(told);
    assert!((hour * 47..hour * 49).contains(&off), "{date}");
    assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
}
