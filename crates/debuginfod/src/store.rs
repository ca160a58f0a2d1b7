//! Files that have been fetched, in a directory that never holds more than it may.

use crate::{Error, Outcome};
use rustix::fs::{Mode, OFlags};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use telegen_model::BuildId;
use telegen_symbolize::build_id;

/// How much room is made at a time.
const STEP_BYTES: u64 = 1 << 20;
/// A part of a file that is older than this is nobody's any more.
const PART_AGE: Duration = Duration::from_secs(60 * 60);
const WHOLE: &str = ".debug";
const PART: &str = ".part";

/// The directory. Others than the agent may use it, too, if they are of the same user.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    max_bytes: u64,
    parts: AtomicU64,
    /// Held while room is made.
    room: Mutex<()>,
}

/// A file that is being fetched; removed unless it is published.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    store: &'a Store,
    path: PathBuf,
    file: File,
    written: u64,
    reserved: u64,
}

struct Entry {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
    is_part: bool,
}

impl Store {
    /// Opens a directory, which is made if it is not there. No other user may have a way to put files there.
    pub(crate) fn open(directory: &Path, max_bytes: u64) -> Result<Self, Error> {
        let failed = |source| Error::Directory { directory: directory.into(), source };
        let refused = |reason| Err(Error::Untrusted { directory: directory.into(), reason });
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let metadata = fs::symlink_metadata(directory).map_err(failed)?;
        if !metadata.is_dir() {
            return refused("it is a link");
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return refused("it belongs to another user");
        }
        if metadata.mode() & 0o022 != 0 {
            return refused("other users may write there");
        }
        let store =
            Self { directory: directory.into(), max_bytes, parts: AtomicU64::new(0), room: Mutex::default() };
        for entry in store.entries().map_err(failed)? {
            if entry.is_part && entry.used.elapsed().is_ok_and(|age| age > PART_AGE) {
                let _ = fs::remove_file(entry.path);
            }
        }
        // The bound may have been lowered.
        let _ = store.make_room(0);
        Ok(store)
    }

    /// The debug file of a build, if it is there.
    pub(crate) fn get(&self, id: &BuildId) -> Option<File> {
        let path = self.path_of(id);
        let mut options = OpenOptions::new();
        options.read(true).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
        let file = options.open(&path).ok()?;
        if !file.metadata().ok()?.is_file() || check(&file, id) != Outcome::Found {
            let _ = fs::remove_file(path);
            return None;
        }
        // What is used is removed last; where the time cannot be set, sooner.
        let _ = file.set_modified(SystemTime::now());
        Some(file)
    }

    /// A new file for what is being fetched.
    pub(crate) fn part(&self, id: &BuildId) -> io::Result<Part<'_>> {
        let number = self.parts.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("{id}.{}-{number}{PART}", std::process::id()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(Mode::from(0o600).bits());
        let file = options.open(&path)?;
        Ok(Part { store: self, path, file, written: 0, reserved: 0 })
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries().map_or(0, |entries| entries.iter().map(|entry| entry.bytes).sum())
    }

    /// Removes what was used longest ago, until there is room for so many bytes more.
    fn make_room(&self, bytes: u64) -> Result<(), Outcome> {
        let _alone = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = self.entries().map_err(|_| Outcome::Unwritable)?;
        let mut held: u64 = entries.iter().map(|entry| entry.bytes).sum();
        entries.retain(|entry| !entry.is_part);
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.used));
        while held.saturating_add(bytes) > self.max_bytes {
            let Some(oldest) = entries.pop() else { return Err(Outcome::NoRoom) };
            match fs::remove_file(&oldest.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Outcome::Unwritable),
                _ => held -= oldest.bytes,
            }
        }
        Ok(())
    }

    /// The files that are the store's, by their names.
    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let (is_whole, is_part) = (name.ends_with(WHOLE), name.ends_with(PART));
            if !(is_whole || is_part) || !name.starts_with(|first: char| first.is_ascii_hexdigit()) {
                continue;
            }
            // One that has just gone is no fault.
            let Ok(metadata) = entry.metadata() else { continue };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            entries.push(Entry { path: entry.path(), bytes: metadata.len(), used, is_part });
        }
        Ok(entries)
    }

    fn path_of(&self, id: &BuildId) -> PathBuf {
        self.directory.join(format!("{id}{WHOLE}"))
    }
}

impl Part<'_> {
    /// Appends some bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Outcome> {
        let written = self.written + bytes.len() as u64;
        if written > self.reserved {
            let more = (written - self.reserved).max(STEP_BYTES.min(self.store.max_bytes / 8));
            self.store.make_room(more)?;
            self.reserved += more;
            // Its length is what others see of what it takes.
            self.file.set_len(self.reserved).map_err(|_| Outcome::Unwritable)?;
        }
        self.file.write_all(bytes).map_err(|_| Outcome::Unwritable)?;
        self.written = written;
        Ok(())
    }

    /// Puts the file in place, if it is the debug file of that build.
    pub(crate) fn publish(self, id: &BuildId) -> Outcome {
        if self.file.set_len(self.written).is_err() {
            return Outcome::Unwritable;
        }
        match check(&self.file, id) {
            Outcome::Found => match fs::rename(&self.path, self.store.path_of(id)) {
                Ok(()) => Outcome::Found,
                Err(_) => Outcome::Unwritable,
            },
            outcome => outcome,
        }
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        // It has another name if it was published.
        let _ = fs::remove_file(&self.path);
    }
}

