//! Lists: versions, selectors, and pages while things change.

use crate::client::Client;
use serde_json::Value;
use telegen_test_kubernetes::{
    ApiServer, Container, FieldSelectors, Options, Pod, Resource, Runtime, Workload,
};

/// A server with pods `p0`, `p1`, … in namespaces `a` and `b` by turns, on nodes `n0` and `n1` by turns.
pub(crate) fn server(pods: usize, options: Options) -> ApiServer {
    let server = ApiServer::start(options).unwrap();
    for index in 0..pods {
        server.cluster().put(pod(index).build()).unwrap();
    }
    server
}

pub(crate) fn pod(index: usize) -> Pod {
    let namespace = if index.is_multiple_of(2) { "a" } else { "b" };
    Pod::new(namespace, &format!("p{index}"))
        .node(&format!("n{}", index % 2))
        .label("app", if index.is_multiple_of(3) { "web" } else { "api" })
        .container(Container::running("main", Runtime::Containerd.container_id()))
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[test]
fn pages_show_one_state_whatever_changes_between_them() {
    let server = server(6, Options::default());
    let client = Client::admin(&server);
    let (_, first) = client.json("/api/v1/pods?limit=2");
    assert_eq!(names(&first), ["p0", "p2"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 4);
    server.cluster().delete("Pod", "a", "p4").unwrap();
    server.cluster().put(pod(7).build()).unwrap();
    server.cluster().modify("Pod", "b", "p1", |pod| pod["metadata"]["labels"]["app"] = "new".into()).unwrap();
    let mut seen: Vec<String> = Vec::new();
    let mut list = first.clone();
    while let Some(token) = list["metadata"]["continue"].as_str().map(str::to_owned) {
        list = client.json(&format!("/api/v1/pods?limit=2&continue={token}")).1;
        assert_eq!(list["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
        seen.extend(names(&list).iter().map(|name| (*name).to_owned()));
        let items = list["items"].as_array().unwrap();
        assert!(items.iter().all(|item| item["metadata"]["labels"]["app"] != "new"));
    }
    assert_eq!(seen, ["p4", "p1", "p3", "p5"]);
    assert_eq!(list["metadata"].get("remainingItemCount"), None);
    assert_eq!(names(&client.json("/api/v1/pods").1), ["p0", "p2", "p1", "p3", "p5", "p7"]);
}

#[test]
fn a_page_of_what_is_forgotten_is_refused_with_a_token_to_go_on_by() {
    let server = server(6, Options::default());
    let client = Client::admin(&server);
    let (_, first) = client.json("/api/v1/pods?limit=2");
    let token = first["metadata"]["continue"].as_str().unwrap();
    server.cluster().delete("Pod", "a", "p4").unwrap();
    server.cluster().compact();
    let (status, refusal) = client.json(&format!("/api/v1/pods?limit=2&continue={token}"));
    assert_eq!((status, &refusal["reason"]), (410, &Value::from("Expired")));
    let next = refusal["metadata"]["continue"].as_str().unwrap();
    let (status, rest) = client.json(&format!("/api/v1/pods?limit=2&continue={next}"));
    assert_eq!((status, names(&rest)), (200, vec!["p1", "p3"]));
    assert_eq!(rest["metadata"]["resourceVersion"], server.cluster().revision().to_string());
}

#[test]
fn a_server_can_be_told_to_ignore_field_selectors_and_no_others() {
    let server = server(6, Options { field_selectors: FieldSelectors::Ignored, ..Options::default() });
    let client = Client::admin(&server);
    let on_one_node = "fieldSelector=spec.nodeName%3Dn0";
    assert_eq!(names(&client.json(&format!("/api/v1/pods?{on_one_node}")).1).len(), 6);
    let (_, labelled) = client.json(&format!("/api/v1/pods?{on_one_node}&labelSelector=app%3Dweb"));
    assert_eq!(names(&labelled), ["p0", "p3"]);
    let mut watch = client.watch(&format!("resourceVersion=0&{on_one_node}"));
    let mut nodes = std::collections::BTreeSet::new();
    for _ in 0..6 {
        nodes.insert(watch.next().unwrap().unwrap()["object"]["spec"]["nodeName"].to_string());
    }
    assert_eq!(nodes.len(), 2, "{nodes:?}");
}

#[test]
fn versions_are_honoured() {
    let server = server(4, Options::default());
    let client = Client::admin(&server);
    let before = server.cluster().revision();
    server.cluster().freeze_cache();
    server.cluster().delete("Pod", "a", "p0").unwrap();
    let now = server.cluster().revision();
    let count = |query: &str| {
        let (status, list) = client.json(&format!("/api/v1/pods?{query}"));
        assert_eq!(status, 200, "{list}");
        (names(&list).len(), list["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap())
    };
    assert_eq!(count(""), (3, now));
    assert_eq!(count("limit=0"), (3, now));
    assert_eq!(count("resourceVersion=0&limit=1"), (4, before), "the cache is behind and has no pages");
    assert_eq!(count(&format!("resourceVersion={before}&limit=9")), (4, before));
    assert_eq!(count(&format!("resourceVersion={before}&resourceVersionMatch=Exact")), (4, before));
    assert_eq!(count(&format!("resourceVersion={now}&resourceVersionMatch=NotOlderThan")), (3, now));
    server.cluster().thaw_cache();
    assert_eq!(count("resourceVersion=0"), (3, now));

    let status = |query: &str| client.json(&format!("/api/v1/pods?{query}")).0;
    assert_eq!(status(&format!("resourceVersion={}", now + 1)), 504);
    assert_eq!(status("resourceVersionMatch=Exact"), 422);
    assert_eq!(status("resourceVersion=0&resourceVersionMatch=Exact"), 422);
    assert_eq!(status("resourceVersion=1&resourceVersionMatch=Newest"), 422);
    assert_eq!(status("sendInitialEvents=true"), 422);
    assert_eq!(status("resourceVersion=old"), 500);
    assert_eq!(status("limit=some"), 400);
    server.cluster().compact();
    assert_eq!(status(&format!("resourceVersion={before}&resourceVersionMatch=Exact")), 410);
    assert_eq!(status(&format!("resourceVersion={before}")), 200, "not older than that can be had");
}

#[test]
fn selectors_and_namespaces_narrow_lists() {
    let server = server(6, Options::default());
    let client = Client::admin(&server);
    let select = |path: &str| {
        let (_, list) = client.json(path);
        assert_eq!(list["metadata"].get("remainingItemCount"), None, "{path}");
        names(&list).join(" ")
    };
    assert_eq!(select("/api/v1/namespaces/b/pods"), "p1 p3 p5");
    assert_eq!(select("/api/v1/pods?fieldSelector=spec.nodeName%3Dn0&limit=2"), "p0 p2");
    assert_eq!(select("/api/v1/pods?labelSelector=app%3Dweb"), "p0 p3");
    assert_eq!(select("/api/v1/pods?labelSelector=app%20in%20(web)&fieldSelector=metadata.name!%3Dp0"), "p3");
    assert_eq!(select("/api/v1/namespaces/nowhere/pods"), "");
    assert_eq!(client.json("/api/v1/pods?labelSelector=a%20b").0, 400);
    assert_eq!(client.json("/apis/apps/v1/replicasets?fieldSelector=spec.replicas%3D1").0, 400);
}

#[test]
fn owners_of_all_kinds_are_served_and_others_are_no_page() {
    let server = server(0, Options::default());
    let client = Client::admin(&server);
    let rollout = "/apis/argoproj.io/v1alpha1/namespaces/a/rollouts/web";
    let answer = client.get(rollout);
    assert_eq!((answer.status, answer.header("content-type")), (404, Some("text/plain; charset=utf-8")));
    assert_eq!(answer.text().unwrap(), "404 page not found\n");

    server.cluster().install(Resource::custom("argoproj.io", "v1alpha1", "rollouts", "Rollout"));
    assert_eq!(client.json(rollout).1["details"]["kind"], "rollouts");
    let owner = Workload::new("argoproj.io/v1alpha1", "Rollout", "a", "web").label("app", "web").build();
    let owner = server.cluster().put(owner).unwrap();
    let set = server.cluster().put(Workload::replica_set_of(&owner).build()).unwrap();
    let pod = server.cluster().put(Pod::of(&set).build()).unwrap();
    assert_eq!(client.json(rollout).1["kind"], "Rollout");
    let reference = &pod["metadata"]["ownerReferences"][0];
    let path = format!("/apis/apps/v1/namespaces/a/replicasets/{}", reference["name"].as_str().unwrap());
    let (status, found) = client.json(&path);
    assert_eq!((status, &found["metadata"]["uid"]), (200, &reference["uid"]));
    assert_eq!(found["metadata"]["ownerReferences"][0]["kind"], "Rollout");
    assert_eq!(
        pod["metadata"]["labels"]["pod-template-hash"],
        found["metadata"]["labels"]["pod-template-hash"]
    );

    for (path, workload) in [
        ("/apis/apps/v1/namespaces/a/deployments/x", Workload::deployment("a", "x")),
        ("/apis/apps/v1/namespaces/a/statefulsets/x", Workload::stateful_set("a", "x")),
        ("/apis/apps/v1/namespaces/a/daemonsets/x", Workload::daemon_set("a", "x")),
        ("/apis/batch/v1/namespaces/a/jobs/x", Workload::job("a", "x")),
        ("/apis/batch/v1/namespaces/a/cronjobs/x", Workload::cron_job("a", "x")),
    ] {
        assert_eq!(client.json(path).0, 404);
        server.cluster().put(workload.build()).unwrap();
        assert_eq!(client.json(path).0, 200);
    }
    for path in
        ["/api/v1/pods/p0", "/api/v1/gadgets", "/api/v2/pods", "/nothing", "/apis/apps/v1/namespaces/a/jobs"]
    {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
}

#[test]
fn forms_that_do_not_fit_are_not_acceptable() {
    let server = server(1, Options::default());
    let client = Client::admin(&server);
    let status = |path: &str, accept: &str| client.ask(path, &[("Accept", accept)]).unwrap().status;
    let of = |kind: &str| format!("application/json;as={kind};g=meta.k8s.io;v=v1");
    let one = "/api/v1/namespaces/a/pods/p0";
    assert_eq!(status(one, &of("PartialObjectMetadata")), 200);
    assert_eq!(status(one, &of("PartialObjectMetadataList")), 406);
    assert_eq!(status("/api/v1/pods", &of("PartialObjectMetadata")), 406);
    assert_eq!(status("/api/v1/pods", "application/vnd.kubernetes.protobuf"), 406);
    assert_eq!(status("/api/v1/pods", "application/vnd.kubernetes.protobuf, application/json"), 200);
}

#[test]
fn large_lists_come_compressed_to_those_who_take_it() {
    let server = server(60, Options::default());
    let client = Client::admin(&server);
    let plain = client.get("/api/v1/pods");
    assert_eq!((plain.header("content-encoding"), plain.header("content-length")), (None, None));
    let plain = plain.text().unwrap().len();
    let mut gzip = client.ask("/api/v1/pods", &[("Accept-Encoding", "gzip")]).unwrap();
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut gzip, &mut bytes).unwrap();
    assert!(bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() < plain / 4, "{} of {plain}", bytes.len());
    let sent: Vec<u64> = server.ledger().entries().iter().map(|entry| entry.sent_bytes()).collect();
    assert_eq!(sent, [plain as u64, bytes.len() as u64]);
    let small = client.get("/version");
    assert!(small.header("content-length").is_some());
}
