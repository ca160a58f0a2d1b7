//! jitdump files: the binary records in which just-in-time compilers say what they have compiled, and where.
//!
//! The format stands in tools/perf/Documentation/jitdump-specification.txt of the kernel. Numbers are in the byte order of
//! the machine.

use crate::jitdump_code::CodeRanges;
use std::num::NonZeroU64;
use std::sync::Arc;

/// How much of a name is kept.
const MAX_NAME_BYTES: usize = 1 << 10;

const MAGIC: u32 = 0x4a69_5444;
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 40;
const PREFIX_BYTES: usize = 16;
const CODE_LOAD: u32 = 0;
const CODE_MOVE: u32 = 1;
const CODE_DEBUG_INFO: u32 = 2;
/// Of a `JIT_CODE_LOAD` record up to the name, which is what it ends with but for the code.
const LOAD_BYTES: usize = 56;
/// Of a `JIT_CODE_MOVE` record, which is no longer.
const MOVE_BYTES: usize = 64;
/// Of a `JIT_CODE_DEBUG_INFO` record up to its entries.
const DEBUG_INFO_BYTES: usize = 32;
/// The most that must be at hand to understand a record.
const MAX_FIXED_BYTES: usize = MOVE_BYTES;

/// How far reading a file has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JitDumpStep {
    /// There may be more: to be called again with what stands at [`JitDump::position`].
    More,
    /// What comes next has not been written yet, or not to its end.
    WaitsForMore,
}

/// Why no more is read of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum JitDumpRefusal {
    /// It does not begin as it should.
    NotJitDump,
    /// It was written on a machine of the other byte order.
    OtherByteOrder,
    /// It is of a version that is not known.
    OtherVersion,
    /// A record is shorter than the least there is: where the next one begins cannot be known.
    Damaged,
}

/// A function that a compiler has made: where in the file more about it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JitFunction {
    /// Where its name begins, which ends with a NUL: see [`JitDump::name`].
    pub name_offset: u64,
    /// Where the record begins that tells its source lines, if there is one: see [`jit_line`].
    ///
    /// [`jit_line`]: crate::jit_line
    pub lines_offset: Option<NonZeroU64>,
}

/// What the memory of a process holds according to its jitdump file, up to where that was read.
///
/// Records are only ever appended, and memory is used again: of several functions at an address the last one counts.
/// Names and code stay in the file; what is held is where they are, so that only what has been added need be read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JitDump {
    position: u64,
    header: Vec<u8>,
    code: CodeRanges,
    /// The code of which the last record told the lines, and where that record begins.
    lines: Option<(u64, NonZeroU64)>,
    malformed: u64,
    refusal: Option<JitDumpRefusal>,
}

impl JitDump {
    /// Bytes that must be given at the least, if the file has them.
    pub const MIN_BYTES: usize = MAX_FIXED_BYTES;
    /// Bytes to read for a name.
    pub const NAME_BYTES: usize = MAX_NAME_BYTES;

