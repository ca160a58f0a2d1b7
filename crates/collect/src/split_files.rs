//! The way to debug information that compilers have split off from a binary.

use std::fs::File;
use std::path::Path;
use telegen_model::Pid;
use telegen_process::{ProcFs, Root, RootIdentity};
use telegen_symbolize::SplitFiles;

/// Files below the root of the process that was first seen to run a binary.
///
/// The root is opened anew each time, so that nobody else's file system is kept from being unmounted, and must be the
/// one that it was.
#[derive(Debug)]
pub(crate) struct SplitFilesBelowRoot {
    proc: ProcFs,
    pid: Pid,
    root: RootIdentity,
    /// Of the binary, as the process sees it.
    path: Box<str>,
}

impl SplitFilesBelowRoot {
    pub(crate) fn new(proc: &ProcFs, pid: Pid, root: RootIdentity, path: &str) -> Self {
        Self { proc: proc.clone(), pid, root, path: path.into() }
    }

    /// Opens a regular file.
    fn open(&self, path: &Path) -> Option<File> {
        let root = Root::of_process(&self.proc, self.pid).ok().filter(|root| root.identity() == self.root)?;
        Some(root.open(path).ok()??.file)
    }
}

impl SplitFiles for SplitFilesBelowRoot {
    fn package(&self) -> Option<File> {
        self.open(Path::new(&format!("{}.dwp", self.path)))
    }

    fn object(&self, path: &Path) -> Option<File> {
        self.open(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_regular_files_below_the_same_root_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("7/root");
        fs::create_dir_all(root.join("build/sub")).unwrap();
        fs::write(root.join("build/a.dwo"), "a").unwrap();
        fs::write(root.join("build/program.dwp"), "package").unwrap();
        symlink("/etc/passwd", root.join("build/out.dwo")).unwrap();
        let proc = ProcFs::new(directory.path());
        let identity = Root::of_process(&proc, Pid(7)).unwrap().identity();
        let files = SplitFilesBelowRoot::new(&proc, Pid(7), identity, "/build/program");
        let text = |file: Option<File>| file.map(|file| std::io::read_to_string(file).unwrap());
        assert_eq!(text(files.object(Path::new("/build/a.dwo"))).as_deref(), Some("a"));
        assert_eq!(text(files.package()).as_deref(), Some("package"));
        for none in ["/build/out.dwo", "/build/sub", "/build/b.dwo", "/../../../../etc/passwd"] {
            assert!(files.object(Path::new(none)).is_none(), "{none}");
        }
        fs::rename(&root, directory.path().join("7/other")).unwrap();
        fs::create_dir_all(root.join("build")).unwrap();
        fs::write(root.join("build/a.dwo"), "another's").unwrap();
        assert!(files.object(Path::new("/build/a.dwo")).is_none(), "the pid is another process's by now");
    }
}
