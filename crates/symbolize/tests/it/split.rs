//! Debug information that was split off, against the same debug information in one piece.

use crate::program::{C, Program, offset_of};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use telegen_model::{FileId, FileOffset};
use telegen_symbolize::{Budget, Failure, Place, Source, SplitFiles, Symbolizer};

const CPP: &str = r#"
#include <algorithm>
#include <map>
#include <string>
#include <vector>
namespace { struct Counter { int n; Counter(int n) : n(n) {} __attribute__((noinline)) int next() { return n += 3; } }; }
static __attribute__((noinline)) int helper(int n) { Counter counter(n); return counter.next() + counter.next(); }
template <typename K, typename V> struct Shop { std::map<K, V> stock;
  Shop(int n) { for (int i = 0; i < n; i++) stock[std::to_string(i)] = helper(i); }
  __attribute__((noinline)) V best() const { V most = 0; for (auto &[key, value] : stock) most = std::max(most, value); return most; } };
int main(int argc, char **) {
  Shop<std::string, long> shop(argc + 9);
  std::vector<int> order;
  for (int i = 0; i < argc + 40; i++) order.push_back(helper(i));
  std::sort(order.begin(), order.end(), [](int a, int b) { return a % 7 < b % 7; });
  return (int) shop.best() + order[3];
}
"#;

/// All files, and the package beside a program.
#[derive(Debug)]
struct Files {
    program: PathBuf,
}

impl SplitFiles for Files {
    fn package(&self) -> Option<File> {
        File::open(self.program.with_extension("dwp")).ok()
    }

    fn object(&self, path: &Path) -> Option<File> {
        assert!(path.is_absolute(), "{}", path.display());
        File::open(path).ok()
    }
}

/// Places in a program, and what went wrong.
fn look_up(program: &Path, offsets: &[FileOffset], with_files: bool) -> (Vec<Place>, Vec<(Failure, u64)>) {
    let file = File::open(program).expect("the program");
    let id = FileId::Inode { device: 0, inode: 1, ctime_ns: 0, size: 0 };
    let files = Files { program: program.to_owned() };
    let split_files = with_files.then_some(&files as &dyn SplitFiles);
    let source = Source { id: &id, file: Some(&file), module: "program", split_files };
    let mut symbolizer = Symbolizer::new(Budget { cache_bytes: 0, ..Budget::default() });
    let mut places = Vec::new();
    // Twice: the second time some of it is known.
    for _ in 0..2 {
        places = symbolizer.symbolize(source, offsets).iter().map(|place| (**place).clone()).collect();
    }
    (places, symbolizer.failures().filter(|(_, count)| *count > 0).collect())
}

/// Name, line and beginning of each frame. Each program was compiled in a directory of its own.
fn frames(place: &Place) -> Vec<(String, String, u32, u32)> {
    let frame = |frame: &telegen_symbolize::SourceFrame| {
        let file = frame.file.rsplit('/').next().unwrap_or("").to_owned();
        (frame.system_name.to_string(), file, frame.line, frame.start_line)
    };
    place.frames.iter().map(frame).collect()
}

fn offsets(program: &Program) -> Vec<FileOffset> {
    let functions = program.functions();
    let ours = functions
        .iter()
        .filter(|(name, ..)| ["Shop", "helper", "main", "outer"].iter().any(|part| name.contains(part)));
    let addresses: Vec<u64> = ours.flat_map(|(_, start, size)| *start..start + size).collect();
    let first = offset_of(program, addresses[0]).wrapping_sub(addresses[0]);
    addresses.iter().map(|address| FileOffset(address.wrapping_add(first))).collect()
}

/// What the compiler has left beside a program of one source.
fn object(program: &Program) -> PathBuf {
    let entries = fs::read_dir(&program.directory).expect("the directory");
    let mut paths = entries.map(|entry| entry.expect("an entry").path());
    paths.find(|path| path.extension().is_some_and(|extension| extension == "dwo")).expect("a file")
}

