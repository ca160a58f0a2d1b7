//! From files and flags to what the profiler runs with.

use crate::engine::EngineOptions;
use crate::failure::{Failure, Status};
use crate::governor::memory_limit;
use crate::output::say;
use std::path::Path;
use std::time::SystemTime;
use telegen_bpf::Clock;
use telegen_collect::ExtraLabels;
use telegen_config::{Config, CpuEvent, Loaded, Match, Overrides};
use telegen_rules::{MatchMode, RuleError, RuleSet, RuleSpec, TargetingSpec, Warning};
use telegen_select::Rates;

/// Where the configuration is if nothing else is said.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/telegen/profiler/config.yaml";

/// A configuration with its rules compiled.
pub(crate) struct Settings {
    pub(crate) loaded: Loaded,
    pub(crate) rules: RuleSet,
}

impl Settings {
    /// Reads the file, if there is one, and puts the flags over it.
    pub(crate) fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Self, Failure> {
        let loaded = match file {
            Some(path) => telegen_config::load(path).map_err(|error| Failure::new(Status::Usage, error))?,
            None => Loaded::default(),
        };
        Self::of(loaded, overrides)
    }

    /// For `record`: the flags say what is included; the file gives exclusions and limits only.
    pub(crate) fn for_recording(file: Option<&Path>, overrides: &Overrides) -> Result<Self, Failure> {
        let mut settings = Self::load(file, &Overrides::default())?;
        settings.loaded.config.rules = settings.loaded.config.rules.exclusions();
        Self::of(settings.loaded, overrides)
    }

    /// A configuration that has been read, with the flags put over it.
    pub(crate) fn of(mut loaded: Loaded, overrides: &Overrides) -> Result<Self, Failure> {
        loaded.override_rules(overrides);
        let rules = compile(&loaded)?;
        Ok(Self { loaded, rules })
    }

    /// The configuration.
    pub(crate) fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// What may not be what was meant, ready to be shown.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let config = self.loaded.warnings.iter().map(ToString::to_string);
        let rules = self.rules.warnings().into_iter().map(|warning| match warning {
            Warning::ImplicitMatch { .. } => {
                self.loaded.sources.warning_at("match", None, warning.to_string()).to_string()
            }
            _ => warning.to_string(),
        });
        config.chain(rules).collect()
    }

    /// Says the warnings on standard error.
    pub(crate) fn say_warnings(&self) {
        for warning in self.warnings() {
            say(&warning);
        }
    }

    /// What the profiler runs with.
    pub(crate) fn engine_options(&self) -> EngineOptions {
        let config = self.config();
        EngineOptions {
            clock: match config.cpu.event {
                CpuEvent::CpuClock => Clock::CpuClock,
                CpuEvent::Cycles => Clock::Cycles,
            },
            rates: Rates { default_hz: config.cpu.sample_hz, clock_hz: config.cpu.sample_hz },
            max_user_frames: config.limits.max_stack_depth,
            kernel_stacks: config.kernel_stacks,
            max_targets: config.limits.max_targets as usize,
            memory_bytes: memory_limit(config.limits.memory_bytes),
            labels: labels(config),
        }
    }
}

/// The configured file, or the default one if it is there.
pub(crate) fn config_file(given: Option<&Path>) -> Option<&Path> {
    given.or_else(|| Some(Path::new(DEFAULT_CONFIG)).filter(|path| path.exists()))
}

fn labels(config: &Config) -> ExtraLabels {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut labels = ExtraLabels::from([("host.name".to_owned(), host)]);
    labels.extend(config.external_labels.clone());
    labels
}

fn compile(loaded: &Loaded) -> Result<RuleSet, Failure> {
    let config = &loaded.config;
    let rules = &config.rules;
    let rules = RuleSpec {
        pid: rules.target_pid.map(|pid| pid.0),
        pids: rules.target_pids.iter().map(|pid| pid.0).collect(),
        process_names: rules.target_process_names.clone(),
        executables: rules.target_executables.clone(),
        container_ids: rules.target_container_ids.clone(),
        exclude_process_names: rules.exclude_process_names.clone(),
        exclude_executables: rules.exclude_executables.clone(),
        exclude_container_ids: rules.exclude_container_ids.clone(),
        match_mode: rules.match_types.map(|mode| match mode {
            Match::Any => MatchMode::Any,
            Match::All => MatchMode::All,
        }),
        ..RuleSpec::default()
    };
    let spec = TargetingSpec { rules, profile_self: config.profile_self, ..TargetingSpec::default() };
    let rules = RuleSet::compile(spec);
    let rules = rules.map_err(|errors| Failure::message(Status::Usage, bad_rules(loaded, &errors)))?;
    Ok(rules.at(SystemTime::now()))
}

fn bad_rules(loaded: &Loaded, errors: &[RuleError]) -> String {
    let describe = |error: &RuleError| {
        let (path, index) = error.place();
        loaded.sources.error_at(&path, index, error.message()).to_string()
    };
    errors.iter().map(describe).collect::<Vec<_>>().join("\n")
}
