//! The manifests, rendered by kubectl, and held to what Kubernetes and telegen know.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::time::Duration;
use telegen_e2e::manifests::{known_of, kustomize, only};
use telegen_e2e::{NEEDED_CAPABILITIES, Scratch, run, telegen};

const LIMIT: Duration = Duration::from_secs(60);
const ALL: [&str; 3] = ["deploy/kubernetes", "deploy/kubernetes/overlays/kubelet", "deploy/openshift"];

/// Fails if Kubernetes would drop something of a workload that it does not know.
pub(crate) fn assert_known(workload: &Value) -> Result<()> {
    let known = known_of(workload)?;
    assert_within(workload, &known, "");
    Ok(())
}

fn assert_within(part: &Value, whole: &Value, place: &str) {
    match part {
        Value::Object(members) => {
            for (name, value) in members {
                assert_within(value, &whole[name], &format!("{place}.{name}"));
            }
        }
        Value::Array(entries) => {
            for (at, value) in entries.iter().enumerate() {
                assert_within(value, &whole[at], &format!("{place}[{at}]"));
            }
        }
        // A port may be written as a number, and an empty value left out.
        _ => assert_eq!(part, whole, "Kubernetes does not know {place}"),
    }
}

/// Holds the text of the one ConfigMap to what telegen takes, without a warning, and returns it.
pub(crate) fn assert_configuration(objects: &[Value]) -> Result<String> {
    let text = only(objects, "ConfigMap")?["data"]["config.yaml"].as_str().context("config.yaml")?.to_owned();
    let scratch = Scratch::new()?;
    let file = scratch.write("config.yaml", &text)?;
    let outcome = run(telegen(["config", "check"])?.arg(file), LIMIT)?.expect_code(0)?;
    assert!(!outcome.output().contains("warning: unknown"), "{outcome}");
    Ok(text)
}

fn container(objects: &[Value]) -> Result<&Value> {
    Ok(&only(objects, "DaemonSet")?["spec"]["template"]["spec"]["containers"][0])
}

#[test]
fn the_manifests_say_nothing_that_kubernetes_does_not_know() -> Result<()> {
    for directory in ALL {
        let objects = kustomize(directory)?;
        assert_known(only(&objects, "DaemonSet")?)?;
        for object in &objects {
            let cluster_wide =
                ["Namespace", "ClusterRole", "ClusterRoleBinding", "SecurityContextConstraints"];
            let namespace = &object["metadata"]["namespace"];
            let expected = if cluster_wide.contains(&object["kind"].as_str().context("a kind")?) {
                &Value::Null
            } else {
                &json!("telegen")
            };
            assert_eq!(namespace, expected, "{directory}: {object}");
        }
    }
    Ok(())
}

#[test]
fn configurations_of_the_manifests_are_accepted() -> Result<()> {
    for (directory, java_without) in
        [("deploy/kubernetes", "[kube-system]"), ("deploy/openshift", "[kube-system, \"openshift-*\"]")]
    {
        let config = assert_configuration(&kustomize(directory)?)?;
        assert!(config.contains("target_process_names: [java]\n"), "{config}");
        assert!(config.contains(&format!("exclude_namespaces: {java_without}\n")), "{config}");
    }
    Ok(())
}

#[test]
fn the_configuration_of_the_kubelet_overlay_is_accepted() -> Result<()> {
    let config = assert_configuration(&kustomize("deploy/kubernetes/overlays/kubelet")?)?;
    assert!(config.contains("kubernetes: {source: kubelet}"), "{config}");
    Ok(())
}

#[test]
fn the_configuration_is_where_telegen_is_told_to_look() -> Result<()> {
    for directory in ALL {
        let objects = kustomize(directory)?;
        let pod = &only(&objects, "DaemonSet")?["spec"]["template"]["spec"];
        let mounts = container(&objects)?["volumeMounts"].as_array().context("mounts")?;
        let mount =
            mounts.iter().find(|mount| mount["mountPath"] == "/etc/telegen/profiler").context("no mount")?;
        let volumes = pod["volumes"].as_array().context("volumes")?;
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).context("no volume")?;
        assert_eq!(volume["configMap"]["name"], "telegen-profiler-config");
        assert_eq!(only(&objects, "ConfigMap")?["metadata"]["name"], "telegen-profiler-config");
        assert_eq!(only(&objects, "DaemonSet")?["spec"]["template"]["metadata"]["labels"]["app"], "telegen");
        // With the manifest's own words, to the point where the file is read.
        let words: Vec<&str> = container(&objects)?["args"]
            .as_array()
            .context("args")?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(words.last(), Some(&"/etc/telegen/profiler/config.yaml"));
        let absent = "/nonexistent/config.yaml";
        let words = words.iter().map(|word| if word.starts_with('/') { absent } else { word });
        let outcome = run(&mut telegen(words)?, LIMIT)?.expect_code(2)?;
        assert!(outcome.stderr.contains(absent), "not even the arguments are understood: {outcome}");
    }
    Ok(())
}

