//! What fuzzing has found to be different: no file of it makes a parser panic.

use std::fs;
use std::io::Write;
use std::path::Path;
use telegen_symbolize::{
    JitDump, JitDumpStep, KernelSymbols, PerfMapParser, build_id, demangle, executable_segments, jit_line,
};

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&directory).expect("a corpus");
    let files: Vec<_> =
        entries.map(|entry| fs::read(entry.expect("an entry").path()).expect("a file")).collect();
    assert!(files.len() >= 10, "{}", directory.display());
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
