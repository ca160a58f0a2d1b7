//! The kernel's symbols: one reading of `/proc/kallsyms`.

use crate::Error;
use crate::alias::{self, Reach};
use std::cmp::Reverse;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Symbols that are taken at the most; kernels have some hundred thousand.
const MAX_SYMBOLS: usize = 1 << 21;
/// Bytes of names that are held at the most.
const MAX_TEXT_BYTES: usize = 128 << 20;
/// Bytes of a line; the kernel's names have up to 511 (`KSYM_NAME_LEN`).
const MAX_LINE_BYTES: usize = 1024;
/// An address further behind a symbol than this is not in it.
const MAX_FUNCTION_BYTES: u64 = 1 << 20;
/// The module that BPF programs are said to be of.
const BPF: &str = "bpf";

/// The kernel's functions: eight bytes for each beside its name.
#[derive(Clone, Debug, Default)]
pub struct KernelSymbols {
    /// What `offsets` count from, with the number of the first symbol that does.
    bases: Vec<(usize, u64)>,
    /// Where each symbol begins; ascending within a base.
    offsets: Vec<u32>,
    /// Where in `text` the name of each symbol ends, and that of the next one begins.
    ends: Vec<u32>,
    text: String,
    /// From the symbol with this number on, the module with that number.
    module_runs: Vec<(usize, u16)>,
    /// Module 0 is the kernel proper.
    modules: Vec<Box<str>>,
    hidden: bool,
}

/// A function of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KernelSymbol<'a> {
    /// Its name.
    pub name: &'a str,
    /// The module it belongs to, `bpf` for BPF programs; `None` for the kernel proper.
    pub module: Option<&'a str>,
    /// Where in it the address lies.
    pub offset: u64,
}

impl KernelSymbols {
    /// No symbols.
    pub const NONE: Self = Self {
        bases: Vec::new(),
        offsets: Vec::new(),
        ends: Vec::new(),
        text: String::new(),
        module_runs: Vec::new(),
        modules: Vec::new(),
        hidden: false,
    };

