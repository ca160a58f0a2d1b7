//! The DaemonSet's container, run with what it is given and nothing else.

use anyhow::{Context, Result};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use telegen_e2e::manifests::{kustomize, only, repository};
use telegen_e2e::{
    Container, Outcome, Pod, PodSettings, Profile, Program, Running, RuntimeProfiles, Scratch, record_files,
    refusing, run, skip, telegen_binary, until,
};

const LIMIT: Duration = Duration::from_secs(60);

/// The image, the manifests, and the profiles of runtimes for their capabilities.
struct Deployed {
    image: PathBuf,
    daemon_set: Value,
    config: String,
    profiles: RuntimeProfiles,
}

impl Deployed {
    /// Or why that cannot be had here.
    fn prepare(scratch: &Scratch) -> Result<Result<Self, String>> {
        if !Container::is_supported() {
            return Ok(Err("no runc".into()));
        }
        let image = scratch.join("image");
        let mut lay_out = Command::new(repository("deploy/image-root"));
        run(lay_out.arg(telegen_binary()?).arg(&image), LIMIT)?.expect_code(0)?;
        let objects = kustomize("deploy/kubernetes")?;
        let daemon_set = only(&objects, "DaemonSet")?.clone();
        let config = only(&objects, "ConfigMap")?["data"]["config.yaml"].as_str().context("the text")?;
        let profiles = match RuntimeProfiles::of(&capabilities(&daemon_set))? {
            Ok(profiles) => profiles,
            Err(reason) => return Ok(Err(reason)),
        };
        Ok(Ok(Self { image, config: config.to_owned(), daemon_set, profiles }))
    }

    fn settings<'a>(&'a self, runtime_default: &'a Value) -> PodSettings<'a> {
        PodSettings {
            daemon_set: &self.daemon_set,
            image: &self.image,
            config: &self.config,
            runtime_default: Some(runtime_default),
            without: &[],
            arguments: None,
        }
    }

    /// What `telegen doctor` says in the container.
    fn doctor(&self, scratch: &Scratch, profile: &Value, without: &[&str]) -> Result<Outcome> {
        let arguments = Some(&["doctor", "-o", "json"][..]);
        let settings = PodSettings { without, arguments, ..self.settings(profile) };
        Pod::start(scratch, "doctor", &settings)?.wait(LIMIT)
    }
}

fn capabilities(daemon_set: &Value) -> Vec<String> {
    let security = &daemon_set["spec"]["template"]["spec"]["containers"][0]["securityContext"];
    let added = security["capabilities"]["add"].as_array().into_iter().flatten();
    added.filter_map(|name| Some(format!("CAP_{}", name.as_str()?))).collect()
}

/// One finding of the doctor: its status, and what was found and lost.
fn finding(doctor: &Outcome, name: &str) -> Result<(String, String)> {
    let report: Value = serde_json::from_str(&doctor.stdout).with_context(|| doctor.to_string())?;
    let mut findings = report["findings"].as_array().context("a list")?.iter();
    let finding = findings.find(|finding| finding["name"] == name).context("no such finding")?;
    let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    Ok((text("status"), format!("{}: {}", text("found"), text("cost"))))
}

/// A program called `java` that belongs to another user, who alone may read it.
fn of_another_user(scratch: &Scratch) -> Result<Running> {
    let program = scratch.install(Program::Burn, "private/java")?;
    let directory = program.parent().context("it is in a directory")?;
    run(Command::new("chmod").arg("0500").arg(&program).arg(directory), LIMIT)?.expect_code(0)?;
    run(Command::new("chown").arg("65534:65534").arg(&program).arg(directory), LIMIT)?.expect_code(0)?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&program);
    Running::spawn(&mut command)
}

#[test]
fn the_containers_capabilities_are_enough_for_whole_profiles_of_what_runs_outside() -> Result<()> {
    let scratch = Scratch::new()?;
    let deployed = match Deployed::prepare(&scratch)? {
        Ok(deployed) => deployed,
        Err(reason) => skip!("{reason}"),
    };
    let own = scratch.start(Program::Burn, "java", &[])?;
    let foreign = of_another_user(&scratch)?;
    let contained = Container::start(&scratch, Program::BurnStatic, "java", &[])?;
    let mut pod = Pod::start(&scratch, "agent", &deployed.settings(&deployed.profiles.containerd))?;
    for probe in ["/healthz", "/readyz"] {
        pod.wait_for_probe(probe)?;
    }
    let profiles = pod.volume("data").join("profiles");
    let is_profile = |name: &String| name.ends_with(".pb.gz");
    let pids = [own.pid(), foreign.pid(), contained.pid()].map(|pid| pid.to_string());
    // The first may have begun before all of them were known.
    let profile = until(LIMIT, "a profile with all three", || {
        let files = record_files(&profiles).unwrap_or_default();
        for name in files.into_iter().filter(is_profile) {
            let profile = Profile::read(&profiles.join(name))?;
            let found = profile.label_values("process.pid");
            if pids.iter().all(|pid| found.contains(pid.as_str())) {
                return Ok(Some(profile));
            }
        }
        Ok(None)
    })
    .with_context(|| pod.log().unwrap_or_default())?;
    for pid in &pids {
        let all = profile.count(|sample| sample.label("process.pid") == pid);
        let named = profile.count(|sample| {
            sample.label("process.pid") == pid
                && sample.frames.iter().any(|frame| frame.function == "tg_half")
        });
        assert!(all > 0 && named * 3 > all, "{named} of {all} samples of {pid} have the function's name");
    }
    let of_container = |sample: &telegen_e2e::Sample| sample.label("container.id") == contained.id();
    assert!(profile.count(of_container) > 0, "the container is not known by its control group");
    let log = pod.log()?;
    let promised = "[INFO] initialized process filter, summary=\"Active filters: ProcessNames=[java], \
                    ExcludeNamespaces=[kube-system]\"";
    assert!(log.contains(promised), "{log}");
    assert!(log.contains("[INFO] filtered processes for profiling, total_scanned="), "{log}");
    assert!(log.contains("matched=3, has_filters=true"), "{log}");
    // 80 % of the DaemonSet's limit, which it has from its control group.
    let metrics = pod.get(9691, "/metrics")?.body;
    let limit = metrics.lines().find_map(|line| line.strip_prefix("telegen_profiler_memory_limit_bytes "));
    assert_eq!(limit.context("no limit")?.parse::<f64>()?.round() as u64, (256 << 20) * 4 / 5);
    let outcome = pod.terminate()?;
    assert!(!outcome.stderr.contains("[WARN]"), "{outcome}");
    Ok(())
}

