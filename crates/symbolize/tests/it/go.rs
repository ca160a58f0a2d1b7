//! Stripped Go programs, against what the same programs say when they are not.

use crate::program::{Program, offset_of, symbolize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use telegen_symbolize::Place;

const SOURCE: &str = r#"package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
)

//go:noinline
func outer(n int) int {
	sum := 0
	for i := 0; i < n; i++ {
		sum += middle(i)
	}
	return sum
}

func middle(n int) int {
	if n%7 == 3 {
		return 5
	}
	return inner(n) + 3
}

func inner(n int) int { return n*2 ^ n>>3 }

type shop struct{ items map[string]int }

func (s *shop) total() (sum int) {
	for _, n := range s.items {
		sum += n
	}
	return
}

//go:noinline
func pick[T any](items []T, n int) T { return items[n] }

func main() {
	s := shop{map[string]int{}}
	for i := 0; i < len(os.Args)+20; i++ {
		s.items[fmt.Sprint("item ", i)] = outer(i)
	}
	words := strings.Split("a b c", " ")
	sort.Slice(words, func(i, j int) bool { return words[i] > words[j] })
	fmt.Println(s.total(), pick(words, 1))
}
"#;

const WITH_C: &str = r#"package main

// static int __attribute__((noinline)) tg_twice(int n) { volatile int x = n; return x * 2; }
// int tg_public(int n) { return tg_twice(n) + 1; }
import "C"
import "fmt"

//go:noinline
func call(n int) int { return int(C.tg_public(C.int(n))) }

func main() { fmt.Println(call(20)) }
"#;

/// The Go of this machine, and those that `TELEGEN_TEST_GO` lists, as `PATH` lists directories.
fn compilers() -> Vec<PathBuf> {
    let more = std::env::var_os("TELEGEN_TEST_GO").unwrap_or_default();
    let all = std::iter::once("go".into()).chain(std::env::split_paths(&more));
    let there = |go: &PathBuf| Command::new(go).arg("version").output().is_ok_and(|ran| ran.status.success());
    let found: Vec<PathBuf> = all.filter(there).collect();
    if found.is_empty() {
        eprintln!("SKIPPED: no go");
    }
    found
}

fn build(go: &Path, source: &str, flags: &[&str]) -> Program {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("program.go"), source).expect("written");
    let path = directory.path().join("program");
    let cache = std::env::temp_dir().join("telegen-go-cache");
    let built = Command::new(go)
        .current_dir(&directory)
        .args(["build", "-o"])
        .arg(&path)
        .args(flags)
        .arg("program.go")
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "")
        .env("GOTOOLCHAIN", "local")
        .env("GOCACHE", cache)
        .env_remove("GOROOT")
        .output()
        .expect("it runs");
    assert!(built.status.success(), "{go:?} {flags:?}: {}", String::from_utf8_lossy(&built.stderr));
    Program { directory, path }
}

/// A copy without symbols and debug information.
fn stripped(program: &Program, arguments: &[&str]) -> PathBuf {
    let path = program.directory.path().join("stripped");
    let ran = Command::new("objcopy").args(arguments).arg(&program.path).arg(&path).status();
    assert!(ran.expect("binutils are installed").success());
    path
}

/// Takes the table of sections away: a program runs without it.
fn without_sections(path: &Path) {
    let mut bytes = std::fs::read(path).expect("the program");
    // `e_shoff`; `e_shnum` and `e_shstrndx`.
    bytes[40..48].fill(0);
    bytes[60..64].fill(0);
    std::fs::write(path, bytes).expect("written");
}

/// A name as Go's table has it: without what a generic function is an instance of, and without what tells two calling
/// conventions apart when another linker is used.
fn without_types(name: &str) -> String {
    let name = name.strip_suffix(".abi0").unwrap_or(name);
    match (name.find('['), name.rfind(']')) {
        (Some(open), Some(close)) if open < close => format!("{}[...]{}", &name[..open], &name[close + 1..]),
        _ => name.to_owned(),
    }
}

fn is_of_go(name: &str) -> bool {
    // Functions of C have no package, but may be of several parts.
    let is_part = [".part.", ".cold", ".constprop."].iter().any(|part| name.contains(part));
    name.contains('.') && !name.starts_with('_') && !name.starts_with("go:") && !is_part
}