    /// Reads a file in the format of `/proc/kallsyms`.
    ///
    /// # Errors
    ///
    /// If it cannot be opened or read. That the kernel hides the addresses is none: see [`Self::is_hidden`].
    pub fn read_from(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: path.into(), source };
        let reader = BufReader::with_capacity(64 << 10, File::open(path).map_err(failed)?);
        Self::read(reader).map_err(failed)
    }

    /// Reads lines such as `ffffffff81000000 T _stext` and `ffffffffc0000000 t init\t[module]`.
    ///
    /// # Errors
    ///
    /// Those of the reader. A line that makes no sense is passed over.
    pub fn read(mut reader: impl BufRead) -> io::Result<Self> {
        let mut parsed = Parsed::default();
        let mut line = Vec::with_capacity(MAX_LINE_BYTES);
        loop {
            let bytes = reader.fill_buf()?;
            if bytes.is_empty() || parsed.is_full() {
                break;
            }
            let Some(end) = bytes.iter().rposition(|&byte| byte == b'\n') else {
                let length = bytes.len();
                line.extend_from_slice(&bytes[..length.min(MAX_LINE_BYTES - line.len().min(MAX_LINE_BYTES))]);
                reader.consume(length);
                continue;
            };
            // The first line may have begun in what was read before.
            let mut lines = bytes[..end].split(|&byte| byte == b'\n');
            if !line.is_empty()
                && let Some(rest) = lines.next()
            {
                line.extend_from_slice(rest);
                parsed.take(&line);
                line.clear();
            }
            lines.for_each(|line| parsed.take(line));
            let tail = &bytes[end + 1..];
            line.extend_from_slice(&tail[..tail.len().min(MAX_LINE_BYTES)]);
            let length = bytes.len();
            reader.consume(length);
        }
        parsed.take(&line);
        Ok(parsed.finish())
    }

    /// The function that an address lies in.
    pub fn lookup(&self, address: u64) -> Option<KernelSymbol<'_>> {
        let (at, offset) = self.before(address)?;
        (offset < MAX_FUNCTION_BYTES).then(|| KernelSymbol {
            name: self.name(at),
            module: self.module(at),
            offset,
        })
    }

    /// Whether nothing that was loaded since they were read can be at an address: it lies between two functions of the
    /// kernel proper or of one module. BPF programs lie wherever there is room.
    pub fn is_sure_of(&self, address: u64) -> bool {
        let Some((at, offset)) = self.before(address) else { return false };
        let module = self.module(at);
        offset < MAX_FUNCTION_BYTES
            && module != Some(BPF)
            && at + 1 < self.offsets.len()
            && self.module(at + 1) == module
    }

    /// Whether two readings have found the same.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        (&self.bases, &self.offsets, &self.ends, &self.text)
            == (&other.bases, &other.offsets, &other.ends, &other.text)
    }

    /// The number of the last function that begins at an address or before, and how far before.
    fn before(&self, address: u64) -> Option<(usize, u64)> {
        let base_at = self.bases.partition_point(|&(_, base)| base <= address).checked_sub(1)?;
        let (first, base) = self.bases[base_at];
        let end = self.bases.get(base_at + 1).map_or(self.offsets.len(), |&(first, _)| first);
        let wanted = address - base;
        let within = self.offsets[first..end].partition_point(|&offset| u64::from(offset) <= wanted);
        let at = first + within.checked_sub(1)?;
        Some((at, wanted - u64::from(self.offsets[at])))
    }

    fn name(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[at] as usize]
    }

    fn module(&self, at: usize) -> Option<&str> {
        let run = self.module_runs.partition_point(|&(first, _)| first <= at).checked_sub(1)?;
        let number = self.module_runs[run].1.checked_sub(1)?;
        self.modules.get(usize::from(number)).map(|name| &**name)
    }

    /// How many functions there are.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Whether the kernel has hidden the addresses from this process (`kernel.kptr_restrict`, no `CAP_SYSLOG`): then
    /// there are no symbols, and addresses of the kernel can only be shown as such.
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bases.capacity() * size_of::<(usize, u64)>()
            + (self.offsets.capacity() + self.ends.capacity()) * size_of::<u32>()
            + self.text.capacity()
            + self.module_runs.capacity() * size_of::<(usize, u16)>()
            + self.modules.iter().map(|name| size_of::<Box<str>>() + name.len()).sum::<usize>()
    }
}

#[derive(Default)]
struct Parsed {
    entries: Vec<Entry>,
    text: String,
    modules: Vec<Box<str>>,
    zeros: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    address: u64,
    name: u32,
    length: u16,
    /// 0 is the kernel proper.
    module: u16,
    reach: Reach,
}

impl Parsed {
    fn is_full(&self) -> bool {
        self.entries.len() >= MAX_SYMBOLS || self.text.len() >= MAX_TEXT_BYTES
    }

    fn take(&mut self, line: &[u8]) {
        let Some((address, kind, name, module)) = split(line) else { return };
        // See nm(1): text, weak symbols, indirect functions. Weak data is v and V.
        let reach = match kind {
            b'T' => Reach::Global,
            b't' | b'i' => Reach::Local,
            b'w' | b'W' => Reach::Weak,
            _ => return,
        };
        let (Some(address), Ok(name)) = (parse_hex(address), std::str::from_utf8(name)) else { return };
        if name.is_empty() || name.len() > MAX_LINE_BYTES || self.is_full() {
            return;
        }
        if address == 0 {
            self.zeros += 1;
            return;
        }
        let module = module.map_or(0, |module| self.module(module));
        let entry = Entry { address, name: self.text.len() as u32, length: name.len() as u16, module, reach };
        self.text.push_str(name);
        self.entries.push(entry);
    }

