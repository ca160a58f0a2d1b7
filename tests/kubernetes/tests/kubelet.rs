//! The kubelet's side.

use crate::client::Client;
use crate::lists::{pod, server};
use serde_json::Value;
use telegen_test_kubernetes::{
    ApiServer, Container, Fault, Grant, Kubelet, Options, Pod, Runtime, ServerCertificate, Which,
};

const USER: &str = "system:serviceaccount:telegen:telegen";

fn kubelet(server: &ApiServer) -> (Kubelet, Client) {
    let kubelet = Kubelet::start(server, "n0", ServerCertificate::Good).unwrap();
    let token = server.access().issue_token(USER);
    let client = Client::new(kubelet.address(), &server.access().authority().pem()).token(&token);
    (kubelet, client)
}

#[test]
fn pods_of_the_node_are_listed_as_kubelets_do() {
    let server = server(4, Options::default());
    server.access().grant(USER, Grant::cluster("get", "", "nodes/proxy"));
    let hash = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
    let proxy = Container::running("proxy", Runtime::CriO.container_id());
    let mirror = Pod::new("kube-system", "proxy-n0").node("n0").mirror_of(hash).container(proxy);
    let mirror = server.cluster().put(mirror.build()).unwrap();
    let (_kubelet, client) = kubelet(&server);
    let answer = client.get("/pods");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let text = answer.text().unwrap();
    assert!(text.starts_with(r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[{"metadata":"#));
    let list: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&Value> =
        list["items"].as_array().unwrap().iter().map(|pod| &pod["metadata"]["name"]).collect();
    assert_eq!(names, ["p0", "p2", "proxy-n0"]);
    let own = &list["items"][2]["metadata"];
    assert_eq!(own["uid"], hash, "a static pod is known by its hash");
    assert_ne!(mirror["metadata"]["uid"], hash);
    assert_eq!(own["annotations"].get("kubernetes.io/config.mirror"), None);
    assert_eq!(own["annotations"]["kubernetes.io/config.source"], "file");
    assert_eq!(own.get("resourceVersion"), None);
    assert_eq!(client.json("/pods/").0, 200);

    server.cluster().delete("Pod", "kube-system", "proxy-n0").unwrap();
    for index in [0, 2] {
        server.cluster().delete("Pod", "a", &format!("p{index}")).unwrap();
    }
    assert_eq!(client.json("/pods").1["items"], Value::Null, "as Go writes what was never filled");
}

#[test]
fn who_may_not_is_told_in_plain_text() {
    let server = server(1, Options::default());
    let (kubelet, client) = kubelet(&server);
    let refused = client.get("/pods");
    assert_eq!((refused.status, refused.header("content-type")), (403, Some("text/plain; charset=utf-8")));
    let text = refused.text().unwrap();
    let expected =
        format!("Forbidden (user={USER}, verb=get, resource=nodes, subresource(s)=[pods proxy])\n");
    assert_eq!(text, expected);
    server.access().grant(USER, Grant::cluster("get", "", "nodes/pods"));
    assert_eq!(client.get("/pods").status, 200, "the finer permission is enough");
    assert_eq!(client.get("/healthz").status, 403);
    server.access().grant(USER, Grant::cluster("get", "", "nodes/proxy"));
    assert_eq!(client.get("/healthz").text().unwrap(), "ok");
    let stranger = Client::new(kubelet.address(), &server.access().authority().pem()).token("none");
    let refused = stranger.get("/pods");
    assert_eq!((refused.status, refused.text().unwrap().as_str()), (401, "Unauthorized"));
    server.access().rotate_token(USER);
    assert_eq!(client.get("/pods").status, 401);
}

#[test]
fn a_kubelet_fails_and_counts_like_a_server() {
    let server = server(1, Options::default());
    server.access().grant(USER, Grant::cluster("get", "", "nodes/proxy"));
    let (kubelet, client) = kubelet(&server);
    kubelet.faults().next(1, Which::any(), Fault::CutAfter { bytes: 10 });
    assert!(client.get("/pods").text().is_err());
    assert_eq!(client.get("/pods").status, 200);
    kubelet.down().unwrap();
    assert!(client.ask("/pods", &[]).is_err());
    server.cluster().put(pod(2).build()).unwrap();
    kubelet.up().unwrap();
    assert_eq!(client.json("/pods").1["items"].as_array().unwrap().len(), 2);
    let entries = kubelet.ledger().entries();
    let asked: Vec<(&str, &str)> =
        entries.iter().map(|entry| (entry.verb.as_str(), entry.path.as_str())).collect();
    assert_eq!(asked, [("get", "/pods"); 3]);
    assert!(server.ledger().is_empty());
}
