//! Rules, compiled and combined.

use crate::container_ids::ContainerIds;
use crate::patterns::Patterns;
use crate::{Decision, Key, MatchMode, PatternError, Reason, RuleSpec};
use std::fmt::Write;
use telegen_model::{Pid, ProcessFacts};

/// A pid rule, and the pid it names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PidChoice {
    /// `target_pid` or `target_pids`.
    pub key: Key,
    /// Place in the list.
    pub index: u16,
    /// The pid.
    pub pid: Pid,
}

/// Something that is allowed but may not be what was meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// Two or more include types, and no `match` to say how they combine.
    #[error(
        "several include types and no `match`: a process is profiled if any one of them matches (match: any); \
         write `match: any` to confirm, or `match: all` if every type must match"
    )]
    ImplicitMatch,
}

/// Rules, compiled.
#[derive(Clone, Debug)]
pub struct RuleSet {
    spec: RuleSpec,
    pids: Vec<PidChoice>,
    names: Option<Patterns>,
    executables: Option<Patterns>,
    containers: Option<ContainerIds>,
    exclude_names: Option<Patterns>,
    exclude_executables: Option<Patterns>,
    exclude_containers: Option<ContainerIds>,
}

impl RuleSet {
    /// Pids that one list may have; places are told in 16 bits.
    const MOST_PIDS: usize = u16::MAX as usize;

    /// Compiles what the user wrote; all errors at once.
    pub fn compile(spec: &RuleSpec) -> Result<Self, Vec<PatternError>> {
        let mut errors = Vec::new();
        let mut compile = |key: Key| {
            let patterns = spec.patterns(key);
            (!patterns.is_empty()).then(|| Patterns::compile(key, patterns, &mut errors))
        };
        let (names, executables) = (compile(Key::ProcessNames), compile(Key::Executables));
        let (exclude_names, exclude_executables) =
            (compile(Key::ExcludeProcessNames), compile(Key::ExcludeExecutables));
        let mut compile_ids = |key: Key| {
            let ids = spec.patterns(key);
            (!ids.is_empty()).then(|| ContainerIds::compile(key, ids, &mut errors))
        };
        let (containers, exclude_containers) =
            (compile_ids(Key::ContainerIds), compile_ids(Key::ExcludeContainerIds));
        if let Some(pid) = spec.pids.get(Self::MOST_PIDS) {
            let message = format!("a list may have {} pids", Self::MOST_PIDS);
            let (key, index, pattern) = (Key::Pids, Self::MOST_PIDS, pid.to_string());
            errors.push(PatternError { key, index, pattern, message });
        }
        let single = spec.pid.map(|pid| PidChoice { key: Key::Pid, index: 0, pid: Pid(pid) });
        let listed = (0..=u16::MAX).zip(&spec.pids);
        let listed = listed.map(|(index, &pid)| PidChoice { key: Key::Pids, index, pid: Pid(pid) });
        let pids = single.into_iter().chain(listed).collect();
        if errors.is_empty() {
            Ok(Self {
                spec: spec.clone(),
                pids,
                names,
                executables,
                containers,
                exclude_names,
                exclude_executables,
                exclude_containers,
            })
        } else {
            Err(errors)
        }
    }

    /// Rules that no process matches: for when something else chooses.
    pub fn nothing() -> Self {
        Self {
            spec: RuleSpec::default(),
            pids: Vec::new(),
            names: Some(Patterns::none()),
            executables: None,
            containers: None,
            exclude_names: None,
            exclude_executables: None,
            exclude_containers: None,
        }
    }

    /// The rules that choose by pid. To which process each belongs is for the caller to keep: a pid rule is bound to
    /// the first process seen under its pid, not to whoever has the pid later.
    pub fn pids(&self) -> &[PidChoice] {
        &self.pids
    }

