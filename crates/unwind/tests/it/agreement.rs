//! The tables of real binaries, address by address: what gimli computes from the same registers and memory, the kernel side
//! must arrive at as well.

use crate::arm_step;
use crate::kernel_side::{self, Registers, State, Step};
use gimli::{
    AArch64, BaseAddresses, CfaRule, EhFrame, EndianSlice, EvaluationResult, LittleEndian, Register,
    RegisterRule, UnwindContext, UnwindSection, Value, Vendor, X86_64,
};
use object::{Architecture, Object, ObjectSection};
use std::path::{Path, PathBuf};
use std::process::Command;
use telegen_unwind::{Arch, Compiled, RawRule, Sections, compile};

pub(crate) type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// Memory all of whose words look like addresses on a stack above the present frame, and differ.
fn word(address: u64) -> u64 {
    0x7100_0000_0000 + (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 36 << 3)
}

/// Registers by their DWARF numbers.
#[derive(Clone, Copy)]
struct Machine {
    arch: Arch,
    vendor: Vendor,
    stack_pointer: Register,
    frame_pointer: Register,
    return_address: Register,
}

const X86: Machine = Machine {
    arch: Arch::X86_64,
    vendor: Vendor::Default,
    stack_pointer: X86_64::RSP,
    frame_pointer: X86_64::RBP,
    return_address: X86_64::RA,
};
const ARM: Machine = Machine {
    arch: Arch::Aarch64,
    vendor: Vendor::AArch64,
    stack_pointer: AArch64::SP,
    frame_pointer: AArch64::X29,
    return_address: AArch64::X30,
};

impl Machine {
    /// Any register but the stack pointer holds an address well above it.
    fn register(self, number: u16) -> u64 {
        let above =
            if number == self.stack_pointer.0 { 0 } else { 0x1000_0000 + u64::from(number) * 0x11_0000 };
        0x7000_0000_0000 + above
    }

    /// The caller of the frame that is in these registers. The kernel side's step is one for x86; Arm's is what `rule.rs` says.
    fn step(self, rule: &RawRule, pc: u64) -> (Step, State) {
        let [sp, fp] = [self.stack_pointer, self.frame_pointer].map(|number| self.register(number.0));
        let before = Registers { pc, sp, fp: Some(fp) };
        let memory = |address| Some(word(address));
        match self.arch {
            Arch::X86_64 => {
                let is_other = u16::from(rule.register) != self.stack_pointer.0;
                let other = is_other.then(|| self.register(rule.register.into()));
                let before = State { rbx_at: IN_REGISTER, ..State::of(before) };
                kernel_side::step_in(rule, before, other, 0, &memory)
            }
            Arch::Aarch64 => {
                let (step, after) = arm_step::step(rule, before, &|number| self.register(number), &memory);
                (step, State::of(after))
            }
        }
    }
}

/// Of [`State::rbx_at`].
const IN_REGISTER: u64 = 1;
/// `TG_RULE_RETURN_IN_REGISTER` of `c/unwind_table.h`.
const RETURN_IN_REGISTER: u8 = 7;

struct Binary<'a> {
    machine: Machine,
    tells_rbx: bool,
    frame: EhFrame<Bytes<'a>>,
    bases: BaseAddresses,
    compiled: Compiled,
}

#[derive(Default, Debug)]
struct Tally {
    rows: u64,
    /// Addresses at which the kernel side's search was held against the row, …
    addresses: u64,
    /// … and of all functions together.
    described: u64,
    /// Addresses at which its step was, too.
    steps: u64,
    /// Rows whose frame is found by a register that is neither stack nor frame pointer.
    by_others: u64,
    outermost: u64,
    signal: u64,
    unsupported: u64,
    /// Steps from functions that have saved `rbx`.
    rbx_saved: u64,
}

