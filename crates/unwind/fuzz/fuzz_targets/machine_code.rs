//! Any bytes as machine code that nothing describes: what is told of its frames is in order, and within it.
#![no_main]

use gimli::{EndianSlice, LittleEndian};
use libfuzzer_sys::fuzz_target;
use telegen_unwind::{Arch, Elsewhere, MachineCode, Sections, compile_with};

const BASE: u64 = 0x40_0000;

fuzz_target!(|data: (Vec<u16>, &[u8])| {
    let (starts, bytes) = data;
    let read = |address: u64, count: usize| {
        let from = usize::try_from(address.checked_sub(BASE)?).ok()?;
        bytes.get(from..from.checked_add(count)?).map(<[u8]>::to_vec)
    };
    let code = vec![BASE..BASE + bytes.len() as u64];
    let symbols = || starts.iter().map(|start| BASE + u64::from(*start)).collect();
    let source = MachineCode::new(code.clone(), &read, symbols);
    let elsewhere = Elsewhere { code, sources: vec![Box::new(source)] };
    let sections = Sections::<EndianSlice<'_, LittleEndian>> {
        start: BASE,
        eh_frame: None,
        debug_frame: None,
        text: 0,
        got: 0,
        tells_rbx: false,
    };
    let compiled = compile_with(Arch::X86_64, sections, elsewhere).expect("no section can be damaged");
    assert_eq!(compiled.found.refused, 0);
    assert!(compiled.found.known_bytes <= bytes.len() as u64);
});