/// Looks up where every function begins and where it ends, in a file without symbols.
fn compare_functions(program: &Program, stripped: &Path, what: &str) {
    let mut by_start: BTreeMap<u64, (u64, Vec<String>)> = BTreeMap::new();
    for (name, start, size) in program.functions() {
        let entry = by_start.entry(start).or_default();
        entry.0 = entry.0.max(size);
        entry.1.push(without_types(&name));
    }
    by_start.retain(|_, (size, names)| *size > 0 && names.iter().any(|name| is_of_go(name)));
    assert!(by_start.len() > 1000, "{what}: {} functions", by_start.len());
    let first = *by_start.keys().next().expect("a function");
    let offset = offset_of(program, first).wrapping_sub(first);
    let addresses: Vec<u64> =
        by_start.iter().flat_map(|(start, (size, _))| [*start, start + size - 1]).collect();
    let offsets: Vec<u64> = addresses.iter().map(|address| address.wrapping_add(offset)).collect();
    let places = symbolize(stripped, &offsets);
    let mut wrong = Vec::new();
    for (pair, (start, (_, names))) in places.chunks_exact(2).zip(&by_start) {
        for place in pair {
            let outermost = place.frames.last().expect("a frame");
            if !names.contains(&without_types(&outermost.name)) {
                wrong.push((start, names, place.clone()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{what}: {} of {}: {:#x?}",
        wrong.len(),
        places.len(),
        &wrong[..wrong.len().min(5)]
    );
    let lined =
        places.iter().filter(|place| place.frames[0].line > 0 && !place.frames[0].file.is_empty()).count();
    assert!(lined * 100 >= places.len() * 98, "{what}: {lined} of {} have a line", places.len());
}

/// Name, file and line of each frame.
fn frames(place: &Place) -> Vec<(String, String, u32)> {
    let frame = |frame: &telegen_symbolize::SourceFrame| {
        let file = frame.file.rsplit('/').next().unwrap_or("").to_owned();
        (without_types(&frame.name), file, frame.line)
    };
    place.frames.iter().map(frame).collect()
}

/// Compares every place of some functions with what the debug information says.
fn compare_places(program: &Program, stripped: &Path, what: &str) {
    let functions = program.functions();
    let ours = functions
        .iter()
        .filter(|(name, ..)| ["main.", "fmt.", "sort."].iter().any(|of| name.starts_with(of)));
    let addresses: Vec<u64> = ours.flat_map(|(_, start, size)| *start..start + size).collect();
    let offset = offset_of(program, addresses[0]).wrapping_sub(addresses[0]);
    let offsets: Vec<u64> = addresses.iter().map(|address| address.wrapping_add(offset)).collect();
    let (expected, found) = (symbolize(&program.path, &offsets), symbolize(stripped, &offsets));
    let (mut same, mut inlined, mut wrong) = (0, 0, Vec::new());
    for (expected, found) in expected.iter().zip(&found) {
        let (expected, found) = (frames(expected), frames(found));
        inlined += usize::from(found.len() > 1);
        if expected == found {
            same += 1;
        } else {
            wrong.push((found, expected));
        }
    }
    eprintln!("{what}: {same} of {} places are the same, {inlined} inlined", offsets.len());
    // Where an instruction is of an inlined call but none of its lines, the two tables are of different minds.
    assert!(
        same * 100 >= offsets.len() * 97,
        "{what}: {same} of {}: {:#?}",
        offsets.len(),
        &wrong[..wrong.len().min(6)]
    );
    assert!(inlined > 100, "{what}: {inlined} inlined");
}

#[test]
fn every_function_of_a_stripped_program_has_its_name() {
    for go in compilers() {
        for mode in ["-buildmode=exe", "-buildmode=pie"] {
            let what = format!("{go:?} {mode}");
            let program = build(&go, SOURCE, &[mode]);
            let bare = stripped(&program, &["--strip-all"]);
            compare_functions(&program, &bare, &what);
            compare_places(&program, &bare, &what);
            let small = build(&go, SOURCE, &[mode, "-ldflags=-s -w"]);
            compare_functions(&program, &small.path, &format!("{what} -s -w"));
            without_sections(&bare);
            compare_functions(&program, &bare, &format!("{what} without sections"));
        }
    }
}

#[test]
fn with_c_in_it_the_rest_is_what_it_was() {
    for go in compilers() {
        for mode in ["-buildmode=exe", "-buildmode=pie"] {
            let what = format!("{go:?} {mode} with C");
            let program = build(&go, WITH_C, &[mode, "-ldflags=-linkmode=external"]);
            let bare = stripped(&program, &["--strip-all"]);
            compare_functions(&program, &bare, &what);
            compare_places(&program, &bare, &what);
            let (_, start, _) = program
                .functions()
                .into_iter()
                .find(|(name, ..)| name == "tg_twice")
                .expect("the C function");
            let place = &symbolize(&bare, &[offset_of(&program, start)])[0];
            assert!(place.frames[0].name.starts_with("[program+0x"), "C is not Go: {place:?}");
            let place = &symbolize(&program.path, &[offset_of(&program, start)])[0];
            assert_eq!(&*place.frames.last().expect("a frame").name, "tg_twice");
        }
    }
}
