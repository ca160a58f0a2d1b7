//! Functions of code that was made while its process ran, from the jitdump files that just-in-time compilers write.

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use std::fs::File;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};
use telegen_process::JitDumpFile;
use telegen_symbolize::{JitDump, JitDumpRefusal, JitDumpStep, JitFunction, JitLine, SourceFrame, jit_line};

/// Bytes of a file that are read for one interval. The next one reads on from there.
const MAX_BYTES: u64 = 64 << 20;
const PIECE_BYTES: usize = 64 << 10;
/// How long reading on may take for one interval, and reading names: a file may lie on a file system that is the
/// process's own.
const MAX_TIME: Duration = Duration::from_secs(1);
/// What is held of all files together, in ranges of code. What does not fit is read anew for each interval.
const MAX_HELD_RANGES: usize = 1 << 17;
/// What one takes, about: the nodes of the tree are three quarters full.
const RANGE_COST_BYTES: usize = 48;

/// Files by device and inode: a forked process shares its parent's.
type Identity = (u64, u64);

/// What the files say that were asked in the last interval.
#[derive(Debug, Default)]
pub(crate) struct JitDumps {
    known: HashMap<Identity, JitDump, RandomState>,
    used: HashSet<Identity, RandomState>,
    pub(crate) failures: JitDumpFailures,
}

/// Files that could not be read in full, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct JitDumpFailures {
    pub(crate) damaged: u64,
    pub(crate) other_byte_order: u64,
    pub(crate) too_large: u64,
    pub(crate) too_slow: u64,
}

impl JitDumps {
    /// The functions at addresses, which ascend, as far as the file says.
    pub(crate) fn functions(&mut self, file: &JitDumpFile, addresses: &[u64]) -> Vec<Option<SourceFrame>> {
        self.used.insert(file.identity);
        let mut dump = self.known.remove(&file.identity).unwrap_or_default();
        self.read_on(&mut dump, &file.file);
        let functions = self.name(&dump, &file.file, addresses);
        if self.ranges() + dump.ranges() <= MAX_HELD_RANGES {
            self.known.insert(file.identity, dump);
        }
        functions
    }

    /// Forgets files that nobody has asked since the last call.
    pub(crate) fn sweep(&mut self) {
        let used = std::mem::take(&mut self.used);
        self.known.retain(|identity, _| used.contains(identity));
    }

    /// Forgets all: it can be read again.
    pub(crate) fn trim(&mut self) {
        self.known = HashMap::default();
    }

    /// Bytes that are held, about.
    pub(crate) fn bytes(&self) -> usize {
        self.ranges() * RANGE_COST_BYTES
    }

    fn ranges(&self) -> usize {
        self.known.values().map(JitDump::ranges).sum()
    }

    /// Takes what has been written since the last time. What was found until something went wrong is better than
    /// nothing.
    fn read_on(&mut self, dump: &mut JitDump, file: &File) {
        let begun = Instant::now();
        let Ok(length) = file.metadata().map(|metadata| metadata.len()) else { return };
        let mut piece = vec![0; PIECE_BYTES];
        let beginning = file.read_at(&mut piece, 0).unwrap_or(0);
        if length < dump.position() || !dump.is_of(&piece[..beginning]) {
            *dump = JitDump::default();
        }
        let surplus = dump.surplus();
        let mut left = MAX_BYTES;
        while let Ok(bytes) = file.read_at(&mut piece, dump.position()) {
            match dump.push(&piece[..bytes], length) {
                Ok(JitDumpStep::More) => {}
                Ok(JitDumpStep::WaitsForMore) => break,
                Err(JitDumpRefusal::OtherByteOrder) => {
                    self.failures.other_byte_order += 1;
                    break;
                }
                Err(_) => {
                    self.failures.damaged += 1;
                    break;
                }
            }
            left = left.saturating_sub(bytes as u64);
            if left == 0 {
                self.failures.too_large += 1;
                break;
            }
            if begun.elapsed() > MAX_TIME {
                self.failures.too_slow += 1;
                break;
            }
        }
        self.failures.too_large += u64::from(dump.surplus() > surplus);
    }

    fn name(&mut self, dump: &JitDump, file: &File, addresses: &[u64]) -> Vec<Option<SourceFrame>> {
        let begun = Instant::now();
        let mut functions = Vec::with_capacity(addresses.len());
        // Addresses of one function follow each other.
        let mut last: Option<Told> = None;
        for &address in addresses {
            let Some(function) = dump.find(address) else {
                functions.push(None);
                continue;
            };
            if last.as_ref().is_none_or(|told| told.function != function) {
                if begun.elapsed() > MAX_TIME {
                    self.failures.too_slow += 1;
                    break;
                }
                last = Told::read(file, function);
            }
            functions.push(last.as_ref().map(|told| told.at(address)));
        }
        functions.resize(addresses.len(), None);
        functions
    }
}

/// What the file tells of a function.
struct Told {
    function: JitFunction,
    name: SourceFrame,
    /// The record of its lines; empty if there is none.
    lines: Vec<u8>,
}

impl Told {
    fn read(file: &File, function: JitFunction) -> Option<Self> {
        let name = JitDump::name(&read_at(file, function.name_offset, JitDump::NAME_BYTES))?;
        let lines = function.lines_offset.map_or_else(Vec::new, |offset| read_lines(file, offset));
        Some(Self { function, name: SourceFrame::named(&name), lines })
    }

