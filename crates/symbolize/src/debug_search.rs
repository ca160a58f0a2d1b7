//! Which files are consulted for a binary beside itself: its separate debug files.
//!
//! The order, and why a file is believed, stand in docs/decisions/0011-whose-debug-files-are-believed.md.

use crate::alt_link::AltLink;
use crate::debug_checksum::Checksums;
use crate::debug_files::{DebugFile, DebugFiles, Lacking, Separate, Slots, Whereabouts};
use crate::debug_link::DebugLink;
use crate::debug_paths::{paths_of_main, paths_of_supplementary};
use crate::elf::Elf;
use crate::{DebugOutcome, DebugServer, Error, build_id};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use telegen_model::BuildId;
use telegen_process::Root;

/// Debug files that are held open at the most.
const MAX_OPEN: usize = 1024;
/// Bytes of a debug file. Of what a file holds only what is asked for is read: this is for files that cannot be right.
const MAX_FILE_BYTES: u64 = 16 << 30;

/// Looks for debug files.
#[derive(Debug)]
pub(crate) struct DebugSearch {
    host: Option<Arc<Root>>,
    server: Option<Arc<dyn DebugServer>>,
    slots: Slots,
    checksums: Checksums,
    outcomes: HashMap<DebugOutcome, u64>,
}

/// What a debug file is known by to be a binary's.
#[derive(Clone)]
enum Proof {
    BuildId(BuildId),
    /// The binary has no build id.
    Checksum(u32),
}

/// What is sought for a binary.
struct Wanted {
    proof: Proof,
    paths: Vec<PathBuf>,
    /// Whether a symbol table is of use, too.
    symbols_tell: bool,
}

/// Where a file was found.
struct Found {
    file: DebugFile,
    root: Arc<Root>,
    path: PathBuf,
}

impl DebugSearch {
    /// Looks below the roots of processes, then below the host's, then asks a server, as far as there are these.
    pub(crate) fn new(host: Option<Arc<Root>>, server: Option<Arc<dyn DebugServer>>) -> Self {
        Self {
            host,
            server,
            slots: Slots::new(MAX_OPEN),
            checksums: Checksums::default(),
            outcomes: HashMap::new(),
        }
    }

    /// The debug files of a binary.
    pub(crate) fn of(&mut self, files: &DebugFiles, elf: &Elf<'_>) -> Arc<Separate> {
        let separate = files.get_or_seek(|whereabouts| self.seek(elf, whereabouts));
        if self.complete(files) { files.get_or_seek(|_| Separate::default()) } else { separate }
    }

    /// Asks the server for what is lacking; whether it has come.
    pub(crate) fn complete(&mut self, files: &DebugFiles) -> bool {
        let Some(server) = self.server.clone() else { return false };
        let mut came = false;
        // What has come may lack something itself.
        while files.complete(|separate| self.ask(&*server, separate)) {
            came = true;
        }
        came
    }

    /// How many files that were looked at had this outcome.
    pub(crate) fn count_of(&self, outcome: DebugOutcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }

    /// How many debug files are open.
    pub(crate) fn open_files(&self) -> usize {
        self.slots.taken()
    }

    fn seek(&mut self, elf: &Elf<'_>, whereabouts: &Whereabouts) -> Separate {
        if elf.has_debug_info() {
            return self.with_supplementary(elf, whereabouts, Separate::default());
        }
        let link = DebugLink::of(elf).ok().flatten();
        let proof = match (build_id::of(elf).ok().flatten(), &link) {
            (Some(id), _) => Proof::BuildId(id),
            (None, Some(link)) => Proof::Checksum(link.crc),
            (None, None) => return Separate::default(),
        };
        let id = match &proof {
            Proof::BuildId(id) => Some(id.clone()),
            Proof::Checksum(_) => None,
        };
        let paths = paths_of_main(&whereabouts.path, id.as_ref(), link.as_ref());
        let wanted = Wanted { proof, paths, symbols_tell: !elf.has_symbol_table() };
        let Some(found) = self.seek_in_both(&whereabouts.root, &wanted) else {
            let lacking =
                id.map_or(Lacking::Nothing, |id| Lacking::Main { id, symbols_tell: wanted.symbols_tell });
            return Separate { lacking, ..Separate::default() };
        };
        let file = Arc::new(found.file);
        let separate = Separate { main: Some(file.clone()), ..Separate::default() };
        match Elf::read(&file.file) {
            Ok(elf) => {
                let whereabouts = Whereabouts { root: found.root, path: found.path };
                self.with_supplementary(&elf, &whereabouts, separate)
            }
            Err(_) => separate,
        }
    }

