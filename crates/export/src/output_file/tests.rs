use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use tempfile::TempDir;

fn write(path: &Path, existing: Existing, text: &str) -> Result<u64, Error> {
    OutputFile::prepare(path, existing)?.write(|writer| writer.write_all(text.as_bytes()))
}

fn names(directory: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_new_file_is_written_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    assert_eq!(write(&path, Existing::Keep, "hello").unwrap(), 5);
    assert_eq!(fs::read_to_string(&path).unwrap(), "hello");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o133,
        0,
        "neither written nor run by others"
    );
    assert_eq!(names(&directory), ["a"]);
}

#[test]
fn a_file_that_exists_is_replaced_only_if_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    fs::write(&path, "precious").unwrap();
    assert!(matches!(write(&path, Existing::Keep, "new"), Err(Error::Exists { path: p }) if p == path));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    write(&path, Existing::Replace, "new").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(names(&directory), ["a"]);
}

#[test]
fn a_file_that_appears_meanwhile_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    let output = OutputFile::prepare(&path, Existing::Keep).unwrap();
    let written = output.write(|writer| {
        fs::write(&path, "precious")?;
        writer.write_all(b"new")
    });
    assert!(matches!(written, Err(Error::Exists { .. })), "{written:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    assert_eq!(names(&directory), ["a"]);
}

/// The last step by itself: it must not replace even what has come after all looking.
#[test]
fn giving_the_name_does_not_replace() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a"), "precious").unwrap();
    let fd = open_directory(&directory.path().join("a")).unwrap();
    let (temporary, _file) = Temporary::create(&fd, Mode::from_raw_mode(0o600)).unwrap();
    assert_eq!(names(&directory).len(), 2);
    assert!(names(&directory).iter().any(|name| is_temporary_name(name)));
    let error = temporary.give_name(OsStr::new("a"), Existing::Keep).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(directory.path().join("a")).unwrap(), "precious");
    assert_eq!(names(&directory), ["a"]);
}

#[test]
fn what_is_no_file_name_is_said_beforehand() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("there")).unwrap();
    for path in ["", "/", "..", "there", "there/", "new/", "there/..", "there/."] {
        let path = if path.is_empty() { PathBuf::new() } else { directory.path().join(path) };
        for existing in [Existing::Keep, Existing::Replace] {
            let refused = OutputFile::prepare(&path, existing);
            assert!(matches!(refused, Err(Error::NotAFileName { .. })), "{path:?}: {refused:?}");
        }
    }
}

#[test]
fn a_missing_directory_is_named_and_not_made() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    for parent in ["nowhere", "file"] {
        let path = directory.path().join(parent).join("a");
        let refused = OutputFile::prepare(&path, Existing::Keep).unwrap_err();
        assert!(
            matches!(&refused, Error::NoDirectory { directory: d, .. } if d.ends_with(parent)),
            "{refused:?}"
        );
        assert!(refused.to_string().contains(parent));
    }
    assert_eq!(names(&directory), ["file"]);
}

#[test]
fn links_and_devices_are_not_replaced_and_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("link");
    let victim = directory.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, &link).unwrap();
    assert!(matches!(write(&link, Existing::Keep, "new"), Err(Error::Exists { .. })));
    assert!(matches!(write(&link, Existing::Replace, "new"), Err(Error::NotRegular { .. })));
    fs::remove_file(&victim).unwrap();
    // A dangling link is something, too.
    assert!(matches!(write(&link, Existing::Keep, "new"), Err(Error::Exists { .. })));
    let null = OutputFile::prepare("/dev/null", Existing::Replace);
    assert!(matches!(null, Err(Error::NotRegular { .. })), "{null:?}");
    assert_eq!(names(&directory), ["link"]);
}

#[test]
fn a_failed_write_leaves_nothing_behind_and_the_old_file_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    fs::write(&path, "precious").unwrap();
    let full = |writer: &mut dyn Write| {
        writer.write_all(&[0; 1 << 17])?;
        Err(Errno::NOSPC.into())
    };
    let written = OutputFile::prepare(&path, Existing::Replace).unwrap().write(full).unwrap_err();
    assert!(matches!(written, Error::DiskFull { .. }), "{written:?}");
    assert!(written.to_string().to_lowercase().contains("no space left"), "{written}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    assert_eq!(names(&directory), ["a"]);
}

#[test]
fn the_directory_stays_the_one_that_was_looked_at() {
    let outer = tempfile::tempdir().unwrap();
    let (inner, moved) = (outer.path().join("inner"), outer.path().join("moved"));
    fs::create_dir(&inner).unwrap();
    let output = OutputFile::prepare(inner.join("a"), Existing::Keep).unwrap();
    fs::rename(&inner, &moved).unwrap();
    symlink("/nonexistent", &inner).unwrap();
    output.write(|writer| writer.write_all(b"x")).unwrap();
    assert_eq!(fs::read_to_string(moved.join("a")).unwrap(), "x");
}

#[test]
fn temporary_names_are_known() {
    assert!(is_temporary_name(".telegen-0123456789abcdef0123456789abcdef.tmp"));
    for name in
        ["", ".telegen-.tmp", ".telegen-0123.tmp", "x", ".telegen-0123456789abcdef0123456789abcdeg.tmp"]
    {
        assert!(!is_temporary_name(name), "{name}");
    }
}
