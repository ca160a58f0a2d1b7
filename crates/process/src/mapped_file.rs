//! The file behind a mapping, as the process that has mapped it sees it.

use crate::{Backing, Error, Mapping, ProcFs, Root};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, fstat, major, makedev, open};
use rustix::io::Errno;
use std::fs::File;
use std::path::{Path, PathBuf};
use telegen_model::{FileId, Pid};

/// What the file system says of a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FileFacts {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
    /// `st_ctime`, in nanoseconds.
    pub ctime_ns: i64,
    /// `st_size`, in bytes.
    pub size: u64,
}

/// A regular file that a process has mapped, or that lies below its root.
#[derive(Debug)]
pub struct MappedFile {
    /// The open file; it never blocks and does not keep the process alive.
    pub file: File,
    /// What the file system says of it.
    pub facts: FileFacts,
}

impl FileFacts {
    /// The identity of a file that has no build id.
    pub fn file_id(&self) -> FileId {
        FileId::Inode { device: self.device, inode: self.inode, ctime_ns: self.ctime_ns, size: self.size }
    }
}

impl MappedFile {
    /// Opens the file behind a mapping of a process.
    ///
    /// First by `/proc/PID/map_files`, which is the very file, deleted or covered by another mount or not, but needs
    /// CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN; else by its path below the process's own root, if inode and device
    /// are those of the mapping.
    ///
    /// Only regular files are opened: what else there may be is looked at without opening it, which would be an event
    /// for a device or a pipe.
    pub fn open(proc: &ProcFs, pid: Pid, mapping: &Mapping) -> Result<Self, Error> {
        Found::of_mapping(proc, pid, mapping)?.open(pid)
    }
}

/// A mapped file's device and inode as `maps` shows them.
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Whether what is mapped at the range can be this file. File systems that lie over others, or over several
    /// devices, show another device in `maps` than `stat` does; their inodes cannot be compared.
    fn allows(&self, facts: &FileFacts) -> bool {
        facts.device != self.device || facts.inode == self.inode
    }

    /// Whether what has been found at the path is this file. Such file systems have no device of their own, major 0;
    /// there the inode has to do.
    fn is_proven_by(&self, facts: &FileFacts) -> bool {
        let same_device = facts.device == self.device || major(self.device) == 0 || major(facts.device) == 0;
        facts.inode == self.inode && same_device
    }
}

/// A regular file that has been found, but not opened.
pub(crate) struct Found {
    fd: OwnedFd,
    path: PathBuf,
    pub(crate) facts: FileFacts,
    /// `st_nlink`: how many names it has.
    pub(crate) links: u64,
    /// `st_uid`.
    pub(crate) owner: u32,
}

impl Found {
    /// Finds the file behind a mapping, as [`MappedFile::open`] says.
    pub(crate) fn of_mapping(proc: &ProcFs, pid: Pid, mapping: &Mapping) -> Result<Self, Error> {
        let Backing::File { path, device, inode, .. } = &mapping.backing else {
            let name = mapping.backing.name().unwrap_or("[anonymous]");
            return Err(Error::NotRegular { path: name.into() });
        };
        let identity = Identity { device: makedev(device.0, device.1), inode: *inode };
        match Self::by_range(proc, pid, mapping) {
            Ok(found) if identity.allows(&found.facts) => return Ok(found),
            Err(error @ Error::NotRegular { .. }) => return Err(error),
            // Not permitted, or something else is mapped there by now: the path may still do.
            Ok(_) | Err(_) => {}
        }
        let found = Self::below_root(proc, pid, Path::new(&**path))?;
        if identity.is_proven_by(&found.facts) {
            Ok(found)
        } else {
            Err(Error::OtherFile { pid, path: PathBuf::from(&**path) })
        }
    }

