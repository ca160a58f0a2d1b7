//! What is known of a process, as far as rules ask.

use crate::{Container, Pid, PodFacts, ProcessKey};
use std::sync::Arc;

/// What is known of a process, as far as rules and labels ask.
///
/// Names and paths are arbitrary bytes on Linux; what is not UTF-8 in them has been replaced by U+FFFD. They
/// are the process's own word and must be escaped wherever they are shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessFacts {
    /// Who it is.
    pub key: ProcessKey,
    /// Its parent's pid, 0 if it has none or the parent is not visible from the agent's pid namespace.
    pub parent: Pid,
    /// Whether it is a kernel thread, which has no memory, no executable and no arguments of its own.
    pub kernel_thread: bool,
    /// `/proc/PID/comm`: at most 15 bytes, set by exec, renamed at will.
    pub comm: Box<str>,
    /// Target of `/proc/PID/exe` without a trailing ` (deleted)`, as the process sees it; `None` if it could
    /// not be read.
    pub executable: Option<Box<str>>,
    /// Base name of `argv[0]`; `None` if there is none or it could not be read.
    pub argv0: Option<Box<str>>,
    /// The container it runs in; `None` if it is in none, or nobody has asked.
    pub container: Option<Arc<Container>>,
    /// The pod it runs in.
    pub pod: PodFacts,
}

impl ProcessFacts {
    /// Base name of the executable.
    pub fn executable_name(&self) -> Option<&str> {
        self.executable.as_deref().map(base_name)
    }

    /// The names a name rule looks at: comm, base name of the executable, base name of `argv[0]`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [Some(&*self.comm), self.executable_name(), self.argv0.as_deref()].into_iter().flatten()
    }

    /// The name to show for the process: its executable's, which unlike comm is never cut short, or comm.
    pub fn display_name(&self) -> &str {
        self.executable_name().filter(|name| !name.is_empty()).unwrap_or(&self.comm)
    }
}

/// The part of a path behind its last slash.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Generation, ProcessId, StartTime};

    fn facts(executable: Option<&str>) -> ProcessFacts {
        let id = ProcessId { pid: Pid(7), start: StartTime(1) };
        ProcessFacts {
            key: ProcessKey { id, generation: Generation(0) },
            parent: Pid(1),
            kernel_thread: false,
            comm: "main".into(),
            executable: executable.map(Into::into),
            argv0: Some("java".into()),
            container: None,
            pod: PodFacts::InNone,
        }
    }

    #[test]
    fn a_process_has_up_to_three_names() {
        let facts = facts(Some("/usr/bin/jvm"));
        assert_eq!(facts.names().collect::<Vec<_>>(), ["main", "jvm", "java"]);
    }

    #[test]
    fn the_comm_stands_in_for_an_executable_that_cannot_be_read() {
        assert_eq!(facts(None).display_name(), "main");
        assert_eq!(facts(Some("/usr/bin/jvm")).display_name(), "jvm");
    }
}