fn compare(compiler: &str, source: &str, flags: &[&str]) -> Option<Program> {
    let what = format!("{compiler} {flags:?}");
    let whole = Program::compile(compiler, source, flags)?;
    let program = Program::compile(compiler, source, &[flags, &["-gsplit-dwarf"]].concat())?;
    let offsets = offsets(&program);
    let (expected, failures) = look_up(&whole.path, &offsets, true);
    assert_eq!(failures, [], "{what}");
    let expected: Vec<_> = expected.iter().map(frames).collect();
    assert!(expected.iter().any(|frames| frames.len() > 1) && offsets.len() > 50, "{what}");
    let assert_same = |how: &str| {
        let (found, failures) = look_up(&program.path, &offsets, true);
        assert_eq!(failures, [], "{what} {how}");
        for ((found, expected), offset) in found.iter().map(frames).zip(&expected).zip(&offsets) {
            assert_eq!(found, *expected, "{what} {how}: {:#x}", offset.0);
        }
    };
    assert_same("in files");

    let (without, failures) = look_up(&program.path, &offsets, false);
    assert_eq!(failures, [(Failure::DwarfSplit, 1)], "{what}");
    let lines = |frames: &[(String, String, u32, u32)]| (frames[0].1.clone(), frames[0].2);
    for (found, expected) in without.iter().map(frames).zip(&expected) {
        assert_eq!(lines(&found), lines(expected), "{what}: lines are not split off");
        assert!(found.iter().all(|frame| !frame.0.starts_with("[program+")), "{what}: symbols are there");
    }

    if compiler != "clang" {
        // Version 14 of llvm-dwp never ends with some of what gcc has written.
        return Some(program);
    }
    let package = program.path.with_extension("dwp");
    let packed = Command::new("llvm-dwp").arg("-e").arg(&program.path).arg("-o").arg(&package).output();
    match packed {
        Ok(packed) => assert!(packed.status.success(), "{what}: {}", String::from_utf8_lossy(&packed.stderr)),
        Err(error) => {
            eprintln!("SKIPPED: no llvm-dwp: {error}");
            return Some(program);
        }
    }
    let left = object(&program);
    let moved = left.with_extension("moved");
    fs::rename(&left, &moved).expect("moved");
    assert_same("in a package");
    fs::remove_file(&package).expect("removed");
    fs::rename(moved, left).expect("moved");
    Some(program)
}

#[test]
fn what_was_split_off_says_what_it_said() {
    for dwarf in ["-gdwarf-4", "-gdwarf-5"] {
        compare("gcc", C, &["-g", dwarf, "-O2"]);
        compare("gcc", C, &["-g", dwarf, "-O2", "-gz=zlib"]);
        compare("clang", C, &["-g", dwarf, "-O1"]);
        compare("g++", CPP, &["-std=c++17", "-g", dwarf, "-O2", "-ffunction-sections", "-Wl,--gc-sections"]);
    }
}

#[test]
fn what_is_of_another_build_is_not_believed() {
    for dwarf in ["-gdwarf-4", "-gdwarf-5"] {
        let flags = ["-g", "-O1", dwarf, "-gsplit-dwarf"];
        let Some(program) = Program::compile("gcc", C, &flags) else { return };
        let other = Program::compile("gcc", &C.replace("n * 7 + 1", "n * 9 + 5"), &flags)
            .expect("it compiled before");
        let object = object(&program);
        fs::copy(self::object(&other), &object).expect("copied");
        let (places, failures) = look_up(&program.path, &offsets(&program), true);
        assert_eq!(failures, [(Failure::DwarfSplit, 1)]);
        assert!(places.iter().all(|place| place.frames.len() == 1), "no function of it is inlined");
        fs::remove_file(&object).expect("removed");
        assert_eq!(look_up(&program.path, &offsets(&program), true).1, [(Failure::DwarfSplit, 1)]);
    }
}

#[test]
fn what_is_damaged_gives_fewer_names() {
    let Some(program) = Program::compile("gcc", C, &["-g", "-O2", "-gdwarf-5", "-gsplit-dwarf"]) else {
        return;
    };
    let object = object(&program);
    let bytes = fs::read(&object).expect("the file");
    let offsets = offsets(&program);
    for part in 0..100 {
        fs::write(&object, &bytes[..bytes.len() * part / 100]).expect("written");
        let (places, _) = look_up(&program.path, &offsets, true);
        assert!(places.iter().all(|place| !place.frames.is_empty() && !place.frames[0].name.is_empty()));
        let mut changed = bytes.clone();
        for at in (part..changed.len()).step_by(97) {
            changed[at] ^= 1 << (at % 8);
        }
        fs::write(&object, changed).expect("written");
        let (places, _) = look_up(&program.path, &offsets, true);
        assert!(places.iter().all(|place| !place.frames.is_empty() && !place.frames[0].name.is_empty()));
    }
}
