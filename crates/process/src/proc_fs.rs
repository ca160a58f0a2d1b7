//! /proc, or a directory that looks like it.

use crate::cgroup::{parse_container, parse_container_in};
use crate::{Error, MapsParser, ParsedMaps, Stat, Status, maps_query};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use telegen_model::{
    Container, Generation, Pid, PodFacts, ProcessFacts, ProcessId, ProcessKey, StartTime, base_name,
};

/// Most bytes of a command line that are looked at for `argv[0]`.
const MAX_ARGV0_BYTES: u64 = 4096;
/// Most bytes of `maps` that are read: a process may have as many mappings as it likes. The line that is cut there
/// counts as malformed.
const MAX_MAPS_BYTES: u64 = 64 << 20;
/// Bytes of `maps` that are held at a time; the kernel hands out a page or less.
const MAPS_PIECE_BYTES: usize = 8 << 10;
const MAX_STAT_BYTES: u64 = 4096;
/// A line of a path for each of some fifteen hierarchies.
const MAX_CGROUP_BYTES: u64 = 128 << 10;
/// A process may be in very many supplementary groups, which stand on one line of `status`.
const MAX_STATUS_BYTES: u64 = 1 << 20;

/// A directory that is, or stands in for, /proc.
#[derive(Clone, Debug)]
pub struct ProcFs {
    pub(crate) root: PathBuf,
}

/// All processes, as far as they could be read.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// What was found.
    pub processes: Vec<ProcessFacts>,
    /// Processes of which something could not be read, mostly for want of permission. Those of which nothing could are
    /// counted here only.
    pub partly_read: usize,
}

impl Default for ProcFs {
    fn default() -> Self {
        Self::new("/proc")
    }
}

