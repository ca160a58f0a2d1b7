//! ELF files written by hand: of any class and byte order, with any symbols.

use std::fs::File;
use std::io::Write;

/// Where the code is linked to stand; it begins at [`CODE_OFFSET`] in the file.
pub(crate) const CODE: u64 = 0x10_0000;
pub(crate) const CODE_OFFSET: u64 = 0x1000;
const CODE_BYTES: u64 = 0x1000;

pub(crate) const FUNC: u8 = 2;
pub(crate) const NOTYPE: u8 = 0;
pub(crate) const OBJECT: u8 = 1;
pub(crate) const LOCAL: u8 = 0;
pub(crate) const GLOBAL: u8 = 1;
pub(crate) const WEAK: u8 = 2;

#[derive(Clone, Copy)]
pub(crate) struct Symbol<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: u8,
    pub(crate) binding: u8,
    /// From the start of the code.
    pub(crate) start: u64,
    pub(crate) size: u64,
}

pub(crate) struct Writer {
    is_64: bool,
    is_big: bool,
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(is_64: bool, is_big: bool) -> Self {
        Self { is_64, is_big, bytes: Vec::new() }
    }

    fn number(&mut self, value: u64, bytes: usize) {
        let (little, big) = (value.to_le_bytes(), value.to_be_bytes());
        self.bytes.extend(if self.is_big { &big[8 - bytes..] } else { &little[..bytes] });
    }

    fn half(&mut self, value: u64) {
        self.number(value, 2);
    }

    fn word(&mut self, value: u64) {
        self.number(value, 4);
    }

    /// A number of the size of an address.
    fn long(&mut self, value: u64) {
        self.number(value, if self.is_64 { 8 } else { 4 });
    }

    /// A file with code and a symbol table.
    pub(crate) fn file(mut self, symbols: &[Symbol<'_>]) -> File {
        let (header, segment, section) = if self.is_64 { (64, 56, 64) } else { (52, 32, 40) };
        let sections_at = 0x200;
        self.bytes.extend(b"\x7fELF");
        self.bytes.extend([1 + u8::from(self.is_64), 1 + u8::from(self.is_big), 1]);
        self.bytes.resize(16, 0);
        self.half(3); // shared
        self.half(if self.is_64 { 62 } else { 20 }); // x86-64, PowerPC
        self.word(1);
        self.long(0); // entry
        self.long(header); // program headers
        self.long(sections_at);
        self.word(0);
        for half in [header, segment, 1, section, 5, 1] {
            self.half(half);
        }
        self.segment();
        let (names, table) = self.tables(symbols);
        let section_names = b"\0.shstrtab\0.text\0.symtab\0.strtab\0";
        let data_at = CODE_OFFSET + CODE_BYTES;
        let names_at = data_at + section_names.len() as u64;
        let table_at = names_at + names.len() as u64;
        self.bytes.resize(sections_at as usize, 0);
        self.section([0; 7]);
        self.section([1, 3, 0, 0, data_at, section_names.len() as u64, 0]);
        self.section([11, 1, 6, CODE, CODE_OFFSET, CODE_BYTES, 0]);
        self.section([17, 2, 0, 0, table_at, table.len() as u64, 4]);
        self.section([25, 3, 0, 0, names_at, names.len() as u64, 0]);
        self.bytes.resize(data_at as usize, 0x90);
        for part in [&section_names[..], &names, &table] {
            self.bytes.extend(part);
        }
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&self.bytes).expect("written");
        file
    }

    fn segment(&mut self) {
        let (read_execute, load) = (5, 1);
        self.word(load);
        if self.is_64 {
            self.word(read_execute);
        }
        for value in [CODE_OFFSET, CODE, CODE, CODE_BYTES, CODE_BYTES] {
            self.long(value);
        }
        if !self.is_64 {
            self.word(read_execute);
        }
        self.long(0x1000);
    }

    /// Name, type, flags, address, offset, size, link.
    fn section(&mut self, [name, kind, flags, address, offset, size, link]: [u64; 7]) {
        self.word(name);
        self.word(kind);
        for value in [flags, address, offset, size] {
            self.long(value);
        }
        self.word(link);
        self.word(0);
        self.long(1);
        self.long(0);
    }

    /// The string table and the symbol table.
    fn tables(&self, symbols: &[Symbol<'_>]) -> (Vec<u8>, Vec<u8>) {
        let (mut names, mut table) = (vec![0], Self::new(self.is_64, self.is_big));
        for symbol in symbols {
            let (info, text) = (symbol.binding << 4 | symbol.kind, 2);
            table.word(names.len() as u64);
            if !self.is_64 {
                table.long(CODE + symbol.start);
                table.long(symbol.size);
            }
            table.bytes.extend([info, 0]);
            table.half(text);
            if self.is_64 {
                table.long(CODE + symbol.start);
                table.long(symbol.size);
            }
            names.extend(symbol.name.as_bytes());
            names.push(0);
        }
        (names, table.bytes)
    }
}
