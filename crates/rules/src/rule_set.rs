//! Rules, compiled and combined.

use crate::compiled_target::CompiledTarget;
use crate::error::RuleError;
use crate::rule::Rule;
use crate::target_name::check_names;
use crate::{Decision, Fact, Key, PodAnnotations, Target, TargetId, TargetingSpec};
use std::sync::Arc;
use std::time::SystemTime;
use telegen_model::Pid;

/// A pid rule, and the pid it names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PidChoice {
    /// The target whose rule it is.
    pub target: TargetId,
    /// `target_pid` or `target_pids`.
    pub key: Key,
    /// Place in the list.
    pub index: u16,
    /// The pid.
    pub pid: Pid,
}

/// Rules, compiled; cheap to clone.
///
/// They hold at a moment: targets that have ended by then select nothing. Rules fresh from [`RuleSet::compile`] hold
/// before all time, so that no target has ended; see [`RuleSet::at`].
#[derive(Clone, Debug)]
pub struct RuleSet {
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) moment: Option<SystemTime>,
    /// Of targets that have not ended.
    pids: Arc<[PidChoice]>,
}

#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) spec: TargetingSpec,
    /// Those of the flat keys, which hold for all targets.
    pub(crate) exclusions: Vec<Rule>,
    /// In the order in which they are tried; that of the flat keys, if there is one, is the last.
    pub(crate) targets: Vec<CompiledTarget>,
    /// What holds for processes that no target has selected: those that a command is followed by.
    fallback: Target,
}

impl RuleSet {
    /// Compiles what the user wrote; all errors at once.
    pub fn compile(spec: impl Into<TargetingSpec>) -> Result<Self, Vec<RuleError>> {
        let spec = spec.into().without_empty();
        let mut errors = Vec::new();
        let exclusions = Rule::compile_all(TargetId::DEFAULT, &spec.rules, Key::is_exclusion, &mut errors);
        if spec.targets.len() > TargetId::MOST_NAMED {
            errors.push(RuleError::TooManyTargets { count: spec.targets.len() });
        }
        check_names(&spec.targets, &mut errors);
        let mut targets = Vec::new();
        for (place, named) in spec.targets.iter().enumerate() {
            let Some(id) = TargetId::named(place) else { break };
            let (name, sample_hz, until) = (named.name.as_str().into(), named.sample_hz, named.until);
            let target = Target { id, name, sample_hz, until };
            targets.push(CompiledTarget::compile(target, &named.rules, &mut errors));
        }
        if spec.targets.is_empty() || spec.rules.has_includes() {
            targets.push(CompiledTarget::compile(Target::of_flat_keys(), &spec.rules, &mut errors));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self::new(Compiled { spec, exclusions, targets, fallback: Target::of_flat_keys() }, None))
    }

    fn new(compiled: impl Into<Arc<Compiled>>, moment: Option<SystemTime>) -> Self {
        let mut rules = Self { compiled: compiled.into(), moment, pids: Arc::default() };
        rules.pids = rules.live().flat_map(|target| target.pids.iter().copied()).collect();
        rules
    }

    /// Rules that no process matches: for when something else chooses.
    pub fn nothing() -> Self {
        let (spec, fallback) = (TargetingSpec::default(), Target::of_flat_keys());
        Self::new(Compiled { spec, exclusions: Vec::new(), targets: Vec::new(), fallback }, None)
    }

    /// The same rules as they hold at a moment: targets that have ended by then select nothing, and their end widens
    /// nothing.
    pub fn at(&self, moment: SystemTime) -> Self {
        Self::new(self.compiled.clone(), Some(moment))
    }

    /// When the next target ends, behind the moment at which these rules hold: [`RuleSet::at`] of then are others.
    pub fn next_end(&self) -> Option<SystemTime> {
        self.live().filter_map(|target| target.target.until).min()
    }

    /// The targets that have not ended, in the order in which they are tried.
    pub(crate) fn live(&self) -> impl Iterator<Item = &CompiledTarget> {
        self.compiled.targets.iter().filter(|target| target.is_live(self.moment))
    }

    /// The rules that choose by pid. To which process each belongs is for the caller to keep: a pid rule is bound to
    /// the first process seen under its pid, not to whoever has the pid later.
    pub fn pids(&self) -> &[PidChoice] {
        &self.pids
    }

    /// All targets in the order in which they are tried, ended ones included.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.compiled.targets.iter().map(|target| &target.target)
    }

    /// The target that has selected a process on which this was decided.
    pub fn target(&self, decision: Decision) -> &Target {
        let targets = &self.compiled.targets;
        let found = match decision.target.place() {
            Some(place) => targets.get(place),
            None => targets.last(),
        };
        // What was decided by other rules may name one that is not among these.
        let found = found.map(|target| &target.target).filter(|target| target.id == decision.target);
        found.unwrap_or(&self.compiled.fallback)
    }

    /// Whether there is any rule: without one, everything is profiled.
    pub fn has_filters(&self) -> bool {
        let compiled = &*self.compiled;
        let unfiltered = match compiled.targets.as_slice() {
            [only] => only.target.id == TargetId::DEFAULT && only.includes_everything(),
            _ => false,
        };
        !unfiltered || !compiled.exclusions.is_empty() || compiled.spec.pod_annotations != PodAnnotations::Off
    }

    /// Whether there is a rule that `argv[0]` is needed for.
    pub fn needs_argv0(&self) -> bool {
        self.needs(|fact| fact == Fact::Name)
    }

    /// Whether there is a rule that the container is needed for, be it to know the pod.
    pub fn needs_container(&self) -> bool {
        self.needs(|fact| fact == Fact::Container) || self.needs_pod()
    }

    /// Whether there is a rule that the pod is needed for.
    pub fn needs_pod(&self) -> bool {
        self.compiled.spec.pod_annotations != PodAnnotations::Off || self.needs(Fact::is_of_pod)
    }

    /// Whether there is a rule on what only Kubernetes can tell of a pod: its workload, labels and annotations.
    pub fn needs_pod_details(&self) -> bool {
        self.compiled.spec.pod_annotations != PodAnnotations::Off || self.needs(Fact::is_of_pod_details)
    }

    /// Whether there is a rule on such a fact, of a target that has ended, too: the moment may be set back.
    fn needs(&self, wanted: impl Fn(Fact) -> bool) -> bool {
        let of_targets =
            self.compiled.targets.iter().flat_map(|target| [&target.includes, &target.exclusions]);
        let mut lists = of_targets.chain([&self.compiled.exclusions]);
        lists.any(|rules| rules.iter().any(|rule| wanted(rule.key.fact())))
    }

    /// The rules as they were written, without those on labels that are empty.
    pub fn spec(&self) -> &TargetingSpec {
        &self.compiled.spec
    }
}
