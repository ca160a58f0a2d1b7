//! Which processes are profiled, as it is written: patterns are texts here and are compiled elsewhere.

use crate::Match;
use std::ops::RangeInclusive;
use telegen_model::Pid;

/// Which processes are profiled.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    /// `target_pid`.
    pub target_pid: Option<Pid>,
    /// `target_pids`.
    pub target_pids: Vec<Pid>,
    /// `target_process_names`: globs.
    pub target_process_names: Vec<String>,
    /// `target_executables`: globs.
    pub target_executables: Vec<String>,
    /// `target_container_ids`: ids, or their first twelve digits or more.
    pub target_container_ids: Vec<String>,
    /// `exclude_process_names`: globs.
    pub exclude_process_names: Vec<String>,
    /// `exclude_executables`: globs.
    pub exclude_executables: Vec<String>,
    /// `exclude_container_ids`: ids, or their first twelve digits or more.
    pub exclude_container_ids: Vec<String>,
    /// `match`: `None` if it is not written, which means [`Match::Any`] but is worth a warning where more than
    /// one type of include is configured.
    pub match_types: Option<Match>,
}

/// Rules from the command line, which come over those of the file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Overrides {
    /// `--pid`.
    pub pids: Vec<Pid>,
    /// `--name`.
    pub process_names: Vec<String>,
    /// `--exe`.
    pub executables: Vec<String>,
    /// `--container`.
    pub container_ids: Vec<String>,
    /// `--exclude-name`.
    pub exclude_process_names: Vec<String>,
    /// `--exclude-exe`.
    pub exclude_executables: Vec<String>,
    /// `--exclude-container`.
    pub exclude_container_ids: Vec<String>,
    /// `--match`.
    pub match_types: Option<Match>,
}

impl Rules {
    /// Pids that a process can have: the kernel's `PID_MAX_LIMIT` is 2²² (proc_sys_kernel(5)).
    pub const PIDS: RangeInclusive<u32> = 1..=1 << 22;

    /// The include keys, as they are written in a file.
    pub const INCLUDES: [&'static str; 5] =
        ["target_pid", "target_pids", "target_process_names", "target_executables", "target_container_ids"];

    /// Whether any include is configured.
    pub fn has_includes(&self) -> bool {
        self.target_pid.is_some()
            || !self.target_pids.is_empty()
            || !self.target_process_names.is_empty()
            || !self.target_executables.is_empty()
            || !self.target_container_ids.is_empty()
    }

    /// These rules without their includes.
    pub fn exclusions(&self) -> Self {
        Self {
            exclude_process_names: self.exclude_process_names.clone(),
            exclude_executables: self.exclude_executables.clone(),
            exclude_container_ids: self.exclude_container_ids.clone(),
            match_types: self.match_types,
            ..Self::default()
        }
    }

    /// These rules with others over them: includes replace all includes, exclusions are added.
    pub fn overridden(&self, by: &Overrides) -> Self {
        let mut rules = if by.has_includes() { self.exclusions() } else { self.clone() };
        if by.has_includes() {
            rules.target_pids.clone_from(&by.pids);
            rules.target_process_names.clone_from(&by.process_names);
            rules.target_executables.clone_from(&by.executables);
            rules.target_container_ids.clone_from(&by.container_ids);
        }
        rules.exclude_process_names.extend_from_slice(&by.exclude_process_names);
        rules.exclude_executables.extend_from_slice(&by.exclude_executables);
        rules.exclude_container_ids.extend_from_slice(&by.exclude_container_ids);
        rules.match_types = by.match_types.or(rules.match_types);
        rules
    }
}

impl Overrides {
    /// Whether there is any include.
    pub fn has_includes(&self) -> bool {
        !self.pids.is_empty()
            || !self.process_names.is_empty()
            || !self.executables.is_empty()
            || !self.container_ids.is_empty()
    }

    /// Whether there is any exclusion.
    pub fn has_exclusions(&self) -> bool {
        !self.exclude_process_names.is_empty()
            || !self.exclude_executables.is_empty()
            || !self.exclude_container_ids.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| text.to_string()).collect()
    }

    fn file() -> Rules {
        Rules {
            target_pid: Some(Pid(1)),
            target_pids: vec![Pid(2)],
            target_process_names: texts(&["java"]),
            target_executables: texts(&["/opt/*"]),
            target_container_ids: texts(&["0123456789ab"]),
            exclude_process_names: texts(&["sh"]),
            exclude_executables: texts(&["/bin/*"]),
            exclude_container_ids: texts(&["ba9876543210"]),
            match_types: Some(Match::All),
        }
    }

    #[test]
    fn one_include_replaces_all_includes_and_no_exclusion() {
        let by = Overrides { process_names: texts(&["node"]), ..Overrides::default() };
        let expected = Rules { target_process_names: texts(&["node"]), ..file().exclusions() };
        assert_eq!(file().overridden(&by), expected);
        assert_eq!(expected.exclude_process_names, ["sh"]);
        assert_eq!(expected.match_types, Some(Match::All));
        assert_eq!((expected.target_pid, expected.target_pids), (None, vec![]));
    }

    #[test]
    fn exclusions_are_added_and_leave_the_includes() {
        let by = Overrides {
            exclude_process_names: texts(&["bash"]),
            exclude_executables: texts(&["/sbin/*"]),
            exclude_container_ids: texts(&["cccccccccccc"]),
            ..Overrides::default()
        };
        let expected = Rules {
            exclude_process_names: texts(&["sh", "bash"]),
            exclude_executables: texts(&["/bin/*", "/sbin/*"]),
            exclude_container_ids: texts(&["ba9876543210", "cccccccccccc"]),
            ..file()
        };
        assert_eq!(file().overridden(&by), expected);
    }

    #[test]
    fn match_is_replaced_if_given() {
        let by = Overrides { match_types: Some(Match::Any), ..Overrides::default() };
        assert_eq!(file().overridden(&by), Rules { match_types: Some(Match::Any), ..file() });
        assert_eq!(file().overridden(&Overrides::default()), file());
    }

    #[test]
    fn each_include_counts_as_one() {
        assert!(!Rules::default().has_includes() && !file().exclusions().has_includes());
        for rules in [
            Rules { target_pid: Some(Pid(1)), ..Rules::default() },
            Rules { target_pids: vec![Pid(1)], ..Rules::default() },
            Rules { target_process_names: texts(&["a"]), ..Rules::default() },
            Rules { target_executables: texts(&["a"]), ..Rules::default() },
            Rules { target_container_ids: texts(&["a"]), ..Rules::default() },
        ] {
            assert!(rules.has_includes(), "{rules:?}");
        }
    }
}