/// What a file's `.eh_frame` says, for us and for gimli.
pub(crate) fn described<'a>(
    file: &object::File<'a>,
) -> (Sections<Bytes<'a>>, EhFrame<Bytes<'a>>, BaseAddresses) {
    let address = |name| file.section_by_name(name).map_or(0, |section| section.address());
    let section = file.section_by_name(".eh_frame").expect("call frame information");
    let bytes = EndianSlice::new(section.data().expect("its bytes"), LittleEndian);
    let bases = BaseAddresses::default()
        .set_eh_frame(section.address())
        .set_text(address(".text"))
        .set_got(address(".got"));
    let sections = Sections {
        start: 0,
        eh_frame: Some((bytes, section.address())),
        debug_frame: None,
        text: address(".text"),
        got: address(".got"),
        tells_rbx: false,
    };
    (sections, EhFrame::from(bytes), bases)
}

impl<'a> Binary<'a> {
    fn read(file: &object::File<'a>, tells_rbx: bool) -> Self {
        let machine = if file.architecture() == Architecture::Aarch64 { ARM } else { X86 };
        let (sections, mut frame, bases) = described(file);
        let compiled = compile(machine.arch, Sections { tells_rbx, ..sections }).expect("a table");
        frame.set_vendor(machine.vendor);
        Self { machine, tells_rbx, frame, bases, compiled }
    }

    /// Every address of every function: that its rule is found. The step by it, at the first, the middle and the last address
    /// of each row.
    fn compare(&self) -> Tally {
        let mut tally = Tally::default();
        let mut entries = self.frame.entries(&self.bases);
        let mut context = UnwindContext::new();
        while let Some(entry) = entries.next().expect("an entry") {
            let gimli::CieOrFde::Fde(partial) = entry else { continue };
            let fde = partial.parse(EhFrame::cie_from_offset).expect("a function");
            tally.described += fde.len();
            let mut rows = fde.rows(&self.frame, &self.bases, &mut context).expect("its rows");
            while let Some(row) = rows.next_row().expect("a row") {
                let (first, last) = (row.start_address(), row.end_address() - 1);
                if row.start_address() >= fde.end_address() || last < first {
                    continue;
                }
                tally.rows += 1;
                let rule = self.compiled.table.find(first);
                for pc in first..=last {
                    assert_eq!(kernel_side::find(&self.compiled.table, pc), rule, "at {pc:#x}");
                }
                tally.addresses += last - first + 1;
                let mut places = vec![first, first + (last - first) / 2, last];
                places.dedup();
                for pc in places {
                    tally.steps += 1;
                    self.compare_at(pc, row, &fde, &mut tally);
                }
            }
        }
        tally
    }

