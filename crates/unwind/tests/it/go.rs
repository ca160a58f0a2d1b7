//! The tables of Go programs, against the machine code of their functions.

use crate::go_code::states;
use crate::go_program::{Program, functions, programs};
use crate::go_structures::fields;
use crate::kernel_side;
use iced_x86::{Decoder, DecoderOptions};
use object::{Object, ObjectSection};
use std::io::Cursor;
use telegen_unwind::{Binary, RawRule, RuleId};

/// `enum tg_rule_kind` of `c/unwind_table.h`, and its places.
const REGISTER: u8 = 1;
const OUTERMOST: u8 = 5;
const OTHER_STACK: u8 = 8;
const INTERRUPTED: u8 = 9;
const CALL_OF_C: u8 = 10;
const GOROUTINE: u8 = 11;
const SAME: u8 = 0;
const AT_CFA: u8 = 1;
/// What debug information calls these registers.
const RBP: u8 = 6;
const RSP: u8 = 7;

/// What runs without having been called, or leaves its caller in other ways than by its frame.
const SPECIAL: [&str; 15] = [
    "_rt0_amd64",
    "_rt0_amd64_linux",
    "runtime.goexit",
    "runtime.mstart",
    "runtime.rt0_go",
    "runtime.systemstack",
    "runtime.morestack",
    "runtime.mcall",
    "runtime.asmcgocall",
    "runtime.clone",
    "runtime.sigreturn",
    "runtime.asyncPreempt",
    "runtime.sigpanic",
    "runtime.sigpanic0",
    "gogo",
];

fn is_special(name: &str) -> bool {
    let name = name.trim_end_matches(".abi0").trim_end_matches("__sigaction");
    SPECIAL.contains(&name)
}

#[test]
fn every_instruction_of_go_has_its_frame_where_the_code_says() {
    for program in programs() {
        let file = object::File::parse(&*program.bytes).expect("an ELF file");
        let binary = Binary::read(Cursor::new(&program.bytes)).expect("a table");
        let rules = binary.compiled.book.rules();
        let (mut checked, mut stored, mut wrong) = (0_u64, 0_u64, Vec::new());
        for function in functions(&file).iter().filter(|function| !is_special(function.name)) {
            for (at, state) in states(function.start, function.code) {
                let number = binary.compiled.table.find(at);
                assert_eq!(kernel_side::find(&binary.compiled.table, at), number);
                let rule = &rules[usize::from(number.0)];
                checked += 1;
                let keeps = match rule.frame_pointer {
                    SAME => state.in_register,
                    AT_CFA => state.stored == Some(rule.frame_pointer_offset.into()),
                    _ => false,
                };
                stored += u64::from(rule.frame_pointer == AT_CFA);
                let offset = i64::from(rule.cfa_offset);
                let fits = match (rule.kind, rule.register, state.depth) {
                    (REGISTER, RSP, Some(depth)) => offset == depth + 8,
                    // Back from where it is not known to be.
                    (REGISTER, RSP, None) => state.frame.is_none() || state.in_register,
                    (OTHER_STACK, RBP, _) => state.frame.is_some_and(|frame| frame + offset == 0),
                    _ => false,
                };
                if !(fits && keeps) {
                    wrong.push((function.name, at - function.start, state, *rule));
                }
            }
        }
        assert!(checked > 100_000 && stored * 3 > checked, "{}: {checked} instructions", program.what);
        assert!(
            wrong.len() as u64 * 10_000 <= checked,
            "{}: {} of {checked}, such as {:#?}",
            program.what,
            wrong.len(),
            &wrong[..wrong.len().min(8)]
        );
    }
}

#[test]
fn a_stripped_program_has_the_same_table() {
    for program in programs() {
        let path = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(path.path(), &program.bytes).expect("written");
        let stripped = tempfile::NamedTempFile::new().expect("a file");
        let mut strip = std::process::Command::new("objcopy");
        let ran = strip.arg("--strip-all").args([path.path(), stripped.path()]).status();
        assert!(ran.expect("binutils are installed").success());
        let whole = Binary::read(Cursor::new(&program.bytes)).expect("a table");
        let without = Binary::read(std::fs::File::open(stripped.path()).expect("a file")).expect("a table");
        assert_eq!(whole.compiled.table.bytes(), without.compiled.table.bytes(), "{}", program.what);
        assert_eq!(whole.compiled.book.rules(), without.compiled.book.rules(), "{}", program.what);
    }
}

/// The rules of a function of that name, one for each instruction.
fn rules_of(program: &Program, name: &str) -> Vec<RawRule> {
    let file = object::File::parse(&*program.bytes).expect("an ELF file");
    let binary = Binary::read(Cursor::new(&program.bytes)).expect("a table");
    let functions = functions(&file);
    // The one in assembly, if there is another one that calls it as the compiler does.
    let named = |wanted: &str| functions.iter().find(|function| function.name == wanted);
    let function = named(&format!("{name}.abi0")).or_else(|| named(name)).expect("the function");
    let mut decoder = Decoder::with_ip(64, function.code, function.start, DecoderOptions::NONE);
    let addresses = std::iter::from_fn(|| decoder.can_decode().then(|| decoder.decode().ip()));
    let numbers = addresses.map(|at| binary.compiled.table.find(at));
    numbers.map(|RuleId(number)| binary.compiled.book.rules()[usize::from(number)]).collect()
}

