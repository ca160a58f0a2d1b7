use serde_json::{Value, json};
use std::collections::BTreeMap;
use telegen_k8s::{Change, KnownPod, Owners, PodObject, PodStore};
use telegen_model::WorkloadKind;

const NODE: &str = "node-1";

fn object(value: Value) -> PodObject {
    serde_json::from_value(value).expect("a pod")
}

fn pod(name: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": "7",
            "labels": {"app": name},
            "annotations": {"telegen.io/profile": "true", "kubectl.kubernetes.io/last-applied": "{}"},
            "managedFields": [{"manager": "kubelet"}],
        },
        "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "x"}]},
        "status": {"phase": "Running", "containerStatuses": [
            {"name": "main", "containerID": format!("containerd://{}", "ab".repeat(32)), "ready": true},
            {"name": "late", "state": {"waiting": {}}},
        ]},
    })
}

fn owned(name: &str, api_version: &str, kind: &str, owner: &str) -> Value {
    let mut pod = pod(name);
    pod["metadata"]["ownerReferences"] = json!([
        {"apiVersion": "example.org/v1", "kind": "Team", "name": "blue", "uid": "t"},
        {"apiVersion": api_version, "kind": kind, "name": owner, "uid": format!("uid-{owner}"), "controller": true},
    ]);
    pod
}

fn store(owners: Owners) -> PodStore {
    PodStore::new(NODE, &["telegen.io/profile"], owners)
}

fn put(store: &mut PodStore, value: Value) -> Vec<Change> {
    let mut out = Vec::new();
    store.put(object(value), &mut out);
    out
}

fn only(changes: &[Change]) -> &KnownPod {
    match changes {
        [Change::Here(known)] => known,
        other => panic!("{other:?}"),
    }
}

fn workload(changes: &[Change]) -> (WorkloadKind, String) {
    let workload = &only(changes).pod.details.as_ref().expect("details").workload;
    (workload.kind.clone(), workload.name.to_string())
}

#[test]
fn a_pod_is_told_with_all_that_decisions_depend_on_and_nothing_else() {
    let mut store = store(Owners::Asked);
    let changes = put(&mut store, pod("web"));
    let known = only(&changes);
    let details = known.pod.details.as_ref().unwrap();
    assert_eq!((&*known.pod.uid, known.pod.namespace.as_deref()), ("uid-web", Some("shop")));
    assert_eq!((known.pod.name.as_deref(), &*details.node), (Some("web"), NODE));
    assert_eq!(details.labels, BTreeMap::from([("app".into(), "web".into())]));
    assert_eq!(details.annotations, BTreeMap::from([("telegen.io/profile".into(), "true".into())]));
    assert_eq!(workload(&changes), (WorkloadKind::Pod, "web".into()));
    let containers: Vec<_> =
        known.containers.iter().map(|(id, name)| (id.as_str().to_owned(), &**name)).collect();
    assert_eq!(containers, [("ab".repeat(32), "main")]);
}

#[test]
fn nothing_is_told_twice() {
    let mut store = store(Owners::Asked);
    assert_eq!(put(&mut store, pod("web")).len(), 1);
    let mut later = pod("web");
    later["metadata"]["resourceVersion"] = json!("8");
    later["status"]["conditions"] = json!([{"type": "Ready"}]);
    assert_eq!(put(&mut store, later), []);
    let mut labelled = pod("web");
    labelled["metadata"]["labels"]["tier"] = json!("front");
    assert_eq!(only(&put(&mut store, labelled)).pod.details.as_ref().unwrap().labels.len(), 2);
}

