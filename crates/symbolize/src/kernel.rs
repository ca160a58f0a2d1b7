//! The kernel's symbols: `/proc/kallsyms`, read once.

use crate::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// The kernel's functions, compactly: 12 bytes each beside their names.
#[derive(Clone, Debug, Default)]
pub struct KernelSymbols {
    /// Ascending.
    addresses: Vec<u64>,
    /// For each address, where in `text` its name begins; it ends at the next byte that is 0.
    names: Vec<u32>,
    text: Vec<u8>,
    modules: Vec<Box<str>>,
    hidden: bool,
}

/// A function of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KernelSymbol<'a> {
    /// Its name.
    pub name: &'a str,
    /// The module it belongs to; `None` for the kernel proper.
    pub module: Option<&'a str>,
    /// Where in it the address lies.
    pub offset: u64,
}

/// Symbols that are taken at the most.
const MAX_SYMBOLS: usize = 2_000_000;
/// Bytes of a line that are looked at.
const MAX_LINE: usize = 1024;
/// An address further behind a symbol than this is not in it.
const MAX_FUNCTION_BYTES: u64 = 16 << 20;

impl KernelSymbols {
    /// Reads a file in the format of `/proc/kallsyms`.
    pub fn read_from(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: path.into(), source };
        let reader = BufReader::with_capacity(256 * 1024, File::open(path).map_err(failed)?);
        Self::read(reader).map_err(failed)
    }

    /// Reads lines such as `ffffffff81000000 T _stext` and `ffffffffc0000000 t init [module]`.
    pub fn read(mut reader: impl BufRead) -> std::io::Result<Self> {
        let mut parsed = Parsed::default();
        let mut line = Vec::new();
        while parsed.entries.len() < MAX_SYMBOLS {
            line.clear();
            let read = Read::take(&mut reader, MAX_LINE as u64).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            parsed.take(&line);
        }
        Ok(parsed.finish())
    }

    /// The function that an address lies in.
    pub fn lookup(&self, address: u64) -> Option<KernelSymbol<'_>> {
        let at = self.addresses.partition_point(|&start| start <= address).checked_sub(1)?;
        let offset = address - self.addresses[at];
        if offset > MAX_FUNCTION_BYTES {
            return None;
        }
        let (name, module) = self.name(self.names[at] as usize)?;
        Some(KernelSymbol { name, module, offset })
    }

    /// The name that begins at a byte of the text; behind it stands the number of its module.
    fn name(&self, start: usize) -> Option<(&str, Option<&str>)> {
        let length = self.text[start..].iter().position(|&byte| byte == 0)?;
        let name = std::str::from_utf8(&self.text[start..start + length]).ok()?;
        let number = self.text.get(start + length + 1..start + length + 3)?;
        let module = usize::from(u16::from_le_bytes([number[0], number[1]]));
        Some((name, module.checked_sub(1).and_then(|module| self.modules.get(module)).map(|name| &**name)))
    }

    /// How many functions there are.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Whether the kernel has hidden the addresses from this process.
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.addresses.capacity() * 8 + self.names.capacity() * 4 + self.text.capacity()
    }
}

#[derive(Default)]
struct Parsed {
    entries: Vec<(u64, u32)>,
    text: Vec<u8>,
    modules: Vec<Box<str>>,
    zeros: usize,
}

impl Parsed {
    fn take(&mut self, line: &[u8]) {
        let mut fields = line.split(|&byte| byte == b' ' || byte == b'\t' || byte == b'\n');
        let (Some(address), Some(&[kind]), Some(name)) = (fields.next(), fields.next(), fields.next()) else {
            return;
        };
        if !matches!(kind, b't' | b'T' | b'w' | b'W' | b'i')
            || name.is_empty()
            || std::str::from_utf8(name).is_err()
        {
            return;
        }
        let Some(address) = parse_hex(address) else { return };
        if address == 0 {
            self.zeros += 1;
            return;
        }
        let Ok(start) = u32::try_from(self.text.len()) else { return };
        let module = fields.next().and_then(|module| module.strip_prefix(b"[")?.strip_suffix(b"]"));
        let module = module.map_or(0, |module| self.module(module));
        self.text.extend_from_slice(name);
        self.text.push(0);
        self.text.extend_from_slice(&module.to_le_bytes());
        self.entries.push((address, start));
    }

    /// The number of a module, from 1 on; lines of one module follow each other.
    fn module(&mut self, name: &[u8]) -> u16 {
        let name = String::from_utf8_lossy(name);
        if self.modules.last().is_none_or(|last| **last != *name) {
            if self.modules.len() >= usize::from(u16::MAX) {
                return 0;
            }
            self.modules.push(name.into());
        }
        self.modules.len() as u16
    }

    fn finish(mut self) -> KernelSymbols {
        // A stable sort: of several names for one address the first in the file, which is the one perf shows, stays.
        self.entries.sort_by_key(|&(address, _)| address);
        self.entries.dedup_by_key(|&mut (address, _)| address);
        self.text.shrink_to_fit();
        let hidden = self.entries.is_empty() && self.zeros > 0;
        let (addresses, names) = self.entries.into_iter().unzip();
        KernelSymbols { addresses, names, text: self.text, modules: self.modules, hidden }
    }
}

fn parse_hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &digit| {
        let digit = (digit as char).to_digit(16)?;
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "\
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000100 t do_work
ffffffff81000180 D some_data
ffffffff81000200 W weak
ffffffffc0000000 t module_init\t[nf_tables]
ffffffffc0000080 t bpf_prog_6deef7357e7b4530_tg\t[bpf]
";

    #[test]
    fn an_address_is_in_the_function_before_it() {
        let symbols = KernelSymbols::read(TEXT.as_bytes()).unwrap();
        let found =
            |address| symbols.lookup(address).map(|symbol| (symbol.name, symbol.module, symbol.offset));
        assert_eq!(found(0xffff_ffff_8100_0104), Some(("do_work", None, 4)));
        assert_eq!(found(0xffff_ffff_8100_0190), Some(("do_work", None, 0x90)), "data is not code");
        assert_eq!(found(0xffff_ffff_8100_0000), Some(("_stext", None, 0)), "the first of several names");
        assert_eq!(found(0xffff_ffff_c000_0001), Some(("module_init", Some("nf_tables"), 1)));
        assert_eq!(found(0xffff_ffff_c000_0081), Some(("bpf_prog_6deef7357e7b4530_tg", Some("bpf"), 1)));
        assert_eq!(found(0xffff_ffff_8000_0000), None);
        assert!(!symbols.is_hidden());
    }

    #[test]
    fn hidden_addresses_are_known_for_what_they_are() {
        let symbols = KernelSymbols::read(&b"0000000000000000 T _stext\n0000000000000000 t a\n"[..]).unwrap();
        assert!(symbols.is_hidden() && symbols.is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), address: u64) {
            let symbols = KernelSymbols::read(&bytes[..]).unwrap();
            symbols.lookup(address);
        }
    }
}
