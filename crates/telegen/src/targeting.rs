//! From the rules of a configuration to those that are compiled.

use telegen_config::{Config, LabelRule, Match, PodAnnotations, Rules};
use telegen_rules::{MatchMode, RuleSpec, TargetSpec, TargetingSpec};

/// All that a configuration says about which processes are profiled.
pub(crate) fn targeting(config: &Config) -> TargetingSpec {
    let target = |target: &telegen_config::Target| TargetSpec {
        name: target.name.clone(),
        rules: rules(&target.rules),
        until: target.until,
        sample_hz: target.sample_hz,
    };
    TargetingSpec {
        rules: rules(&config.rules),
        targets: config.targets.iter().map(target).collect(),
        pod_annotations: match config.pod_annotations {
            PodAnnotations::Off => telegen_rules::PodAnnotations::Off,
            PodAnnotations::OptOut => telegen_rules::PodAnnotations::OptOut,
            PodAnnotations::Both => telegen_rules::PodAnnotations::Both,
        },
        profile_self: config.profile_self,
    }
}

fn rules(rules: &Rules) -> RuleSpec {
    let rules = rules.clone();
    RuleSpec {
        pid: rules.pid.map(|pid| pid.0),
        pids: rules.pids.iter().map(|pid| pid.0).collect(),
        process_names: rules.process_names,
        executables: rules.executables,
        container_ids: rules.container_ids,
        namespaces: rules.namespaces,
        deployments: rules.deployments,
        daemonsets: rules.daemonsets,
        statefulsets: rules.statefulsets,
        jobs: rules.jobs,
        cronjobs: rules.cronjobs,
        pods: rules.pods,
        labels: labels(rules.labels),
        exclude_process_names: rules.exclude_process_names,
        exclude_executables: rules.exclude_executables,
        exclude_container_ids: rules.exclude_container_ids,
        exclude_namespaces: rules.exclude_namespaces,
        exclude_deployments: rules.exclude_deployments,
        exclude_daemonsets: rules.exclude_daemonsets,
        exclude_statefulsets: rules.exclude_statefulsets,
        exclude_jobs: rules.exclude_jobs,
        exclude_cronjobs: rules.exclude_cronjobs,
        exclude_pods: rules.exclude_pods,
        exclude_labels: labels(rules.exclude_labels),
        match_mode: rules.match_types.map(|mode| match mode {
            Match::Any => MatchMode::Any,
            Match::All => MatchMode::All,
        }),
    }
}

fn labels(rules: Vec<LabelRule>) -> Vec<telegen_rules::LabelRule> {
    let label = |rule| match rule {
        LabelRule::Map(labels) => telegen_rules::LabelRule::Map(labels),
        LabelRule::Selector(selector) => telegen_rules::LabelRule::Selector(selector),
    };
    rules.into_iter().map(label).collect()
}
