//! A directory that profiles are written into, and that never holds more than it may.

use crate::file_name::{is_stored_file_name, stored_file_prefix};
use crate::output_file::is_temporary_name;
use crate::{Error, Existing, Format, OutputFile, write_pprof};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, DirEntry};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use telegen_model::Profile;

/// How much a directory may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileLimits {
    /// Bytes of all its profiles together.
    pub max_bytes: u64,
    /// Age of the oldest.
    pub max_age: Duration,
}

/// How many files have been removed, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Removed {
    /// To make room for newer ones.
    pub for_size: u64,
    /// As too old.
    pub for_age: u64,
}

/// A profile that has been written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Where.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What had to go for it.
    pub removed: Removed,
}

/// A directory that gets one pprof file per interval, `telegen-20261123T143809.123Z-0.pb.gz`, named after the time at
/// which the interval began.
///
/// It is for one agent. Only files with names of that shape are counted and removed, the oldest first, and room is
/// made before a file is written, so that the bound holds at any time.
#[derive(Debug)]
pub struct FileSink {
    directory: PathBuf,
    limits: FileLimits,
    /// The files and their sizes; their names sort by time.
    files: BTreeMap<String, u64>,
    bytes: u64,
}

/// Files of one millisecond. There is one per interval, so that a second one is rare.
const MAX_OF_ONE_TIME: u32 = 1000;
/// A temporary file that is older than this is nobody's any more.
const TEMPORARY_AGE: Duration = Duration::from_secs(600);

impl FileSink {
    /// Opens a directory, which is made if it is not there, and brings it within its limits, as of `now`.
    pub fn open(directory: impl Into<PathBuf>, limits: FileLimits, now: SystemTime) -> Result<Self, Error> {
        let mut sink = Self { directory: directory.into(), limits, files: BTreeMap::new(), bytes: 0 };
        sink.make_directory()?;
        sink.list(now).map_err(|source| Error::of_write(&sink.directory, source))?;
        sink.remove_old(now)?;
        sink.make_room(0)?;
        Ok(sink)
    }

    /// Writes a profile, and removes what is too old or too much for it.
    pub fn write(&mut self, profile: &Profile) -> Result<Stored, Error> {
        let mut encoded = Vec::new();
        write_pprof(profile, &mut encoded).map_err(|source| Error::of_write(&self.directory, source))?;
        let bytes = encoded.len() as u64;
        if bytes > self.limits.max_bytes {
            let (directory, limit_bytes) = (self.directory.clone(), self.limits.max_bytes);
            return Err(Error::TooLarge { directory, bytes, limit_bytes });
        }
        let for_age =
            self.remove_old(profile.start.checked_add(profile.duration).unwrap_or(profile.start))?;
        let for_size = self.make_room(bytes)?;
        let name = self.write_new(&stored_file_prefix(profile.start), &encoded)?;
        let path = self.directory.join(&name);
        self.bytes += bytes;
        self.files.insert(name, bytes);
        Ok(Stored { path, bytes, removed: Removed { for_size, for_age } })
    }

    /// Removes what is too old by now, and says how many files that were. Writing does so, too.
    pub fn remove_old(&mut self, now: SystemTime) -> Result<u64, Error> {
        let Some(oldest) = now.checked_sub(self.limits.max_age) else { return Ok(0) };
        let oldest = stored_file_prefix(oldest);
        let mut removed = 0;
        while let Some((name, _)) = self.files.first_key_value().filter(|(name, _)| **name < oldest) {
            self.remove(&name.clone())?;
            removed += 1;
        }
        Ok(removed)
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How many profiles it holds.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Bytes of all its profiles together.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn make_directory(&self) -> Result<(), Error> {
        let made = DirBuilder::new().recursive(true).mode(0o750).create(&self.directory);
        made.map_err(|source| Error::of_write(&self.directory, source))
    }

    /// Finds the profiles of former runs, and removes what those have left unfinished.
    fn list(&mut self, now: SystemTime) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if is_stored_file_name(&name) {
                if let Some(bytes) = size_of_regular_file(&entry)? {
                    self.bytes = self.bytes.saturating_add(bytes);
                    self.files.insert(name, bytes);
                }
            } else if is_temporary_name(&name) && is_abandoned(&entry, now) {
                // What cannot be removed is no worse than before.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    fn make_room(&mut self, bytes: u64) -> Result<u64, Error> {
        let mut removed = 0;
        while self.bytes.saturating_add(bytes) > self.limits.max_bytes {
            let Some((name, _)) = self.files.first_key_value() else { break };
            self.remove(&name.clone())?;
            removed += 1;
        }
        Ok(removed)
    }

    fn remove(&mut self, name: &str) -> Result<(), Error> {
        let path = self.directory.join(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Error::of_write(&path, source));
            }
            // Somebody else has removed it.
            _ => {}
        }
        self.bytes = self.bytes.saturating_sub(self.files.remove(name).unwrap_or_default());
        Ok(())
    }

    /// Writes a file under a name that is not taken yet, and says under which.
    fn write_new(&self, prefix: &str, encoded: &[u8]) -> Result<String, Error> {
        let mut number = 0;
        let mut directory_made = false;
        loop {
            let name = format!("{prefix}{number}{}", Format::Pprof.ending());
            let written = OutputFile::prepare(self.directory.join(&name), Existing::Keep)
                .and_then(|output| output.for_owner_and_group().write(|writer| writer.write_all(encoded)));
            match written {
                Ok(_) => return Ok(name),
                Err(Error::Exists { .. }) if number + 1 < MAX_OF_ONE_TIME => number += 1,
                // Somebody has removed the directory while the agent runs.
                Err(Error::NoDirectory { .. }) if !directory_made => {
                    self.make_directory()?;
                    directory_made = true;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn size_of_regular_file(entry: &DirEntry) -> io::Result<Option<u64>> {
    match entry.metadata() {
        Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_abandoned(entry: &DirEntry, now: SystemTime) -> bool {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| now.duration_since(modified).is_ok_and(|age| age > TEMPORARY_AGE))
}

#[cfg(test)]
mod tests;