fn kinds_of(program: &Program, name: &str) -> Vec<u8> {
    let mut kinds: Vec<u8> = rules_of(program, name).iter().map(|rule| rule.kind).collect();
    kinds.dedup();
    kinds
}

#[test]
fn a_goroutine_begins_in_an_outermost_frame() {
    for program in programs() {
        for name in ["runtime.goexit", "runtime.mstart", "runtime.rt0_go"] {
            assert_eq!(kinds_of(&program, name), [OUTERMOST], "{}: {name}", program.what);
        }
    }
}

/// From where the stack pointer is on the thread's own stack to where it is back.
#[test]
fn functions_that_change_stacks_have_another_rule_meanwhile() {
    for program in programs() {
        let what = &program.what;
        assert_eq!(kinds_of(&program, "runtime.morestack"), [REGISTER, GOROUTINE], "{what}");
        assert_eq!(kinds_of(&program, "runtime.mcall"), [REGISTER, OUTERMOST], "{what}");
        assert_eq!(kinds_of(&program, "gogo"), [REGISTER, OUTERMOST], "{what}");
        assert_eq!(kinds_of(&program, "runtime.clone"), [REGISTER, OUTERMOST], "{what}");
        let call_of_c = [REGISTER, OTHER_STACK, CALL_OF_C, REGISTER, OTHER_STACK, CALL_OF_C, REGISTER];
        assert_eq!(kinds_of(&program, "runtime.asmcgocall"), call_of_c, "{what}");
        let systemstack = kinds_of(&program, "runtime.systemstack");
        let is_one = [[REGISTER, GOROUTINE, REGISTER], [REGISTER, OTHER_STACK, REGISTER]];
        assert!(is_one.iter().any(|kinds| systemstack.starts_with(kinds)), "{what}: {systemstack:?}");
        assert_eq!(kinds_of(&program, "runtime.nanotime1")[..2], [REGISTER, OTHER_STACK], "{what}");
        if what.contains("with C") {
            assert_eq!(kinds_of(&program, "runtime.cgocallback")[..2], [REGISTER, OTHER_STACK], "{what}");
        }
        assert_eq!(kinds_of(&program, "runtime.asyncPreempt"), [INTERRUPTED], "{what}");
        assert!(kinds_of(&program, "runtime.sigtramp").iter().all(|kind| *kind == REGISTER), "{what}");
    }
}

#[test]
fn what_leads_to_a_goroutine_is_where_debug_information_has_it() {
    for program in programs() {
        let file = object::File::parse(&*program.bytes).expect("an ELF file");
        let fields = fields(&file, &["runtime.g", "runtime.m", "runtime.gobuf"]);
        let offset = |structure: &str, field: &str| fields[&(structure.to_owned(), field.to_owned())];
        let sched = offset("runtime.g", "sched");
        let rules = rules_of(&program, "runtime.morestack");
        let rule = rules.iter().find(|rule| rule.kind == GOROUTINE).expect("a rule");
        // The thread's local storage of an executable ends where the register points to, and this is all there is.
        assert_eq!(rule.cfa_offset, -8, "{}", program.what);
        assert_eq!(u64::from(rule.register), offset("runtime.g", "m"), "{}", program.what);
        assert_eq!(rule.frame_pointer_offset as u64, offset("runtime.m", "curg"), "{}", program.what);
        assert_eq!(u64::from(rule.frame_pointer), sched + offset("runtime.gobuf", "sp"), "{}", program.what);
        assert_eq!(offset("runtime.gobuf", "pc"), offset("runtime.gobuf", "sp") + 8, "{}", program.what);
        assert_eq!(
            rule.return_address_offset as u64,
            sched + offset("runtime.gobuf", "bp"),
            "{}",
            program.what
        );
    }
}

/// A file is hostile: whatever its table and its code say, there is a table of rows or none.
#[test]
fn damage_costs_rows_alone() {
    let Some(program) = programs().into_iter().next() else { return };
    let file = object::File::parse(&*program.bytes).expect("an ELF file");
    let range = |name: &str| {
        let (offset, bytes) = file.section_by_name(name)?.file_range()?;
        Some((offset as usize, bytes as usize))
    };
    let (table, code) = (range(".gopclntab").expect("Go's table"), range(".text").expect("code"));
    // The first bytes, of which all else depends, and any.
    let places = [(table.0, 80), (table.0, 80), table, code];
    let mut random = 1_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (random >> 33) as usize % below
    };
    let mut with_rows = 0;
    for round in 0..24 {
        let mut bytes = program.bytes.clone();
        let (start, length) = places[round % places.len()];
        for _ in 0..1 + next(if length == 80 { 3 } else { length / 8 }) {
            bytes[start + next(length)] = if next(2) == 0 { 0xff } else { next(256) as u8 };
        }
        let binary = Binary::read(Cursor::new(&bytes));
        with_rows += u32::from(binary.is_ok_and(|binary| binary.compiled.table.rows() > 1_000));
    }
    assert!(with_rows >= 6, "{with_rows}");
}