    fn at(&self, address: u64) -> SourceFrame {
        let mut frame = self.name.clone();
        if let Some(JitLine { file, line, start_line }) = jit_line(&self.lines, address) {
            (frame.file, frame.line, frame.start_line) = ((*file).into(), line, start_line);
        }
        frame
    }
}

fn read_lines(file: &File, offset: NonZeroU64) -> Vec<u8> {
    let beginning = read_at(file, offset.get(), JitLine::BEGINNING_BYTES);
    let bytes = JitLine::record_bytes(&beginning).unwrap_or(0);
    read_at(file, offset.get(), bytes)
}

fn read_at(file: &File, offset: u64, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; most];
    let length = file.read_at(&mut bytes, offset).unwrap_or(0);
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    struct Fixture {
        file: JitDumpFile,
        writer: File,
    }

    impl Fixture {
        fn new() -> Self {
            let writer = tempfile::tempfile().expect("a file");
            let file = writer.try_clone().expect("another descriptor");
            Self { file: JitDumpFile { file, identity: (1, 2), is_own: true }, writer }
        }

        fn write(&mut self, bytes: &[u8]) {
            self.writer.write_all(bytes).expect("written");
        }

        /// Begins anew, as a process with the same pid does later.
        fn begin(&mut self, magic: u32, time: u64) {
            self.writer.set_len(0).expect("emptied");
            std::io::Seek::rewind(&mut self.writer).expect("rewound");
            let words: Vec<u8> = [magic, 1, 40, 62, 0, 7].into_iter().flat_map(u32::to_ne_bytes).collect();
            self.write(&words);
            self.write(&time.to_ne_bytes());
            self.write(&[0; 8]);
        }

        fn load(&mut self, start: u64, name: &str) {
            let size = 16 + 40 + name.len() as u32 + 1;
            self.write(&[0u32, size].map(u32::to_ne_bytes).concat());
            self.write(&[0, 0, start, start, 16, 1].map(u64::to_ne_bytes).concat());
            self.write(name.as_bytes());
            self.write(&[0]);
        }

        fn lines(&mut self, start: u64, line: u32) {
            self.write(&[2u32, 16 + 16 + 16 + 3].map(u32::to_ne_bytes).concat());
            self.write(&[0, start, 1, start, line.into()].map(u64::to_ne_bytes).concat());
            self.write(b"/f\0");
        }
    }

    const MAGIC: u32 = 0x4a69_5444;

    fn names(dumps: &mut JitDumps, fixture: &Fixture, addresses: &[u64]) -> Vec<String> {
        let functions = dumps.functions(&fixture.file, addresses).into_iter();
        functions.map(|function| function.map_or("-".into(), |function| function.name.into())).collect()
    }

    #[test]
    fn what_is_written_later_is_known_later() {
        let (mut dumps, mut fixture) = (JitDumps::default(), Fixture::new());
        assert_eq!(names(&mut dumps, &fixture, &[5]), ["-"], "nothing has been written yet");
        fixture.begin(MAGIC, 1);
        fixture.load(0x10, "one");
        assert_eq!(names(&mut dumps, &fixture, &[5, 0x10, 0x1f, 0x20]), ["-", "one", "one", "-"]);
        fixture.load(0x20, "two");
        fixture.load(0x10, "three");
        assert_eq!(names(&mut dumps, &fixture, &[0x10, 0x20]), ["three", "two"]);
        assert_eq!((dumps.bytes(), dumps.failures), (2 * RANGE_COST_BYTES, JitDumpFailures::default()));
        dumps.trim();
        assert_eq!(dumps.bytes(), 0);
        assert_eq!(names(&mut dumps, &fixture, &[0x10, 0x20]), ["three", "two"]);
        dumps.sweep();
        dumps.sweep();
        assert_eq!(dumps.bytes(), 0, "nobody has asked");
    }

    #[test]
    fn lines_are_read_with_names() {
        let (mut dumps, mut fixture) = (JitDumps::default(), Fixture::new());
        fixture.begin(MAGIC, 1);
        fixture.lines(0x10, 42);
        fixture.load(0x10, "one");
        let frame = dumps.functions(&fixture.file, &[0x14]).remove(0).expect("a function");
        assert_eq!((&*frame.name, &*frame.file, frame.line), ("one", "/f", 42));
    }

    #[test]
    fn a_file_that_has_begun_anew_is_read_anew() {
        let (mut dumps, mut fixture) = (JitDumps::default(), Fixture::new());
        fixture.begin(MAGIC, 1);
        fixture.load(0x10, "one");
        assert_eq!(names(&mut dumps, &fixture, &[0x10]), ["one"]);
        fixture.begin(MAGIC, 2);
        fixture.load(0x20, "a longer one");
        fixture.load(0x30, "and one more");
        assert_eq!(names(&mut dumps, &fixture, &[0x10, 0x20]), ["-", "a longer one"]);
    }

    #[test]
    fn what_cannot_be_read_is_counted() {
        let (mut dumps, mut fixture) = (JitDumps::default(), Fixture::new());
        fixture.begin(MAGIC.swap_bytes(), 1);
        assert_eq!(names(&mut dumps, &fixture, &[0x10]), ["-"]);
        assert_eq!((dumps.failures.other_byte_order, dumps.failures.damaged), (1, 0));
        fixture.begin(1, 1);
        assert_eq!(names(&mut dumps, &fixture, &[0x10]), ["-"]);
        assert_eq!((dumps.failures.other_byte_order, dumps.failures.damaged), (1, 1));
    }
}
