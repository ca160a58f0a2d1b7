//! Decisions and rules in words.

use crate::{
    Decision, Fact, Key, MatchMode, PodAnnotations, Reason, RuleSet, RuleSpec, TargetId, TargetSpec,
};
use crate::{LabelRule, PROFILE_ANNOTATION};
use std::time::SystemTime;

impl RuleSet {
    /// The reason of a decision in words, such as `target_process_names[0] = "java"`, or of a named target
    /// `targets[0].process_names[1] = "x*"`.
    pub fn reason(&self, decision: Decision) -> String {
        let target = decision.target;
        match decision.reason {
            Reason::KernelThread => "kernel thread".into(),
            Reason::Agent => "the agent itself (profile_self: false)".into(),
            Reason::Pid { key, index }
            | Reason::Excluded { key, index }
            | Reason::Included { key, index } => self.rule(target, key, index),
            Reason::NoIncludeRules => match target.place() {
                None => "no include rule is configured".into(),
                Some(place) => format!("targets[{place}] has no include rule"),
            },
            Reason::AllIncluded => match target.place() {
                None => "every configured include type matches (match: all)".into(),
                Some(place) => format!("every include type of targets[{place}] matches (match: all)"),
            },
            Reason::NotIncluded => self.why_not_included().into(),
            Reason::Awaiting { key } => {
                format!("{} waits for {}", target.path(key), awaited(key))
            }
            Reason::Followed => "descendant of the recorded command".into(),
            Reason::TooManyTargets => "matches, but limits.max_targets is reached".into(),
            Reason::Unknown => "not looked at yet".into(),
        }
    }

    fn why_not_included(&self) -> &'static str {
        let mut live = self.live();
        match (live.next(), live.next()) {
            (None, _) if !self.compiled.targets.is_empty() => "every target has ended",
            (Some(only), None) if only.mode == Some(MatchMode::All) => {
                "not every configured include type matches (match: all)"
            }
            (Some(_), Some(_)) => "no target matches",
            _ => "no include rule matches",
        }
    }

    /// A rule as the user wrote it.
    fn rule(&self, target: TargetId, key: Key, index: u16) -> String {
        let (at, path) = (usize::from(index), target.path(key));
        let Some(spec) = self.spec_of(target) else { return path };
        match key.fact() {
            Fact::Pid => match (key, spec.pid, spec.pids.get(at)) {
                (Key::Pid, Some(pid), _) => format!("{path} = {pid}"),
                (_, _, Some(pid)) => format!("{path}[{index}] = {pid}"),
                _ => path,
            },
            Fact::Labels => label_rule(&path, spec.label_rules(key), key, at),
            Fact::Annotation => {
                let wish = self.spec().pod_annotations;
                format!("{path}: {}, and the pod's annotation {PROFILE_ANNOTATION} says so", wish.name())
            }
            _ => match spec.patterns(key).get(at) {
                Some(pattern) => format!("{path}[{index}] = {pattern:?}"),
                None => format!("{path}[{index}]"),
            },
        }
    }

    /// What was written for a target.
    pub(crate) fn spec_of(&self, target: TargetId) -> Option<&RuleSpec> {
        match target.place() {
            None => Some(&self.spec().rules),
            Some(place) => self.spec().targets.get(place).map(|target| &target.rules),
        }
    }

    /// The text of the promised log line.
    pub fn summary(&self) -> String {
        let spec = self.spec();
        let mut parts = Vec::new();
        let targets: Vec<String> = spec.targets.iter().map(named_target).collect();
        if !targets.is_empty() {
            parts.push(format!("Targets=[{}]", targets.join(",")));
        }
        parts.extend(words(&spec.rules));
        if spec.pod_annotations != PodAnnotations::Off {
            parts.push(format!("{}={}", Key::PodAnnotations.word(), spec.pod_annotations.name()));
        }
        if !parts.is_empty() {
            return format!("Active filters: {}", parts.join(", "));
        }
        if self.has_filters() {
            "Active filters: only the recorded command and its descendants".into()
        } else {
            "No filters: profiling all processes".into()
        }
    }
}

/// A fact about the pod that has not arrived, and of which pod nobody knows anything yet.
pub(crate) fn awaited(key: Key) -> String {
    match key.fact() {
        Fact::Pod => "the pod".into(),
        fact => format!("the pod's {}", fact.name()),
    }
}

/// Of an exclusion one rule matches, of an inclusion all do.
fn label_rule(path: &str, rules: &[LabelRule], key: Key, at: usize) -> String {
    match rules {
        [only] => format!("{path} = \"{only}\""),
        _ if key.is_exclusion() => match rules.get(at) {
            Some(rule) => format!("{path}[{at}] = \"{rule}\""),
            None => format!("{path}[{at}]"),
        },
        all => {
            let all: Vec<String> = all.iter().map(|rule| format!("\"{rule}\"")).collect();
            format!("{path} = {}", all.join(" and "))
        }
    }
}

/// `payments(ProcessNames=[java], Match=all)`, or only its name if there is nothing to say.
fn named_target(target: &TargetSpec) -> String {
    let mut parts = words(&target.rules);
    if let Some(sample_hz) = target.sample_hz {
        parts.push(format!("SampleRate={sample_hz}"));
    }
    if let Some(until) = target.until {
        parts.push(format!("Until={}", timestamp(until)));
    }
    let name = shown(&target.name);
    if parts.is_empty() { name } else { format!("{name}({})", parts.join(", ")) }
}

/// Each key that holds something, by its word.
fn words(spec: &RuleSpec) -> Vec<String> {
    let mut parts = Vec::new();
    for &key in Key::ALL {
        let values: Vec<String> = match key.fact() {
            Fact::Pid if key == Key::Pid => spec.pid.iter().map(u32::to_string).collect(),
            Fact::Pid => spec.pids.iter().map(u32::to_string).collect(),
            Fact::Labels => spec.label_rules(key).iter().map(|rule| shown(&rule.to_string())).collect(),
            _ => spec.patterns(key).iter().map(|pattern| shown(pattern)).collect(),
        };
        if !values.is_empty() {
            parts.push(format!("{}=[{}]", key.word(), values.join(",")));
        }
    }
    if spec.match_mode == Some(MatchMode::All) {
        parts.push("Match=all".into());
    }
    parts
}

/// As RFC 3339 has it.
fn timestamp(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "never".into(), |time| time.to_string())
}

/// A pattern without what would break a line of the log.
fn shown(pattern: &str) -> String {
    pattern
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}
