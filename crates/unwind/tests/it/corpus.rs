//! Small inputs of the fuzz targets, made of real binaries: a table comes of most, and no step goes down.

use crate::kernel_side::{Registers, State, Step, find_in, step_in};
use gimli::{EndianSlice, LittleEndian};
use std::fs;
use std::path::Path;
use telegen_unwind::{Arch, BLOCK_BYTES, RuleId, Sections, compile};

#[path = "../../fuzz/inputs/step.rs"]
mod input;

use input::Input;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&directory).expect("a corpus");
    let files: Vec<_> =
        entries.map(|entry| fs::read(entry.expect("an entry").path()).expect("a file")).collect();
    assert!(files.len() >= 8, "{}", directory.display());
    files
}

#[test]
fn frames() {
    let mut with_rows = 0;
    for data in corpus("frames") {
        let (&[machine, low, high], frames) = data.split_first_chunk().expect("a kind and a length");
        let arch = if machine % 2 == 1 { Arch::Aarch64 } else { Arch::X86_64 };
        let (eh_frame, debug_frame) =
            frames.split_at(frames.len().min(u16::from_le_bytes([low, high]).into()));
        let sections = Sections {
            start: 0x1000,
            eh_frame: Some((EndianSlice::new(eh_frame, LittleEndian), 0x10_0000)),
            debug_frame: Some(EndianSlice::new(debug_frame, LittleEndian)),
            text: 0x2000,
            got: 0x3000,
            tells_rbx: false,
        };
        let Ok(compiled) = compile(arch, sections) else { continue };
        with_rows += usize::from(compiled.table.rows() > 0);
        assert_eq!(compiled.table.find(u64::MAX), RuleId::UNKNOWN);
    }
    assert!(with_rows >= 8, "{with_rows} have rows");
}

#[test]
fn steps() {
    let (mut found, mut done) = (0, 0);
    for data in corpus("step") {
        let input = Input::of(&data);
        let blocks = input.table.len() / BLOCK_BYTES * BLOCK_BYTES;
        found += usize::from(find_in(&input.table[..blocks], input.position).0 > 0);
        let before = Registers { pc: input.pc, sp: input.sp, fp: input.fp };
        let before = State { switches: input.switches, rbx_at: input.rbx_at, ..State::of(before) };
        let memory = |address| input.word(address);
        let (outcome, after) = step_in(&input.rule, before, input.other, input.thread, &memory);
        done += usize::from(outcome == Step::Done);
        // Kinds of rules: what leads through a signal, and what returns by a register.
        let switched = after.switches > before.switches;
        let leads_up = [4, 7].contains(&input.rule.kind) || switched || after.registers.sp > input.sp;
        assert!(outcome != Step::Done || leads_up);
    }
    assert!(found >= 4 && done >= 4, "{found} found a rule, {done} a caller");
}