fn check(file: &File, id: &BuildId) -> Outcome {
    match build_id::read(file) {
        Ok(Some(found)) if found == *id => Outcome::Found,
        Ok(_) => Outcome::WrongBuildId,
        Err(telegen_symbolize::Error::Io(_)) => Outcome::Unwritable,
        Err(_) => Outcome::NotElf,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// An ELF file of a build: a header, a note segment, and the note.
    pub(crate) fn elf(id: &BuildId, bytes: usize) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        for (value, size) in [
            (3_u64, 2),
            (62, 2),
            (1, 4),
            (0, 8),
            (64, 8),
            (0, 8),
            (0, 4),
            (64, 2),
            (56, 2),
            (1, 2),
            (64, 2),
            (0, 2),
            (0, 2),
        ] {
            file.extend(&value.to_le_bytes()[..size]);
        }
        let note_bytes = 16 + id.as_bytes().len() as u64;
        for (value, size) in
            [(4_u64, 4), (4, 4), (120, 8), (0, 8), (0, 8), (note_bytes, 8), (note_bytes, 8), (4, 8)]
        {
            file.extend(&value.to_le_bytes()[..size]);
        }
        for value in [4_u32, id.as_bytes().len() as u32, 3] {
            file.extend(value.to_le_bytes());
        }
        file.extend(b"GNU\0");
        file.extend(id.as_bytes());
        file.resize(bytes.max(file.len()), 0);
        file
    }

    fn id(number: u64) -> BuildId {
        BuildId::new(&number.to_be_bytes()).unwrap()
    }

    fn put(store: &Store, id: &BuildId, bytes: usize) -> Outcome {
        let mut part = store.part(id).unwrap();
        for chunk in elf(id, bytes).chunks(1000) {
            if let Err(outcome) = part.write(chunk) {
                return outcome;
            }
        }
        part.publish(id)
    }

    fn set_age(store: &Store, id: &BuildId, seconds: u64) {
        let file = File::options().write(true).open(store.path_of(id)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    }

    #[test]
    fn what_is_put_there_is_found_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("a/b"), 1 << 20).unwrap();
        assert!(store.get(&id(1)).is_none());
        assert_eq!(put(&store, &id(1), 5000), Outcome::Found);
        assert_eq!(store.get(&id(1)).expect("there").metadata().unwrap().len(), 5000);
        assert!(store.get(&id(2)).is_none());
        assert_eq!((store.bytes(), fs::read_dir(&store.directory).unwrap().count()), (5000, 1));
    }

    #[test]
    fn what_is_not_of_that_build_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("a"), 1 << 20).unwrap();
        let mut part = store.part(&id(1)).unwrap();
        part.write(&elf(&id(2), 100)).unwrap();
        assert_eq!(part.publish(&id(1)), Outcome::WrongBuildId);
        let mut part = store.part(&id(1)).unwrap();
        part.write(b"<html>").unwrap();
        assert_eq!(part.publish(&id(1)), Outcome::NotElf);
        drop(store.part(&id(1)).unwrap());
        assert_eq!((store.bytes(), fs::read_dir(&store.directory).unwrap().count()), (0, 0));
        // What has come to stand there by other ways is not believed either.
        fs::write(store.path_of(&id(1)), elf(&id(2), 100)).unwrap();
        assert!(store.get(&id(1)).is_none() && !store.path_of(&id(1)).exists());
        symlink("/etc/passwd", store.path_of(&id(1))).unwrap();
        assert!(store.get(&id(1)).is_none());
    }

    #[test]
    fn it_never_holds_more_than_it_may_and_what_was_used_longest_ago_goes_first() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("a"), 100_000).unwrap();
        for number in 0..4 {
            assert_eq!(put(&store, &id(number), 20_000), Outcome::Found);
            set_age(&store, &id(number), 100 - number);
        }
        assert!(store.get(&id(0)).is_some(), "used now");
        let mut part = store.part(&id(9)).unwrap();
        for chunk in elf(&id(9), 50_000).chunks(1000) {
            part.write(chunk).unwrap();
            assert!(store.bytes() <= 100_000, "{} bytes", store.bytes());
        }
        assert_eq!(part.publish(&id(9)), Outcome::Found);
        let there = [0, 1, 2, 3, 9].map(|number| store.get(&id(number)).is_some());
        assert_eq!(there, [true, false, false, true, true]);
        assert_eq!(put(&store, &id(10), 200_000), Outcome::NoRoom);
        assert!(store.bytes() <= 100_000);
        drop(store);
        let smaller = Store::open(&directory.path().join("a"), 10_000).unwrap();
        assert_eq!(smaller.bytes(), 0);
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let refused = Store::open(directory.path(), 1 << 20);
        assert!(matches!(refused, Err(Error::Untrusted { .. })), "{refused:?}");
        symlink(tempfile::tempdir().unwrap().keep(), directory.path().join("link")).unwrap();
        let refused = Store::open(&directory.path().join("link"), 1 << 20);
        assert!(matches!(refused, Err(Error::Untrusted { .. })), "{refused:?}");
        fs::write(directory.path().join("file"), "").unwrap();
        assert!(matches!(Store::open(&directory.path().join("file"), 1), Err(Error::Directory { .. })));
    }

    #[test]
    fn parts_that_were_left_behind_go() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("a"), 1 << 20).unwrap();
        let (old, new, other) = (
            store.directory.join("ab.1-0.part"),
            store.directory.join("cd.1-1.part"),
            store.directory.join("notes.txt"),
        );
        for path in [&old, &new, &other] {
            fs::write(path, "x").unwrap();
            let past = SystemTime::now() - PART_AGE * 2;
            File::options().write(true).open(path).unwrap().set_modified(past).unwrap();
        }
        File::options().write(true).open(&new).unwrap().set_modified(SystemTime::now()).unwrap();
        let store = Store::open(&store.directory, 1 << 20).unwrap();
        assert!(!old.exists() && new.exists() && other.exists());
        assert_eq!(store.bytes(), 1, "what is not the store's does not count");
    }
}