    /// Whether there is any rule: without one, everything is profiled.
    pub fn has_filters(&self) -> bool {
        self.has_includes()
            || self.exclude_names.is_some()
            || self.exclude_executables.is_some()
            || self.exclude_containers.is_some()
    }

    /// Whether there is a rule that `argv[0]` is needed for.
    pub fn needs_argv0(&self) -> bool {
        self.names.is_some() || self.exclude_names.is_some()
    }

    /// Whether there is a rule that the container is needed for.
    pub fn needs_container(&self) -> bool {
        self.containers.is_some() || self.exclude_containers.is_some()
    }

    /// The rules as they were written.
    pub fn spec(&self) -> &RuleSpec {
        &self.spec
    }

    /// What may not be what was meant. Pids are no type here: they are chosen whichever way the types combine.
    pub fn warnings(&self) -> Vec<Warning> {
        let types = [self.names.is_some(), self.executables.is_some(), self.containers.is_some()];
        let several = types.into_iter().filter(|configured| *configured).count() > 1;
        if several && self.spec.match_mode.is_none() { vec![Warning::ImplicitMatch] } else { Vec::new() }
    }

    /// Decides on a process. `chosen` is the pid rule that is bound to it, if there is one; `is_agent` whether it is
    /// the process that asks.
    pub fn decide(&self, facts: &ProcessFacts, chosen: Option<PidChoice>, is_agent: bool) -> Decision {
        if facts.kernel_thread {
            return Decision::skip(Reason::KernelThread);
        }
        if is_agent && !self.spec.profile_self {
            return Decision::skip(Reason::Agent);
        }
        if let Some(PidChoice { key, index, .. }) = chosen {
            return Decision::profile(Reason::Pid { key, index });
        }
        if let Some((key, index)) = self.exclusion(facts) {
            return Decision::skip(Reason::Excluded { key, index });
        }
        if !self.has_includes() {
            return Decision::profile(Reason::NoIncludeRules);
        }
        self.include(facts)
    }

    fn has_includes(&self) -> bool {
        !self.pids.is_empty()
            || self.names.is_some()
            || self.executables.is_some()
            || self.containers.is_some()
    }

    fn exclusion(&self, facts: &ProcessFacts) -> Option<(Key, u16)> {
        let name = self.exclude_names.as_ref().and_then(|patterns| match_names(patterns, facts));
        if let Some(index) = name {
            return Some((Key::ExcludeProcessNames, index));
        }
        let executable =
            self.exclude_executables.as_ref().and_then(|patterns| match_executable(patterns, facts));
        if let Some(index) = executable {
            return Some((Key::ExcludeExecutables, index));
        }
        let container = self.exclude_containers.as_ref().and_then(|ids| match_container(ids, facts));
        container.map(|index| (Key::ExcludeContainerIds, index))
    }

    fn include(&self, facts: &ProcessFacts) -> Decision {
        let mut matches = self.include_matches(facts);
        let included = |(key, index): (Key, Option<u16>)| Some(Reason::Included { key, index: index? });
        let reason = match self.spec.match_mode.unwrap_or(MatchMode::Any) {
            MatchMode::Any => matches.find_map(included),
            // A pid is never a type of `match: all`, so where only pids are configured nothing else is in.
            MatchMode::All => match (matches.next().and_then(included), matches.next()) {
                (only, None) => only,
                (Some(_), Some((_, Some(_)))) if matches.all(|(_, index)| index.is_some()) => {
                    Some(Reason::AllIncluded)
                }
                _ => None,
            },
        };
        reason.map_or(Decision::skip(Reason::NotIncluded), Decision::profile)
    }

