//! The tables of Go programs, against the machine code of their functions.

use crate::go_code::states;
use crate::go_program::{functions, programs};
use crate::kernel_side;
use std::io::Cursor;
use telegen_unwind::{Binary, RawRule, RuleId};

/// `TG_RULE_REGISTER` and `TG_RULE_OUTERMOST` of `c/unwind_table.h`; its places.
const REGISTER: u8 = 1;
const OUTERMOST: u8 = 5;
const SAME: u8 = 0;
const AT_CFA: u8 = 1;

/// What runs without having been called, and what changes stacks.
const SPECIAL: [&str; 17] = [
    "runtime.goexit",
    "runtime.mstart",
    "runtime.rt0_go",
    "runtime.sigtramp",
    "runtime.sigprofNonGoWrapper",
    "runtime.systemstack",
    "runtime.morestack",
    "runtime.mcall",
    "runtime.asmcgocall",
    "runtime.cgocallback",
    "runtime.nanotime1",
    "runtime.clone",
    "runtime.sigreturn",
    "runtime.asyncPreempt",
    "runtime.sigpanic",
    "time.now",
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
                let fits = rule.kind == REGISTER
                    && rule.register == 7
                    && i64::from(rule.cfa_offset) == state.depth + 8;
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

#[test]
fn a_goroutine_begins_in_an_outermost_frame() {
    for program in programs() {
        let file = object::File::parse(&*program.bytes).expect("an ELF file");
        let binary = Binary::read(Cursor::new(&program.bytes)).expect("a table");
        let functions = functions(&file);
        let found = functions.iter().filter(|function| function.name.starts_with("runtime.goexit"));
        let kinds: Vec<RawRule> = found
            .filter(|function| function.name.trim_end_matches(".abi0") == "runtime.goexit")
            .map(|function| binary.compiled.table.find(function.start))
            .map(|RuleId(number)| binary.compiled.book.rules()[usize::from(number)])
            .collect();
        assert!(
            !kinds.is_empty() && kinds.iter().all(|rule| rule.kind == OUTERMOST),
            "{}: {kinds:?}",
            program.what
        );
    }
}