    /// The number of a module, from 1 on. Lines of one module follow each other, but for those of BPF programs.
    fn module(&mut self, name: &[u8]) -> u16 {
        let name = String::from_utf8_lossy(name);
        if let Some(at) = self.modules.iter().rposition(|known| **known == *name) {
            return at as u16 + 1;
        }
        // Every module is looked for among all, but there are a few hundred.
        if self.modules.len() >= 4096 {
            return 0;
        }
        self.modules.push(name.into());
        self.modules.len() as u16
    }

    fn name(&self, entry: &Entry) -> &str {
        &self.text[entry.name as usize..entry.name as usize + usize::from(entry.length)]
    }

    fn finish(mut self) -> KernelSymbols {
        // Nearly sorted as it is; of equals the first in the file stays the first.
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_by_key(|entry| (entry.address, Reverse(entry.reach)));
        entries.dedup_by(|entry, held| {
            let is_alias = entry.address == held.address;
            let better = || alias::compare(self.name(entry).as_bytes(), self.name(held).as_bytes()).is_gt();
            if is_alias && entry.reach == held.reach && better() {
                *held = *entry;
            }
            is_alias
        });
        self.compact(&entries)
    }

    fn compact(self, entries: &[Entry]) -> KernelSymbols {
        let mut symbols = KernelSymbols {
            offsets: Vec::with_capacity(entries.len()),
            ends: Vec::with_capacity(entries.len()),
            text: String::with_capacity(entries.iter().map(|entry| usize::from(entry.length)).sum()),
            hidden: entries.is_empty() && self.zeros > 0,
            ..KernelSymbols::default()
        };
        for (at, entry) in entries.iter().enumerate() {
            let from_base =
                symbols.bases.last().and_then(|&(_, base)| u32::try_from(entry.address - base).ok());
            if from_base.is_none() {
                symbols.bases.push((at, entry.address));
            }
            symbols.offsets.push(from_base.unwrap_or(0));
            symbols.text.push_str(self.name(entry));
            symbols.ends.push(symbols.text.len() as u32);
            if symbols.module_runs.last().is_none_or(|&(_, module)| module != entry.module) {
                symbols.module_runs.push((at, entry.module));
            }
        }
        symbols.modules = self.modules;
        symbols
    }
}

type Fields<'a> = (&'a [u8], u8, &'a [u8], Option<&'a [u8]>);

/// Address, kind, name, and the module without its brackets.
fn split(line: &[u8]) -> Option<Fields<'_>> {
    let (address, rest) = line.split_at_checked(line.iter().position(|&byte| byte == b' ')?)?;
    let &[b' ', kind, b' ', ref rest @ ..] = rest else { return None };
    let Some(tab) = rest.iter().position(|&byte| byte == b'\t' || byte == b' ') else {
        return Some((address, kind, rest, None));
    };
    let module = rest[tab + 1..].trim_ascii().strip_prefix(b"[").and_then(|module| module.strip_suffix(b"]"));
    Some((address, kind, &rest[..tab], module))
}

