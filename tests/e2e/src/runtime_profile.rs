//! Default seccomp profiles, from the container runtimes themselves.

use crate::manifests::repository;
use crate::{build_directory, run};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// The default profiles of runtimes, for a container that has certain capabilities, as an OCI specification has them.
#[derive(Debug)]
pub struct RuntimeProfiles {
    /// containerd's, of Debian 12's 1.6 or newer.
    pub containerd: Value,
    /// That of CRI-O and podman as Debian has it. It may be one from before they knew of CAP_BPF.
    pub containers_common: Value,
}

/// How long two packages take at most.
const LIMIT: Duration = Duration::from_secs(300);
/// The script's word for that the packages cannot be had.
const CANNOT: i32 = 77;

impl RuntimeProfiles {
    /// Asks for them, each capability as `CAP_BPF`; or says why they cannot be had here.
    ///
    /// # Errors
    ///
    /// If they can, and it fails.
    pub fn of(capabilities: &[String]) -> Result<Result<Self, String>> {
        // Kept, so that packages are fetched but once for the same capabilities.
        let name = format!("runtime-profiles-{}", capabilities.join("-"));
        let directory = build_directory()?.join(name);
        let mut command = Command::new(repository("scripts/runtime-profiles"));
        let outcome = run(command.arg(&directory).args(capabilities), LIMIT)?;
        if outcome.code() == Some(CANNOT) {
            return Ok(Err(outcome.stderr.trim().to_owned()));
        }
        outcome.expect_code(0)?;
        let read = |file: &str| -> Result<Value> {
            Ok(serde_json::from_str(&fs::read_to_string(directory.join(file))?)?)
        };
        let containerd = read("containerd.json")?["Spec"]["linux"]["seccomp"].take();
        let containers_common = resolved(&read("containers-common.json")?, capabilities)?;
        Ok(Ok(Self { containerd, containers_common }))
    }
}

/// What a profile of containers-common is for these capabilities on x86-64: containers-common(5), seccomp.json.
fn resolved(profile: &Value, capabilities: &[String]) -> Result<Value> {
    let names = |rule: &Value, filter: &str, what: &str| -> Vec<String> {
        let list = rule[filter][what].as_array().into_iter().flatten();
        list.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let applies = |rule: &&Value| {
        let held = |name: &String| capabilities.contains(name);
        let here = |arch: &String| arch == "amd64";
        let (wanted, arches) = (names(rule, "includes", "caps"), names(rule, "includes", "arches"));
        wanted.iter().all(held)
            && (arches.is_empty() || arches.iter().any(here))
            && !names(rule, "excludes", "caps").iter().any(held)
            && !names(rule, "excludes", "arches").iter().any(here)
    };
    let rules = profile["syscalls"].as_array().context("a list of rules")?;
    let rules: Vec<Value> = rules
        .iter()
        .filter(applies)
        .map(|rule| {
            let mut kept = json!({"names": rule["names"], "action": rule["action"]});
            for key in ["args", "errnoRet"] {
                if !rule[key].is_null() {
                    kept[key] = rule[key].clone();
                }
            }
            kept
        })
        .collect();
    Ok(json!({
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile["defaultErrnoRet"],
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": rules
    }))
}

/// Another profile that refuses a system call besides.
pub fn refusing(profile: &Value, call: &str) -> Value {
    let mut profile = profile.clone();
    for rule in profile["syscalls"].as_array_mut().into_iter().flatten() {
        if let Some(names) = rule["names"].as_array_mut() {
            names.retain(|name| name != call);
        }
    }
    if let Some(rules) = profile["syscalls"].as_array_mut() {
        rules.retain(|rule| rule["names"].as_array().is_some_and(|names| !names.is_empty()));
    }
    profile
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_those_for_the_capabilities() -> Result<()> {
        let profile = json!({"defaultAction": "E", "defaultErrnoRet": 38, "syscalls": [
            {"names": ["read"], "action": "A", "includes": {}, "excludes": {}},
            {"names": ["bpf"], "action": "A", "includes": {"caps": ["CAP_BPF"]}},
            {"names": ["bpf"], "action": "E", "errnoRet": 1, "excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}},
            {"names": ["cacheflush"], "action": "A", "includes": {"arches": ["arm64"]}},
        ]});
        let with = resolved(&profile, &["CAP_BPF".to_owned()])?;
        assert_eq!(
            with["syscalls"],
            json!([{"names": ["read"], "action": "A"}, {"names": ["bpf"], "action": "A"}])
        );
        let without = resolved(&profile, &[])?;
        assert_eq!(without["syscalls"][1], json!({"names": ["bpf"], "action": "E", "errnoRet": 1}));
        assert_eq!(refusing(&with, "bpf")["syscalls"], json!([{"names": ["read"], "action": "A"}]));
        Ok(())
    }
}
