//! Programs to look things up in.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use telegen_model::{FileId, FileOffset};
use telegen_symbolize::{Budget, Place, Source, Symbolizer};

pub(crate) const C: &str = r#"
#include <stdio.h>
static inline __attribute__((always_inline)) int inner(int n) { return n * 7 + 1; }
__attribute__((noinline)) int outer(int n) { volatile int sum = 0; for (int i = 0; i < n; i++) sum += inner(sum); return sum; }
__attribute__((noinline)) static int hidden(int n) { volatile int x = n; return x + 2; }
int main(int argc, char **argv) { printf("%d\n", outer(argc) + hidden(argc)); return 0; }
"#;

pub(crate) const CPP: &str = r#"
#include <vector>
#include <algorithm>
namespace shop { template <typename T> struct Cart { std::vector<T> items;
  __attribute__((noinline)) T total(T start) const { T sum = start; for (const T &item : items) sum += item; return sum; } }; }
int main(int argc, char **) { shop::Cart<long> cart; for (int i = 0; i < argc + 9; i++) cart.items.push_back(i); return (int) cart.total(argc); }
"#;

pub(crate) struct Program {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Program {
    /// Compiles a source; `None`, said aloud, if there is no such compiler here.
    pub(crate) fn compile(compiler: &str, source: &str, flags: &[&str]) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let name = match compiler {
            "g++" => "program.cc",
            "rustc" => "program.rs",
            _ => "program.c",
        };
        std::fs::write(directory.path().join(name), source).expect("written");
        let path = directory.path().join("program");
        let compiled = Command::new(compiler)
            .current_dir(&directory)
            .args(flags)
            .arg(name)
            .arg("-o")
            .arg(&path)
            .status();
        match compiled {
            Ok(status) => {
                assert!(status.success(), "{compiler} {flags:?}");
                Some(Self { directory, path })
            }
            Err(error) => {
                eprintln!("SKIPPED: no {compiler}: {error}");
                None
            }
        }
    }

    /// Runs a tool over the file.
    pub(crate) fn tool(&self, tool: &str, arguments: &[&str]) -> String {
        let output =
            Command::new(tool).args(arguments).arg(&self.path).output().expect("binutils are installed");
        assert!(output.status.success(), "{tool} {arguments:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Name, address and size of each function of the program that has a size.
    pub(crate) fn functions(&self) -> Vec<(String, u64, u64)> {
        let parse = |line: &str| {
            // Names of Go may have blanks in them.
            let mut fields = line.splitn(4, ' ');
            let (address, size) = (fields.next()?, fields.next()?);
            let (kind, name) = (fields.next()?, fields.next()?);
            let hex = |text: &str| u64::from_str_radix(text, 16).ok();
            matches!(kind, "t" | "T" | "W").then_some(())?;
            Some((name.to_owned(), hex(address)?, hex(size)?))
        };
        self.tool("nm", &["-S"]).lines().filter_map(parse).collect()
    }
}

/// Looks up addresses; the segment that can be run is linked at its file offset or a page's multiple from it.
pub(crate) fn symbolize(path: &Path, offsets: &[u64]) -> Vec<Place> {
    let file = File::open(path).expect("the file");
    let id = FileId::Inode { device: 0, inode: 1, ctime_ns: 0, size: 0 };
    let offsets: Vec<FileOffset> = offsets.iter().map(|&offset| FileOffset(offset)).collect();
    let source = Source { id: &id, file: Some(&file), module: "program", split_files: None };
    let mut symbolizer = Symbolizer::new(Budget::default());
    symbolizer.symbolize(source, &offsets).iter().map(|place| (**place).clone()).collect()
}

/// Offset in the file of an address, by `readelf`.
pub(crate) fn offset_of(program: &Program, address: u64) -> u64 {
    let text = program.tool("readelf", &["-lW"]);
    let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("hexadecimal");
    text.lines()
        .filter(|line| line.trim_start().starts_with("LOAD"))
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .map(|fields| (hex(fields[1]), hex(fields[2]), hex(fields[4])))
        .find(|&(_, start, size)| (start..start + size).contains(&address))
        .map(|(offset, start, _)| address - start + offset)
        .expect("in a segment")
}
