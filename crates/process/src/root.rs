//! The root directory of a process, and files below it.

use crate::mapped_file::Found;
use crate::{Error, MappedFile, ProcFs};
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, Mode, OFlags, ResolveFlags, StatxFlags, makedev, open, openat2, readlinkat, statx,
};
use rustix::io::Errno;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use telegen_model::Pid;

/// The root directory of a process. It can be searched when the process has gone, whose mounts it keeps until then.
///
/// No path leads out of it, whatever links there are: they are followed as the process itself would.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    pid: Pid,
    identity: RootIdentity,
}

/// What is equal for roots that have the same files below them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RootIdentity {
    device: u64,
    inode: u64,
    /// Each mount namespace has mounts of its own; 0 before Linux 5.8, which does not tell.
    mount: u64,
}

impl Root {
    /// The root of a process.
    ///
    /// # Errors
    ///
    /// If the process is gone, or may not be looked at.
    pub fn of_process(proc: &ProcFs, pid: Pid) -> Result<Self, Error> {
        let path = proc.path(pid, "root");
        let failed = |error: Errno| Error::of_read(pid, path.clone(), error.into());
        let fd =
            open(&path, OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY, Mode::empty()).map_err(failed)?;
        let wanted = StatxFlags::INO | StatxFlags::MNT_ID;
        let stat = statx(&fd, "", AtFlags::EMPTY_PATH, wanted).map_err(failed)?;
        let told = StatxFlags::from_bits_retain(stat.stx_mask);
        let identity = RootIdentity {
            device: makedev(stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            mount: if told.contains(StatxFlags::MNT_ID) { stat.stx_mnt_id } else { 0 },
        };
        Ok(Self { fd, pid, identity })
    }

    /// What tells it from other roots.
    pub fn identity(&self) -> RootIdentity {
        self.identity
    }

    /// Opens a regular file; `None` if there is nothing at the path. All else is looked at without opening it.
    ///
    /// # Errors
    ///
    /// [`Error::NotRegular`] for what must not be opened, and whatever else keeps it from being opened.
    pub fn open(&self, path: &Path) -> Result<Option<MappedFile>, Error> {
        match self.find(path, OFlags::empty()) {
            Ok(found) => found.open(self.pid).map(Some),
            Err(Error::OtherFile { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where a link leads; `None` if there is no link at the path.
    pub fn link_target(&self, path: &Path) -> Option<PathBuf> {
        let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let link = openat2(&self.fd, path, flags, Mode::empty(), WITHIN).ok()?;
        let target = readlinkat(link, "", Vec::new()).ok()?;
        Some(OsString::from_vec(target.into_bytes()).into())
    }

    pub(crate) fn find(&self, path: &Path, flags: OFlags) -> Result<Found, Error> {
        let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
        match openat2(&self.fd, path, flags, Mode::empty(), WITHIN) {
            // The process's root is there, the file is not.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG) => {
                Err(Error::OtherFile { pid: self.pid, path: path.into() })
            }
            found => Found::new(found, path.into(), self.pid),
        }
    }
}

const WITHIN: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::process::{Command, Stdio};
    use std::time::Instant;

    fn fixture() -> (tempfile::TempDir, Root) {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir_all(proc.path().join("7/root/lib")).unwrap();
        let root = Root::of_process(&ProcFs::new(proc.path()), Pid(7)).unwrap();
        (proc, root)
    }

    #[test]
    fn files_are_found_when_the_process_has_gone() {
        let (proc, root) = fixture();
        fs::write(proc.path().join("7/root/lib/a"), "a").unwrap();
        fs::rename(proc.path().join("7"), proc.path().join("8")).unwrap();
        for path in ["/lib/a", "lib/a", "/lib/../../../lib/a"] {
            let found = root.open(Path::new(path)).unwrap().expect(path);
            assert_eq!(std::io::read_to_string(found.file).unwrap(), "a");
        }
        assert!(root.open(Path::new("/lib/b")).unwrap().is_none());
        assert!(root.open(Path::new("/lib/a/b")).unwrap().is_none());
        assert!(root.open(&Path::new("/").join("n".repeat(300))).unwrap().is_none());
    }

    #[test]
    fn links_are_followed_within_and_told() {
        let (proc, root) = fixture();
        let below = proc.path().join("7/root");
        fs::write(below.join("lib/a"), "a").unwrap();
        symlink("/lib/a", below.join("absolute")).unwrap();
        symlink("/etc/passwd", below.join("out")).unwrap();
        symlink("../../../../../../etc/passwd", below.join("up")).unwrap();
        symlink("round", below.join("round")).unwrap();
        let found = root.open(Path::new("/absolute")).unwrap().expect("a link within");
        assert_eq!(std::io::read_to_string(found.file).unwrap(), "a");
        for path in ["/out", "/up", "/round"] {
            assert!(root.open(Path::new(path)).unwrap().is_none(), "{path}");
        }
        assert_eq!(root.link_target(Path::new("/out")), Some("/etc/passwd".into()));
        assert_eq!(root.link_target(Path::new("/lib/a")), None);
        assert_eq!(root.link_target(Path::new("/nothing")), None);
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let (proc, root) = fixture();
        let pipe = proc.path().join("7/root/pipe");
        assert!(Command::new("mkfifo").arg(&pipe).stdin(Stdio::null()).status().unwrap().success());
        let before = Instant::now();
        assert!(matches!(root.open(Path::new("/pipe")), Err(Error::NotRegular { .. })));
        assert!(matches!(root.open(Path::new("/lib")), Err(Error::NotRegular { .. })));
        assert!(before.elapsed().as_secs() < 1);
    }

    #[test]
    fn the_roots_of_processes_that_see_the_same_are_equal() {
        let own = Pid(std::process::id());
        let root = || Root::of_process(&ProcFs::default(), own).unwrap();
        assert_eq!(root().identity(), root().identity());
        assert_ne!(root().identity(), fixture().1.identity());
        let gone = Root::of_process(&ProcFs::new("/nowhere"), own);
        assert!(matches!(gone, Err(Error::Gone { .. })), "{gone:?}");
    }
}