    fn compare_at(
        &self,
        pc: u64,
        row: &gimli::UnwindTableRow<usize>,
        fde: &gimli::FrameDescriptionEntry<Bytes<'_>>,
        tally: &mut Tally,
    ) {
        let number = self.compiled.table.find(pc);
        assert_eq!(kernel_side::find(&self.compiled.table, pc), number, "at {pc:#x}");
        let rule = &self.compiled.book.rules()[usize::from(number.0)];
        let (register, by) = (|number| self.machine.register(number), u16::from(rule.register));
        let follows = [self.machine.stack_pointer.0, self.machine.frame_pointer.0].contains(&by);
        tally.by_others += u64::from(matches!(rule.kind, 1 | 2) && !follows);
        let (step, State { registers: after, rbx_at, .. }) = self.machine.step(rule, pc);
        let return_address = self.machine.return_address;
        if row.register(return_address) == Some(RegisterRule::Undefined) {
            tally.outermost += 1;
            assert_eq!(step, Step::Outermost, "at {pc:#x}");
            return;
        }
        if step == Step::Unsupported {
            tally.unsupported += 1;
            return;
        }
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register: base, offset } => {
                register(base.0).wrapping_add_signed(*offset)
            }
            CfaRule::Expression(expression) => self.evaluate(expression, fde, pc, None),
        };
        if fde.is_signal_trampoline() && row.register(return_address) != Some(RegisterRule::Offset(-8)) {
            tally.signal += 1;
        }
        let value = |number| match row.register(number) {
            None | Some(RegisterRule::SameValue) => Some(register(number.0)),
            Some(RegisterRule::Register(other)) => Some(register(other.0)),
            Some(RegisterRule::Offset(offset)) => Some(word(cfa.wrapping_add_signed(offset))),
            Some(RegisterRule::Expression(expression)) => {
                Some(word(self.evaluate(&expression, fde, pc, Some(cfa))))
            }
            _ => None,
        };
        assert_eq!(step, Step::Done, "at {pc:#x}: {rule:?}");
        assert_eq!(after.sp, cfa, "stack pointer at {pc:#x}: {rule:?} for {row:?}");
        assert_eq!(Some(after.pc), value(return_address), "return address at {pc:#x}: {rule:?} for {row:?}");
        if self.tells_rbx {
            let saved = match row.register(X86_64::RBX) {
                None | Some(RegisterRule::SameValue) => IN_REGISTER,
                Some(RegisterRule::Offset(offset)) => cfa.wrapping_add_signed(offset),
                _ => 0,
            };
            tally.rbx_saved += u64::from(saved > IN_REGISTER);
            if !fde.is_signal_trampoline() && rule.kind != RETURN_IN_REGISTER {
                assert_eq!(rbx_at, saved, "rbx at {pc:#x}: {rule:?} for {row:?}");
            }
        }
        if after.fp.is_some() {
            assert_eq!(
                after.fp,
                value(self.machine.frame_pointer),
                "frame pointer at {pc:#x}: {rule:?} for {row:?}"
            );
        } else {
            assert_eq!(
                value(self.machine.frame_pointer),
                None,
                "frame pointer lost at {pc:#x}: {rule:?} for {row:?}"
            );
        }
    }

    fn evaluate(
        &self,
        expression: &gimli::UnwindExpression<usize>,
        fde: &gimli::FrameDescriptionEntry<Bytes<'_>>,
        pc: u64,
        start: Option<u64>,
    ) -> u64 {
        let expression = expression.get(&self.frame).expect("an expression");
        let mut evaluation = expression.evaluation(fde.cie().encoding());
        if let Some(start) = start {
            evaluation.set_initial_value(start);
        }
        let mut result = evaluation.evaluate().expect("it can be evaluated");
        loop {
            result = match result {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register: number, .. } => {
                    let is_here = number == X86_64::RA && self.machine.arch == Arch::X86_64;
                    let value = if is_here { pc } else { self.machine.register(number.0) };
                    evaluation.resume_with_register(Value::Generic(value)).expect("a register")
                }
                EvaluationResult::RequiresMemory { address, .. } => {
                    evaluation.resume_with_memory(Value::Generic(word(address))).expect("memory")
                }
                other => panic!("{other:?}"),
            };
        }
        let pieces = evaluation.result();
        match pieces.first().expect("a piece").location {
            gimli::Location::Address { address } => address,
            ref other => panic!("{other:?}"),
        }
    }
}

fn compare(path: &Path, tells_rbx: bool) -> (Tally, Compiled) {
    let bytes = std::fs::read(path).expect("a file");
    let file = object::File::parse(&*bytes).expect("an ELF file");
    let binary = Binary::read(&file, tells_rbx);
    let tally = binary.compare();
    (tally, binary.compiled)
}

/// Fails unless all addresses of a file lead where they must, by a table that is small.
fn assert_agrees(path: &Path) -> Tally {
    let (tally, compiled) = compare(path, false);
    // Four bytes a row, and what blocks that are not full leave empty.
    let bytes = compiled.table.bytes().len();
    assert!(bytes < compiled.table.rows() * 5 + (8 << 10), "{}: {bytes} bytes", path.display());
    assert!(compiled.book.rules().len() < 1_000, "{}", path.display());
    assert!(tally.rows > 0, "{}: {tally:?}", path.display());
    assert_eq!(tally.addresses, tally.described, "{}: {tally:?}", path.display());
    assert!(tally.steps >= tally.rows && tally.steps <= tally.rows * 3, "{}: {tally:?}", path.display());
    // What the kernel side cannot follow in a caller.
    assert!(tally.by_others * 20 <= tally.steps, "{}: {tally:?}", path.display());
    assert_eq!(compiled.damaged, 0, "{}", path.display());
    // The last instructions of `__builtin_eh_return`, which keep the return address in a register, are a few rows.
    assert!(tally.unsupported <= 12 + tally.steps / 2_000, "{}: {tally:?}", path.display());
    tally
}

