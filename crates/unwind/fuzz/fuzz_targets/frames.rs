//! Any bytes as call frame information: a table comes of it or an error, and the table is in order.
#![no_main]

use gimli::{EndianSlice, LittleEndian};
use libfuzzer_sys::fuzz_target;
use telegen_unwind::{Arch, BLOCK_BYTES, RuleId, Sections, compile};

fuzz_target!(|data: (bool, &[u8], &[u8])| {
    let (is_arm, eh_frame, debug_frame) = data;
    let arch = if is_arm { Arch::Aarch64 } else { Arch::X86_64 };
    let sections = Sections {
        start: 0x1000,
        eh_frame: Some((EndianSlice::new(eh_frame, LittleEndian), 0x1000)),
        debug_frame: Some(EndianSlice::new(debug_frame, LittleEndian)),
        text: 0x2000,
        got: 0x3000,
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
