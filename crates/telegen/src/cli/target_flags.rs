//! Flags that select processes; they mirror the keys of the configuration.

use super::lists::{quoted, split};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use telegen_config::{LabelRule, Match, Rules};
use telegen_model::Pid;

/// The flags that include, by their clap names: what contradicts `--all`, and a command.
pub(crate) const INCLUDES: [&str; 12] = [
    "pid",
    "name",
    "exe",
    "container",
    "namespace",
    "deployment",
    "daemonset",
    "statefulset",
    "job",
    "cronjob",
    "pod",
    "label",
];

/// Flags that select processes. Each may be repeated and takes lists: `--name java,python3.{9,11}`.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Target selection (replaces the file's; lists with commas, globs)")]
pub(crate) struct TargetFlags {
    /// Processes with these pids; wins over exclusions
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(i64::from(*Rules::PIDS.start())..=i64::from(*Rules::PIDS.end())))]
    pid: Vec<u32>,
    /// Processes whose name, executable's name or first argument's base name matches
    #[arg(long, value_name = "GLOB")]
    name: Vec<String>,
    /// Processes whose executable's path matches
    #[arg(long, value_name = "GLOB")]
    exe: Vec<String>,
    /// Processes in these containers, by id or its first 12 digits or more
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    container: Vec<String>,
    /// Processes of pods in these namespaces
    #[arg(long, value_name = "GLOB")]
    namespace: Vec<String>,
    /// Processes of pods of these Deployments
    #[arg(long, value_name = "GLOB")]
    deployment: Vec<String>,
    /// Processes of pods of these DaemonSets
    #[arg(long, value_name = "GLOB")]
    daemonset: Vec<String>,
    /// Processes of pods of these StatefulSets
    #[arg(long, value_name = "GLOB")]
    statefulset: Vec<String>,
    /// Processes of pods of these Jobs
    #[arg(long, value_name = "GLOB")]
    job: Vec<String>,
    /// Processes of pods of these CronJobs
    #[arg(long, value_name = "GLOB")]
    cronjob: Vec<String>,
    /// Processes of pods with these names
    #[arg(long, value_name = "GLOB")]
    pod: Vec<String>,
    /// Processes of pods with these labels: `k=v`, or a selector; never split, and repeated ones must all match
    #[arg(long, value_name = "SELECTOR", value_parser = NonEmptyStringValueParser::new())]
    label: Vec<String>,
    /// Not processes with such a name
    #[arg(long, value_name = "GLOB")]
    exclude_name: Vec<String>,
    /// Not processes with such an executable
    #[arg(long, value_name = "GLOB")]
    exclude_exe: Vec<String>,
    /// Not processes in these containers
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    exclude_container: Vec<String>,
    /// Not processes of pods in these namespaces
    #[arg(long, value_name = "GLOB")]
    exclude_namespace: Vec<String>,
    /// Not processes of pods of these Deployments
    #[arg(long, value_name = "GLOB")]
    exclude_deployment: Vec<String>,
    /// Not processes of pods of these DaemonSets
    #[arg(long, value_name = "GLOB")]
    exclude_daemonset: Vec<String>,
    /// Not processes of pods of these StatefulSets
    #[arg(long, value_name = "GLOB")]
    exclude_statefulset: Vec<String>,
    /// Not processes of pods of these Jobs
    #[arg(long, value_name = "GLOB")]
    exclude_job: Vec<String>,
    /// Not processes of pods of these CronJobs
    #[arg(long, value_name = "GLOB")]
    exclude_cronjob: Vec<String>,
    /// Not processes of pods with these names
    #[arg(long, value_name = "GLOB")]
    exclude_pod: Vec<String>,
    /// Not processes of pods with these labels; of repeated ones, one is enough
    #[arg(long, value_name = "SELECTOR", value_parser = NonEmptyStringValueParser::new())]
    exclude_label: Vec<String>,
    /// Whether one of several types of rule is enough, or all must match [default: any]
    #[arg(long = "match", value_enum, value_name = "MODE")]
    match_types: Option<MatchTypes>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum MatchTypes {
    Any,
    All,
}