#[test]
fn the_container_has_what_it_needs_and_nothing_else() -> Result<()> {
    let needed: Vec<String> = NEEDED_CAPABILITIES.iter().map(|name| name.to_uppercase()).collect();
    for directory in ALL {
        let objects = kustomize(directory)?;
        let security = &container(&objects)?["securityContext"];
        assert_eq!(security["capabilities"], json!({"drop": ["ALL"], "add": needed}), "{directory}");
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert!(security["privileged"].is_null());
        let pod = &only(&objects, "DaemonSet")?["spec"]["template"]["spec"];
        assert_eq!(pod["hostPID"], true);
        assert!(pod["hostNetwork"].is_null() && pod["hostIPC"].is_null());
        let volumes = pod["volumes"].as_array().context("volumes")?;
        assert!(volumes.iter().all(|volume| volume["hostPath"].is_null()), "{directory}");
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            assert_eq!(container(&objects)?[probe]["httpGet"]["port"], "health", "{probe}");
        }
    }
    Ok(())
}

#[test]
fn the_cluster_is_asked_for_pods_and_owners_and_nothing_else() -> Result<()> {
    let rule = |group: &str, resource: &str, verbs: &[&str]| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    let api = json!([
        rule("", "pods", &["get", "list", "watch"]),
        rule("apps", "replicasets", &["get"]),
        rule("batch", "jobs", &["get"])
    ]);
    let kubelet = json!([rule("", "nodes/pods", &["get"])]);
    for (directory, rules) in ALL.into_iter().zip([&api, &kubelet, &api]) {
        let objects = kustomize(directory)?;
        let role = only(&objects, "ClusterRole")?;
        assert_eq!(&role["rules"], rules, "{directory}");
        let binding = only(&objects, "ClusterRoleBinding")?;
        assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
        let account = &only(&objects, "ServiceAccount")?["metadata"];
        let subject =
            json!({"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]});
        assert_eq!(binding["subjects"], json!([subject]));
        assert_eq!(
            only(&objects, "DaemonSet")?["spec"]["template"]["spec"]["serviceAccountName"],
            account["name"]
        );
    }
    Ok(())
}

#[test]
fn openshifts_constraints_allow_what_the_container_asks_for() -> Result<()> {
    let objects = kustomize("deploy/openshift")?;
    let constraints = only(&objects, "SecurityContextConstraints")?;
    let security = &container(&objects)?["securityContext"];
    assert_eq!(constraints["allowedCapabilities"], security["capabilities"]["add"]);
    assert_eq!(constraints["requiredDropCapabilities"], security["capabilities"]["drop"]);
    assert_eq!(constraints["seLinuxContext"]["seLinuxOptions"], security["seLinuxOptions"]);
    assert_eq!(constraints["runAsUser"]["uid"], security["runAsUser"]);
    assert_eq!(constraints["readOnlyRootFilesystem"], security["readOnlyRootFilesystem"]);
    assert_eq!(constraints["allowHostPID"], true);
    for refused in
        ["allowHostNetwork", "allowHostIPC", "allowPrivilegedContainer", "allowPrivilegeEscalation"]
    {
        assert_eq!(constraints[refused], false, "{refused}");
    }
    let profile = security["seccompProfile"]["type"].as_str().context("a profile")?.to_lowercase();
    let allowed = constraints["seccompProfiles"].as_array().context("profiles")?;
    assert!(allowed.iter().any(|name| name.as_str() == Some(&profile)), "{profile}");
    let role = only(&objects, "Role")?;
    assert_eq!(role["rules"][0]["resourceNames"], json!([constraints["metadata"]["name"]]));
    assert_eq!(only(&objects, "RoleBinding")?["roleRef"]["name"], role["metadata"]["name"]);
    Ok(())
}
