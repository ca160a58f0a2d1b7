//! Any bytes as call frame information: a table comes of it or an error, and the table is in order. The first byte says of which
//! machine it is, the next two where `.debug_frame` begins; what is before that is `.eh_frame`.
#![no_main]

use gimli::{EndianSlice, LittleEndian};
use libfuzzer_sys::fuzz_target;
use telegen_unwind::{Arch, BLOCK_BYTES, RuleId, Sections, compile};

/// Far enough up that a real section, which tells of code by the distance from itself, finds it above 0.
const EH_FRAME_AT: u64 = 0x10_0000;

fuzz_target!(|data: &[u8]| {
    let Some((&[machine, low, high], frames)) = data.split_first_chunk() else { return };
    let arch = if machine % 2 == 1 { Arch::Aarch64 } else { Arch::X86_64 };
    let (eh_frame, debug_frame) = frames.split_at(frames.len().min(u16::from_le_bytes([low, high]).into()));
    let sections = Sections {
        start: 0x1000,
        eh_frame: Some((EndianSlice::new(eh_frame, LittleEndian), EH_FRAME_AT)),
        debug_frame: Some(EndianSlice::new(debug_frame, LittleEndian)),
        text: 0x2000,
        got: 0x3000,
        tells_rbx: false,
    };
    let Ok(compiled) = compile(arch, sections) else { return };
    let (table, rules) = (&compiled.table, compiled.book.rules().len());
    assert_eq!(table.bytes().len(), table.blocks() * BLOCK_BYTES);
    assert_eq!(table.find(u64::MAX), RuleId::UNKNOWN);
    let end = table.base() + (table.bytes().len() as u64) * 256;
    for address in (table.base()..end).step_by(997).take(1_000) {
        assert!(usize::from(table.find(address).0) < rules);
    }
});
