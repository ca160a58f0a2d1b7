//! Containers, run by `runc`.

use crate::{Program, Running, Scratch, until};
use anyhow::{Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A running container whose root file system holds one statically linked program and nothing else: its symbols can be
/// read through the container's own root only. It is killed and its cgroups are removed when it is dropped.
#[derive(Debug)]
pub struct Container {
    runc: Running,
    state: PathBuf,
    name: String,
    pod_cgroup: String,
    pid: u32,
}

impl Container {
    /// Whether `runc` is there to run containers.
    pub fn is_supported() -> bool {
        Command::new("runc").arg("--version").output().is_ok_and(|output| output.status.success())
    }

    /// Starts `/<program_name>` in a container, in the cgroup that a kubelet would give it.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start(
        scratch: &Scratch,
        program: Program,
        program_name: &str,
        arguments: &[&str],
    ) -> Result<Self> {
        let unique = std::process::id();
        let name = format!("telegen-e2e-{program_name}-{unique}");
        let bundle = scratch.join(&format!("{name}.bundle"));
        let installed = format!("{name}.bundle/rootfs/{program_name}");
        scratch.install(program, &installed)?;
        fs::create_dir(bundle.join("rootfs/proc"))?;
        let pod_cgroup = format!("/kubepods/burstable/pod0e2e0e2e-0000-4000-8000-{unique:012x}");
        let cgroup = format!("{pod_cgroup}/{}", "0123456789abcdef".repeat(4));
        fs::write(bundle.join("config.json"), specification(program_name, arguments, &cgroup).to_string())?;
        let state = scratch.join(&format!("{name}.state"));
        let mut command = Command::new("runc");
        command.arg("--root").arg(&state).args(["run", "--bundle"]).arg(&bundle).arg(&name);
        let runc = Running::spawn(&mut command)?;
        // The guard exists from here on, so that a container which comes up late is taken down too.
        let mut container = Self { runc, state, name, pod_cgroup, pid: 0 };
        container.pid = container.wait_for_program(program_name)?;
        Ok(container)
    }

    /// The pid of the program, as the host sees it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// `runc` shows its own program until it executes the container's.
    fn wait_for_program(&mut self, program_name: &str) -> Result<u32> {
        until(Duration::from_secs(30), "the program in the container", || {
            if !self.runc.is_running()? {
                bail!("runc has ended: {}", self.runc.stderr()?);
            }
            let path = self.state.join(&self.name).join("state.json");
            let Ok(text) = fs::read_to_string(path) else { return Ok(None) };
            let Ok(state) = serde_json::from_str::<serde_json::Value>(&text) else { return Ok(None) };
            let Some(pid) = state["init_process_pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()) else {
                return Ok(None);
            };
            let executable = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            Ok((executable == Path::new("/").join(program_name)).then_some(pid))
        })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let runc = |arguments: &[&str]| {
            let _ =
                Command::new("runc").arg("--root").arg(&self.state).args(arguments).arg(&self.name).output();
        };
        runc(&["delete", "--force"]);
        self.runc.kill();
        remove_cgroups(&self.pod_cgroup);
    }
}

/// Removes the pod's cgroup and those above it, unless something else is in them, from every hierarchy.
fn remove_cgroups(pod_cgroup: &str) {
    let mut hierarchies = vec![PathBuf::from("/sys/fs/cgroup")];
    hierarchies
        .extend(fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path()));
    for hierarchy in hierarchies {
        let mut cgroup = Path::new(pod_cgroup);
        while cgroup != Path::new("/") {
            let _ = fs::remove_dir(hierarchy.join(cgroup.strip_prefix("/").unwrap_or(cgroup)));
            cgroup = cgroup.parent().unwrap_or(Path::new("/"));
        }
    }
}

fn specification(program_name: &str, arguments: &[&str], cgroup: &str) -> serde_json::Value {
    let mut argv = vec![format!("/{program_name}")];
    argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    serde_json::json!({
        "ociVersion": "1.0.2",
        "hostname": "pod",
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": argv,
            "env": ["PATH=/"],
            "cwd": "/",
            "noNewPrivileges": true
        },
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}]
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_container_runs_in_a_pods_cgroup_and_leaves_nothing() -> Result<()> {
        if !Container::is_supported()
            || fs::metadata("/root").is_err()
            || !rustix::process::geteuid().is_root()
        {
            crate::skip!("no runc, or not root");
        }
        let scratch = Scratch::new()?;
        let container = Container::start(&scratch, Program::BurnStatic, "tg-in-box", &[])?;
        let pid = container.pid();
        let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).context("the container is gone")?;
        assert!(cgroups.contains(&container.pod_cgroup), "{cgroups}");
        let pod = container.pod_cgroup.clone();
        drop(container);
        assert!(!Path::new(&format!("/proc/{pid}/exe")).exists());
        for hierarchy in fs::read_dir("/sys/fs/cgroup")? {
            assert!(!hierarchy?.path().join(&pod[1..]).exists());
        }
        Ok(())
    }
}
