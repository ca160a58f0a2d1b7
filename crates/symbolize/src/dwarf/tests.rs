//! What is found, against what the addr2line crate finds with everything in memory.

use super::{DebugFrame, DebugInfo, Limits};
use crate::elf::Elf;
use addr2line::Context;
use gimli::{EndianSlice, LittleEndian};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

const LIMITS: Limits = Limits { inflated_bytes: 64 << 20, effort: 4_000_000_000 };

type Slice<'a> = EndianSlice<'a, LittleEndian>;
/// System name, file and line.
type Frame = (String, String, u32);

fn oracle<'a>(elf: &Elf<'_>, bytes: &'a [u8]) -> Context<Slice<'a>> {
    let section = |id: gimli::SectionId| {
        let section = elf.section(id.name());
        let bytes =
            section.map_or(&[][..], |section| &bytes[section.offset as usize..][..section.bytes as usize]);
        Ok::<_, gimli::Error>(EndianSlice::new(bytes, LittleEndian))
    };
    Context::from_dwarf(gimli::Dwarf::load(section).unwrap()).unwrap()
}

fn expected(context: &Context<Slice<'_>>, address: u64) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut found = context.find_frames(address).skip_all_loads().unwrap();
    while let Some(frame) = found.next().unwrap() {
        let name = frame.function.map_or(String::new(), |function| function.raw_name().unwrap().into_owned());
        let (file, line) = match &frame.location {
            Some(location) => (location.file.unwrap_or_default().to_owned(), location.line.unwrap_or(0)),
            None => Default::default(),
        };
        frames.push((name, file, line));
    }
    frames
}

fn found(frames: &[DebugFrame]) -> Vec<Frame> {
    let frame = |frame: &DebugFrame| {
        let name = frame.function.as_ref().map_or(String::new(), |function| function.system_name.clone());
        (name, frame.file.to_string(), frame.line)
    };
    frames.iter().map(frame).collect()
}

/// What was found at an address, and what should have been.
type Differences = BTreeMap<u64, (Vec<Frame>, Vec<Frame>)>;

/// Looks up every `step`th address of the code of a file; returns how many frames there were, and how many were told
/// otherwise than by the oracle.
fn compare(path: &Path, step: usize) -> (usize, Differences) {
    let (bytes, file) = (fs::read(path).unwrap(), File::open(path).unwrap());
    let elf = Elf::read(&file).unwrap();
    let text = elf.section(".text").unwrap();
    let addresses: Vec<u64> = (text.address..text.address + text.bytes).step_by(step).collect();
    let mut info = DebugInfo::read(&elf, LIMITS).unwrap().expect("debug information");
    let context = oracle(&elf, &bytes);
    let (mut count, mut differences) = (0, Differences::new());
    for batch in addresses.chunks(4096) {
        let (frames, failure) = info.frames(&elf, None, batch, LIMITS, None);
        assert!(failure.is_none(), "{failure:?}");
        for (&address, frames) in batch.iter().zip(&frames) {
            let (found, expected) = (found(frames), expected(&context, address));
            count += expected.len();
            if found != expected {
                differences.insert(address, (found, expected));
            }
        }
    }
    (count, differences)
}

/// This test, whose debug information rustc made: DWARF 4 or 5, hundreds of units, many inlined functions.
#[test]
fn frames_are_those_that_addr2line_finds() {
    let (count, differences) = compare(Path::new("/proc/self/exe"), 997);
    assert!(count > 1_000, "{count} frames");
    assert!(differences.is_empty(), "found, expected: {differences:#?}");
}
