//! Any bytes as a table, a rule, registers and memory: the kernel side's search looks at no more than it may, and its step ends
//! and goes up. Its C is compiled so that an index beyond an array ends the run.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::ffi::{c_int, c_void};
use telegen_unwind::{BLOCK_BYTES, RawRule};

#[link(name = "telegen_unwind_native", kind = "static")]
unsafe extern "C" {
    fn tg_native_find(bytes: *const u8, blocks: u32, position: u32, asked_for: *mut u32) -> u32;
    fn tg_native_step(
        rule: *const RawRule,
        state: *mut u64,
        other: *const u64,
        thread: u64,
        read: unsafe extern "C" fn(*mut c_void, u64, *mut u64) -> c_int,
        context: *mut c_void,
    ) -> c_int;
}

/// Memory that repeats.
unsafe extern "C" fn read(context: *mut c_void, address: u64, word: *mut u64) -> c_int {
    // SAFETY: the context is the slice that the fuzzer's closure has on its stack, and `word` one of the caller's.
    let (memory, word) = unsafe { (*context.cast::<&[u64]>(), &mut *word) };
    if memory.is_empty() || address % 7 == 0 {
        return -1;
    }
    *word = memory[address as usize % memory.len()];
    0
}

type Input<'a> = (&'a [u8], u32, [u8; 4], (i32, i16, i16, i16), [u64; 3], (bool, u8), Option<u64>, u64, Vec<u64>);

fuzz_target!(|input: Input<'_>| {
    let (bytes, position, kinds, offsets, [pc, sp, fp], (fp_known, switches), other, thread, words) = input;
    let blocks = bytes.len() / BLOCK_BYTES;
    // A copy of whole blocks and no byte more.
    let table = bytes[..blocks * BLOCK_BYTES].to_vec();
    let mut asked_for = 0;
    // SAFETY: the blocks are all within the vector.
    let rule = unsafe { tg_native_find(table.as_ptr(), blocks as u32, position, &raw mut asked_for) };
    assert!(rule <= u32::from(u16::MAX) && asked_for <= 12, "{rule} after {asked_for} blocks");

    let rule = RawRule {
        kind: kinds[0],
        register: kinds[1],
        frame_pointer: kinds[2],
        return_address: kinds[3],
        cfa_offset: offsets.0,
        cfa_added: offsets.1,
        frame_pointer_offset: offsets.2,
        return_address_offset: offsets.3,
        unused: 0,
    };
    let mut state = [pc, sp, fp, u64::from(fp_known), switches.into(), 0];
    let mut memory: &[u64] = &words;
    let other = other.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: all pointers live until the call returns; it keeps none.
    let outcome =
        unsafe { tg_native_step(&rule, state.as_mut_ptr(), other, thread, read, std::ptr::from_mut(&mut memory).cast()) };
    assert!((0..=5).contains(&outcome), "{outcome}");
    const SIGNAL: u8 = 4;
    const RETURN_IN_REGISTER: u8 = 7;
    // Those that lead to another stack do so a bounded number of times.
    let switched = state[4] == u64::from(switches) + 1 && state[4] <= 64;
    let by_register = rule.kind == RETURN_IN_REGISTER && state[1] >= sp;
    assert!(
        outcome != 0 || rule.kind == SIGNAL || switched || by_register || state[1] > sp,
        "it goes down: {rule:?}"
    );
});
