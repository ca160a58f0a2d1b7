//! Where debug files may be.

use crate::alt_link::AltLink;
use crate::debug_link::DebugLink;
use std::path::{Path, PathBuf};
use telegen_model::BuildId;
use telegen_process::Root;

/// Where distributions put debug files.
const GLOBAL: &str = "/usr/lib/debug";

/// Where the debug file of a binary may be: by its build id, then where GDB looks by its name.
pub(crate) fn paths_of_main(binary: &Path, id: Option<&BuildId>, link: Option<&DebugLink>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = id.and_then(by_build_id).into_iter().collect();
    if let (Some(link), Some(directory)) = (link, binary.parent()) {
        let below_root = directory.strip_prefix("/").unwrap_or(directory);
        paths.push(directory.join(&link.name));
        paths.push(directory.join(".debug").join(&link.name));
        paths.push(Path::new(GLOBAL).join(below_root).join(&link.name));
    }
    paths
}

/// Where the supplementary file may be of a file that was found at a path: where that says, also if it was found by a
/// link to where it is; then by its build id, and where distributions put such files.
pub(crate) fn paths_of_supplementary(root: &Root, from: &Path, link: &AltLink) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    if link.path.is_absolute() {
        paths.push(link.path.clone());
    } else if let Some(directory) = from.parent() {
        paths.push(directory.join(&link.path));
        let led_to = root.link_target(from).map(|target| directory.join(target));
        paths.extend(led_to.as_ref().and_then(|led_to| Some(led_to.parent()?.join(&link.path))));
    }
    paths.extend(by_build_id(&link.build_id));
    let usual = link.path.file_name().map(|name| Path::new(GLOBAL).join(".dwz").join(name));
    paths.extend(usual.filter(|usual| !paths.contains(usual)));
    paths
}

/// `/usr/lib/debug/.build-id/xx/yyyy.debug`
fn by_build_id(id: &BuildId) -> Option<PathBuf> {
    let id = id.to_string();
    let (first, rest) = id.split_at_checked(2)?;
    (!rest.is_empty()).then(|| format!("{GLOBAL}/.build-id/{first}/{rest}.debug").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use telegen_model::Pid;
    use telegen_process::ProcFs;

    fn id(bytes: &[u8]) -> BuildId {
        BuildId::new(bytes).expect("an id")
    }

    #[test]
    fn debug_files_are_sought_where_gdb_seeks_them() {
        let link = DebugLink { name: "cat.debug".into(), crc: 7 };
        let found = paths_of_main(Path::new("/usr/bin/cat"), Some(&id(&[0xab, 0xcd, 1])), Some(&link));
        let expected = [
            "/usr/lib/debug/.build-id/ab/cd01.debug",
            "/usr/bin/cat.debug",
            "/usr/bin/.debug/cat.debug",
            "/usr/lib/debug/usr/bin/cat.debug",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
        assert_eq!(paths_of_main(Path::new("/usr/bin/cat"), None, Some(&link)), found[1..]);
        assert!(paths_of_main(Path::new("/cat"), Some(&id(&[0xab])), None).is_empty());
        assert_eq!(paths_of_main(Path::new("cat"), None, Some(&link))[0], Path::new("cat.debug"));
    }

    #[test]
    fn supplementary_files_are_sought_from_where_the_file_is_and_where_it_was_found() {
        let proc = tempfile::tempdir().unwrap();
        let below = proc.path().join("7/root/usr/lib/debug/.build-id/ab");
        fs::create_dir_all(&below).unwrap();
        symlink("../../usr/bin/cat.debug", below.join("cd.debug")).unwrap();
        let root = Root::of_process(&ProcFs::new(proc.path()), Pid(7)).unwrap();
        let link = AltLink { path: "../../.dwz/common".into(), build_id: id(&[1, 2]) };
        let found = paths_of_supplementary(&root, Path::new("/usr/lib/debug/.build-id/ab/cd.debug"), &link);
        let expected = [
            "/usr/lib/debug/.build-id/ab/../../.dwz/common",
            "/usr/lib/debug/.build-id/ab/../../usr/bin/../../.dwz/common",
            "/usr/lib/debug/.build-id/01/02.debug",
            "/usr/lib/debug/.dwz/common",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
        let absolute = AltLink { path: "/usr/lib/debug/.dwz/x/common".into(), ..link };
        let found = paths_of_supplementary(&root, Path::new("/usr/bin/cat"), &absolute);
        assert_eq!((&*found[0], found.len()), (Path::new("/usr/lib/debug/.dwz/x/common"), 3));
    }
}
