//! The perf map of a process: where its just-in-time compiler writes what it has compiled.

use crate::mapped_file::Found;
use crate::{Error, ProcFs, trust};
use std::fs::File;
use std::path::Path;
use telegen_model::Pid;

/// `/tmp/perf-PID.map` of a process, in the process's own root and by its own idea of its pid.
///
/// The format stands in tools/perf/Documentation/jit-interface.txt of the kernel.
#[derive(Debug)]
pub struct PerfMapFile {
    /// The open file; it never blocks and does not keep the process alive.
    pub file: File,
    /// `st_dev` and `st_ino`: another pair is another file under the same name.
    pub identity: (u64, u64),
}

impl PerfMapFile {
    /// Opens the perf map of a process; `None` if it has none.
    ///
    /// Everybody may write to /tmp. So it must be a regular file, not a link to one, with no other name, and belong to
    /// the process's effective user or to root; all else is [`Error::Untrusted`] or [`Error::NotRegular`]. What there
    /// is is looked at without opening it.
    pub fn open(proc: &ProcFs, pid: Pid) -> Result<Option<Self>, Error> {
        let status = proc.status(pid)?;
        let path = format!("/tmp/perf-{}.map", status.innermost_pid);
        let found = match Found::below_root_no_link(proc, pid, Path::new(&path)) {
            Ok(found) => found,
            Err(Error::OtherFile { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        trust::check(Path::new(&path), &found, &status)?;
        let identity = (found.facts.device, found.facts.inode);
        Ok(Some(Self { file: found.open(pid)?.file, identity }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::PathBuf;
    use std::process::{Command, Stdio};
    use std::time::Instant;

    struct Fixture {
        directory: tempfile::TempDir,
    }

    impl Fixture {
        /// Process 7, which is process 3 in its own namespace and belongs to the user `uid`.
        fn new(uid: u32) -> Self {
            let directory = tempfile::tempdir().unwrap();
            fs::create_dir_all(directory.path().join("7/root/tmp")).unwrap();
            let status = format!("Name:\tx\nUid:\t1\t{uid}\t1\t1\nNSpid:\t7\t3\n");
            fs::write(directory.path().join("7/status"), status).unwrap();
            Self { directory }
        }

        fn of_this_user() -> Self {
            let own = tempfile::tempfile().unwrap().metadata().unwrap().uid();
            Self::new(own)
        }

        fn map(&self) -> PathBuf {
            self.directory.path().join("7/root/tmp/perf-3.map")
        }

        fn open(&self) -> Result<Option<PerfMapFile>, Error> {
            PerfMapFile::open(&ProcFs::new(self.directory.path()), Pid(7))
        }
    }

    #[test]
    fn it_is_found_by_the_innermost_pid() {
        let fixture = Fixture::of_this_user();
        assert!(fixture.open().unwrap().is_none());
        fs::write(fixture.map().with_file_name("perf-7.map"), "another's").unwrap();
        assert!(fixture.open().unwrap().is_none());
        fs::write(fixture.map(), "10 1 a\n").unwrap();
        let found = fixture.open().unwrap().expect("it is there");
        let metadata = fs::metadata(fixture.map()).unwrap();
        assert_eq!(found.identity, (metadata.dev(), metadata.ino()));
        assert_eq!(std::io::read_to_string(found.file).unwrap(), "10 1 a\n");
    }

    #[test]
    fn links_are_refused() {
        let fixture = Fixture::of_this_user();
        let other = fixture.map().with_file_name("other");
        fs::write(&other, "10 1 a\n").unwrap();
        symlink("other", fixture.map()).unwrap();
        assert!(matches!(fixture.open(), Err(Error::NotRegular { .. })));
        fs::remove_file(fixture.map()).unwrap();
        fs::hard_link(&other, fixture.map()).unwrap();
        assert!(matches!(fixture.open(), Err(Error::Untrusted { .. })));
        fs::remove_file(&other).unwrap();
        assert!(fixture.open().unwrap().is_some(), "the link that is left is its only name");
    }

    #[test]
    fn pipes_and_directories_are_refused_without_waiting() {
        let fixture = Fixture::of_this_user();
        let made = Command::new("mkfifo").arg(fixture.map()).stdin(Stdio::null()).status().unwrap();
        assert!(made.success());
        let before = Instant::now();
        assert!(matches!(fixture.open(), Err(Error::NotRegular { .. })));
        assert!(before.elapsed().as_secs() < 1);
        fs::remove_file(fixture.map()).unwrap();
        fs::create_dir(fixture.map()).unwrap();
        assert!(matches!(fixture.open(), Err(Error::NotRegular { .. })));
    }

    #[test]
    fn a_file_of_another_user_is_refused_unless_that_is_root() {
        let own = tempfile::tempfile().unwrap().metadata().unwrap().uid();
        let fixture = Fixture::new(own + 1);
        fs::write(fixture.map(), "10 1 a\n").unwrap();
        match fixture.open() {
            Ok(Some(_)) => assert_eq!(own, 0),
            Err(Error::Untrusted { .. }) => assert_ne!(own, 0),
            other => panic!("{other:?}"),
        }
        if own == 0 {
            std::os::unix::fs::chown(fixture.map(), Some(4711), None).unwrap();
            assert!(matches!(fixture.open(), Err(Error::Untrusted { .. })));
        }
    }
}
