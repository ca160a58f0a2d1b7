//! What the user wrote.

use crate::Key;

/// How several types of include rules are combined.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MatchMode {
    /// One type that matches is enough.
    Any,
    /// Every type that is configured must match.
    All,
}

/// Rules as the user wrote them. An empty list counts as absent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RuleSpec {
    /// `target_pid`
    pub pid: Option<u32>,
    /// `target_pids`
    pub pids: Vec<u32>,
    /// `target_process_names`
    pub process_names: Vec<String>,
    /// `target_executables`
    pub executables: Vec<String>,
    /// `target_container_ids`
    pub container_ids: Vec<String>,
    /// `exclude_process_names`
    pub exclude_process_names: Vec<String>,
    /// `exclude_executables`
    pub exclude_executables: Vec<String>,
    /// `exclude_container_ids`
    pub exclude_container_ids: Vec<String>,
    /// `match`, if written.
    pub match_mode: Option<MatchMode>,
    /// `profile_self`
    pub profile_self: bool,
}

impl RuleSpec {
    /// The patterns under a key; none for the pids.
    pub fn patterns(&self, key: Key) -> &[String] {
        match key {
            Key::Pid | Key::Pids => &[],
            Key::ProcessNames => &self.process_names,
            Key::Executables => &self.executables,
            Key::ContainerIds => &self.container_ids,
            Key::ExcludeProcessNames => &self.exclude_process_names,
            Key::ExcludeExecutables => &self.exclude_executables,
            Key::ExcludeContainerIds => &self.exclude_container_ids,
        }
    }
}
