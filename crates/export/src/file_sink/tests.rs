use super::*;
use crate::sample_profile::Stacks;
use std::os::unix::fs::{PermissionsExt, symlink};
use tempfile::TempDir;

const UNBOUNDED: FileLimits = FileLimits { max_bytes: u64::MAX, max_age: Duration::from_secs(1 << 40) };

/// A profile of ten seconds that began so many seconds after some instant.
fn profile(second: u64) -> Profile {
    let mut profile = Stacks::new().add("app", "main;work", 3).finish();
    profile.start += Duration::from_secs(second);
    profile
}

fn size_of_one() -> u64 {
    let mut bytes = Vec::new();
    write_pprof(&profile(0), &mut bytes).unwrap();
    bytes.len() as u64
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn bytes_in(directory: &Path) -> u64 {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn open(directory: &TempDir, limits: FileLimits) -> FileSink {
    FileSink::open(directory.path().join("profiles"), limits, profile(0).start).unwrap()
}

#[test]
fn the_directory_is_made_and_profiles_are_for_owner_and_group() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = FileSink::open(directory.path().join("a/b"), UNBOUNDED, SystemTime::UNIX_EPOCH).unwrap();
    let stored = sink.write(&profile(0)).unwrap();
    assert_eq!(stored.path, directory.path().join("a/b/telegen-20261123T143809.123Z-0.pb.gz"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory.path().join("a/b")) & !0o750, 0);
    assert_eq!(mode(&stored.path) & !0o640, 0);
    assert_eq!(stored.bytes, fs::metadata(&stored.path).unwrap().len());
    assert_eq!((sink.len(), sink.bytes()), (1, stored.bytes));
}

#[test]
fn two_profiles_of_one_time_are_two_files() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = open(&directory, UNBOUNDED);
    let one = sink.write(&profile(0)).unwrap();
    let two = sink.write(&profile(0)).unwrap();
    assert!(one.path < two.path);
    assert_eq!(names(sink.directory()).len(), 2);
}

#[test]
fn the_oldest_go_before_the_bound_is_passed() {
    let directory = tempfile::tempdir().unwrap();
    let max_bytes = size_of_one() * 7 / 2;
    let mut sink = open(&directory, FileLimits { max_bytes, ..UNBOUNDED });
    let mut removed = 0;
    for second in 0..8 {
        removed += sink.write(&profile(second)).unwrap().removed.for_size;
        assert!(bytes_in(sink.directory()) <= max_bytes);
        assert_eq!(sink.bytes(), bytes_in(sink.directory()));
    }
    assert_eq!((removed, sink.len()), (5, 3));
    let left = names(sink.directory());
    assert!(left[0].contains("T143814") && left[2].contains("T143816"), "{left:?}");
}

#[test]
fn the_old_go_by_the_time_in_their_names() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = open(&directory, FileLimits { max_age: Duration::from_secs(30), ..UNBOUNDED });
    sink.write(&profile(0)).unwrap();
    assert_eq!(sink.write(&profile(20)).unwrap().removed, Removed::default());
    assert_eq!(sink.write(&profile(21)).unwrap().removed, Removed { for_age: 1, for_size: 0 });
    assert_eq!(sink.remove_old(profile(3600).start).unwrap(), 2);
    assert!(sink.is_empty() && names(sink.directory()).is_empty());
}

#[test]
fn what_a_former_run_has_left_counts() {
    let directory = tempfile::tempdir().unwrap();
    for second in [1, 2, 3] {
        open(&directory, UNBOUNDED).write(&profile(second)).unwrap();
    }
    assert_eq!(open(&directory, UNBOUNDED).len(), 3);
    let sink = open(&directory, FileLimits { max_bytes: size_of_one() * 5 / 2, ..UNBOUNDED });
    assert_eq!((sink.len(), names(sink.directory()).len()), (2, 2));
}

#[test]
fn nothing_is_removed_that_the_sink_has_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let own = directory.path().join("profiles");
    fs::create_dir(&own).unwrap();
    let victim = directory.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, own.join("telegen-19700101T000000.000Z-0.pb.gz")).unwrap();
    fs::create_dir(own.join("telegen-19700101T000000.000Z-1.pb.gz")).unwrap();
    for name in ["telegen-20200101T000000Z.pb.gz", "other.pb.gz", ".telegen-x.tmp"] {
        fs::write(own.join(name), "precious").unwrap();
    }
    let before = names(&own);
    let limits = FileLimits { max_bytes: size_of_one() + 20, max_age: Duration::from_secs(1) };
    let mut sink = open(&directory, limits);
    for second in [0, 1, 2] {
        sink.write(&profile(second * 100)).unwrap();
    }
    let after = names(&own);
    assert!(before.iter().all(|name| after.contains(name)), "{before:?} {after:?}");
    assert_eq!((after.len(), sink.len()), (before.len() + 1, 1));
    assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
}

#[test]
fn a_profile_that_can_never_fit_costs_no_other_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let limit_bytes = size_of_one() + 20;
    let mut sink = open(&directory, FileLimits { max_bytes: limit_bytes, ..UNBOUNDED });
    sink.write(&profile(0)).unwrap();
    let mut large = Stacks::new();
    for number in 0..200 {
        large = large.add("app", &format!("main;function_{number}"), 1);
    }
    let refused = sink.write(&large.finish());
    assert!(
        matches!(refused, Err(Error::TooLarge { limit_bytes: l, .. }) if l == limit_bytes),
        "{refused:?}"
    );
    assert_eq!(names(sink.directory()).len(), 1);
}

#[test]
fn files_that_others_have_removed_are_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = open(&directory, FileLimits { max_bytes: size_of_one() * 5 / 2, ..UNBOUNDED });
    let first = sink.write(&profile(0)).unwrap();
    fs::remove_file(first.path).unwrap();
    sink.write(&profile(1)).unwrap();
    sink.write(&profile(2)).unwrap();
    assert_eq!((sink.len(), names(sink.directory()).len()), (2, 2));
    fs::remove_dir_all(sink.directory()).unwrap();
    sink.write(&profile(3)).unwrap();
    sink.write(&profile(4)).unwrap();
    assert_eq!((sink.len(), names(sink.directory()).len()), (2, 2));
}

#[test]
fn unfinished_files_of_a_run_that_was_killed_go() {
    let directory = tempfile::tempdir().unwrap();
    let own = directory.path().join("profiles");
    fs::create_dir(&own).unwrap();
    let temporary = format!(".telegen-{:032x}.tmp", 7);
    fs::write(own.join(&temporary), "half").unwrap();
    FileSink::open(&own, UNBOUNDED, SystemTime::now()).unwrap();
    assert_eq!(names(&own), [temporary], "it may be another's that is being written");
    FileSink::open(&own, UNBOUNDED, SystemTime::now() + TEMPORARY_AGE * 2).unwrap();
    assert!(names(&own).is_empty());
}
