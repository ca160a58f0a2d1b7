//! Code that is assembled for a test; its labels say where it is looked at.

use object::{Object, ObjectSymbol};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use telegen_unwind::{Binary, Cfa, RawRule, ReturnAddress, Rule, SavedRegister};

pub(crate) const RDX: u8 = 1;
pub(crate) const RCX: u8 = 2;
pub(crate) const RBP: u8 = 6;
pub(crate) const RSP: u8 = 7;
pub(crate) const R9: u8 = 9;
pub(crate) const R10: u8 = 10;
pub(crate) const R11: u8 = 11;

/// A library of this code, which has neither call frame information nor sizes of functions.
pub(crate) struct Code {
    pub(crate) labels: BTreeMap<String, u64>,
    pub(crate) binary: Binary,
}

const END: &str = "\n.section .note.GNU-stack,\"\"\n";

impl Code {
    /// `.fn` is for a function that has a symbol.
    pub(crate) fn assemble(name: &str, text: &str) -> Self {
        let text = format!(".macro .fn name\n.type \\name, @function\n\\name:\n.endm\n{text}");
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let (source, library) = (directory.join(format!("{name}.s")), directory.join(format!("{name}.so")));
        std::fs::write(&source, format!(".text\n.skip 512, 0xcc\n{text}{END}")).expect("a file");
        let arguments = ["-shared", "-nostdlib", "-Wl,-z,noseparate-code"];
        let done = Command::new("cc").args(arguments).arg(&source).arg("-o").arg(&library).output();
        let done = done.expect("a C compiler, which this crate is built with as well");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let bytes = std::fs::read(&library).expect("the library");
        let file = object::File::parse(&*bytes).expect("an ELF file");
        let label = |symbol: object::Symbol<'_, '_>| Some((symbol.name().ok()?.to_owned(), symbol.address()));
        let labels = file.symbols().filter_map(label).collect();
        Self { labels, binary: Binary::read(std::io::Cursor::new(bytes)).expect("a table") }
    }

    /// The rule at a label.
    pub(crate) fn at(&self, label: &str) -> RawRule {
        let address = self.labels.get(label).unwrap_or_else(|| panic!("{label} is in the code"));
        self.binary.compiled.book.rules()[usize::from(self.binary.compiled.table.find(*address).0)]
    }

    pub(crate) fn assert(&self, label: &str, rule: Rule) {
        assert_eq!(self.at(label), rule.into(), "at {label}");
    }
}

pub(crate) fn frame(register: u8, offset: i32, frame_pointer: SavedRegister) -> Rule {
    let cfa = Cfa::Register { register, offset };
    Rule::Frame { cfa, frame_pointer, rbx: SavedRegister::Lost, return_address: ReturnAddress::AtCfa(-8) }
}

/// The frame is so far above the stack pointer, and the caller's frame pointer in its register.
pub(crate) fn pushed(bytes: i32) -> Rule {
    frame(RSP, bytes + 8, SavedRegister::Same)
}
