//! The jitdump file of a process: where its just-in-time compiler writes what it has compiled.

use crate::mapped_file::Found;
use crate::{Backing, Error, Mapping, ProcFs, trust};
use std::fs::File;
use std::path::Path;
use telegen_model::{Pid, base_name};

/// A file `jit-PID.dump`, in whatever directory. Whoever writes one maps its first page executable, so that it shows
/// among the mappings.
///
/// The format stands in tools/perf/Documentation/jitdump-specification.txt of the kernel.
#[derive(Debug)]
pub struct JitDumpFile {
    /// The open file; it never blocks and does not keep the process alive.
    pub file: File,
    /// `st_dev` and `st_ino`.
    pub identity: (u64, u64),
    /// Whether it is named for the process, and not for one that it was forked from.
    pub is_own: bool,
}

impl JitDumpFile {
    /// Whether a mapping is the mark of such a file.
    pub fn is_marked_by(mapping: &Mapping) -> bool {
        pid_in_name(mapping).is_some()
    }

    /// Opens the file behind a mapping that is the mark of one.
    ///
    /// Who makes it may be fooled by others that may write to its directory. So it must be a regular file with no other
    /// name, and belong to the process's effective user or to root, as a [`PerfMapFile`] must.
    ///
    /// [`PerfMapFile`]: crate::PerfMapFile
    pub fn open(proc: &ProcFs, pid: Pid, mapping: &Mapping) -> Result<Self, Error> {
        let status = proc.status(pid)?;
        let found = Found::of_mapping(proc, pid, mapping)?;
        trust::check(Path::new(mapping.backing.name().unwrap_or_default()), &found, &status)?;
        let identity = (found.facts.device, found.facts.inode);
        let is_own = pid_in_name(mapping) == Some(status.innermost_pid);
        Ok(Self { file: found.open(pid)?.file, identity, is_own })
    }
}

fn pid_in_name(mapping: &Mapping) -> Option<u32> {
    let Backing::File { path, .. } = &mapping.backing else { return None };
    base_name(path).strip_prefix("jit-")?.strip_suffix(".dump")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    /// Process 7, which is process 3 in its own namespace and belongs to the user `uid`, and a file in its root.
    struct Fixture {
        directory: tempfile::TempDir,
        inode: u64,
    }

    impl Fixture {
        fn new(uid: u32) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let root = directory.path().join("7/root/home");
            fs::create_dir_all(&root).unwrap();
            let status = format!("Name:\tx\nUid:\t1\t{uid}\t1\t1\nNSpid:\t7\t3\n");
            fs::write(directory.path().join("7/status"), status).unwrap();
            fs::write(root.join("jit-3.dump"), "JiTD").unwrap();
            let inode = fs::metadata(root.join("jit-3.dump")).unwrap().ino();
            Self { directory, inode }
        }

        fn open(&self, name: &str) -> Result<JitDumpFile, Error> {
            let mapping = self.mapping(name);
            JitDumpFile::open(&ProcFs::new(self.directory.path()), Pid(7), &mapping)
        }

        fn mapping(&self, name: &str) -> Mapping {
            let backing = Backing::File {
                path: format!("/home/{name}").into(),
                deleted: false,
                device: (0, 9),
                inode: self.inode,
            };
            Mapping { start: 0x1000, end: 0x2000, offset: 0, backing }
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            self.directory.path().join("7/root/home").join(name)
        }
    }

    fn own_uid() -> u32 {
        tempfile::tempfile().unwrap().metadata().unwrap().uid()
    }

    #[test]
    fn a_mark_is_known_by_its_name() {
        let fixture = Fixture::new(own_uid());
        for name in ["jit-3.dump", "jit-4294967295.dump"] {
            assert!(JitDumpFile::is_marked_by(&fixture.mapping(name)), "{name}");
        }
        for name in ["jit-.dump", "jit-3.dump.x", "jit-x.dump", "xjit-3.dump", "jit-3"] {
            assert!(!JitDumpFile::is_marked_by(&fixture.mapping(name)), "{name}");
        }
        let anonymous = Mapping { backing: Backing::Named("jit-3.dump".into()), ..fixture.mapping("x") };
        assert!(!JitDumpFile::is_marked_by(&anonymous));
    }

    #[test]
    fn it_is_opened_as_the_process_sees_it() {
        let fixture = Fixture::new(own_uid());
        let found = fixture.open("jit-3.dump").unwrap();
        assert!(found.is_own && found.identity.1 == fixture.inode);
        assert_eq!(std::io::read_to_string(found.file).unwrap(), "JiTD");
        fs::rename(fixture.path("jit-3.dump"), fixture.path("jit-4.dump")).unwrap();
        assert!(!fixture.open("jit-4.dump").unwrap().is_own);
        fs::write(fixture.path("jit-3.dump"), "another file").unwrap();
        assert!(matches!(fixture.open("jit-3.dump"), Err(Error::OtherFile { .. })));
        symlink("/etc/passwd", fixture.path("jit-5.dump")).unwrap();
        assert!(fixture.open("jit-5.dump").is_err());
    }

    #[test]
    fn what_may_be_anothers_is_refused() {
        let fixture = Fixture::new(own_uid());
        fs::hard_link(fixture.path("jit-3.dump"), fixture.path("other")).unwrap();
        assert!(matches!(fixture.open("jit-3.dump"), Err(Error::Untrusted { .. })));
        let of_another = Fixture::new(own_uid() + 1).open("jit-3.dump");
        match of_another {
            Ok(_) => assert_eq!(own_uid(), 0),
            Err(Error::Untrusted { .. }) => assert_ne!(own_uid(), 0),
            other => panic!("{other:?}"),
        }
    }
}
