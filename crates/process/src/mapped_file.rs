//! The file behind a mapping, as the process that has mapped it sees it.

use crate::{Backing, Error, Mapping, ProcFs};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};
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

/// A regular file that a process has mapped.
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

/// Never the controlling terminal, never waiting for the other end of a pipe.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl MappedFile {
    /// Opens the file behind a mapping of a process.
    ///
    /// First by `/proc/PID/map_files`, which is the very file, deleted or covered by another mount or not, but needs
    /// CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN; else by its path below the process's own root, if inode and device
    /// are those of the mapping.
    pub fn open(proc: &ProcFs, pid: Pid, mapping: &Mapping) -> Result<Self, Error> {
        let Backing::File { path, device, inode, .. } = &mapping.backing else {
            return Err(Error::NotRegular { path: PathBuf::from(format!("{:?}", mapping.backing)) });
        };
        let by_range = proc.path(pid, &format!("map_files/{:x}-{:x}", mapping.start, mapping.end));
        match regular(open(&by_range, FLAGS, Mode::empty()), &by_range, pid) {
            Ok(file) => return Ok(file),
            Err(Error::NotRegular { path }) => return Err(Error::NotRegular { path }),
            // Not permitted, or no such mapping any more: the path may still do.
            Err(_) => {}
        }
        let found = Self::open_below_root(proc, pid, Path::new(&**path))?;
        // File systems with several devices of their own, such as btrfs, show another device in maps than stat does;
        // there the inode has to do.
        let same_device = found.facts.device == rustix::fs::makedev(device.0, device.1) || device.0 == 0;
        if found.facts.inode != *inode || !same_device {
            return Err(Error::OtherFile { pid, path: PathBuf::from(&**path) });
        }
        Ok(found)
    }

    /// Opens a path as a process sees it; links are followed within its root only.
    fn open_below_root(proc: &ProcFs, pid: Pid, path: &Path) -> Result<Self, Error> {
        let root_path = proc.path(pid, "root");
        let root = open(&root_path, OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY, Mode::empty())
            .map_err(|error| Error::of_read(pid, root_path.clone(), error.into()))?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        regular(openat2(&root, path, FLAGS, Mode::empty(), resolve), path, pid)
    }
}

fn regular(opened: Result<rustix::fd::OwnedFd, Errno>, path: &Path, pid: Pid) -> Result<MappedFile, Error> {
    let failed = |error: Errno| Error::of_read(pid, path.into(), error.into());
    let fd = opened.map_err(failed)?;
    let stat = fstat(&fd).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Error::NotRegular { path: path.into() });
    }
    let facts = FileFacts {
        device: stat.st_dev,
        inode: stat.st_ino,
        ctime_ns: stat.st_ctime.wrapping_mul(1_000_000_000).wrapping_add(stat.st_ctime_nsec as i64),
        size: u64::try_from(stat.st_size).unwrap_or(0),
    };
    Ok(MappedFile { file: File::from(fd), facts })
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
        assert!(matches!(open("/out"), Err(Error::Gone { .. })));
    }
}
