//! What samples say of the pod that they were taken in.

use anyhow::{Context, Result};
use telegen_e2e::{Container, NODE, Node, PodPlace, Program, Recording, Sample, Scratch, record, skip};
use telegen_test_kubernetes::{Pod, Workload};

const POD_UID: &str = "5a5a0001-1111-4222-8333-444455556666";

#[test]
fn samples_carry_their_pod_its_workload_its_node_and_the_labels_that_are_listed() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let set = node.replica_set("shop", "web", &[("app.kubernetes.io/name", "storefront")])?;
    let web = Pod::of(&set).uid(POD_UID).label("app.kubernetes.io/version", "1.7.3").label("other", "x");
    let web = node.run(&scratch, web, Program::BurnStatic, "tg-k8l-web")?;
    let db = node.put(Workload::stateful_set("shop", "db").build())?;
    let db = node.run_at(&scratch, Pod::of(&db), Program::BurnStatic, "tg-k8l-db", PodPlace::crio)?;
    let host = scratch.start(Program::Burn, "tg-k8l-host", &[])?;
    let rules = "  pod_labels: [app.kubernetes.io/version, not-there]\n";
    let config = node.config(&scratch, rules)?;
    let arguments = ["--config", &config, "--name", "tg-k8l-*", "-d", "2s"];
    let Recording { profile, .. } = record(scratch.path(), &arguments)?;
    let of = |pid: u32| -> Result<&Sample> {
        let pid = pid.to_string();
        profile.samples.iter().find(|sample| sample.label("process.pid") == pid).context("no sample of it")
    };
    let sample = of(web.pid())?;
    for (key, value) in [
        ("k8s.namespace.name", "shop"),
        ("k8s.pod.uid", POD_UID),
        ("k8s.container.name", "main"),
        ("k8s.deployment.name", "web"),
        ("k8s.node.name", NODE),
        ("container.id", web.id()),
        ("service.name", "storefront"),
        ("k8s.pod.label.app.kubernetes.io/version", "1.7.3"),
    ] {
        assert_eq!(sample.label(key), value, "{key}: {sample:?}");
    }
    assert!(sample.label("k8s.pod.name").starts_with("web-"), "{sample:?}");
    assert!(!sample.labels.keys().any(|key| key.contains("other") || key.contains("not-there")));
    assert!(!sample.labels.contains_key("k8s.replicaset.name"), "{sample:?}");
    let sample = of(db.pid())?;
    for (key, value) in [
        ("k8s.statefulset.name", "db"),
        ("k8s.pod.name", "db-0"),
        ("service.name", "db"),
        ("k8s.node.name", NODE),
    ] {
        assert_eq!(sample.label(key), value, "{key}: {sample:?}");
    }
    let sample = of(host.pid())?;
    assert!(!sample.labels.keys().any(|key| key.starts_with("k8s.")), "{sample:?}");
    assert_eq!(sample.label("service.name"), "tg-k8l-host", "{sample:?}");
    // None of a process may lack what the others of it have.
    for sample in &profile.samples {
        let inside = sample.label("process.pid") != host.pid().to_string();
        assert_eq!(sample.labels.contains_key("k8s.pod.uid"), inside, "{sample:?}");
    }
    Ok(())
}