    /// Where in the file to read on.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Takes what stands at [`JitDump::position`], at least [`JitDump::MIN_BYTES`] if there are as many, of a file that is
    /// `file_bytes` long by now.
    ///
    /// # Errors
    ///
    /// If the file is none of these, or damaged so that reading on makes no sense; from then on always. What was found
    /// until then is still good.
    pub fn push(&mut self, bytes: &[u8], file_bytes: u64) -> Result<JitDumpStep, JitDumpRefusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let begun = self.position;
        self.go_on(bytes, file_bytes).inspect_err(|&refusal| self.refusal = Some(refusal))?;
        Ok(if self.position > begun { JitDumpStep::More } else { JitDumpStep::WaitsForMore })
    }

    fn go_on(&mut self, bytes: &[u8], file_bytes: u64) -> Result<(), JitDumpRefusal> {
        let begun = self.position;
        loop {
            let at = usize::try_from(self.position - begun).unwrap_or(usize::MAX);
            let Some(bytes) = bytes.get(at..) else { return Ok(()) };
            let size = if self.position == 0 { header_bytes(bytes)? } else { record_bytes(bytes)? };
            let end = size.and_then(|size| self.position.checked_add(size.into()));
            let (Some(size), Some(end)) = (size, end.filter(|&end| end <= file_bytes)) else { return Ok(()) };
            if self.position == 0 {
                self.header = bytes[..HEADER_BYTES].to_vec();
            } else if !self.take(bytes, size as usize) {
                return Ok(());
            }
            self.position = end;
        }
    }

    /// Whether a file that begins so is the one that was read until now, and not another that has taken its place.
    pub fn is_of(&self, beginning: &[u8]) -> bool {
        if self.header.is_empty() {
            // What could not be read may have given way to what can.
            return self.refusal.is_none();
        }
        beginning.starts_with(&self.header)
    }

    /// The function that an address lies in.
    pub fn find(&self, address: u64) -> Option<JitFunction> {
        self.code.find(address)
    }

    /// The name that begins at an offset of the file, of which these are the bytes.
    pub fn name(bytes: &[u8]) -> Option<Arc<str>> {
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        let name = bytes[..end.min(MAX_NAME_BYTES)].trim_ascii();
        (!name.is_empty()).then(|| String::from_utf8_lossy(name).into())
    }

    /// Ranges of code that are held.
    pub fn ranges(&self) -> usize {
        self.code.len()
    }

    /// Records that are not what they should be.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Ranges of code that were left out, because there are too many.
    pub fn surplus(&self) -> u64 {
        self.code.surplus()
    }

    /// Whether enough of the record was at hand.
    fn take(&mut self, bytes: &[u8], size: usize) -> bool {
        let (kind, fixed) = match word(bytes, 0) {
            // A name has an end at the least.
            CODE_LOAD if size <= LOAD_BYTES => (None, PREFIX_BYTES),
            CODE_LOAD => (Some(CODE_LOAD), LOAD_BYTES),
            CODE_MOVE => (Some(CODE_MOVE), MOVE_BYTES),
            CODE_DEBUG_INFO => (Some(CODE_DEBUG_INFO), DEBUG_INFO_BYTES),
            // The end, unwinding information, or what is not known: nothing to be learned.
            _ => return true,
        };
        let Some(kind) = kind.filter(|_| size >= fixed) else {
            self.malformed += 1;
            return true;
        };
        let Some(record) = bytes.get(..fixed) else { return false };
        match kind {
            CODE_LOAD => self.load(record),
            CODE_MOVE => self.move_code(record),
            _ => self.lines = NonZeroU64::new(self.position).map(|at| (long(record, 16), at)),
        }
        true
    }

    fn load(&mut self, record: &[u8]) {
        let (start, size) = (long(record, 32), long(record, 40));
        let lines = self.lines.take().filter(|&(code, _)| code == start);
        let name_offset = self.position + LOAD_BYTES as u64;
        let function = JitFunction { name_offset, lines_offset: lines.map(|(_, at)| at) };
        self.place(start, size, Some(function));
    }

    /// Its lines were told for the addresses that it had before.
    fn move_code(&mut self, record: &[u8]) {
        let (before, start, size) = (long(record, 32), long(record, 40), long(record, 48));
        let function = self.find(before);
        self.malformed += u64::from(function.is_none());
        self.place(start, size, function.map(|function| JitFunction { lines_offset: None, ..function }));
    }

    fn place(&mut self, start: u64, size: u64, function: Option<JitFunction>) {
        match start.checked_add(size) {
            Some(end) => self.code.place(start, end, function),
            None => self.malformed += 1,
        }
    }
}

/// `None` if it has not been written to its end yet.
fn header_bytes(bytes: &[u8]) -> Result<Option<u32>, JitDumpRefusal> {
    if bytes.len() < HEADER_BYTES {
        return Ok(None);
    }
    match word(bytes, 0) {
        MAGIC => {}
        magic if magic == MAGIC.swap_bytes() => return Err(JitDumpRefusal::OtherByteOrder),
        _ => return Err(JitDumpRefusal::NotJitDump),
    }
    if word(bytes, 4) != VERSION {
        return Err(JitDumpRefusal::OtherVersion);
    }
    let size = word(bytes, 8);
    if (size as usize) < HEADER_BYTES { Err(JitDumpRefusal::Damaged) } else { Ok(Some(size)) }
}

