//! Stacks of real programs, stopped at moments that they do not choose: from the same registers and memory, framehop, which knows
//! nothing of tables and rules, must come to the same callers.

use crate::kernel_side::{self, Registers, Step};
use crate::stopped::{Mapping, Running, Stopped};
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Module, Unwinder};
use object::{Object, ObjectSection, ObjectSegment, SegmentFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;
use telegen_unwind::{Binary, RuleId};

const MOMENTS: usize = 400;
/// Kinds of rules, as `src/rule.rs` has them.
const REGISTER: u8 = 1;
const DEREF: u8 = 2;
const SIGNAL: u8 = 4;
/// Registers by their DWARF numbers.
const RBP: u8 = 6;
const RSP: u8 = 7;
/// More frames than any of the programs has.
const MOST_FRAMES: usize = 2_000;

/// A binary as telegen has it, and the distance from where it is linked to stand.
struct Loaded {
    mapping: Mapping,
    binary: Binary,
    bias: u64,
}

/// All code of a program, for both.
struct Code {
    loaded: BTreeMap<u64, Loaded>,
    unwinder: UnwinderX86_64<Vec<u8>>,
    cache: CacheX86_64,
}

#[derive(Default, Debug)]
struct Tally {
    stacks: usize,
    frames: usize,
    /// The deepest stack.
    deepest: usize,
    /// Where stacks were interrupted.
    leaves: BTreeSet<u64>,
    /// Stacks through the frame of a signal.
    through_signals: usize,
    /// Stacks that were not compared to their end, and why.
    passed_over: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn pass_over(&mut self, why: &'static str) {
        *self.passed_over.entry(why).or_default() += 1;
    }
}

impl Code {
    fn new() -> Self {
        Self { loaded: BTreeMap::new(), unwinder: UnwinderX86_64::new(), cache: CacheX86_64::new() }
    }

    /// Libraries come when a program has begun.
    fn refresh(&mut self, program: &Running, stopped: &Stopped) {
        for mapping in program.code() {
            if mapping.name == "[vsyscall]"
                || self.loaded.get(&mapping.start).is_some_and(|known| known.mapping == mapping)
            {
                continue;
            }
            let bytes = match mapping.name.as_str() {
                "[vdso]" => stopped.bytes(mapping.start, mapping.end),
                path => std::fs::read(path).expect("a file that is mapped"),
            };
            let bias = self.add_to_framehop(&mapping, &bytes);
            let binary = Binary::read(Cursor::new(bytes)).expect("a table");
            self.loaded.insert(mapping.start, Loaded { mapping, binary, bias });
        }
    }

    fn add_to_framehop(&mut self, mapping: &Mapping, bytes: &[u8]) -> u64 {
        let file = object::File::parse(bytes).expect("an ELF file");
        let is_here = |segment: &object::Segment<'_, '_>| {
            let SegmentFlags::Elf { p_flags, .. } = segment.flags() else { return false };
            p_flags.contains(object::elf::PF_X) && segment.file_range().0 & !0xfff == mapping.offset
        };
        let segment = file.segments().find(is_here).expect("the segment that is mapped here");
        let bias = mapping.start.wrapping_sub(segment.address() & !0xfff);
        let section = |name| {
            let section = file.section_by_name(name)?;
            Some((section.address()..section.address() + section.size(), section.data().ok()?.to_vec()))
        };
        let [text, eh_frame, eh_frame_hdr] = [".text", ".eh_frame", ".eh_frame_hdr"].map(section);
        let range = |section: &Option<(std::ops::Range<u64>, Vec<u8>)>| {
            section.as_ref().map(|(range, _)| range.clone())
        };
        let sections = ExplicitModuleSectionInfo {
            text_svma: range(&text),
            eh_frame_svma: range(&eh_frame),
            eh_frame_hdr_svma: range(&eh_frame_hdr),
            got_svma: range(&section(".got")),
            eh_frame: eh_frame.map(|(_, data)| data),
            eh_frame_hdr: eh_frame_hdr.map(|(_, data)| data),
            ..ExplicitModuleSectionInfo::default()
        };
        let module = Module::new(mapping.name.clone(), mapping.start..mapping.end, bias, sections);
        self.unwinder.add_module(module);
        bias
    }

    /// The rule for an address, as the kernel side finds it.
    fn rule(&self, pc: u64) -> Option<(RuleId, &telegen_unwind::RawRule)> {
        let (_, loaded) =
            self.loaded.range(..=pc).next_back().filter(|(_, loaded)| pc < loaded.mapping.end)?;
        let position = loaded.binary.layout.position(pc - loaded.mapping.start + loaded.mapping.offset)?;
        let table = &loaded.binary.compiled.table;
        let number = kernel_side::find(table, table.base() + u64::from(position));
        assert_eq!(table.base() + u64::from(position), pc - loaded.bias, "the position of {pc:#x}");
        Some((number, &loaded.binary.compiled.book.rules()[usize::from(number.0)]))
    }

    /// Goes up a stack with both, frame by frame. What raises an exception makes its own frame look like that of the handler which
    /// it then jumps to: interrupted in between, neither finds the way up.
    fn compare(&mut self, stopped: &Stopped, tally: &mut Tally) {
        let memory = |address| stopped.word(address);
        let first = &stopped.registers;
        let mut ours = Registers { pc: first.rip, sp: first.rsp, fp: Some(first.rbp) };
        let mut theirs = UnwindRegsX86_64::new(first.rip, first.rsp, first.rbp);
        let mut address = FrameAddress::from_instruction_pointer(first.rip);
        let (mut exact, mut path) = (true, vec![first.rip]);
        loop {
            let pc = ours.pc - u64::from(!exact);
            let is_first = path.len() == 1;
            let Some((number, &rule)) = self.rule(pc) else {
                return tally.pass_over("both are led where no code is");
            };
            if number == RuleId::UNKNOWN && is_first {
                return tally.pass_over("interrupted in what nothing describes");
            }
            assert_ne!(number, RuleId::UNKNOWN, "no rule at {pc:#x}: {path:x?}");
            if matches!(rule.kind, REGISTER | DEREF) && !matches!(rule.register, RBP | RSP) {
                return tally.pass_over("framehop does not follow the register");
            }
            let (step, after) =
                kernel_side::step(&rule, ours, is_first.then(|| stopped.register(rule.register)), &memory);
            path.push(after.pc);
            exact = rule.kind == SIGNAL;
            let caller_address = match exact {
                true => FrameAddress::from_instruction_pointer(after.pc),
                false => FrameAddress::from_return_address(after.pc.max(1)).expect("not 0"),
            };
            if matches!(rule.kind, DEREF | SIGNAL) && step == Step::Done {
                // framehop reads no memory to find a frame, which here it would have to. It goes on with the registers that
                // were found; had they been others, neither would find a way up from there.
                tally.through_signals += usize::from(exact);
                theirs = UnwindRegsX86_64::new(after.pc, after.sp, after.fp.unwrap_or_default());
                (ours, address) = (after, caller_address);
                continue;
            }
            let mut read = |address| memory(address).ok_or(());
            let caller = self.unwinder.unwind_frame(address, &mut theirs, &mut self.cache, &mut read);
            if caller.is_err() && matches!(step, Step::NoProgress | Step::Unreadable) {
                return tally.pass_over("both are led where no stack is");
            }
            let caller =
                caller.unwrap_or_else(|error| panic!("framehop: {error} at {pc:#x}: {rule:?} {path:x?}"));
            if step == Step::Outermost {
                path.pop();
                assert_eq!(caller, None, "the caller of {pc:#x}: {rule:?} {path:x?}");
                break;
            }
            assert_eq!(step, Step::Done, "at {pc:#x}: {rule:?} {path:x?}");
            assert_eq!(Some(after.pc), caller, "the caller of {pc:#x}: {rule:?} {path:x?}");
            assert_eq!(after.sp, theirs.sp(), "its stack at {pc:#x}: {rule:?} {path:x?}");
            if let Some(fp) = after.fp {
                assert_eq!(fp, theirs.bp(), "its frame pointer at {pc:#x}: {rule:?} {path:x?}");
            }
            (ours, address) = (after, caller_address);
            assert!(path.len() <= MOST_FRAMES, "it does not end: {path:x?}");
        }
        tally.stacks += 1;
        tally.frames += path.len();
        tally.deepest = tally.deepest.max(path.len());
        tally.leaves.insert(first.rip);
    }
}

/// Compiles one of the end-to-end tests' workloads; `None`, said aloud, if there is no such compiler here.
fn compile(compiler: &[&str], source: &str, to: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/workloads").join(source);
    let program = to.join("program");
    match Command::new(compiler[0]).args(&compiler[1..]).arg(&source).arg("-o").arg(&program).status() {
        Ok(status) => {
            assert!(status.success(), "{compiler:?} {}", source.display());
            Some(program)
        }
        Err(error) => {
            eprintln!("SKIPPED: no {}: {error}", compiler[0]);
            None
        }
    }
}

fn agree_on(compiler: &[&str], source: &str) -> Option<Tally> {
    let directory = tempfile::tempdir().expect("a directory");
    let program = compile(compiler, source, directory.path())?;
    Some(agree(&Running::start(&mut Command::new(program)).expect("a program that was just compiled")))
}

fn agree(program: &Running) -> Tally {
    let (mut code, mut tally, mut state) = (Code::new(), Tally::default(), 1_u64);
    for turn in 0..MOMENTS {
        // Uneven, so that the moments do not run in step with the program's rounds.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        thread::sleep(Duration::from_micros(500 + (state >> 33) % 6_000));
        let Some(stopped) = program.stop(turn) else { continue };
        code.refresh(program, &stopped);
        code.compare(&stopped, &mut tally);
    }
    tally
}

/// Fails unless nearly all moments were compared, and the stacks were long and of many kinds.
fn assert_telling(source: &str, tally: &Tally) {
    let kinds = tally.leaves.len();
    println!(
        "{source}: {} frames of {} stacks, {kinds} leaves; {:?}",
        tally.frames, tally.stacks, tally.passed_over
    );
    assert!(tally.stacks * 10 >= MOMENTS * 9, "{source}: {} stacks", tally.stacks);
    assert!(tally.passed_over.values().sum::<usize>() * 50 <= MOMENTS, "{source}: {:?}", tally.passed_over);
    assert!(tally.frames >= tally.stacks * 5, "{source}: {} frames of {} stacks", tally.frames, tally.stacks);
    assert!(kinds >= 4 && tally.deepest >= 10, "{source}: {kinds} leaves, {} frames", tally.deepest);
}

#[test]
fn of_c_are_what_framehop_has() {
    let options = ["gcc", "-O2", "-fomit-frame-pointer", "-pthread"];
    let Some(tally) = agree_on(&options, "stacks.c") else { return };
    assert_telling("stacks.c", &tally);
    assert!(tally.through_signals > 0, "it spends time in handlers of signals");
    assert!(tally.deepest > 400, "it recurses 400 times");
}

#[test]
fn of_cpp_with_exceptions_are_what_framehop_has() {
    let options = ["g++", "-std=c++17", "-O2", "-fomit-frame-pointer", "-pthread"];
    let Some(tally) = agree_on(&options, "exceptions.cpp") else { return };
    assert_telling("exceptions.cpp", &tally);
}

#[test]
fn of_rust_are_what_framehop_has() {
    let options = ["rustc", "--edition=2021", "-Copt-level=3"];
    let Some(tally) = agree_on(&options, "stacks.rs") else { return };
    assert_telling("stacks.rs", &tally);
}

/// Half an interpreter, a C library and a library for cryptography, much of that in assembly: few moments are alike.
const BUSY: &str = "
import hashlib, json, re, zlib
words = [str(n * 7919 % 1009) + 'x' * (n % 13) for n in range(400)]
while True:
    text = json.dumps(sorted(words, key=len))
    re.sub('x+', lambda found: found.group().upper(), text)
    zlib.decompress(zlib.compress(text.encode()))
    [hashlib.new(name, text.encode()).digest() for name in ('md5', 'sha1', 'sha256', 'sha512')]
    {word: float(len(word)) / 3 for word in json.loads(text)}
";

#[test]
fn of_an_interpreter_are_what_framehop_has() {
    let program = match Running::start(Command::new("python3").args(["-I", "-c", BUSY])) {
        Ok(program) => program,
        Err(error) => return eprintln!("SKIPPED: no python3: {error}"),
    };
    let tally = agree(&program);
    assert_telling("python3", &tally);
    assert!(tally.leaves.len() > MOMENTS / 3, "it was interrupted in {} places", tally.leaves.len());
}