    /// Adds what the file with the debug information, which was found there, has in common with others.
    fn with_supplementary(
        &mut self,
        elf: &Elf<'_>,
        whereabouts: &Whereabouts,
        separate: Separate,
    ) -> Separate {
        let Some(link) = AltLink::of(elf).ok().flatten() else { return separate };
        let paths = paths_of_supplementary(&whereabouts.root, &whereabouts.path, &link);
        let proof = Proof::BuildId(link.build_id.clone());
        match self.seek_in_both(&whereabouts.root, &Wanted { proof, paths, symbols_tell: false }) {
            Some(found) => Separate { supplementary: Some(Arc::new(found.file)), ..separate },
            None => Separate { lacking: Lacking::Supplementary { id: link.build_id }, ..separate },
        }
    }

    /// What the server has of what is lacking; `None` if nothing.
    fn ask(&mut self, server: &dyn DebugServer, separate: &Separate) -> Option<Separate> {
        let (id, symbols_tell) = match &separate.lacking {
            Lacking::Nothing => return None,
            Lacking::Main { id, symbols_tell } => (id, *symbols_tell),
            Lacking::Supplementary { id } => (id, false),
        };
        let file = server.ask(id)?;
        let wanted = Wanted { proof: Proof::BuildId(id.clone()), paths: Vec::new(), symbols_tell };
        let given_up = Separate { lacking: Lacking::Nothing, ..separate.clone() };
        let file = match file.metadata() {
            Ok(facts) => self.check(file, facts.len(), (facts.dev(), facts.ino()), &wanted),
            Err(_) => Err(DebugOutcome::Unreadable),
        };
        let file = match file {
            Ok(file) => Arc::new(file),
            Err(outcome) => {
                self.count(outcome);
                return Some(given_up);
            }
        };
        self.count(DebugOutcome::FoundOnServer);
        if matches!(separate.lacking, Lacking::Supplementary { .. }) {
            return Some(Separate { supplementary: Some(file), ..given_up });
        }
        let separate = Separate { main: Some(file.clone()), ..given_up };
        match (Elf::read(&file.file), self.host.clone()) {
            (Ok(elf), Some(root)) => {
                // Its own directory is the server's: a relative path leads nowhere.
                let whereabouts = Whereabouts { root, path: PathBuf::new() };
                Some(self.with_supplementary(&elf, &whereabouts, separate))
            }
            _ => Some(separate),
        }
    }

    /// A file below the root of a process, or of that build below the host's.
    fn seek_in_both(&mut self, root: &Arc<Root>, wanted: &Wanted) -> Option<Found> {
        let in_target = self.seek_below(root, wanted, DebugOutcome::FoundInTarget);
        // A path that is the process's own says nothing of the host: there the build id alone is believed.
        if in_target.is_some() || matches!(wanted.proof, Proof::Checksum(_)) {
            return in_target;
        }
        let host = self.host.clone().filter(|host| host.identity() != root.identity())?;
        self.seek_below(&host, wanted, DebugOutcome::FoundOnHost)
    }

    /// The first file that is right. What is there and is not is counted.
    fn seek_below(&mut self, root: &Arc<Root>, wanted: &Wanted, outcome: DebugOutcome) -> Option<Found> {
        for path in &wanted.paths {
            match self.open(root, path, wanted) {
                Ok(None) => {}
                Ok(Some(file)) => {
                    self.count(outcome);
                    return Some(Found { file, root: root.clone(), path: path.clone() });
                }
                Err(outcome) => self.count(outcome),
            }
        }
        None
    }

    /// The file at a path, if there is one.
    fn open(&mut self, root: &Root, path: &Path, wanted: &Wanted) -> Result<Option<DebugFile>, DebugOutcome> {
        let opened = match root.open(path) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(None),
            Err(telegen_process::Error::NotRegular { .. }) => return Err(DebugOutcome::NotRegular),
            Err(_) => return Err(DebugOutcome::Unreadable),
        };
        let identity = (opened.facts.device, opened.facts.inode);
        self.check(opened.file, opened.facts.size, identity, wanted).map(Some)
    }

    fn check(
        &mut self,
        file: File,
        bytes: u64,
        identity: (u64, u64),
        wanted: &Wanted,
    ) -> Result<DebugFile, DebugOutcome> {
        if bytes > MAX_FILE_BYTES {
            return Err(DebugOutcome::TooLarge);
        }
        let found = Elf::read(&file).map_err(|error| of_error(&error))?;
        match &wanted.proof {
            Proof::BuildId(id) => {
                if build_id::of(&found).map_err(|error| of_error(&error))?.as_ref() != Some(id) {
                    return Err(DebugOutcome::WrongBuildId);
                }
            }
            Proof::Checksum(crc) => self.checksums.check(&file, bytes, *crc)?,
        }
        let tells_more = found.has_debug_info() || wanted.symbols_tell && found.has_symbol_table();
        if !tells_more {
            return Err(DebugOutcome::Empty);
        }
        let slot = self.slots.take().ok_or(DebugOutcome::TooManyOpen)?;
        Ok(DebugFile::new(file, identity, slot))
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