#[test]
fn each_capability_of_the_container_is_needed_and_none_is_missing() -> Result<()> {
    let scratch = Scratch::new()?;
    let deployed = match Deployed::prepare(&scratch)? {
        Ok(deployed) => deployed,
        Err(reason) => skip!("{reason}"),
    };
    let profile = &deployed.profiles.containerd;
    let whole = deployed.doctor(&scratch, profile, &[])?.expect_code(0)?;
    let well = ["BTF", "BPF programs", "system calls", "security module", "pid namespace", "/proc"];
    let well = well.into_iter().chain(["kernel symbols", "mapped files", "control groups"]);
    for name in well {
        let (status, found) = finding(&whole, name)?;
        assert_eq!(status, "ok", "{name}: {found}");
    }
    assert_eq!(finding(&whole, "system calls")?.1, "filtered (seccomp); bpf and perf_event_open pass: ");
    for capability in capabilities(&deployed.daemon_set) {
        assert_eq!(finding(&whole, &capability)?.0, "ok", "{capability}\n{whole}");
        let name = capability.trim_start_matches("CAP_");
        let lesser = deployed.doctor(&scratch, profile, &[name])?;
        let (status, found) = finding(&lesser, &capability)?;
        assert!(status != "ok" && found.starts_with("not held: "), "{capability}: {status}, {found}");
    }
    Ok(())
}

#[test]
fn a_filter_of_system_calls_that_refuses_is_named_by_the_doctor() -> Result<()> {
    let scratch = Scratch::new()?;
    let deployed = match Deployed::prepare(&scratch)? {
        Ok(deployed) => deployed,
        Err(reason) => skip!("{reason}"),
    };
    let RuntimeProfiles { containerd, containers_common } = &deployed.profiles;
    for (profile, refused) in [
        (refusing(containerd, "perf_event_open"), "perf_event_open"),
        (refusing(containerd, "bpf"), "bpf"),
        // From before they knew of CAP_BPF and CAP_PERFMON.
        (containers_common.clone(), "bpf and perf_event_open"),
    ] {
        let doctor = deployed.doctor(&scratch, &profile, &[])?.expect_code(4)?;
        let (status, found) = finding(&doctor, "system calls")?;
        assert_eq!(status, "missing", "{found}");
        assert!(found.starts_with(&format!("a filter (seccomp) refuses {refused}: ")), "{found}");
        assert!(found.contains("CRI-O 1.35.1") && found.contains("seccompProfile"), "{found}");
    }
    Ok(())
}

#[test]
fn the_image_is_what_the_script_lays_out_and_runs_by_itself() -> Result<()> {
    let scratch = Scratch::new()?;
    let image = scratch.join("image");
    let mut lay_out = Command::new(repository("deploy/image-root"));
    run(lay_out.arg(telegen_binary()?).arg(&image), LIMIT)?.expect_code(0)?;
    let containerfile = std::fs::read_to_string(repository("deploy/Containerfile"))?;
    let (build, last) = containerfile.split_once("\nFROM scratch\n").context("no empty stage")?;
    assert!(build.ends_with("RUN deploy/image-root target/release/telegen /image\n"), "{build}");
    let steps: Vec<&str> = last.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let expected =
        ["COPY --from=build /image /", "USER 0:0", "ENTRYPOINT [\"/usr/bin/telegen\"]", "CMD [\"agent\"]"];
    assert_eq!(steps, expected);
    let mut inside = Command::new("chroot");
    let version = run(inside.arg(&image).args(["/usr/bin/telegen", "--version"]), LIMIT)?.expect_code(0)?;
    assert!(version.stdout.starts_with("telegen "), "{version}");
    // The binary, the libraries as `ldd` has them, and certificates: nothing that could be run by mistake.
    let mut find = Command::new("find");
    let files = run(find.arg(&image).args(["-type", "f", "-printf", "%P\\n"]), LIMIT)?.expect_code(0)?;
    let others: Vec<&str> = files.stdout.lines().filter(|file| !file.contains(".so")).collect();
    let known = ["usr/bin/telegen", "etc/ssl/certs/ca-certificates.crt"];
    assert!(others.iter().all(|file| known.contains(file)), "{files}");
    assert_eq!(files.stdout.lines().count() - others.len(), 5, "the book says five libraries: {files}");
    // A second time would mix two images.
    let mut again = Command::new(repository("deploy/image-root"));
    run(again.arg(telegen_binary()?).arg(&image), LIMIT)?.expect_code(1)?;
    Ok(())
}
