//! The requests of the recordings, asked of a server that holds the recorded objects.

use crate::client::Client;
use crate::shapes;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use telegen_test_kubernetes::{ApiServer, Options};

const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const OF_NODE: &str = "/api/v1/pods?fieldSelector=spec.nodeName%3Dbars-node";

fn recorded(name: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/").to_owned() + name;
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn recorded_json(name: &str) -> Value {
    serde_json::from_str(&recorded(name)).unwrap()
}

/// A server with the recorded objects in it, at the recorded version.
fn server() -> ApiServer {
    let list = recorded_json("pods-list.json");
    let count = list["items"].as_array().unwrap().len() as u64;
    let server = ApiServer::start(Options { first_revision: 257 - count, ..Options::default() }).unwrap();
    for item in list["items"].as_array().unwrap() {
        let mut pod = item.clone();
        pod["kind"] = "Pod".into();
        pod["apiVersion"] = "v1".into();
        server.cluster().put(pod).unwrap();
    }
    for (file, kind, version) in [("replicaset", "ReplicaSet", "apps/v1"), ("job", "Job", "batch/v1")] {
        let mut owner = recorded_json(&format!("{file}-metadata-only.json"));
        owner["kind"] = kind.into();
        owner["apiVersion"] = version.into();
        owner["spec"] = serde_json::json!({"template": {"spec": {}}});
        server.cluster().put(owner).unwrap();
    }
    server
}

/// The same keys in the same order, types and all values but what differs from server to server.
fn assert_like(file: &str, text: &str) {
    let (expected, ours): (Value, Value) = (recorded_json(file), serde_json::from_str(text).unwrap());
    shapes::assert_same(file, &expected, &ours);
    assert_eq!(shapes::keys(&recorded(file)), shapes::keys(text), "{file}: order of fields");
}

#[test]
fn lists_and_objects_have_the_recorded_shape() {
    let server = server();
    let client = Client::admin(&server);
    let get = |path: &str, accept: &str| {
        let answer = client.ask(path, &[("Accept", accept)]).unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{path}");
        answer.text().unwrap()
    };
    assert_like("pods-list.json", &get(&format!("{OF_NODE}&resourceVersion=0"), "application/json"));
    let first = get(&format!("{OF_NODE}&limit=2"), "*/*");
    assert_like("pods-list-page-1.json", &first);
    let token = serde_json::from_str::<Value>(&first).unwrap()["metadata"]["continue"].clone();
    let second = format!("{OF_NODE}&limit=2&continue={}", token.as_str().unwrap());
    assert_like("pods-list-page-2.json", &get(&second, "application/json"));
    assert_like("pods-list-metadata-only.json", &get(OF_NODE, METADATA_LIST));
    let set = "/apis/apps/v1/namespaces/production/replicasets/payment-api-db989c964";
    assert_like("replicaset-metadata-only.json", &get(set, METADATA));
    assert_like("job-metadata-only.json", &get("/apis/batch/v1/namespaces/batch/jobs/report", METADATA));
    assert_like("version.json", &get("/version", "application/json"));
    let list: Value = serde_json::from_str(&get(OF_NODE, "application/json")).unwrap();
    let names = |list: &Value| {
        let items = list["items"].as_array().unwrap();
        items.iter().map(|item| item["metadata"]["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&list), names(&recorded_json("pods-list.json")), "order of objects");
}

#[test]
fn refusals_are_the_recorded_ones() {
    let server = server();
    let admin = Client::admin(&server);
    let new = || Client::new(server.address(), &server.access().authority().pem());
    let nobody = new().token(&server.access().issue_token("nobody"));
    let bad = new().token("none");
    for (file, status, client, path) in [
        ("forbidden-403.json", 403, &nobody, "/api/v1/pods"),
        ("unauthorized-401.json", 401, &bad, "/api/v1/pods"),
        ("not-found-404.json", 404, &admin, "/apis/apps/v1/namespaces/production/replicasets/gone"),
        ("bad-continue-400.json", 400, &admin, &format!("{OF_NODE}&continue=bogus&limit=2")),
        ("bad-field-selector-400.json", 400, &admin, "/api/v1/pods?fieldSelector=spec.nodename%3Dx"),
    ] {
        let answer = client.get(path);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some("application/json")),
            "{file}"
        );
        let text = answer.text().unwrap();
        assert_like(file, &text);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), recorded_json(file), "{file}");
    }
}

#[test]
fn watches_that_cannot_be_are_answered_as_recorded() {
    let server = server();
    let client = Client::admin(&server);
    let watch = |query: &str| {
        let answer = client.get(&format!("{OF_NODE}&watch=1&{query}"));
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        answer.text().unwrap()
    };
    let refused = watch("sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");
    assert_eq!(refused, recorded("pods-watchlist.jsonl"));
    let expired = watch("resourceVersion=1");
    assert_eq!(expired, recorded("pods-watch-expired.jsonl").replace("302", "252"));
}

/// Does to the pods what was done when the watch was recorded, and gets the recorded events.
#[test]
fn events_have_the_recorded_shape() {
    let recording = recorded("pods-watch.jsonl");
    let events: Vec<&str> = recording.lines().filter(|line| !line.is_empty()).collect();
    let server = ApiServer::start(Options {
        first_revision: 250,
        bookmark_interval: std::time::Duration::from_millis(200),
        ..Options::default()
    })
    .unwrap();
    let client = Client::admin(&server);
    let list = recorded_json("pods-list.json");
    for item in list["items"].as_array().unwrap() {
        let mut pod = item.clone();
        pod["kind"] = "Pod".into();
        pod["apiVersion"] = "v1".into();
        server.cluster().put(pod).unwrap();
    }
    let from = server.cluster().revision();
    for line in &events {
        let event: Value = serde_json::from_str(line).unwrap();
        let object = event["object"].clone();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        match event["type"].as_str().unwrap() {
            "DELETED" => server.cluster().delete("Pod", namespace, name).unwrap(),
            "BOOKMARK" => continue,
            _ => server.cluster().put(object).unwrap(),
        };
    }
    let answer = client.get(&format!("{OF_NODE}&watch=1&resourceVersion={from}&allowWatchBookmarks=true"));
    let ours: Vec<String> =
        BufReader::new(answer).lines().take(events.len()).collect::<Result<_, _>>().unwrap();
    for (recorded, ours) in events.iter().zip(&ours) {
        let (event, our_event) =
            (serde_json::from_str(recorded).unwrap(), serde_json::from_str(ours).unwrap());
        shapes::assert_same("pods-watch.jsonl", &event, &our_event);
        assert_eq!(event["type"], our_event["type"]);
        assert_eq!(event["object"]["metadata"]["name"], our_event["object"]["metadata"]["name"]);
        assert_eq!(shapes::keys(recorded), shapes::keys(ours), "order of fields");
    }
}
