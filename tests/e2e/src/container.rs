//! Containers, run by `runc`.

use crate::pod_place::{PodPlace, cgroups};
use crate::{Program, Running, Scratch, until};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
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
    id: String,
    cgroup: String,
    /// Control groups that were there before.
    others: BTreeSet<PathBuf>,
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
        Self::start_with(scratch, program, program_name, arguments, &[])
    }

    /// The same with variables in the program's environment, each as `NAME=value`.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start_with(
        scratch: &Scratch,
        program: Program,
        program_name: &str,
        arguments: &[&str],
        environment: &[&str],
    ) -> Result<Self> {
        let unique = std::process::id();
        let place = PodPlace::cgroupfs(&format!("0e2e0e2e-0000-4000-8000-{unique:012x}"));
        let name = format!("telegen-e2e-{program_name}-{unique}");
        Self::start_named(&name, scratch, program, program_name, arguments, environment, &place)
    }

    /// The same in a pod. Its id follows from its name and its pod.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start_in(
        scratch: &Scratch,
        program: Program,
        program_name: &str,
        arguments: &[&str],
        place: &PodPlace,
    ) -> Result<Self> {
        let name = format!("telegen-e2e-{program_name}-{}-{}", std::process::id(), place.uid());
        Self::start_named(&name, scratch, program, program_name, arguments, &[], place)
    }

    fn start_named(
        name: &str,
        scratch: &Scratch,
        program: Program,
        program_name: &str,
        arguments: &[&str],
        environment: &[&str],
        place: &PodPlace,
    ) -> Result<Self> {
        let installed = format!("{name}.bundle/rootfs/{program_name}");
        scratch.install(program, &installed)?;
        Self::run(name, scratch, program_name, arguments, environment, place)
    }

    /// Starts `/<program_name>` in a container whose root file system is made of these files, each with its path inside.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start_files(
        scratch: &Scratch,
        files: &[(&Path, &str)],
        program_name: &str,
        arguments: &[&str],
    ) -> Result<Self> {
        let unique = std::process::id();
        let place = PodPlace::cgroupfs(&format!("0e2e0e2e-0000-4000-8000-{unique:012x}"));
        let name = format!("telegen-e2e-{program_name}-{unique}");
        for (file, inside) in files {
            let path = scratch.join(&format!("{name}.bundle/rootfs")).join(inside.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::copy(file, &path).with_context(|| format!("cannot copy {}", file.display()))?;
        }
        Self::run(&name, scratch, program_name, arguments, &[], &place)
    }

    /// Runs what stands in the bundle.
    fn run(
        name: &str,
        scratch: &Scratch,
        program_name: &str,
        arguments: &[&str],
        environment: &[&str],
        place: &PodPlace,
    ) -> Result<Self> {
        let bundle = scratch.join(&format!("{name}.bundle"));
        fs::create_dir(bundle.join("rootfs/proc"))?;
        let id = id_of(name);
        let cgroup = place.cgroup(&id);
        let others = cgroups(&cgroup).into_iter().filter(|group| group.exists()).collect();
        let specification = specification(program_name, arguments, environment, &cgroup, place);
        fs::write(bundle.join("config.json"), specification.to_string())?;
        let state = scratch.join(&format!("{name}.state"));
        let mut command = Command::new("runc");
        command.arg("--root").arg(&state).args(["run", "--bundle"]).arg(&bundle).arg(name);
        let runc = Running::spawn(&mut command)?;
        // The guard exists from here on, so that a container which comes up late is taken down too.
        let mut container = Self { runc, state, name: name.to_owned(), id, cgroup, others, pid: 0 };
        container.pid = container.wait_for_program(program_name)?;
        Ok(container)
    }

    /// Its id: 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
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
        remove_cgroups(&self.cgroup, &self.others);
    }
}

/// An id as runtimes make them, the same for the same name.
pub(crate) fn id_of(name: &str) -> String {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    let mut id = String::new();
    for round in 0..4u8 {
        for byte in name.bytes().chain([round]) {
            state = (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        id.push_str(&format!("{state:016x}"));
    }
    id
}

/// Removes what was made for the container, from every hierarchy: not what was there before.
pub(crate) fn remove_cgroups(cgroup: &str, others: &BTreeSet<PathBuf>) {
    for group in cgroups(cgroup).iter().filter(|group| !others.contains(*group)) {
        // What another container has come into meanwhile stays for that one to remove.
        let _ = fs::remove_dir(group);
    }
}

fn specification(
    program_name: &str,
    arguments: &[&str],
    environment: &[&str],
    cgroup: &str,
    place: &PodPlace,
) -> serde_json::Value {
    let environment = [&["PATH=/"], environment].concat();
    let mut argv = vec![format!("/{program_name}")];
    argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    let mut namespaces = vec!["mount", "ipc", "uts"];
    if !place.shares_pids() {
        namespaces.push("pid");
    }
    let namespaces: Vec<_> = namespaces.iter().map(|kind| serde_json::json!({"type": kind})).collect();
    serde_json::json!({
        "ociVersion": "1.0.2",
        "hostname": "pod",
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": argv,
            "env": environment,
            "cwd": "/",
            "noNewPrivileges": true
        },
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": namespaces
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(cgroups.contains(&container.cgroup), "{cgroups}");
        let group = container.cgroup.clone();
        let pod = group.rsplit_once('/').map_or("", |(pod, _)| pod);
        drop(container);
        assert!(!Path::new(&format!("/proc/{pid}/exe")).exists());
        for hierarchy in fs::read_dir("/sys/fs/cgroup")? {
            assert!(!hierarchy?.path().join(&pod[1..]).exists());
        }
        Ok(())
    }
}