impl ProcFs {
    /// The directory at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn path(&self, pid: Pid, file: &str) -> PathBuf {
        self.root.join(pid.to_string()).join(file)
    }

    /// The pids of all processes, in no particular order.
    pub fn pids(&self) -> Result<impl Iterator<Item = Pid> + use<>, Error> {
        let failed = |source| Error::Io { path: self.root.clone(), source };
        let entries = fs::read_dir(&self.root).map_err(failed)?;
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid)))
    }

    /// `/proc/PID/stat`.
    pub fn stat(&self, pid: Pid) -> Result<Stat, Error> {
        let path = self.path(pid, "stat");
        let line = self.read(pid, &path, MAX_STAT_BYTES)?;
        Stat::parse(&line).ok_or(Error::Malformed { path })
    }

    /// `/proc/PID/status`.
    pub fn status(&self, pid: Pid) -> Result<Status, Error> {
        let path = self.path(pid, "status");
        let text = self.read(pid, &path, MAX_STATUS_BYTES)?;
        Status::parse(&text).ok_or(Error::Malformed { path })
    }

    /// The executable's path as the process sees it; `None` for a kernel thread.
    pub fn executable(&self, pid: Pid) -> Result<Option<Box<str>>, Error> {
        match self.read_link(pid, "exe") {
            Err(Error::Gone { .. }) => {}
            found => return found.map(Some),
        }
        // A leader that has left before its threads has no executable any more; they have.
        let tasks = self.path(pid, "task");
        let entries = fs::read_dir(&tasks).map_err(|source| Error::of_read(pid, tasks.clone(), source))?;
        for task in entries.filter_map(Result::ok) {
            let Ok(name) = task.file_name().into_string() else { continue };
            if let Ok(path) = self.read_link(pid, &format!("task/{name}/exe")) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    fn read_link(&self, pid: Pid, file: &str) -> Result<Box<str>, Error> {
        let path = self.path(pid, file);
        let target = fs::read_link(&path).map_err(|source| Error::of_read(pid, path.clone(), source))?;
        let target = target.to_string_lossy();
        Ok(target.strip_suffix(" (deleted)").unwrap_or(&target).into())
    }

    /// Base name of `argv[0]`; `None` if the process has no arguments. Nothing else of the command line is kept.
    pub fn argv0(&self, pid: Pid) -> Result<Option<Box<str>>, Error> {
        let bytes = self.read(pid, &self.path(pid, "cmdline"), MAX_ARGV0_BYTES)?;
        let first = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        let first = String::from_utf8_lossy(first);
        let name = base_name(&first);
        Ok((!name.is_empty()).then(|| name.into()))
    }

    /// The container that a process runs in, if it is in one: `/proc/PID/cgroup`.
    pub fn container(&self, pid: Pid) -> Result<Option<Container>, Error> {
        Ok(parse_container(&self.read(pid, &self.path(pid, "cgroup"), MAX_CGROUP_BYTES)?))
    }

    /// The container that a process runs in, going by one hierarchy of control groups alone.
    pub fn container_in(&self, pid: Pid, hierarchy: u32) -> Result<Option<Container>, Error> {
        let text = self.read(pid, &self.path(pid, "cgroup"), MAX_CGROUP_BYTES)?;
        Ok(parse_container_in(&text, hierarchy))
    }

    /// The first bytes of `/proc/PID/environ`.
    pub(crate) fn environ(&self, pid: Pid, most: u64) -> Result<Vec<u8>, Error> {
        self.read(pid, &self.path(pid, "environ"), most)
    }

    /// The executable mappings of a process. Those of its leader, or of another thread if that has left.
    ///
    /// None are an answer, too: kernel threads have none, nor has a process on its way out.
    pub fn executable_mappings(&self, pid: Pid) -> Result<ParsedMaps, Error> {
        if let Some(parsed) = self.read_maps(pid, &self.path(pid, "maps"))? {
            return Ok(parsed);
        }
        let tasks = self.path(pid, "task");
        let entries = fs::read_dir(&tasks).map_err(|source| Error::of_read(pid, tasks.clone(), source))?;
        for task in entries.filter_map(Result::ok) {
            // A thread that goes meanwhile is one of several to ask.
            if let Ok(Some(parsed)) = self.read_maps(pid, &task.path().join("maps")) {
                return Ok(parsed);
            }
        }
        Ok(ParsedMaps::default())
    }

    /// `None` if the file is empty.
    fn read_maps(&self, pid: Pid, path: &Path) -> Result<Option<ParsedMaps>, Error> {
        let failed = |source| Error::of_read(pid, path.into(), source);
        let file = File::open(path).map_err(failed)?;
        if let Some(parsed) = maps_query::executable(&file) {
            return Ok(Some(parsed));
        }
        let mut file = file.take(MAX_MAPS_BYTES);
        let mut parser = MapsParser::default();
        let mut piece = vec![0; MAPS_PIECE_BYTES];
        let mut is_empty = true;
        loop {
            match file.read(&mut piece) {
                Ok(0) => return Ok((!is_empty).then(|| parser.finish())),
                Ok(length) => {
                    is_empty = false;
                    parser.push(&piece[..length]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// What rules ask of a process. Its start time is that of `stat`, exact to 10 ms only.
    ///
    /// What may not be read is `None`; [`Error::Gone`] if the process has gone, or its pid has been given to another
    /// one, while it was being looked at.
    pub fn facts(&self, pid: Pid) -> Result<ProcessFacts, Error> {
        self.facts_and_denials(pid).map(|(facts, _)| facts)
    }

    fn facts_and_denials(&self, pid: Pid) -> Result<(ProcessFacts, bool), Error> {
        let stat = self.stat(pid)?;
        let kernel_thread = stat.is_kernel_thread();
        let mut denied = false;
        let mut or_denied = |read: Result<Option<Box<str>>, Error>| match read {
            Err(Error::Denied { .. }) => {
                denied = true;
                Ok(None)
            }
            read => read,
        };
        let (executable, argv0) = if kernel_thread {
            (None, None)
        } else {
            (or_denied(self.executable(pid))?, or_denied(self.argv0(pid))?)
        };
        // Not to know of a container is no reason to know nothing.
        let container = if kernel_thread { None } else { self.container(pid).ok().flatten() };
        if self.stat(pid)?.start_ticks != stat.start_ticks {
            return Err(Error::Gone { pid });
        }
        let start = StartTime(stat.start_ticks.saturating_mul(StartTime::TICK_NS));
        let key = ProcessKey { id: ProcessId { pid, start }, generation: Generation::default() };
        let facts = ProcessFacts {
            key,
            parent: Pid(stat.parent),
            kernel_thread,
            comm: stat.comm,
            executable,
            argv0,
            container: container.map(Arc::new),
            pod: PodFacts::InNone,
        };
        Ok((facts, denied))
    }

    /// All processes. Those that go while they are being looked at are left out.
    pub fn scan(&self) -> Result<Scan, Error> {
        let mut scan = Scan::default();
        for pid in self.pids()? {
            match self.facts_and_denials(pid) {
                Ok((facts, denied)) => {
                    scan.partly_read += usize::from(denied);
                    scan.processes.push(facts);
                }
                Err(Error::Gone { .. }) => {}
                Err(_) => scan.partly_read += 1,
            }
        }
        Ok(scan)
    }

    fn read(&self, pid: Pid, path: &Path, most: u64) -> Result<Vec<u8>, Error> {
        let failed = |source| Error::of_read(pid, path.into(), source);
        let mut bytes = Vec::new();
        File::open(path).map_err(failed)?.take(most).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    /// A directory that looks like /proc with one process in it.
    fn fixture(pid: u32, stat: &str, exe: Option<&str>, cmdline: &[u8]) -> (tempfile::TempDir, ProcFs) {
        let root = tempfile::tempdir().unwrap();
        let process = root.path().join(pid.to_string());
        fs::create_dir_all(process.join("task")).unwrap();
        fs::write(process.join("stat"), stat).unwrap();
        fs::write(process.join("cmdline"), cmdline).unwrap();
        if let Some(exe) = exe {
            symlink(exe, process.join("exe")).unwrap();
        }
        let proc = ProcFs::new(root.path());
        (root, proc)
    }

    const STAT: &str = "7 (main thread) S 3 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 1234 1000 200";

    #[test]
    fn facts_are_read_from_the_directory_that_is_given() {
        let (_root, proc) =
            fixture(7, STAT, Some("/opt/a b/java (deleted)"), b"/usr/bin/jvm\0-jar\0secret\0");
        let facts = proc.facts(Pid(7)).unwrap();
        assert_eq!(facts.key.id, ProcessId { pid: Pid(7), start: StartTime(12_340_000_000) });
        assert_eq!(facts.names().collect::<Vec<_>>(), ["main thread", "java", "jvm"]);
        assert_eq!(facts.executable.as_deref(), Some("/opt/a b/java"));
        assert_eq!((facts.parent, facts.kernel_thread), (Pid(3), false));
        assert_eq!(proc.scan().unwrap().processes, [facts]);
    }

    #[test]
    fn the_executable_of_a_process_whose_leader_has_left_is_its_threads() {
        let (root, proc) = fixture(7, STAT, None, b"");
        let task = root.path().join("7/task/8");
        fs::create_dir_all(&task).unwrap();
        symlink("/bin/x", task.join("exe")).unwrap();
        assert_eq!(proc.executable(Pid(7)).unwrap().as_deref(), Some("/bin/x"));
        assert_eq!(proc.argv0(Pid(7)).unwrap(), None);
    }

    #[test]
    fn a_process_that_is_not_there_is_gone() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(ProcFs::new(root.path()).facts(Pid(7)), Err(Error::Gone { pid: Pid(7) })));
    }

    struct Running(Child);

    impl Drop for Running {
        fn drop(&mut self) {
            // It may have ended by itself.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_real_process_with_a_deleted_executable_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("sleep (copy)");
        fs::copy("/bin/sleep", &copy).unwrap();
        let child = Running(Command::new(&copy).arg("60").stdin(Stdio::null()).spawn().unwrap());
        fs::remove_file(&copy).unwrap();
        let proc = ProcFs::default();
        // The parent of a vfork goes on as soon as exec has let go of the old memory, a little before the new
        // arguments are in place.
        let deadline = Instant::now() + Duration::from_secs(5);
        let facts = loop {
            let facts = proc.facts(Pid(child.0.id())).unwrap();
            if facts.argv0.is_some() || Instant::now() > deadline {
                break facts;
            }
        };
        assert_eq!(facts.executable.as_deref(), copy.to_str());
        assert_eq!(facts.argv0.as_deref(), Some("sleep (copy)"));
        assert_eq!(facts.parent, Pid(std::process::id()));
        let maps = proc.executable_mappings(Pid(child.0.id())).unwrap();
        assert!(!maps.mappings.is_empty() && maps.malformed == 0);
    }

    #[test]
    fn this_process_and_kernel_threads_are_found() {
        let scan = ProcFs::default().scan().unwrap();
        let own =
            scan.processes.iter().find(|facts| facts.key.id.pid == Pid(std::process::id())).expect("found");
        assert!(!own.kernel_thread && own.executable.is_some());
    }
}
