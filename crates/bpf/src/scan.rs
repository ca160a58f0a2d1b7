//! All processes in one read.

use crate::abi::{RawScanned, RawScannedArgv0, State, control_group, read_field, text, token_of};
use crate::kernel::{SCAN, iterator, load_scan};
use crate::{Error, sys};
use libbpf_rs::Object;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use telegen_model::{
    ControlGroup, Generation, KernelKey, Pid, PodFacts, ProcessFacts, ProcessId, ProcessKey, StartTime,
    Token, base_name,
};

/// A process that the scan has found.
#[derive(Clone, Debug)]
pub struct Scanned {
    /// Where it stands in the kernel's table.
    pub key: KernelKey,
    /// Which program image of which process it is; 0 for a kernel thread, which has no entry.
    pub token: Token,
    /// What the kernel does with its ticks.
    pub state: State,
    /// The control group by which its container is told, if it is in any.
    pub cgroup: Option<ControlGroup>,
    /// The same for all processes of this scan that are in the same control groups of all hierarchies.
    pub cgroups: ControlGroupSet,
    /// What is known of it. An executable path that is too long or too deep is `None`.
    pub facts: ProcessFacts,
}

/// A set of control groups, one of each hierarchy. It has a meaning within one scan only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ControlGroupSet(u64);

/// Reads the list of processes. One scan at a time.
pub struct Scanner {
    processes: OwnedFd,
    argv0: OwnedFd,
    /// What holds the programs, if nobody else does.
    _object: Option<Object>,
}

impl Scanner {
    /// Loads only what is needed to list processes.
    pub fn load() -> Result<Self, Error> {
        let object = load_scan()?;
        let scanner = Self::of(&object)?;
        Ok(Self { _object: Some(object), ..scanner })
    }

    pub(crate) fn of(object: &Object) -> Result<Self, Error> {
        let [processes, argv0] = SCAN;
        Ok(Self { processes: iterator(object, processes)?, argv0: iterator(object, argv0)?, _object: None })
    }

    /// All processes and kernel threads that are visible from the agent's pid namespace, without `argv[0]`.
    /// Those that were not in the kernel's table are entered, undecided.
    pub fn scan(&mut self) -> Result<Vec<Scanned>, Error> {
        self.begin()?.complete()
    }

    /// [`Scanner::scan`], with `argv[0]` where it could be read.
    pub fn scan_with_argv0(&mut self) -> Result<Vec<Scanned>, Error> {
        self.begin_with_argv0()?.complete()
    }

    /// Begins what [`Scanner::scan`] does at once.
    pub fn begin(&mut self) -> Result<ScanUnderWay, Error> {
        let processes = Some(open(&self.processes)?);
        Ok(ScanUnderWay {
            processes,
            argv0: None,
            chunk: vec![0; CHUNK_BYTES],
            rest: Vec::new(),
            found: Vec::new(),
            names: HashMap::new(),
        })
    }

    /// Begins what [`Scanner::scan_with_argv0`] does at once.
    pub fn begin_with_argv0(&mut self) -> Result<ScanUnderWay, Error> {
        let argv0 = Some(open(&self.argv0)?);
        Ok(ScanUnderWay { argv0, ..self.begin()? })
    }
}

/// A scan that is read piece by piece, by a thread that has something else to do as well.
pub struct ScanUnderWay {
    /// What is still to be read: all of this first, …
    processes: Option<File>,
    /// … then this.
    argv0: Option<File>,
    chunk: Vec<u8>,
    /// What has been read of a record that is not whole yet.
    rest: Vec<u8>,
    found: Vec<Scanned>,
    names: HashMap<(KernelKey, StartTime), Option<Box<str>>>,
}

/// The kernel hands out at most eight pages at a time.
const CHUNK_BYTES: usize = 64 * 1024;

