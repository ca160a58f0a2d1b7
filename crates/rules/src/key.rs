//! The keys that rules stand under.

/// A key of the configuration that holds rules.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Key {
    /// `target_pid`
    Pid,
    /// `target_pids`
    Pids,
    /// `target_process_names`
    ProcessNames,
    /// `target_executables`
    Executables,
    /// `target_container_ids`
    ContainerIds,
    /// `exclude_process_names`
    ExcludeProcessNames,
    /// `exclude_executables`
    ExcludeExecutables,
    /// `exclude_container_ids`
    ExcludeContainerIds,
}

impl Key {
    /// All keys, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Pid,
        Self::Pids,
        Self::ProcessNames,
        Self::Executables,
        Self::ContainerIds,
        Self::ExcludeProcessNames,
        Self::ExcludeExecutables,
        Self::ExcludeContainerIds,
    ];

    /// The key as it is written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pid => "target_pid",
            Self::Pids => "target_pids",
            Self::ProcessNames => "target_process_names",
            Self::Executables => "target_executables",
            Self::ContainerIds => "target_container_ids",
            Self::ExcludeProcessNames => "exclude_process_names",
            Self::ExcludeExecutables => "exclude_executables",
            Self::ExcludeContainerIds => "exclude_container_ids",
        }
    }

    /// The key's fixed word in the summary.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pid => "PID",
            Self::Pids => "PIDs",
            Self::ProcessNames => "ProcessNames",
            Self::Executables => "Executables",
            Self::ContainerIds => "ContainerIDs",
            Self::ExcludeProcessNames => "ExcludeProcessNames",
            Self::ExcludeExecutables => "ExcludeExecutables",
            Self::ExcludeContainerIds => "ExcludeContainerIDs",
        }
    }

    /// What the key looks at, in words.
    pub fn subject(self) -> &'static str {
        match self {
            Self::Pid | Self::Pids => "pid",
            Self::ProcessNames | Self::ExcludeProcessNames => "name",
            Self::Executables | Self::ExcludeExecutables => "executable",
            Self::ContainerIds | Self::ExcludeContainerIds => "container",
        }
    }
}
