//! A file that is there whole or not at all.

use crate::Error;
use rustix::fd::OwnedFd;
use rustix::fs::{
    Access, AtFlags, FileType, Mode, OFlags, RenameFlags, accessat, fsync, linkat, open, openat, renameat,
    renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What to do if there is a file of that name already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Existing {
    /// Leave it alone, and fail.
    Keep,
    /// Put the new one in its place, if it is a regular file.
    Replace,
}

/// A file that is to be written, in a directory that is held open.
///
/// The contents go to a temporary file beside it, with a name that cannot be foreseen, which gets its own name when
/// all is on the disk. Until then, and if anything fails, what was there before stays as it was.
#[derive(Debug)]
pub struct OutputFile {
    directory: OwnedFd,
    path: PathBuf,
    name: OsString,
    existing: Existing,
    mode: Mode,
}

impl OutputFile {
    /// Prepares to write `path`, and says now what would make it fail later: no directory, no permission, a file that
    /// is there already and is to be kept, or something that is not a regular file.
    ///
    /// The file will be for its owner alone: profiles tell names, paths and what a machine does.
    pub fn prepare(path: impl Into<PathBuf>, existing: Existing) -> Result<Self, Error> {
        let path = path.into();
        let Some(name) = file_name(&path) else { return Err(Error::NotAFileName { path }) };
        let name = name.to_owned();
        let directory = open_directory(&path)?;
        let output = Self { directory, path, name, existing, mode: Mode::from_raw_mode(0o600) };
        output.check()?;
        Ok(output)
    }

    /// The same file for all whom the umask does not keep out.
    pub fn for_all(self) -> Self {
        Self { mode: Mode::from_raw_mode(0o644), ..self }
    }

    /// The same file, for the owner's group to read as well.
    pub(crate) fn for_owner_and_group(self) -> Self {
        Self { mode: Mode::from_raw_mode(0o640), ..self }
    }

    /// Where it will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file: `encode` is given a buffered writer. Says how many bytes it has become.
    pub fn write(self, encode: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<u64, Error> {
        let failed = |source: io::Error| Error::of_write(&self.path, source);
        let (temporary, file) = Temporary::create(&self.directory, self.mode).map_err(failed)?;
        let bytes = write_through(file, encode).map_err(failed)?;
        self.check()?;
        temporary.give_name(&self.name, self.existing).map_err(failed)?;
        // The name lasts through a crash once the directory is on the disk too. Not all file systems can be told so,
        // and the file is there in any case.
        let _ = fsync(&self.directory);
        Ok(bytes)
    }

    /// Whether the file can be put where it should be, as far as can be told.
    fn check(&self) -> Result<(), Error> {
        let path = || self.path.clone();
        match statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Err(error) => return Err(Error::of_write(&self.path, error)),
            Ok(stat) => match (FileType::from_raw_mode(stat.st_mode), self.existing) {
                (FileType::Directory, _) => return Err(Error::NotAFileName { path: path() }),
                (_, Existing::Keep) => return Err(Error::Exists { path: path() }),
                (FileType::RegularFile, Existing::Replace) => {}
                (_, Existing::Replace) => return Err(Error::NotRegular { path: path() }),
            },
        }
        accessat(&self.directory, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
            .map_err(|error| Error::of_write(&self.path, error))
    }
}

/// The last part of a path; a path that ends in a slash, or in `..`, names a directory.
fn file_name(path: &Path) -> Option<&OsStr> {
    let names_directory = path.as_os_str().as_bytes().ends_with(b"/") || path.ends_with(".");
    path.file_name().filter(|_| !names_directory)
}

fn open_directory(path: &Path) -> Result<OwnedFd, Error> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Not O_PATH: fsync would refuse it.
    open(directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(|error| {
        match error {
            Errno::NOENT | Errno::NOTDIR => {
                Error::NoDirectory { path: path.into(), directory: directory.into() }
            }
            error => Error::of_write(path, error),
        }
    })
}

fn write_through(file: File, encode: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<u64> {
    let mut writer = BufWriter::with_capacity(1 << 16, file);
    encode(&mut writer)?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    // Full disks, and disks over a network, may say so here only.
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

const PREFIX: &str = ".telegen-";
const SUFFIX: &str = ".tmp";
/// Digits of the random number in a temporary name.
const DIGITS: usize = 32;

/// Whether a name is that of a temporary file, which a process that was killed may have left behind.
pub(crate) fn is_temporary_name(name: &str) -> bool {
    let number = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX));
    number.is_some_and(|number| number.len() == DIGITS && number.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A file under a temporary name, which goes unless it gets another one.
struct Temporary<'a> {
    directory: &'a OwnedFd,
    name: Option<String>,
}

impl<'a> Temporary<'a> {
    fn create(directory: &'a OwnedFd, mode: Mode) -> io::Result<(Self, File)> {
        let mut random = [0; DIGITS / 2];
        if getrandom(&mut random, GetRandomFlags::empty())? < random.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let name = format!("{PREFIX}{:0DIGITS$x}{SUFFIX}", u128::from_ne_bytes(random));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(directory, &name, flags, mode)?;
        Ok((Self { directory, name: Some(name) }, File::from(file)))
    }

    fn give_name(mut self, name: &OsStr, existing: Existing) -> Result<(), io::Error> {
        let Some(temporary) = &self.name else { return Ok(()) };
        match existing {
            Existing::Replace => renameat(self.directory, temporary, self.directory, name)?,
            Existing::Keep => {
                let flags = RenameFlags::NOREPLACE;
                match renameat_with(self.directory, temporary, self.directory, name, flags) {
                    // Not every file system can do that; those that cannot can make links. The temporary name is
                    // removed when this is dropped.
                    Err(Errno::INVAL | Errno::NOSYS) => {
                        linkat(self.directory, temporary, self.directory, name, AtFlags::empty())?;
                        return Ok(());
                    }
                    renamed => renamed?,
                }
            }
        }
        self.name = None;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Nothing more can be done about it, and the first error is the one to report.
            let _ = unlinkat(self.directory, name, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests;