fn parse_hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "\
0000000000000000 A fixed_percpu_data
ffffffff81000000 T _text
ffffffff81000000 T _stext
ffffffff81000100 t do_work
ffffffff81000180 D some_data
ffffffff81000200 W weak
ffffffff81000200 t private
ffffffff81000300 T __x64_sys_read
ffffffff81000300 T x64_sys
ffffffffc0000000 t module_init\t[nf_tables]
ffffffffc0000080 t bpf_prog_6deef7357e7b4530_tg\t[bpf]
ffffffffc0000100 t module_exit\t[nf_tables]
";

    fn read(text: &str) -> KernelSymbols {
        KernelSymbols::read(text.as_bytes()).unwrap()
    }

    fn found(symbols: &KernelSymbols, address: u64) -> Option<(&str, Option<&str>, u64)> {
        symbols.lookup(address).map(|symbol| (symbol.name, symbol.module, symbol.offset))
    }

    #[test]
    fn an_address_is_in_the_function_before_it() {
        let symbols = read(TEXT);
        let found = |address| found(&symbols, address);
        assert_eq!(found(0xffff_ffff_8100_0104), Some(("do_work", None, 4)));
        assert_eq!(found(0xffff_ffff_8100_0190), Some(("do_work", None, 0x90)), "data is not code");
        assert_eq!(found(0xffff_ffff_c000_0001), Some(("module_init", Some("nf_tables"), 1)));
        assert_eq!(found(0xffff_ffff_c000_0081), Some(("bpf_prog_6deef7357e7b4530_tg", Some("bpf"), 1)));
        assert_eq!(found(0xffff_ffff_c000_0100), Some(("module_exit", Some("nf_tables"), 0)));
        assert_eq!(found(0xffff_ffff_8000_0000), None);
        assert_eq!(found(0xffff_ffff_a000_0000), None, "far behind the last function of the kernel proper");
        assert!(!symbols.is_hidden());
        assert_eq!(symbols.len(), 7);
    }

    #[test]
    fn of_several_names_the_one_that_perf_shows_is_chosen() {
        let symbols = read(TEXT);
        assert_eq!(found(&symbols, 0xffff_ffff_8100_0000), Some(("_stext", None, 0)));
        assert_eq!(found(&symbols, 0xffff_ffff_8100_0200), Some(("private", None, 0)));
        assert_eq!(found(&symbols, 0xffff_ffff_8100_0300), Some(("x64_sys", None, 0)));
    }

    #[test]
    fn addresses_far_from_each_other_are_held_as_well() {
        let symbols = read("0000000000001000 T low\n0000000100000fff T high\nffffffff81000000 T top\n");
        assert_eq!(found(&symbols, 0x1001), Some(("low", None, 1)));
        assert_eq!(found(&symbols, 0x1_0000_1000), Some(("high", None, 1)));
        assert_eq!(found(&symbols, 0xffff_ffff_8100_0002), Some(("top", None, 2)));
        assert_eq!(symbols.bases.len(), 2);
    }

    #[test]
    fn what_lies_between_two_functions_of_one_module_is_sure() {
        let symbols = read(TEXT);
        for (address, sure) in [
            (0xffff_ffff_8100_0110, true),
            (0xffff_ffff_8100_0310, false),
            (0xffff_ffff_c000_0001, false),
            (0xffff_ffff_c000_0081, false),
            (0xffff_ffff_c000_0101, false),
            (0xffff_ffff_8000_0000, false),
        ] {
            assert_eq!(symbols.is_sure_of(address), sure, "{address:#x}");
        }
    }

    #[test]
    fn hidden_addresses_are_known_for_what_they_are() {
        let symbols = read("0000000000000000 T _stext\n0000000000000000 t a\n");
        assert!(symbols.is_hidden() && symbols.is_empty());
        assert!(!read("").is_hidden());
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_lines_come_in(piece in 1usize..90) {
            let whole = read(TEXT);
            let pieces = KernelSymbols::read(BufReader::with_capacity(piece, TEXT.as_bytes())).unwrap();
            prop_assert_eq!((&whole.text, &whole.offsets, &whole.ends), (&pieces.text, &pieces.offsets, &pieces.ends));
        }

        #[test]
        fn no_bytes_make_it_panic(
            lines in prop::collection::vec("([0-9a-f]{0,17}|ffffffff810000[0-9]{2}) [tTwDé] ?[a-z_\u{0}é]{0,6}(\t\\[?[a-b]?\\]?)?", 0..20),
            noise in prop::collection::vec(any::<u8>(), 0..60),
            address: u64,
        ) {
            let mut bytes = lines.join("\n").into_bytes();
            bytes.extend(noise);
            let symbols = KernelSymbols::read(&bytes[..]).unwrap();
            symbols.lookup(address);
            symbols.lookup(0xffff_ffff_8100_0005);
        }
    }
}