#[test]
fn containers_of_every_kind_are_named() {
    let mut store = store(Owners::Asked);
    let mut value = pod("web");
    value["status"]["initContainerStatuses"] =
        json!([{"name": "setup", "containerID": format!("cri-o://{}", "01".repeat(32))}]);
    value["status"]["ephemeralContainerStatuses"] = json!([{"name": "debug", "containerID": format!("docker://{}", "02".repeat(32))}, {"containerID": "odd"}]);
    value["status"]["containerStatuses"] = Value::Null;
    let names: Vec<String> =
        only(&put(&mut store, value)).containers.iter().map(|(_, name)| name.to_string()).collect();
    assert_eq!(names, ["setup", "debug"]);
}

#[test]
fn pods_of_other_nodes_are_none_of_ours() {
    let mut store = store(Owners::Asked);
    let mut other = pod("far");
    other["spec"]["nodeName"] = json!("node-2");
    assert_eq!(put(&mut store, other), []);
    let mut unbound = pod("early");
    unbound["spec"] = json!({});
    assert_eq!(put(&mut store, unbound), []);
    assert!(store.is_empty());
}

#[test]
fn a_list_replaces_what_was_known() {
    let mut store = store(Owners::Asked);
    let mut out = Vec::new();
    store.replace(vec![object(pod("a")), object(pod("b"))], &mut out);
    assert_eq!(out.len(), 2);
    out.clear();
    store.replace(vec![object(pod("b")), object(pod("c"))], &mut out);
    assert_eq!(out[0], Change::Gone("uid-a".into()));
    assert_eq!(only(&out[1..]).pod.name.as_deref(), Some("c"));
    out.clear();
    store.delete(&object(pod("c")), &mut out);
    assert_eq!((out.as_slice(), store.len()), (&[Change::Gone("uid-c".into())][..], 1));
}

#[test]
fn a_pod_of_the_same_name_is_another() {
    let mut store = store(Owners::Asked);
    put(&mut store, pod("web"));
    let mut again = pod("web");
    again["metadata"]["uid"] = json!("uid-2");
    assert_eq!(&*only(&put(&mut store, again)).pod.uid, "uid-2");
    assert_eq!(store.len(), 2);
}

#[test]
fn a_static_pod_goes_by_the_hash_of_its_file() {
    let mut store = store(Owners::Asked);
    let mut mirror = owned("etcd", "v1", "Node", NODE);
    mirror["metadata"]["annotations"]["kubernetes.io/config.mirror"] =
        json!("0123456789abcdef0123456789abcdef");
    let changes = put(&mut store, mirror);
    assert_eq!(&*only(&changes).pod.uid, "0123456789abcdef0123456789abcdef");
    assert_eq!(workload(&changes), (WorkloadKind::Pod, "etcd".into()));
    assert_eq!(only(&changes).pod.details.as_ref().unwrap().annotations.len(), 1);
    let mut out = Vec::new();
    store.replace(Vec::new(), &mut out);
    assert_eq!(out, [Change::Gone("0123456789abcdef0123456789abcdef".into())]);
}

#[test]
fn controllers_of_any_kind_are_shown_by_their_own() {
    let mut store = store(Owners::Asked);
    for (api_version, kind, expected) in [
        ("apps/v1", "StatefulSet", WorkloadKind::StatefulSet),
        ("apps/v1", "DaemonSet", WorkloadKind::DaemonSet),
        ("argoproj.io/v1alpha1", "Rollout", WorkloadKind::Other("Rollout".into())),
        // Of the same name as one of Kubernetes' own, and not asked for.
        ("example.org/v1", "ReplicaSet", WorkloadKind::ReplicaSet),
    ] {
        let changes =
            put(&mut store, owned(&format!("{kind}-{}", api_version.len()), api_version, kind, "db"));
        assert_eq!(workload(&changes), (expected, "db".into()));
    }
}

#[test]
fn who_does_not_ask_for_owners_takes_them_as_they_are_named() {
    let mut store = store(Owners::AsNamed);
    let changes = put(&mut store, owned("web-1", "apps/v1", "ReplicaSet", "web-7d9"));
    assert_eq!(workload(&changes), (WorkloadKind::ReplicaSet, "web-7d9".into()));
}