    fn by_range(proc: &ProcFs, pid: Pid, mapping: &Mapping) -> Result<Self, Error> {
        let path = proc.path(pid, &format!("map_files/{:x}-{:x}", mapping.start, mapping.end));
        Self::new(open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()), path, pid)
    }

    /// Finds a path as a process sees it; links are followed within its root only.
    pub(crate) fn below_root(proc: &ProcFs, pid: Pid, path: &Path) -> Result<Self, Error> {
        Root::of_process(proc, pid)?.find(path, OFlags::empty())
    }

    /// The same, but what is a link itself is refused as not regular.
    pub(crate) fn below_root_no_link(proc: &ProcFs, pid: Pid, path: &Path) -> Result<Self, Error> {
        Root::of_process(proc, pid)?.find(path, OFlags::NOFOLLOW)
    }

    pub(crate) fn new(found: Result<OwnedFd, Errno>, path: PathBuf, pid: Pid) -> Result<Self, Error> {
        let failed = |error: Errno| Error::of_read(pid, path.clone(), error.into());
        let fd = found.map_err(failed)?;
        let stat = fstat(&fd).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::NotRegular { path });
        }
        let facts = FileFacts {
            device: stat.st_dev,
            inode: stat.st_ino,
            ctime_ns: stat.st_ctime.wrapping_mul(1_000_000_000).wrapping_add(stat.st_ctime_nsec as i64),
            size: u64::try_from(stat.st_size).unwrap_or(0),
        };
        Ok(Self { fd, path, facts, links: stat.st_nlink as u64, owner: stat.st_uid })
    }

    /// Opens the file itself: no name is looked up again.
    pub(crate) fn open(self, pid: Pid) -> Result<MappedFile, Error> {
        let own = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = open(own, flags, Mode::empty());
        let fd = fd.map_err(|error| Error::of_read(pid, self.path, error.into()))?;
        Ok(MappedFile { file: File::from(fd), facts: self.facts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_executable;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::process::{Command, Stdio};

    fn own_mapping(of: &str) -> Mapping {
        let text = std::fs::read("/proc/self/maps").unwrap();
        let found = parse_executable(&text).mappings.into_iter().find(|mapping| match &mapping.backing {
            Backing::File { path, .. } => path.contains(of),
            _ => false,
        });
        found.expect("mapped")
    }

    #[test]
    fn the_file_behind_a_mapping_of_this_process_is_found() {
        let mapping = own_mapping("libc.so");
        let Backing::File { path, .. } = &mapping.backing else { unreachable!() };
        let found = MappedFile::open(&ProcFs::default(), Pid(std::process::id()), &mapping).unwrap();
        assert_eq!(found.facts.inode, std::fs::metadata(&**path).unwrap().ino());
    }

    #[test]
    fn another_file_at_the_same_path_is_not_taken_for_it() {
        let mut mapping = own_mapping("libc.so");
        // A range that map_files does not have, so the path is tried; and an inode that is another's.
        (mapping.start, mapping.end) = (0x10, 0x20);
        if let Backing::File { inode, .. } = &mut mapping.backing {
            *inode += 1;
        }
        let refused = MappedFile::open(&ProcFs::default(), Pid(std::process::id()), &mapping);
        assert!(matches!(refused, Err(Error::OtherFile { .. })), "{refused:?}");
    }

    #[test]
    fn pipes_and_links_out_of_the_root_are_refused() {
        let proc = tempfile::tempdir().unwrap();
        let root = proc.path().join("7/root");
        std::fs::create_dir_all(&root).unwrap();
        assert!(
            Command::new("mkfifo").arg(root.join("pipe")).stdin(Stdio::null()).status().unwrap().success()
        );
        symlink("/etc/passwd", root.join("out")).unwrap();
        let proc = ProcFs::new(proc.path());
        let open = |path: &str| {
            let backing = Backing::File { path: path.into(), deleted: false, device: (0, 0), inode: 1 };
            MappedFile::open(&proc, Pid(7), &Mapping { start: 1, end: 2, offset: 0, backing })
        };
        assert!(matches!(open("/pipe"), Err(Error::NotRegular { .. })));
        // Within the process's root there is no /etc/passwd.
        assert!(matches!(open("/out"), Err(Error::OtherFile { .. })));
        std::fs::create_dir(root.join("directory")).unwrap();
        assert!(matches!(open("/directory"), Err(Error::NotRegular { .. })));
        std::fs::write(root.join("file"), "x").unwrap();
        assert!(matches!(open("/../file"), Err(Error::OtherFile { .. })), "the root has nothing above it");
    }
}
