//! Which files are consulted for a binary beside itself: its separate debug files.
//!
//! The order, and why a file is believed, stand in docs/decisions/0011-whose-debug-files-are-believed.md.

use crate::debug_checksum::Checksums;
use crate::debug_files::{DebugFile, DebugFiles, Separate, Slots, Whereabouts};
use crate::debug_link::DebugLink;
use crate::elf::Elf;
use crate::{DebugOutcome, Error, build_id};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use telegen_model::BuildId;
use telegen_process::Root;

/// Debug files that are held open at the most.
const MAX_OPEN: usize = 1024;
/// Bytes of a debug file. Of what a file holds only what is asked for is read: this is for files that cannot be right.
const MAX_FILE_BYTES: u64 = 16 << 30;
/// Where distributions put debug files.
const GLOBAL: &str = "/usr/lib/debug";

/// Looks for debug files.
#[derive(Debug)]
pub(crate) struct DebugSearch {
    host: Option<Arc<Root>>,
    slots: Slots,
    checksums: Checksums,
    outcomes: HashMap<DebugOutcome, u64>,
}

/// What a debug file is known by to be a binary's.
enum Proof {
    BuildId(BuildId),
    /// The binary has no build id.
    Checksum(u32),
}

/// What is sought for a binary.
struct Wanted<'a> {
    elf: &'a Elf<'a>,
    proof: Proof,
    paths: Vec<PathBuf>,
}

impl DebugSearch {
    /// Looks below the roots of processes and then, if there is one, below the host's.
    pub(crate) fn new(host: Option<Arc<Root>>) -> Self {
        Self { host, slots: Slots::new(MAX_OPEN), checksums: Checksums::default(), outcomes: HashMap::new() }
    }

    /// The debug files of a binary.
    pub(crate) fn of(&mut self, files: &DebugFiles, elf: &Elf<'_>) -> Arc<Separate> {
        files.get_or_seek(|whereabouts| Separate { main: self.seek(elf, whereabouts) })
    }

    /// How many files that were looked at had this outcome.
    pub(crate) fn count_of(&self, outcome: DebugOutcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }

    /// How many debug files are open.
    pub(crate) fn open_files(&self) -> usize {
        self.slots.taken()
    }

    fn seek(&mut self, elf: &Elf<'_>, whereabouts: &Whereabouts) -> Option<DebugFile> {
        if elf.has_debug_info() {
            return None;
        }
        let link = DebugLink::of(elf).ok().flatten();
        let proof = match (build_id::of(elf).ok()?, &link) {
            (Some(id), _) => Proof::BuildId(id),
            (None, Some(link)) => Proof::Checksum(link.crc),
            (None, None) => return None,
        };
        let paths = paths(&whereabouts.path, &proof, link.as_ref());
        let wanted = Wanted { elf, proof, paths };
        let in_target = self.seek_below(&whereabouts.root, &wanted, DebugOutcome::FoundInTarget);
        // A path that is the process's own says nothing of the host: there the build id alone is believed.
        if in_target.is_some() || matches!(wanted.proof, Proof::Checksum(_)) {
            return in_target;
        }
        let host = self.host.clone().filter(|host| host.identity() != whereabouts.root.identity())?;
        self.seek_below(&host, &wanted, DebugOutcome::FoundOnHost)
    }

    /// The first file that is right. What is there and is not is counted.
    fn seek_below(&mut self, root: &Root, wanted: &Wanted<'_>, found: DebugOutcome) -> Option<DebugFile> {
        for path in &wanted.paths {
            match self.take(root, path, wanted) {
                Ok(None) => {}
                Ok(Some(file)) => {
                    self.count(found);
                    return Some(file);
                }
                Err(outcome) => self.count(outcome),
            }
        }
        None
    }

    /// The file at a path, if there is one.
    fn take(
        &mut self,
        root: &Root,
        path: &Path,
        wanted: &Wanted<'_>,
    ) -> Result<Option<DebugFile>, DebugOutcome> {
        let opened = match root.open(path) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(None),
            Err(telegen_process::Error::NotRegular { .. }) => return Err(DebugOutcome::NotRegular),
            Err(_) => return Err(DebugOutcome::Unreadable),
        };
        if opened.facts.size > MAX_FILE_BYTES {
            return Err(DebugOutcome::TooLarge);
        }
        let found = Elf::read(&opened.file).map_err(|error| of_error(&error))?;
        match &wanted.proof {
            Proof::BuildId(id) => {
                if build_id::of(&found).map_err(|error| of_error(&error))?.as_ref() != Some(id) {
                    return Err(DebugOutcome::WrongBuildId);
                }
            }
            Proof::Checksum(crc) => self.checksums.check(&opened.file, opened.facts.size, *crc)?,
        }
        let tells_more = found.has_debug_info() || found.has_symbol_table() && !wanted.elf.has_symbol_table();
        if !tells_more {
            return Err(DebugOutcome::Empty);
        }
        let slot = self.slots.take().ok_or(DebugOutcome::TooManyOpen)?;
        let identity = (opened.facts.device, opened.facts.inode);
        Ok(Some(DebugFile::new(opened.file, identity, slot)))
    }

    fn count(&mut self, outcome: DebugOutcome) {
        *self.outcomes.entry(outcome).or_default() += 1;
    }
}

fn of_error(error: &Error) -> DebugOutcome {
    match error {
        Error::Io(_) | Error::Read { .. } => DebugOutcome::Unreadable,
        _ => DebugOutcome::NotElf,
    }
}

/// Where the debug file of a binary may be: by its build id, then where GDB looks by its name.
fn paths(binary: &Path, proof: &Proof, link: Option<&DebugLink>) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    if let Proof::BuildId(id) = proof {
        paths.extend(path_of(id));
    }
    if let (Some(link), Some(directory)) = (link, binary.parent()) {
        let below_root = directory.strip_prefix("/").unwrap_or(directory);
        paths.push(directory.join(&link.name));
        paths.push(directory.join(".debug").join(&link.name));
        paths.push(Path::new(GLOBAL).join(below_root).join(&link.name));
    }
    paths
}

/// `/usr/lib/debug/.build-id/xx/yyyy.debug`
fn path_of(id: &BuildId) -> Option<PathBuf> {
    let id = id.to_string();
    let (first, rest) = id.split_at_checked(2)?;
    (!rest.is_empty()).then(|| format!("{GLOBAL}/.build-id/{first}/{rest}.debug").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_files_are_sought_where_gdb_seeks_them() {
        let link = DebugLink { name: "cat.debug".into(), crc: 7 };
        let id = BuildId::new(&[0xab, 0xcd, 0x01]).expect("an id");
        let found = paths(Path::new("/usr/bin/cat"), &Proof::BuildId(id), Some(&link));
        let expected = [
            "/usr/lib/debug/.build-id/ab/cd01.debug",
            "/usr/bin/cat.debug",
            "/usr/bin/.debug/cat.debug",
            "/usr/lib/debug/usr/bin/cat.debug",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
        assert_eq!(paths(Path::new("/usr/bin/cat"), &Proof::Checksum(7), Some(&link)), found[1..]);
        let short = BuildId::new(&[0xab]).expect("an id");
        assert!(paths(Path::new("/cat"), &Proof::BuildId(short), None).is_empty());
        assert_eq!(paths(Path::new("cat"), &Proof::Checksum(7), Some(&link))[0], Path::new("cat.debug"));
    }
}
