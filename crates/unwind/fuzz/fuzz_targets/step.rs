//! Any bytes as a table, a rule, registers and memory: the kernel side's search looks at no more than it may, and its step ends
//! and goes up. Its C is compiled so that an index beyond an array ends the run.
#![no_main]

#[path = "../inputs/step.rs"]
mod input;

use input::Input;
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

unsafe extern "C" fn read(context: *mut c_void, address: u64, word: *mut u64) -> c_int {
    // SAFETY: the context is the input that the fuzzer's closure has on its stack, and `word` one of the caller's.
    let (input, word) = unsafe { (&*context.cast::<Input<'_>>(), &mut *word) };
    match input.word(address) {
        Some(value) => *word = value,
        None => return -1,
    }
    0
}

const SIGNAL: u8 = 4;
const RETURN_IN_REGISTER: u8 = 7;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::of(bytes);
    // A copy of whole blocks and no byte more.
    let blocks = input.table.len() / BLOCK_BYTES;
    let table = input.table[..blocks * BLOCK_BYTES].to_vec();
    let mut asked_for = 0;
    // SAFETY: the blocks are all within the vector.
    let found = unsafe { tg_native_find(table.as_ptr(), blocks as u32, input.position, &raw mut asked_for) };
    assert!(found <= u32::from(u16::MAX) && asked_for <= 12, "{found} after {asked_for} blocks");

    let (rule, sp, other, thread, switches) = (input.rule, input.sp, input.other, input.thread, u64::from(input.switches));
    let fp_known = u64::from(input.fp.is_some());
    let mut state = [input.pc, sp, input.fp.unwrap_or_default(), fp_known, switches, 0, input.rbx_at];
    let other_at = other.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let context = std::ptr::from_mut(&mut input).cast();
    // SAFETY: all pointers live until the call returns; it keeps none.
    let outcome = unsafe { tg_native_step(&rule, state.as_mut_ptr(), other_at, thread, read, context) };
    assert!((0..=5).contains(&outcome), "{outcome}");
    // What returns by a register has left nothing on the stack; that is followed in the interrupted frame only.
    let by_register = rule.kind == RETURN_IN_REGISTER && state[1] == sp && other == Some(state[0]);
    // Those that lead to another stack do so a bounded number of times.
    let switched = state[4] == switches + 1 && state[4] <= 64;
    let goes_up = rule.kind == SIGNAL || switched || by_register || state[1] > sp;
    assert!(outcome != 0 || goes_up, "it goes down: {rule:?}");
});
