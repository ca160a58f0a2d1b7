//! Looks up addresses spread over the code of a program, and says what that takes:
//! `measure FILE [ADDRESSES]`, or `measure kernel` for the kernel's symbols.
#![allow(clippy::print_stdout)]

use std::fs::{self, File};
use std::io::{self, Error};
use std::path::Path;
use std::time::Instant;
use telegen_model::{FileId, FileOffset};
use telegen_symbolize::{Budget, KernelSymbols, Source, Symbolizer, executable_segments};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "/proc/self/exe".into());
    let addresses = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(1000);
    if path == "kernel" { kernel() } else { program(&path, addresses) }
}

fn kernel() -> io::Result<()> {
    let before = peak()?;
    let start = Instant::now();
    let symbols = KernelSymbols::read_from(Path::new("/proc/kallsyms")).map_err(Error::other)?;
    println!("{} symbols in {:?}, {} bytes held", symbols.len(), start.elapsed(), symbols.bytes());
    println!("peak of resident memory: {before} KiB before, {} KiB after", peak()?);
    Ok(())
}

fn program(path: &str, addresses: u64) -> io::Result<()> {
    let file = File::open(path)?;
    let segments = executable_segments(&file).map_err(Error::other)?;
    let code = segments.iter().max_by_key(|segment| segment.file_bytes).ok_or(Error::other("no code"))?;
    let step = code.file_bytes / addresses.max(1);
    let id = FileId::Inode { device: 0, inode: 1, ctime_ns: 0, size: 0 };
    let source = Source { id: &id, file: Some(&file), module: "m", split_files: None };
    let mut symbolizer = Symbolizer::new(Budget::default());
    let before = peak()?;
    for (what, first, count) in
        [("first", 0, addresses), ("again", 0, addresses), ("a few more", step / 2, addresses / 20)]
    {
        let stride = addresses / count.max(1);
        let offsets: Vec<FileOffset> =
            (0..count).map(|at| FileOffset(code.offset + at * stride * step + first)).collect();
        let start = Instant::now();
        let places = symbolizer.symbolize(source, &offsets);
        let took = start.elapsed();
        let named = places.iter().filter(|place| !place.frames[0].name.starts_with("[m+")).count();
        let lined = places.iter().filter(|place| place.frames[0].line > 0).count();
        let frames: usize = places.iter().map(|place| place.frames.len()).sum();
        println!("{what}: {count} addresses in {took:?}: {named} named, {lined} with lines, {frames} frames");
    }
    println!("{:?}", symbolizer.figures());
    println!("{:?}", symbolizer.failures().filter(|(_, count)| *count > 0).collect::<Vec<_>>());
    println!("peak of resident memory: {before} KiB before, {} KiB after", peak()?);
    Ok(())
}

/// `VmHWM`, in KiB.
fn peak() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).ok_or(Error::other("no VmHWM"))
}
