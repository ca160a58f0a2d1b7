//! All code of small programs in several languages, made in several ways, against `addr2line`.

use crate::program::{C, Program, offset_of, symbolize};
use std::io::Write;
use std::process::{Command, Stdio};
use telegen_symbolize::Place;

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

const RUST: &str = r#"
mod shop {
    use std::collections::BTreeMap;
    pub struct Cart<T> { pub items: BTreeMap<String, T> }
    impl<T: Copy + Into<u64>> Cart<T> {
        #[inline(never)]
        pub fn total(&self) -> u64 { self.items.values().map(|&item| double(item.into())).sum() }
    }
    #[inline(always)]
    fn double(n: u64) -> u64 { n.wrapping_mul(2) ^ (n >> 3) }
}
#[inline(never)]
fn fill(n: u32) -> shop::Cart<u32> {
    shop::Cart { items: (0..n).map(|i| (format!("item {i}"), i)).collect() }
}
fn main() {
    let cart = fill(std::env::args().count() as u32 + 20);
    let mut order: Vec<u64> = (0..cart.total() % 100).map(|n| n.rotate_left(7)).collect();
    order.sort_by_key(|n| n % 13);
    println!("{order:?}");
}
"#;

/// What `addr2line` says of each of some addresses: names as in the symbol table, and `file:line`, innermost first.
fn by_addr2line(program: &Program, addresses: &[u64]) -> Vec<Vec<(String, String)>> {
    let mut child = Command::new("addr2line")
        .args(["-a", "-f", "-i", "-e"])
        .arg(&program.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("binutils are installed");
    let mut input = child.stdin.take().expect("piped");
    let text: String = addresses.iter().map(|address| format!("{address:#x}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads all");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut answers: Vec<Vec<&str>> = Vec::new();
    for line in text.lines() {
        match answers.last_mut() {
            Some(answer) if !line.starts_with("0x") => answer.push(line),
            _ => answers.push(Vec::new()),
        }
    }
    let pair = |pair: &[&str]| (pair[0].to_owned(), place(pair[1]));
    answers.iter().map(|answer| answer.chunks_exact(2).map(pair).collect()).collect()
}

/// A place without directories, of which `addr2line` sometimes leaves in `..`; line 0 is no line.
fn place(text: &str) -> String {
    let place = text.rsplit('/').next().unwrap_or(text).split(" (").next().unwrap_or("");
    place.replace(":?", ":0").replace("??:0", ":0")
}

fn found(place: &Place) -> Vec<(String, String)> {
    let frame = |frame: &telegen_symbolize::SourceFrame| {
        let file = frame.file.rsplit('/').next().unwrap_or("");
        (frame.system_name.to_string(), format!("{file}:{}", frame.line))
    };
    place.frames.iter().map(frame).collect()
}

fn is_mangled(name: &str) -> bool {
    name.starts_with("_Z") || name.starts_with("_R")
}

/// A name without `.constprop.0` and the like, which only the symbol table has.
fn without_clone(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// Compares every third address of every function that is `wanted`. Names are compared where both have the
/// linkage name: where the debug information has none, `addr2line` shows that of the enclosing function instead.
fn compare(program: &Program, wanted: impl Fn(&str) -> bool, what: &str) {
    let functions = program.functions();
    let of_ours = functions.iter().filter(|(name, ..)| wanted(name));
    let addresses: Vec<u64> =
        of_ours.flat_map(|(_, start, size)| (*start..start + size).step_by(3)).collect();
    assert!(addresses.len() > 15, "{what}: {} addresses", addresses.len());
    let offsets: Vec<u64> = {
        let first = offset_of(program, addresses[0]);
        addresses.iter().map(|address| (first + address).wrapping_sub(addresses[0])).collect()
    };
    let truth = by_addr2line(program, &addresses);
    assert_eq!(truth.len(), addresses.len());
    let (mut inlined, mut names) = (0, 0);
    for ((address, place), truth) in addresses.iter().zip(symbolize(&program.path, &offsets)).zip(truth) {
        assert_eq!(place.address, *address, "{what}");
        inlined += usize::from(place.frames.len() > 1);
        let found = found(&place);
        assert_eq!(found.len(), truth.len(), "{what} {address:#x}: {found:?} {truth:?}");
        for (found, truth) in found.iter().zip(&truth) {
            assert_eq!(found.1, truth.1, "{what} {address:#x}: {found:?} {truth:?}");
            if is_mangled(&found.0) && is_mangled(&truth.0) {
                assert_eq!(without_clone(&found.0), without_clone(&truth.0), "{what} {address:#x}");
                names += 1;
            }
        }
    }
    assert!(names > 10, "{what}: {names} names");
    assert!(inlined > 2 || !what.contains("-O2"), "{what}: {inlined} addresses with inlined functions");
}

#[test]
fn cpp_is_what_addr2line_says() {
    for flags in [
        &["-std=c++17", "-O2", "-g", "-gdwarf-4"][..],
        &["-std=c++17", "-O2", "-g", "-gdwarf-5"],
        &["-std=c++17", "-O0", "-g"],
        // Of DWARF 5, binutils 2.40 takes the file before the one that a call is in.
        &["-std=c++17", "-O2", "-gdwarf-4", "-flto"],
        &["-std=c++17", "-O2", "-g", "-ffunction-sections", "-Wl,--gc-sections"],
        &["-std=c++17", "-O2", "-g", "-gz=zlib"],
        &["-std=c++17", "-O2", "-g", "-static-pie"],
    ] {
        let Some(program) = Program::compile("g++", CPP, flags) else { return };
        compare(&program, |name| name.contains("Shop") || name == "main", &format!("{flags:?}"));
    }
}

#[test]
fn compressed_debug_information_says_the_same() {
    let Some(plain) = Program::compile("g++", CPP, &["-std=c++17", "-O2", "-g"]) else { return };
    let functions = plain.functions();
    let of_ours = functions.iter().filter(|(name, ..)| name.contains("Shop"));
    let offsets: Vec<u64> = of_ours
        .flat_map(|(_, start, size)| *start..start + size)
        .map(|address| offset_of(&plain, address))
        .collect();
    let expected = symbolize(&plain.path, &offsets);
    assert!(expected.iter().any(|place| place.frames.len() > 2 && place.frames[0].line > 0));
    for (compression, section) in [("-gz=zlib", ".debug_info"), ("-gz=zlib-gnu", ".zdebug_info")] {
        let Some(program) = Program::compile("g++", CPP, &["-std=c++17", "-O2", "-g", compression]) else {
            return;
        };
        assert!(program.tool("readelf", &["-SW"]).contains(section));
        let found = symbolize(&program.path, &offsets);
        let lined = |place: &Place| -> Vec<_> {
            // Each program was compiled in a directory of its own.
            let frame =
                |frame: &telegen_symbolize::SourceFrame| (frame.name.clone(), frame.line, frame.start_line);
            place.frames.iter().map(frame).collect()
        };
        assert!(expected.iter().map(lined).eq(found.iter().map(lined)), "{compression}");
    }
    let by_zstd = plain.directory.path().join("zstd");
    let compressed =
        Command::new("objcopy").arg("--compress-debug-sections=zstd").arg(&plain.path).arg(&by_zstd).output();
    match compressed {
        Ok(output) if output.status.success() => assert_eq!(symbolize(&by_zstd, &offsets), expected),
        // Before binutils 2.40, and where they are built without it.
        _ => eprintln!("SKIPPED: objcopy has no zstd"),
    }
}

#[test]
fn rust_is_what_addr2line_says() {
    for flags in [
        &["-O", "-g"][..],
        &["-Cdebuginfo=2"],
        &["-O", "-Cdebuginfo=1"],
        // binutils 2.40 misses inlined functions in what rustc writes of DWARF 5.
        &["-O", "-g", "-Csymbol-mangling-version=v0", "-Cdwarf-version=4"],
        &["-O", "-g", "-Clto=fat"],
    ] {
        let Some(program) = Program::compile("rustc", RUST, flags) else { return };
        compare(&program, |name| name.contains("program"), &format!("{flags:?}"));
    }
}

#[test]
fn names_are_whole_whether_inlined_or_not() {
    let Some(program) = Program::compile("g++", CPP, &["-std=c++17", "-O1", "-g"]) else { return };
    let functions = program.functions();
    let outermost = |part: &str| {
        let (_, start, _) = functions.iter().find(|(name, ..)| name.ends_with(part)).expect("the function");
        let places = symbolize(&program.path, &[offset_of(&program, *start)]);
        places[0].frames.last().expect("a frame").clone()
    };
    // Private functions have no linkage name in the debug information: the symbol has.
    let helper = outermost("helperi");
    assert_eq!((&*helper.name, &*helper.system_name, helper.start_line), ("helper(int)", "_ZL6helperi", 7));
    assert_eq!(&*outermost("Counter4nextEv").name, "(anonymous namespace)::Counter::next()");
    let main = outermost("main");
    assert_eq!((&*main.name, &*main.system_name, main.start_line), ("main", "main", 11));
}

#[test]
fn functions_begin_where_the_source_says() {
    let Some(program) = Program::compile("gcc", C, &["-O2", "-g"]) else { return };
    let functions = program.functions();
    let (_, start, size) = functions.iter().find(|(name, ..)| name == "outer").expect("the function");
    let offsets: Vec<u64> = (*start..start + size).map(|address| offset_of(&program, address)).collect();
    let places = symbolize(&program.path, &offsets);
    let begins = |name: &str| {
        let frames = places.iter().flat_map(|place| &place.frames).filter(|frame| &*frame.name == name);
        frames.map(|frame| frame.start_line).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!((begins("outer"), begins("inner")), ([4].into(), [3].into()));
}