impl TargetFlags {
    /// The flags as what comes over the file's rules.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            pid: None,
            pids: self.pid.iter().map(|&pid| Pid(pid)).collect(),
            process_names: lists(&self.name),
            executables: lists(&self.exe),
            container_ids: self.container.clone(),
            namespaces: lists(&self.namespace),
            deployments: lists(&self.deployment),
            daemonsets: lists(&self.daemonset),
            statefulsets: lists(&self.statefulset),
            jobs: lists(&self.job),
            cronjobs: lists(&self.cronjob),
            pods: lists(&self.pod),
            labels: selectors(&self.label),
            exclude_process_names: lists(&self.exclude_name),
            exclude_executables: lists(&self.exclude_exe),
            exclude_container_ids: self.exclude_container.clone(),
            exclude_namespaces: lists(&self.exclude_namespace),
            exclude_deployments: lists(&self.exclude_deployment),
            exclude_daemonsets: lists(&self.exclude_daemonset),
            exclude_statefulsets: lists(&self.exclude_statefulset),
            exclude_jobs: lists(&self.exclude_job),
            exclude_cronjobs: lists(&self.exclude_cronjob),
            exclude_pods: lists(&self.exclude_pod),
            exclude_labels: selectors(&self.exclude_label),
            match_types: self.match_types.map(|types| match types {
                MatchTypes::Any => Match::Any,
                MatchTypes::All => Match::All,
            }),
        }
    }

    /// The flags as they would be typed again.
    pub(crate) fn shown(&self) -> String {
        let mut words: Vec<String> = self.pid.iter().map(|pid| format!("--pid {pid}")).collect();
        for (flag, values) in self.texts() {
            words.extend(values.iter().map(|value| format!("{flag} {}", quoted(value))));
        }
        match self.match_types {
            Some(MatchTypes::Any) => words.push("--match any".into()),
            Some(MatchTypes::All) => words.push("--match all".into()),
            None => {}
        }
        words.join(" ")
    }

    fn texts(&self) -> [(&'static str, &Vec<String>); 22] {
        [
            ("--name", &self.name),
            ("--exe", &self.exe),
            ("--container", &self.container),
            ("--namespace", &self.namespace),
            ("--deployment", &self.deployment),
            ("--daemonset", &self.daemonset),
            ("--statefulset", &self.statefulset),
            ("--job", &self.job),
            ("--cronjob", &self.cronjob),
            ("--pod", &self.pod),
            ("--label", &self.label),
            ("--exclude-name", &self.exclude_name),
            ("--exclude-exe", &self.exclude_exe),
            ("--exclude-container", &self.exclude_container),
            ("--exclude-namespace", &self.exclude_namespace),
            ("--exclude-deployment", &self.exclude_deployment),
            ("--exclude-daemonset", &self.exclude_daemonset),
            ("--exclude-statefulset", &self.exclude_statefulset),
            ("--exclude-job", &self.exclude_job),
            ("--exclude-cronjob", &self.exclude_cronjob),
            ("--exclude-pod", &self.exclude_pod),
            ("--exclude-label", &self.exclude_label),
        ]
    }
}

fn selectors(values: &[String]) -> Vec<LabelRule> {
    values.iter().cloned().map(LabelRule::Selector).collect()
}

fn lists(values: &[String]) -> Vec<String> {
    values.iter().flat_map(|value| split(value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_flags_and_lists_come_together() {
        let flags = TargetFlags {
            pid: vec![7],
            name: vec!["a,b{c,d}".into(), "e".into()],
            match_types: Some(MatchTypes::All),
            ..TargetFlags::default()
        };
        let rules = flags.rules();
        assert_eq!(rules.process_names, ["a", "b{c,d}", "e"]);
        assert_eq!((rules.pids, rules.match_types), (vec![Pid(7)], Some(Match::All)));
        assert_eq!(flags.shown(), "--pid 7 --name 'a,b{c,d}' --name e --match all");
    }

    #[test]
    fn a_selector_is_never_split() {
        let selector = "tier in (a,b),!canary";
        let flags = TargetFlags {
            label: vec!["app=web".into(), selector.into()],
            namespace: vec!["a,b".into()],
            exclude_cronjob: vec!["x".into()],
            ..TargetFlags::default()
        };
        let rules = flags.rules();
        assert_eq!(rules.labels, ["app=web", selector].map(|text| LabelRule::Selector(text.into())));
        assert_eq!((rules.namespaces.len(), rules.exclude_cronjobs.len()), (2, 1));
        assert_eq!(
            flags.shown(),
            "--namespace 'a,b' --label app=web --label 'tier in (a,b),!canary' --exclude-cronjob x"
        );
    }
}
