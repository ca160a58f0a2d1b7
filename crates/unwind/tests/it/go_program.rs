//! Go programs, built by every Go there is.

use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = r#"package main

import (
	"crypto/sha1"
	"fmt"
	"os"
	"sort"
	"time"
)

//go:noinline
func leaf(n int) int { return n*2 ^ n>>3 }

//go:noinline
func large(n int) int {
	var a [3000]int
	a[n%3000] = leaf(n)
	return a[(n+1)%3000] + leaf(n)
}

func main() {
	words := []string{"c", "a", "b"}
	sort.Slice(words, func(i, j int) bool { return words[i] > words[j] })
	done := make(chan int)
	go func() { done <- large(len(os.Args)) }()
	fmt.Println(<-done, words, time.Now(), sha1.Sum([]byte(words[0])))
}
"#;

const WITH_C: &str = r#"package main

// extern void tgBack(int);
// static void tg_call(int n) { tgBack(n); }
import "C"
import "fmt"

//export tgBack
func tgBack(n C.int) { fmt.Println(n) }

func main() { C.tg_call(3) }
"#;

/// A program, and how it was built.
pub(crate) struct Program {
    pub(crate) what: String,
    pub(crate) bytes: Vec<u8>,
}

/// A function of Go's: its name, where it is, its code.
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    pub(crate) start: u64,
    pub(crate) code: &'a [u8],
}

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

fn build(go: &Path, source: &str, flags: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("program.go"), source).expect("written");
    let path = directory.path().join("program");
    let built = Command::new(go)
        .current_dir(&directory)
        .args(["build", "-o"])
        .arg(&path)
        .args(flags)
        .arg("program.go")
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "")
        .env("GOTOOLCHAIN", "local")
        .env("GOCACHE", std::env::temp_dir().join("telegen-go-cache"))
        .env_remove("GOROOT")
        .output()
        .expect("it runs");
    assert!(built.status.success(), "{go:?} {flags:?}: {}", String::from_utf8_lossy(&built.stderr));
    std::fs::read(path).expect("the program")
}

/// Programs with and without C, as they are by default and such as can be loaded anywhere.
pub(crate) fn programs() -> Vec<Program> {
    let mut programs = Vec::new();
    for go in compilers() {
        for (kind, source) in [("pure", SOURCE), ("with C", WITH_C)] {
            for flags in [&[][..], &["-buildmode=pie"]] {
                let what = format!("{}, {kind}, {flags:?}", go.display());
                programs.push(Program { what, bytes: build(&go, source, flags) });
            }
        }
    }
    programs
}

/// The functions of Go's in a program, by its symbols.
pub(crate) fn functions<'a>(file: &object::File<'a>) -> Vec<Function<'a>> {
    let text = file.section_by_name(".text").expect("code");
    let code = text.data().expect("its bytes");
    let (mut first, mut last) = (0, 0);
    for symbol in file.symbols() {
        match symbol.name() {
            Ok("runtime.text") => first = symbol.address(),
            Ok("runtime.etext") => last = symbol.address(),
            _ => {}
        }
    }
    let of_go = |symbol: &object::Symbol<'a, '_>| {
        symbol.kind() == SymbolKind::Text && symbol.size() > 0 && (first..last).contains(&symbol.address())
    };
    let function = |symbol: object::Symbol<'a, '_>| {
        let at = (symbol.address() - text.address()) as usize;
        let code = code.get(at..at + symbol.size() as usize)?;
        Some(Function { name: symbol.name().ok()?, start: symbol.address(), code })
    };
    let mut functions: Vec<_> = file.symbols().filter(of_go).filter_map(function).collect();
    functions.sort_by_key(|function| function.start);
    functions.dedup_by_key(|function| function.start);
    functions
}
