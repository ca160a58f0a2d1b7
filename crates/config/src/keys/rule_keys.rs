//! The keys of rules, which are the same among the flat keys and in a named target but for a prefix.

use crate::value::Text;

pub(super) const PATTERN: Text = Text("a glob");
pub(super) const CONTAINER_ID: Text = Text("a container id, or its first 12 digits or more");

/// The rows of a table: for a root, the prefix that its includes have, and its field of rules.
macro_rules! rule_keys {
    ($root:ty, $prefix:literal, $rules:ident) => {
        &[
            key(
                concat!($prefix, "pid"),
                &Optional(PidNumber, place!($root; $rules.pid)),
                "a process to profile, even if it is excluded, until it ends",
            ),
            key(
                concat!($prefix, "pids"),
                &ListOf(PidNumber, place!($root; $rules.pids)),
                "processes to profile, even if they are excluded, until they end",
            ),
            key(
                concat!($prefix, "process_names"),
                &ListOf(PATTERN, place!($root; $rules.process_names)),
                "profile processes with one of these names: comm, base name of the executable or of `argv[0]`",
            ),
            key(
                concat!($prefix, "executables"),
                &ListOf(PATTERN, place!($root; $rules.executables)),
                "profile processes that run one of these files; `*` crosses `/`",
            ),
            key(
                concat!($prefix, "container_ids"),
                &ListOf(CONTAINER_ID, place!($root; $rules.container_ids)),
                "profile processes in these containers",
            ),
            key(
                concat!($prefix, "namespaces"),
                &ListOf(PATTERN, place!($root; $rules.namespaces)),
                "profile processes of pods in these namespaces",
            ),
            key(
                concat!($prefix, "deployments"),
                &ListOf(PATTERN, place!($root; $rules.deployments)),
                "profile processes of pods of these Deployments",
            ),
            key(
                concat!($prefix, "daemonsets"),
                &ListOf(PATTERN, place!($root; $rules.daemonsets)),
                "profile processes of pods of these DaemonSets",
            ),
            key(
                concat!($prefix, "statefulsets"),
                &ListOf(PATTERN, place!($root; $rules.statefulsets)),
                "profile processes of pods of these StatefulSets",
            ),
            key(
                concat!($prefix, "jobs"),
                &ListOf(PATTERN, place!($root; $rules.jobs)),
                "profile processes of pods of these Jobs, those of CronJobs excepted",
            ),
            key(
                concat!($prefix, "cronjobs"),
                &ListOf(PATTERN, place!($root; $rules.cronjobs)),
                "profile processes of pods of these CronJobs",
            ),
            key(
                concat!($prefix, "pods"),
                &ListOf(PATTERN, place!($root; $rules.pods)),
                "profile processes of pods with these names",
            ),
            key(
                concat!($prefix, "labels"),
                &LabelRules(place!($root; $rules.labels)),
                "profile processes of pods with all of these labels; of several rules all must match",
            ),
            key(
                "exclude_process_names",
                &ListOf(PATTERN, place!($root; $rules.exclude_process_names)),
                "never profile processes with one of these names",
            ),
            key(
                "exclude_executables",
                &ListOf(PATTERN, place!($root; $rules.exclude_executables)),
                "never profile processes that run one of these files",
            ),
            key(
                "exclude_container_ids",
                &ListOf(CONTAINER_ID, place!($root; $rules.exclude_container_ids)),
                "never profile processes in these containers",
            ),
            key(
                "exclude_namespaces",
                &ListOf(PATTERN, place!($root; $rules.exclude_namespaces)),
                "never profile processes of pods in these namespaces",
            ),
            key(
                "exclude_deployments",
                &ListOf(PATTERN, place!($root; $rules.exclude_deployments)),
                "never profile processes of pods of these Deployments",
            ),
            key(
                "exclude_daemonsets",
                &ListOf(PATTERN, place!($root; $rules.exclude_daemonsets)),
                "never profile processes of pods of these DaemonSets",
            ),
            key(
                "exclude_statefulsets",
                &ListOf(PATTERN, place!($root; $rules.exclude_statefulsets)),
                "never profile processes of pods of these StatefulSets",
            ),
            key(
                "exclude_jobs",
                &ListOf(PATTERN, place!($root; $rules.exclude_jobs)),
                "never profile processes of pods of these Jobs",
            ),
            key(
                "exclude_cronjobs",
                &ListOf(PATTERN, place!($root; $rules.exclude_cronjobs)),
                "never profile processes of pods of these CronJobs",
            ),
            key(
                "exclude_pods",
                &ListOf(PATTERN, place!($root; $rules.exclude_pods)),
                "never profile processes of pods with these names",
            ),
            key(
                "exclude_labels",
                &LabelRules(place!($root; $rules.exclude_labels)),
                "never profile processes of pods with all of these labels; of several rules one is enough",
            ),
            Key {
                path: "match",
                setting: &Optional(Word(PhantomData), place!($root; $rules.match_types)),
                meaning: "whether a process needs to match one type of include key or all types",
                absent: "any",
            },
        ]
    };
}
pub(super) use rule_keys;
