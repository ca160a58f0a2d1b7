//! Any bytes as the records of a jitdump file that is read in two goes: it does not matter how far it was written the
//! first time, and what is found lies in the file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use telegen_symbolize::{JitDump, JitDumpRefusal, JitDumpStep, jit_line};

/// Of version 1, 40 bytes long, for x86-64.
fn file(records: &[u8]) -> Vec<u8> {
    let mut file: Vec<u8> = [0x4a69_5444, 1, 40, 62, 0, 7].into_iter().flat_map(u32::to_ne_bytes).collect();
    file.extend([0; 16]);
    file.extend(records);
    file
}

fn read_on(dump: &mut JitDump, file: &[u8], piece: usize) -> Result<(), JitDumpRefusal> {
    loop {
        let rest = file.get(dump.position() as usize..).unwrap_or_default();
        if dump.push(&rest[..rest.len().min(piece)], file.len() as u64)? == JitDumpStep::WaitsForMore {
            return Ok(());
        }
    }
}

fuzz_target!(|records: &[u8]| {
    let file = file(records);
    let (mut whole, mut grown) = (JitDump::default(), JitDump::default());
    let read = read_on(&mut whole, &file, file.len());
    // As the length varies, this is everywhere.
    let first = file.len() - records.len() / 2;
    let read_again = read_on(&mut grown, &file[..first], file.len())
        .and_then(|()| read_on(&mut grown, &file, JitDump::MIN_BYTES));
    assert_eq!((&whole, read), (&grown, read_again));
    assert!(whole.position() <= file.len() as u64);
    for shift in 0..64 {
        let address = u64::MAX >> shift;
        let Some(function) = whole.find(address) else { continue };
        let name = JitDump::name(&file[function.name_offset as usize..]);
        assert!(name.is_none_or(|name| !name.is_empty()));
        if let Some(offset) = function.lines_offset {
            jit_line(&file[offset.get() as usize..], address);
        }
    }
});
