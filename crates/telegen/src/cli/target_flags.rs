//! Flags that select processes; they mirror the keys of the configuration.

use super::lists::{quoted, split};
use clap::{Args, ValueEnum};
use telegen_config::{Match, Overrides, Rules};
use telegen_model::Pid;

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
    /// Not processes with such a name
    #[arg(long, value_name = "GLOB")]
    exclude_name: Vec<String>,
    /// Not processes with such an executable
    #[arg(long, value_name = "GLOB")]
    exclude_exe: Vec<String>,
    /// Not processes in these containers
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    exclude_container: Vec<String>,
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
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            pids: self.pid.iter().map(|&pid| Pid(pid)).collect(),
            process_names: lists(&self.name),
            executables: lists(&self.exe),
            container_ids: self.container.clone(),
            exclude_process_names: lists(&self.exclude_name),
            exclude_executables: lists(&self.exclude_exe),
            exclude_container_ids: self.exclude_container.clone(),
            match_types: self.match_types.map(|types| match types {
                MatchTypes::Any => Match::Any,
                MatchTypes::All => Match::All,
            }),
        }
    }

    /// The flags as they would be typed again.
    pub(crate) fn shown(&self) -> String {
        let mut words = Vec::new();
        for pid in &self.pid {
            words.push(format!("--pid {pid}"));
        }
        let texts = [
            ("--name", &self.name),
            ("--exe", &self.exe),
            ("--container", &self.container),
            ("--exclude-name", &self.exclude_name),
            ("--exclude-exe", &self.exclude_exe),
            ("--exclude-container", &self.exclude_container),
        ];
        for (flag, values) in texts {
            words.extend(values.iter().map(|value| format!("{flag} {}", quoted(value))));
        }
        match self.match_types {
            Some(MatchTypes::Any) => words.push("--match any".into()),
            Some(MatchTypes::All) => words.push("--match all".into()),
            None => {}
        }
        words.join(" ")
    }
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
        let overrides = flags.overrides();
        assert_eq!(overrides.process_names, ["a", "b{c,d}", "e"]);
        assert_eq!((overrides.pids, overrides.match_types), (vec![Pid(7)], Some(Match::All)));
        assert_eq!(flags.shown(), "--pid 7 --name 'a,b{c,d}' --name e --match all");
    }
}
