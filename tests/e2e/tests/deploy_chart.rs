//! The chart, rendered by helm, and held to what telegen takes.

use crate::deploy_manifests::{assert_configuration, assert_known};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;
use telegen_e2e::chart_schema::{ReferenceKey, example_of, read_reference, with_configuration};
use telegen_e2e::manifests::{helm, helm_template, kustomize, only, repository};
use telegen_e2e::{Scratch, run, telegen};

const LIMIT: Duration = Duration::from_secs(60);
const SCHEMA: &str = "deploy/helm/telegen/values.schema.json";

fn reference() -> Result<Vec<ReferenceKey>> {
    let outcome = run(&mut telegen(["config", "reference"])?, LIMIT)?.expect_code(0)?;
    let keys = read_reference(&outcome.stdout);
    assert_eq!(keys.len(), outcome.stdout.matches("\nprofiler.").count() + 1, "{outcome}");
    Ok(keys)
}

#[test]
fn the_chart_is_in_order() -> Result<()> {
    helm(&["lint", "--strict"])?;
    Ok(())
}

/// `TELEGEN_WRITE_SCHEMA=1 cargo xtask e2e the_schema_of_the_charts_values` writes it anew.
#[test]
fn the_schema_of_the_charts_values_has_every_key_of_the_configuration() -> Result<()> {
    let path = repository(SCHEMA);
    let there: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
    let expected = with_configuration(&there, &reference()?);
    if std::env::var_os("TELEGEN_WRITE_SCHEMA").is_some() {
        fs::write(&path, serde_json::to_string_pretty(&expected)? + "\n")?;
        return Ok(());
    }
    assert!(
        there == expected,
        "{SCHEMA} is not what `telegen config reference` says; run `TELEGEN_WRITE_SCHEMA=1 cargo xtask e2e \
         the_schema_of_the_charts_values`"
    );
    Ok(())
}

#[test]
fn the_charts_values_are_all_in_the_schema() -> Result<()> {
    for wrong in ["imag.tag=x", "config.target_process_nmes={java}", "config.cpu.sample_rate=0"] {
        let error = helm_template(&["--set", wrong]).expect_err(wrong).to_string();
        assert!(error.contains("schema") || error.contains("additional properties"), "{wrong}: {error}");
    }
    Ok(())
}

#[test]
fn the_chart_applies_what_the_manifests_do() -> Result<()> {
    let chart = helm_template(&["--namespace", "telegen"])?;
    let plain = kustomize("deploy/kubernetes")?;
    let [of_chart, of_plain] = [&chart, &plain].map(|objects| only(objects, "DaemonSet"));
    let (of_chart, of_plain) = (of_chart?, of_plain?);
    assert_known(of_chart)?;
    let mut pod = of_chart["spec"]["template"]["spec"].clone();
    pod["volumes"][0]["configMap"]["name"] = json!("telegen-profiler-config");
    assert_eq!(pod, of_plain["spec"]["template"]["spec"]);
    assert_eq!(of_chart["spec"]["updateStrategy"], of_plain["spec"]["updateStrategy"]);
    assert_eq!(only(&chart, "ClusterRole")?["rules"], only(&plain, "ClusterRole")?["rules"]);
    let parsed = |objects: &[Value]| -> Result<String> {
        let text = only(objects, "ConfigMap")?["data"]["config.yaml"].as_str().context("a text")?.to_owned();
        let scratch = Scratch::new()?;
        let file = scratch.write("config.yaml", &text)?;
        Ok(run(telegen(["config", "show", "--config"])?.arg(file), LIMIT)?.expect_code(0)?.stdout)
    };
    assert_eq!(parsed(&chart)?, parsed(&plain)?);
    Ok(())
}

#[test]
fn what_differs_between_clusters_can_be_set() -> Result<()> {
    let arguments = "openshift.scc=true,storage.hostPath=/var/lib/telegen,podLabels.team=perf,priorityClassName=high,\
                     config.server.health_listen=0.0.0.0:9999,config.target_process_names=null,serviceAccount.name=sa";
    let objects = helm_template(&["--namespace", "obs", "--set", arguments])?;
    let daemon_set = only(&objects, "DaemonSet")?;
    assert_known(daemon_set)?;
    let pod = &daemon_set["spec"]["template"]["spec"];
    assert_eq!(daemon_set["spec"]["template"]["metadata"]["labels"]["team"], "perf");
    assert_eq!(pod["containers"][0]["ports"][0]["containerPort"], 9999);
    assert_eq!(pod["volumes"][1]["hostPath"]["path"], "/var/lib/telegen");
    assert_eq!((&pod["priorityClassName"], &pod["serviceAccountName"]), (&json!("high"), &json!("sa")));
    let constraints = only(&objects, "SecurityContextConstraints")?;
    let added = &pod["containers"][0]["securityContext"]["capabilities"]["add"];
    assert_eq!(&constraints["allowedCapabilities"], added);
    assert!(constraints["volumes"].as_array().context("a list")?.contains(&json!("hostPath")));
    let config = assert_configuration(&objects)?;
    assert!(!config.contains("java"), "{config}");
    Ok(())
}

#[test]
fn every_key_of_the_configuration_can_be_a_value() -> Result<()> {
    let mut settings: BTreeMap<String, Value> = BTreeMap::new();
    for key in reference()?.iter().filter(|key| key.is_in_this_build() && key.path != "targets") {
        // One of each would be two ways to say the same, or a file that is not there.
        if ["target_pid", "targets[].pid"].contains(&key.path.as_str()) || !can_be_set_alone(key) {
            continue;
        }
        let Some(example) = example_of(key) else {
            bail!("no example of {:?} for {}: teach chart_schema", key.kind, key.path)
        };
        settings.insert(key.path.clone(), example);
    }
    assert!(settings.len() > 50, "only {} keys", settings.len());
    let mut values = json!({"config": {}});
    for (path, value) in settings {
        let mut place = &mut values["config"];
        for part in path.split('.') {
            place = match part.strip_suffix("[]") {
                Some(list) => &mut place[list],
                None => &mut place[part],
            };
            if part.ends_with("[]") {
                if place.is_null() {
                    *place = json!([{}]);
                }
                place = &mut place[0];
            }
        }
        *place = value;
    }
    values["config"]["targets"][0]["name"] = json!("web");
    let scratch = Scratch::new()?;
    let file = scratch.write("values.yaml", &values.to_string())?;
    let objects = helm_template(&["--values", file.to_str().context("a path")?])?;
    let config = assert_configuration(&objects)?;
    assert!(config.contains("max_stack_depth") && config.contains("until"), "{config}");
    Ok(())
}

/// Keys that name files must name some that are there, and those that choose between ways exclude others: their own tests
/// hold them.
fn can_be_set_alone(key: &ReferenceKey) -> bool {
    let excluded = ["server.tls", "server.token_file"];
    !excluded.iter().any(|word| key.path.contains(word))
}
