//! From files and flags to what the profiler runs with.

mod debuginfod;
mod kubernetes;

use crate::engine::EngineOptions;
use crate::failure::{Failure, Status};
use crate::governor::memory_limit;
use crate::output::say;
use crate::targeting::targeting;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;
use telegen_bpf::Clock;
use telegen_collect::SampleLabels;
use telegen_config::{Config, CpuEvent, Loaded, Rules};
use telegen_rules::{RuleError, RuleSet, TargetId, Warning};
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
    pub(crate) fn load(file: Option<&Path>, flags: &Rules) -> Result<Self, Failure> {
        let loaded = match file {
            Some(path) => telegen_config::load(path).map_err(|error| Failure::new(Status::Usage, error))?,
            None => Loaded::default(),
        };
        Self::of(loaded, flags)
    }

    /// For `record`: the flags say what is included; the file gives exclusions and limits only.
    pub(crate) fn for_recording(file: Option<&Path>, flags: &Rules) -> Result<Self, Failure> {
        let mut settings = Self::load(file, &Rules::default())?;
        settings.loaded.config.drop_includes();
        Self::of(settings.loaded, flags)
    }

    /// A configuration that has been read, with the flags put over it.
    pub(crate) fn of(mut loaded: Loaded, flags: &Rules) -> Result<Self, Failure> {
        loaded.override_rules(flags);
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
        let rules = self.rules.warnings().into_iter().map(|warning| {
            let sources = &self.loaded.sources;
            sources.warning_at(&place_of(&warning), None, warning.to_string()).to_string()
        });
        let pods = kubernetes::warning(self.config(), &self.rules);
        config.chain(rules).chain(pods).collect()
    }

    /// Says the warnings on standard error.
    pub(crate) fn say_warnings(&self) {
        for warning in self.warnings() {
            say(&warning);
        }
    }

    /// Who is asked for pods, if anybody is.
    pub(crate) fn kubernetes(&self) -> Result<Option<telegen_k8s::Options>, Failure> {
        kubernetes::options(&self.config().kubernetes)
    }

    /// Which debuginfod servers are asked, if any are.
    pub(crate) fn debuginfod(&self) -> Result<Option<telegen_debuginfod::Options>, Failure> {
        debuginfod::options(&self.loaded)
    }

    /// What the profiler runs with.
    ///
    /// Fails if the configuration asks for something that is missing around it.
    pub(crate) fn engine_options(&self) -> Result<EngineOptions, Failure> {
        let config = self.config();
        Ok(EngineOptions {
            clock: match config.cpu.event {
                CpuEvent::CpuClock => Clock::CpuClock,
                CpuEvent::Cycles => Clock::Cycles,
            },
            rates: rates(config.cpu.sample_hz, &self.rules),
            max_user_frames: config.limits.max_stack_depth,
            kernel_stacks: config.kernel_stacks,
            max_targets: config.limits.max_targets as usize,
            memory_bytes: memory_limit(config.limits.memory_bytes),
            labels: labels(config),
            kubernetes: self.kubernetes()?,
            debuginfod: self.debuginfod()?,
        })
    }
}

/// The clock is as fast as the fastest target wants it.
fn rates(default_hz: u32, rules: &RuleSet) -> Rates {
    let wanted = rules.targets().map(|target| target.sample_hz.unwrap_or(default_hz));
    Rates { default_hz, clock_hz: wanted.max().unwrap_or(default_hz) }
}

/// The configured file, or the default one if it is there.
pub(crate) fn config_file(given: Option<&Path>) -> Option<&Path> {
    given.or_else(|| Some(Path::new(DEFAULT_CONFIG)).filter(|path| path.exists()))
}

fn labels(config: &Config) -> SampleLabels {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut common = BTreeMap::from([("host.name".to_owned(), host)]);
    common.extend(config.external_labels.clone());
    SampleLabels { common, of_pod: config.pod_labels.clone() }
}

fn compile(loaded: &Loaded) -> Result<RuleSet, Failure> {
    let rules = RuleSet::compile(targeting(&loaded.config));
    let rules = rules.map_err(|errors| Failure::message(Status::Usage, bad_rules(loaded, &errors)))?;
    Ok(rules.at(SystemTime::now()))
}

/// The key by which something about a target can be put right, or found.
fn place_of(warning: &Warning) -> String {
    let in_target = |target: &TargetId, key: &str| match target.place() {
        Some(place) => format!("targets[{place}].{key}"),
        None => "match".to_owned(),
    };
    match warning {
        Warning::ImplicitMatch { target, .. } => in_target(target, "name"),
        Warning::Ended { target, .. } => in_target(target, "until"),
        _ => String::new(),
    }
}

fn bad_rules(loaded: &Loaded, errors: &[RuleError]) -> String {
    let describe = |error: &RuleError| {
        let (path, index) = error.place();
        loaded.sources.error_at(&path, index, error.message()).to_string()
    };
    errors.iter().map(describe).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_target_too_many_is_pointed_at() {
        let of = |targets: usize| {
            let targets: String = (0..targets).map(|place| format!("    - name: t{place}\n")).collect();
            let text = format!("profiler:\n  targets:\n{targets}");
            let loaded = telegen_config::parse("profiler.yaml", text.as_bytes()).expect("a good file");
            Settings::of(loaded, &Rules::default())
        };
        assert!(of(TargetId::MOST_NAMED).is_ok());
        let error = of(TargetId::MOST_NAMED + 2).err().expect("two too many").to_string();
        let expected = "\
error: there may be 254 named targets, but these are 256
   --> profiler.yaml:257:13
    |
257 |     - name: t254
    |             ^^^^
";
        assert_eq!(error.trim_end(), expected.trim_end());
    }
}
