use crate::program::{C, CPP, Program, offset_of, symbolize};
use telegen_symbolize::Place;

fn names(place: &Place) -> Vec<&str> {
    place.frames.iter().map(|frame| &*frame.name).collect()
}

/// Function names and `file:line` at an address, innermost first, by `addr2line`.
fn by_addr2line(program: &Program, address: u64) -> Vec<(String, String)> {
    let text = program.tool("addr2line", &["-f", "-i", "-C", &format!("{address:#x}"), "-e"]);
    let lines: Vec<&str> = text.lines().collect();
    let place =
        |place: &str| place.rsplit('/').next().unwrap_or(place).split(" (").next().unwrap_or("").to_owned();
    lines.chunks_exact(2).map(|pair| (pair[0].to_owned(), place(pair[1]))).collect()
}

fn compare_with_addr2line(compiler: &str, source: &str, flags: &[&str], function: &str) {
    let Some(program) = Program::compile(compiler, source, flags) else { return };
    let functions = program.functions();
    let (_, start, size) = functions
        .iter()
        .find(|(name, ..)| name.contains(function))
        .unwrap_or_else(|| panic!("no {function}"));
    let addresses: Vec<u64> = (*start..start + size).collect();
    let offsets: Vec<u64> = addresses.iter().map(|&address| offset_of(&program, address)).collect();
    let places = symbolize(&program.path, &offsets);
    let mut inlined = 0;
    for (&address, place) in addresses.iter().zip(&places) {
        assert_eq!(place.address, address);
        let truth = by_addr2line(&program, address);
        let found: Vec<(String, String)> = place
            .frames
            .iter()
            .map(|frame| {
                let file = frame.file.rsplit('/').next().unwrap_or("");
                (frame.name.to_string(), format!("{file}:{}", frame.line))
            })
            .collect();
        inlined += usize::from(found.len() > 1);
        let truth: Vec<(String, String)> =
            truth.into_iter().map(|(name, place)| (name, place.replace(":?", ":0"))).collect();
        assert_eq!(found, truth, "{address:#x} with {flags:?}");
    }
    assert!(inlined > 0 || !flags.contains(&"-O2"), "something is inlined");
}

#[test]
fn inlined_functions_files_and_lines_are_those_of_addr2line() {
    for dwarf in ["-gdwarf-4", "-gdwarf-5"] {
        compare_with_addr2line("gcc", C, &["-O2", dwarf], "outer");
        compare_with_addr2line("gcc", C, &["-O2", dwarf, "-gz"], "outer");
    }
    compare_with_addr2line("gcc", C, &["-O2", "-g", "-static"], "outer");
    compare_with_addr2line("gcc", C, &["-O2", "-g", "-no-pie"], "outer");
}

#[test]
fn cpp_names_are_whole() {
    let Some(program) = Program::compile("g++", CPP, &["-O1", "-g"]) else { return };
    let functions = program.functions();
    let (_, start, _) = functions.iter().find(|(name, ..)| name.contains("total")).expect("the function");
    let place = &symbolize(&program.path, &[offset_of(&program, *start)])[0];
    assert_eq!(names(place).last(), Some(&"shop::Cart<long>::total(long) const"));
}

#[test]
fn without_debug_information_symbols_are_enough() {
    let Some(program) = Program::compile("gcc", C, &["-O2", "-g0"]) else { return };
    let functions = program.functions();
    for function in ["outer", "hidden", "main"] {
        // The compiler may have made `hidden` another name, such as `hidden.constprop.0`.
        let (name, start, size) =
            functions.iter().find(|(name, ..)| name.starts_with(function)).expect("there");
        for address in [*start, start + size - 1] {
            let place = &symbolize(&program.path, &[offset_of(&program, address)])[0];
            assert_eq!(names(place), [name.as_str()]);
            assert!(place.segment.is_some_and(|segment| segment.executable));
        }
    }
}

#[test]
fn a_stripped_program_has_modules_and_offsets() {
    let Some(program) = Program::compile("gcc", C, &["-O2", "-s", "-static"]) else { return };
    let places = symbolize(&program.path, &[0x1234, u64::MAX]);
    assert_eq!(names(&places[0]), ["[program+0x1234]"]);
    assert_eq!(names(&places[1]), ["[program+0xffffffffffffffff]"]);
}

#[test]
fn a_label_without_a_size_does_not_reach_beyond_the_next_function() {
    let source = r#"
__asm__(".text\n.globl bare\n.type bare, @function\nbare: nop; nop; ret\n");
__attribute__((noinline, aligned(64))) int after(int n) { volatile int x = n; return x; }
__attribute__((noinline, aligned(64))) int later(int n) { volatile int x = n; return x; }
int main(int argc, char **argv) { return after(argc) + later(argc); }
"#;
    let Some(program) = Program::compile("gcc", source, &["-O1", "-fno-toplevel-reorder"]) else { return };
    let text = program.tool("nm", &[]);
    let address = |name: &str| {
        let line = text.lines().find(|line| line.ends_with(&format!(" {name}"))).expect("a symbol");
        u64::from_str_radix(line.split(' ').next().expect("an address"), 16).expect("hexadecimal")
    };
    let at = |address| symbolize(&program.path, &[offset_of(&program, address)])[0].clone();
    assert_eq!(names(&at(address("bare") + 1)), ["bare"]);
    assert_eq!(names(&at(address("after") + 1)), ["after"]);
    let (_, start, size) =
        program.functions().into_iter().find(|(name, ..)| name == "after").expect("it has a size");
    let behind = at(start + size);
    assert!(
        names(&behind)[0].starts_with("[program+"),
        "a gap is not the label before it: {:?}",
        names(&behind)
    );
}