/// `None` if there is none yet: a compiler may have made the file longer than what it has written.
fn record_bytes(bytes: &[u8]) -> Result<Option<u32>, JitDumpRefusal> {
    if bytes.len() < PREFIX_BYTES {
        return Ok(None);
    }
    match word(bytes, 4) {
        0 => Ok(None),
        size if (size as usize) < PREFIX_BYTES => Err(JitDumpRefusal::Damaged),
        size => Ok(Some(size)),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |word| u32::from_ne_bytes(*word))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |long| u64::from_ne_bytes(*long))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_ne_bytes()).collect()
    }

    fn longs(values: &[u64]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_ne_bytes()).collect()
    }

    fn header() -> Vec<u8> {
        [words(&[MAGIC, VERSION, HEADER_BYTES as u32, 62, 0, 7]), longs(&[1, 0])].concat()
    }

    fn record(kind: u32, body: &[u8]) -> Vec<u8> {
        [&words(&[kind, (PREFIX_BYTES + body.len()) as u32]), &longs(&[1]), body].concat()
    }

    fn load(start: u64, size: u64, name: &str) -> Vec<u8> {
        let body =
            [&words(&[7, 7]), &longs(&[start, start, size, 1]), name.as_bytes(), b"\0", &[0x90; 5]].concat();
        record(CODE_LOAD, &body)
    }

    fn move_code(before: u64, after: u64, size: u64) -> Vec<u8> {
        record(CODE_MOVE, &[words(&[7, 7]), longs(&[after, before, after, size, 1])].concat())
    }

    /// Reads a file as its caller does.
    fn read_on(dump: &mut JitDump, file: &[u8], piece: usize) -> Result<(), JitDumpRefusal> {
        loop {
            let rest = file.get(dump.position() as usize..).unwrap_or_default();
            if dump.push(&rest[..rest.len().min(piece)], file.len() as u64)? == JitDumpStep::WaitsForMore {
                return Ok(());
            }
        }
    }

    fn read(records: &[Vec<u8>]) -> (JitDump, Vec<u8>) {
        let file = [header(), records.concat()].concat();
        let mut dump = JitDump::default();
        read_on(&mut dump, &file, 4096).expect("a good file");
        (dump, file)
    }

    fn names(dump: &JitDump, file: &[u8], addresses: &[u64]) -> Vec<Option<String>> {
        let name = |&address: &u64| {
            let function = dump.find(address)?;
            JitDump::name(&file[function.name_offset as usize..]).map(|name| name.to_string())
        };
        addresses.iter().map(name).collect()
    }

    fn some(name: &str) -> Option<String> {
        Some(name.into())
    }

    #[test]
    fn an_address_is_named_by_the_last_function_that_contains_it() {
        let (dump, file) =
            read(&[load(10, 10, "one"), load(18, 10, "two"), load(26, 1, "three"), load(40, 0, "none")]);
        let found = names(&dump, &file, &[9, 10, 17, 18, 26, 27, 28, 40]);
        let expected = [None, some("one"), some("one"), some("two"), some("three"), some("two"), None, None];
        assert_eq!((found, dump.malformed()), (expected.to_vec(), 0));
    }

    #[test]
    fn a_function_that_moves_keeps_its_name() {
        let moves = [
            load(10, 4, "one"),
            move_code(10, 20, 4),
            load(10, 4, "two"),
            move_code(20, 30, 4),
            move_code(50, 31, 1),
        ];
        let (dump, file) = read(&moves);
        let found = names(&dump, &file, &[10, 20, 30, 31, 32]);
        assert_eq!(found, [some("two"), some("one"), some("one"), None, some("one")]);
        assert_eq!(dump.malformed(), 1, "nothing is known at 50");
    }

    #[test]
    fn what_tells_lines_belongs_to_the_function_that_follows() {
        let lines = |code| record(CODE_DEBUG_INFO, &longs(&[code, 0]));
        let (dump, _) = read(&[lines(10), load(10, 1, "a"), load(20, 1, "b"), lines(40), load(30, 1, "c")]);
        let offset = |address| dump.find(address).and_then(|function| function.lines_offset);
        assert_eq!(offset(10), NonZeroU64::new(HEADER_BYTES as u64));
        assert_eq!((offset(20), offset(30)), (None, None));
    }

    #[test]
    fn other_records_are_passed_over_and_bad_ones_counted() {
        let others = [record(3, b""), record(4, b"unwinding"), record(99, &[7; 100])];
        let bad = [record(CODE_LOAD, &[0; 40]), record(CODE_MOVE, &[0; 8]), load(u64::MAX, 2, "x")];
        let (dump, file) = read(&[others.concat(), bad.concat(), load(10, 1, "a")]);
        assert_eq!((names(&dump, &file, &[10]), dump.malformed()), (vec![some("a")], 3));
    }

    #[test]
    fn what_is_still_being_written_is_read_the_next_time() {
        let (mut dump, mut file) = read(&[load(10, 1, "a"), load(20, 1, "b")]);
        let whole = file.clone();
        for length in 0..whole.len() {
            let mut cut = JitDump::default();
            read_on(&mut cut, &whole[..length], 4096).expect("a good beginning");
            read_on(&mut cut, &whole, 4096).expect("a good file");
            assert_eq!(cut, dump);
        }
        // A file that is longer than what is written is as good.
        let position = dump.position();
        file.extend([0; 1000]);
        read_on(&mut dump, &file, 4096).expect("nothing more");
        assert_eq!(dump.position(), position);
        let more = load(20, 1, "c");
        file[whole.len()..whole.len() + more.len()].copy_from_slice(&more);
        read_on(&mut dump, &file, 4096).expect("one more");
        assert_eq!(names(&dump, &file, &[10, 20]), [some("a"), some("c")]);
    }

    #[test]
    fn what_is_no_jitdump_is_refused_for_good() {
        let refused = |file: &[u8]| {
            let mut dump = JitDump::default();
            let refusal = read_on(&mut dump, file, 4096).expect_err("refused");
            assert_eq!(dump.push(&header(), 1 << 20), Err(refusal));
            refusal
        };
        let with = |at: usize, value: u32| {
            let mut header = header();
            header[at..at + 4].copy_from_slice(&value.to_ne_bytes());
            header
        };
        assert_eq!(refused(&[b'x'; 100]), JitDumpRefusal::NotJitDump);
        assert_eq!(refused(&with(0, MAGIC.swap_bytes())), JitDumpRefusal::OtherByteOrder);
        assert_eq!(refused(&with(4, 2)), JitDumpRefusal::OtherVersion);
        assert_eq!(refused(&with(8, 39)), JitDumpRefusal::Damaged);
        let short = [header(), words(&[0, 15]), longs(&[1])].concat();
        assert_eq!(refused(&short), JitDumpRefusal::Damaged);
    }

    #[test]
    fn another_file_in_the_place_of_one_is_recognized() {
        let (dump, file) = read(&[load(10, 1, "a")]);
        assert!(dump.is_of(&file) && JitDump::default().is_of(b""));
        let mut other = file;
        other[24] += 1;
        assert!(!dump.is_of(&other) && !dump.is_of(&other[..10]));
    }

    #[test]
    fn long_names_are_cut_and_empty_ones_none() {
        assert_eq!(JitDump::name(b"a b\0c").as_deref(), Some("a b"));
        assert_eq!((JitDump::name(b"\0c"), JitDump::name(b"")), (None, None));
        assert_eq!(JitDump::name(&[b'y'; 2000]).map(|name| name.len()), Some(MAX_NAME_BYTES));
    }

    fn any_record() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            (0u64..200, 0u64..50).prop_map(|(start, size)| load(start, size, &format!("f{start}+{size}"))),
            (0u64..200, 0u64..200, 0u64..50).prop_map(|(before, after, size)| move_code(before, after, size)),
            (0u32..9, prop::collection::vec(any::<u8>(), 0..80)).prop_map(|(kind, body)| record(kind, &body)),
        ]
    }

    proptest! {
        #[test]
        fn it_does_not_matter_in_what_pieces_a_file_is_read(
            records in prop::collection::vec(any_record(), 0..20),
            lengths in prop::collection::vec(0usize..2000, 0..6),
            piece in JitDump::MIN_BYTES..300,
        ) {
            let (whole, file) = read(&records);
            let mut grown = JitDump::default();
            let mut lengths: Vec<usize> = lengths.into_iter().map(|length| length.min(file.len())).collect();
            lengths.sort_unstable();
            for length in lengths.into_iter().chain([file.len()]) {
                read_on(&mut grown, &file[..length], piece).expect("a good beginning");
            }
            prop_assert_eq!(grown, whole);
        }

        #[test]
        fn it_finds_what_going_through_all_functions_for_each_address_does(
            functions in prop::collection::vec((0u64..200, 0u64..50), 0..30),
        ) {
            let loads = functions.iter().enumerate().map(|(at, (start, size))| load(*start, *size, &format!("f{at}")));
            let (dump, file) = read(&loads.collect::<Vec<_>>());
            let addresses: Vec<u64> = (0..260).collect();
            let last = |address: &u64| {
                let at = functions.iter().rposition(|(start, size)| (*start..start + size).contains(address))?;
                Some(format!("f{at}"))
            };
            prop_assert_eq!(names(&dump, &file, &addresses), addresses.iter().map(last).collect::<Vec<_>>());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            // That it is refused is all right.
            let _ = read_on(&mut JitDump::default(), &bytes, 4096);
            let _ = read_on(&mut JitDump::default(), &[header(), bytes].concat(), 4096);
        }
    }
}
