//! Watches: what is told, from where on, and how they end.

use crate::client::Client;
use crate::lists::{pod, server};
use crate::outages::is_cut;
use serde_json::Value;
use std::time::Duration;
use telegen_test_kubernetes::{Container, Interruption, Options, Runtime, WatchList};

fn told(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

#[test]
fn an_object_is_told_as_the_selector_sees_it() {
    let server = server(1, Options::default());
    let client = Client::admin(&server);
    let from = server.cluster().revision();
    let mut events = client.watch(&format!("labelSelector=app%3Dweb&resourceVersion={from}"));
    let label = |name: &str, value: &str| {
        let changed =
            server.cluster().modify("Pod", "a", name, |pod| pod["metadata"]["labels"]["app"] = value.into());
        changed.unwrap()["metadata"]["resourceVersion"].clone()
    };
    server.cluster().put(pod(2).build()).unwrap();
    label("p2", "web");
    assert_eq!(events.told(), told("ADDED", "p2"));
    server.cluster().modify("Pod", "a", "p2", |pod| pod["status"]["phase"] = "Failed".into()).unwrap();
    assert_eq!(events.told(), told("MODIFIED", "p2"));
    let version = label("p2", "api");
    let gone = events.next().unwrap().unwrap();
    assert_eq!(gone["type"], "DELETED");
    assert_eq!(gone["object"]["metadata"]["labels"]["app"], "web", "the state that was seen last");
    assert_eq!(gone["object"]["metadata"]["resourceVersion"], version, "under the version of the change");
    server.cluster().delete("Pod", "a", "p2").unwrap();
    server.cluster().delete("Pod", "a", "p0").unwrap();
    let gone = events.next().unwrap().unwrap();
    assert_eq!((&gone["type"], &gone["object"]["metadata"]["name"]), (&"DELETED".into(), &"p0".into()));
    let deleted = gone["object"]["metadata"]["resourceVersion"].as_str().unwrap();
    assert_eq!(deleted, server.cluster().revision().to_string());
}

#[test]
fn pods_live_and_die_as_kubelets_report() {
    let server = server(1, Options::default());
    let client = Client::admin(&server);
    let cluster = server.cluster();
    let before = cluster.get("Pod", "a", "p0").unwrap();
    let first = before["status"]["containerStatuses"][0]["containerID"].as_str().unwrap();
    let from = cluster.revision();
    assert_eq!(
        cluster.modify("Pod", "a", "p0", |_| {}).unwrap(),
        before,
        "what changes nothing is no change"
    );
    assert_eq!(cluster.revision(), from);

    let second = Runtime::Containerd.container_id();
    cluster.report("a", "p0", &Container::running("main", &second).after(first)).unwrap();
    assert!(cluster.report("a", "p0", &Container::running("none", &second)).is_err());
    let debugger = Runtime::Containerd.container_id();
    cluster.debug("a", "p0", &Container::running("debugger", &debugger)).unwrap();
    cluster.begin_deletion("Pod", "a", "p0").unwrap();
    // The same name, and another pod.
    cluster.put(pod(0).build()).unwrap();

    let mut events = client.watch(&format!("resourceVersion={from}"));
    let mut next = || events.next().unwrap().unwrap();
    let restarted = next()["object"]["status"]["containerStatuses"][0].clone();
    assert_eq!(restarted["containerID"], second);
    assert_eq!(restarted["restartCount"], 1);
    assert_eq!(restarted["lastState"]["terminated"]["containerID"], first);
    let debugged = next()["object"].clone();
    assert_eq!(debugged["spec"]["ephemeralContainers"][0]["name"], "debugger");
    assert_eq!(debugged["status"]["ephemeralContainerStatuses"][0]["containerID"], debugger);
    assert!(next()["object"]["metadata"]["deletionTimestamp"].is_string());
    let gone = next();
    assert_eq!(
        (&gone["type"], &gone["object"]["metadata"]["uid"]),
        (&"DELETED".into(), &before["metadata"]["uid"])
    );
    let other = next();
    assert_eq!(other["type"], "ADDED");
    assert_ne!(other["object"]["metadata"]["uid"], before["metadata"]["uid"]);
}

#[test]
fn a_watch_begins_where_it_is_asked_to() {
    let server = server(4, Options::default());
    let client = Client::admin(&server);
    let from = server.cluster().revision();
    for index in 4..6 {
        server.cluster().put(pod(index).build()).unwrap();
    }
    let all = |query: &str| {
        let mut events = client.watch(&format!("timeoutSeconds=1&{query}"));
        let mut names = Vec::new();
        while let Some(event) = events.next().unwrap() {
            assert_eq!(event["type"], "ADDED");
            names.push(event["object"]["metadata"]["name"].as_str().unwrap().to_owned());
        }
        names.join(" ")
    };
    assert_eq!(all(&format!("resourceVersion={from}")), "p4 p5", "what has happened since");
    assert_eq!(all(""), "p0 p2 p4 p1 p3 p5", "what there is");
    assert_eq!(all("resourceVersion=0"), "p0 p2 p4 p1 p3 p5", "what there is, from the cache");
    assert_eq!(all(&format!("resourceVersion={}", from + 1)), "p5");
    // One that is yet to come is waited for.
    let mut events = client.watch(&format!("timeoutSeconds=2&resourceVersion={}", from + 3));
    server.cluster().put(pod(6).build()).unwrap();
    server.cluster().put(pod(7).build()).unwrap();
    assert_eq!(events.told(), told("ADDED", "p7"));
}

#[test]
fn bookmarks_say_how_far_a_watch_has_come() {
    let options = Options { bookmark_interval: Duration::from_millis(100), ..Options::default() };
    let server = server(1, options);
    let client = Client::admin(&server);
    let from = server.cluster().revision();
    let mut events = client.watch(&format!("resourceVersion={from}&allowWatchBookmarks=true"));
    server.cluster().advance(1000);
    let version = loop {
        let event = events.next().unwrap().unwrap();
        assert_eq!(event["type"], "BOOKMARK");
        let version = event["object"]["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        if version != from.to_string() {
            break version;
        }
    };
    assert_eq!(version, (from + 1000).to_string());
    server.cluster().compact();
    let first =
        |version: &str| client.watch(&format!("timeoutSeconds=1&resourceVersion={version}")).next().unwrap();
    assert_eq!(first(&version), None, "what the bookmark says can be gone on from");
    let error = first(&from.to_string()).unwrap();
    assert_eq!((&error["type"], &error["object"]["code"]), (&Value::from("ERROR"), &Value::from(410)));
    let mut silent = client.watch(&format!("resourceVersion={version}&timeoutSeconds=1"));
    assert_eq!(silent.next().unwrap(), None, "no bookmarks for who did not ask");
}

#[test]
fn a_bookmark_never_comes_before_what_it_covers() {
    let options = Options { bookmark_interval: Duration::from_millis(1), ..Options::default() };
    let server = server(1, options);
    let client = Client::admin(&server);
    let from = server.cluster().revision();
    let mut events = client.watch(&format!("resourceVersion={from}&allowWatchBookmarks=true"));
    let cluster = server.cluster().clone();
    let writer = std::thread::spawn(move || {
        for round in 0..300 {
            let change = |pod: &mut Value| pod["metadata"]["labels"]["round"] = round.to_string().into();
            cluster.modify("Pod", "a", "p0", change).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    let (mut last, mut bookmarked, mut bookmarks) = (from, from, 0);
    while last < from + 300 {
        let event = events.next().unwrap().unwrap();
        let version = event["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        if event["type"] == "BOOKMARK" {
            bookmarks += 1;
            bookmarked = version;
            // Only pods change here, so each version is an event.
            assert_eq!(version, last, "a bookmark has run ahead");
        } else {
            assert_eq!(version, last + 1, "an event was left out");
            assert!(version > bookmarked);
            last = version;
        }
    }
    writer.join().unwrap();
    assert!(bookmarks > 0);
}

#[test]
fn history_is_bounded() {
    let server = server(0, Options { history_changes: 5, ..Options::default() });
    let client = Client::admin(&server);
    let from = server.cluster().revision();
    for index in 0..8 {
        server.cluster().put(pod(index).build()).unwrap();
    }
    let error = client.watch(&format!("resourceVersion={from}")).next().unwrap().unwrap();
    assert_eq!(error["object"]["reason"], "Expired");
    assert_eq!(error["object"]["message"], format!("too old resource version: {from} ({})", from + 3));
    let mut events = client.watch(&format!("resourceVersion={}", from + 3));
    assert_eq!(events.told(), told("ADDED", "p3"));
}

#[test]
fn lists_can_be_streamed() {
    let server = server(3, Options { watch_list: WatchList::Supported, ..Options::default() });
    let client = Client::admin(&server);
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = client.watch(query);
    for name in ["p0", "p2", "p1"] {
        assert_eq!(events.told(), told("ADDED", name));
    }
    let end = events.next().unwrap().unwrap();
    assert_eq!(end["type"], "BOOKMARK");
    assert_eq!(end["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(end["object"]["metadata"]["resourceVersion"], server.cluster().revision().to_string());
    server.cluster().put(pod(4).build()).unwrap();
    assert_eq!(events.told(), told("ADDED", "p4"));
    assert_eq!(client.json("/api/v1/pods?watch=1&sendInitialEvents=true").0, 422);
    assert_eq!(client.json("/api/v1/pods?watch=1&resourceVersionMatch=NotOlderThan").0, 422);

    let older = crate::lists::server(0, Options { watch_list: WatchList::Forbidden, ..Options::default() });
    let (status, refusal) = Client::admin(&older).json(&format!("/api/v1/pods?watch=1&{query}"));
    assert_eq!((status, &refusal["details"]["causes"][0]["field"]), (422, &"sendInitialEvents".into()));
}

#[test]
fn events_can_be_metadata_alone() {
    let server = server(1, Options::default());
    let client = Client::admin(&server);
    let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let answer = client.ask("/api/v1/pods?watch=1&timeoutSeconds=1", &[("Accept", accept)]).unwrap();
    let text = answer.text().unwrap();
    let event: Value = serde_json::from_str(text.trim()).unwrap();
    let keys: Vec<&String> = event["object"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["apiVersion", "kind", "metadata"]);
    assert_eq!(event["object"]["kind"], "PartialObjectMetadata");
}

#[test]
fn watches_end_as_they_are_told_to() {
    let server = server(1, Options::default());
    let client = Client::admin(&server);
    let ends = |how: Interruption| {
        let mut events = client.watch("resourceVersion=0");
        assert_eq!(events.told(), told("ADDED", "p0"));
        assert_eq!(server.ledger().open_watches(), 1);
        assert_eq!(server.faults().interrupt_watches(how), 1);
        let end = events.next();
        while server.ledger().open_watches() > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        end
    };
    assert_eq!(ends(Interruption::Clean).unwrap(), None);
    assert_eq!(ends(Interruption::Expired).unwrap().unwrap()["object"]["code"], 410);
    assert_eq!(ends(Interruption::InternalError).unwrap().unwrap()["object"]["code"], 500);
    assert!(is_cut(&ends(Interruption::BetweenLines).unwrap_err()));
    assert!(is_cut(&ends(Interruption::MidLine).unwrap_err()));
    let mut events = client.watch("resourceVersion=0");
    events.told();
    drop(events);
    while server.ledger().open_watches() > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
}
