//! What fuzzing has found to be different: no file of it makes a parser panic.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use telegen_model::{FileId, FileOffset};
use telegen_symbolize::{
    AltLink, Budget, DebugLink, JitDump, JitDumpStep, KernelSymbols, PerfMapParser, Source, SplitFiles,
    Symbolizer, build_id, demangle, executable_segments, jit_line,
};

#[path = "../../fuzz/inputs/go.rs"]
mod go;
#[path = "../../fuzz/inputs/mini_debug_info.rs"]
mod mini_debug_info;
#[path = "../../fuzz/inputs/split.rs"]
mod split;
#[path = "../../fuzz/inputs/zstd.rs"]
mod zstd;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&directory).expect("a corpus");
    let files: Vec<_> =
        entries.map(|entry| fs::read(entry.expect("an entry").path()).expect("a file")).collect();
    assert!(files.len() >= 3, "{}", directory.display());
    files
}

fn addresses() -> Vec<u64> {
    (0..64).rev().map(|shift| u64::MAX >> shift).collect()
}

#[test]
fn perf_maps() {
    let (addresses, mut named) = (addresses(), 0);
    for text in corpus("perf_map") {
        let found = |pieces: [&[u8]; 2]| {
            let mut parser = PerfMapParser::new(&addresses);
            pieces.iter().for_each(|piece| assert!(parser.push(piece)));
            parser.finish()
        };
        let whole = found([&text, b""]);
        named += whole.names.iter().flatten().count();
        for cut in 0..=text.len() {
            assert_eq!(found([&text[..cut], &text[cut..]]), whole);
        }
    }
    assert!(named > 0, "some name functions");
}

#[test]
fn jitdumps() {
    let (mut named, mut lines) = (0, 0);
    for records in corpus("jitdump") {
        let mut file: Vec<u8> =
            [0x4a69_5444, 1, 40, 62, 0, 7].into_iter().flat_map(u32::to_ne_bytes).collect();
        file.extend([0; 16]);
        file.extend(records);
        let mut dump = JitDump::default();
        while dump.push(&file[dump.position() as usize..], file.len() as u64) == Ok(JitDumpStep::More) {}
        for address in addresses() {
            let Some(function) = dump.find(address) else { continue };
            named += usize::from(JitDump::name(&file[function.name_offset as usize..]).is_some());
            if let Some(offset) = function.lines_offset {
                lines += usize::from(jit_line(&file[offset.get() as usize..], address).is_some());
            }
        }
    }
    assert!(named > 0 && lines > 0, "some name functions ({named}) and their lines ({lines})");
}

#[test]
fn kernel_symbols() {
    let mut found = 0;
    for text in corpus("kallsyms") {
        let symbols = KernelSymbols::read(&text[..]).expect("bytes in memory can be read");
        found += addresses().into_iter().filter_map(|address| symbols.lookup(address)).count();
    }
    assert!(found > 0, "some have symbols");
}

#[test]
fn build_ids() {
    let mut found = 0;
    for bytes in corpus("build_id") {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes).expect("room for it");
        found += usize::from(build_id::read(&file).is_ok_and(|id| id.is_some()));
        let _ = executable_segments(&file);
    }
    assert!(found > 0, "some have a build id");
}

#[test]
fn mangled_names() {
    for name in corpus("demangle") {
        assert!(demangle(&String::from_utf8_lossy(&name)).len() < 2100);
    }
}

fn in_file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("room for it");
    file
}

/// How many addresses of a file have the name of a function. All have one that can be shown.
fn named(file: &File, split_files: Option<&dyn SplitFiles>) -> usize {
    let id = FileId::Inode { device: 0, inode: 0, ctime_ns: 0, size: 0 };
    let offsets: Vec<FileOffset> = (0..256).map(|n| FileOffset(n * 13)).collect();
    let source = Source { id: &id, file: Some(file), module: "corpus", split_files };
    let mut symbolizer = Symbolizer::new(Budget { effort: 2_000_000, ..Budget::default() });
    let places = symbolizer.symbolize(source, &offsets);
    assert!(places.len() == offsets.len() && places.iter().all(|place| !place.frames[0].name.is_empty()));
    places.iter().filter(|place| !place.frames[0].name.starts_with("[corpus")).count()
}

#[test]
fn links_to_debug_files() {
    let (mut links, mut alternatives) = (0, 0);
    for section in corpus("debug_link") {
        links += usize::from(DebugLink::parse(&section, false).is_some());
        alternatives += usize::from(AltLink::parse(&section).is_some());
    }
    assert!(links >= 2 && alternatives >= 2, "{links} {alternatives}");
}

#[test]
fn compressed_symbols() {
    let files = corpus("mini_debug_info");
    let with_names =
        files.iter().filter(|data| named(&in_file(&mini_debug_info::file(data)), None) > 0).count();
    assert!(with_names >= 4, "{with_names}");
}

#[test]
fn tables_of_go() {
    let files = corpus("go");
    let with_names = files.iter().filter(|data| named(&in_file(&go::file(data)), None) > 0).count();
    assert!(with_names >= 3, "{with_names}");
}

#[derive(Debug)]
struct Split(File, bool);

impl SplitFiles for Split {
    fn package(&self) -> Option<File> {
        self.1.then(|| self.0.try_clone().expect("another descriptor"))
    }

    fn object(&self, _path: &Path) -> Option<File> {
        Some(self.0.try_clone().expect("another descriptor"))
    }
}

#[test]
fn split_debug_information() {
    let mut with_names = [0, 0];
    for data in corpus("split") {
        let (split, is_package, binary) = split::files(&data);
        let found = named(&in_file(&binary), Some(&Split(in_file(&split), is_package)));
        with_names[usize::from(is_package)] += usize::from(found > 0);
    }
    assert!(with_names.iter().all(|&count| count > 0), "{with_names:?}");
}

#[test]
fn debug_information_compressed_with_zstd() {
    for data in corpus("zstd") {
        // There are no functions in it: what matters is that it ends, and how.
        assert_eq!(named(&in_file(&zstd::file(&data)), None), 0);
    }
}
