//! What a program's or a library's file says of its machine code, read without any of telegen's own code.

mod calls;
mod tables;

pub use calls::Call;

use anyhow::{Context, Result};
use iced_x86::{Decoder, DecoderOptions, Instruction};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

/// How far in front of the first instruction of a thread the system call is that has made the thread.
const THREAD_START: u64 = 48;

/// A function, or the part of one that lies apart from the rest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Function {
    /// Where it begins.
    pub start: u64,
    /// The first address behind it.
    pub end: u64,
}

impl Function {
    /// Whether an address lies in it.
    pub fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// A function that other modules can call by its name.
#[derive(Clone, Copy, Debug)]
pub struct Export {
    /// Where it begins.
    pub address: u64,
    /// Whether it only chooses, when the program starts, which function is called under that name.
    pub chooses: bool,
}

/// An executable file of x86-64, as far as calls go. All addresses are those of the file.
#[derive(Debug)]
pub struct Module {
    code: Vec<(u64, Vec<u8>)>,
    symbols: BTreeMap<u64, u64>,
    described: BTreeMap<u64, u64>,
    names: HashMap<u64, Vec<String>>,
    exports: HashMap<String, Vec<Export>>,
    slots: HashMap<u64, Option<String>>,
    stubs: Vec<Function>,
    entry: u64,
}

impl Module {
    /// Reads a file, which should have its symbols.
    ///
    /// # Errors
    ///
    /// If it is no ELF file.
    pub fn read(path: &Path) -> Result<Self> {
        let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        tables::parse(&data).with_context(|| path.display().to_string())
    }

    /// The function at an address, by its symbol or, without one, by its call frame information.
    pub fn function(&self, address: u64) -> Option<Function> {
        let at = |ranges: &BTreeMap<u64, u64>| {
            let found = ranges.range(..=address).rev().take(4).find(|(_, end)| address < **end);
            found.map(|(&start, &end)| Function { start, end })
        };
        at(&self.symbols).or_else(|| at(&self.described))
    }

    /// The names of the function that begins at an address.
    pub fn names(&self, start: u64) -> &[String] {
        self.names.get(&start).map_or(&[], Vec::as_slice)
    }

    /// The function of such a name among those that others may call.
    pub fn exports(&self, name: &str) -> &[Export] {
        self.exports.get(name).map_or(&[], Vec::as_slice)
    }

    /// What the pointer at an address is set to when the program starts: the function of a name, or, inside, one that
    /// has none. `None` if it is no such pointer.
    pub fn slot(&self, address: u64) -> Option<Option<&str>> {
        self.slots.get(&address).map(Option::as_deref)
    }

    /// Whether an address is in the code that the kernel starts the program, or its interpreter, with.
    pub fn is_process_start(&self, address: u64) -> bool {
        let function =
            self.function(self.entry).unwrap_or(Function { start: self.entry, end: self.entry + 64 });
        function.contains(address)
    }

    /// Whether an address is in the code that a thread begins with: behind the system call that has made it.
    pub fn is_thread_start(&self, address: u64) -> bool {
        let front = self.bytes(address.saturating_sub(THREAD_START), address);
        front.is_some_and(|bytes| bytes.windows(2).any(|pair| pair == [0x0f, 0x05]))
    }

    /// Where the code begins that returns from a signal's handler, `rt_sigreturn`, number 15, if an address is in it: its
    /// own, that of the byte in front of it, which would be a call's, or one behind the system call.
    pub fn signal_return(&self, address: u64) -> Option<u64> {
        const SHORT: [u8; 7] = [0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05];
        const LONG: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
        (0..=10).filter_map(|back| (address + 1).checked_sub(back)).find(|&start| {
            let ends = |length: usize| address <= start + length as u64;
            self.begins(start, &SHORT) && ends(SHORT.len()) || self.begins(start, &LONG) && ends(LONG.len())
        })
    }

    /// Whether the code at an address is what a context of `makecontext` returns to.
    pub fn is_context_end(&self, address: u64) -> bool {
        // mov %rbx,%rsp; mov (%rsp),%rdi; test %rdi,%rdi: glibc's sysdeps/unix/sysv/linux/x86_64/__start_context.S.
        self.begins(address, &[0x48, 0x89, 0xdc, 0x48, 0x8b, 0x3c, 0x24, 0x48, 0x85, 0xff])
    }

    /// Whether the instruction that ends at an address is a system call.
    pub fn is_behind_system_call(&self, address: u64) -> bool {
        address > 1 && self.begins(address - 2, &[0x0f, 0x05])
    }

    /// Whether an instruction of a function begins at an address.
    pub fn is_instruction(&self, address: u64) -> bool {
        self.function(address)
            .is_none_or(|function| self.instructions(function).any(|instruction| instruction.ip() == address))
    }

    /// The instructions of a function, in order.
    fn instructions(&self, function: Function) -> impl Iterator<Item = Instruction> + '_ {
        let bytes = self.bytes(function.start, function.end).unwrap_or_default();
        Decoder::with_ip(64, bytes, function.start, DecoderOptions::NONE).into_iter()
    }

    fn begins(&self, address: u64, expected: &[u8]) -> bool {
        self.bytes(address, address + expected.len() as u64) == Some(expected)
    }

    fn bytes(&self, start: u64, end: u64) -> Option<&[u8]> {
        self.code.iter().find_map(|(base, bytes)| {
            let from = usize::try_from(start.checked_sub(*base)?).ok()?;
            let to = usize::try_from(end.checked_sub(*base)?).ok()?;
            bytes.get(from..to)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build_with;

    #[test]
    fn calls_are_found_in_front_of_where_they_return_to() -> Result<()> {
        let path = build_with("module-stacks", &["gcc", "-O1", "-pthread", "-DTG_COROUTINES"], "stacks.c")?;
        let module = Module::read(&path)?;
        let start = |name: &str| {
            let found = module.names.iter().find(|(_, names)| names.iter().any(|known| known == name));
            found.map(|(start, _)| *start).with_context(|| name.to_owned())
        };
        let function = module.function(start("tg_sorting")?).context("a function")?;
        let calls: Vec<Call> = module
            .instructions(function)
            .filter_map(|instruction| module.call_before(instruction.next_ip()))
            .collect();
        assert_eq!(calls, [Call::Named(Some("qsort".to_owned()))]);
        let function = module.function(start("tg_shallow")?).context("a function")?;
        let calls: Vec<Call> = module
            .instructions(function)
            .filter_map(|instruction| module.call_before(instruction.next_ip()))
            .collect();
        assert_eq!(calls, [Call::Function(start("tg_recurse")?)]);
        assert!(module.is_process_start(start("_start")? + 9));
        assert!(!module.is_process_start(start("main")?));
        assert!(module.is_instruction(function.start) && !module.is_instruction(function.start + 1));
        Ok(())
    }
}