impl ScanUnderWay {
    /// Reads on, some hundred processes at the most, which takes the kernel a millisecond or so. False when there is nothing more.
    pub fn read_on(&mut self) -> Result<bool, Error> {
        let Some(file) = self.processes.as_mut().or(self.argv0.as_mut()) else { return Ok(false) };
        match file.read(&mut self.chunk) {
            Ok(0) if self.processes.is_some() => self.processes = None,
            Ok(0) => self.argv0 = None,
            Ok(read) => {
                self.rest.extend_from_slice(&self.chunk[..read]);
                self.parse();
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => {}
            Err(source) => return Err(reading(source)),
        }
        Ok(true)
    }

    fn parse(&mut self) {
        let mut rest = &self.rest[..];
        if self.processes.is_some() {
            while let Some((scanned, behind)) = parse_scanned(rest) {
                self.found.push(scanned);
                rest = behind;
            }
        } else {
            while let Some((id, name, behind)) = parse_argv0(rest) {
                self.names.insert(id, name);
                rest = behind;
            }
        }
        let parsed = self.rest.len() - rest.len();
        self.rest.drain(..parsed);
    }

    /// What has been found, once there is nothing more to be read.
    pub fn finish(mut self) -> Vec<Scanned> {
        if !self.names.is_empty() {
            for scanned in &mut self.found {
                let id = (scanned.key, scanned.facts.key.id.start);
                scanned.facts.argv0 = self.names.remove(&id).flatten();
            }
        }
        self.found
    }

    fn complete(mut self) -> Result<Vec<Scanned>, Error> {
        while self.read_on()? {}
        Ok(self.finish())
    }
}

fn open(link: &OwnedFd) -> Result<File, Error> {
    Ok(File::from(sys::open_iterator(link.as_fd()).map_err(reading)?))
}

fn reading(source: std::io::Error) -> Error {
    Error::Kernel { action: "reading the list of processes", source }
}

fn parse_scanned(bytes: &[u8]) -> Option<(Scanned, &[u8])> {
    const HEAD: usize = size_of::<RawScanned>();
    if bytes.len() < HEAD {
        return None;
    }
    let path_bytes = read_field!(bytes, RawScanned, path_bytes, u32) as usize;
    let path = bytes.get(HEAD..HEAD + path_bytes)?;
    let word = read_field!(bytes, RawScanned, word, u64);
    let id = ProcessId {
        pid: Pid(read_field!(bytes, RawScanned, pid, u32)),
        start: StartTime(read_field!(bytes, RawScanned, start_ns, u64)),
    };
    let comm = std::mem::offset_of!(RawScanned, comm);
    let scanned = Scanned {
        key: KernelKey(read_field!(bytes, RawScanned, key, u32)),
        token: token_of(word),
        state: State::of_word(word),
        cgroup: control_group(&bytes[std::mem::offset_of!(RawScanned, cgroup)..]),
        cgroups: ControlGroupSet(read_field!(bytes, RawScanned, cgroups, u64)),
        facts: ProcessFacts {
            key: ProcessKey { id, generation: Generation(read_field!(bytes, RawScanned, generation, u32)) },
            parent: Pid(read_field!(bytes, RawScanned, parent, u32)),
            kernel_thread: read_field!(bytes, RawScanned, kernel_thread, u32) != 0,
            comm: text(&bytes[comm..comm + 16]),
            executable: (!path.is_empty()).then(|| text(path)),
            argv0: None,
            container: None,
            pod: PodFacts::InNone,
        },
    };
    Some((scanned, &bytes[HEAD + path_bytes..]))
}

type Argv0<'a> = ((KernelKey, StartTime), Option<Box<str>>, &'a [u8]);

fn parse_argv0(bytes: &[u8]) -> Option<Argv0<'_>> {
    const HEAD: usize = size_of::<RawScannedArgv0>();
    if bytes.len() < HEAD {
        return None;
    }
    let length = read_field!(bytes, RawScannedArgv0, argv0_bytes, u32) as usize;
    let arguments = bytes.get(HEAD..HEAD + length)?;
    let key = KernelKey(read_field!(bytes, RawScannedArgv0, key, u32));
    let start = StartTime(read_field!(bytes, RawScannedArgv0, start_ns, u64));
    Some(((key, start), argv0_name(arguments), &bytes[HEAD + length..]))
}

/// The base name of the first argument. Without a NUL in sight it may have been cut, and then its end is not known.
pub(crate) fn argv0_name(arguments: &[u8]) -> Option<Box<str>> {
    let end = arguments.iter().position(|&byte| byte == 0)?;
    let argument = text(&arguments[..end]);
    let name = base_name(&argument);
    (!name.is_empty()).then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_cut_out_of_the_first_argument() {
        assert_eq!(argv0_name(b"/usr/bin/java\0-jar\0").as_deref(), Some("java"));
        assert_eq!(argv0_name(b"-bash\0").as_deref(), Some("-bash"));
        assert_eq!(argv0_name(b"\0x\0"), None);
        assert_eq!(argv0_name(b"/cut/in/the/midd"), None);
    }

    #[test]
    fn a_record_that_is_cut_short_is_not_read() {
        const HEAD: usize = size_of::<RawScanned>();
        assert!(parse_scanned(&[0; HEAD - 1]).is_none());
        let mut bytes = vec![0; HEAD];
        bytes[std::mem::offset_of!(RawScanned, path_bytes)] = 4;
        assert!(parse_scanned(&bytes).is_none());
        bytes.extend(b"/bin");
        let (scanned, rest) = parse_scanned(&bytes).expect("whole");
        assert_eq!(scanned.facts.executable.as_deref(), Some("/bin"));
        assert!(rest.is_empty());
    }

    #[test]
    fn a_record_that_comes_in_two_pieces_is_read() {
        let mut record = vec![0; size_of::<RawScanned>()];
        record[std::mem::offset_of!(RawScanned, path_bytes)] = 4;
        record.extend(b"/bin");
        let mut scan = ScanUnderWay {
            processes: File::open("/dev/null").ok(),
            argv0: None,
            chunk: vec![0; CHUNK_BYTES],
            rest: Vec::new(),
            found: Vec::new(),
            names: HashMap::new(),
        };
        for (piece, found) in [(&record[..], 1), (&record[..9], 1), (&record[9..], 2)] {
            scan.rest.extend_from_slice(piece);
            scan.parse();
            assert_eq!(scan.found.len(), found);
        }
        assert!(scan.rest.is_empty());
        // Nothing comes from there: first that is found out, then that nothing else is to be read.
        assert!(scan.read_on().unwrap());
        assert!(!scan.read_on().unwrap());
        assert_eq!(scan.finish()[1].facts.executable.as_deref(), Some("/bin"));
    }
}
