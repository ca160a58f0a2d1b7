//! The kernel side's search and step, compiled for user space.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use telegen_unwind::{BLOCK_BYTES, RawRule, RuleId, Table};

#[link(name = "telegen_unwind_native", kind = "static")]
unsafe extern "C" {
    fn tg_native_find(bytes: *const u8, blocks: u32, position: u32, asked_for: *mut u32) -> u32;
    fn tg_native_find_rule(
        found: *mut Found,
        tables: *const NativeTable,
        count: u32,
        number: u32,
        position: u32,
    ) -> i64;
    fn tg_native_step(
        rule: *const RawRule,
        state: *mut u64,
        other: *const u64,
        thread: u64,
        read: unsafe extern "C" fn(*mut c_void, u64, *mut u64) -> c_int,
        context: *mut c_void,
    ) -> c_int;
}

/// What a step came to; the numbers are those of `enum tg_step`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Done,
    Outermost,
    Unknown,
    Unsupported,
    Unreadable,
    NoProgress,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Registers {
    pub(crate) pc: u64,
    pub(crate) sp: u64,
    /// None if it is lost.
    pub(crate) fp: Option<u64>,
}

/// The rule at an address, as the kernel side finds it.
pub(crate) fn find(table: &Table, address: u64) -> RuleId {
    let Some(position) = address.checked_sub(table.base()).and_then(|at| u32::try_from(at).ok()) else {
        return RuleId::UNKNOWN;
    };
    RuleId(find_in(table.bytes(), position).0 as u16)
}

/// What the kernel side finds in these blocks, whatever is in them, and how many of them it has looked at.
pub(crate) fn find_in(bytes: &[u8], position: u32) -> (u32, u32) {
    assert_eq!(bytes.len() % BLOCK_BYTES, 0);
    let (blocks, mut asked_for) = ((bytes.len() / BLOCK_BYTES) as u32, 0);
    // SAFETY: the blocks are all within the slice, and the number is written before the call returns.
    let rule = unsafe { tg_native_find(bytes.as_ptr(), blocks, position, &raw mut asked_for) };
    (rule, asked_for)
}

/// `struct tg_unwind_table` of `c/native.c`.
#[repr(C)]
struct NativeTable {
    bytes: *const u8,
    blocks: u32,
}

/// `struct tg_found` of `c/unwind_table.h`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Found {
    place: u64,
    rule: u32,
    unused: u32,
}

/// A CPU that remembers what it has found.
pub(crate) struct Remembering<'a> {
    found: Vec<Found>,
    /// The tables by their numbers.
    pub(crate) tables: Vec<&'a [u8]>,
}

impl<'a> Remembering<'a> {
    /// One that has found nothing yet.
    pub(crate) fn new(tables: Vec<&'a [u8]>) -> Self {
        Self { found: vec![Found::default(); 1 << 10], tables }
    }

    /// The rule at a position; `None` if there is no such table.
    pub(crate) fn find(&mut self, number: u32, position: u32) -> Option<u32> {
        let native =
            |bytes: &&[u8]| NativeTable { bytes: bytes.as_ptr(), blocks: (bytes.len() / BLOCK_BYTES) as u32 };
        let tables: Vec<_> = self.tables.iter().map(native).collect();
        let (found, count) = (self.found.as_mut_ptr(), tables.len() as u32);
        // SAFETY: the tables and their blocks live until the call returns, and there is room for what is remembered.
        let rule = unsafe { tg_native_find_rule(found, tables.as_ptr(), count, number, position) };
        u32::try_from(rule).ok()
    }
}

/// Memory: the word at an address, if it can be read.
pub(crate) type Memory<'a> = &'a dyn Fn(u64) -> Option<u64>;

/// The caller of a frame, as the kernel side steps to it.
pub(crate) fn step(
    rule: &RawRule,
    registers: Registers,
    other: Option<u64>,
    memory: Memory<'_>,
) -> (Step, Registers) {
    let before = State::of(registers);
    let (outcome, after) = step_in(rule, before, other, 0, memory);
    (outcome, after.registers)
}

/// What a step starts from and leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct State {
    pub(crate) registers: Registers,
    /// How often it has gone on on another stack.
    pub(crate) switches: u8,
    /// `enum tg_exact`.
    pub(crate) exact: u8,
    /// Where `rbx` has been saved; 0 if that is not known, 1 if it is in its register.
    pub(crate) rbx_at: u64,
}

impl State {
    /// That of a frame of which nothing else is known.
    pub(crate) fn of(registers: Registers) -> Self {
        Self { registers, switches: 0, exact: 0, rbx_at: 0 }
    }
}

/// The same in a thread whose local storage ends somewhere.
pub(crate) fn step_in(
    rule: &RawRule,
    before: State,
    other: Option<u64>,
    thread: u64,
    mut memory: Memory<'_>,
) -> (Step, State) {
    unsafe extern "C" fn read(context: *mut c_void, address: u64, word: *mut u64) -> c_int {
        // SAFETY: the context is the pointer to the memory that `step_in` has handed over, and `word` one on its stack.
        let (memory, word) = unsafe { (*context.cast::<Memory<'_>>(), &mut *word) };
        match memory(address) {
            Some(value) => {
                *word = value;
                0
            }
            None => -1,
        }
    }
    let Registers { pc, sp, fp } = before.registers;
    let (fp_known, switches, exact) = (fp.is_some().into(), before.switches.into(), before.exact.into());
    let mut state = [pc, sp, fp.unwrap_or(0), fp_known, switches, exact, before.rbx_at];
    let other = other.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let context = std::ptr::from_mut(&mut memory).cast();
    // SAFETY: all pointers live until the call returns; it keeps none.
    let outcome = unsafe { tg_native_step(rule, state.as_mut_ptr(), other, thread, read, context) };
    let outcome = match outcome {
        0 => Step::Done,
        1 => Step::Outermost,
        2 => Step::Unknown,
        3 => Step::Unsupported,
        4 => Step::Unreadable,
        5 => Step::NoProgress,
        other => panic!("no such outcome: {other}"),
    };
    let fp = (state[3] != 0).then_some(state[2]);
    let registers = Registers { pc: state[0], sp: state[1], fp };
    (outcome, State { registers, switches: state[4] as u8, exact: state[5] as u8, rbx_at: state[6] })
}
