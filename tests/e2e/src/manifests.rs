//! What is applied to a cluster, rendered by the tools that apply it.

use crate::run;
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A path in the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The objects of a directory with a kustomization.
///
/// # Errors
///
/// If kubectl cannot render it.
pub fn kustomize(directory: &str) -> Result<Vec<Value>> {
    let rendered = tool("kubectl", &["kustomize".as_ref(), repository(directory).as_os_str()])?;
    read_objects(&rendered)
}

/// The objects of the chart with these further arguments.
///
/// # Errors
///
/// If helm refuses them, by the chart's schema too.
pub fn helm_template(arguments: &[&str]) -> Result<Vec<Value>> {
    read_objects(&helm(&[&["template", "telegen"], arguments].concat())?)
}

/// What helm says to a command about the chart: its first words, the chart, further arguments.
///
/// # Errors
///
/// If it fails.
pub fn helm(arguments: &[&str]) -> Result<String> {
    let chart = repository("deploy/helm/telegen");
    let (before, after) = arguments.split_at(if arguments[0] == "template" { 2 } else { 1 });
    let words = before.iter().map(AsRef::as_ref).chain([chart.as_os_str()]);
    let words: Vec<_> = words.chain(after.iter().map(AsRef::as_ref)).collect();
    tool("helm", &words)
}

/// Reads YAML as kubectl reads it: no parser of ours has a say in what is an object.
///
/// # Errors
///
/// If it is none that a cluster would take for one.
pub fn read_objects(yaml: &str) -> Result<Vec<Value>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("objects.yaml");
    fs::write(&file, yaml)?;
    // A command that changes no file, asks no server, and says in JSON what it has read.
    let words = ["annotate", "--local", "--overwrite", "telegen.io/read=true", "-o", "json", "-f"];
    let words: Vec<_> = words.iter().map(AsRef::as_ref).chain([file.as_os_str()]).collect();
    let text = tool("kubectl", &words)?;
    let mut objects = Vec::new();
    for object in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        let mut object = object.context("kubectl writes JSON")?;
        if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
            annotations.remove("telegen.io/read");
        }
        objects.push(object);
    }
    Ok(objects)
}

/// The same workload after kubectl has read it into its own types and written it again: what Kubernetes does not know of
/// has gone.
///
/// # Errors
///
/// If it is no workload.
pub fn known_of(workload: &Value) -> Result<Value> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("workload.json");
    fs::write(&file, workload.to_string())?;
    let words = ["set", "env", "--local", "TELEGEN_READ=true", "-o", "json", "-f"];
    let words: Vec<_> = words.iter().map(AsRef::as_ref).chain([file.as_os_str()]).collect();
    Ok(serde_json::from_str(&tool("kubectl", &words)?)?)
}

/// The one object of a kind.
///
/// # Errors
///
/// If there is none, or more than one.
pub fn only<'a>(objects: &'a [Value], kind: &str) -> Result<&'a Value> {
    let mut of_kind = objects.iter().filter(|object| object["kind"] == kind);
    let first = of_kind.next().with_context(|| format!("no {kind}"))?;
    anyhow::ensure!(of_kind.next().is_none(), "more than one {kind}");
    Ok(first)
}

/// Without the caller's cluster, repositories and colours.
fn tool(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).env_remove("KUBECONFIG").env("HOME", "/nonexistent");
    Ok(run(&mut command, LIMIT)?.expect_code(0)?.stdout)
}
