//! What a server is asked, how often, and what becomes of its answers.

use crate::world::{NODE, World, count, grant_owners, pod, replica_set, server, until};
use serde_json::json;
use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};
use telegen_test_kubernetes::{FieldSelectors, Interruption, Options, Pod};

/// For how long a watch is looked at in true time; the variable makes it another number.
const LENGTH: &str = "TELEGEN_WATCH_SECONDS";
const SHORT_SECONDS: u64 = 10;
/// Pods of the node.
const PODS: usize = 110;
/// The churn: pods that are replaced in an hour, …
const REPLACED_AN_HOUR: u64 = 12;
/// … and the changes that a watch tells of each: bound, six of its status, deleted.
const CHANGES: u64 = 8;
/// A server says every minute how far it is.
const BOOKMARKS_AN_HOUR: u64 = 60;
/// A watch lasts from four to six minutes.
const SHORTEST_WATCH_SECONDS: u64 = 240;
/// One that has lasted so long is renewed at once.
const GOOD: Duration = Duration::from_millis(5500);

/// What was measured is to be seen of a test that passes, too.
fn figure(text: &str) {
    let _ = writeln!(std::io::stderr(), "MEASURED {text}");
}

fn crowd(options: Options) -> World {
    let server = server(options);
    grant_owners(&server);
    let set = replica_set(&server, "shop", "web");
    for _ in 0..PODS {
        server.cluster().put(pod(&set, NODE)).expect("an object");
    }
    let world = World::start(server);
    until("all pods", || world.pods().len() == PODS);
    until("a watch", || world.server.ledger().open_watches() == 1);
    world
}

/// A pod comes and goes.
fn replace(world: &World) {
    let cluster = world.server.cluster();
    let set = replica_set(&world.server, "shop", "churn");
    let name = cluster.put(pod(&set, NODE)).expect("an object")["metadata"]["name"]
        .as_str()
        .expect("a name")
        .to_owned();
    for nth in 0..CHANGES - 2 {
        let conditions = json!([{"type": "Ready", "status": nth.to_string()}]);
        cluster
            .modify("Pod", "shop", &name, |pod| pod["status"]["conditions"] = conditions.clone())
            .expect("an object");
    }
    cluster.delete("Pod", "shop", &name).expect("an object");
}

#[test]
fn a_watch_costs_little_in_an_hour() {
    let world = crowd(Options { bookmark_interval: Duration::from_millis(500), ..Options::default() });
    let (ledger, events) = (world.server.ledger(), &world.figures.events);
    let start = ledger.sent_bytes();
    let told = count(events);
    until("bookmarks", || count(events) >= told + 5);
    let bookmark = (ledger.sent_bytes() - start) as f64 / (count(events) - told) as f64;
    let (sent, told) = (ledger.sent_bytes(), count(events));
    replace(&world);
    until("all changes", || count(events) >= told + CHANGES);
    let bookmarks = (count(events) - told - CHANGES) as f64;
    let replaced = (ledger.sent_bytes() - sent) as f64 - bookmarks * bookmark;
    // One request, by the connection that is there, and nothing is sent twice.
    sleep(GOOD);
    let (requests, connections) = (ledger.len(), world.server.connections());
    assert_eq!(world.server.faults().interrupt_watches(Interruption::Clean), 1);
    let told = count(events);
    until("another watch", || count(events) >= told + 3 && ledger.len() > requests);
    assert_eq!((ledger.len(), world.server.connections()), (requests + 1, connections));
    let watch = ledger.since(requests).remove(0);
    assert!(watch.sent_bytes() <= 8 * bookmark as u64, "what was known is sent again: {watch:?}");
    let quiet = BOOKMARKS_AN_HOUR as f64 * bookmark;
    let hour = quiet + REPLACED_AN_HOUR as f64 * replaced;
    figure(&format!(
        "{PODS} pods: {} KiB for the start; in an hour at most {} watches, {:.1} KiB where nothing happens, {:.0} KiB where \
         {REPLACED_AN_HOUR} pods are replaced ({bookmark:.0} bytes a bookmark, {:.1} KiB a pod)",
        start / 1024,
        3600 / SHORTEST_WATCH_SECONDS,
        quiet / 1024.0,
        hour / 1024.0,
        replaced / 1024.0
    ));
    assert!(hour < f64::from(2 << 20), "{hour} bytes in an hour");
}