    /// Each include type that is configured, with the first of its rules that matches.
    pub(crate) fn include_matches<'a>(
        &'a self,
        facts: &'a ProcessFacts,
    ) -> impl Iterator<Item = (Key, Option<u16>)> + 'a {
        let names = self.names.iter().map(|patterns| (Key::ProcessNames, match_names(patterns, facts)));
        let executables =
            self.executables.iter().map(|patterns| (Key::Executables, match_executable(patterns, facts)));
        let containers = self.containers.iter().map(|ids| (Key::ContainerIds, match_container(ids, facts)));
        names.chain(executables).chain(containers)
    }

    /// The reason of a decision in words, such as `target_process_names[0] = "java"`.
    pub fn reason(&self, decision: Decision) -> String {
        match decision.reason {
            Reason::KernelThread => "kernel thread".into(),
            Reason::Agent => "the agent itself (profile_self: false)".into(),
            Reason::Pid { key, index }
            | Reason::Excluded { key, index }
            | Reason::Included { key, index } => self.rule(key, index),
            Reason::NoIncludeRules => "no include rule is configured".into(),
            Reason::AllIncluded => "every configured include type matches (match: all)".into(),
            Reason::NotIncluded if self.spec.match_mode == Some(MatchMode::All) => {
                "not every configured include type matches (match: all)".into()
            }
            Reason::NotIncluded => "no include rule matches".into(),
            Reason::Followed => "descendant of the recorded command".into(),
            Reason::TooManyTargets => "matches, but limits.max_targets is reached".into(),
            Reason::Unknown => "not looked at yet".into(),
        }
    }

    /// A rule as the user wrote it.
    fn rule(&self, key: Key, index: u16) -> String {
        let at = usize::from(index);
        match key {
            Key::Pid => format!("{} = {}", key.name(), self.spec.pid.unwrap_or_default()),
            Key::Pids => match self.spec.pids.get(at) {
                Some(pid) => format!("{}[{index}] = {pid}", key.name()),
                None => format!("{}[{index}]", key.name()),
            },
            _ => match self.spec.patterns(key).get(at) {
                Some(pattern) => format!("{}[{index}] = {pattern:?}", key.name()),
                None => format!("{}[{index}]", key.name()),
            },
        }
    }

    /// The text of the promised log line.
    pub fn summary(&self) -> String {
        let mut parts = Vec::new();
        let spec = &self.spec;
        for key in Key::ALL {
            let values = match key {
                Key::Pid => spec.pid.iter().map(u32::to_string).collect(),
                Key::Pids => spec.pids.iter().map(u32::to_string).collect(),
                _ => spec.patterns(key).iter().map(|pattern| shown(pattern)).collect::<Vec<_>>(),
            };
            if !values.is_empty() {
                parts.push(format!("{}=[{}]", key.word(), values.join(",")));
            }
        }
        if parts.is_empty() {
            let text = if self.has_filters() {
                "Active filters: only the recorded command and its descendants"
            } else {
                "No filters: profiling all processes"
            };
            return text.into();
        }
        if spec.match_mode == Some(MatchMode::All) {
            parts.push("Match=all".into());
        }
        let mut text = String::from("Active filters: ");
        // Writing to a string does not fail.
        let _ = write!(text, "{}", parts.join(", "));
        text
    }
}

fn match_names(patterns: &Patterns, facts: &ProcessFacts) -> Option<u16> {
    // Mostly the three are one, and need not be tried again.
    let mut before = [None; 2];
    let mut first = None;
    for (at, name) in facts.names().enumerate() {
        if !before.contains(&Some(name)) {
            first = [first, patterns.first_match(name)].into_iter().flatten().min();
        }
        if let Some(slot) = before.get_mut(at) {
            *slot = Some(name);
        }
    }
    first
}

fn match_executable(patterns: &Patterns, facts: &ProcessFacts) -> Option<u16> {
    patterns.first_match(facts.executable.as_deref()?)
}

fn match_container(ids: &ContainerIds, facts: &ProcessFacts) -> Option<u16> {
    ids.first_match(&facts.container.as_deref()?.id)
}

/// A pattern without what would break a line of the log.
fn shown(pattern: &str) -> String {
    pattern
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}