/// The paths of all files that this test has mapped executable: itself, the C library, the loader.
fn mapped() -> Vec<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("this process's mappings");
    let executable = maps.lines().filter(|line| line.split_whitespace().nth(1) == Some("r-xp"));
    executable.filter_map(|line| Some(line.get(line.find('/')?..)?.into())).collect()
}

/// What the interpreter of Python, if there is one, has mapped of itself.
fn python() -> Vec<PathBuf> {
    let program =
        "print(''.join(line for line in open('/proc/self/maps') if 'r-xp' in line and 'python' in line))";
    let output = Command::new("python3").args(["-c", program]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(|line| Some(line.get(line.find('/')?..)?.into())).collect()
}

#[test]
fn every_address_of_every_function_leads_where_gimli_says() {
    let candidates = [
        "/usr/bin/node",
        "/usr/bin/perl",
        "/usr/bin/bash",
        "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
        "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
    ];
    let mut files = mapped();
    assert!(files.len() >= 3, "{files:?}");
    files.extend(candidates.iter().map(Into::into).filter(|path: &PathBuf| path.exists()));
    files.extend(python());
    let machines = std::fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten();
    files.extend(machines.map(|java| java.path().join("lib/server/libjvm.so")).filter(|path| path.exists()));
    let (mut signals, mut addresses) = (0, 0);
    for path in &files {
        let tally = assert_agrees(path);
        signals += tally.signal;
        addresses += tally.addresses;
    }
    assert!(signals > 0, "the C library has a signal trampoline");
    assert!(addresses > 2_000_000, "{addresses} addresses of {files:?}");
}

#[test]
fn where_rbx_is_saved_is_where_gimli_says() {
    let tallies: Vec<_> = mapped().iter().map(|path| compare(path, true).0).collect();
    assert!(tallies.iter().map(|tally| tally.rbx_saved).sum::<u64>() > 50_000, "{tallies:?}");
}

/// Where Debian and Ubuntu put libraries of Arm's that are there to link programs with.
const ARM_LIBRARIES: &str = "/usr/aarch64-linux-gnu/lib";

#[test]
fn every_address_of_arm_leads_where_gimli_says() {
    let file = |name| Path::new(ARM_LIBRARIES).join(name);
    let files =
        ["libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1", "ld-linux-aarch64.so.1"].map(file);
    if let Some(missing) = files.iter().find(|path| !path.exists()) {
        return eprintln!("SKIPPED: there is no {}", missing.display());
    }
    let tallies = files.map(|path| assert_agrees(&path));
    let addresses: u64 = tallies.iter().map(|tally| tally.addresses).sum();
    assert!(addresses > 2_000_000, "{tallies:?}");
    assert!(
        tallies.iter().any(|tally| tally.outermost > 0),
        "where a process and its threads begin: {tallies:?}"
    );
}

/// Saves and signs the return address, as distributions build their programs.
const SIGNING: &str = "void other(volatile int *); int signing(volatile int *n) { other(n); return *n + 1; }";

#[test]
fn arm_functions_that_sign_their_return_address_are_described() {
    let directory = tempfile::tempdir().expect("a directory");
    let [source, object] = ["signing.c", "signing.o"].map(|name| directory.path().join(name));
    std::fs::write(&source, SIGNING).expect("written");
    let options = ["--target=aarch64-linux-gnu", "-O2", "-c", "-mbranch-protection=standard"];
    match Command::new("clang")
        .args(options)
        .args(["-funwind-tables", "-o"])
        .args([&object, &source])
        .status()
    {
        Err(error) => return eprintln!("SKIPPED: no clang: {error}"),
        Ok(status) => assert!(status.success(), "clang {options:?}"),
    }
    // The one function stands at the address that no linker has filled in.
    let tally = assert_agrees(&object);
    assert!(tally.rows >= 3 && tally.unsupported == 0, "{tally:?}");
}