#[test]
fn watches_are_as_few_as_is_said() {
    let seconds = std::env::var(LENGTH).ok().map_or(SHORT_SECONDS, |text| text.parse().expect("seconds"));
    let world = crowd(Options::default());
    let ledger = world.server.ledger();
    let (requests, sent, begin) = (ledger.len(), ledger.sent_bytes(), Instant::now());
    let mut replaced = 0;
    while begin.elapsed().as_secs() < seconds {
        if begin.elapsed().as_secs() >= replaced * (3600 / REPLACED_AN_HOUR) {
            replace(&world);
            replaced += 1;
        }
        sleep(Duration::from_millis(100));
    }
    let asked = ledger.since(requests);
    let (watches, owners) = (
        asked.iter().filter(|entry| entry.is("watch", "pods")).count() as u64,
        asked.iter().filter(|entry| entry.is("get", "replicasets.apps")).count() as u64,
    );
    let kib = (ledger.sent_bytes() - sent) / 1024;
    figure(&format!(
        "{watches} watches, {owners} owners, {kib} KiB in {seconds} s with {replaced} pods replaced"
    ));
    assert!(watches <= seconds / SHORTEST_WATCH_SECONDS, "{asked:?}");
    assert_eq!((asked.len() as u64, owners), (watches + owners, replaced), "{asked:?}");
}

#[test]
fn owners_that_could_not_be_asked_for_are_asked_for_once_they_can() {
    let server = server(Options::default());
    for deployment in ["web", "db"] {
        let set = replica_set(&server, "shop", deployment);
        server.cluster().put(pod(&set, NODE)).unwrap();
    }
    let world = World::start(server);
    until("both pods", || world.pods().len() == 2);
    assert!(
        world.workloads().keys().all(|workload| workload.starts_with("ReplicaSet ")),
        "{:?}",
        world.workloads()
    );
    let ledger = world.server.ledger();
    let sets = || ledger.count(|entry| entry.is("get", "replicasets.apps"));
    assert_eq!(sets(), 2, "each is asked for once");
    let renew = || {
        sleep(GOOD);
        world.server.faults().interrupt_watches(Interruption::Clean);
    };
    until("another try", || {
        renew();
        sets() > 2
    });
    sleep(Duration::from_secs(1));
    assert_eq!(sets(), 3, "one stands for all that need the same permission");
    grant_owners(&world.server);
    until("deployments", || {
        renew();
        world.workloads().into_keys().collect::<Vec<_>>() == ["Deployment db", "Deployment web"]
    });
    assert_eq!(sets(), 5, "and then each was asked for");
    assert_eq!(ledger.count(|entry| entry.is("list", "pods")), 1, "pods are not listed for that");
}

#[test]
fn pods_of_other_nodes_are_counted_and_not_kept() {
    let server = server(Options { field_selectors: FieldSelectors::Ignored, ..Options::default() });
    let pod = |name: &str, node: &str| Pod::new("shop", name).node(node).build();
    for nth in 0..5000 {
        let node = if nth % 20 == 0 { NODE.to_owned() } else { format!("other-{}", nth % 20) };
        server.cluster().put(pod(&format!("web-{nth}"), &node)).unwrap();
    }
    let world = World::start(server);
    until("the pods of the node", || world.pods().len() == 250);
    until("a watch", || count(&world.figures.pods) == 250);
    assert_eq!(count(&world.figures.strangers), 4750);
    world.server.cluster().put(pod("far", "other-1")).unwrap();
    world.server.cluster().put(pod("near", NODE)).unwrap();
    until("another pod", || world.pods().len() == 251);
    assert_eq!((count(&world.figures.pods), count(&world.figures.strangers)), (251, 4751));
}
