//! A pod of a DaemonSet, run by `runc` as a kubelet and a container runtime would have it run.

use crate::container::{id_of, remove_cgroups};
use crate::pod_place::cgroups;
use crate::{Outcome, Response, Running, Scratch, http_get, until};
use anyhow::{Context, Result, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What a test settles about a pod; the rest is the DaemonSet's.
#[derive(Debug)]
pub struct PodSettings<'a> {
    /// The DaemonSet, as it is applied.
    pub daemon_set: &'a Value,
    /// The root file system of its image.
    pub image: &'a Path,
    /// The text of `config.yaml` in its ConfigMap.
    pub config: &'a str,
    /// What `RuntimeDefault` is, in an OCI specification's terms.
    pub runtime_default: Option<&'a Value>,
    /// Capabilities that it does not get, although the DaemonSet adds them.
    pub without: &'a [&'a str],
    /// Other arguments than the DaemonSet's.
    pub arguments: Option<&'a [&'a str]>,
}

/// A running pod, killed when it is dropped.
#[derive(Debug)]
pub struct Pod {
    runc: Running,
    state: PathBuf,
    name: String,
    cgroup: (String, String),
    others: BTreeSet<PathBuf>,
    volumes: PathBuf,
}

/// What runtimes hide of /proc and /sys (`k8s.io/kubernetes/pkg/securitycontext`, procMount `Default`).
const MASKED: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// And what they make read-only.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

impl Pod {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// If the DaemonSet asks for what this harness does not know, or `runc` cannot be run.
    pub fn start(scratch: &Scratch, name: &str, settings: &PodSettings<'_>) -> Result<Self> {
        let unique = std::process::id();
        let name = format!("telegen-e2e-{name}-{unique}");
        let volumes = scratch.join(&format!("{name}.volumes"));
        let (bundle, state) =
            (scratch.join(&format!("{name}.bundle")), scratch.join(&format!("{name}.state")));
        fs::create_dir_all(&bundle)?;
        let pod = format!("/kubepods/burstable/podd5d5e2e0-0000-4000-8000-{unique:012x}");
        let id = id_of(&name);
        let cgroup = format!("{pod}/{id}");
        let others = cgroups(&cgroup).into_iter().filter(|group| group.exists()).collect();
        let specification = specification(settings, &volumes, &cgroup)?;
        fs::write(bundle.join("config.json"), specification.to_string())?;
        let mut command = Command::new("runc");
        command.arg("--root").arg(&state).args(["run", "--bundle"]).arg(&bundle).arg(&name);
        let runc = Running::spawn(&mut command)?;
        Ok(Self { runc, state, name, cgroup: (pod, id), others, volumes })
    }

    /// What its container has logged so far.
    ///
    /// # Errors
    ///
    /// If the file that holds it cannot be read.
    pub fn log(&self) -> Result<String> {
        self.runc.stderr()
    }

    /// The directory of a volume.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.volumes.join(name)
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// If it has not ended by itself within `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<Outcome> {
        self.runc.wait(limit)
    }

    /// Asks it to end, as a kubelet does, and waits.
    ///
    /// # Errors
    ///
    /// If it had ended before, or does not end.
    pub fn terminate(&mut self) -> Result<Outcome> {
        self.runc.terminate()
    }

    /// Waits until a probe of the container answers 200.
    ///
    /// # Errors
    ///
    /// If the container ends before, or that takes longer than a minute.
    pub fn wait_for_probe(&mut self, path: &str) -> Result<()> {
        until(Duration::from_secs(60), "the probe to succeed", || {
            if !self.runc.is_running()? {
                bail!("the container has ended: {}", self.runc.wait(Duration::ZERO)?);
            }
            let answer = self.get(9691, path);
            Ok(answer.is_ok_and(|answer| answer.status == 200).then_some(()))
        })
        .with_context(|| self.log().unwrap_or_default())
    }

    /// Asks a port of the pod, from within its network.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub fn get(&self, port: u16, path: &str) -> Result<Response> {
        let network = File::open(format!("/proc/{}/ns/net", self.pid()?))?;
        let path = path.to_owned();
        // A thread of its own, which goes with the namespace.
        let asked = std::thread::spawn(move || -> Result<Response> {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
            http_get(SocketAddr::from(([127, 0, 0, 1], port)), &path)
        });
        asked.join().unwrap_or_else(|_| bail!("the asking thread has panicked"))
    }

    /// The pid of the container's process on this machine.
    ///
    /// # Errors
    ///
    /// If there is none yet.
    pub fn pid(&self) -> Result<u64> {
        let text = fs::read_to_string(self.state.join(&self.name).join("state.json"))?;
        let state: Value = serde_json::from_str(&text)?;
        state["init_process_pid"].as_u64().context("runc does not know its process")
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let mut delete = Command::new("runc");
        let _ = delete.arg("--root").arg(&self.state).args(["delete", "--force"]).arg(&self.name).output();
        self.runc.kill();
        remove_cgroups(&format!("{}/{}", self.cgroup.0, self.cgroup.1), &self.others);
    }
}

