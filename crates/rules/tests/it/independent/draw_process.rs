//! Processes as chance has them.

use super::dice::Dice;
use std::sync::Arc;
use telegen_model::{
    Container, ContainerId, Generation, Pid, Pod, PodDetails, PodFacts, ProcessFacts, ProcessId, ProcessKey,
    StartTime, Workload, WorkloadKind,
};

pub(super) const NAMES: [&str; 14] = [
    "java",
    "javac",
    "python3",
    "node",
    "nginx",
    "redis-server",
    "postgres",
    "beam.smp",
    "ruby",
    "dotnet",
    "größe",
    "a\u{fffd}b",
    "sh",
    "kubelet",
];
const DIRECTORIES: [&str; 5] = ["/usr/bin/", "/bin/", "/opt/app/bin/", "/usr/lib/jvm/21/bin/", "/"];
pub(super) const NAMESPACES: [&str; 8] =
    ["prod-eu", "prod-us", "staging", "dev", "kube-system", "default", "team-a", "team-b"];
pub(super) const WORKLOADS: [&str; 8] =
    ["web", "web-api", "billing", "cache-0", "ingest", "nightly", "agent", "db"];
pub(super) const PODS: [&str; 8] =
    ["web-5d8f-x2k", "web-5d8f-p9q", "db-0", "db-1", "ingest-7", "agent-xyz", "nightly-28-ab", "lone"];
pub(super) const LABEL_KEYS: [&str; 5] = ["app", "tier", "canary", "env", "app.kubernetes.io/name"];
pub(super) const LABEL_VALUES: [&str; 6] = ["web", "api", "db", "", "v1.2_3", "true"];
pub(super) const PIDS: [u32; 5] = [1, 7, 42, 4_000, 4_194_303];
const KINDS: [&str; 8] =
    ["Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "ReplicaSet", "Pod", "Rollout"];
/// Several begin alike.
const CONTAINERS: [&str; 5] =
    ["a1b2c3d4e5f60", "a1b2c3d4e5f61", "a1b2c3d4e5f7", "00ff00ff00ff", "deadbeef0000"];

/// The id of one of the containers that there are.
pub(super) fn container_id(dice: &mut Dice) -> String {
    format!("{:9<64}", dice.pick(&CONTAINERS))
}

/// A process in whatever surroundings.
pub(super) fn process(dice: &mut Dice) -> ProcessFacts {
    let pod = match dice.weighted(&[55, 8, 15, 5, 17]) {
        0 => kubernetes_pod(dice, None),
        1 => pod_by_its_own_word(dice),
        2 => PodFacts::Pending,
        3 => PodFacts::NotHere,
        _ => PodFacts::InNone,
    };
    let in_container = pod != PodFacts::InNone || dice.percent(30);
    let id = ProcessId { pid: Pid(*dice.pick(&PIDS)), start: StartTime(1) };
    ProcessFacts {
        key: ProcessKey { id, generation: Generation(0) },
        parent: Pid(1),
        kernel_thread: false,
        comm: (*dice.pick(&NAMES)).into(),
        executable: dice
            .percent(90)
            .then(|| format!("{}{}", dice.pick(&DIRECTORIES), dice.pick(&NAMES)).into()),
        argv0: dice.percent(80).then(|| (*dice.pick(&NAMES)).into()),
        container: in_container.then(|| Arc::new(container(dice))),
        pod,
    }
}

pub(super) fn container(dice: &mut Dice) -> Container {
    let id = container_id(dice);
    Container { id: ContainerId::new(&id).expect("64 digits"), pod_uid: Some("uid".into()) }
}

/// A pod that Kubernetes knows, of this kind of workload if one is given.
pub(super) fn kubernetes_pod(dice: &mut Dice, kind: Option<WorkloadKind>) -> PodFacts {
    let kind = kind.unwrap_or_else(|| WorkloadKind::new(dice.pick::<&str>(&KINDS)));
    let mut details = PodDetails {
        node: "node".into(),
        labels: Default::default(),
        annotations: Default::default(),
        workload: Workload { kind, name: (*dice.pick(&WORKLOADS)).into() },
    };
    for key in LABEL_KEYS {
        if dice.percent(50) {
            details.labels.insert(key.into(), (*dice.pick(&LABEL_VALUES)).into());
        }
    }
    if dice.percent(15) {
        let word = *dice.pick(&["true", "false", "False", "yes", ""]);
        details.annotations.insert("telegen.io/profile".into(), word.into());
    }
    if dice.percent(10) {
        details.annotations.insert("telegen.io/other".into(), "true".into());
    }
    let namespace = Some((*dice.pick(&NAMESPACES)).into());
    let name = Some((*dice.pick(&PODS)).into());
    PodFacts::Known {
        pod: Arc::new(Pod { uid: "uid".into(), namespace, name, details: Some(details) }),
        container: None,
    }
}

fn pod_by_its_own_word(dice: &mut Dice) -> PodFacts {
    let namespace = dice.percent(80).then(|| (*dice.pick(&NAMESPACES)).into());
    let name = dice.percent(80).then(|| (*dice.pick(&PODS)).into());
    PodFacts::Known {
        pod: Arc::new(Pod { uid: "uid".into(), namespace, name, details: None }),
        container: None,
    }
}
