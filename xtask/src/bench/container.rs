//! A container, run by `runc`, that holds programs which are linked statically, and nothing else.

use super::process;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// Its id, as runtimes make them.
pub(crate) const ID: &str = "7e1e6e00be4c4000800000000000c0de7e1e6e00be4c4000800000000000c0de";
/// The group of the pod that it is in, as a kubelet names them.
const POD: &str = "kubepods/burstable/pod7e1e6e00-be4c-4000-8000-00000000c0de";
/// Where the host's /proc is in it, so that its processes can say by which pid the agent knows them.
pub(crate) const HOST_SELF: &str = "/host/self";

/// A running container; it and its control groups go when this is dropped.
pub(crate) struct Container {
    runc: Child,
    state: PathBuf,
    name: String,
}

impl Container {
    /// Runs the first of these programs with these arguments. What it writes goes to a file.
    pub(crate) fn start(
        directory: &Path,
        programs: &[&Path],
        arguments: &[&str],
        output: fs::File,
    ) -> Result<Self> {
        let bundle = directory.join("bundle");
        for place in ["rootfs/proc", "rootfs/host"] {
            fs::create_dir_all(bundle.join(place))?;
        }
        let inside: Vec<PathBuf> = programs.iter().map(|path| Self::place_of(path)).collect::<Result<_>>()?;
        for (program, inside) in programs.iter().zip(&inside) {
            fs::copy(program, bundle.join("rootfs").join(inside.strip_prefix("/")?))?;
        }
        let first = inside.first().context("no program")?;
        fs::write(bundle.join("config.json"), specification(first, arguments).to_string())?;
        let (state, name) = (directory.join("state"), format!("telegen-bench-{}", std::process::id()));
        let mut command = Command::new("runc");
        command.arg("--root").arg(&state).args(["run", "--bundle"]).arg(&bundle).arg(&name);
        let errors = fs::File::create(directory.join("runc.log"))?;
        let runc = command.stdin(Stdio::piped()).stdout(output).stderr(errors).spawn();
        let mut container = Self { runc: runc.context("cannot start runc")?, state, name };
        container.wait_for(first).with_context(|| {
            format!(
                "the container does not start: {}",
                fs::read_to_string(directory.join("runc.log")).unwrap_or_default()
            )
        })?;
        Ok(container)
    }

    /// Where a program is in it.
    pub(crate) fn place_of(program: &Path) -> Result<PathBuf> {
        Ok(Path::new("/").join(program.file_name().context("a program without a name")?))
    }

    /// The standard input of its first program.
    pub(crate) fn input(&mut self) -> Option<ChildStdin> {
        self.runc.stdin.take()
    }

    /// Waits until its first program has ended.
    pub(crate) fn wait(&mut self) -> Result<()> {
        let status = self.runc.wait()?;
        ensure!(status.success(), "the container has ended with {status}");
        Ok(())
    }

    /// `runc` shows its own program until that has become the container's.
    fn wait_for(&mut self, program: &Path) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            ensure!(self.runc.try_wait()?.is_none(), "runc has ended");
            if self.pid().is_some_and(|pid| {
                fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|executable| executable == program)
            }) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        anyhow::bail!("its program does not come up")
    }

    fn pid(&self) -> Option<u64> {
        let text = fs::read_to_string(self.state.join(&self.name).join("state.json")).ok()?;
        serde_json::from_str::<serde_json::Value>(&text).ok()?["init_process_pid"].as_u64()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let mut delete = Command::new("runc");
        // It may have ended by itself.
        let _ = delete.arg("--root").arg(&self.state).args(["delete", "--force"]).arg(&self.name).output();
        process::terminate(&mut self.runc);
        remove_groups();
    }
}

/// Removes its control groups from every hierarchy, and those above that are empty.
fn remove_groups() {
    let mut roots = vec![PathBuf::from("/sys/fs/cgroup")];
    roots.extend(fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path()));
    for root in roots {
        let group = PathBuf::from(POD).join(ID);
        for above in group.ancestors().filter(|path| !path.as_os_str().is_empty()) {
            // What others are in stays.
            let _ = fs::remove_dir(root.join(above));
        }
    }
}

fn specification(program: &Path, arguments: &[&str]) -> serde_json::Value {
    let program = program.to_string_lossy().into_owned();
    let argv: Vec<&str> = std::iter::once(program.as_str()).chain(arguments.iter().copied()).collect();
    serde_json::json!({
        "ociVersion": "1.0.2",
        "hostname": "bench",
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/host", "type": "bind", "source": "/proc", "options": ["bind", "ro"]}
        ],
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": argv,
            "env": ["PATH=/"],
            "cwd": "/",
            "noNewPrivileges": true
        },
        "linux": {
            "cgroupsPath": format!("/{POD}/{ID}"),
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}]
        }
    })
}