/// The container of a DaemonSet in an OCI specification's terms.
fn specification(settings: &PodSettings<'_>, volumes: &Path, cgroup: &str) -> Result<Value> {
    let pod = &settings.daemon_set["spec"]["template"]["spec"];
    let [container] = &pod["containers"].as_array().context("containers")?[..] else {
        bail!("one container")
    };
    let security = &container["securityContext"];
    let mut argv = strings(&container["command"]);
    argv.extend(match settings.arguments {
        Some(arguments) => arguments.iter().map(|word| (*word).to_owned()).collect(),
        None => strings(&container["args"]),
    });
    let environment: Vec<String> = container["env"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|variable| Ok(format!("{}={}", text(&variable["name"])?, field_of(variable)?)))
        .collect::<Result<_>>()?;
    let added = strings(&security["capabilities"]["add"]);
    let held: Vec<String> = added
        .iter()
        .filter(|name| !settings.without.contains(&name.as_str()))
        .map(|name| format!("CAP_{name}"))
        .collect();
    let mut linux = json!({
        "cgroupsPath": cgroup,
        "namespaces": namespaces(pod),
        "resources": {"memory": {"limit": bytes(&container["resources"]["limits"]["memory"])?}},
        "maskedPaths": MASKED,
        "readonlyPaths": READ_ONLY
    });
    match (text(&security["seccompProfile"]["type"])?, settings.runtime_default) {
        ("RuntimeDefault", Some(profile)) => linux["seccomp"] = profile.clone(),
        ("RuntimeDefault", None) => bail!("the DaemonSet wants the runtime's profile, and there is none"),
        ("Unconfined", _) => {}
        (other, _) => bail!("seccompProfile.type: {other}"),
    }
    Ok(json!({
        "ociVersion": "1.0.2",
        "hostname": "telegen-pod",
        "root": {"path": settings.image, "readonly": security["readOnlyRootFilesystem"]},
        "mounts": mounts(settings, pod, container, volumes)?,
        "process": {
            "terminal": false,
            "user": {"uid": security["runAsUser"], "gid": security["runAsGroup"]},
            "args": argv,
            "env": environment,
            "cwd": "/",
            // As runtimes do: what is not among the inheritable and ambient ones does not outlive a change of user.
            "capabilities": {"bounding": held, "effective": held, "permitted": held},
            "noNewPrivileges": security["allowPrivilegeEscalation"] == json!(false)
        },
        "linux": linux
    }))
}

fn namespaces(pod: &Value) -> Value {
    let mut kinds = vec!["mount", "ipc", "uts", "network", "cgroup"];
    if pod["hostPID"] != json!(true) {
        kinds.push("pid");
    }
    kinds.iter().map(|kind| json!({"type": kind})).collect()
}

fn mounts(
    settings: &PodSettings<'_>,
    pod: &Value,
    container: &Value,
    directory: &Path,
) -> Result<Vec<Value>> {
    let own = |to: &str, kind: &str, options: &[&str]| json!({"destination": to, "type": kind, "source": kind, "options": options});
    let mut mounts = vec![
        own("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        own("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        own("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        own("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "ro"]),
    ];
    let volumes = pod["volumes"].as_array().context("volumes")?;
    for mount in container["volumeMounts"].as_array().context("volumeMounts")? {
        let name = text(&mount["name"])?;
        let volume = volumes.iter().find(|volume| volume["name"] == name).context("a volume of that name")?;
        let source = directory.join(name);
        fs::create_dir_all(&source)?;
        if volume["configMap"].is_object() {
            fs::write(source.join("config.yaml"), settings.config)?;
        } else if !volume["emptyDir"].is_object() {
            bail!("a volume of a kind that this harness does not know: {volume}");
        }
        let access = if mount["readOnly"] == json!(true) { "ro" } else { "rw" };
        mounts.push(json!({
            "destination": mount["mountPath"], "type": "bind", "source": source, "options": ["rbind", access]
        }));
    }
    Ok(mounts)
}

/// The value of a variable, literal or by the downward API.
fn field_of(variable: &Value) -> Result<String> {
    if let Some(value) = variable["value"].as_str() {
        return Ok(value.to_owned());
    }
    match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
        Some("spec.nodeName") => Ok("telegen-e2e-node".into()),
        Some("status.hostIP") => Ok("192.0.2.1".into()),
        other => bail!("a variable from {other:?}"),
    }
}

/// A quantity of bytes with a binary suffix.
fn bytes(quantity: &Value) -> Result<u64> {
    let quantity = text(quantity)?;
    let mebibytes = quantity.strip_suffix("Mi").context("a number of Mi")?;
    Ok(mebibytes.parse::<u64>()? << 20)
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("a text, not {value}"))
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}
