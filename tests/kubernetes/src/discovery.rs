//! What a server says about itself: versions, groups and resources.

use crate::order;
use crate::resource::Resource;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

/// The answer to a path of discovery, if it is one.
pub(crate) fn read(path: &str, resources: &[Arc<Resource>], address: SocketAddr) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let value = match parts.as_slice() {
        ["version"] => version(),
        ["api"] => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs":
                [{"clientCIDR": "0.0.0.0/0", "serverAddress": address.to_string()}],
        }),
        ["apis"] => groups(resources),
        ["api", version] => list(resources, "", version)?,
        ["apis", group, version] => list(resources, group, version)?,
        _ => return None,
    };
    // `APIVersions` has no version of its own, and the order of its fields is as good as any.
    let mut text = String::new();
    order::write(&value, &mut text);
    text.push('\n');
    Some(text)
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": "v1.36.0",
        "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean",
        "buildDate": "2026-04-22T12:00:00Z",
        "goVersion": "go1.26.1",
        "compiler": "gc",
        "platform": "linux/amd64",
    })
}

fn groups(resources: &[Arc<Resource>]) -> Value {
    let groups: BTreeSet<(&str, &str)> = resources
        .iter()
        .filter(|resource| !resource.group.is_empty())
        .map(|resource| (resource.group.as_str(), resource.version.as_str()))
        .collect();
    let group = |(group, version): (&str, &str)| {
        let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
        json!({"name": group, "versions": [version.clone()], "preferredVersion": version})
    };
    let groups: Vec<Value> = groups.into_iter().map(group).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn list(resources: &[Arc<Resource>], group: &str, version: &str) -> Option<Value> {
    let of_group = resources.iter().filter(|known| known.group == group && known.version == version);
    let entries: Vec<Value> = of_group
        .map(|resource| {
            json!({
                "name": resource.plural,
                "singularName": resource.kind.to_lowercase(),
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": ["get", "list", "watch"],
            })
        })
        .collect();
    let name = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let list = json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": name,
        "resources": entries,
    });
    (!entries.is_empty()).then_some(list)
}
